"""Who a person is: sex, age, height, build, local shape, face; within plausible statistics.

Heights: adults N(1.77, 0.07) m for men and N(1.635, 0.065) m for women (NCD-RisC, young adults of many countries);
children follow the WHO's median growth with 4.5 % spread. One person in five is a child or a teenager.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.people.helpers_mesh import whole_mesh
from training.people.streams import stream

Array = NDArray[np.float64]
GROWTH_YEARS = (4, 6, 8, 10, 12, 14, 16, 18)
GROWTH = {
    "male": (1.03, 1.16, 1.28, 1.39, 1.50, 1.64, 1.73, 1.76),
    "female": (1.02, 1.15, 1.27, 1.39, 1.51, 1.59, 1.62, 1.63),
}
# Years -> the phenotype "age" (0 a baby, 1/3 about ten years, 2/3 a young adult, 1 very old).
AGE_YEARS = (4, 7, 10, 14, 18, 25, 45, 65, 88)
AGE_VALUES = (0.19, 0.27, 0.345, 0.48, 0.60, 0.667, 0.78, 0.88, 0.97)


@dataclass(frozen=True)
class Person:
    """sex 'male' or 'female', age in years, build 0 (thin) .. 1 (heavy), and the rig's own parameters."""

    sex: str
    age: float
    build: float
    phenotypes: Array
    local: Array
    expression: Array


def person(seed: int) -> Person:
    """The body of a seed."""
    rng = stream(seed, "body")
    sex = "female" if rng.random() < 0.5 else "male"
    age = _age(rng)
    build = float(np.clip(rng.beta(2.2, 2.6), 0.02, 0.98))
    muscle = float(np.clip(rng.normal(0.55 if sex == "male" else 0.45, 0.15), 0.1, 0.95))
    if age < 14:
        muscle = 0.3 + 0.3 * rng.random()
    gender = 1.0 if sex == "female" else 0.0
    gender = abs(gender - 0.12 * rng.random() ** 2)
    phenotypes = np.array([gender, np.interp(age, AGE_YEARS, AGE_VALUES), muscle, build, 0.4,
                           np.clip(rng.normal(0.55, 0.2), 0.1, 1.0)])  # fmt: skip
    local = _local(rng, sex, age, build)
    phenotypes[4] = _height_value(phenotypes, local, _wanted_height(rng, sex, age))
    return Person(sex, age, build, phenotypes, local, _expression(stream(seed, "face")))


def _age(rng: np.random.Generator) -> float:
    kind, spread = rng.random(), rng.random()
    if kind < 0.13:
        return 4.0 + 8.0 * spread
    if kind < 0.21:
        return 12.0 + 6.0 * spread
    if kind < 0.86:
        return 18.0 + 40.0 * spread**1.3
    return 58.0 + 28.0 * spread


def _wanted_height(rng: np.random.Generator, sex: str, age: float) -> float:
    draw = float(np.clip(rng.normal(), -2.3, 2.3))
    if age < 18:
        middle = float(np.interp(age, GROWTH_YEARS, GROWTH[sex]))
        return middle * (1 + 0.045 * draw)
    middle, spread = (1.77, 0.07) if sex == "male" else (1.635, 0.065)
    return middle + spread * draw - 0.0006 * max(age - 45, 0)


def _height_value(phenotypes: Array, local: Array, wanted: float) -> float:
    """The phenotype "height" that gives this standing height: the height is close to linear in it."""
    heights = []
    for value in (0.2, 0.6):
        trial = phenotypes.copy()
        trial[4] = value
        y = _height_rig().rest(torch.as_tensor(trial), torch.as_tensor(local)).vertices.numpy()[:, 1]
        heights.append(float(np.ptp(y)))
    low, high = heights
    return float(np.clip(0.2 + 0.4 * (wanted - low) / (high - low), 0.02, 0.98))


_HEIGHT_RIG: list = []


def _height_rig():  # type: ignore[no-untyped-def]
    """A rig of the crown and the soles only."""
    if not _HEIGHT_RIG:
        mesh = whole_mesh()
        y = mesh.template[: mesh.body, 1]
        ids = np.concatenate([np.argsort(-y, kind="stable")[:60], np.argsort(y, kind="stable")[:120]])
        from pipelines.body.rig import default_rig

        _HEIGHT_RIG.append(default_rig().subset(np.sort(ids)))
    return _HEIGHT_RIG[0]


def _local(rng: np.random.Generator, sex: str, age: float, build: float) -> Array:
    """(30,) local changes: individual noise, and what heavy or thin people have beyond the phenotype "weight"."""
    names = whole_mesh().rig.local_names
    spread = {"belly": 0.05, "breast_height": 0.15, "head_height": 0.08, "head_width": 0.12, "head_depth": 0.12,
              "hand_size": 0.12, "foot_size": 0.12, "neck_length": 0.15}  # fmt: skip
    noise = np.clip(rng.normal(size=len(names)), -2, 2)
    local = {n: 0.13 * noise[i] if n not in spread else spread[n] * noise[i] for i, n in enumerate(names)}
    heavy = max(build - 0.55, 0.0) / 0.45
    thin = max(0.35 - build, 0.0) / 0.35
    if age > 14:
        local["belly"] += heavy * (0.45 if sex == "male" else 0.25) * rng.random()
        local["waist_girth"] += 0.45 * heavy - 0.2 * thin
        local["torso_depth"] += 0.3 * heavy - 0.1 * thin
        local["hip_girth"] += 0.3 * heavy
        local["thigh_girth"] += 0.35 * heavy - 0.25 * thin
        local["upper_arm_girth"] += 0.3 * heavy - 0.25 * thin
        local["calf_girth"] += 0.2 * heavy - 0.15 * thin
    local["cheeks"] += 0.4 * heavy - 0.3 * thin
    return np.clip(np.array([local[n] for n in names]), -0.9, 0.9)


def _expression(rng: np.random.Generator) -> Array:
    """(52,) face actions: a mood, small asymmetries, now and then an open mouth or half closed eyes."""
    names = list(whole_mesh().rig.expression_names)
    face = np.zeros(len(names))

    def add(amount: float, *actions: str) -> None:
        for action in actions:
            face[names.index(action)] += amount

    mood, strength = rng.random(), 0.25 + 0.6 * rng.random()
    if mood < 0.45:
        add(strength * 0.8, "mouthSmileLeft", "mouthSmileRight")
        add(strength * 0.4, "cheekSquintLeft", "cheekSquintRight")
        if rng.random() < 0.4:
            add(strength * 0.25, "jawOpen", "mouthUpperUpLeft", "mouthUpperUpRight")
    elif mood < 0.55:
        add(strength * 0.5, "browDownLeft", "browDownRight", "mouthPressLeft", "mouthPressRight")
    elif mood < 0.62:
        add(strength * 0.6, "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "eyeWideLeft", "eyeWideRight")
        add(strength * 0.3, "jawOpen")
    elif mood < 0.68:
        add(strength * 0.5, "mouthFrownLeft", "mouthFrownRight", "browInnerUp")
    add(0.12 * rng.random(), "mouthLeft" if rng.random() < 0.5 else "mouthRight", "browInnerUp")
    add(0.15 * rng.random(), "eyeSquintLeft", "eyeSquintRight")
    add(0.25 * rng.random() ** 3, "eyeBlinkLeft", "eyeBlinkRight")
    gaze = 0.3 * rng.normal()
    add(
        min(abs(gaze), 0.6),
        *(("eyeLookInLeft", "eyeLookOutRight") if gaze > 0 else ("eyeLookOutLeft", "eyeLookInRight")),
    )
    return np.clip(face, 0.0, 1.0)
