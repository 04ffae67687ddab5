"""The work of the step `synchuman.body`: the fit of `body.body_in_surface` to SyncHuman's surface.

The networks take the photo for a view of parallel rays, so the landmarks of the photo are landmarks of the front view
of the cube, on the photo's own grid.
"""

from __future__ import annotations

import numpy as np

from pipelines.body.body_in_surface import Room, Wear, body_in_surface
from pipelines.body.read_body import check_body
from pipelines.geometry.orthographic import OrthographicCamera, long_lens
from pipelines.records import Body, Cutout, Keypoints
from pipelines.step import Context, UserError
from pipelines.synchuman.bake_cameras import bake_angles
from pipelines.synchuman.display import Placement, place
from pipelines.synchuman.records import CleanedSurface, Framed

LOOSE = 0.2  # share of the skin off the surface from which on somebody should look at the body


def fill_surface(
    frame: Framed, surface: CleanedSurface, matte: Cutout, keypoints: Keypoints, start: Body, wear: Wear, ctx: Context
) -> Body:
    """See the step. UserError where the body is of another model, or too few landmarks lie on the surface."""
    placement = place(frame, start)
    camera = front_on_photo(frame, placement, (matte.alpha.shape[1], matte.alpha.shape[0]))
    room = Room(
        placement.to_display(surface.vertices), surface.faces, camera.distant(), long_lens(camera, camera.width, camera.height)
    )  # fmt: skip
    try:
        check_body(start)
    except ValueError as error:
        raise UserError(f"The body could not be fitted to the surface: {error}") from error
    fit = body_in_surface(start, keypoints, matte.alpha, room, wear, ctx.progress)
    if fit.far > LOOSE:
        ctx.warn(
            f"{100 * fit.far:.0f} % of the body lies off the surface; look at it, and at the keypoints of the photo. (Wide "
            "clothes alone do that too.)"
        )
    return fit.body


def front_on_photo(frame: Framed, placement: Placement, size: tuple[int, int]) -> OrthographicCamera:
    """The parallel front view of the cube on the photo's grid (width, height)."""
    left, top, side = (float(v) for v in frame.square)
    matrix = placement.orthographic(float(bake_angles()[0, 0]), 1).world_to_camera
    centre = np.array([left + side / 2, top + side / 2])
    return OrthographicCamera(side / placement.scale, centre, *size, matrix)
