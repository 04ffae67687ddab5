"""Outlines touch: along the ray of every outline pixel some point of the surface lies, and its normal is the outline's.

A silhouette bounds the solid, and it is not a bound that could be missed: the ray through an outline pixel of one view
touches the surface somewhere (Cipolla & Giblin 2000, frontier of a smooth body). In another view that ray is a line of
pixels; the one whose depth comes nearest to the ray, with a normal like the outline's, is where it touches. This says
how deep the piece around that pixel lies, which normals alone leave open.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.views.carve import signed_distance
from pipelines.views.evidence import Clue
from pipelines.views.relief import Bounds, Known

Floats = NDArray[np.float64]

PARALLEL = 0.9  # cosine between two views above which a ray of one is nearly a point in the other
UNLIKE = 0.10  # metres that a right angle between the two normals counts for


def outline_of(clue: Clue) -> tuple[Floats, Floats]:
    """Points (K, 2) px on the outline and its outward normals (K, 3), display frame."""
    signed = signed_distance(clue.mask)
    smooth = np.asarray(cv2.GaussianBlur(signed, (0, 0), 1.5), np.float64)
    down, right = (np.gradient(smooth, axis=k) for k in (0, 1))
    row, column = np.nonzero(clue.mask & (signed > -1.0))
    normal = np.stack([right[row, column], down[row, column], np.zeros(len(row))], 1)
    length = np.linalg.norm(normal, axis=1)
    keep = length > 0.3
    normal = normal[keep] / length[keep, None]
    pixels = np.stack([column, row], 1)[keep] + 0.5 - normal[:, :2] * signed[row, column][keep, None]
    return pixels, normal @ clue.camera.world_to_camera[:3, :3]


def touching(
    clues: Sequence[Clue],
    depths: Sequence[NDArray[np.floating] | None],
    limits: Sequence[Bounds],
    low: NDArray,
    high: NDArray,
    tolerance: float,
    slack: float,
    weight: float,
) -> list[Known | None]:
    """For every view with a depth map, what the outlines of the others say of it.

    limits: first and last surface of the hull in each view. low, high: (3,) the box around the person. tolerance: metres
    by which a depth may be off. slack: metres by which the hull may be off. weight: of one outline pixel, against 1 for
    a normal.
    """
    outlines = [outline_of(clue) for clue in clues]
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    found: list[Known | None] = []
    for a, (clue, depth) in enumerate(zip(clues, depths, strict=True)):
        if depth is None or clue.normal is None:
            found.append(None)
            continue
        total, mean = np.zeros(depth.size), np.zeros(depth.size)
        step = 1.0 / float(clue.camera.K[0, 0]) * float(np.median(depth[depth > 0]))
        for b, other in enumerate(clues):
            if a == b or abs(clue.camera.world_to_camera[2, :3] @ other.camera.world_to_camera[2, :3]) > PARALLEL:
                continue
            pixels, normals = outlines[b]
            facing = -(normals @ clue.camera.world_to_camera[2, :3])
            pixels, normals = pixels[facing > 0.3], normals[facing > 0.3]
            z = other.camera.project(corners)[1]
            z = np.arange(z.min(), z.max(), step)
            at, there = _along(clue, depth, limits[a].near, other, pixels, normals, z, slack)
            good = np.abs(there[:, 0]) < tolerance
            cell = at[good]
            like = np.clip(there[good, 1], 0.0, 1.0)
            # The surface is `gap` behind the ray: it comes forward by that much.
            np.add.at(total, cell, weight * like)
            np.add.at(mean, cell, weight * like * there[good, 2])
        target = np.where(total > 0, mean / np.maximum(total, 1e-12), 0.0)
        found.append(Known(target.reshape(depth.shape), total.reshape(depth.shape)))
    return found


def _along(
    clue: Clue,
    depth: NDArray[np.floating],
    near: NDArray[np.floating],
    other: Clue,
    pixels: Floats,
    normals: Floats,
    z: Floats,
    slack: float,
) -> tuple[NDArray[np.int64], Floats]:
    """For each ray of `other` (pixels (K, 2), outline normals (K, 3), tried at depths z (S,)) the pixel of `clue` where
    it touches: (K,) its number, and (K, 3) the gap in metres, how alike the normals are, the depth of the ray there.

    Only where the ray runs along the hull (to `slack` metres), so that nothing can be before it: there the foremost
    pixel touches.
    """
    count, tries = len(pixels), len(z)
    points = other.camera.unproject(np.repeat(pixels, tries, 0), np.tile(z, count))
    at, ray_z = clue.camera.project(points)
    column, row = np.floor(at).astype(np.int64).T
    height, width = depth.shape
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    column, row = np.where(inside, column, 0), np.where(inside, row, 0)
    seen = depth[row, column]
    assert clue.normal is not None
    like = (clue.normal[row, column] * np.repeat(normals, tries, 0)).sum(1)
    gap = seen - ray_z
    # Behind something that may be there nobody can tell; before it is nothing.
    open_ = ray_z - near[row, column] < slack
    cost = gap + UNLIKE * (1.0 - like)
    cost = np.where(inside & open_ & (seen > 0) & (like > 0.3), cost, np.inf).reshape(count, tries)
    best = cost.argmin(1) + np.arange(count) * tries
    gap = np.where(np.isfinite(cost.min(1)), gap[best], np.inf)
    return row[best] * width + column[best], np.stack([gap, like[best], ray_z[best]], 1)


def together(first: Known | None, second: Known | None) -> Known | None:
    """Two sources of depths as one."""
    if first is None or second is None:
        return first or second
    weight = first.weight + second.weight
    mean = (first.weight * first.depth + second.weight * second.depth) / np.maximum(weight, 1e-12)
    return Known(np.where(weight > 0, mean, 0.0), weight)
