"""Depth maps with normals, and outlines -> one closed solid.

Each view says of a sample how far it lies before the tangent plane of the surface that its pixel shows (positive
outside). Near a surface the mean counts, weighted by the squared cosine between normal and ray (Curless & Levoy 1996);
far in front of one, a view votes for empty space with the same weight; behind one it says nothing, and what nobody
speaks of is solid. Outlines cut what is left: outside of any of them nothing is; and inside of each something is
(`with_outlines`).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import rasterise_mesh
from pipelines.geometry.surface import extract
from pipelines.geometry.volumes import Volume
from pipelines.views.carve import Outline, carve
from pipelines.views.evidence import Clue, facing_pairs

Floats = NDArray[np.float32]

LEAST = 0.02  # metres; what is narrower in a view is not put back: a rim that is off by a pixel or two is no part
NEAR = 2.5  # samples from a surface within which distances are averaged


def fuse(
    clues: Sequence[Clue], depths: Sequence[Floats | None], outlines: Sequence[Outline], low: NDArray, high: NDArray,
    voxel: float,
) -> Volume:  # fmt: skip
    """The solid over the box low..high, (3,) world metres each, at `voxel` metres; its rim is empty."""
    near = np.float32(NEAR * voxel)
    hull = carve(outlines, low, high, voxel, enough=2.0 * float(near))
    values = np.maximum(_inside(clues, depths, hull.values, hull, near), np.clip(hull.values, -near, near))
    solid = Volume(_off_level(values, voxel), hull.origin, voxel, hull.active)
    return with_outlines(solid, clues, depths, hull)


def with_outlines(solid: Volume, clues: Sequence[Clue], depths: Sequence[Floats | None], hull: Volume) -> Volume:
    """The solid, and in the rays of pixels of a view that lost all of theirs what this view and its opposite say alone.

    Thin parts are lost where other views' depths are off by more than they are thick, or do not show them at all.
    """
    near, high = np.float32(NEAR * solid.voxel), solid.origin + (np.array(solid.values.shape) - 1) * solid.voxel
    vertices, faces = extract(solid)
    values = solid.values
    for group in facing_pairs(clues):
        for i in group:
            clue = clues[i]
            metre = float(clue.camera.K[0, 0]) / float(np.median(clue.camera.project(vertices)[1]))
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (max(round(LEAST * metre), 2),) * 2)
            lost = (clue.mask & ~rasterise_mesh(vertices, faces, clue.camera).mask).astype(np.uint8)
            lost = np.asarray(cv2.morphologyEx(lost, cv2.MORPH_OPEN, disc), np.uint8)
            if not lost.any():
                continue
            grown = (cv2.dilate(lost, np.ones((3, 3), np.uint8)) > 0) & clue.mask
            rays = carve([Outline(grown, clue.camera)], solid.origin, high, solid.voxel, enough=2.0 * float(near))
            within = np.maximum(hull.values, rays.values)
            own = _inside([clues[k] for k in group], [depths[k] for k in group], within, hull, near)
            values = np.minimum(values, np.maximum(own, np.clip(within, -near, near)))
    return Volume(_off_level(values, solid.voxel), solid.origin, solid.voxel, solid.active)


def _inside(
    clues: Sequence[Clue], depths: Sequence[Floats | None], where: Floats, grid: Volume, near: np.float32
) -> Floats:
    """What the depth maps say of the samples of a grid where `where` is negative, or nearly: metres, outside positive."""
    total, weights, empty = (np.zeros(where.shape, np.float32) for _ in range(3))
    for clue, depth in zip(clues, depths, strict=True):
        if depth is not None and clue.normal is not None:
            camera, facing = clue.camera, facing_of(clue.normal, clue.camera)
            _gather(total, weights, empty, where, grid.origin, grid.voxel, depth, clue.normal, facing,
                    camera.K @ camera.world_to_camera[:3], inverse_of(camera), near)  # fmt: skip
    known = weights + empty > 1e-6
    return np.where(known, (total + empty * near) / np.where(known, weights + empty, 1.0), -near).astype(np.float32)


def _off_level(values: Floats, voxel: float) -> Floats:
    """No sample exactly on the level, which would pinch the surface."""
    tiny = np.float32(1e-3 * voxel)
    return np.where(np.abs(values) < tiny, np.where(values < 0, -tiny, tiny), values).astype(np.float32)


def facing_of(normal: Floats, camera: Camera) -> Floats:
    """(H, W) cosine between normals and the rays back to the camera, 0 where they turn away."""
    rays = camera.rays() @ camera.world_to_camera[:3, :3]
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return np.clip(-(normal * rays).sum(-1), 0.0, 1.0).astype(np.float32)


def inverse_of(camera: Camera) -> NDArray[np.float64]:
    """(3, 4): (x z, y z, z, 1) of a pixel and its depth -> world."""
    rotation, shift = camera.world_to_camera[:3, :3], camera.world_to_camera[:3, 3]
    return np.c_[rotation.T @ np.linalg.inv(camera.K), -rotation.T @ shift]


@njit(cache=True, error_model="numpy")
def _gather(  # type: ignore[no-untyped-def]
    total, weights, empty, hull, origin, voxel, depth, normal, facing, matrix, inverse, near
):
    height, width = depth.shape
    for i in range(hull.shape[0]):
        for j in range(hull.shape[1]):
            for k in range(hull.shape[2]):
                if hull[i, j, k] > near:
                    continue
                x, y, z = origin[0] + i * voxel, origin[1] + j * voxel, origin[2] + k * voxel
                w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
                if w <= 1e-3:
                    continue
                u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / w
                v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / w
                if not (u >= 0.0 and v >= 0.0 and u < width and v < height):
                    continue
                column, row = int(u), int(v)
                there = depth[row, column]
                share = facing[row, column] ** 2
                if there <= 0.0 or share <= 0.0:
                    continue
                a, b = (column + 0.5) * there, (row + 0.5) * there
                s = 0.0
                for axis, at in ((0, x), (1, y), (2, z)):
                    p = inverse[axis, 0] * a + inverse[axis, 1] * b + inverse[axis, 2] * there + inverse[axis, 3]
                    s += normal[row, column, axis] * (at - p)
                if there - w > 0.0 and s >= near:
                    empty[i, j, k] += share
                elif abs(s) < near and abs(there - w) < 4.0 * near:
                    total[i, j, k] += share * s
                    weights[i, j, k] += share
                elif there - w > 4.0 * near:
                    empty[i, j, k] += share
