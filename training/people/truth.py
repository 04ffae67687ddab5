"""The body's record in the photo's camera: what `body.fit` would have to find."""

from __future__ import annotations

import dataclasses

import numpy as np

from pipelines.body.read_body import make_body
from pipelines.geometry.cameras import Camera
from pipelines.records import Body


def seen_by(body: Body, camera: Camera) -> Body:
    """`body` (any camera) as the photo's camera has it: rotations, joints and K are the camera's, and its display frame
    is the truth's own (the ground under the shoes, the camera's roll), so that `Body.camera` equals `camera`."""
    step = camera.world_to_camera @ np.asarray(body["world_from_camera"], np.float64)
    rotations = np.asarray(body["rotations"], np.float64).copy()
    rotations[0] = step[:3, :3] @ rotations[0]
    place = step[:3, :3] @ np.asarray(body["root_translation"], np.float64) + step[:3, 3]
    world_from_camera = np.linalg.inv(camera.world_to_camera)
    up = world_from_camera[1, :3]
    kept = {k: body.arrays[k] for k in ("local_changes", "expression") if k in body.arrays}
    made = make_body(
        rotations=rotations, root_translation=place, phenotypes=body["phenotypes"],
        length_scales=body["length_scales"], K=camera.K, image_size=(camera.width, camera.height),
        pitch=float(np.arctan2(-up[2], -up[1])), texts={"source": "truth", "source_version": "1"}, arrays=kept,
    )  # fmt: skip
    return dataclasses.replace(made, arrays={**made.arrays, "world_from_camera": world_from_camera})
