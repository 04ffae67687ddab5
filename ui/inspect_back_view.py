"""The person from behind: coarse, painted over, and every variant to pick from. And the points of a body model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.hgm.records import FITTED, GIVEN, BackView, BodyPoints
from pipelines.records import Body, Floats, Layers, Splats, on_white
from pipelines.step import UserError
from ui.back_outline import outline_overlap
from ui.inspect_numbers import Facts, to_json
from ui.inspect_photo import webp
from ui.inspect_posed_views import cells_sheet
from ui.run_reader import RunReader

SOURCES = {FITTED: "fitted to our body", GIVEN: "given by a file"}
TEMPLATE = 512  # px, as the painter has it
MORE = "One is painted. Turn up “variants” to have others to pick from."
TOLD = ("refiner", "strength", "steps", "guidance", "control")


def coarse(reader: RunReader, step: str, argument: str) -> bytes:
    """The coarse Gaussians from behind, on white as the painter sees them."""
    return webp(on_white(back_of(reader, step).coarse))


def template(reader: RunReader, step: str, argument: str) -> bytes:
    """How a picture from elsewhere has to be framed: the coarse Gaussians of the step from behind, on white.

    Drawn anew, because a picture that was put in brings none.
    """
    # What draws splats is heavy and wanted here alone.
    from pipelines.hgm.back_view import coarse_from_behind

    splats, points, body = (reader.record(name) for name in (step, "hgm.points", "hgm.refine"))
    assert isinstance(splats, Splats) and isinstance(points, BodyPoints) and isinstance(body, Body)
    return webp(on_white(coarse_from_behind(splats, points, body, TEMPLATE)))


def layers_template(reader: RunReader, step: str, argument: str) -> bytes:
    """The same of a run that has layers instead of Gaussians: their back through the photo's rays, mirrored, on white."""
    # What reads networks' inputs is heavy and wanted here alone.
    from pipelines.hgm.back_frame import back_frame, coarse_back

    layers, body = reader.record(step), reader.record("hgm.refine")
    assert isinstance(layers, Layers) and isinstance(body, Body)
    return webp(on_white(coarse_back(layers, back_frame(layers, body))))


def painted(reader: RunReader, step: str, number: str) -> bytes:
    """One variant, from 0 on; the first without a number."""
    images, at = back_of(reader, step).images, int(number or 0)
    if at >= len(images):
        raise UserError(
            f"There is no variant {at + 1} here; there {'is' if len(images) == 1 else 'are'} {len(images)}."
        )
    return webp(images[at])


def sheet(reader: RunReader, step: str, argument: str) -> bytes:
    """All variants, six square cells in a row."""
    return cells_sheet([with_alpha(image) for image in back_of(reader, step).images])


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """{'cells': [{label, note}], 'words'}: how far each variant is from the coarse picture, inside and in outline."""
    back = back_of(reader, step)
    cells = []
    for i, image in enumerate(back.images):
        change = changed(back, image)
        agrees = outline_overlap(back, image)
        note = "" if change is None else f"{change:.1f} % from the coarse one"
        note += "" if agrees is None else f", outline IoU {100 * agrees:.1f} %"
        cells.append({"label": f"Variant {i + 1}", "note": note, "wide": image.shape[1], "high": image.shape[0]})
    alone = len(cells) == 1 and "strength" in back.facts  # painted, and not given
    return to_json({"cells": cells, "words": MORE if alone else ""})


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """How it was painted, and by how much it differs from the coarse picture."""
    back = back_of(reader, step)
    side = back.coarse.shape[0]
    rows: Facts = [("Size", f"{side} x {side} px"), ("Variants", str(len(back.images)))]
    rows += [(name.capitalize(), str(back.facts[name])) for name in TOLD if name in back.facts]
    change = changed(back, back.images[0])
    if change is not None:
        rows.append(("Painted anew, mean change", f"{change:.1f} %"))
    found = [o for o in (outline_overlap(back, image) for image in back.images) if o is not None]
    if found:
        ends = sorted({f"{100 * min(found):.1f}", f"{100 * max(found):.1f}"}, key=float)
        rows.append(("Outline, IoU", f"{' to '.join(ends)} %"))
    if "padded" in back.facts:
        rows.append(("Made square", str(back.facts["padded"])))
    if "variant" in back.facts:
        rows.append(("Picked", f"variant {back.facts['variant']}"))
    return to_json(rows)


def points_facts(reader: RunReader, step: str, argument: str) -> bytes:
    """How many points, of which model, from where."""
    record = reader.record(step)
    assert isinstance(record, BodyPoints)
    tall = float(np.ptp(record.points[:, 1])) if len(record.points) else 0.0
    rows: Facts = [("Points", f"{len(record.points):,}"), ("Extent, upright", f"{tall:.2f} m"),
                   ("Source", SOURCES.get(record.source, record.source))]  # fmt: skip
    rows += [
        (name.replace("_", " ").capitalize(), str(value)) for name, value in record.facts.items() if name != "source"
    ]
    return to_json(rows[:12])


def changed(back: BackView, image: Floats) -> float | None:
    """Mean change of the channels inside the coarse outline, percent of the range; None for a picture from outside."""
    inside = back.coarse[..., 3] > 0.5
    if not inside.any():
        return None
    return float(100 * np.abs(image - back.coarse[..., :3])[inside].mean())


def with_alpha(image: Floats) -> NDArray[np.float32]:
    """(H, W, 3) -> (H, W, 4), opaque."""
    return np.concatenate([image, np.ones((*image.shape[:2], 1), np.float32)], -1).astype(np.float32)


def back_of(reader: RunReader, step: str) -> BackView:
    """The step's record."""
    record = reader.record(step)
    assert isinstance(record, BackView)
    return record
