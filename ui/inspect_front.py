"""How well the Gaussians of HGM's whole networks draw the photo again that they were made from, in numbers."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from pipelines.hgm.records import BodyPoints
from pipelines.records import Body, Cutout, Floats, Splats
from pipelines.step import UserError
from ui import inspect_splats
from ui.inspect_numbers import Facts, to_json
from ui.run_reader import RunReader


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """Those of all splats, then PSNR and SSIM of the input view; without these where the run keeps no data for them."""
    rows: Facts = [(name, value) for name, value in json.loads(inspect_splats.facts(reader, step, ""))]
    try:
        drawn, photo = front_pictures(reader, step)
    except UserError:
        return to_json(rows)
    from pipelines.evaluate.images import ssim

    error = float(((drawn.astype(np.float64) - photo) ** 2).mean())
    psnr = "without any error" if error == 0 else f"{-10 * np.log10(error):.1f} dB"
    return to_json([*rows, ("Photo drawn again, PSNR", psnr), ("Photo drawn again, SSIM", f"{ssim(drawn, photo):.3f}")])


def front_pictures(reader: RunReader, step: str) -> tuple[Floats, Floats]:
    """(S, S, 3) on white, 0..1: the step's splats as HGM's front camera sees them, and the photo's crop that the network
    was given. UserError when one of the records is not there."""
    # What draws is heavy and wanted here alone.
    from pipelines.geometry.splat_raster import render_numpy
    from pipelines.hgm.configuration import find_preset
    from pipelines.hgm.frame import front_camera
    from pipelines.hgm.front_view import RELEASED_ALPHA
    from pipelines.hgm.whole_person import front_picture

    splats, points, body = (reader.record(name) for name in (step, "hgm.points", "hgm.refine"))
    assert isinstance(splats, Splats) and isinstance(points, BodyPoints) and isinstance(body, Body)
    size = find_preset(reader.run.preset).input_size
    photo = front_picture(reader.need(Cutout), body, points, size)
    camera = front_camera(size, points.pelvis, body.camera)
    drawn = render_numpy(
        splats.means, splats.quats, splats.scales, splats.opacities, splats.colours, camera.world_to_camera, camera.K,
        size, size, background=np.ones(3, np.float32), alpha_max=RELEASED_ALPHA,
    )  # fmt: skip
    image: NDArray[np.float32] = drawn.features.clip(0, 1)
    return image, photo
