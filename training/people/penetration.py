"""How deep a body is in itself: hands and forearms in trunk and legs, one leg in the other; and opening the arms."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from training.people.helpers_mesh import FLIP, apply_rows, skin_rows, whole_mesh
from training.people.skeleton import Skeleton, about, bone, rig_rotations

Array = NDArray[np.float64]
REACH = 0.09  # metres; deeper than this the nearest skin is no longer the right one


@lru_cache(maxsize=1)
def _samples() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sampled vertices of the probes (hands and forearms; legs) and of what they may enter: ids and their group.

    Groups: 0 trunk and head, 1 left leg, 2 right leg, 3 left arm, 4 right arm."""
    mesh = whole_mesh()
    rig = mesh.rig
    group = np.full(len(rig.part), -1)
    for i, name in enumerate(rig.part_names):
        side = 1 if name.endswith("_right") else 0
        if name in ("torso", "neck", "head", "scalp", "face"):
            group[rig.part == i] = 0
        elif name.split("_")[0] in ("thigh", "shin", "foot"):
            group[rig.part == i] = 1 + side
        elif name.split("_")[0] in ("forearm", "hand"):
            group[rig.part == i] = 3 + side
    inside = rig.vertices_of("inside")
    group[inside] = -1
    ids = np.flatnonzero(group >= 0)
    rng = np.random.default_rng(3)
    keep: list[NDArray] = []
    for g, count in enumerate((900, 260, 260, 110, 110)):
        mine = ids[group[ids] == g]
        keep.append(np.sort(rng.choice(mine, min(count, len(mine)), replace=False)))
    chosen = np.concatenate(keep)
    return chosen, group[chosen], ids, group


class Limbs:
    """The sampled skin of one person, posed again and again."""

    def __init__(self, rest) -> None:  # type: ignore[no-untyped-def]
        self.rest = rest
        mesh = whole_mesh()
        self.ids, self.group, _, _ = _samples()
        vertices = rest.vertices.numpy() * FLIP
        self.points = vertices[self.ids]
        self.weights = mesh.weights[self.ids]
        self.normals = vertex_normals(vertices[: mesh.body], mesh.rig.faces)[self.ids]
        self.skeleton = Skeleton(rest)

    def depth(self, rotations: Array) -> float:
        """Metres; the 97th percentile of what is inside, so that one vertex does not decide."""
        transforms = fast_transforms(self.rest, rotations)
        rows = skin_rows(self.weights, transforms)
        at = apply_rows(rows, self.points)
        m = rows.reshape(-1, 3, 4)[:, :, :3]
        normals = np.einsum("vij,vj->vi", m, self.normals)
        depths = _depths(at, normals, self.group.astype(np.int64), REACH)
        inside = depths[depths > 0]
        return float(np.sort(inside)[int(0.97 * (len(inside) - 1))]) if len(inside) >= 3 else 0.0


def fast_transforms(rest, rotations: Array) -> Array:  # type: ignore[no-untyped-def]
    """(J, 3, 4) rest -> posed in the display frame, pelvis where it is at rest; without posing vertices."""
    import torch

    from pipelines.body.rig import pose_bones

    rig = whole_mesh().rig
    tables = rig.tensors(rest.vertices)
    turn = torch.as_tensor(rig_rotations(rotations))
    linear, joints = pose_bones(rig.tree, tables["reference_frames"], rest.bone_heads, rest.bone_frames, turn,
                                rest.bone_heads[0])  # fmt: skip
    shift = joints - (linear @ rest.bone_heads[..., None])[..., 0]
    out = torch.cat([linear, shift[..., None]], -1).numpy() * FLIP[:, None]
    out[:, :, :3] *= FLIP
    return out


def open_arms(limbs: Limbs, rotations: Array, rounds: int, enough: float) -> tuple[Array, float]:
    """Turn both upper arms outwards, 4 degrees at a time, as long as that brings the penetration down."""
    best, least = rotations, limbs.depth(rotations)
    trial = rotations
    for _ in range(rounds):
        if least <= enough:
            break
        trial = trial.copy()
        limbs.skeleton.local = trial
        for side, sign in (("L", 1.0), ("R", -1.0)):
            parent, _ = limbs.skeleton.globals(f"shoulder01.{side}")
            chest, _ = limbs.skeleton.globals("spine01")
            turn = chest @ about("z", sign * 4.0) @ chest.T
            i = bone(f"upperarm01.{side}")
            trial[i] = parent.T @ turn @ parent @ trial[i]
        depth = limbs.depth(trial)
        if depth < least:
            best, least = trial, depth
    return best, least


@njit(cache=True)
def _depths(points, normals, group, reach):  # type: ignore[no-untyped-def]
    """(N,) how deep each probe is behind the nearest skin of another group, 0 outside."""
    n = len(points)
    out = np.zeros(n)
    for i in range(n):
        if group[i] == 0:
            continue
        best, at = reach * reach, -1
        for j in range(n):
            other = group[j]
            if other == group[i] or (group[i] <= 2 and other >= 3) or (group[i] <= 2 and other == 0):
                continue
            if group[i] >= 3 and other >= 3:
                continue
            d = 0.0
            for k in range(3):
                d += (points[i, k] - points[j, k]) ** 2
            if d < best:
                best, at = d, j
        if at >= 0:
            s = 0.0
            for k in range(3):
                s += (points[i, k] - points[at, k]) * normals[at, k]
            if s < 0 and s * s > 0.25 * best:
                out[i] = -s
    return out


def vertex_normals(vertices: Array, faces: NDArray[np.integer]) -> Array:
    """(V, 3) area-weighted unit normals, in double and in a fixed order."""
    return _normals(np.ascontiguousarray(vertices, np.float64), np.ascontiguousarray(faces, np.int64))


@njit(cache=True)
def _normals(v, f):  # type: ignore[no-untyped-def]
    out = np.zeros_like(v)
    for t in range(len(f)):
        a, b, c = f[t, 0], f[t, 1], f[t, 2]
        ux, uy, uz = v[b, 0] - v[a, 0], v[b, 1] - v[a, 1], v[b, 2] - v[a, 2]
        wx, wy, wz = v[c, 0] - v[a, 0], v[c, 1] - v[a, 1], v[c, 2] - v[a, 2]
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for k in (a, b, c):
            out[k, 0] += nx
            out[k, 1] += ny
            out[k, 2] += nz
    for i in range(len(out)):
        s = np.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2) + 1e-12
        out[i] /= s
    return out
