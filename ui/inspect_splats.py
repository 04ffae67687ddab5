"""Splats for the page: recorded scenes and turned frames in four colourings, and their numbers."""

from __future__ import annotations

import dataclasses

import numpy as np

from pipelines.export.bundle import Bundle
from pipelines.records import SEEN_NAMES, Splats
from ui.inspect_histograms import FAINTEST, under_floor
from ui.inspect_numbers import Facts, to_json
from ui.inspect_photo import webp
from ui.run_reader import RunReader
from ui.sheets import cameras_around, turned
from ui.splats_body import body_of

LAYERS = {"colour": "splats", "seen": "splats_seen", "opacity": "splats_opacity", "depth": "splats_depth"}
WITH_BODY = ("body_wires", "splats_faint")


def scene(reader: RunReader, step: str, argument: str) -> bytes:
    """The recorded scene (.viser) of one colouring, or of 'colour-body'; a display copy, not the data."""
    from pipelines.export.viser_scene import scene_bytes

    style, _, body = argument.partition("-")
    return scene_bytes(_bundle(reader, step), layers=WITH_BODY if body else (LAYERS[style],))


def frames(reader: RunReader, step: str, argument: str) -> bytes:
    """One turn around the person in one colouring, with '-body' after it the body's lines over the splats."""
    from pipelines.export.body_wires import body_net, wires_over
    from pipelines.export.bundle import need
    from pipelines.export.picture import splat_picture

    style, _, body = argument.partition("-")
    shown, bundle = _coloured(reader, step, style)
    if not body:
        return turned(shown.means, bundle.body, lambda view: splat_picture(shown, view))
    net = body_net(need(bundle, "body"))
    return turned(shown.means, bundle.body, lambda view: wires_over(splat_picture(shown, view), net, view))


def poster(reader: RunReader, step: str, style: str) -> bytes:
    """The first frame of that turn alone: it is there long before the others."""
    from pipelines.export.picture import splat_picture

    shown, bundle = _coloured(reader, step, style)
    return webp(splat_picture(shown, cameras_around(shown.means, bundle.body)[0]))


def _coloured(reader: RunReader, step: str, style: str) -> tuple[Splats, Bundle]:
    from pipelines.export.finite import finite_splats
    from pipelines.export.palette import splat_colours

    bundle = _bundle(reader, step)
    assert bundle.splats is not None
    splats, _ = finite_splats(bundle.splats)
    camera = bundle.body.camera if bundle.body is not None else None
    colours = splat_colours(splats, style, camera)  # type: ignore[arg-type]
    return dataclasses.replace(splats, colours=np.asarray(colours, np.float32)), bundle


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """Count, shares seen and invented, sizes and opacities, and what the 3D view would not show as it is."""
    splats = reader.record(step)
    assert isinstance(splats, Splats)
    rows: Facts = [("Splats", f"{len(splats):,}")]
    if len(splats):
        rows += [
            (f"{name.capitalize()}", f"{100 * (splats.seen == i).mean():.0f} %") for i, name in enumerate(SEEN_NAMES)
        ]
        largest = splats.scales.max(1) * 1000
        rows += [
            ("Size, middle half", f"{np.percentile(largest, 25):.1f} to {np.percentile(largest, 75):.1f} mm"),
            ("Opacity, median", f"{np.median(splats.opacities):.2f}"),
            ("Opacity under 1/255", f"{100 * (splats.opacities < FAINTEST).mean():.1f} %"),
            ("Under the display floor", f"{100 * under_floor(splats, body_of(reader, step)).share:.0f} %"),
            ("Height", f"{np.ptp(splats.means[:, 1]):.2f} m"),
        ]
    return to_json(rows)


def _bundle(reader: RunReader, step: str) -> Bundle:
    record = reader.record(step)
    assert isinstance(record, Splats)
    return Bundle(splats=record, body=body_of(reader, step))
