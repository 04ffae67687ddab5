"""Coloured voxels as a small picture: the first voxel along y (front) beside the first along x (the person's left)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def principal_colours(features: NDArray[np.floating]) -> Floats:
    """(N, C) -> (N, 3) 0..1: the three directions of the largest spread, two standard deviations to either side.

    The sign of each direction is fixed by its largest entry, so that equal features give equal colours.
    """
    x = np.asarray(features, np.float64)
    x = x - x.mean(0)
    values, axes = np.linalg.eigh(x.T @ x / max(len(x), 1))
    axes = axes[:, ::-1][:, :3]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    spread = np.sqrt(np.maximum(values[::-1][:3], 1e-12))
    colours = np.clip(0.5 + x @ axes / (4 * spread), 0, 1)
    return np.pad(colours, ((0, 0), (0, 3 - colours.shape[1]))).astype(np.float32)


def voxel_picture(coords: NDArray[np.integer], colours: Floats, side: int, height: int = 192) -> Floats:
    """coords (N, 3), colours (N, 3) -> (height, 2 height, 3) on white, enlarged cell by cell."""
    views = []
    for across, along, sign in ((0, 1, -1), (1, 0, 1)):
        order = np.argsort(sign * coords[:, along], kind="stable")  # the nearest is painted last
        picture = np.ones((side, side, 3), np.float32)
        picture[side - 1 - coords[order, 2], coords[order, across]] = colours[order]
        views.append(picture)
    cells = np.arange(height) * side // height
    return np.concatenate([picture[cells][:, cells] for picture in views], 1)
