"""A person of capsules with an exact signed distance: the truth for volumes, surfaces, textures and meshes.

Display frame: y up, facing +z; the LEFT hand (at +x) is raised. Colours tell left from right and front from back.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera, intrinsics, look_at

Array = NDArray[np.float64]

# Two ends and a radius, metres.
CAPSULES = (
    ((0.0, 0.95, 0.0), (0.0, 1.3, 0.0), 0.15),
    ((0.0, 1.45, 0.0), (0.0, 1.62, 0.02), 0.1),
    ((0.1, 0.9, 0.0), (0.13, 0.08, 0.0), 0.075),
    ((-0.1, 0.9, 0.0), (-0.13, 0.08, 0.0), 0.075),
    ((0.16, 1.36, 0.0), (0.45, 1.7, 0.05), 0.045),
    ((-0.16, 1.36, 0.0), (-0.4, 1.0, 0.05), 0.045),
)


def distance(points: Array) -> Array:
    """(N, 3) -> (N,) metres, negative inside."""
    best = np.full(len(points), np.inf)
    for start, end, radius in CAPSULES:
        a, axis = np.array(start), np.array(end) - np.array(start)
        along = np.clip((points - a) @ axis / (axis @ axis), 0.0, 1.0)
        best = np.minimum(best, np.linalg.norm(points - a - along[:, None] * axis, axis=1) - radius)
    return best


def ball(points: Array) -> Array:
    """Signed distance of a ball of 0.3 m around the origin."""
    return np.linalg.norm(points, axis=1) - 0.3


def gradient(points: Array, shape: Callable[[Array], Array] = distance) -> Array:
    """(N, 3) outward unit normals of the nearest surface."""
    step = 1e-5 * np.eye(3)
    slope = np.stack([shape(points + d) - shape(points - d) for d in step], 1)
    return slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)


def trace(camera: Camera, shape: Callable[[Array], Array] = distance, *, last: bool = False) -> NDArray[np.float32]:
    """Depth z (H, W) of the first or last surface along every pixel's ray, 0 outside, by sphere tracing."""
    rays = camera.rays().reshape(-1, 3)
    length = np.linalg.norm(rays, axis=1)
    z = np.full(len(rays), 6.0 if last else 0.3)
    found, live = np.zeros(len(rays), bool), np.arange(len(rays))
    for _ in range(400):
        d = shape(camera.to_world(rays[live] * z[live, None]))
        hit = d < 1e-4
        found[live[hit]] = True
        live, d = live[~hit], d[~hit]
        z[live] += (-d if last else d) / length[live]
        live = live[(z[live] < 6.5) & (z[live] > 0.2)]
    return np.where(found, z, 0.0).reshape(camera.height, camera.width).astype(np.float32)


def colour(points: Array) -> Array:
    """(N, 3) smooth colours: red grows towards the person's left, green upwards, blue in bands of depth."""
    x, y, z = points.T
    return np.stack([0.5 + 0.8 * x, 0.2 + 0.35 * y, 0.5 + 0.4 * np.sin(9.0 * z)], 1).clip(0.0, 1.0)


def picture(camera: Camera, shape: Callable[[Array], Array] = distance, *, last: bool = False) -> tuple[Array, Array]:
    """Colours (H, W, 3) and depth (H, W) of the first or last surface."""
    depth = trace(camera, shape, last=last)
    row, column = np.nonzero(depth)
    rgb = np.zeros((camera.height, camera.width, 3))
    rgb[row, column] = colour(camera.unproject(np.stack([column, row], 1) + 0.5, depth[row, column]))
    return rgb, depth


def camera_at(azimuth: float, elevation: float, size: int, target: tuple[float, float, float], away: float) -> Camera:
    """A square camera of 45 degrees."""
    return Camera(intrinsics(size, size, 45.0), size, size, look_at(np.array(target), away, azimuth, elevation))


def ring(size: int, target: tuple[float, float, float] = (0.0, 0.9, 0.0), away: float = 2.6) -> list[Camera]:
    """Sixteen cameras all around, two of them above and below."""
    cameras = [camera_at(45.0 * i, 0.0, size, target, away) for i in range(8)]
    cameras += [camera_at(120.0 * i + 20.0, 40.0, size, target, away) for i in range(3)]
    cameras += [camera_at(120.0 * i + 20.0, -35.0, size, target, away) for i in range(3)]
    return [*cameras, camera_at(0.0, 80.0, size, target, away), camera_at(0.0, -80.0, size, target, away)]


def surface_points(count: int, seed: int) -> tuple[Array, Array]:
    """Random points (n, 3) on the person's surface and their outward normals (n, 3)."""
    rng = np.random.default_rng(seed)
    area = np.array([np.linalg.norm(np.subtract(e, s)) * r + 2 * r * r for s, e, r in CAPSULES])
    points = []
    for (start, end, radius), share in zip(CAPSULES, area / area.sum(), strict=True):
        inner = np.array(start) + rng.random((int(count * share), 1)) * (np.array(end) - np.array(start))
        points.append(inner + rng.normal(size=inner.shape) * radius)
    found = np.concatenate(points)
    for _ in range(8):
        found = found - distance(found)[:, None] * gradient(found)
    found = found[np.abs(distance(found)) < 1e-4]
    return found, gradient(found)
