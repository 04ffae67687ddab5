"""Where hands go: named arm positions as wrist targets relative to the person's own chest, head and hips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.people.skeleton import Skeleton, about, around, bone, frame, unit

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ArmPlan:
    """target: wrist relative to `origin` in chest axes, x outwards (away from the middle), y up, z forwards, in arm
    lengths. pole: where the elbow points, same axes. fingers, palm: directions of the hand in chest axes, or None for
    the hand in line with the forearm. hand: its grip."""

    origin: str
    target: tuple[float, float, float]
    pole: tuple[float, float, float]
    hand: str = "relaxed"
    fingers: tuple[float, float, float] | None = None
    palm: tuple[float, float, float] | None = None


ARMS: dict[str, ArmPlan] = {
    "down": ArmPlan("shoulder", (0.16, -0.95, 0.05), (0.35, 0, -1)),
    "relax": ArmPlan("shoulder", (0.22, -0.92, 0.14), (0.5, 0, -1)),
    "away": ArmPlan("shoulder", (0.45, -0.84, 0.02), (0.5, 0.2, -1)),
    "swing_front": ArmPlan("shoulder", (0.12, -0.86, 0.36), (0.35, 0, -1)),
    "swing_back": ArmPlan("shoulder", (0.2, -0.86, -0.34), (0.5, 0.2, -1)),
    "run_front": ArmPlan("shoulder", (-0.05, -0.28, 0.55), (0.5, -0.6, -0.6), "fist"),
    "run_back": ArmPlan("shoulder", (0.22, -0.62, -0.12), (0.4, 0.2, -1), "fist"),
    "hip": ArmPlan("hip", (0.12, 0.2, -0.03), (1, 0.1, -0.55), "flat", (-0.25, -0.45, 0.85), (-1, 0, -0.2)),
    "pocket": ArmPlan("hip", (0.1, 0.06, 0.06), (0.7, 0.1, -1), "pocket", (-0.3, -0.9, 0.3), (-1, 0, -0.3)),
    "crossA": ArmPlan("chest", (-0.16, -0.16, 0.36), (1, -0.9, 0.25), "flat", (-0.9, 0.25, -0.25), (-0.1, -0.1, -1)),
    "crossB": ArmPlan("chest", (-0.12, -0.25, 0.29), (1, -0.9, 0.2), "relaxed", (-0.95, 0.2, -0.1), (0, 0, -1)),
    "head": ArmPlan("head", (0.16, 0.08, -0.2), (1, 0.35, 0.25), "relaxed", (-0.8, 0.3, -0.3), (-0.3, 0.1, 1)),
    "phone": ArmPlan("chest", (0.02, 0.02, 0.6), (0.6, -1, -0.2), "grip", (-0.25, 0.85, 0.45), (-0.3, 0.3, -1)),
    "call": ArmPlan("head", (0.24, 0.0, 0.1), (0.8, -0.8, 0.2), "grip", (-0.1, 0.9, -0.3), (-1, 0.2, 0)),
    "wave": ArmPlan("shoulder", (0.5, 0.58, 0.2), (0.9, -0.6, -0.1), "flat", (0.1, 1, 0), (0, 0, 1)),
    "up": ArmPlan("shoulder", (0.22, 0.94, 0.1), (1, -0.2, -0.3), "flat"),
    "up_wide": ArmPlan("shoulder", (0.6, 0.74, 0.06), (0.6, -0.5, -0.5), "flat"),
    "point": ArmPlan("shoulder", (0.12, 0.03, 0.96), (0.5, -0.8, -0.2), "point"),
    "point_side": ArmPlan("shoulder", (0.95, 0.14, 0.2), (0, -0.8, -0.6), "point"),
    "side": ArmPlan("shoulder", (0.97, 0.02, 0.08), (0, -0.6, -0.8), "flat"),
    "reach": ArmPlan("shoulder", (0.05, 0.12, 0.9), (0.5, -0.8, -0.2), "flat"),
    "reach_up": ArmPlan("shoulder", (0.08, 0.72, 0.55), (0.7, -0.5, 0), "grip"),
    "chin": ArmPlan("head", (0.05, -0.26, 0.3), (0.6, -1, 0.2), "fist", (-0.2, 0.9, -0.3), (-0.4, 0.1, -1)),
    "back": ArmPlan("hip", (-0.12, 0.12, -0.34), (0.9, 0, -0.7), "relaxed", (-0.8, -0.5, -0.1), (0, 0.2, -1)),
    "front": ArmPlan("hip", (-0.14, 0.02, 0.34), (1, 0, -0.4), "relaxed", (-0.8, -0.55, 0.2), (0, -0.2, -1)),
    "carry": ArmPlan("chest", (0.12, -0.38, 0.5), (0.7, -0.4, -0.8), "grip", (-0.3, 0.1, 1), (-0.4, 1, 0)),
    "talk": ArmPlan("chest", (0.38, -0.3, 0.5), (0.6, -0.6, -0.8), "open", (0.1, 0.25, 1), (-0.5, 0.8, 0)),
    "open": ArmPlan("shoulder", (0.7, -0.42, 0.38), (0.1, -0.5, -1), "open", (0.5, -0.1, 0.8), (0, 0.9, 0.4)),
    "guard": ArmPlan("chest", (0.06, 0.14, 0.5), (0.8, -0.8, 0), "fist", (-0.2, 0.9, 0.2), (-0.8, 0, -0.4)),
    "punch": ArmPlan("shoulder", (-0.1, 0.02, 0.96), (0.8, -0.5, 0), "fist"),
    "lap": ArmPlan("hip", (0.0, 0.12, 0.42), (1, -0.1, -0.8), "relaxed", (-0.5, -0.3, 0.8), (0, -1, 0)),
    "knee": ArmPlan("knee", (0.0, 0.12, -0.06), (0.8, -0.2, -0.8), "flat", (-0.1, -0.5, 0.9), (0, -1, 0)),
    "ground": ArmPlan("shoulder", (0.1, -0.96, 0.2), (0.4, 0, -1), "flat"),
    "dance_curve": ArmPlan("shoulder", (0.55, 0.5, 0.42), (0.9, -0.4, -0.4), "open"),
    "dance_low": ArmPlan("shoulder", (0.72, -0.5, 0.25), (0.4, 0.3, -1), "open"),
}  # fmt: skip

# Curl of each finger joint in degrees, fingers 2 to 5 then the thumb's three.
GRIPS: dict[str, tuple[float, float, float, tuple[float, float, float]]] = {
    "relaxed": (18, 26, 14, (4, 8, 8)),
    "flat": (5, 6, 4, (0, 2, 2)),
    "open": (-2, 12, 8, (-8, 4, 2)),
    "fist": (72, 88, 60, (14, 32, 40)),
    "grip": (42, 52, 34, (10, 22, 18)),
    "pocket": (28, 22, 12, (2, 6, 6)),
    "point": (72, 88, 60, (12, 28, 30)),
}


def place_arm(skeleton: Skeleton, side: str, plan: ArmPlan, noise: Array, halves: Array) -> None:
    """Put one arm where its plan says. side 'L' or 'R'; noise (3,) in arm lengths; halves (3,) half extents of the
    hips of this person in m (x, y, z), which targets at the hips start from."""
    sign = 1.0 if side == "L" else -1.0
    mirror = np.array([sign, 1.0, 1.0])
    for name in ("clavicle", "shoulder01"):
        skeleton.turn(f"{name}.{side}", np.eye(3))
    chest, _ = skeleton.globals("spine01")
    _, shoulder = skeleton.globals(f"upperarm01.{side}")
    lengths = [
        np.linalg.norm(skeleton.offsets[bone(f"{b}.{side}")])
        for b in ("upperarm02", "lowerarm01", "lowerarm02", "wrist")
    ]
    length = float(np.sum(lengths))
    wanted = np.array(plan.target) + noise
    if plan.origin in ("hip", "knee"):
        chest, _ = skeleton.globals("root")
    origin = _origin(skeleton, plan.origin, side, shoulder, chest, halves)
    target = origin + chest @ (wanted * mirror) * length
    pole = chest @ (np.array(plan.pole) * mirror)
    _lift(skeleton, side, sign, (target - shoulder) / length, chest)
    bones = tuple(f"{b}.{side}" for b in ("upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist"))
    skeleton.reach(bones, target, pole)  # type: ignore[arg-type]
    share_shoulder(skeleton, side)
    skeleton.reach(bones, target, pole)  # type: ignore[arg-type]
    skeleton.turn(f"wrist.{side}", np.eye(3))
    if plan.fingers is not None and plan.palm is not None:
        turn_hand(skeleton, side, chest @ (np.array(plan.fingers) * mirror), chest @ (np.array(plan.palm) * mirror))
    curl(skeleton, side, plan.hand)


def _origin(skeleton: Skeleton, name: str, side: str, shoulder: Array, chest: Array, halves: Array) -> Array:
    sign = 1.0 if side == "L" else -1.0
    if name == "shoulder":
        return shoulder
    if name == "chest":
        _, high = skeleton.globals("spine01")
        return high + chest @ np.array([0, 0.02, 0.0])
    if name == "head":
        return skeleton.globals("head")[1] + skeleton.globals("head")[0] @ np.array([0, 0.07, 0.03])
    if name == "knee":
        return skeleton.globals(f"lowerleg01.{side}")[1]
    turn, middle = skeleton.globals("root")
    return middle + turn @ (np.array([sign, 0.0, 0.0]) * halves)


def _lift(skeleton: Skeleton, side: str, sign: float, direction: Array, chest: Array) -> None:
    """Raised arms lift the collar bone; arms that reach forward pull it forward."""
    local = chest.T @ direction
    raised = float(np.clip(local[1] + 0.2, 0, 1.2)) * 22.0
    forward = float(np.clip(local[2], -0.3, 0.9)) * 14.0
    skeleton.turn(f"clavicle.{side}", about("z", sign * raised) @ about("y", -sign * forward))


def share_shoulder(skeleton: Skeleton, side: str) -> None:
    """Give shoulder01 30 % of the upper arm's turn: linear blend skinning looks square without."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_matrix(skeleton.local[bone(f"upperarm01.{side}")]).as_rotvec()
    skeleton.turn(f"shoulder01.{side}", Rotation.from_rotvec(0.3 * turn).as_matrix())


def turn_hand(skeleton: Skeleton, side: str, fingers: Array, palm: Array) -> None:
    """Point the hand: what a wrist cannot do (over 65 degrees) is left; half of the twist goes to the forearm."""
    from scipy.spatial.transform import Rotation

    rest_fingers, rest_palm = rest_hand(skeleton, side)
    wanted = frame(fingers, palm) @ frame(rest_fingers, rest_palm).T
    forearm, _ = skeleton.globals(f"lowerarm02.{side}")
    axis = unit(skeleton.offsets[bone(f"wrist.{side}")])
    turn = Rotation.from_matrix(forearm.T @ wanted).as_rotvec()
    twist = float(np.clip(turn @ axis, -1.5, 1.5))
    swing = turn - (turn @ axis) * axis
    size = float(np.linalg.norm(swing))
    swing = swing * min(1.0, 1.0 / max(size, 1e-6))
    skeleton.turn(f"lowerarm02.{side}", around(axis, np.degrees(0.6 * twist)))
    skeleton.turn(f"wrist.{side}", Rotation.from_rotvec(swing + 0.4 * twist * axis).as_matrix())


def rest_hand(skeleton: Skeleton, side: str) -> tuple[Array, Array]:
    """Directions of fingers and palm in the reference pose."""
    at = {
        f: skeleton.offsets[bone(f"metacarpal{f - 1}.{side}")] + skeleton.offsets[bone(f"finger{f}-1.{side}")]
        for f in (2, 3, 5)
    }
    fingers = unit(at[3])
    across = at[2] - at[5]
    palm = np.cross(fingers, across)
    return fingers, unit(palm if side == "L" else -palm)


def curl(skeleton: Skeleton, side: str, grip: str) -> None:
    """Bend the fingers."""
    first, second, third, thumb = GRIPS[grip]
    fingers, palm = rest_hand(skeleton, side)
    axis = np.cross(fingers, palm)
    for f in range(2, 6):
        bends = (first, second, third) if not (grip == "point" and f == 2) else (2.0, 4.0, 2.0)
        extra = 2.0 * (f - 2) if grip == "relaxed" else 0.0
        for k, angle in enumerate(bends, 1):
            skeleton.turn(f"finger{f}-{k}.{side}", around(axis, angle + extra))
    thumb_axis = np.cross(fingers, palm) * 0.5 + (1.0 if side == "L" else -1.0) * fingers
    for k, angle in enumerate(thumb, 1):
        skeleton.turn(f"finger1-{k}.{side}", around(thumb_axis, (1.0 if side == "L" else -1.0) * angle))
