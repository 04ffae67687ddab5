"""SyncHuman's pictures of a person: four parallel projections and a face crop, colour and normals.

Frame (synchuman_stage1, 1.3): voxel axes x to the right in the front view, y away from the front camera, z up; the
whole picture is the cube -0.5..0.5. Views 0 front, 1 right (from +x: the person's own left side), 2 back, 3 left,
4 face. Views 2 and 3 are stored mirrored, as the network was trained. All normals are in the frame of the front camera
(x right, y up, z towards it), and mirroring moves pixels without changing a sign.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import DISPLAY_TO_OPENCV, rotation_y
from training.people.draw import Picture, projected
from training.people.fabric import encoded
from training.people.scene import Scene

Floats = NDArray[np.float32]
Array = NDArray[np.float64]
MIRRORED = (2, 3)
STAND_OFF = 4.0  # metres from the middle of the cube; a parallel projection does not care


class OrthoViews(NamedTuple):
    """colour (5, S, S, 4): straight sRGB and alpha. normal (5, S, S, 3): unit, front camera's frame, 0 outside.
    depth (4, S, S): z in voxel-cube units from the camera's side of the cube, 0 outside. to_cube (4, 4): display frame
    -> cube in voxel axes."""

    colour: Floats
    normal: Floats
    depth: Floats
    to_cube: Array


def ortho_views(scene: Scene, azimuth: float, size: int = 768) -> OrthoViews:
    """The five pictures; the front is what a camera at `azimuth` degrees sees. size: pixels, divisible by 3."""
    if size % 3:
        raise ValueError(f"The size came as {size} px; it must be divisible by 3, as the face view is a third.")
    middle, metres = box_of(scene.points, azimuth)
    turn = rotation_y(-np.radians(azimuth))  # display -> axes of the front camera (x right, y up, z towards it)
    colours, normals, depths = [], [], []
    for view in range(4):
        picture = projected(scene, camera_at(middle, azimuth + 90.0 * view), metres, size)
        depth = np.where(picture.first > 0, (picture.first - STAND_OFF) / metres + 0.5, 0.0).astype(np.float32)
        colour, normal = _maps(picture, turn)
        if view in MIRRORED:
            colour, normal, depth = colour[:, ::-1], normal[:, ::-1], depth[:, ::-1]
        colours.append(colour)
        normals.append(normal)
        depths.append(depth)
    # The face view is the middle third of the top third, drawn at three times the scale instead of enlarged.
    face = camera_at(middle + np.array([0.0, metres / 3.0, 0.0]), azimuth)
    colour, normal = _maps(projected(scene, face, metres / 3.0, size), turn)
    return OrthoViews(np.stack([*colours, colour]), np.stack([*normals, normal]), np.stack(depths),
                      cube_of(middle, metres, azimuth))  # fmt: skip


def box_of(points: NDArray[np.floating], azimuth: float) -> tuple[Array, float]:
    """Middle (3,) of the person's box in the front camera's axes, in the display frame; side of the cube in metres.

    The cube is as large as the longest side of the box: seen from the front the person touches two opposite borders
    whenever it is not deeper than it is tall and wide.
    """
    turn = rotation_y(-np.radians(azimuth))
    local = np.asarray(points, np.float64) @ turn.T
    low, high = local.min(0), local.max(0)
    return turn.T @ (0.5 * (low + high)), float((high - low).max())


def cube_of(middle: Array, metres: float, azimuth: float) -> Array:
    """(4, 4) display frame -> voxel axes of the cube -0.5..0.5."""
    to_voxel = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]) @ rotation_y(-np.radians(azimuth)) / metres
    matrix = np.eye(4)
    matrix[:3, :3] = to_voxel
    matrix[:3, 3] = -to_voxel @ middle
    return matrix


def camera_at(middle: Array, azimuth: float) -> Array:
    """(4, 4) world_to_camera of a level camera at `azimuth` degrees that looks at `middle`."""
    rotation = DISPLAY_TO_OPENCV @ rotation_y(-np.radians(azimuth))
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = -rotation @ middle + (0.0, 0.0, STAND_OFF)
    return matrix


def _maps(picture: Picture, turn: Array) -> tuple[Floats, Floats]:
    colour = np.dstack([encoded(picture.linear[..., :3]), picture.linear[..., 3]]).astype(np.float32)
    return colour, (picture.normal @ turn.T).astype(np.float32)


def as_picture(normal: Floats) -> Floats:
    """Normals (..., 3) -> colours (n + 1) / 2 on white, as the network's images are."""
    there = (normal**2).sum(-1, keepdims=True) > 0.25
    return np.where(there, 0.5 * normal + 0.5, 1.0).astype(np.float32)
