"""From the photo's camera to the display frame: gravity, the ground, and the way the person faces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def up_in_camera(pitch: float) -> Array:
    """(3,) the vertical in the camera frame; pitch in radians, positive when the camera looks down. No roll."""
    return np.array([0.0, -np.cos(pitch), -np.sin(pitch)])


def heading_in_camera(root: Array, up: Array) -> Array:
    """(3,) unit, horizontal: the way the pelvis faces.

    root (3, 3): the pelvis' orientation, columns = its left, down and back in the camera frame. Of somebody who
    lies on the back or the belly no horizontal direction is meant by "front": then the direction of the feet
    (pelvis' down), which is what the person would face after standing up; and towards the camera if even that fails.
    """
    for direction in (-root[:, 2], root[:, 1], np.array([0.0, 0.0, -1.0])):
        flat = direction - up * (up @ direction)
        # sin 30 degrees: below it the heading would follow noise in the pelvis' tilt.
        if np.linalg.norm(flat) > 0.5:
            return flat / np.linalg.norm(flat)
    raise ValueError("The camera looks straight up or down; no heading can be told.")


def world_from_camera(pelvis: Array, root: Array, lowest: Array, pitch: float) -> Array:
    """(4, 4) rigid, camera frame -> display frame: y up, ground at y = 0, facing +z, origin below the pelvis.

    pelvis (3,): the pelvis joint; root (3, 3): its orientation (`heading_in_camera`); lowest (N, 3): points of which
    the lowest touches the ground (the soles); all in the camera frame, metres. pitch: radians.
    """
    up = up_in_camera(pitch)
    z = heading_in_camera(root, up)
    x = np.cross(up, z)
    rotation = np.stack([x, up, z])
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    origin = rotation @ pelvis
    origin[1] = (np.asarray(lowest) @ up).min()
    matrix[:3, 3] = -origin
    return matrix
