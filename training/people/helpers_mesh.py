"""The body together with the base mesh's helper vertices, which clothes, hair, eyes and lashes hang on.

`assets/body/helpers.npz` (see training/export_helpers.py) holds them in the rig's own shape coefficients, so one rig
over body and helpers moves all of them. The base mesh numbers its vertices otherwise than the rig; `place` translates.
Frame of everything here: display (x to the person's left, y up, z forwards), metres.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.body.rig import BodyRig, default_rig
from pipelines.body.rig_file import dense_rows

PATH = Path(__file__).resolve().parents[2] / "assets" / "body" / "helpers.npz"
FLIP = np.array([1.0, -1.0, -1.0])  # OpenCV axes <-> display axes
Array = NDArray[np.float64]


@dataclass(frozen=True)
class WholeMesh:
    """rig: over body (first `body` vertices) and helpers. place: (19158,) base mesh vertex -> rig vertex, nearest
    number where the rig has none. groups: helper name -> (start, end) of its rig vertices. quads: layer -> (Q, 4) rig
    vertices. weights: (N, J) float64. template: (N, 3) the average adult at rest, display frame."""

    rig: BodyRig
    body: int
    place: NDArray[np.int64]
    groups: dict[str, tuple[int, int]]
    quads: dict[str, NDArray[np.int64]]
    weights: Array
    template: Array


@dataclass(frozen=True)
class Posed:
    """One person's body before clothes: rest (N, 3), posed (N, 3), transforms (J, 3, 4) rest -> posed, joints (J, 3),
    all in the display frame. Vertices are those of the whole mesh."""

    rest: Array
    posed: Array
    transforms: Array
    joints: Array


@lru_cache(maxsize=1)
def whole_mesh() -> WholeMesh:
    """Read once per process. FileNotFoundError or ValueError when the file is missing or of another schema."""
    if not PATH.is_file():
        raise FileNotFoundError(
            "assets/body/helpers.npz is missing; it is part of the repository. Fetch it again, or write it with "
            "training/export_helpers.py."
        )
    with np.load(PATH, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    if json.loads(str(data["about"])).get("schema") != "humanscope.helpers/1":
        raise ValueError("helpers.npz has an unknown schema; write it again with training/export_helpers.py.")
    rig = default_rig()
    body, count = rig.vertex_count, len(data["template"])
    joined = BodyRig(_join(rig, data))
    place = _places(data, body)
    sizes = data["group_sizes"].tolist()
    starts = body + np.cumsum([0, *sizes])
    groups = {str(n): (int(a), int(a + s)) for n, a, s in zip(data["group_names"], starts, sizes, strict=False)}
    quads = {n: data[f"{n}_quads"].astype(np.int64) + body for n in ("tights", "skirt", "hair")}
    weights = np.zeros((body + count, rig.bone_count))
    np.add.at(weights, (np.arange(body + count)[:, None], joined.skin_indices), joined.skin_weights.astype(np.float64))
    weights /= weights.sum(1, keepdims=True)
    template = joined.rest(torch.as_tensor(rig.default_phenotypes()).double()).vertices.numpy() * FLIP
    return WholeMesh(joined, body, place, groups, quads, weights, template)


def _join(rig: BodyRig, data: dict[str, NDArray]):  # type: ignore[no-untyped-def]
    a = rig.arrays
    count, body = len(data["template"]), rig.vertex_count
    basis = (np.cumsum(data["basis"], axis=1, dtype=np.int32) * data["basis_steps"][:, None, None]).astype(np.float32)
    local = dense_rows(data, "local", count, float(data["local_step"]))
    face = dense_rows(data, "expression", count, float(data["expression_step"]))
    moved = np.flatnonzero(np.any(face != 0, axis=(0, 2)))
    return dataclasses.replace(
        a,
        template=np.concatenate([a.template, data["template"]]),
        basis=np.concatenate([a.basis, basis], 1),
        local=np.concatenate([a.local, local], 1),
        expression=np.concatenate([a.expression, face[:, moved]], 1),
        expression_vertices=np.concatenate([a.expression_vertices, moved + body]),
        skin_indices=np.concatenate([a.skin_indices, data["skin_indices"].astype(np.int64)]),
        skin_weights=np.concatenate([a.skin_weights, data["skin_weights"].astype(np.float32) / np.float32(65535)]),
    )


def _places(data: dict[str, NDArray], body: int) -> NDArray[np.int64]:
    known = np.concatenate([data["rig_base_ids"], data["base_ids"]]).astype(np.int64)
    order = np.argsort(known, kind="stable")
    at = np.clip(np.searchsorted(known[order], np.arange(19158)), 0, len(known) - 1)
    before = np.clip(at - 1, 0, None)
    wanted = np.arange(19158)
    nearer = np.abs(known[order[before]] - wanted) < np.abs(known[order[at]] - wanted)
    return order[np.where(nearer, before, at)]


def rest_body(phenotypes: Array, local: Array, expression: Array):  # type: ignore[no-untyped-def]
    """The rig's RestBody (torch, double) over body and helpers, in the rig's own axes."""
    rig = whole_mesh().rig
    return rig.rest(*(torch.as_tensor(np.asarray(v, np.float64)) for v in (phenotypes, local, expression)))


def pose_body(rest, rotations: Array, translation: Array) -> Posed:  # type: ignore[no-untyped-def]
    """Pose a rest body and turn everything into the display frame. rotations (J, 3, 3), translation (3,) rig axes."""
    made = whole_mesh().rig.pose(rest, torch.as_tensor(rotations), torch.as_tensor(translation))
    transforms = made.transforms.numpy()[:, :3] * FLIP[:, None]
    transforms[:, :, :3] *= FLIP
    return Posed(rest.vertices.numpy() * FLIP, made.vertices.numpy() * FLIP, transforms, made.joints.numpy() * FLIP)


def skin_rows(weights: Array, transforms: Array) -> Array:
    """(V, J), (J, 3, 4) -> (V, 12) blended transforms."""
    return weights @ transforms.reshape(len(transforms), 12)


def apply_rows(rows: Array, points: Array) -> Array:
    """(V, 12), (V, 3) -> (V, 3)."""
    m = rows.reshape(-1, 3, 4)
    return (m[:, :, 0] * points[:, :1] + m[:, :, 1] * points[:, 1:2] + m[:, :, 2] * points[:, 2:3]) + m[:, :, 3]


def turn_rows(rows: Array, vectors: Array) -> Array:
    """Directions instead of points; not normalised."""
    m = rows.reshape(-1, 3, 4)
    return m[:, :, 0] * vectors[:, :1] + m[:, :, 1] * vectors[:, 1:2] + m[:, :, 2] * vectors[:, 2:3]
