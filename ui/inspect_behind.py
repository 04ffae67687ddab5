"""What the person from behind is laid beside: the photo as large, and the normals of the coarse Gaussians."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.hgm.records import BodyPoints
from pipelines.records import Body, Cutout, Floats, Splats, on_white
from pipelines.step import UserError
from ui.back_outline import seen_on_paper
from ui.inspect_back_view import back_of
from ui.inspect_photo import webp
from ui.run_reader import RunReader

GAUSSIANS = "hgm.gaussians"  # step whose splats the coarse picture was drawn from
SMOOTH, APART = 1.2, 0.01  # the bilateral filter's pixels, and the share of the depth from which on places are apart
ALIKE = 2.0  # how many times as steep one side may be as the other, and a pixel's width, to be of one surface


def in_front(reader: RunReader, step: str, argument: str) -> bytes:
    """The person of the photo on white, in a square of the back view's size, as large and at the place as from behind."""
    back, cutout = back_of(reader, step), reader.need(Cutout)
    outline = back.coarse[..., 3] > 0.5
    outline, person = outline if outline.any() else seen_on_paper(back.images[0]), cutout.alpha > 0.5
    if not outline.any() or not person.any():
        raise UserError("One of the two pictures shows nobody, so that they cannot be laid beside each other.")
    from pipelines.hgm.back_frame import onto, warped

    size = max(back.images.shape[1], 512)
    place = onto(person, outline) * (size / back.images.shape[1])
    return webp(warped(on_white(cutout.rgba), place, size, paper=1.0))


def normals(reader: RunReader, step: str, argument: str) -> bytes:
    """Normals of the coarse Gaussians from behind, from their depth, in HGM's camera: right to red, up to green, towards
    the camera to blue. UserError where the run has no such Gaussians."""
    # What draws splats is heavy and wanted here alone.
    from pipelines.hgm.back_view import drawn_from_behind
    from pipelines.hgm.cameras import intrinsics

    splats, points, body = (reader.record(name) for name in (GAUSSIANS, "hgm.points", "hgm.refine"))
    if not (isinstance(splats, Splats) and isinstance(points, BodyPoints) and isinstance(body, Body)):
        raise UserError("This run has no coarse Gaussians to draw the depth of.")
    size = max(back_of(reader, step).coarse.shape[0], 512)
    drawn = drawn_from_behind(splats, points, body, size)
    mask = drawn.alpha.numpy() > 0.5
    made = normals_of(drawn.median_depth.numpy(), mask, np.asarray(intrinsics(size), np.float64))
    colours = np.where((mask & made.any(-1))[..., None], 0.5 + 0.5 * made * np.array([1, -1, -1], np.float32), 1)
    return webp(colours.astype(np.float32))


def normals_of(depth: Floats, mask: NDArray[np.bool_], K: NDArray[np.float64]) -> Floats:
    """Depth z (H, W) of a pinhole camera K, and where it holds -> unit normals (H, W, 3) in the OpenCV camera frame,
    towards the camera; 0 where there is none.

    The slope of each axis is the mean of those on both sides of a pixel, or the flatter one where they differ much, so that
    an arm before the trunk keeps its edge.
    """
    import cv2
    from scipy.ndimage import distance_transform_edt

    there = mask & (depth > 0)
    if not there.any():
        return np.zeros((*depth.shape, 3), np.float32)
    near = distance_transform_edt(~there, return_distances=False, return_indices=True)
    filled = np.ascontiguousarray(depth[tuple(near)], np.float32)
    smooth = cv2.bilateralFilter(filled, -1, APART * float(np.median(depth[there])), SMOOTH)
    z = np.where(there, smooth, np.nan).astype(np.float64)
    rows, columns = np.indices(depth.shape) + 0.5
    points = np.stack([(columns - K[0, 2]) / K[0, 0] * z, (rows - K[1, 2]) / K[1, 1] * z, z], -1)
    across, down = _step(points, 1), _step(points, 0)
    normal = np.cross(down, across)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    normal = np.where(length > 0, normal / np.maximum(length, 1e-300), 0)
    # Two slopes of one surface seen from the front give a normal towards the camera; noise may not.
    normal *= np.where((normal * points).sum(-1, keepdims=True) > 0, -1, 1)
    return np.nan_to_num(normal).astype(np.float32)


def _step(points: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """(H, W, 3) the step along an axis from each point of a map to its neighbours, NaN where there is none."""
    step = np.diff(points, axis=axis)
    gap = np.full_like(np.take(points, [0], axis), np.nan)
    ahead, behind = np.concatenate([step, gap], axis), np.concatenate([gap, step], axis)
    far = [np.where(np.isnan(d[..., 2]), np.inf, np.abs(d[..., 2])) for d in (ahead, behind)]
    flatter = np.where((far[0] <= far[1])[..., None], ahead, behind)
    alike = np.maximum(*far) <= ALIKE * np.minimum(*far) + np.abs(flatter).max(-1)
    return np.where((alike & np.isfinite(far[0] + far[1]))[..., None], (ahead + behind) / 2, flatter)
