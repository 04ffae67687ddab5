"""HGM's own frame, cameras and rays.

Network frame: +x right in the front picture, +y up, the person faces +z, the origin is the pelvis; 1 unit = 4/3 m.
Cameras stand on a circle of radius 1.5 around it. Pose matrices here are camera to world in OpenGL axes (columns
right, up, backward), as the released code keeps them; `opencv_view` gives the row-vector form of the rasteriser.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

RADIUS = 1.5
UNITS_PER_METRE = 0.75
FOCAL_AT_512 = 409.0
FOOTPRINT_FOV = 49.1  # degrees: an option of the parent project that was left over
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)
FLIP = np.diag([1.0, -1.0, -1.0])  # OpenGL camera axes <-> OpenCV camera axes


def orbit_pose(azimuth: float, elevation: float = 0.0, radius: float = RADIUS) -> Array:
    """(4, 4) camera to world, OpenGL axes. azimuth in degrees from +z towards +x; positive elevation is BELOW."""
    a, e = math.radians(azimuth), math.radians(elevation)
    backward = np.array([math.cos(e) * math.sin(a), -math.sin(e), math.cos(e) * math.cos(a)])
    right = np.cross([0.0, 1.0, 0.0], backward)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(backward, right), backward], 1)
    pose[:3, 3] = radius * backward
    return pose


def intrinsics(size: int) -> Array:
    """(3, 3) K of a square picture of `size` pixels."""
    focal = FOCAL_AT_512 * size / 512
    return np.array([[focal, 0.0, size / 2], [0.0, focal, size / 2], [0.0, 0.0, 1.0]])


def opencv_view(pose: Array) -> Array:
    """(4, 4) world to OpenCV camera for row vectors (transposed), from camera to world in OpenGL axes."""
    turned = pose.copy()
    turned[:3, :3] = pose[:3, :3] @ FLIP
    return np.asarray(np.linalg.inv(turned).T, np.float64)


def projection(K: Array, width: int, height: int, near: float = 0.001, far: float = 1000.0) -> Array:
    """(4, 4) OpenGL projection of a pinhole camera, for column vectors, z forward."""
    P = np.zeros((4, 4))
    P[0] = [2 * K[0, 0] / width, 2 * K[0, 1] / width, 2 * K[0, 2] / width - 1, 0]
    P[1] = [0, 2 * K[1, 1] / height, 2 * K[1, 2] / height - 1, 0]
    P[2] = [0, 0, (far + near) / (far - near), -2 * far * near / (far - near)]
    P[3, 2] = 1
    return P


def video_projection(fov: float, near: float = 0.001, far: float = 1000.0) -> Array:
    """(4, 4) the second form of the released code (fov in degrees), already transposed for row vectors."""
    P = np.zeros((4, 4))
    P[0, 0] = P[1, 1] = 1 / math.tan(math.radians(fov) / 2)
    P[2, 2] = (far + near) / (far - near)
    P[3, 2] = -far * near / (far - near)
    P[2, 3] = 1
    return P


def rays(pose: Array, size: int, focal: float) -> Array:
    """(6, size, size) of the pixel centres: moment o x d (3) and unit direction d (3), network frame."""
    centre = np.arange(size) + 0.5 - size / 2
    x, y = np.meshgrid(centre / focal, -centre / focal)
    direction = np.stack([x, y, -np.ones_like(x)], -1) @ pose[:3, :3].T
    direction /= np.sqrt(np.maximum((direction**2).sum(-1, keepdims=True), 1e-20))
    moment = np.cross(np.broadcast_to(pose[:3, 3], direction.shape), direction)
    return np.concatenate([moment, direction], -1).transpose(2, 0, 1)


def project(points: Tensor, K: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
    """points (M, 3), K (V, 3, 3), view (V, 4, 4) row-vector world to camera -> pixels (V, M, 2), depth (V, M)."""
    local = points @ view[:, :3, :3] + view[:, 3:4, :3]
    spot = local @ K.transpose(1, 2)
    return spot[..., :2] / spot[..., 2:], local[..., 2]


def picture_places(pixels: Tensor, width: int, height: int, half_pixel: bool = True) -> Tensor:
    """Pixels (..., 2) of a picture -> -1..1 for sampling with aligned corners.

    half_pixel: pixel centres taken at integers, as in the released code; else at +0.5, as the rays have them.
    """
    centre = pixels if half_pixel else pixels - 0.5
    last = torch.tensor([width - 1, height - 1], dtype=pixels.dtype, device=pixels.device)
    return (2 * centre / last - 1).clamp(-1, 1)


def sample_picture(features: Tensor, places: Tensor) -> Tensor:
    """features (V, C, h, w) bilinearly at places (V, M, 2) in -1..1 -> (V, C, M); corners aligned, border outside."""
    return torch.nn.functional.grid_sample(
        features, places[:, None], mode="bilinear", padding_mode="border", align_corners=True
    )[:, :, 0]


def dataset_poses(world_to_camera: Array) -> Array:
    """(V, 3, 4) OpenCV extrinsics of a z-up world, metres -> (V, 4, 4) poses whose view 0 is the front camera."""
    poses = []
    for extrinsic in world_to_camera:
        pose = np.linalg.inv(np.vstack([extrinsic, [0, 0, 0, 1]]))
        pose[1] *= -1
        pose[[1, 2]] = pose[[2, 1]]
        pose[:3, 1:3] *= -1
        pose[:3, 3] *= UNITS_PER_METRE
        poses.append(pose)
    front = np.eye(4)
    front[2, 3] = RADIUS
    return front @ np.linalg.inv(poses[0]) @ np.stack(poses)


def footprint_factor(raster_fov: Literal["consistent", "reference_49.1"]) -> float:
    """By how much splat scales are to be multiplied before a consistent rasteriser draws them (1.3703 or 1)."""
    if raster_fov == "consistent":
        return 1.0
    return 256 / math.tan(math.radians(FOOTPRINT_FOV / 2)) / FOCAL_AT_512


def network_pictures(rgb: Tensor, poses: Array, focal: float | None = None) -> Tensor:
    """Pictures on white (V, 3, S, S) RGB 0..1 and their poses (V, 4, 4) -> (V, 9, S, S) input of the released U-Net."""
    size = rgb.shape[-1]
    mean, std = (torch.tensor(v, dtype=rgb.dtype, device=rgb.device)[:, None, None] for v in (IMAGE_MEAN, IMAGE_STD))
    made = np.stack([rays(pose, size, focal or intrinsics(size)[1, 1]) for pose in poses])
    return torch.cat([(rgb - mean) / std, torch.from_numpy(made).to(rgb)], 1)
