"""Skin, eyes, brows and lashes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.people import pack as packs
from training.people.bodies import Person
from training.people.colours import SKIN, colour
from training.people.figure import Material, Part
from training.people.helpers_mesh import Posed, whole_mesh
from training.people.reserved import allowed
from training.people.streams import choose

EYES = (
    "brown_eye",
    "brown_eye",
    "brown_eye",
    "brownlight_eye",
    "blue_eye",
    "green_eye",
    "grey_eye",
    "lightblue_eye",
    "bluegreen_eye",
)
SKINS = {  # texture -> (sex, youngest, oldest, dark)
    "young_lightskinned_female_diffuse2": ("female", 0, 45, False),
    "young_lightskinned_female_diffuse3": ("female", 0, 45, False),
    "middleage_lightskinned_female_diffuse2": ("female", 40, 99, False),
    "young_lightskinned_male_diffuse": ("male", 0, 42, False),
    "young_lightskinned_male_diffuse2": ("male", 0, 42, False),
    "young_lightskinned_male_diffuse3": ("male", 0, 42, False),
    "middleage_lightskinned_male_diffuse": ("male", 38, 99, False),
    "middleage_lightskinned_male_diffuse2": ("male", 38, 99, False),
    "young_darkskinned_male_diffuse": ("male", 0, 42, True),
    "middleage_darkskinned_male_diffuse": ("male", 36, 99, True),
    "old_darkskinned_male_diffuse": ("male", 56, 99, True),
}


@lru_cache(maxsize=1)
def _faces() -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """(F,) faces of the eyes; (F,) those of iris and pupil; (F,) those of the pupil."""
    mesh = whole_mesh()
    rig = mesh.rig
    eye = np.zeros(mesh.body, bool)
    eye[rig.vertices_of("eyes")] = True
    faces = eye[rig.faces].all(1)
    middle = mesh.template[rig.faces].mean(1)
    iris, pupil = np.zeros(len(faces), bool), np.zeros(len(faces), bool)
    for sign in (1, -1):
        mine = faces & (sign * middle[:, 0] > 0)
        if not mine.any():
            continue
        points = mesh.template[np.unique(rig.faces[mine])]
        centre = (points.min(0) + points.max(0)) / 2
        radius = float(np.ptp(points, axis=0).max()) / 2
        out = middle - centre
        angle = np.arccos(np.clip(out[:, 2] / (np.sqrt((out**2).sum(1)) + 1e-9), -1, 1))
        iris |= mine & (angle < 0.62) & (np.sqrt((out**2).sum(1)) > 0.5 * radius)
        pupil |= mine & (angle < 0.3) & (np.sqrt((out**2).sum(1)) > 0.5 * radius)
    return faces, iris, pupil


def skin_parts(
    rng: np.random.Generator, who: Person, body: Posed, pack: Path | None, split: str, hidden: NDArray[np.bool_]
) -> tuple[list[Part], str]:
    """The body where no garment hides it, without eyes; and the name of its skin."""
    mesh = whole_mesh()
    rig = mesh.rig
    tone = int(choose(rng, [(str(i), w) for i, (_, w) in enumerate(SKIN)]))
    target = np.array(SKIN[tone][0]) * (1 + 0.05 * rng.normal())
    texture, name = None, f"plain {tone}"
    if pack is not None:
        dark = tone >= 4 and who.sex == "male"
        fit = {
            n: 1.0
            for n, (sex, low, high, is_dark) in SKINS.items()
            if sex == who.sex and low <= who.age <= high and is_dark == dark
        }
        every = allowed("skin", {n: 1.0 for n, v in SKINS.items() if v[0] == who.sex}, split)
        name = choose(rng, allowed("skin", fit, split) or every)
        texture = f"skins/{name}"
        if who.sex == "female" and tone == 5:
            target = np.array(SKIN[4][0], np.float64)  # a light skin cannot be tinted darker than this
    keep = ~hidden[rig.faces].all(1) & ~_faces()[0]
    used = np.zeros(mesh.body, bool)
    used[rig.faces[keep]] = True
    place = np.cumsum(used) - 1
    material = Material("skin", texture, {}, colour(tuple(int(v) for v in np.clip(target, 30, 240))), 1.0)  # type: ignore[arg-type]
    part = Part(
        "skin",
        body.posed[: mesh.body][used],
        place[rig.faces[keep]].astype(np.int32),
        rig.uv,
        rig.uv_faces[keep],
        material,
    )
    return [part], name


def face_parts(
    rng: np.random.Generator, body: Posed, pack: Path | None, tint: tuple[float, float, float]
) -> list[Part]:
    """Eyes; with the pack also brows and lashes."""
    mesh = whole_mesh()
    rig = mesh.rig
    eye = EYES[int(rng.integers(len(EYES)))]
    brow, lash = int(rng.integers(1, 13)), int(rng.integers(1, 5))
    if pack is None:
        faces, iris, pupil = _faces()
        shades = {"brown_eye": (0.24, 0.14, 0.08), "brownlight_eye": (0.4, 0.26, 0.14)}
        parts = []
        for keep, shade in (
            (faces & ~iris, (0.93, 0.92, 0.9)),
            (iris & ~pupil, shades.get(eye, (0.36, 0.46, 0.5))),
            (pupil, (0.03, 0.03, 0.03)),
        ):
            if keep.any():
                used = np.unique(rig.faces[keep])
                place = np.zeros(mesh.body, np.int64)
                place[used] = np.arange(len(used))
                parts.append(
                    Part(
                        "eyes",
                        body.posed[used],
                        place[rig.faces[keep]].astype(np.int32),
                        rig.uv,
                        rig.uv_faces[keep],
                        Material("eye", None, {}, shade, 1.0, None, 0.6),
                    )
                )
        return parts
    parts = []
    dark = tuple(0.75 * t for t in tint)
    for folder, file, label, material in (
        ("eyes/high-poly", "", "eyes", Material("eye", f"eyes/{eye}", {}, None, 1.0, 0.5, 0.6)),
        (
            f"eyebrows/eyebrow{brow:03d}",
            "",
            "brows",
            Material("hair", f"eyebrows/eyebrow{brow:03d}", {}, dark, 1.0, 0.3),
        ),  # type: ignore[arg-type]
        (
            f"eyelashes/eyelashes{lash:02d}",
            "",
            "lashes",
            Material("hair", f"eyelashes/eyelashes{lash:02d}", {}, (0.05, 0.04, 0.04), 1.0, 0.4),
        ),
    ):
        a = packs.asset(str(pack), folder, file)
        parts.append(
            Part(
                label, packs.posed(a, body), a.faces.astype(np.int32), a.uv, a.uv_faces.astype(np.int32), material, True
            )
        )
    return parts
