"""The layer that own garments are cut from: the base mesh's tights, subdivided once, with fields to cut by.

Fields live on the template (the average adult at rest), so a cut is the same garment on every body: `arm` is 0 at the
shoulder and 1 at the wrist (negative on the trunk), `height` is metres above the pelvis joint on trunk and legs, `neck`
is positive inside the neck hole, `front` is the distance from the middle of the chest on the front side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from scipy.spatial import cKDTree

from training.people.helpers_mesh import FLIP, Posed, apply_rows, skin_rows, turn_rows, whole_mesh
from training.people.penetration import vertex_normals

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
BIG = 10.0


@dataclass(frozen=True)
class Shell:
    """operator: (S, T) sparse, tights vertices -> subdivided. faces: (F, 3) outwards. weights: (S, J). points: (S, 3)
    and normals on the template. fields: name -> (S,). near_body: (B,) nearest shell vertex of each body vertex, -1
    where the shell is farther than 5 cm. rings: (S, K) neighbours, padded with the vertex itself."""

    operator: csr_matrix
    faces: Ints
    weights: Array
    points: Array
    normals: Array
    fields: dict[str, Array]
    near_body: Ints
    rings: Ints
    joints: dict[str, Array]


@dataclass(frozen=True)
class ShellOnBody:
    """The shell on one person: rest and posed positions and normals (S, 3), blended transforms (S, 12)."""

    rest: Array
    rest_normals: Array
    rows: Array
    posed: Array
    normals: Array


@lru_cache(maxsize=1)
def shell() -> Shell:
    """Made once per process (about a second)."""
    mesh = whole_mesh()
    low, high = mesh.groups["tights"]
    operator, quads = catmull_clark(mesh.quads["tights"] - low, high - low)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    points = operator @ mesh.template[low:high]
    if signed_volume(points, faces) < 0:
        faces = faces[:, ::-1]
    faces = np.ascontiguousarray(faces)
    normals = vertex_normals(points, faces)
    weights = np.asarray(operator @ mesh.weights[low:high])
    joints = template_joints()
    fields = shell_fields(points, normals, weights, joints)
    gap, near = cKDTree(points).query(mesh.template[: mesh.body])
    return Shell(operator, faces, weights, points, normals, fields, np.where(gap < 0.05, near, -1),
                 ring_table(faces, len(points)), joints)  # fmt: skip


def on_body(posed: Posed) -> ShellOnBody:
    """The shell of one person."""
    s, mesh = shell(), whole_mesh()
    low, high = mesh.groups["tights"]
    rest = s.operator @ posed.rest[low:high]
    rows = skin_rows(s.weights, posed.transforms)
    at = apply_rows(rows, rest)
    return ShellOnBody(rest, vertex_normals(rest, s.faces), rows, at, vertex_normals(at, s.faces))


def template_joints() -> dict[str, Array]:
    """Bone heads of the average adult, display frame."""
    rig = whole_mesh().rig
    heads = rig.rest(rig.default_phenotypes()).bone_heads.astype(np.float64) * FLIP
    return {name: heads[i] for i, name in enumerate(rig.bone_names)}


def shell_fields(points: Array, normals: Array, weights: Array, joints: dict[str, Array]) -> dict[str, Array]:
    """The cutting fields of template points."""
    names = whole_mesh().rig.bone_names

    def mass(*stems: str) -> Array:
        return weights[:, [i for i, n in enumerate(names) if n.split(".")[0] in stems]].sum(1)

    hand = tuple({n.split(".")[0] for n in names if n.startswith(("finger", "metacarpal", "wrist"))})
    arm_mass = mass("upperarm01", "upperarm02", "lowerarm01", "lowerarm02", *hand)
    x, y, z = points.T
    folded = np.stack([np.abs(x), y, z], 1)
    a, b, c = (joints[n] for n in ("upperarm01.L", "lowerarm01.L", "wrist.L"))
    upper, lower = np.linalg.norm(b - a), np.linalg.norm(c - b)
    first = (folded - a) @ (b - a) / upper
    second = (folded - b) @ (c - b) / lower
    along = np.where(second > 0, upper + second, np.minimum(first, upper)) / (upper + lower)
    arm = along - 2.6 * np.maximum(0.6 - arm_mass, 0)
    pelvis = joints["root"]
    height = np.where(arm_mass > 0.35, BIG, y - pelvis[1])
    neck_axis = joints["neck01"]
    radius = np.sqrt(x**2 + (0.8 * (z - neck_axis[2] - 0.01)) ** 2)
    fields = {
        "arm": arm, "arm_mass": arm_mass, "height": height,
        "neck_height": y - neck_axis[1] + 0.55 * (z - neck_axis[2]), "neck_radius": radius,
        "front": np.where((normals[:, 2] > -0.05) & (z > pelvis[2] - 0.03) & (arm_mass < 0.4), np.abs(x), BIG),
        "side": x, "leg_mass": mass("upperleg01", "upperleg02", "lowerleg01", "lowerleg02", "foot"),
        "foot_mass": mass("foot"),
    }  # fmt: skip
    angle = np.arctan2(x, z - 0.0)
    fields["u"] = np.where(arm_mass > 0.5, 0.5 + 0.16 * np.sign(x) * (1 + along), 0.5 + angle / (2 * np.pi) * 0.6)
    fields["v"] = np.where(arm_mass > 0.5, 0.75 - 0.35 * along, 0.5 + 0.55 * (y - pelvis[1]))
    return fields


def catmull_clark(quads: Ints, count: int) -> tuple[csr_matrix, Ints]:
    """One step of Catmull-Clark as a matrix (S, count) and the new quads (4 Q, 4). Borders stay where they are."""
    edges = np.sort(np.concatenate([quads[:, [k, (k + 1) % 4]] for k in range(4)]), 1)
    unique, place = np.unique(edges, axis=0, return_inverse=True)
    place = place.ravel()
    n_edges, n_quads = len(unique), len(quads)
    edge_of = place.reshape(4, n_quads).T
    faces_at_edge = np.bincount(place, minlength=n_edges)
    centre = csr_matrix(
        (np.full(4 * n_quads, 0.25), (np.repeat(np.arange(n_quads), 4), quads.ravel())), (n_quads, count)
    )
    middle = csr_matrix(
        (np.full(2 * n_edges, 0.5), (np.repeat(np.arange(n_edges), 2), unique.ravel())), (n_edges, count)
    )
    touch = csr_matrix((np.ones(4 * n_quads), (edge_of.ravel(), np.repeat(np.arange(n_quads), 4))), (n_edges, n_quads))
    inner = faces_at_edge == 2
    share = csr_matrix((np.where(inner, 0.25, 0.0), (np.arange(n_edges), np.arange(n_edges))), (n_edges, n_edges))
    keep = csr_matrix((np.where(inner, 0.5, 1.0), (np.arange(n_edges), np.arange(n_edges))), (n_edges, n_edges))
    edge_points = keep @ middle + share @ touch @ centre
    valence = np.bincount(unique.ravel(), minlength=count).astype(np.float64)
    border = np.zeros(count, bool)
    border[unique[~inner].ravel()] = True
    at_faces = np.maximum(np.bincount(quads.ravel(), minlength=count), 1).astype(np.float64)
    face_mean = (
        csr_matrix((1 / at_faces[quads.ravel()], (quads.ravel(), np.repeat(np.arange(n_quads), 4))), (count, n_quads))
        @ centre
    )
    ends = unique.ravel()
    edge_mean = csr_matrix((1 / valence[ends], (ends, np.repeat(np.arange(n_edges), 2))), (count, n_edges)) @ middle
    eye = np.arange(count)

    def diagonal(values: Array) -> csr_matrix:
        return csr_matrix((values, (eye, eye)), (count, count))

    n = np.maximum(valence, 3)
    moved = diagonal(np.where(border, 0, 1 / n)) @ face_mean + diagonal(np.where(border, 0, 2 / n)) @ edge_mean
    kept = diagonal(np.where(border, 1.0, (n - 3) / n)) + moved
    operator = csr_matrix(vstack([kept, edge_points, centre]))
    e, f = count + edge_of, count + n_edges + np.arange(n_quads)
    made = [np.stack([quads[:, k], e[:, k], f, e[:, (k + 3) % 4]], 1) for k in range(4)]
    return operator, np.concatenate(made)


def ring_table(faces: Ints, count: int) -> Ints:
    """(V, K) neighbours of each vertex in ascending order, padded with itself."""
    pairs = np.unique(np.concatenate([faces[:, [a, b]] for a in range(3) for b in range(3) if a != b]), axis=0)
    degree = np.bincount(pairs[:, 0], minlength=count)
    table = np.tile(np.arange(count)[:, None], (1, int(degree.max())))
    start = np.cumsum(degree) - degree
    table[pairs[:, 0], np.arange(len(pairs)) - start[pairs[:, 0]]] = pairs[:, 1]
    return table


def signed_volume(points: Array, faces: Ints) -> float:
    """Six times the volume; positive when the faces look outwards."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    return float((a * np.cross(b, c)).sum())


__all__ = ["Shell", "ShellOnBody", "on_body", "ring_table", "shell", "turn_rows"]
