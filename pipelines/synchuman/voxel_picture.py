"""Coloured voxels as a small picture: the first voxel along y (front) beside the first along x (the person's left)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.synchuman.principal_axes import principal_axes

Floats = NDArray[np.float32]


def principal_colours(features: NDArray[np.floating]) -> Floats:
    """(N, C) -> (N, 3) 0..1 along their own principal axes."""
    return principal_axes(features).colours(features)


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
