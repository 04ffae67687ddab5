"""A few points of the body as a function of shape and pose, without skinning the mesh.

A point is a weighted mean of vertices, p_k = sum_v w_kv sum_b W_vb T_b v. Exchanging the sums gives
p_k = sum_b T_b A_kb with A_kb = sum_v w_kv W_vb v(shape): once per pair (k, b) a vector that is linear in the shape
coefficients. Bones that no point depends on are left out of the chain. The result equals skinning all vertices and
taking the means, up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.body.kinematics import BoneTree, nearest_rotation
from pipelines.body.rig import as_tensors, linear, out, pose_bones, stretch_bones

if TYPE_CHECKING:
    from pipelines.body.rig import BodyRig, Values

# A bone's name (its joint), a keypoint's name, or vertex ids with weights that sum to 1.
Point = str | tuple[NDArray[np.integer], NDArray[np.floating]]
Row = tuple[NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True)
class PointRest:
    """Shape-dependent part: moments (P, 3) and masses (P,) of the pairs, heads and frames of the operator's bones."""

    moments: Any
    heads: Any
    frames: Any


class KeypointOperator:
    """`rest` for a shape, then `pose` for a pose; both differentiable, numpy or torch as in `BodyRig`.

    points: K entries, each a bone name (its joint), a name of `rig.keypoint_names`, or (vertex ids, weights).
    """

    def __init__(self, rig: BodyRig, points: list[Point]) -> None:
        self.rig = rig
        self.count = len(points)
        self.names = [p if isinstance(p, str) else f"point {i}" for i, p in enumerate(points)]
        at_bones: list[tuple[int, int]] = []
        regressed: list[tuple[int, Row]] = []
        for k, point in enumerate(points):
            if isinstance(point, str) and point in rig.bone_names:
                at_bones.append((k, rig.bone(point)))
            else:
                regressed.append((k, self._row(point)))
        self.pair_point: NDArray[np.int64]
        self.pair_bone: NDArray[np.int64]
        self.triple_pair: NDArray[np.int64]
        self.triple_source: NDArray[np.int64]
        self._moments: dict[str, NDArray[np.float64]] = {}
        self._collect_pairs(regressed)
        wanted = {bone for _, bone in at_bones} | set(self.pair_bone.tolist()) | set(self.triple_source.tolist())
        self.bones = self._closure(wanted)
        place = {bone: i for i, bone in enumerate(self.bones)}
        self.child = [place.get(int(rig._bone_child[b]), i) for i, b in enumerate(self.bones)]
        parents = [place.get(int(rig.parents[bone]), -1) for bone in self.bones]
        self.tree = BoneTree(parents)
        self.pair_bone = np.array([place[b] for b in self.pair_bone], np.int64)
        self.triple_source = np.array([place[b] for b in self.triple_source], np.int64)
        self.at_points = np.array([k for k, _ in at_bones], np.int64)
        self.at_bones = np.array([place[b] for _, b in at_bones], np.int64)
        self._tensors: dict[tuple[torch.dtype, torch.device], dict[str, Tensor]] = {}

    def _row(self, point: Point) -> Row:
        if isinstance(point, str):
            if point not in self.rig.keypoint_names:
                raise ValueError(f"{point!r} is neither a bone nor a keypoint of this body.")
            point = self.rig.arrays.keypoint_rows[self.rig.keypoint_names.index(point)]
        vertices, weights = np.asarray(point[0], np.int64), np.asarray(point[1], np.float64)
        if vertices.shape != weights.shape or vertices.ndim != 1 or abs(weights.sum() - 1) > 1e-4:
            raise ValueError("A point needs vertex ids and weights of one length, weights summing to 1.")
        return vertices, weights

    def _collect_pairs(self, regressed: list[tuple[int, Row]]) -> None:
        """Pairs (point, bone) with their moments, and triples (pair, second bone) that stretched lengths need."""
        rig, dense = self.rig, self.rig.dense_weights().astype(np.float64)
        pair_point: list[int] = []
        pair_bone: list[int] = []
        pair_rows: list[Row] = []
        triple_pair: list[int] = []
        triple_source: list[int] = []
        triple_rows: list[Row] = []
        for k, (vertices, weights) in regressed:
            local = dense[vertices]
            bones = np.flatnonzero(local.any(0))
            for bone in bones:
                row = weights * local[:, bone]
                for other in np.flatnonzero(local[row > 0].any(0)):
                    triple_pair.append(len(pair_point))
                    triple_source.append(int(other))
                    triple_rows.append((vertices, row * local[:, other]))
                pair_point.append(k)
                pair_bone.append(int(bone))
                pair_rows.append((vertices, row))
        self.pair_point = np.array(pair_point, np.int64)
        self.pair_bone = np.array(pair_bone, np.int64)
        self.triple_pair = np.array(triple_pair, np.int64)
        self.triple_source = np.array(triple_source, np.int64)
        a = rig.arrays
        full = np.zeros((len(a.expression_names), rig.vertex_count, 3), np.float32)
        full[:, a.expression_vertices] = a.expression
        blocks = {"template": a.template[None], "basis": a.basis, "local": a.local, "expression": full}
        for kind, rows in (("pair", pair_rows), ("triple", triple_rows)):
            self._moments[f"{kind}_mass"] = np.array([row.sum() for _, row in rows])
            for name, block in blocks.items():
                parts = [np.einsum("v,svd->sd", row, block[:, ids]) for ids, row in rows]
                self._moments[f"{kind}_{name}"] = np.stack(parts, 1) if parts else np.zeros((len(block), 0, 3))

    def _closure(self, wanted: set[int]) -> list[int]:
        """The bones, all their ancestors, and the children that give the stretching ones an axis; rig order."""
        closed = {0}
        for bone in wanted:
            while bone >= 0 and bone not in closed:
                closed.add(bone)
                bone = int(self.rig.parents[bone])
        axial = [b for b in closed if self.rig._bone_kind[b] == 1]
        return sorted(closed | {int(self.rig._bone_child[b]) for b in axial})

    def _cast(self, like: Tensor) -> dict[str, Tensor]:
        key = (like.dtype, like.device)
        if key not in self._tensors:
            bones = torch.as_tensor(self.bones)
            t = self.rig.tensors(like)
            made = {name: torch.as_tensor(value).to(like) for name, value in self._moments.items()}
            for kind in ("pair", "triple"):
                made[f"{kind}_template"] = made[f"{kind}_template"][0]
            for name in ("bone_heads", "bone_frames", "reference_frames", "length_group", "length_kind"):
                made[name] = t[name][bones.to(like.device)]
            for name in ("bone_heads_basis", "bone_heads_local", "bone_frames_basis", "bone_frames_local"):
                made[name] = t[name][:, bones.to(like.device)].contiguous()
            whole = {"length_child": np.array(self.child), "bones": np.array(self.bones), "pair_bone": self.pair_bone,
                     "pair_point": self.pair_point, "triple_pair": self.triple_pair,
                     "triple_source": self.triple_source, "at_points": self.at_points,
                     "at_bones": self.at_bones}  # fmt: skip
            made |= {name: torch.as_tensor(value).to(like.device) for name, value in whole.items()}
            self._tensors[key] = made
        return self._tensors[key]

    def rest(self, phenotypes: Values, local: Values | None = None, expression: Values | None = None,
             length_scales: Values | dict[str, Any] | None = None) -> PointRest:  # fmt: skip
        """Arguments as `BodyRig.rest`."""
        scales_in = self.rig._scale_vector(length_scales)
        values, numpy = as_tensors(phenotypes, local, expression, scales_in)
        phenotypes, local, expression, scales = values
        t = self._cast(phenotypes)
        c = self.rig.coefficients(phenotypes, local)
        used = c if local is not None else c[..., : t["bone_heads_basis"].shape[0]]
        heads = t["bone_heads"] + linear(used, t, "bone_heads_basis", "bone_heads_local")
        frames = nearest_rotation(t["bone_frames"] + linear(used, t, "bone_frames_basis", "bone_frames_local"))
        kind = "pair" if scales is None else "triple"
        moments = t[f"{kind}_template"] + linear(used, t, f"{kind}_basis", f"{kind}_local")
        if expression is not None:
            moments = moments + (expression @ t[f"{kind}_expression"].flatten(1)).unflatten(-1, (-1, 3))
        if scales is not None:
            stretch, moved = stretch_bones(self.tree.to(heads.device), t, heads, scales)
            source = t["triple_source"]
            mass = t["triple_mass"][:, None]
            turned = (stretch[..., source, :, :] @ (moments - mass * heads[..., source, :])[..., None])[..., 0]
            turned = turned + mass * moved[..., source, :]
            shape = (*turned.shape[:-2], len(self.pair_point), 3)
            moments, heads = turned.new_zeros(shape).index_add(-2, t["triple_pair"], turned), moved
        return PointRest(*(out(x, numpy) for x in (moments, heads, frames)))

    def pose(self, rest: PointRest, rotations: Values, root_translation: Values) -> Any:
        """Points (K, 3), metres, OpenCV axes; rotations (J, 3, 3) of ALL bones of the rig, as `BodyRig.pose`."""
        values, numpy = as_tensors(rest.moments, rest.heads, rest.frames, rotations, root_translation)
        moments, heads, frames, rotations, root = values
        t = self._cast(heads)
        tree = self.tree.to(heads.device)
        rotations = rotations[..., t["bones"], :, :]
        matrices, joints = pose_bones(tree, t["reference_frames"], heads, frames, rotations, root)
        bone = t["pair_bone"]
        mass = t["pair_mass"][:, None]
        parts = (matrices[..., bone, :, :] @ (moments - mass * heads[..., bone, :])[..., None])[..., 0]
        parts = parts + mass * joints[..., bone, :]
        points = parts.new_zeros(*parts.shape[:-2], self.count, 3).index_add(-2, t["pair_point"], parts)
        if len(self.at_points):
            points = points.index_add(-2, t["at_points"], joints[..., t["at_bones"], :])
        return out(points, numpy)
