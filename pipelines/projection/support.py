"""Pixels of a layer that float in the air come to rest on the nearest surface.

Where one limb ends before another, a membrane leaves pixels and ramps at depths between the two. The closed surface of
the solid has lost them, being too thin; but it has also lost thin sheets of cloth, hair and fingers, which are there.
A sheet of some size, whose depth goes on evenly to all sides, stays where it is. All else that lies on no surface takes
the depth of the nearest pixel that does: the photo shows it, so it is somebody's, and only its depth is wrong.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipelines.geometry.cameras import Camera
from pipelines.projection.outline import nearest

Floats = NDArray[np.float32]
SLOPE = 2.0  # pixels of depth per pixel up to which neighbours are one sheet
SHEET = 6e-4  # m^2, least area of a sheet


def settled(
    layers: dict[str, NDArray], camera: Camera, surface: NDArray[np.float64], reach: float
) -> dict[str, NDArray]:
    """Arrays of `Layers` with the depths `front` and `back` of floating pixels changed, all else the same.

    surface: (V, 3) vertices of the closed surface, world metres. reach: metres from one within which a pixel lies on
    it. `front` stays the nearer one.
    """
    mask = layers["mask"].astype(bool)
    rows, columns = np.nonzero(mask)
    pixels = np.stack([columns, rows], 1) + 0.5
    tree = cKDTree(surface)
    result = []
    for side in ("front", "back"):
        depth = layers[side].astype(np.float32)
        held = sheets(depth, mask, depth / np.float32(camera.K[0, 0]))
        # The tree is asked only for what is in no sheet.
        rest = ~held[rows, columns]
        points = camera.unproject(pixels[rest], depth[rows[rest], columns[rest]])
        held[rows[rest], columns[rest]] = np.isfinite(tree.query(points, distance_upper_bound=reach)[0])
        result.append(np.where(mask & ~held, depth[nearest(held)], depth) if held.any() else depth)
    front, back = result
    return {**layers, "front": np.minimum(front, back), "back": np.maximum(front, back)}


def sheets(depth: Floats, mask: NDArray[np.bool_], step: Floats) -> NDArray[np.bool_]:
    """(h, w) the pixels of a mask that lie in a sheet: one with all four neighbours in the mask, or at its rim.

    depth: (h, w) metres. step: (h, w) metres per pixel.
    """
    even, links = mask.copy(), []
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        near = np.abs(depth[here] - depth[there]) <= SLOPE * np.minimum(step[here], step[there])
        parted = ~near & mask[here] & mask[there]
        even[here] &= ~parted
        even[there] &= ~parted
        links.append((here, there, near & mask[here] & mask[there]))
    _, labels, facts, _ = cv2.connectedComponentsWithStats(even.astype(np.uint8), connectivity=4)
    large = facts[:, cv2.CC_STAT_AREA] * (float(np.median(step[mask])) if mask.any() else 0.0) ** 2 >= SHEET
    large[0] = False
    core = large[labels]
    result = core.copy()
    for here, there, near in links:
        result[here] |= core[there] & near
        result[there] |= core[here] & near
    return result
