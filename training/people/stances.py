"""Our own families of poses: pelvis, spine, feet on the ground and hands, each with ranges; no pack needed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Foot:
    """Ankle relative to the point under the pelvis: x outwards, z forwards, y above where it stands flat, in leg
    lengths. yaw: toes outwards; pitch: toes up; degrees. knee: where the knee points, x outwards."""

    x: float = 0.11
    z: float = 0.0
    y: float = 0.0
    yaw: float = 10.0
    pitch: float = 0.0
    knee: tuple[float, float, float] = (0.12, 0.0, 1.0)


@dataclass(frozen=True)
class Stance:
    """height: pelvis above the ground in leg lengths (1 = legs straight). roll, tilt, yaw of the pelvis and bend,
    side, twist of the spine in degrees (tilt and bend: forwards positive). arms: pairs that fit."""

    family: str
    height: float
    left: Foot
    right: Foot
    arms: tuple[tuple[str, str], ...]
    tilt: float = 0.0
    roll: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    bend: float = 0.0
    side: float = 0.0
    twist: float = 0.0
    head: tuple[float, float] = (0.0, 0.0)
    noise: float = 1.0
    weight: float = 1.0
    support: tuple[str, ...] = field(default=("left", "right"))


EASY = (
    ("down", "down"),
    ("relax", "relax"),
    ("hip", "hip"),
    ("hip", "relax"),
    ("pocket", "pocket"),
    ("pocket", "relax"),
    ("crossA", "crossB"),
    ("phone", "relax"),
    ("talk", "relax"),
    ("front", "front"),
    ("back", "back"),
    ("away", "away"),
    ("head", "head"),
    ("wave", "relax"),
    ("chin", "crossB"),
    ("call", "pocket"),
    ("relax", "down"),
    ("talk", "talk"),
    ("up", "up"),
    ("point", "relax"),
    ("open", "open"),
    ("carry", "carry"),
    ("side", "side"),
    ("up_wide", "up_wide"),
    ("reach", "reach"),
)

STANCES: dict[str, Stance] = {
    "stand": Stance("standing", 0.992, Foot(), Foot(), EASY, weight=4),
    "stand_wide": Stance("standing", 0.975, Foot(x=0.24, yaw=16), Foot(x=0.24, yaw=16), EASY, weight=1.5),
    "contrapposto": Stance(
        "contrapposto",
        0.99,
        Foot(x=0.07, yaw=8),
        Foot(x=0.2, z=0.1, yaw=24, knee=(0.35, 0, 1)),
        EASY,
        roll=-5.0,
        shift=(0.055, 0.0),
        side=6.0,
        twist=4.0,
        weight=4,
    ),
    "crossed_legs": Stance(
        "contrapposto",
        0.985,
        Foot(x=0.07),
        Foot(x=-0.13, z=0.12, yaw=0, knee=(-0.05, 0, 1)),
        EASY,
        roll=-3.0,
        shift=(0.04, 0.0),
        side=3.0,
        weight=0.8,
    ),
    "walk": Stance(
        "walking",
        0.965,
        Foot(x=0.06, z=0.3, yaw=5, pitch=16),
        Foot(x=0.06, z=-0.3, y=0.05, yaw=8, pitch=-32),
        (
            ("swing_back", "swing_front"),
            ("swing_back", "swing_front"),
            ("pocket", "swing_front"),
            ("phone", "swing_front"),
        ),
        tilt=3,
        bend=3,
        twist=8,
        weight=2.5,
    ),
    "stroll": Stance(
        "walking",
        0.98,
        Foot(x=0.07, z=0.18, yaw=6, pitch=4),
        Foot(x=0.07, z=-0.2, y=0.02, yaw=10, pitch=-18),
        (("relax", "swing_front"), ("swing_back", "relax"), ("pocket", "pocket"), ("relax", "relax")),
        tilt=2,
        bend=2,
        twist=4,
        weight=2,
    ),
    "run": Stance(
        "running",
        0.93,
        Foot(x=0.05, z=0.3, y=0.25, yaw=0, pitch=8, knee=(0.02, 0.4, 1)),
        Foot(x=0.05, z=-0.38, y=0.14, yaw=4, pitch=-50),
        (("run_back", "run_front"),),
        tilt=10,
        bend=6,
        twist=12,
        weight=1.2,
        support=(),
    ),
    "jog": Stance(
        "running",
        0.95,
        Foot(x=0.05, z=0.06, yaw=3),
        Foot(x=0.05, z=-0.46, y=0.34, yaw=4, pitch=-75),
        (("run_back", "run_front"),),
        tilt=7,
        bend=5,
        twist=9,
        support=("left",),
    ),
    "sit": Stance(
        "sitting",
        0.52,
        Foot(x=0.13, z=0.5),
        Foot(x=0.13, z=0.48),
        (("lap", "lap"), ("knee", "knee"), ("phone", "lap"), ("crossA", "crossB"), ("talk", "lap")),
        tilt=-4,
        bend=6,
        weight=1.6,
    ),
    "sit_forward": Stance(
        "sitting",
        0.5,
        Foot(x=0.2, z=0.42, yaw=16),
        Foot(x=0.2, z=0.46, yaw=16),
        (("knee", "knee"), ("lap", "lap"), ("chin", "knee")),
        tilt=16,
        bend=18,
    ),
    "squat": Stance(
        "squatting",
        0.36,
        Foot(x=0.26, z=0.16, yaw=26, knee=(0.5, 0.2, 1)),
        Foot(x=0.26, z=0.16, yaw=26, knee=(0.5, 0.2, 1)),
        (("reach", "reach"), ("knee", "knee"), ("talk", "talk"), ("carry", "carry")),
        tilt=24,
        bend=12,
        weight=1.2,
    ),
    "half_squat": Stance(
        "squatting",
        0.72,
        Foot(x=0.26, z=0.06, yaw=22, knee=(0.45, 0, 1)),
        Foot(x=0.26, z=0.06, yaw=22, knee=(0.45, 0, 1)),
        (("reach", "reach"), ("guard", "guard"), ("hip", "hip"), ("knee", "knee")),
        tilt=24,
        bend=8,
    ),
    "lunge": Stance(
        "lunging",
        0.68,
        Foot(x=0.1, z=0.46, yaw=4),
        Foot(x=0.12, z=-0.6, y=0.06, yaw=14, pitch=-42),
        (("hip", "hip"), ("knee", "relax"), ("reach", "relax"), ("up", "up"), ("guard", "guard")),
        tilt=4,
        bend=2,
        weight=1.5,
    ),
    "side_lunge": Stance(
        "lunging",
        0.7,
        Foot(x=0.62, yaw=20),
        Foot(x=0.25, yaw=26, knee=(0.5, 0, 1)),
        (("hip", "hip"), ("knee", "relax"), ("side", "side"), ("guard", "guard")),
        tilt=14,
        bend=6,
    ),
    "kneel_one": Stance(
        "kneeling",
        0.53,
        Foot(x=0.13, z=0.42, yaw=6),
        Foot(x=0.11, z=-0.44, y=0.05, yaw=2, pitch=-82, knee=(0.05, -1, 0.5)),
        (("knee", "relax"), ("reach", "relax"), ("knee", "knee"), ("phone", "knee")),
        tilt=3,
        bend=4,
        weight=1.5,
        support=("left",),
    ),
    "kneel_both": Stance(
        "kneeling",
        0.56,
        Foot(x=0.12, z=-0.42, y=0.04, yaw=0, pitch=-85, knee=(0.1, -1, 0.5)),
        Foot(x=0.12, z=-0.42, y=0.04, yaw=0, pitch=-85, knee=(0.1, -1, 0.5)),
        (("lap", "lap"), ("relax", "relax"), ("hip", "hip"), ("talk", "talk")),
        tilt=0,
        bend=4,
        support=(),
    ),
    "dance_step": Stance(
        "dancing",
        0.95,
        Foot(x=0.16, z=0.05, yaw=22),
        Foot(x=0.3, z=0.14, y=0.08, yaw=28, pitch=-48, knee=(0.6, 0, 1)),
        (("dance_curve", "dance_low"), ("up_wide", "hip"), ("up", "dance_low"), ("dance_low", "dance_curve")),
        roll=-7,
        shift=(0.05, 0),
        side=11,
        twist=16,
        weight=1.5,
        support=("left",),
    ),
    "dance_low": Stance(
        "dancing",
        0.82,
        Foot(x=0.24, z=0.1, yaw=24, knee=(0.5, 0, 1)),
        Foot(x=0.28, z=-0.12, y=0.05, yaw=30, pitch=-35, knee=(0.6, 0, 1)),
        (("dance_low", "dance_curve"), ("up_wide", "dance_low"), ("open", "open"), ("guard", "guard")),
        roll=6,
        side=-12,
        twist=-20,
        bend=5,
        weight=1.5,
    ),
    "arabesque": Stance(
        "dancing",
        0.985,
        Foot(x=0.03, z=0.02, yaw=26),
        Foot(x=0.22, z=-0.72, y=0.5, yaw=20, pitch=-80, knee=(0.6, 0.2, 1)),
        (("up", "side"), ("dance_curve", "dance_curve"), ("reach", "side")),
        tilt=22,
        roll=-6,
        bend=-16,
        shift=(0.04, 0.05),
        weight=0.8,
        support=("left",),
    ),
    "kick": Stance(
        "kicking",
        0.97,
        Foot(x=0.05, yaw=16),
        Foot(x=0.08, z=0.72, y=0.62, yaw=4, pitch=28, knee=(0.05, 0.7, 0.7)),
        (("guard", "guard"), ("dance_low", "run_front"), ("side", "reach"), ("away", "swing_front")),
        tilt=-14,
        bend=10,
        support=("left",),
    ),
    "ball_kick": Stance(
        "kicking",
        0.95,
        Foot(x=0.07, z=-0.02, yaw=10, knee=(0.2, 0, 1)),
        Foot(x=0.08, z=0.46, y=0.16, yaw=8, pitch=-20),
        (("swing_front", "side"), ("side", "swing_back"), ("away", "swing_front")),
        tilt=-6,
        twist=14,
        bend=8,
        support=("left",),
    ),
    "one_leg": Stance(
        "one leg up",
        0.985,
        Foot(x=0.03, yaw=10),
        Foot(x=0.1, z=0.22, y=0.48, yaw=6, pitch=-18, knee=(0.15, 0.5, 1)),
        (("hip", "hip"), ("side", "side"), ("up", "up"), ("away", "away"), ("crossA", "crossB")),
        shift=(0.055, 0),
        roll=-3,
        side=3,
        support=("left",),
    ),
    "tree": Stance(
        "one leg up",
        0.985,
        Foot(x=0.02, yaw=6),
        Foot(x=0.03, z=0.05, y=0.44, yaw=70, pitch=-30, knee=(1, 0.1, 0.3)),
        (("up", "up"), ("hip", "hip"), ("front", "front")),
        shift=(0.06, 0),
        weight=0.7,
        support=("left",),
    ),
    "step_up": Stance(
        "one leg up",
        0.97,
        Foot(x=0.08, z=-0.08, yaw=12),
        Foot(x=0.12, z=0.34, y=0.26, yaw=8),
        (("knee", "hip"), ("relax", "knee"), ("hip", "relax"), ("phone", "relax")),
        tilt=6,
        support=("left",),
    ),
    "reach_high": Stance(
        "reaching",
        0.99,
        Foot(),
        Foot(z=-0.06),
        (("reach_up", "relax"), ("reach_up", "reach_up"), ("reach_up", "hip")),
        bend=-6,
        side=4,
        weight=1.2,
    ),
    "reach_down": Stance(
        "reaching",
        0.93,
        Foot(x=0.15),
        Foot(x=0.15, z=-0.1),
        (("reach", "relax"), ("carry", "carry"), ("reach", "knee")),
        tilt=30,
        bend=24,
        head=(0, -10),
    ),
    "fight": Stance(
        "fighting",
        0.9,
        Foot(x=0.16, z=0.22, yaw=0, knee=(0.15, 0, 1)),
        Foot(x=0.2, z=-0.24, yaw=44, knee=(0.5, 0, 1)),
        (("guard", "guard"), ("punch", "guard"), ("guard", "punch")),
        tilt=5,
        twist=-14,
        bend=4,
        weight=1.2,
    ),
    "throw": Stance(
        "reaching",
        0.95,
        Foot(x=0.12, z=0.3, yaw=5),
        Foot(x=0.14, z=-0.26, y=0.04, yaw=30, pitch=-24),
        (("point", "wave"), ("reach", "head"), ("side", "up_wide")),
        twist=-20,
        bend=-6,
    ),
}
