"""Noise that repeats without a seam: the grain of cloth and skin, blotches, leaves. Integer hashes: the same anywhere."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

SIDE = 256  # texels of one tile


@njit(cache=True, error_model="numpy")
def hashed(x, y, seed):  # type: ignore[no-untyped-def]
    """Two integers and a seed -> 0..1, without pattern to the eye (a xorshift-multiply hash on 32 bits)."""
    h = (x * 374761393 + y * 668265263 + seed * 1442695041) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 2246822519) & 0xFFFFFFFF
    return ((h ^ (h >> 15)) & 0xFFFFFF) / 16777216.0


@njit(cache=True, error_model="numpy")
def _layers(out, seed, cells):  # type: ignore[no-untyped-def]
    side = out.shape[0]
    amplitude, total = 1.0, 0.0
    while cells <= side // 2:
        step = cells / side
        for y in range(side):
            fy = y * step
            y0 = int(fy)
            ty = fy - y0
            ty = ty * ty * (3.0 - 2.0 * ty)
            for x in range(side):
                fx = x * step
                x0 = int(fx)
                tx = fx - x0
                tx = tx * tx * (3.0 - 2.0 * tx)
                x1, y1 = (x0 + 1) % cells, (y0 + 1) % cells
                a = hashed(x0, y0, seed + cells)
                b = hashed(x1, y0, seed + cells)
                c = hashed(x0, y1, seed + cells)
                d = hashed(x1, y1, seed + cells)
                low = a + (b - a) * tx
                out[y, x] += amplitude * (low + (c + (d - c) * tx - low) * ty)
        total += amplitude
        amplitude *= 0.55
        cells *= 2
    for y in range(side):
        for x in range(side):
            out[y, x] /= total


@lru_cache(maxsize=8)
def smooth(seed: int = 0, cells: int = 4) -> NDArray[np.float32]:
    """(SIDE, SIDE) fractal value noise 0..1 that tiles, `cells` lumps across in its coarsest layer, median about 0.5."""
    out = np.zeros((SIDE, SIDE), np.float32)
    _layers(out, seed, cells)
    return out


@lru_cache(maxsize=2)
def white(seed: int = 0) -> NDArray[np.float32]:
    """(SIDE, SIDE) independent values 0..1."""
    return np.array([[hashed(x, y, seed) for x in range(SIDE)] for y in range(SIDE)], np.float32)


@njit(cache=True, error_model="numpy")
def at(tile, x, y):  # type: ignore[no-untyped-def]
    """Bilinear value of a tile at (x, y) in tiles."""
    side = tile.shape[0]
    fx, fy = (x - np.floor(x)) * side, (y - np.floor(y)) * side
    x0, y0 = int(fx), int(fy)
    tx, ty = fx - x0, fy - y0
    x0, y0 = x0 % side, y0 % side
    x1, y1 = (x0 + 1) % side, (y0 + 1) % side
    low = tile[y0, x0] + (tile[y0, x1] - tile[y0, x0]) * tx
    return low + (tile[y1, x0] + (tile[y1, x1] - tile[y1, x0]) * tx - low) * ty
