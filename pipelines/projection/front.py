"""The front as splats of several sizes: small where the photo has detail, large where it is even."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.projection.body_mesh import part_labels
from pipelines.projection.outline import nearest
from pipelines.projection.quadtree import LARGEST, LEVELS, blocks, cells, missed
from pipelines.projection.sampling import STRETCH, Grid, rim_opacity, surface_axes

Floats = NDArray[np.float32]
# Standard deviation of a splat in sides of its cell, from the smallest cells on. What a rasteriser adds to each helps
# small ones overlap; large ones do without, and show nothing that a wider spread could blur.
SPREADS = (0.43, 0.48, 0.55, 0.58)
BEND = 1.5  # finest pixels by which a cell's surface may leave the flat one that is drawn for it
# Between splats that are narrow for their cells one sees through. Behind those of so many levels, from the smallest on,
# lies a coat of the next size: so many of its pixels behind, so wide in its cells that it is dense.
COATED = 2
COAT_BEHIND = 2.0
COAT_SPREAD = 0.6
HEAD_WEIGHT = 2.0  # what a head's errors count for: people look at faces first


class Surface(NamedTuple):
    """Splats on a surface, one a row."""

    means: NDArray[np.float64]
    quats: Floats
    scales: Floats
    colours: Floats
    opacity: Floats
    seen: NDArray[np.uint8]


def front_surface(grid: Grid, standing: list[NDArray[np.bool_]], blur: float) -> list[Surface]:
    """For each level its splats, in the order of the cells, and then its undercoat if it has one.

    grid: framed. standing: `front_cells`. blur: variance of a splat of one pixel as
    the photo's camera draws it, px^2.
    """
    result = []
    opacity = rim_opacity(grid.alpha, grid.mask, blur)
    for level, chosen in enumerate(standing):
        means, quats, scales = surface_axes(grid, 0, grid.mask, SPREADS[level], chosen)
        result.append(Surface(means, quats, scales, grid.rgb[0][chosen], opacity[chosen], grid.seen[chosen]))
        if chosen is not standing[-1]:
            grid = halved(grid)
            opacity = blocks(opacity).mean(2)
        if level < COATED:
            result.append(undercoat(grid, np.asarray(blocks(chosen).all(2))))
    return result


def undercoat(grid: Grid, fine: NDArray[np.bool_]) -> Surface:
    """Splats a little behind smaller ones and of their colours, between which the far side would show from near by.

    grid: of half as many pixels a side as the smaller splats. fine: its pixels (h, w) that are four of those. None
    where the person is thin, at the outline, or where depths part.
    """
    depth, thick = grid.depth[0], grid.depth[1] - grid.depth[0]
    parted = cv2.morphologyEx(np.where(grid.mask, depth, 0), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    behind = COAT_BEHIND * grid.step
    chosen = fine & grid.mask & (grid.inside > 2) & (parted < STRETCH * grid.step) & (thick > 2 * behind)
    means, quats, scales = surface_axes(grid, 0, grid.mask, COAT_SPREAD, chosen)
    ray = means - grid.camera.position
    means = means + ray / np.linalg.norm(ray, axis=1, keepdims=True) * behind[chosen][:, None]
    return Surface(means, quats, scales, grid.rgb[0][chosen], np.ones(len(means), np.float32), grid.seen[chosen])


def framed(grid: Grid) -> Grid:
    """The window around the mask of a grid, with sides that are multiples of LARGEST; empty beyond the picture."""
    rows, columns = np.flatnonzero(grid.mask.any(1)), np.flatnonzero(grid.mask.any(0))
    top, left = max(int(rows[0]) - 1, 0), max(int(columns[0]) - 1, 0)
    height, width = (
        -(-(int(last) + 2 - first) // LARGEST) * LARGEST for first, last in ((top, rows[-1]), (left, columns[-1]))
    )

    def cut(values: NDArray, axis: int) -> NDArray:
        part = values[(slice(None),) * axis + (slice(top, top + height), slice(left, left + width))]
        missing = height - part.shape[axis], width - part.shape[axis + 1]
        pad = [(0, 0)] * axis + [(0, missing[0]), (0, missing[1])] + [(0, 0)] * (part.ndim - axis - 2)
        return np.pad(part, pad)

    stacked = ("depth", "rgb", "part")
    fields = {f.name: getattr(grid, f.name) for f in dataclasses.fields(Grid) if f.name != "camera"}
    return Grid(
        camera=grid.camera.cropped(left, top, width, height),
        **{name: cut(values, int(name in stacked)) for name, values in fields.items()},
    )


def halved(grid: Grid) -> Grid:
    """A grid of half as many pixels a side, each the mean of four; its mask are the pixels that were in it whole."""
    h, w = grid.mask.shape

    def mean(values: NDArray) -> Floats:
        small = cv2.resize(np.ascontiguousarray(values, np.float32), (w // 2, h // 2), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32)

    mask = np.asarray(blocks(grid.mask).all(2))
    return Grid(
        grid.camera.resized(w // 2, h // 2),
        mask,
        grid.two[::2, ::2] & mask,
        mean(grid.alpha),
        np.stack([mean(d) for d in grid.depth]),
        np.stack([mean(c) for c in grid.rgb]),
        grid.part[:, ::2, ::2],
        grid.seen[1::2, 1::2],
        grid.arm[::2, ::2],
        2.0 * mean(grid.step),
        mean(grid.inside) / 2.0,
    )


def even_surface(grid: Grid, usual: float) -> list[NDArray[np.bool_]]:
    """For each level from 1 on whether a cell lies whole in the mask, on one limb, and is about flat; one of up to
    `usual` pixels a side need not be flat. The larger, the farther from the outline."""
    h, w = grid.mask.shape
    sheet = np.where(grid.mask, 2 * grid.arm + grid.two, 255)
    depth = grid.depth[0][nearest(grid.mask)]
    coarse, result = depth, []
    for level in range(1, LEVELS):
        coarse = cv2.resize(coarse, (w >> level, h >> level), interpolation=cv2.INTER_AREA)
        flat = np.abs(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR) - depth) < BEND * grid.step
        flat |= 2**level <= usual
        # Its splat is as soft as it is large, and must not reach beyond the outline.
        flat &= grid.inside >= 2**level - 0.5
        own = blocks(sheet, 2**level)
        one = (own == own[:, :, :1]).all(2) & (own[:, :, 0] != 255)
        # The mean of two surfaces floats between them.
        span = blocks(depth, 2**level)
        whole = span.max(2) - span.min(2) < STRETCH * 2**level * blocks(grid.step, 2**level).mean(2)
        result.append(one & whole & blocks(flat, 2**level).all(2))
    return result


def front_cells(grid: Grid, photo: Floats, names: NDArray, count: int, usual: float) -> list[NDArray[np.bool_]]:
    """The cells of about `count` splats over a framed grid, photo (h, w, 3) on it; see `quadtree.cells`."""
    head = np.isin(grid.part[0], part_labels(names, "face", "head", "scalp"))
    weight = np.where(head, HEAD_WEIGHT, 1.0).astype(np.float32) * grid.mask
    return cells(grid.mask, missed(photo, weight), even_surface(grid, usual), count)
