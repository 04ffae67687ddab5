"""Rotations: quaternions (wxyz), matrices, rotation vectors. numpy; batched over leading axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def matrix_from_quaternion(quaternion: Array) -> Array:
    """(..., 4) wxyz, any non-zero length -> (..., 3, 3) proper rotation."""
    q = np.asarray(quaternion)
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return np.stack(rows, -1).reshape(*q.shape[:-1], 3, 3)


def quaternion_from_matrix(matrix: Array) -> Array:
    """(..., 3, 3) proper rotation -> (..., 4) wxyz, unit, w >= 0.

    Takes the largest of the four squared components (Shepperd 1978), so that no branch divides by a small number.
    """
    m = np.asarray(matrix)
    d0, d1, d2 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = np.stack([1 + d0 + d1 + d2, 1 + d0 - d1 - d2, 1 - d0 + d1 - d2, 1 - d0 - d1 + d2], -1)
    a, b, c = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    d, e, f = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    s0, s1, s2, s3 = np.moveaxis(squares, -1, 0)
    table = np.stack([np.stack(row, -1) for row in ([s0, a, b, c], [a, s1, d, e], [b, d, s2, f], [c, e, f, s3])], -2)
    best = np.argmax(squares, -1)
    q = np.take_along_axis(table, best[..., None, None], -2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return q * np.where(q[..., :1] < 0, -1.0, 1.0).astype(q.dtype)


def matrix_from_rotation_vector(vector: Array) -> Array:
    """(..., 3) axis times angle in radians -> (..., 3, 3) (Rodrigues)."""
    v = np.asarray(vector, np.float64)
    angle = np.linalg.norm(v, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(v, -1, 0)
    zero = np.zeros_like(x)
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*v.shape[:-1], 3, 3)
    small = angle < 1e-8
    safe = np.where(small, 1.0, angle)
    first = np.where(small, 1.0, np.sin(safe) / safe)
    second = np.where(small, 0.5, (1 - np.cos(safe)) / safe**2)
    return np.eye(3) + first * skew + second * (skew @ skew)


def rotation_vector_from_matrix(matrix: Array) -> Array:
    """(..., 3, 3) -> (..., 3) axis times angle, angle in [0, pi]."""
    q = quaternion_from_matrix(np.asarray(matrix, np.float64))
    length = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(length, q[..., :1])
    return q[..., 1:] * np.where(length < 1e-12, 2.0, angle / np.where(length < 1e-12, 1.0, length))


def covariance(quaternions: Array, scales: Array) -> Array:
    """(N, 4) wxyz and (N, 3) standard deviations -> (N, 3, 3) R diag(s^2) R^T."""
    m = matrix_from_quaternion(quaternions) * np.asarray(scales)[:, None, :]
    return m @ m.transpose(0, 2, 1)


def axes_of_covariance(covariances: Array) -> tuple[Array, Array]:
    """(N, 3, 3) symmetric positive -> quaternions (N, 4) wxyz and standard deviations (N, 3), ascending."""
    variances, axes = np.linalg.eigh(covariances)
    flip = np.where(np.linalg.det(axes) < 0, -1.0, 1.0)
    axes = axes * np.stack([np.ones_like(flip), np.ones_like(flip), flip], -1)[:, None, :]
    return quaternion_from_matrix(axes), np.sqrt(np.maximum(variances, 0.0))
