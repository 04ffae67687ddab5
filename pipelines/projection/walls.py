"""Walls: the sides of the person, which turn away at the outline and which no pixel of the picture covers.

Front and back round off towards the outline but in the outermost pixel they still lie apart. The gap is filled with
round splats. Their colour is the photo's, **mirrored at the outline**: a point some way round the side looks like
the point as far inside the picture, which continues cloth with its texture instead of drawing the rim's colour out
into streaks.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from pipelines.projection.outline import half_width, smooth
from pipelines.projection.sampling import RIM, RIM_STRETCH, Grid

Floats = NDArray[np.float32]
SPACING = 0.8  # of a grid step between the splats of a wall
MIXED = 1.2  # grid pixels at the outline whose colour is a mixture, never carried round the corner
SIZE = 0.45  # standard deviation in grid steps


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
    core = cv2.erode(grid.mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1).astype(bool)
    ring = grid.mask & ~core
    # Two limbs behind one another have a wall each; so has a lone pixel whose front belongs to one limb and whose
    # back to another, which would be a web between them: it is far thicker than the outline beside it.
    depth = grid.depth[1] - grid.depth[0]
    slim = cv2.erode(np.where(ring, depth, 1e3).astype(np.float32), np.ones((9, 9), np.uint8))
    web = ring & ~grid.two & (depth > 2.0 * slim + 4.0 * grid.step)
    single, double, both = np.nonzero(ring & ~grid.two & ~web), np.nonzero(ring & grid.two), np.nonzero(web)
    near, far, leave, enter = grid.depth[0], grid.depth[1], grid.depth[2], grid.depth[3]
    strips = (
        (single, near[single], far[single], -1.0), (double, near[double], leave[double], 0.0),
        (double, enter[double], far[double], 1.0), (both, near[both], near[both] + slim[both], 0.0),
        (both, far[both] - slim[both], far[both], 1.0),
    )  # fmt: skip
    rows, columns = (np.concatenate([strip[0][axis] for strip in strips]) for axis in (0, 1))
    front, back = (
        np.concatenate([strip[1] for strip in strips]),
        np.concatenate([strip[2] for strip in strips]),
    )
    side = np.concatenate([np.full(len(strip[1]), strip[3]) for strip in strips])
    step = grid.step[rows, columns]
    count = np.maximum(np.ceil((back - front) / (SPACING * step)).astype(int) - 1, 0)
    owner = np.repeat(np.arange(len(rows)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + 1
    share = place / (np.repeat(count, count) + 1.0)
    turn = inward(grid)
    middle = np.stack([columns, rows], 1)[owner] + 0.5
    direction = turn[rows, columns][owner]
    thickness = smooth((grid.depth[1] - grid.depth[0]) / np.maximum(grid.step, 1e-6), ring.astype(np.float32), 2.0)[
        rows, columns
    ]
    thickness = np.minimum(thickness, (back - front) / step)
    mix = np.where(side[owner] < 0, np.clip((share - 0.3) / 0.4, 0.0, 1.0), side[owner])
    colours = mirrored_colours(grid, middle, direction, share, thickness[owner], mix)
    # The middle of the strip stands half a pixel further out than its edges, like the side of a tube.
    shift = inset + 0.5 - 0.5 * np.sqrt(np.maximum(1.0 - (2.0 * share - 1.0) ** 2, 0.0))
    depth = front[owner] * (1 - share) + back[owner] * share
    means = grid.camera.unproject(middle + direction * shift[:, None], depth)
    return Walls(means, (SIZE * step[owner]).astype(np.float32), colours)


def picked(rgb: Floats, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) colours at pixel positions (N, 2), interpolated."""
    where = (pixels[:, ::-1] - 0.5).T
    return np.stack([map_coordinates(rgb[..., c], where, order=1, mode="nearest") for c in range(3)], -1)


def slopes(grid: Grid, side: int, inset: float) -> Walls:
    """Round splats along the steep last pixels of the front (0) or back (1), between each pixel of the rim and its
    neighbour further out, coloured from the one to the other."""
    rows, columns = np.nonzero(grid.mask & (grid.inside < RIM))
    out_rows, out_columns = _outward(grid, rows, columns)
    depth, step = grid.depth[side], grid.step[rows, columns]
    gap = np.abs(depth[out_rows, out_columns] - depth[rows, columns]) / step
    count = np.where(gap > 0.5 * RIM_STRETCH, np.ceil(gap / SPACING).astype(int) - 1, 0)
    owner = np.repeat(np.arange(len(rows)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count) + 1
    share = (place / (np.repeat(count, count) + 1.0))[:, None]

    def between(inner: NDArray, outer: NDArray) -> NDArray:
        return inner[owner] * (1 - share) + outer[owner] * share

    inner, outer = (rows, columns), (out_rows, out_columns)
    pixels = between(np.stack([columns, rows], 1) + 0.5, np.stack([out_columns, out_rows], 1) + 0.5)
    shift = np.clip(inset + 0.5 - between(grid.inside[inner][:, None], grid.inside[outer][:, None]), 0.0, None)
    turn = inward(grid)
    pixels = pixels + turn[inner][owner] * shift
    means = grid.camera.unproject(pixels, between(depth[inner][:, None], depth[outer][:, None])[:, 0])
    inner_at, outer_at = (np.stack([x, y], 1) + 0.5 + MIXED * turn[y, x] for y, x in (inner, outer))
    colours = between(picked(grid.rgb[side], inner_at), picked(grid.rgb[side], outer_at))
    return Walls(means, (SIZE * step[owner]).astype(np.float32), colours.astype(np.float32))


def _outward(grid: Grid, rows: NDArray, columns: NDArray) -> tuple[NDArray, NDArray]:
    """The neighbour (of eight) on the same limb that is nearest to the outline; the pixel itself if none is nearer."""
    sheet = np.pad(np.where(grid.mask, 2 * grid.arm + grid.two, 255), 1, constant_values=255)
    inside = np.pad(grid.inside, 1)
    own = sheet[rows + 1, columns + 1]
    best, best_row, best_column = inside[rows + 1, columns + 1] - 0.2, rows.copy(), columns.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            at = rows + 1 + dy, columns + 1 + dx
            nearer = (inside[at] < best) & (sheet[at] == own)
            best = np.where(nearer, inside[at], best)
            best_row, best_column = (
                np.where(nearer, rows + dy, best_row),
                np.where(nearer, columns + dx, best_column),
            )
    return best_row, best_column


def mirrored_colours(
    grid: Grid, middle: NDArray[np.float64], direction: Floats, share: NDArray[np.float64], thickness: Floats,
    mix: NDArray[np.float64],
) -> Floats:  # fmt: skip
    """(N, 3) colours on the sides: the photo as far inside the outline as the point lies round the corner.

    middle (N, 2) px of the outermost pixels, direction (N, 2) inwards, share 0..1 of the way from front to back,
    thickness (N,) of the wall in pixels, mix (N,) 0..1 from the front's colours to the back's. The path never
    crosses the limb's middle nor another part of the body.
    """
    at = _clip(middle, grid.mask.shape)
    limit = np.maximum(1.2 * smooth(half_width(grid.inside), grid.mask, 2.0)[at], 1.0)
    around = np.minimum(share, 1.0 - share) * thickness
    around = limit - np.abs(np.mod(around, 2 * limit) - limit)
    own = grid.part[0][at]
    for _ in range(4):
        there = _clip(middle + direction * around[:, None], grid.mask.shape)
        around = np.where((grid.part[0][there] != own) | ~grid.mask[there], around * 0.6, around)
    source = middle + direction * (around + MIXED)[:, None]
    sides = [picked(grid.rgb[side], source) for side in (0, 1)]
    return (sides[0] * (1 - mix[:, None]) + sides[1] * mix[:, None]).astype(np.float32)


def _clip(pixels: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[NDArray, NDArray]:
    return np.clip(pixels[:, 1].astype(int), 0, shape[0] - 1), np.clip(pixels[:, 0].astype(int), 0, shape[1] - 1)


def inward(grid: Grid) -> Floats:
    """(h, w, 2) unit direction x, y away from the outline."""
    calm = cv2.GaussianBlur(grid.inside, (0, 0), 1.5)
    direction = np.stack([cv2.Sobel(calm, cv2.CV_32F, 1, 0), cv2.Sobel(calm, cv2.CV_32F, 0, 1)], -1)
    return direction / np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-6)
