"""How the joints of a fit may turn: each joint's own axes, its usual angles and its limits.

Axes are written in the reference pose (x to the person's left, y down, z backwards). A hinge's first axis is its
flexion axis. Ranges follow the usual clinical ranges of motion (for example Norkin and White, Measurement of Joint
Motion), widened a little; spreads are what people in photos do, not what they can do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_kinematics import Fold, FoldedBones

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Joints:
    """axes (M, 3, 3), rows = axes in the reference pose; mean, sigma, low, high (M, 3) radians; knees: movers left,
    right; straight: the knee angle, radians, of a straight leg (the reference legs are slightly bent)."""

    axes: Array
    mean: Array
    sigma: Array
    low: Array
    high: Array
    knees: tuple[int, int]
    straight: float


# Joint -> per axis (mean, sigma, low, high) in degrees, left side. Right side: axes are mirrored, see `joint_table`.
_FREE = {
    "spine04": ((0, 7, -30, 20), (0, 6, -20, 20), (0, 6, -20, 20)),
    "spine02": ((0, 6, -25, 20), (0, 6, -20, 20), (0, 6, -20, 20)),
    "spine01": ((0, 6, -25, 20), (0, 6, -20, 20), (0, 6, -20, 20)),
    "neck01": ((0, 10, -35, 35), (0, 15, -40, 40), (0, 9, -25, 25)),
    "head": ((0, 10, -35, 35), (0, 15, -40, 40), (0, 9, -25, 25)),
    # Thigh: x < 0 lifts it forwards; z > 0 closes the left leg.
    "upperleg01": ((-3, 35, -135, 25), (0, 15, -45, 45), (4, 12, -60, 35)),
    # Knee: x > 0 flexes. Twist and sideways bend are small.
    "lowerleg01": ((5, 45, -11, 150), (0, 5, -15, 15), (0, 3, -8, 8)),
    "foot": ((0, 14, -45, 45), (0, 10, -25, 25), (0, 9, -25, 25)),
    "clavicle": ((0, 6, -20, 20), (0, 6, -20, 20), (0, 7, -20, 30)),
    # Shoulder: z > 0 lowers the left arm from the reference 45 degrees.
    "upperarm01": ((0, 45, -170, 170), (0, 40, -170, 170), (25, 45, -170, 170)),
    "wrist": ((0, 14, -50, 50), (0, 14, -50, 50), (0, 14, -50, 50)),
}
_ELBOW = ((-15, 40, None, 105), (0, 4, -10, 10), (0, 4, -10, 10))  # flexion, twist, sideways
_FOREARM = ((0, 1.5, -4, 4), (0, 30, -85, 85), (0, 1.5, -4, 4))  # twist about the forearm, and almost nothing else
_FLEXED_AT_LEAST = -2.0  # degrees: a straight elbow may overextend by this much


def joint_table(folded: Fold, bones: FoldedBones) -> Joints:
    """The table on one skeleton (the elbow's axis and its straight angle come from the bones themselves)."""
    count = len(folded.names)
    axes = np.tile(np.eye(3), (count, 1, 1))
    rows = np.zeros((count, 3, 4))
    rows[0] = (0.0, 60.0, -1e4, 1e4)
    straight = 0.0
    for m, name in enumerate(folded.names[1:], 1):
        stem, _, side = name.partition(".")
        if stem in ("lowerarm01", "lowerarm02"):
            arm = [bones.offsets[folded[f"{n}.{side}"]] for n in ("lowerarm01", "lowerarm02", "wrist")]
            upper, fore = unit(arm[0]), unit(arm[1] + arm[2])
            hinge = unit(np.cross(upper, fore))
            axes[m] = np.stack([hinge, fore, np.cross(hinge, fore)])
            table = _ELBOW if stem == "lowerarm01" else _FOREARM
            bent = np.degrees(np.arccos(np.clip(upper @ fore, -1, 1)))
            rows[m] = [[_FLEXED_AT_LEAST - bent if v is None else v for v in row] for row in table]
            continue
        rows[m] = _FREE[stem]
        if side == "R":
            # Mirroring x negates rotations about y and z.
            axes[m] = np.diag([1.0, -1.0, -1.0])
        if stem == "lowerleg01" and side == "L":
            thigh, shin = bones.offsets[m], bones.offsets[folded["foot.L"]]
            straight = np.arctan2(thigh[2], thigh[1]) - np.arctan2(shin[2], shin[1])
    angles = np.radians(rows)
    knees = (folded["lowerleg01.L"], folded["lowerleg01.R"])
    mean, sigma, low, high = (angles[..., i] for i in range(4))
    return Joints(axes, mean, sigma, low, high, knees, float(straight))


def unit(v: Array) -> Array:
    """v / |v| along the last axis; zero vectors stay zero."""
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return v / np.maximum(length, 1e-9)
