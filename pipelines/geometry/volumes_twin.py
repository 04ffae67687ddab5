"""The plain twin of `volumes.fuse`: every sample of the grid, array expressions only. It judges the fast one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.volume_blocks import BEHIND, BLOCK, DEEP, PRIOR, TRUNCATION
from pipelines.geometry.volumes import DepthView, Volume, closed, focal_of, grid_of, prepare


def fuse_dense(
    views: Sequence[DepthView],
    low: NDArray[np.floating],
    high: NDArray[np.floating],
    voxel: float,
    *,
    forgiven: float = 2.0,
) -> Volume:
    """`volumes.fuse` by its definition; arguments as there."""
    origin, blocks = grid_of(views, low, high, voxel)
    shape = tuple(n * BLOCK for n in blocks)
    points = origin + voxel * np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).reshape(-1, 3)
    total, weights, empty, informed = (np.zeros(len(points)) for _ in range(4))
    front, behind = TRUNCATION * voxel, BEHIND * voxel
    for view in views:
        maps = prepare(view.depth, view.camera)
        pixels, z = view.camera.project(points)
        with np.errstate(invalid="ignore"):
            cell = np.floor(pixels)
        inside = (z > 1e-3) & (cell >= 0).all(1) & (cell < (view.camera.width, view.camera.height)).all(1)
        column, row = cell[inside].astype(int).T
        depth, slope_x, slope_y, facing = maps[row, column].astype(np.float64).T
        offset = pixels[inside] - (cell[inside] + 0.5)
        z = z[inside]
        plane = np.abs(depth) + slope_x * offset[:, 0] + slope_y * offset[:, 1]
        surface = (z - plane if view.last else plane - z) * facing
        s = np.where(depth > 0, surface, np.minimum(-depth * z / focal_of(view.camera)[0], front))
        share = view.weight * np.where(s < 0, np.maximum(1 + s / behind, DEEP), 1.0) * (s > -front)
        band = share * np.where(depth > 0, facing**2, 1.0) * (s < front)
        total[inside] += band * s
        weights[inside] += band
        empty[inside] += share * (s >= front)
        informed[inside] += share
    votes = np.maximum(empty - forgiven, 0.0)
    trust = np.clip(informed - forgiven, 0.0, 1.0)
    solid = 1.0 - trust + PRIOR
    values = (trust * total + (votes - solid) * front) / (trust * weights + votes + solid)
    return closed(values.reshape(shape).astype(np.float32), origin, voxel, np.ones(shape, bool))
