"""The display copy of splats: what viser 1.1 draws faithfully, made from what we have. Never a product to
keep.

Three traps of its shader (measured, viser 1.1.1) and how the copy avoids them: - a splat is drawn only where
alpha * (sigma_px^2 + 0.3)^2 >= 0.25, so small or faint ones vanish when one zooms out: every axis gets the
least width that passes at the farthest distance allowed; - a projected covariance without any off-diagonal
part vanishes: every covariance gets a tiny one; - covariances are stored as float16, which knows no variance
below a few hundredths of a square millimetre: lengths are handed over in centimetres, together with the scale
that makes them metres again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.rotations import covariance
from pipelines.records import Splats

UNIT = 0.01  # metres in one unit of the copy
SLACK = 1.15  # on the least variance: pixel grids and lenses are not known exactly
TILT = np.array([1.0, 0.7, -0.4]) * 1e-3  # unequal, so that no direction of view cancels them


class DisplayCopy(NamedTuple):
    """What viser is handed.

    centers (N, 3) and covariances (N, 3, 3) in units of UNIT metres, opacities (N, 1) 0..1. thickened: the share of
    splats that cover a larger area than their own.
    """

    centers: NDArray[np.float32]
    covariances: NDArray[np.float32]
    opacities: NDArray[np.float32]
    thickened: float


def display_copy(splats: Splats, focal_px: float, distance: float) -> DisplayCopy:
    """Finite splats -> the copy that stays visible up to `distance` metres under a lens of `focal_px`
    pixels.
    """
    least = least_sigma(splats.opacities, focal_px, distance)[:, None]
    wider = np.maximum(splats.scales, least)
    variances = covariance(splats.quats.astype(np.float64), wider / UNIT)
    tilt = (wider.min(axis=1) / UNIT)[:, None] ** 2 * TILT
    for k, (i, j) in enumerate(((0, 1), (0, 2), (1, 2))):
        variances[:, i, j] += tilt[:, k]
        variances[:, j, i] += tilt[:, k]
    return DisplayCopy(
        (splats.means / UNIT).astype(np.float32),
        variances.astype(np.float32),
        splats.opacities[:, None].astype(np.float32),
        # A flat splat's thin axis hardly shows; its area grows when the middle one of the three is widened.
        float((np.sort(splats.scales, axis=1)[:, 1:2] < least).mean()),
    )


def least_sigma(opacities: NDArray[np.floating], focal_px: float, distance: float) -> NDArray[np.float64]:
    """(N,) opacities -> the standard deviation in metres below which the shader drops a splat at
    `distance`.
    """
    faint = np.clip(np.asarray(opacities, np.float64), 0.02, 1.0)
    pixels = np.maximum(0.5 / np.sqrt(faint) - 0.3, 0.0) * SLACK
    return np.sqrt(pixels) * distance / focal_px


def passes(opacities: NDArray[np.floating], sigma_px: NDArray[np.floating]) -> NDArray[np.bool_]:
    """The shader's own test for splats with equal standard deviations `sigma_px` (N,) in pixels."""
    return np.asarray(opacities) * (np.asarray(sigma_px) ** 2 + 0.3) ** 2 >= 0.25
