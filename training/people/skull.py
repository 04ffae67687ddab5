"""The head of the body mesh: where hair and beards grow, and its measures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.people.helpers_mesh import Posed, whole_mesh
from training.people.shell import ring_table

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Head:
    """The head's part of the body mesh: ids (H,) body vertices, faces (F, 3) into them, soft masks (H,) 0..1, and fullness (H,)
    0.25..1: how thick a beard grows there, from the cheeks to the chin."""

    ids: Ints
    faces: Ints
    scalp: Array
    beard: Array
    moustache: Array
    fullness: Array


@lru_cache(maxsize=1)
def head() -> Head:
    """Made once per process."""
    mesh = whole_mesh()
    rig = mesh.rig
    names = list(rig.part_names)
    wanted = np.isin(rig.part, [names.index(n) for n in ("head", "face", "scalp", "neck")])
    wanted[rig.vertices_of("inside")] = False
    wanted[rig.vertices_of("eyes")] = False
    keep = wanted[rig.faces].all(1)
    ids = np.unique(rig.faces[keep])
    place = np.full(mesh.body, -1)
    place[ids] = np.arange(len(ids))
    faces = place[rig.faces[keep]].astype(np.int64)
    rings = ring_table(faces, len(ids))
    scalp = smoothed((rig.part[ids] == names.index("scalp")).astype(np.float64), rings, 12)
    points = mesh.template[ids]
    lips = mesh.template[rig.vertices_of("lips_inner")]
    mouth = lips.mean(0)
    half = float(np.ptp(lips[:, 0])) / 2
    x, y, z = np.abs(points[:, 0]), points[:, 1] - mouth[1], points[:, 2] - mouth[2]
    jaw = (
        (y < 0.012 + 0.55 * np.maximum(x - 0.03, 0))
        & (y > -0.075)
        & (z > -0.085)
        & (rig.part[ids] != names.index("neck"))
    )
    lip = (np.abs(y) < 0.011) & (x < half + 0.006) & (z > -0.02)
    beard = smoothed((jaw & ~lip).astype(np.float64), rings, 3)
    above = (y > 0.008) & (y < 0.022) & (x < half + 0.008) & (z > -0.015)
    moustache = smoothed(above.astype(np.float64), rings, 2)
    return Head(ids, faces, scalp, beard, moustache, np.clip((z + 0.085) / 0.07, 0.25, 1.0))


def smoothed(values: Array, rings: Ints, rounds: int) -> Array:
    """Mean over neighbours, several times."""
    for _ in range(rounds):
        values = 0.5 * values + 0.5 * values[rings].mean(1)
    return values


def chart_of(template: Array) -> Array:
    """(V, 2) UVs by angle around the head and height."""
    middle = whole_mesh().template[head().ids].mean(0)
    d = template - middle
    return np.stack([0.5 + np.arctan2(d[:, 0], d[:, 2]) / 7.0, 0.5 + d[:, 1] * 1.6], 1)


def strands(points: Array, rng: np.random.Generator) -> Array:
    """(V,) -1..1: locks, finer around the head than along it."""
    out = np.zeros(len(points))
    for _ in range(4):
        direction = rng.normal(size=3) * [90, 25, 60]
        out += np.sin(points @ direction + rng.uniform(0, 6.28))
    return out / 4


def skull_marks(body: Posed) -> tuple[Array, Array, float, Array]:
    """Top and back of the skull, half its width, its middle; rest, m."""
    h = head()
    points = body.rest[h.ids][h.scalp > 0.4]
    middle = (points.min(0) + points.max(0)) / 2
    return (
        np.array([0, points[:, 1].max(), middle[2]]),
        np.array([0, middle[1], points[:, 2].min()]),
        float(points[:, 0].max()),
        middle,
    )
