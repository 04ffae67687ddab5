"""Features of many channels as colours: their three directions of the largest spread become red, green and blue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDE = 2.0  # standard deviations to either side of the mean that the colours span
FAINT = 1e-6  # of the largest spread, below which a direction is no more than rounding


@dataclass(frozen=True)
class PrincipalAxes:
    """mean (C,); axes (C, K) unit columns, K at most 3, the largest spread first; spread (K,) standard deviations along
    them; explained (K,) their shares of the whole variance, 0..1."""

    mean: Array
    axes: Array
    spread: Array
    explained: Array

    def colours(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """(..., C) -> (..., 3) 0..1; the mean is mid-grey, and so is a channel without an axis."""
        along = (np.asarray(features, np.float64) - self.mean) @ self.axes / (2 * WIDE * self.spread)
        out = np.full((*along.shape[:-1], 3), 0.5, np.float32)
        out[..., : along.shape[-1]] = np.clip(0.5 + along, 0, 1)
        return out


def principal_axes(features: NDArray[np.floating]) -> PrincipalAxes:
    """The axes of features (N, C), N at least 1.

    By the singular value decomposition of their covariance. An axis has two directions; the one is taken in which
    its largest entry is positive, so that equal features give equal colours.
    """
    x = np.asarray(features, np.float64)
    mean = x.mean(0)
    x = x - mean
    axes, variances, _ = np.linalg.svd(x.T @ x / len(x), hermitian=True)
    count = max(1, min(3, int((variances > (FAINT**2) * variances[0]).sum())))
    axes = axes[:, :count]
    axes = axes * np.where(axes[np.abs(axes).argmax(0), np.arange(count)] < 0, -1.0, 1.0)
    spread = np.sqrt(np.maximum(variances[:count], 1e-12))
    return PrincipalAxes(mean, axes, spread, variances[:count] / max(float(variances.sum()), 1e-12))
