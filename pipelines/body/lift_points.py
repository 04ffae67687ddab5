"""What the lifts lift: 26 points of the body, by the names of `FitBody.names`; and names seen in a mirror."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The first two after the waist are the hips, whose middle is the origin.
POINTS = (
    "waist_joint", "left_hip_joint", "right_hip_joint", "left_knee_joint", "right_knee_joint", "left_ankle_joint",
    "right_ankle_joint", "neck_joint", "head_joint", "left_shoulder_joint", "right_shoulder_joint", "left_elbow_joint",
    "right_elbow_joint", "left_wrist_joint", "right_wrist_joint", "nose", "left_ear", "right_ear", "left_heel",
    "right_heel", "left_toe", "right_toe", "left_index", "right_index", "left_little", "right_little",
)  # fmt: skip


def mirrored(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Places of the other side's names."""
    other = [n.replace("left", "<").replace("right", "left").replace("<", "right") for n in names]
    return np.array([names.index(n) for n in other])
