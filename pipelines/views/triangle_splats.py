"""Triangles as Gaussians: each has the mean and the covariance of its triangle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.rotations import quaternion_from_matrix
from pipelines.records import ORIGIN_NAMES, Mesh, Splats
from pipelines.views.refine import sample

THICKNESS = 4e-4  # metres, of a splat across the surface
OPACITY = 0.97
LEAST = 3e-4  # metres, of the smaller spread in the surface


def triangle_splats(mesh: Mesh, count: int, overlap: float) -> Splats:
    """About `count` splats (at least one a triangle). overlap: factor on a triangle's own standard deviation."""
    corners, uv = mesh.vertices[mesh.faces].astype(np.float64), mesh.uv[mesh.faces]
    seen = mesh.seen[mesh.faces].min(1)
    split = np.zeros(len(corners), bool)
    wanted = min((count - len(corners)) // 3, len(corners))
    if wanted > 0:
        a, b, c = (corners[:, k] for k in range(3))
        area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
        colours = texels(mesh, uv.reshape(-1, 2)).reshape(-1, 3, 3)
        contrast = np.ptp(colours, axis=1).max(1)
        # Triangles that are large, and look different at their corners.
        split[np.argsort(-area * (contrast + 0.02), kind="stable")[:wanted]] = True
    corners = np.concatenate([corners[~split], quarters(corners[split])])
    uv = np.concatenate([uv[~split], quarters(uv[split])])
    seen = np.concatenate([seen[~split], np.repeat(seen[split], 4)])
    return flat_gaussians(corners, texels(mesh, uv.mean(1)), seen, overlap)


def texels(mesh: Mesh, uv: NDArray) -> NDArray[np.float64]:
    """(n, 3) colours of the texture at (n, 2) coordinates, origin at the lower left."""
    height, width = mesh.texture.shape[:2]
    return sample(mesh.texture, np.stack([uv[:, 0] * width, (1.0 - uv[:, 1]) * height], 1))


def quarters(corners: NDArray) -> NDArray:
    """(n, 3, C) triangles -> (4 n, 3, C), cut at the middles of their sides."""
    a, b, c = (corners[:, k] for k in range(3))
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    four = [np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    return np.stack(four, 1).reshape(-1, *corners.shape[1:])


def flat_gaussians(corners: NDArray, colours: NDArray, seen: NDArray[np.uint8], overlap: float) -> Splats:
    """One splat for each of (n, 3, 3) triangles. Covariance of a triangle's area: sum of (corner - mean)^2 / 12."""
    mean = corners.mean(1)
    offset = corners - mean[:, None]
    covariance = np.einsum("nki,nkj->nij", offset, offset) / 12.0
    values, axes = np.linalg.eigh(covariance)
    axes = axes[:, :, ::-1].copy()  # the largest first, across the surface last
    axes[:, :, 2] = np.cross(axes[:, :, 0], axes[:, :, 1])
    scales = overlap * np.sqrt(np.maximum(values[:, ::-1], 0.0))
    scales = np.column_stack([np.maximum(scales[:, :2], LEAST), np.full(len(mean), THICKNESS)])
    quats = quaternion_from_matrix(axes)
    origin = np.full(len(mean), ORIGIN_NAMES.index("imported"), np.uint8)
    return Splats(
        mean.astype(np.float32), quats.astype(np.float32), scales.astype(np.float32),
        np.full(len(mean), OPACITY, np.float32), np.clip(colours, 0.0, 1.0).astype(np.float32), seen.astype(np.uint8),
        origin,
    )  # fmt: skip
