"""Orthographic cameras: parallel rays, as multi-view generators and scanners use them.

Same conventions as `cameras`: camera frame x right, y down, z forward, metres; pixel centres at integer + 0.5. The
routines that draw, carve and bake are written for a pinhole; `distant` gives them one that stands so far away that
its picture differs by less than a tenth of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera, look_at

Array = NDArray[np.float64]

DISTANCE = 2000.0  # metres; float32 depths are still good to 0.13 mm, and 1 m of depth moves 400 px by 0.2 px


LONG = 8.0  # degrees of a lens so long that parallel rays look the same, and short enough for every viewer


class Projector(Protocol):
    """What a camera of either kind can do."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    def project(self, points: NDArray[np.floating]) -> tuple[Array, Array]:
        """(N, 3) world metres -> pixels (N, 2) and depth z (N,)."""
        ...

    def unproject(self, pixels: NDArray[np.floating], depth: NDArray[np.floating]) -> Array:
        """(N, 2) pixels at depth z (N,) -> (N, 3) world metres."""
        ...


@dataclass(frozen=True)
class OrthographicCamera:
    """A camera with parallel rays: x_px = scale X + centre.

    scale: pixels per metre, the same along x and y. centre: (2,) pixel of the camera's axis. width, height: pixels.
    world_to_camera: (4, 4) rigid, world metres -> OpenCV camera metres; only depths depend on how far away it stands.
    """

    scale: float
    centre: Array
    width: int
    height: int
    world_to_camera: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "centre", np.asarray(self.centre, np.float64))
        object.__setattr__(self, "world_to_camera", np.asarray(self.world_to_camera, np.float64))
        if not self.scale > 0 or self.centre.shape != (2,) or self.world_to_camera.shape != (4, 4):
            raise ValueError(
                f"An orthographic camera came with scale {self.scale}, centre {self.centre.shape} and world_to_camera "
                f"{self.world_to_camera.shape}; it needs a positive scale, (2,) and (4, 4)."
            )

    @property
    def towards(self) -> Array:
        """(3,) unit vector in the world from the scene to the camera, against its rays."""
        return -self.world_to_camera[2, :3]

    def project(self, points: NDArray[np.floating]) -> tuple[Array, Array]:
        """(N, 3) world metres -> pixels (N, 2) and depth z (N,)."""
        local = np.asarray(points, np.float64) @ self.world_to_camera[:3, :3].T + self.world_to_camera[:3, 3]
        return local[:, :2] * self.scale + self.centre, local[:, 2]

    def unproject(self, pixels: NDArray[np.floating], depth: NDArray[np.floating]) -> Array:
        """(N, 2) pixels at depth z (N,) metres -> (N, 3) world metres; inverse of `project`."""
        plane = (np.asarray(pixels, np.float64) - self.centre) / self.scale
        local = np.column_stack([plane, np.asarray(depth, np.float64)])
        return (local - self.world_to_camera[:3, 3]) @ self.world_to_camera[:3, :3]

    def resized(self, width: int, height: int) -> OrthographicCamera:
        """The same view on another pixel grid; ValueError when that would stretch it by more than a pixel."""
        factor = width / self.width
        if abs(height - self.height * factor) > 1.0:
            raise ValueError(f"{self.width} x {self.height} px cannot become {width} x {height} without stretching.")
        return replace(self, scale=self.scale * factor, centre=self.centre * factor, width=width, height=height)

    def cropped(self, left: int, top: int, width: int, height: int) -> OrthographicCamera:
        """The same view through a window whose upper left corner is pixel (left, top); may reach outside."""
        return replace(self, centre=self.centre - (left, top), width=width, height=height)

    def distant(self, distance: float = DISTANCE) -> Camera:
        """A pinhole `distance` metres before this camera's plane of depth 0, that shows the same there.

        A point at depth z lands z / distance of its distance from the axis nearer to the axis: less than 0.1 px for
        a person in a picture of a thousand pixels. Depths are larger by `distance`.
        """
        focal = self.scale * distance
        K = np.array([[focal, 0.0, self.centre[0]], [0.0, focal, self.centre[1]], [0.0, 0.0, 1.0]])
        matrix = self.world_to_camera.copy()
        matrix[2, 3] += distance
        return Camera(K, self.width, self.height, matrix)

    def to_json(self) -> dict[str, object]:
        """Plain lists, for a record."""
        return {
            "scale": self.scale, "centre": self.centre.tolist(), "width": self.width, "height": self.height,
            "world_to_camera": self.world_to_camera.tolist(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict) -> OrthographicCamera:
        """Inverse of `to_json`."""
        matrix = np.array(data["world_to_camera"])
        return cls(float(data["scale"]), np.array(data["centre"]), int(data["width"]), int(data["height"]), matrix)


def long_lens(camera: OrthographicCamera, width: int, height: int, fov: float = LONG) -> Camera:
    """A pinhole on a grid of width x height px with a long lens (fov degrees over its longer side) that shows the same in
    the plane of the world's vertical axis, and differs by z / 12 m of the distance from the axis before and behind it.

    The grid may differ from the camera's by a rounded part of a pixel.
    """
    across = width / camera.width
    focal = max(width, height) / (2.0 * np.tan(np.radians(fov) / 2.0))
    # Both scales by their own factor: a rounded height may differ by a part of a pixel.
    centre = camera.centre * (across, height / camera.height)
    middle = camera.world_to_camera[:3, :3] @ (0.0, pivot_height(camera), 0.0) + camera.world_to_camera[:3, 3]
    matrix = camera.world_to_camera.copy()
    matrix[2, 3] += focal / (camera.scale * across) - middle[2]
    K = np.array(
        [[focal, 0.0, centre[0]], [0.0, focal * (height / camera.height) / across, centre[1]], [0.0, 0.0, 1.0]]
    )
    return Camera(K, width, height, matrix)


def pivot_height(camera: OrthographicCamera) -> float:
    """Metres above the ground at which the vertical axis through the origin lies in the middle of the picture."""
    down = camera.world_to_camera[1, 1] * camera.scale
    at_ground = camera.world_to_camera[1, 3] * camera.scale + camera.centre[1]
    return float((camera.height / 2.0 - at_ground) / down) if abs(down) > 1e-6 else 0.0


def around(
    azimuth: float, elevation: float, size: int, scale: float, target: NDArray[np.floating]
) -> OrthographicCamera:
    """A square picture of `size` px with `target` (3,) in its middle at depth 0, seen from azimuth (degrees from +z
    towards +x, the person's left) and elevation (degrees above the horizon)."""
    matrix = look_at(np.asarray(target, np.float64), 0.0, azimuth, elevation)
    return OrthographicCamera(scale, np.array([size / 2, size / 2]), size, size, matrix)


def pinhole(camera: Camera | OrthographicCamera) -> Camera:
    """The camera itself, or an orthographic one's distant stand-in."""
    return camera.distant() if isinstance(camera, OrthographicCamera) else camera
