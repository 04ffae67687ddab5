"""Pictures of the decoded Gaussians as the second stage bakes them: a fixed low-pass whose loss of light is undone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.rotations import covariance
from pipelines.geometry.splat_raster import SplatArrays, render_numpy

LOW_PASS = 0.1  # pixels squared, added to both variances
GUARD = 1.3  # view directions are held inside this many half pictures before the projection is linearised
FLOOR = 1e-6

Floats = NDArray[np.floating]


def low_pass_opacity(means: Floats, quats: Floats, scales: Floats, camera: Camera) -> NDArray[np.float64]:
    """(N,) what the low-pass leaves of each splat's opacity: sqrt(d0 / (d1 + 1e-6) + 1e-6).

    d0 and d1 are the determinants of the picture's covariance before and after, pixels^4; the factor is 0 where one
    is at most 1e-6.
    """
    local = camera.to_camera(means)
    z = np.where(local[:, 2] > 0.2, local[:, 2], 1.0)
    fx, fy = camera.K[0, 0], camera.K[1, 1]
    limit = GUARD * np.array([camera.width / (2 * fx), camera.height / (2 * fy)])
    held = np.clip(local[:, :2] / z[:, None], -limit, limit)
    zero = np.zeros_like(z)
    jacobian = np.stack([fx / z, zero, -fx * held[:, 0] / z, zero, fy / z, -fy * held[:, 1] / z], 1).reshape(-1, 2, 3)
    turned = jacobian @ camera.world_to_camera[:3, :3]
    flat = turned @ covariance(np.asarray(quats, np.float64), np.asarray(scales, np.float64)) @ turned.swapaxes(1, 2)
    before = np.maximum(FLOOR, np.linalg.det(flat))
    after = np.maximum(FLOOR, np.linalg.det(flat + LOW_PASS * np.eye(2)))
    factor = np.sqrt(before / (after + FLOOR) + FLOOR)
    return np.where((before <= FLOOR) | (after <= FLOOR), 0.0, factor)


def render_view(
    means: Floats, quats: Floats, scales: Floats, opacities: Floats, colours: Floats, camera: Camera
) -> SplatArrays:
    """means (N, 3), quats (N, 4) wxyz, scales (N, 3), opacities (N,), colours (N, 3) -> a picture on black."""
    kept = np.asarray(opacities, np.float64) * low_pass_opacity(means, quats, scales, camera)
    return render_numpy(
        means, quats, scales, kept, colours, camera.world_to_camera, camera.K, camera.width, camera.height,
        blur=LOW_PASS, near=0.2,
    )  # fmt: skip
