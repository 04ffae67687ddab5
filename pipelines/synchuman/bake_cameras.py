"""The cameras that the second stage looks at its surface with: z up, the person faces -y, the cube is -0.5 .. 0.5."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.synchuman.hammersley import radical_inverse

Array = NDArray[np.float64]

RADIUS = 2.0
FOV = 40.0
BAKE_VIEWS = 100
STAGE_1_VIEWS = 5  # front, person's left, back, person's right, face: orthographic
NEAR, FAR = 0.1, 10.0
ORTHO_NEAR, ORTHO_FAR = 0.1, 100.0


def hammersley_angles(count: int) -> Array:
    """(count, 2) yaw and pitch, spread evenly over the sphere, from straight below upwards."""
    i = np.arange(count)
    yaw = 2 * np.pi * np.array([radical_inverse(int(k), 2) for k in i])
    return np.stack([yaw, np.arccos(1 - 2 * i / count) - np.pi / 2], 1)


def bake_angles(count: int = BAKE_VIEWS) -> Array:
    """(count, 2) yaw and pitch: the five views of the first stage, then the others over the sphere."""
    first = [-np.pi, -1.5 * np.pi, 0.0, -0.5 * np.pi, -np.pi]
    return np.concatenate([np.stack([first, np.zeros(5)], 1), hammersley_angles(count - STAGE_1_VIEWS)])


def extrinsics(yaw: float, pitch: float, radius: float = RADIUS) -> Array:
    """(4, 4) world to OpenCV camera that looks at the origin from (sin yaw cos pitch, cos yaw cos pitch, sin pitch).

    The camera's right is (-cos yaw, sin yaw, 0), also straight above and below, where `up` alone would not say.
    """
    eye = radius * np.array([math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch)])
    right, forward = np.array([-math.cos(yaw), math.sin(yaw), 0.0]), -eye / radius
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward])
    matrix[:3, 3] = -matrix[:3, :3] @ eye
    return matrix


def intrinsics(fov: float = FOV) -> Array:
    """(3, 3) of a picture one unit wide, its centre at a half."""
    focal = 0.5 / math.tan(math.radians(fov) / 2)
    return np.array([[focal, 0, 0.5], [0, focal, 0.5], [0, 0, 1.0]])


def perspective(near: float = NEAR, far: float = FAR, fov: float = FOV) -> Array:
    """(4, 4) OpenGL camera axes -> clip space; row 0 of a raster is its bottom."""
    focal = 1 / math.tan(math.radians(fov) / 2)
    depth = [-(far + near) / (far - near), -2 * far * near / (far - near)]
    return np.array([[focal, 0, 0, 0], [0, focal, 0, 0], [0, 0, *depth], [0, 0, -1.0, 0]])


def orthographic(near: float = ORTHO_NEAR, far: float = ORTHO_FAR) -> Array:
    """(4, 4) OpenGL camera axes -> clip space of -0.5 .. 0.5; y is turned, so row 0 of a raster is its top."""
    depth = [-2 / (far - near), -(far + near) / (far - near)]
    return np.array([[2.0, 0, 0, 0], [0, -2.0, 0, 0], [0, 0, *depth], [0, 0, 0, 1.0]])


def orthographic_pixels(points: NDArray[np.floating], matrix: Array, size: int) -> Array:
    """(N, 3) world -> (N, 3): x right and y down in pixels of a picture `size` wide, and the distance along the view."""
    local = np.asarray(points, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    return np.concatenate([(local[:, :2] + 0.5) * size, local[:, 2:]], 1)


def perspective_camera(yaw: float, pitch: float, size: int, radius: float = RADIUS, fov: float = FOV) -> Camera:
    """The same view as the project's own camera, row 0 at the top."""
    K = np.diag([size, size, 1.0]) @ intrinsics(fov)
    return Camera(K, size, size, extrinsics(yaw, pitch, radius))
