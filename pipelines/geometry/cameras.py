"""Pinhole cameras: projection, rays, resizing, and the orbit around a person.

Frames. Camera frame: OpenCV (x right, y down, z forward), metres. World = display frame: y up, the ground at
y = 0, the person faces +z, the origin lies below the pelvis. Pixel centres are at integer + 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A camera that stands at +z, level with the origin, and looks at it: display axes -> OpenCV axes.
DISPLAY_TO_OPENCV: Array = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion.

    K: (3, 3) pixels. width, height: pixels. world_to_camera: (4, 4) rigid, world metres -> OpenCV camera metres.
    """

    K: Array
    width: int
    height: int
    world_to_camera: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "K", np.asarray(self.K, np.float64))
        object.__setattr__(self, "world_to_camera", np.asarray(self.world_to_camera, np.float64))
        if self.K.shape != (3, 3) or self.world_to_camera.shape != (4, 4):
            raise ValueError(
                f"A camera came with K {self.K.shape} and world_to_camera {self.world_to_camera.shape}; "
                "it needs (3, 3) and (4, 4)."
            )

    @property
    def position(self) -> Array:
        """(3,) the centre of projection in the world, metres."""
        rotation, shift = self.world_to_camera[:3, :3], self.world_to_camera[:3, 3]
        return -rotation.T @ shift

    def to_camera(self, points: NDArray[np.floating]) -> Array:
        """(N, 3) world metres -> (N, 3) camera metres."""
        return np.asarray(points, np.float64) @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]

    def to_world(self, points: NDArray[np.floating]) -> Array:
        """(N, 3) camera metres -> (N, 3) world metres."""
        return (np.asarray(points, np.float64) - self.world_to_camera[:3, 3]) @ self.world_to_camera[:3, :3]

    def project(self, points: NDArray[np.floating]) -> tuple[Array, Array]:
        """(N, 3) world metres -> pixels (N, 2) and depth z (N,); x_px = fx X / Z + cx."""
        local = self.to_camera(points)
        homogeneous = local @ self.K.T
        return homogeneous[:, :2] / homogeneous[:, 2:3], local[:, 2]

    def unproject(self, pixels: NDArray[np.floating], depth: NDArray[np.floating]) -> Array:
        """(N, 2) pixels at depth z (N,) metres -> (N, 3) world metres; inverse of `project`."""
        pixels = np.asarray(pixels, np.float64)
        ones = np.ones((len(pixels), 1))
        rays = np.concatenate([pixels, ones], 1) @ np.linalg.inv(self.K).T
        return self.to_world(rays * np.asarray(depth, np.float64)[:, None])

    def rays(self) -> Array:
        """(H, W, 3) directions of the pixel centres in the camera frame, scaled to z = 1."""
        x, y = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        return np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(self.K).T

    def resized(self, width: int, height: int) -> Camera:
        """The same view on another pixel grid (corner aligned: pixel edges map to pixel edges)."""
        scale = np.diag([width / self.width, height / self.height, 1.0])
        return replace(self, K=scale @ self.K, width=width, height=height)

    def cropped(self, left: int, top: int, width: int, height: int) -> Camera:
        """The same view through a window whose upper left corner is pixel (left, top); may reach outside."""
        K = self.K.copy()
        K[:2, 2] -= (left, top)
        return replace(self, K=K, width=width, height=height)

    def square(self, size: int) -> Camera:
        """The view padded in the middle to a square, then resized to `size` pixels: same lens, no cut."""
        side = max(self.width, self.height)
        padded = self.cropped(-((side - self.width) // 2), -((side - self.height) // 2), side, side)
        return padded.resized(size, size)

    def orbited(self, azimuth: float, elevation: float | None, pivot: NDArray[np.floating]) -> Camera:
        """The camera walked around the vertical axis through `pivot`.

        azimuth: degrees; 0 is this view; at 90 the camera stands where a person who faces it has the left hand.
        elevation: degrees above the horizontal, looking at `pivot` from the same distance; None keeps the pitch
        and the place of the person in the picture. pivot: (3,) world metres.
        """
        pivot = np.asarray(pivot, np.float64)
        base = self.world_to_camera
        if elevation is not None:
            offset = self.position - pivot
            heading = np.degrees(np.arctan2(offset[0], offset[2]))
            base = look_at(pivot, float(np.linalg.norm(offset)), heading, elevation)
        turn = np.eye(4)
        # The world turns by -azimuth below a standing camera: the camera moves by +azimuth about +y.
        turn[:3, :3] = rotation_y(-np.radians(azimuth))
        turn[:3, 3] = pivot - turn[:3, :3] @ pivot
        return replace(self, world_to_camera=base @ turn)

    def to_json(self) -> dict[str, object]:
        """Plain lists for run.json."""
        return {
            "K": self.K.tolist(),
            "width": self.width,
            "height": self.height,
            "world_to_camera": self.world_to_camera.tolist(),
        }

    @classmethod
    def from_json(cls, data: dict) -> Camera:
        """Inverse of `to_json`."""
        return cls(np.array(data["K"]), int(data["width"]), int(data["height"]), np.array(data["world_to_camera"]))


def rotation_y(angle: float) -> Array:
    """(3, 3) right-handed rotation about +y by `angle` radians: +z goes towards +x."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def look_at(target: NDArray[np.floating], distance: float, azimuth: float, elevation: float) -> Array:
    """(4, 4) world_to_camera of a camera that looks at `target` (3,) with +y up in the picture.

    azimuth in degrees from +z towards +x, elevation in degrees above the horizontal (|elevation| < 90).
    """
    a, e = np.radians(azimuth), np.radians(elevation)
    away = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    forward = -away
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = -rotation @ (np.asarray(target, np.float64) + distance * away)
    return matrix


def intrinsics(width: int, height: int, fov_degrees: float) -> Array:
    """(3, 3) pinhole with the principal point in the middle and `fov_degrees` over the longer side."""
    focal = max(width, height) / (2.0 * np.tan(np.radians(fov_degrees) / 2.0))
    return np.array([[focal, 0.0, width / 2.0], [0.0, focal, height / 2.0], [0.0, 0.0, 1.0]])
