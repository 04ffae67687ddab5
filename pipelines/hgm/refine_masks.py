"""Silhouettes of the body and of the coarse person from twelve sides, and how the body's moves the bones.

The body's mask is soft: Gaussians a little below its skin, drawn by the project's rasteriser, so that a gradient reaches every
point. The coarse person's masks are those of the closed solid that its layers make; the front one is the photo's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import rasterise_mesh
from pipelines.geometry.splat_raster import rasterise
from pipelines.projection.columns import solid_surface
from pipelines.records import Body, Layers

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
VIEWS = 12  # of HGM's orbit, 30 degrees apart, the photo's own first
SIZE = 96  # pixels a side
MARGIN = 1.12  # of the person's box in the picture
SPREAD = 0.012  # metres on a body of 1.7 m: deviation of the Gaussians on the core, so that their rim is the skin's
SOLID = 0.95  # their opacity
SOLID_CELL = 0.012  # metres
SHOWN = (0, 3, 6, 9)  # of the views, kept for the page


@dataclass(frozen=True)
class Orbit:
    """The twelve cameras; their `world` is the photo camera's frame. weight (12,): of each view's loss."""

    cameras: tuple[Camera, ...]
    weight: Array


def orbit(body: Body, mask: NDArray[np.bool_], front: float, sides: float) -> Orbit:
    """Around the body's pelvis and its vertical, the photo's lens, the picture cut to the person.

    mask (h, w): the person on any grid of the photo. front, sides: weight of the photo's view, and of each of the
    eleven others.
    """
    pelvis = np.asarray(body["root_translation"], np.float64)
    to_world = np.asarray(body["world_from_camera"], np.float64)
    whole = body.camera.resized(mask.shape[1], mask.shape[0])
    pivot = whole.to_world(pelvis[None])
    centre = whole.project(pivot)[0][0]
    rows, columns = np.nonzero(mask)
    reach = max(np.abs(rows + 0.5 - centre[1]).max(), np.abs(columns + 0.5 - centre[0]).max()) * MARGIN
    # The pelvis in the middle: it is what stays in place when the camera walks around.
    K = whole.K.copy()
    K[:2, 2] -= centre - reach
    K[:2] *= SIZE / (2 * reach)
    base = Camera(K, SIZE, SIZE, whole.world_to_camera)
    cameras = []
    for i in range(VIEWS):
        turned = base.orbited(360.0 * i / VIEWS, None, pivot[0])
        cameras.append(Camera(K, SIZE, SIZE, turned.world_to_camera @ to_world))
    return Orbit(tuple(cameras), np.array([front, *[sides] * (VIEWS - 1)]))


def photo_mask(alpha: Floats, grid: Camera, orbit: Orbit) -> Floats:
    """(SIZE, SIZE) the photo's own matte in the orbit's first camera. alpha (h, w) on `grid`."""
    matrix = orbit.cameras[0].K @ np.linalg.inv(grid.K)
    # Pixel centres at + 0.5 on both grids.
    matrix[:2, 2] += matrix[:2, :2] @ (0.5, 0.5) - 0.5
    blur = 0.5 / matrix[0, 0]
    soft = np.asarray(alpha, np.float32)
    if blur > 0.5:
        soft = np.asarray(cv2.GaussianBlur(soft, (0, 0), blur), np.float32)
    small = cv2.warpAffine(soft, matrix[:2], (SIZE, SIZE), flags=cv2.INTER_LINEAR)
    return np.clip(np.asarray(small, np.float32), 0, 1)


def solid_masks(layers: Layers, orbit: Orbit) -> Floats:
    """(12, SIZE, SIZE) 0..1: the solid between the layers from all sides. ValueError when there is none."""
    vertices, faces = solid_surface(layers.arrays, layers.camera, SOLID_CELL, 0)
    local = layers.camera.to_camera(vertices)
    masks = []
    for camera in orbit.cameras:
        drawn = rasterise_mesh(local, faces, camera.resized(2 * SIZE, 2 * SIZE)).mask
        masks.append(drawn.reshape(SIZE, 2, SIZE, 2).mean((1, 3)))
    return np.stack(masks).astype(np.float32)


@dataclass(frozen=True)
class MaskLoss:
    """losses (12,): 1 - IoU of each view, 0 for those without weight; gradient (N, 3): of their weighted sum by the
    points; masks: the body's own in the views drawn, (12, SIZE, SIZE)."""

    losses: Array
    gradient: Array
    masks: Floats


def mask_loss(points: Array, spread: float, targets: Floats, orbit: Orbit, *, need_gradient: bool = True) -> MaskLoss:
    """Gaussians of deviation `spread` metres at points (N, 3), photo camera frame, against targets (12, SIZE, SIZE).

    IoU = sum(p t) / (sum p + sum t - sum p t) on soft masks (hgm.md section 8.1).
    """
    count = len(points)
    means = torch.as_tensor(points, dtype=torch.float32).requires_grad_(need_gradient)
    quats = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).expand(count, 4).contiguous()
    scales = torch.full((count, 3), spread)
    solid, paint = torch.full((count,), SOLID), torch.ones(count, 1)
    losses, masks = np.zeros(VIEWS), np.zeros((VIEWS, SIZE, SIZE), np.float32)
    total = torch.zeros(())
    for i, camera in enumerate(orbit.cameras):
        if orbit.weight[i] == 0:
            continue
        matrix, lens = (torch.as_tensor(a, dtype=torch.float32) for a in (camera.world_to_camera, camera.K))
        alpha = rasterise(means, quats, scales, solid, paint, matrix, lens, SIZE, SIZE, backend="cpu").alpha
        target = torch.from_numpy(targets[i])
        shared = (alpha * target).sum()
        loss = 1.0 - shared / (alpha.sum() + target.sum() - shared).clamp(min=1e-6)
        total = total + float(orbit.weight[i]) * loss
        losses[i], masks[i] = float(loss.detach()), alpha.detach().numpy()
    if need_gradient and total.requires_grad:
        total.backward()
    gradient = np.zeros((count, 3)) if means.grad is None else means.grad.numpy().astype(np.float64)
    return MaskLoss(losses, gradient, masks)
