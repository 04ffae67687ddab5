"""Reading a texture through its pyramid, and the gradient of that: trilinear, wrapping, on the processor or a card.

A pyramid is one tensor of rows: the texture row by row, then its halvings, each the mean of two by two texels. A sample
is the sum of eight rows, four on each of two neighbouring levels (Williams 1983); the gradient goes the same way back.
Row 0 of a texture is v = 0, texel centres lie at (i + 0.5) / side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Taps:
    """Which rows of a pyramid each sample reads: rows (8, n) int64, weights (8, n), summing to 1 over the eight."""

    rows: Tensor
    weights: Tensor


def sides(size: int) -> list[int]:
    """The sides of a texture's levels, finest first: halved as long as they are even."""
    found = [size]
    while found[-1] % 2 == 0:
        found.append(found[-1] // 2)
    return found


def pyramid(texture: Tensor) -> Tensor:
    """(T, T, C) -> (rows of all levels, C)."""
    levels = [texture]
    for side in sides(len(texture))[1:]:
        levels.append(levels[-1].reshape(side, 2, side, 2, -1).mean((1, 3)))
    return torch.cat([level.reshape(-1, texture.shape[-1]) for level in levels])


def fold(gradient: Tensor, size: int) -> Tensor:
    """The gradient of a pyramid's rows (rows, C) -> that of its texture (T, T, C); the transpose of `pyramid`."""
    parts = gradient.split([side * side for side in sides(size)])
    levels = [part.reshape(side, side, -1) for side, part in zip(sides(size), parts, strict=True)]
    whole = levels.pop()
    while levels:
        whole = levels.pop() + whole.repeat_interleave(2, 0).repeat_interleave(2, 1) / 4
    return whole


def taps(uv: Tensor, level: Tensor, size: int) -> Taps:
    """uv (n, 2), level (n,) -> what each sample reads. Levels are held inside the pyramid; uv wraps around."""
    all_sides = sides(size)
    side = torch.tensor(all_sides, device=uv.device)
    first = torch.cumsum(side * side, 0) - side * side
    level = level.clamp(0, len(all_sides) - 1)
    below = level.floor().long()
    share = level - below
    rows, weights = [], []
    for at, part in ((below, 1 - share), ((below + 1).clamp_max(len(all_sides) - 1), share)):
        s, start = side[at], first[at]
        place = uv * s[:, None] - 0.5
        corner = place.floor()
        fx, fy = (place - corner).unbind(1)
        x, y = corner.long().unbind(1)
        for dy, wy in ((0, 1 - fy), (1, fy)):
            for dx, wx in ((0, 1 - fx), (1, fx)):
                rows.append(start + (y + dy) % s * s + (x + dx) % s)
                weights.append(part * wy * wx)
    return Taps(torch.stack(rows), torch.stack(weights))


def sample(rows: Tensor, at: Taps) -> Tensor:
    """A pyramid (rows, C) read at n places -> (n, C)."""
    total = rows.new_zeros(at.rows.shape[1], rows.shape[1])
    for row, weight in zip(at.rows, at.weights, strict=True):
        total += rows.index_select(0, row) * weight[:, None]
    return total


def spread(gradient: Tensor, at: Taps, count: int) -> Tensor:
    """The gradient (n, C) of samples -> that of the pyramid's rows (count, C); the transpose of `sample`.

    The same input gives the same bits on either device: sums are made in order, or after sorting.
    """
    channels = gradient.shape[1]
    rows, values = at.rows.reshape(-1), at.weights[..., None] * gradient
    if gradient.device.type == "cuda":
        # `index_add` adds in whatever order its threads arrive; this sorts first.
        return gradient.new_zeros(count, channels).index_put_((rows,), values.reshape(-1, channels), accumulate=True)
    flat, parts = rows.numpy(), values.reshape(-1, channels).numpy()
    sums = [np.bincount(flat, parts[:, c], count) for c in range(channels)]
    return torch.from_numpy(np.stack(sums, 1)).to(gradient)


def footprint(jacobian: NDArray[np.floating]) -> NDArray[Any]:
    """(n, 2, 2) d(u, v) / d(x, y) -> (n,) log2 of the longer axis of a pixel's ellipse, in textures' sides.

    Plus log2 of a texture's side it is the level on which that axis is one texel long (Heckbert 1989).
    """
    along = np.einsum("nij,nij->nj", jacobian, jacobian)
    across = np.einsum("ni,ni->n", jacobian[..., 0], jacobian[..., 1])
    longest = along.sum(1) / 2 + np.hypot((along[:, 0] - along[:, 1]) / 2, across)
    return 0.5 * np.log2(np.maximum(longest, 1e-30))
