"""The sides' colours on a trunk with a hand beside and before it, given as layers."""

from __future__ import annotations

import numpy as np

from pipelines.geometry.cameras import Camera
from pipelines.projection.body_mesh import cloth_groups
from pipelines.projection.columns import solid_surface
from pipelines.projection.sampling import resample
from pipelines.projection.sides import sides

NAMES = np.array(["torso", "hand_left"])
SHIRT, SKIN = np.float32([0.1, 0.2, 0.7]), np.float32([0.9, 0.6, 0.5])


def test_a_hip_behind_a_hand_is_not_the_hands_colour() -> None:
    """Columns 20 to 29 are the hand alone, 30 to 39 the hand before the trunk, 40 to 79 the trunk."""
    camera = Camera(np.array([[200.0, 0, 50], [0, 200, 50], [0, 0, 1]]), 100, 100, np.eye(4))
    mask, hand, trunk = (np.zeros((100, 100), bool) for _ in range(3))
    trunk[20:80, 30:80], hand[40:60, 20:40] = True, True
    mask = hand | trunk
    front = np.where(hand, 1.7, 2.0) * mask
    back = np.where(trunk, 2.4, 1.8) * mask
    two = hand & trunk
    rgb = np.where(hand[..., None], SKIN, SHIRT).astype(np.float32)
    arrays = {
        "mask": mask, "alpha": mask.astype(np.float32), "two": two, "arm": hand.astype(np.uint8),
        "front": front.astype(np.float32), "back": back.astype(np.float32),
        "leave": np.where(two, 1.8, back).astype(np.float32), "enter": np.where(two, 2.0, front).astype(np.float32),
        "front_rgb": rgb, "back_rgb": np.where(trunk[..., None], SHIRT, SKIN).astype(np.float32),
        "front_part": np.where(hand, 1, np.where(trunk, 0, 255)).astype(np.uint8),
        "back_part": np.where(trunk, 0, np.where(hand, 1, 255)).astype(np.uint8),
        "seen": mask.astype(np.uint8),
    }  # fmt: skip
    grid, cell = resample(arrays, camera, 1.0), 0.016
    made = sides(grid, *solid_surface(arrays, camera, cell, 4), cell, 1.0, cloth_groups(NAMES))
    depth = camera.to_camera(made.means)[:, 2]
    trunk_colours = made.colours[depth > 2.03]
    assert len(trunk_colours) > 200
    assert (np.abs(trunk_colours - SHIRT).max(1) > 0.1).mean() < 0.01, (
        "one in ten without looking what lies at its depth"
    )
