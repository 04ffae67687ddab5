"""From the few bones a fit moves to all bones of the rig: the twist of a limb spread over its two halves.

Upper arms and thighs are split in two bones so that a twist can be shared, or the skin wrings like a sweet's paper. A
fit turns only the upper half. Half of its twist about the limb's own axis is handed to the lower half; joints below
move by the millimetre by which the halves are not one straight line.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_joints import unit
from pipelines.body.fit_points import FitBody, Linearised
from pipelines.geometry.rotations import matrix_from_rotation_vector, quaternion_from_matrix

Array = NDArray[np.float64]
SPLIT = (("upperarm01", "upperarm02", "lowerarm01"), ("upperleg01", "upperleg02", "lowerleg01"))


def full_rotations(body: FitBody, near: Linearised, root: Array, theta: Array,
                   fingers: dict[int, Array] | None = None) -> NDArray[np.float32]:  # fmt: skip
    """(J, 3, 3) "anny-local-ref" from a fit's root (3, 3) and rotation vectors (M, 3); fingers: bone -> (3, 3)."""
    rig = body.rig
    rotations = np.tile(np.eye(3), (rig.bone_count, 1, 1))
    rotations[body.fold.bones] = matrix_from_rotation_vector(theta)
    rotations[0] = root
    for bone, turn in (fingers or {}).items():
        rotations[bone] = turn
    for upper, lower, end in SPLIT:
        for side in "LR":
            axis = unit(near.bones.offsets[body.fold[f"{end}.{side}"]])
            whole = rotations[rig.bone(f"{upper}.{side}")]
            half = matrix_from_rotation_vector(axis * twist_angle(whole, axis) / 2)
            rotations[rig.bone(f"{upper}.{side}")] = whole @ half.T
            rotations[rig.bone(f"{lower}.{side}")] = half
    return rotations.astype(np.float32)


def twist_angle(rotation: Array, axis: Array) -> float:
    """Radians of the turn about unit `axis` that is applied first (swing-twist: rotation = swing twist)."""
    q = quaternion_from_matrix(rotation)
    angle = 2 * np.arctan2(q[1:] @ axis, q[0])
    return float((angle + np.pi) % (2 * np.pi) - np.pi)
