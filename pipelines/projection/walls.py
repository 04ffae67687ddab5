"""Walls: the sides of the person, which turn away along the outline and which no pixel of the picture covers.

Front and back round off towards the outline: in the last few pixels their depth falls by many pixels' worth, and in
the outermost pixel they still lie apart. Both gaps are filled with round splats: along the slope from each pixel of
the rim to its neighbour further out, and straight across in the outermost pixels. Their colour is the photo's,
**mirrored at the outline**: a point some way round the side looks like the point as far inside the picture, which
continues cloth with its texture instead of drawing the rim's colour out into streaks.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from pipelines.projection.outline import half_width
from pipelines.projection.sampling import RIM, Grid

Floats = NDArray[np.float32]
SPACING = 0.8  # of a grid step between the splats of a wall
SIZE = 0.45  # standard deviation in grid steps
LONGEST = 64  # splats across one gap at most
MIRROR = 2.0  # grid pixels inside the outline where the mirror stands: the outermost ones are often mixed


class Walls(NamedTuple):
    """means (N, 3) world; sigma (N,) metres; colours (N, 3)."""

    means: NDArray[np.float64]
    sigma: Floats
    colours: Floats


def walls(grid: Grid, inset: float) -> Walls:
    """The walls' round splats.

    inset: grid pixels by which the walls stand further in than the centres of the outermost pixels, so that soft
    rims do not add up outside the outline.
    """
    rows, columns = np.nonzero(grid.mask & (grid.inside < RIM))
    out_rows, out_columns = _outward(grid, rows, columns)
    outermost = (out_rows == rows) & (out_columns == columns)
    starts, ends = [], []
    here = np.stack([columns, rows], 1) + 0.5
    there = np.stack([out_columns, out_rows], 1) + 0.5
    for side in (0, 1):
        depth = grid.depth[side]
        starts.append(np.column_stack([here, depth[rows, columns]])[~outermost])
        ends.append(np.column_stack([there, depth[out_rows, out_columns]])[~outermost])
    starts.append(np.column_stack([here, grid.depth[0][rows, columns]])[outermost])
    ends.append(np.column_stack([here, grid.depth[1][rows, columns]])[outermost])
    start, end = np.concatenate(starts), np.concatenate(ends)
    step = grid.step[start[:, 1].astype(int), start[:, 0].astype(int)]
    count = np.ceil(np.abs(end[:, 2] - start[:, 2]) / (SPACING * step)).astype(int) - 1
    count = np.clip(count, 0, LONGEST)
    owner = np.repeat(np.arange(len(start)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + 1
    share = place / (np.repeat(count, count) + 1.0)
    points = start[owner] + (end - start)[owner] * share[:, None]
    turn = inward(grid)
    at = points[:, 1].astype(int), points[:, 0].astype(int)
    colours = mirrored_colours(grid, points, turn)
    shift = np.clip(inset + 0.5 - grid.inside[at], 0.0, None)
    pixels = points[:, :2] + turn[at] * shift[:, None]
    return Walls(grid.camera.unproject(pixels, points[:, 2]), (SIZE * step[owner]).astype(np.float32), colours)


def _outward(grid: Grid, rows: NDArray, columns: NDArray) -> tuple[NDArray, NDArray]:
    """The neighbour (of eight) in the mask that is nearest to the outline; the pixel itself if none is nearer."""
    inside = np.pad(np.where(grid.mask, grid.inside, np.inf), 1, constant_values=np.inf)
    best, best_row, best_column = inside[rows + 1, columns + 1] - 0.2, rows.copy(), columns.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            value = inside[rows + 1 + dy, columns + 1 + dx]
            nearer = value < best
            best = np.where(nearer, value, best)
            best_row, best_column = np.where(nearer, rows + dy, best_row), np.where(nearer, columns + dx, best_column)
    return best_row, best_column


def mirrored_colours(grid: Grid, points: NDArray[np.float64], turn: Floats) -> Floats:
    """(N, 3) colours of points x px, y px, z metres on the sides: the photo as far inside as they lie round the
    corner, front and back mixed by depth, never across the limb's middle nor into another part of the body."""
    at = points[:, 1].astype(int), points[:, 0].astype(int)
    direction = turn[at]
    width = half_width(grid.inside)
    crown = points[:, :2] + direction * np.minimum(RIM + 1.0, width[at])[:, None]
    crown_at = _clip(crown, grid.mask.shape)
    front, back = grid.depth[0][crown_at], grid.depth[1][crown_at]
    thickness = np.maximum(back - front, 1e-4)
    share = np.clip((points[:, 2] - front) / thickness, 0.0, 1.0)
    around = np.minimum(share, 1.0 - share) * thickness / grid.step[at]
    limit = np.maximum(1.5 * width[at] - MIRROR, 0.5)
    # Beyond the limb's middle the mirrored path turns back.
    around = limit - np.abs(np.mod(around, 2 * limit) - limit)
    own = grid.part[0][at]
    for _ in range(4):
        source = points[:, :2] + direction * (MIRROR + around)[:, None]
        source_at = _clip(source, grid.mask.shape)
        other = (grid.part[0][source_at] != own) | ~grid.mask[source_at]
        around = np.where(other, around * 0.5, around)
    source = points[:, :2] + direction * (np.minimum(MIRROR, 0.8 * width[at]) + around)[:, None]
    where = (source[:, ::-1] - 0.5).T
    sides = [
        np.stack([map_coordinates(grid.rgb[side][..., c], where, order=1, mode="nearest") for c in range(3)], -1)
        for side in (0, 1)
    ]
    mix = np.clip((share - 0.3) / 0.4, 0.0, 1.0)[:, None]
    return (sides[0] * (1 - mix) + sides[1] * mix).astype(np.float32)


def _clip(pixels: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[NDArray, NDArray]:
    return np.clip(pixels[:, 1].astype(int), 0, shape[0] - 1), np.clip(pixels[:, 0].astype(int), 0, shape[1] - 1)


def inward(grid: Grid) -> Floats:
    """(h, w, 2) unit direction x, y away from the outline."""
    calm = cv2.GaussianBlur(grid.inside, (0, 0), 1.5)
    direction = np.stack([cv2.Sobel(calm, cv2.CV_32F, 1, 0), cv2.Sobel(calm, cv2.CV_32F, 0, 1)], -1)
    return direction / np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-6)
