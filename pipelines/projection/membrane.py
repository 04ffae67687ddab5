"""A membrane over a picture: the smoothest values that respect given ones, with cuts where surfaces part.

Minimises  sum_i weight_i (z_i - value_i)^2 + sum_(i,j) conductance_ij (z_i - z_j)^2  over the pixels of a mask
(the screened, weighted Laplace equation on the pixel graph). Solved coarse to fine: each level halves the grid,
adds up the weights, keeps the conductance of a sheet, and starts from the coarser solution (cascadic multigrid,
Bornemann & Deuflhard 1996); Gauss-Seidel on every level. Coarse pixels cannot hold a cut that runs through them, so
with cuts the result is polished by conjugate gradients.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]
EXACT = 1e-8  # of the energy of the values' spread
FAINT = 1e-7  # weight of the mean of all values, so that a part without any value still gets one


def fill(
    values: NDArray[np.floating],
    weight: NDArray[np.floating],
    mask: NDArray[np.bool_],
    *,
    cut: NDArray[np.bool_] | None = None,
    sweeps: int = 12,
) -> Floats:
    """Spread values over a mask.

    values: (H, W) or (H, W, C). weight: (H, W) >= 0; 0 = unknown, 50 = as good as fixed. cut: (2, H, W) bool, no
    connection to the pixel on the right (0) or below (1). Returns values' shape, 0 outside the mask. Raises
    ValueError when no pixel of the mask has a weight.
    """
    shape = values.shape
    flat = np.ascontiguousarray(values, np.float32).reshape(*shape[:2], -1)
    weight = np.where(mask, weight, 0.0).astype(np.float32)
    if not (weight > 0).any():
        raise ValueError("No pixel of the mask has a value to start from.")
    mean = (flat * weight[..., None]).sum((0, 1), dtype=np.float64) / weight.sum(dtype=np.float64)
    # About their mean: what is common to all values (metres from the camera) must not count in what is exact enough.
    flat = np.where(weight[..., None] > 0, flat - mean, 0.0).astype(np.float32)
    weight = weight + np.float32(FAINT) * mask
    links = np.zeros((2, *shape[:2]), np.float32)
    links[0, :, :-1] = mask[:, :-1] & mask[:, 1:]
    links[1, :-1] = mask[:-1] & mask[1:]
    if cut is not None:
        links = (links * np.where(cut, 1e-4, 1.0)).astype(np.float32)
    weight = weight.astype(np.float32)
    solved = _cascade(flat, weight, links, sweeps)
    if cut is not None:
        solved = _polish(solved, flat, weight, links)
    return ((solved + mean.astype(np.float32)) * mask[..., None]).reshape(shape)


def _cascade(values: Floats, weight: Floats, links: Floats, sweeps: int) -> Floats:
    if max(weight.shape) <= 12:
        return _relax(values.copy(), values, weight, links, 200)
    coarse = _cascade(*_halve(values, weight, links), int(sweeps * 1.5) + 1)
    start = np.repeat(np.repeat(coarse, 2, 0), 2, 1)[: weight.shape[0], : weight.shape[1]]
    return _relax(np.ascontiguousarray(start), values, weight, links, sweeps)


def _halve(values: Floats, weight: Floats, links: Floats) -> tuple[Floats, Floats, Floats]:
    height, width = weight.shape
    pad = ((0, height % 2), (0, width % 2))
    weight = np.pad(weight, pad)
    values = np.pad(values, (*pad, (0, 0)))
    right, below = np.pad(links[0], pad), np.pad(links[1], pad)

    def blocks(x: Floats) -> Floats:
        return x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]

    total = blocks(weight)
    mean = blocks(values * weight[..., None]) / np.where(total > 0, total, 1.0)[..., None]
    # Two links side by side, each bridging twice the distance: together as conductive as one.
    coarse = np.stack([(right[::2, 1::2] + right[1::2, 1::2]) / 2, (below[1::2, ::2] + below[1::2, 1::2]) / 2])
    return mean.astype(np.float32), total, np.ascontiguousarray(coarse, np.float32)


def _polish(z: Floats, values: Floats, weight: Floats, links: Floats, rounds: int = 200) -> Floats:
    """Conjugate gradients with a diagonal preconditioner (Golub & Van Loan, 11.5), channels side by side, until what is
    left of the energy is EXACT of the values' own: beside a cut that the coarse grids crossed that takes a while."""
    right, below = links[0][:, :-1, None], links[1][:-1, :, None]
    own = weight[..., None]
    diagonal = own.copy()
    for view, link in (
        (np.s_[:, :-1], right),
        (np.s_[:, 1:], right),
        (np.s_[:-1], below),
        (np.s_[1:], below),
    ):
        diagonal[view] += link
    inverse = 1.0 / np.maximum(diagonal, 1e-12) * (diagonal > 0)

    def applied(x: Floats) -> Floats:
        out = own * x
        flow = right * (x[:, :-1] - x[:, 1:])
        out[:, :-1] += flow
        out[:, 1:] -= flow
        flow = below * (x[:-1] - x[1:])
        out[:-1] += flow
        out[1:] -= flow
        return out

    def total(x: NDArray) -> NDArray[np.float64]:
        return x.sum((0, 1), dtype=np.float64)

    z = z.copy()
    residual = own * values - applied(z)
    direction = inverse * residual
    energy = total(residual * direction)
    goal = EXACT * np.maximum(total(own * values * inverse * own * values), 1e-20)
    for _ in range(rounds):
        if (energy <= goal).all():
            break
        pushed = applied(direction)
        length = (energy / np.maximum(total(direction * pushed), 1e-30)).astype(np.float32)
        z += length * direction
        residual -= length * pushed
        preconditioned = inverse * residual
        before, energy = energy, total(residual * preconditioned)
        direction = preconditioned + (energy / np.maximum(before, 1e-30)).astype(np.float32) * direction
    return z


@njit(cache=True, error_model="numpy")
def _relax(z, values, weight, links, sweeps):  # type: ignore[no-untyped-def]
    """Gauss-Seidel, alternately forwards and backwards over the pixels."""
    height, width, channels = z.shape
    for sweep in range(sweeps):
        for row in range(height):
            y = row if sweep % 2 == 0 else height - 1 - row
            for column in range(width):
                x = column if sweep % 2 == 0 else width - 1 - column
                own = weight[y, x]
                if own <= 0.0:
                    continue
                left = links[0, y, x - 1] if x > 0 else np.float32(0.0)
                up = links[1, y - 1, x] if y > 0 else np.float32(0.0)
                right, down = links[0, y, x], links[1, y, x]
                share = np.float32(1.0) / (own + left + up + right + down)
                for c in range(channels):
                    total = own * values[y, x, c]
                    if left > 0.0:
                        total += left * z[y, x - 1, c]
                    if up > 0.0:
                        total += up * z[y - 1, x, c]
                    if right > 0.0:
                        total += right * z[y, x + 1, c]
                    if down > 0.0:
                        total += down * z[y + 1, x, c]
                    z[y, x, c] = total * share
    return z
