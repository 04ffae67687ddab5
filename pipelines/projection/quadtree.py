"""Cells of four sizes over a picture: large where it is even, one pixel where it has detail, as many as are wanted.

A cell of 2^L pixels a side costs what its size cannot show: the squared difference between the picture and its own
block means, drawn smoothly. Of all trees with so many cells the one of least cost is found by pruning with one price
per cell (Chou, Lookabaugh & Gray 1989, the generalised BFOS algorithm; CART prunes alike): bottom up a cell stays
whole where its own cost and price are no more than its four quarters'. The price is found by bisection.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
LEVELS = 4  # cells of 1, 2, 4 and 8 pixels
LARGEST = 2 ** (LEVELS - 1)  # both sides of the picture are multiples of it


def blocks(values: NDArray, size: int = 2) -> NDArray:
    """(h, w, ...) -> (h / size, w / size, size * size, ...): the pixels of every block."""
    h, w = values.shape[:2]
    parts = values.reshape(h // size, size, w // size, size, *values.shape[2:])
    return np.moveaxis(parts, 2, 1).reshape(h // size, w // size, size * size, *values.shape[2:])


def missed(picture: Floats, weight: Floats) -> list[NDArray[np.float64]]:
    """For each level from 1 on (h / 2^L, w / 2^L) the weighted squared error of a cell: of a picture (h, w, C)
    against its block means, interpolated between the cells' middles. weight: (h, w)."""
    h, w = picture.shape[:2]
    costs, mean = [], picture
    for level in range(1, LEVELS):
        small = cv2.resize(mean, (w >> level, h >> level), interpolation=cv2.INTER_AREA)
        mean = small.astype(np.float32).reshape(h >> level, w >> level, -1)
        shown = cv2.resize(mean, (w, h), interpolation=cv2.INTER_LINEAR).reshape(picture.shape)
        error = ((picture - shown) ** 2).sum(-1) * weight
        costs.append(blocks(error, 2**level).sum(2).astype(np.float64))
    return costs


def cells(
    mask: NDArray[np.bool_], costs: list[NDArray[np.float64]], allowed: list[NDArray[np.bool_]], count: int
) -> list[NDArray[np.bool_]]:
    """For each level from 0 on (h / 2^L, w / 2^L) whether a cell stands there; every pixel of mask (h, w) lies in
    exactly one, none outside lies in any.

    costs, allowed: from level 1 on, what a cell leaves out and whether it may stand whole. count: cells wanted; fewer
    where the mask has fewer pixels, more where the allowed cells cannot do with so few.
    """
    if mask.shape[0] % LARGEST or mask.shape[1] % LARGEST:
        raise ValueError(f"The mask came as {mask.shape}; both sides need to be multiples of {LARGEST}.")
    low, high = 1e-6, 1e3
    whole = prune(mask, costs, allowed, low)
    if number(mask, whole) > count:
        for _ in range(18):
            middle = float(np.sqrt(low * high))
            whole = prune(mask, costs, allowed, middle)
            low, high = (middle, high) if number(mask, whole) > count else (low, middle)
        whole = prune(mask, costs, allowed, high)
    return standing(mask, whole)


def prune(
    mask: NDArray[np.bool_], costs: list[NDArray[np.float64]], allowed: list[NDArray[np.bool_]], price: float
) -> list[NDArray[np.bool_]]:
    """For each level from 1 on whether a cell is no dearer whole than in its best parts."""
    best, whole = mask * price, []
    for cost, may in zip(costs, allowed, strict=True):
        parts = blocks(best).sum(2)
        whole.append(may & (cost + price <= parts))
        best = np.where(whole[-1], cost + price, parts)
    return whole


def standing(mask: NDArray[np.bool_], whole: list[NDArray[np.bool_]]) -> list[NDArray[np.bool_]]:
    """The cells that no larger one holds, from level 0 on."""
    result = []
    held = np.zeros_like(whole[-1])
    for may in reversed(whole):
        result.append(may & ~held)
        held = np.kron(held | may, np.ones((2, 2), bool))
    return [mask & ~held, *reversed(result)]


def number(mask: NDArray[np.bool_], whole: list[NDArray[np.bool_]]) -> int:
    """How many cells stand."""
    return sum(int(level.sum()) for level in standing(mask, whole))
