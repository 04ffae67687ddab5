"""What a front view is commonly misread for, as other starts of a fit: legs taken for each other, a hidden shank."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.body.fit_points import LANDMARK_NAMES
from pipelines.body.rig import default_rig
from pipelines.geometry.rotations import matrix_from_rotation_vector
from pipelines.records import Body, Keypoints

LEGS = tuple((LANDMARK_NAMES.index(f"left_{n}"), LANDMARK_NAMES.index(f"right_{n}"))
             for n in ("knee", "ankle", "heel", "toe"))  # fmt: skip
BENT = 1.6  # radians at the knee


def other_readings(start: Body, keypoints: Keypoints) -> list[tuple[Body, Keypoints]]:
    """What a front view is commonly misread for: one leg for the other, and a shank that is hidden behind its thigh."""
    return [
        (with_legs_exchanged(start), exchanged(keypoints)),
        *((with_shank_behind(start, side), without_shank(keypoints, side)) for side in (0, 1)),
    ]


def without_shank(keypoints: Keypoints, side: int) -> Keypoints:
    """The keypoints without what was read below one knee; side: 0 left, 1 right."""
    body = keypoints.body.copy()
    body[[pair[side] for pair in LEGS[1:]], 2:] = 0.0
    return replace(keypoints, body=body)


def with_shank_behind(record: Body, side: int) -> Body:
    """The pose with one knee bent by `BENT`; side: 0 left, 1 right."""
    rig = default_rig()
    turns = np.asarray(record["rotations"]).copy()
    turns[rig.bone(f"lowerleg01.{'LR'[side]}")] = matrix_from_rotation_vector(np.array([BENT, 0.0, 0.0]))
    return replace(record, arrays={**record.arrays, "rotations": turns})


def exchanged(keypoints: Keypoints) -> Keypoints:
    """The keypoints with the left and the right leg's taken for each other."""
    order = np.arange(len(LANDMARK_NAMES))
    for left, right in LEGS:
        order[[left, right]] = right, left
    return replace(keypoints, body=keypoints.body[order], world=keypoints.world[order], edited=keypoints.edited[order])


def with_legs_exchanged(record: Body) -> Body:
    """The pose with each leg in the mirror image of the other's."""
    rig = default_rig()
    turns = np.asarray(record["rotations"]).copy()
    flip = np.diag([-1.0, 1.0, 1.0]).astype(turns.dtype)  # x is to the left
    for name in ("upperleg01", "upperleg02", "lowerleg01", "lowerleg02", "foot"):
        left, right = rig.bone(f"{name}.L"), rig.bone(f"{name}.R")
        turns[[left, right]] = flip @ turns[[right, left]] @ flip
    return replace(record, arrays={**record.arrays, "rotations": turns})
