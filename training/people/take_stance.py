"""A stance of the table as bone rotations: pelvis, spine, feet on the ground and hands, with small variations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.people.arms import ARMS, place_arm
from training.people.skeleton import Skeleton, about, bone, unit
from training.people.stances import Foot, Stance

Array = NDArray[np.float64]


def take(stance: Stance, arms: tuple[str, str], rest, rng: np.random.Generator, halves: Array) -> tuple[Array, str]:  # type: ignore[no-untyped-def]
    """(J, 3, 3) bone rotations in display axes of a person in this stance, with small variations, not mirrored."""
    s = Skeleton(rest)
    z = np.clip(rng.normal(size=24), -2, 2) * stance.noise
    legs = ("upperleg01", "upperleg02", "lowerleg01", "lowerleg02", "foot")
    leg = float(sum(np.linalg.norm(s.offsets[bone(f"{b}.L")]) for b in legs[1:]))
    hip = s.globals("upperleg01.L")[1] - s.globals("root")[1]
    pelvis = about("y", 3 * z[0]) @ about("x", stance.tilt + 2 * z[1]) @ about("z", stance.roll + 1.2 * z[2])
    s.turn("root", pelvis)
    drop = stance.height - abs(0.01 * z[3]) * (2.5 if stance.height < 0.9 else 1.0)
    s.root = np.array([stance.shift[0] * leg, leg * drop - hip[1], stance.shift[1] * leg])
    _spine(s, stance, z[4:10])
    for k, (letter, foot) in enumerate((("L", stance.left), ("R", stance.right))):
        _leg(s, letter, foot, leg, tuple(f"{b}.{letter}" for b in legs), z[10 + 3 * k : 13 + 3 * k])
    jitter = 0.025 * rng.normal(size=(2, 3))
    for k, (letter, name) in enumerate(zip("LR", arms, strict=True)):
        place_arm(s, letter, ARMS[name], jitter[k], halves)
    return s.local, stance.family


def _spine(s: Skeleton, stance: Stance, z: Array) -> None:
    bend, side, twist = stance.bend + 2.5 * z[0], stance.side + 2 * z[1], stance.twist + 3.5 * z[2]
    for name, share in (("spine05", 0.2), ("spine04", 0.25), ("spine03", 0.2), ("spine02", 0.2), ("spine01", 0.15)):
        s.turn(name, about("y", share * twist) @ about("x", share * bend) @ about("z", share * side))
    upright = -0.55 * (stance.tilt + stance.bend)
    yaw, pitch = stance.head[0] - 0.5 * stance.twist + 11 * z[3], stance.head[1] + upright + 5 * z[4]
    for name, share in (("neck01", 0.2), ("neck02", 0.2), ("neck03", 0.2), ("head", 0.4)):
        turn = about("y", share * yaw) @ about("x", share * pitch)
        s.turn(name, turn @ about("z", share * (4 * z[5] - 0.6 * stance.side)))


def _leg(s: Skeleton, side: str, foot: Foot, leg: float, bones: tuple[str, ...], z: Array) -> None:
    sign = 1.0 if side == "L" else -1.0
    _turn, _ = s.globals("root")
    facing = about("y", 0.0)
    ankle = np.array([sign * (foot.x + 0.012 * z[0]) * leg, foot.y * leg, (foot.z + 0.02 * z[1]) * leg])
    yaw = foot.yaw + 4 * z[2]
    knee = np.array([sign * foot.knee[0], foot.knee[1], foot.knee[2]])
    pole = unit(unit(facing @ knee) + 0.6 * np.array([sign * np.sin(np.radians(yaw)), 0, np.cos(np.radians(yaw))]))
    s.reach(bones, ankle, pole)  # type: ignore[arg-type]
    s.direct(f"foot.{side}", about("y", sign * (yaw - 6)) @ about("x", -foot.pitch))
    if foot.pitch < -20 and foot.y < 0.12:
        for toe in range(1, 6):
            s.turn(f"toe{toe}-1.{side}", about("x", min(0.0, foot.pitch + 8) * 0.75))
