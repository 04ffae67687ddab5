"""A seed becomes a dressed, posed person: the one function that the renderer calls."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.body.read_body import make_body
from training.people.bodies import person
from training.people.figure import Figure, Part
from training.people.helpers_mesh import FLIP, pose_body, rest_body, whole_mesh
from training.people.poses import AIRBORNE, pose, to_rig
from training.people.streams import rounded, split_of, stream
from training.people.wardrobe import Dressed, dress

Array = NDArray[np.float64]
ENVIRONMENT = "HUMANSCOPE_MAKEHUMAN"


def pack_place() -> Path | None:
    """Where the MakeHuman pack is: the environment variable HUMANSCOPE_MAKEHUMAN (empty: nowhere), else
    ../shared/makehuman beside the repository, else None. ValueError when the variable names no such folder."""
    given = os.environ.get(ENVIRONMENT)
    if given is not None:
        if not given:
            return None
        if not (Path(given) / "poses" / "poses.npz").is_file():
            raise ValueError(
                f"{ENVIRONMENT} names a folder without poses/poses.npz; it needs the MakeHuman pack's folder."
            )
        return Path(given)
    beside = Path(__file__).resolve().parents[3] / "shared" / "makehuman"
    return beside if (beside / "poses" / "poses.npz").is_file() else None


def figure(seed: int, pack: Path | None) -> Figure:
    """The person of a seed, in the display frame: feet on y = 0, pelvis above the origin, facing +z.

    pack: folder of the MakeHuman pack, or None for the plainer family from the repository's own files alone.
    ValueError for a seed outside 0 to 9999."""
    split = split_of(seed)
    who = person(seed)
    rest = rest_body(who.phenotypes, who.local, who.expression)
    vertices = rest.vertices.numpy() * FLIP
    height = float(np.ptp(vertices[: whole_mesh().body, 1]))
    taken = pose(seed, rest, pack, split, hip_halves(vertices))
    turned = to_rig(taken.rotations)
    origin = np.zeros(3)
    body = pose_body(rest, turned, origin)
    dressed = dress(seed, who, body, pack, split, taken.family)
    parts, floor = on_ground(dressed, taken.family in AIRBORNE, stream(seed, "flight"))
    facts = {
        "seed": seed, "split": split, "sex": who.sex, "age": round(who.age, 1), "height_m": round(height, 4),
        "build": round(who.build, 3), "family": taken.family, "pose": taken.name,
        "azimuth": suggested_azimuth(stream(seed, "azimuth")), "garments": dressed.garments, "loose": dressed.loose,
        "hair": dressed.hair, "skin": dressed.skin, "prints": dressed.prints,
        "penetration_mm": taken.penetration_mm, "pack": pack is not None,
    }  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):  # pixels of a camera that is not there yet
        record = make_body(
            rotations=turned, root_translation=(origin - [0, floor, 0]) * FLIP, phenotypes=who.phenotypes,
            length_scales=np.zeros(len(whole_mesh().rig.length_names)), K=np.array([[1.0, 0, 0.5], [0, 1.0, 0.5], [0, 0, 1]]),
            image_size=(1, 1), pitch=0.0, texts={"source": "training.people", "source_version": "1"},
            arrays={"local_changes": who.local, "expression": who.expression},
        )  # fmt: skip
    # The parts stand in this frame; a fitted body's own (on its soles, heading turned to the front) would be beside it.
    stands = replace(record, arrays={**record.arrays, "world_from_camera": np.diag([*FLIP, 1.0])})
    return Figure(seed, parts, stands, facts)


def on_ground(dressed: Dressed, airborne: bool, rng: np.random.Generator) -> tuple[tuple[Part, ...], float]:
    """Parts moved so that the lowest point touches y = 0 (runners and jumpers: a little above), and that level."""
    floor = min(float(p.vertices[:, 1].min()) for p in dressed.parts if len(p.vertices))
    if airborne:
        floor -= 0.12 * float(rng.random()) ** 2
    moved = []
    for part in dressed.parts:
        shifted = np.asarray(part.vertices, np.float64) - [0, floor, 0]
        moved.append(Part(part.label, rounded(shifted), part.faces.astype(np.int32), part.uv.astype(np.float32),
                          part.uv_faces.astype(np.int32), part.material, part.two_sided))  # fmt: skip
    return tuple(moved), floor


def hip_halves(rest: Array) -> Array:
    """(3,) m: half the width and depth of the hips at the height of the hip joints, y 0."""
    mesh = whole_mesh()
    template = mesh.template[: mesh.body]  # picks the same ring of vertices on every body
    ring = (np.abs(template[:, 1] - 0.09) < 0.03) & (np.abs(template[:, 0]) < 0.25)
    points = rest[: mesh.body][ring]
    return np.array([float(np.abs(points[:, 0]).max()), 0.0, 0.0])


def suggested_azimuth(rng: np.random.Generator) -> float:
    """Degrees from which a photo is taken: mostly the front and three quarters, some sides and backs."""
    kind = rng.random()
    if kind < 0.62:
        return round(float(np.clip(rng.normal(0, 18), -45, 45)), 2)
    if kind < 0.86:
        return round(float(rng.choice([-1, 1]) * rng.uniform(30, 75)), 2)
    if kind < 0.94:
        return round(float(rng.choice([-1, 1]) * rng.uniform(75, 110)), 2)
    return round(float(180 + rng.uniform(-45, 45)), 2)
