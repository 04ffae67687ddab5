"""A person's pose: from the pack's poses or our own stances, varied, mirrored, checked and put on the ground."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from training.people.helpers_mesh import FLIP, whole_mesh
from training.people.penetration import Limbs, open_arms
from training.people.reserved import allowed, reserved_for_test
from training.people.skeleton import rig_rotations
from training.people.stances import STANCES, Stance
from training.people.streams import choose, stream
from training.people.take_stance import take

Array = NDArray[np.float64]

# Pack pose (its action, or the first word of its name) -> family and weight. Flying, hand stands and climbing on
# frames that are not there are left out: nobody is photographed so without the frame.
FAMILIES: dict[str, tuple[str, float]] = {
    "stand": ("standing", 1.6), "wide": ("standing", 1.2), "standing": ("standing", 1.2), "contra": ("contrapposto", 1.6),
    "step": ("walking", 1.2), "crossed": ("contrapposto", 1.2), "walking": ("walking", 0.9), "walk": ("walking", 0.6),
    "walk_uneven": ("walking", 0.4), "running": ("running", 0.5), "run": ("running", 0.5), "sit": ("sitting", 0.7),
    "crouch": ("squatting", 0.7), "squat": ("squatting", 0.7), "kneel1": ("kneeling", 0.7), "kneel2": ("kneeling", 0.7),
    "lunge": ("lunging", 0.8), "climb": ("one leg up", 0.6), "basketball": ("playing", 0.45),
    "basketball_signal": ("signalling", 0.35), "soccer": ("kicking", 0.7), "directing_traffic": ("signalling", 0.45),
    "washwindow": ("reaching", 0.5), "fight": ("fighting", 0.8), "punch": ("fighting", 0.35), "swordplay": ("fighting", 0.4),
    "jump_balance": ("jumping", 0.35), "jumping": ("jumping", 0.3), "hop_over": ("jumping", 0.3), "swing": ("playing", 0.3),
    "wash_self": ("signalling", 0.4), "bend_scoop_rise": ("reaching", 0.35), "playground": ("playing", 0.2),
}  # fmt: skip
AIRBORNE = ("jumping", "running")


@dataclass(frozen=True)
class Pose:
    """rotations (J, 3, 3) in display axes; family and name for the facts; penetration_mm: the deepest of hands and
    forearms in trunk or legs, and of one leg in the other."""

    rotations: Array
    family: str
    name: str
    penetration_mm: float


def pose(seed: int, rest, pack: Path | None, split: str, halves: Array) -> Pose:  # type: ignore[no-untyped-def]
    """The pose of a seed on this body. rest: RestBody of the whole mesh; halves: (3,) half extents of the hips, m.

    Up to four poses are drawn; the first whose self-penetration can be brought below 25 mm by opening the arms is
    taken, else the one with the least."""
    limbs = Limbs(rest)
    best: Pose | None = None
    for attempt in range(4):
        rng = stream(seed, f"pose {attempt}")
        rotations, family, name = _drawn(rng, rest, pack, split, halves)
        if rng.random() < 0.5:
            rotations, name = mirrored(rotations), name + " mirrored"
        rotations, depth = open_arms(limbs, rotations, rounds=5, enough=0.012)
        found = Pose(rotations, family, name, round(1000 * depth, 1))
        if best is None or found.penetration_mm < best.penetration_mm:
            best = found
        if best.penetration_mm <= 25:
            break
    assert best is not None
    return best


def _drawn(rng: np.random.Generator, rest, pack: Path | None, split: str, halves: Array) -> tuple[Array, str, str]:  # type: ignore[no-untyped-def]
    own = pack is None or rng.random() < 0.55
    if own:
        name = choose(rng, allowed("pose", {n: s.weight for n, s in STANCES.items()}, split, favour=4.0))
        stance: Stance = STANCES[name]
        arms = stance.arms[int(rng.integers(len(stance.arms)))]
        if rng.random() < 0.35 and len(stance.arms) == len(STANCES["stand"].arms):
            arms = stance.arms[int(rng.integers(8))]
        local, family = take(stance, arms, rest, rng, halves)
        return local, family, f"{name}__{arms[0]}_{arms[1]}"
    assert pack is not None
    names, vectors, families, weights = pack_poses(str(pack))
    held = np.array([reserved_for_test("pose", n) for n in names])
    chance = weights * np.where(held, 4.0 if split == "test" else 0.0, 1.0)
    at = int(np.searchsorted(np.cumsum(chance), rng.random() * chance.sum(), side="right"))
    at = min(at, len(names) - 1)
    return Rotation.from_rotvec(vectors[at] + jitter(rng)).as_matrix(), families[at], str(names[at])


def jitter(rng: np.random.Generator) -> Array:
    """(J, 3) rotation vectors of a few degrees on spine, neck, head, shoulders and elbows."""
    names = whole_mesh().rig.bone_names
    out = np.zeros((len(names), 3))
    for i, name in enumerate(names):
        noise = rng.normal(size=3)
        stem = name.split(".")[0]
        size = 1.2 if stem.startswith("spine") else 2.2 if stem.startswith(("neck", "head")) else 0.0
        size = 3.0 if stem in ("upperarm01", "lowerarm01") else 4.0 if stem == "wrist" else size
        out[i] = np.clip(noise, -2, 2) * np.radians(size)
    return out


@lru_cache(maxsize=2)
def pack_poses(pack: str) -> tuple[list[str], Array, list[str], Array]:
    """Names, rotation vectors (P, J, 3) in display axes, families and weights of the pack's usable poses."""
    with np.load(Path(pack) / "poses" / "poses.npz", allow_pickle=False) as file:
        names, actions = [str(n) for n in file["name"]], [str(a) for a in file["action"]]
        vectors = file["rotvec"].astype(np.float64)
        overlap = file["arm_overlap"]
    keep = [
        i
        for i, (n, a) in enumerate(zip(names, actions, strict=True))
        if a in FAMILIES and overlap[i] < 6 and n != "tpose"
    ]
    display = np.stack([vectors[..., 0], vectors[..., 2], -vectors[..., 1]], -1)  # z up, facing -y -> y up, facing +z
    families = [FAMILIES[actions[i]][0] for i in keep]
    weights = np.array([FAMILIES[actions[i]][1] for i in keep])
    return [names[i] for i in keep], display[keep], families, weights


def mirrored(rotations: Array) -> Array:
    """The mirror image of a pose: left and right bones change places, (x, y, z) of the axis becomes (x, -y, -z)."""
    swapped = rotations[whole_mesh().rig.mirror_bones]
    return swapped * FLIP[:, None] * FLIP


def to_rig(rotations: Array) -> Array:
    """Display axes -> the rig's own."""
    return rig_rotations(rotations)
