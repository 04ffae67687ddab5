"""Pixels of a layer that float in the air come to rest on the nearest surface.

Where one limb ends before another, a membrane leaves pixels and ramps at depths between the two. The closed surface of
the solid has lost them, being too thin; but it has also lost thin sheets of cloth, hair and fingers, which are there.
A sheet of some size, whose depth goes on evenly to all sides, stays where it is. All else takes the surface's own
depth in that pixel, unless it differs by less than the surface is rough; and where there is no surface, the depth of the
nearest pixel that rests: the photo shows it, so it is somebody's, and only its depth is wrong.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import rasterise_layers
from pipelines.projection.outline import nearest

Floats = NDArray[np.float32]
SLOPE = 2.0  # pixels of depth per pixel up to which neighbours are one sheet
SHEET = 6e-4  # m^2, least area of a sheet
ROUGH = 0.4  # of the reach: a pixel that is less off the surface keeps its own depth


def settled(
    layers: dict[str, NDArray], camera: Camera, surface: tuple[NDArray[np.float64], NDArray[np.int32]], reach: float
) -> dict[str, NDArray]:
    """Arrays of `Layers` with the depths `front` and `back` of floating pixels changed, all else the same.

    surface: vertices (V, 3) and faces (F, 3) of the closed surface, world metres. reach: metres from a vertex within
    which a pixel lies on it. `front` stays the nearer one.
    """
    mask = layers["mask"].astype(bool)
    rows, columns = np.nonzero(mask)
    pixels = np.stack([columns, rows], 1) + 0.5
    tree = cKDTree(surface[0])
    result = []
    for side, drawn in zip(("front", "back"), rasterise_layers(*surface, camera), strict=True):
        depth = layers[side].astype(np.float32)
        sheet = sheets(depth, mask, depth / np.float32(camera.K[0, 0]))
        off = mask & drawn.mask & (np.abs(depth - drawn.depth) > ROUGH * reach)
        # The tree is asked only for what must be told from a sheet that the surface has lost, or lies nowhere.
        asked = (off & sheet)[rows, columns] | ~(sheet | drawn.mask)[rows, columns]
        near = np.zeros_like(mask)
        points = camera.unproject(pixels[asked], depth[rows[asked], columns[asked]])
        near[rows[asked], columns[asked]] = np.isfinite(tree.query(points, distance_upper_bound=reach)[0])
        depth = np.where(off & (near | ~sheet), drawn.depth, depth).astype(np.float32)
        held = mask & (sheet | drawn.mask | near)
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
