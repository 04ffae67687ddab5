"""The plain twin of `mesh_raster`: one face at a time in numpy, over the whole picture. Slow; it judges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import MeshImage, to_screen


def rasterise_layers_twin(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], camera: Camera
) -> tuple[MeshImage, MeshImage]:
    """(V, 3) world metres, (F, 3) -> first and last surface, as `mesh_raster.rasterise_layers`."""
    screen = to_screen(vertices, camera)
    shape = (camera.height, camera.width)
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    # Infinite inverse depth = not yet hit, for the surface that keeps the smallest one.
    inverse = [np.zeros(shape, np.float32), np.full(shape, np.inf, np.float32)]
    ids = [np.full(shape, -1, np.int32) for _ in range(2)]
    weights = [np.zeros((*shape, 3)) for _ in range(2)]
    for number, face in enumerate(np.asarray(faces)):
        corner = screen[face]
        if (corner[:, 2] <= 0).any():
            continue
        cover, linear = _coverage(corner, x, y)
        w = (linear @ corner[:, 2]).astype(np.float32)
        correct = linear * corner[:, 2] / np.where(cover, linear @ corner[:, 2], 1.0)[..., None]
        for layer, nearer in enumerate((w > inverse[0], w < inverse[1])):
            hit = cover & nearer
            inverse[layer][hit] = w[hit]
            ids[layer][hit] = number
            weights[layer][hit] = correct[hit]
    images = []
    for layer in range(2):
        mask = ids[layer] >= 0
        depth = np.where(mask, 1.0 / np.where(mask, inverse[layer], 1.0), 0.0).astype(np.float32)
        images.append(MeshImage(depth, ids[layer], weights[layer].astype(np.float32)))
    return images[0], images[1]


def _coverage(
    corner: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Top-left coverage (H, W) of one screen triangle; its screen-linear barycentric weights (H, W, 3)."""
    p = corner[:, :2]
    area = (p[1, 0] - p[0, 0]) * (p[2, 1] - p[0, 1]) - (p[1, 1] - p[0, 1]) * (p[2, 0] - p[0, 0])
    if area == 0:
        return np.zeros(x.shape, bool), np.zeros((*x.shape, 3))
    cover, linear = np.ones(x.shape, bool), np.empty((*x.shape, 3))
    for k in range(3):
        start, end = p[(k + 1) % 3], p[(k + 2) % 3]
        across, along = start[1] - end[1], end[0] - start[0]
        edge = (across * (x - start[0]) + along * (y - start[1])) * np.sign(area)
        owns = np.sign(area) * across > 0 or (across == 0 and np.sign(area) * along > 0)
        cover &= (edge > 0) | ((edge == 0) & owns)
        linear[..., k] = edge / abs(area)
    return cover, linear
