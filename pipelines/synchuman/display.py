"""Where SyncHuman's cube stands in the display frame, and back.

The canvas is a square of the photo. Its scale comes from the fitted body: a pixel at the depth of the pelvis is so
many metres wide. The cube's axes follow the photo's camera as far as it looks level: x to the picture's right, y away
from the camera, z up, all horizontal or vertical, because the networks were trained on level, parallel views.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.orthographic import OrthographicCamera
from pipelines.geometry.rotations import matrix_from_quaternion, quaternion_from_matrix
from pipelines.records import Body
from pipelines.synchuman.bake_cameras import extrinsics, perspective_camera
from pipelines.synchuman.records import Framed

Array = NDArray[np.float64]

UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class Placement:
    """display = origin + scale * axes @ cube.

    scale: metres per unit of the cube. axes (3, 3): columns are the cube's x, y, z in the display frame, a rotation.
    origin (3,): the cube's centre in the display frame, metres.
    """

    scale: float
    axes: Array
    origin: Array

    def to_display(self, points: NDArray[np.floating]) -> Array:
        """(N, 3) in the cube -> (N, 3) metres."""
        return self.origin + self.scale * (np.asarray(points, np.float64) @ self.axes.T)

    def to_cube(self, points: NDArray[np.floating]) -> Array:
        """(N, 3) metres -> (N, 3) in the cube; inverse of `to_display`."""
        return (np.asarray(points, np.float64) - self.origin) @ self.axes / self.scale

    def turn(self, quats: NDArray[np.floating], back: bool = False) -> Array:
        """(N, 4) wxyz orientations in the cube -> in the display frame, or back."""
        axes = self.axes.T if back else self.axes
        turned = quaternion_from_matrix(axes @ matrix_from_quaternion(np.asarray(quats, np.float64)))
        return np.asarray(turned, np.float64)

    def world_to_camera(self, matrix: Array) -> Array:
        """(4, 4) cube -> camera in units of the cube, as (4, 4) display -> camera in metres."""
        out = np.eye(4)
        out[:3, :3] = matrix[:3, :3] @ self.axes.T
        out[:3, 3] = self.scale * matrix[:3, 3] - out[:3, :3] @ self.origin
        return out

    def orthographic(self, yaw: float, size: int) -> OrthographicCamera:
        """The level parallel view of the whole cube from `yaw` (as in `bake_cameras`), `size` px wide."""
        matrix = self.world_to_camera(extrinsics(yaw, 0.0))
        return OrthographicCamera(size / self.scale, np.array([size / 2, size / 2]), size, size, matrix)

    def perspective(self, yaw: float, pitch: float, size: int) -> Camera:
        """The view that the second stage bakes from."""
        camera = perspective_camera(yaw, pitch, size)
        return Camera(camera.K, size, size, self.world_to_camera(camera.world_to_camera))


def place(frame: Framed, body: Body) -> Placement:
    """Where the cube stands: the pelvis's depth gives the scale, the person's lowest row lies on the ground.

    A person whose feet are cut off keeps the height that the body has. Pixels of the frame and of the body are those
    of the same photo.
    """
    camera = body.camera
    left, top, side = (float(v) for v in frame.square)
    depth = float(np.asarray(body["root_translation"], np.float64)[2])
    scale = side * depth / camera.K[0, 0]
    across = camera.world_to_camera[0, :3] * (1.0, 0.0, 1.0)
    across = across / np.linalg.norm(across)
    axes = np.stack([across, np.cross(UP, across), UP], 1)
    middle = camera.unproject(np.array([[left + side / 2, top + side / 2]]), np.array([depth]))[0]
    if not frame.facts.get("cut", False):
        rows = np.flatnonzero((frame.canvas[..., 3] > 127).any(1))
        middle[1] = scale * ((rows.max() + 1) / len(frame.canvas) - 0.5)
    return Placement(scale, axes, middle)
