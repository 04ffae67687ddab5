"""The points that a fit looks at: landmarks, joint centres, soles, and skin vertices, folded onto the moving bones.

`LANDMARKS` says where on the body each of the 33 BlazePose landmarks lies. Shape enters linearly around the current
shape; `FitBody.linearised` makes the expansion anew (central differences of the rig's own rest body, so that kinks of
the phenotypes, stretched limbs and turned bone frames all take part).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from pipelines.body.fit_kinematics import Fold, FoldedBones, FoldedPoints, fold
from pipelines.body.joints import corner
from pipelines.body.rig import BodyRig, default_rig

Array = NDArray[np.float64]

SIDES = (("left", "L"), ("right", "R"))
MOVERS = (
    "root", "spine04", "spine02", "spine01", "neck01", "head",
    *(f"{name}.{s}" for s in "LR" for name in (
        "upperleg01", "lowerleg01", "foot", "clavicle", "upperarm01", "lowerarm01", "lowerarm02", "wrist")),
)  # fmt: skip

# Joint centres besides the landmarks, by the bone whose head they are.
JOINTS = {
    **{f"{side}_{name}": f"{bone}.{s}" for side, s in SIDES for name, bone in (
        ("hip_joint", "upperleg01"), ("knee_joint", "lowerleg01"), ("ankle_joint", "foot"),
        ("shoulder_joint", "upperarm01"), ("elbow_joint", "lowerarm01"), ("wrist_joint", "wrist"))},
    "pelvis_joint": "root", "waist_joint": "spine04", "chest_joint": "spine01", "neck_joint": "neck01",
    "head_joint": "head",
}  # fmt: skip

# Landmark -> (regressor or bone head, offset in metres on a body of 1.7 m in the reference pose: x to the person's
# left, y down, z backwards; mirrored for the right side).
_NOSE = (("nose", "nose", (0.0, 0.0, 0.0)),)
_PAIRED = (
    ("eye_inner", "lids", (0.0, 0.0, 0.0)),
    ("eye", "eye", (0.0, 0.0, 0.0)),
    ("eye_outer", "lids", (0.0, 0.0, 0.0)),
    ("ear", "ear", (-0.014, -0.007, -0.016)),
    ("mouth", "lips", (-0.002, -0.005, 0.0)),
    ("shoulder", "shoulder", (0.0, 0.0, 0.0)),
    ("elbow", "elbow", (0.0, 0.0, 0.0)),
    ("wrist", "wrist", (0.0, 0.0, 0.0)),
    ("little", "finger5-1", (-0.010, -0.015, -0.005)),
    ("index", "finger2-1", (0.0, 0.0, 0.0)),
    ("thumb", "finger1-3", (0.0, 0.0, 0.0)),
    ("hip", "hip", (0.0, 0.0, 0.0)),
    ("knee", "knee", (0.0, 0.0, 0.0)),
    ("ankle", "ankle", (0.0, 0.0, 0.0)),
    ("heel", "heel", (0.0, 0.0, 0.0)),
    ("toe", "toe", (0.0, 0.0, 0.0)),
)
LANDMARK_NAMES = (
    "nose",
    *(f"{s}_{n}" for s in ("left", "right") for n in ("eye_inner", "eye", "eye_outer")),
    *(f"{s}_{n}" for n in ("ear", "mouth", "shoulder", "elbow", "wrist", "little", "index", "thumb", "hip", "knee",
                           "ankle", "heel", "toe") for s in ("left", "right")),
)  # fmt: skip
SOLE_NAMES = tuple(f"{side}_{part}_sole" for side, _ in SIDES for part in ("heel", "ball_in", "ball_out"))


@dataclass(frozen=True)
class Linearised:
    """Everything the terms need near one shape. phenotypes (6,), lengths (9,): the shape. height: metres, standing."""

    phenotypes: Array
    lengths: Array
    bones: FoldedBones
    points: FoldedPoints
    skin: FoldedPoints
    height: float


class FitBody:
    """The rig cut down to what a fit needs. `names` are the rows of the points."""

    def __init__(self, rig: BodyRig) -> None:
        self.rig = rig
        self.fold: Fold = fold(rig.bone_names, rig.parents, MOVERS)
        self.skin_ids = skin_sample(rig)
        rest = rig.rest(rig.default_phenotypes())
        self.names = (*LANDMARK_NAMES, *JOINTS, *SOLE_NAMES, "crown")
        self.row = {name: i for i, name in enumerate(self.names)}
        rows = [_point_row(rig, name, rest.vertices, rest.bone_heads) for name in self.names]
        used = np.unique(np.concatenate([self.skin_ids, *(v for v, _, _, _ in rows)]))
        self.small = rig.subset(used)
        place = np.full(rig.vertex_count, -1)
        place[used] = np.arange(len(used))
        self._weights = np.zeros((len(rows), len(used)))
        self._heads = np.zeros((len(rows), rig.bone_count))
        self._extra = np.zeros((len(rows), 3))
        for i, (vertices, weights, bone, offset) in enumerate(rows):
            np.add.at(self._weights[i], place[vertices], weights)
            if bone >= 0:
                self._heads[i, bone] = 1.0
            self._extra[i] = offset
        self._skin_rows = place[self.skin_ids]
        skinning = self.small.dense_weights().astype(np.float64)
        self._a = self._weights @ skinning
        # A point's share on a bone: (pair, vertex) weights, for the few pairs of point and bone that have any.
        self._pairs = np.nonzero(self._a > 1e-9)
        shares = self._weights[self._pairs[0]] * skinning[:, self._pairs[1]].T
        self._shares = csr_matrix(shares)
        self._skin_a = skinning[self._skin_rows]
        self._skin_pairs = np.nonzero(self._skin_a > 1e-9)
        self._extra_bone = (self._a + self._heads).argmax(1)
        self.reference_height = float(np.ptp(rest.vertices[:, 1]))
        self._owner_sum = np.eye(len(self.fold.bones))[self.fold.owner]  # (J, M)

    def _folded(self, phenotypes: Array, lengths: Array) -> tuple[Array, Array, Array, Array]:
        """Batched over B shapes: offsets (B, M, 3), X (B, N, M, 3), skin X (B, V, M, 3), heights (B,)."""
        rest = self.small.rest(torch.as_tensor(phenotypes), None, None, torch.as_tensor(lengths))
        v, h, frames = (x.numpy().astype(np.float64) for x in (rest.vertices, rest.bone_heads, rest.bone_frames))
        A = self.rig.arrays.reference_frames.astype(np.float64) @ frames.swapaxes(-1, -2)
        parent = np.maximum(self.rig.parents, 0)
        steps = h - h[:, parent]
        turned = (A[:, parent] @ steps[..., None])[..., 0]
        turned[:, parent == 0] = steps[:, parent == 0]
        # Each bone's head relative to its mover's head, and each mover's offset from its parent mover.
        inside = np.zeros_like(h)
        offsets = np.zeros((len(h), len(self.fold.bones), 3))
        place = {int(b): m for m, b in enumerate(self.fold.bones)}
        for j in range(1, h.shape[1]):
            value = inside[:, parent[j]] + turned[:, j]
            if j in place:
                offsets[:, place[j]] = value
            else:
                inside[:, j] = value
        b, m = len(h), len(self.fold.bones)

        def share(at: Array, weight: Array, bone: NDArray) -> Array:
            """Weighted vertex sums (B, pairs, 3), their weights and bones -> the pair's X about the mover's head."""
            turned_about_head = (A[:, bone] @ (at - weight[:, None] * h[:, bone])[..., None])[..., 0]
            return turned_about_head + weight[:, None] * inside[:, bone]

        points, at_bones = self._pairs
        at = (self._shares @ v.transpose(1, 0, 2).reshape(v.shape[1], -1)).reshape(-1, b, 3).transpose(1, 0, 2)
        X = np.zeros((b, len(self.names), m, 3))
        rows = share(at, self._a[points, at_bones], at_bones)
        for k, (point, bone) in enumerate(zip(points, at_bones, strict=True)):
            X[:, point, self.fold.owner[bone]] += rows[:, k]
        X += np.einsum("nj,bji,jm->bnmi", self._heads, inside, self._owner_sum, optimize=True)
        heights = np.ptp(v[:, self._skin_rows, 1], axis=1)
        every = np.arange(len(self._extra))
        X[:, every, self.fold.owner[self._extra_bone]] += self._extra * (heights / self.reference_height)[:, None, None]
        points, at_bones = self._skin_pairs
        weight = self._skin_a[points, at_bones]
        skin = np.zeros((b, len(self._skin_rows), m, 3))
        rows = share(weight[:, None] * v[:, self._skin_rows[points]], weight, at_bones)
        for k, (point, bone) in enumerate(zip(points, at_bones, strict=True)):
            skin[:, point, self.fold.owner[bone]] += rows[:, k]
        return offsets, X, skin, heights

    def linearised(self, phenotypes: Array, lengths: Array) -> Linearised:
        """The expansion around one shape: phenotypes (6,) 0..1, lengths (9,) natural logarithms of factors."""
        p, g = len(phenotypes), len(lengths)
        step = 0.02
        shapes = np.tile(np.concatenate([phenotypes, lengths]), (p + g + 1, 1))
        signs = np.ones(p + g)
        for s in range(p + g):
            # Phenotypes have kinks at their anchors; stepping towards the middle keeps the step inside 0..1.
            signs[s] = -1.0 if s < p and shapes[0, s] > 0.5 else 1.0
            shapes[s + 1, s] += signs[s] * step
        offsets, X, skin, heights = self._folded(shapes[:, :p], shapes[:, p:])
        slope = 1.0 / (signs * step)
        a = (self._a + self._heads) @ self._owner_sum
        skin_a = self._skin_a @ self._owner_sum

        def difference(values: Array) -> Array:
            return (values[1:] - values[:1]) * slope.reshape(-1, *[1] * (values.ndim - 1))

        return Linearised(
            np.array(phenotypes, np.float64),
            np.array(lengths, np.float64),
            FoldedBones(offsets[0], difference(offsets)),
            FoldedPoints(X[0], a, difference(X)),
            FoldedPoints(skin[0], skin_a, difference(skin)),
            float(heights[0]),
        )


def _point_row(rig: BodyRig, name: str, vertices: NDArray, heads: NDArray) -> tuple:
    """A point -> (vertex ids, weights, bone or -1, offset)."""
    none = (np.zeros(0, np.int64), np.zeros(0))
    if name in JOINTS:
        return (*none, rig.bone(JOINTS[name]), np.zeros(3))
    if name.endswith("_sole"):
        return _sole_row(rig, name, vertices)
    if name == "crown":
        return np.array([int(vertices[:, 1].argmin())]), np.ones(1), -1, np.zeros(3)
    if name == "nose":
        _, source, offset = _NOSE[0]
        side, sign = "", 1.0
    else:
        side, part = name.split("_", 1)
        sign = 1.0 if side == "left" else -1.0
        _, source, offset = next(row for row in _PAIRED if row[0] == part)
    shift = np.array(offset) * (sign, 1.0, 1.0)
    if source.startswith("finger"):
        return (*none, rig.bone(f"{source}.{'L' if side == 'left' else 'R'}"), shift)
    if source in ("lids", "lips"):
        outwards = sign * (-1.0 if part == "eye_inner" else 1.0)
        rim = "lips_inner" if source == "lips" else f"lids_{side}"
        return (*corner(rig, rim, outwards), -1, shift)
    if source == "toe":
        parts = [(f"{side}_big_toe", 0.8), (f"{side}_small_toe", 0.2)]
    else:
        parts = [("nose" if source == "nose" else f"{side}_{source}", 1.0)]
    rows = [(rig.arrays.keypoint_rows[rig.keypoint_names.index(n)], w) for n, w in parts]
    ids = np.concatenate([v for (v, _), _ in rows])
    weights = np.concatenate([np.asarray(r, np.float64) * w for (_, r), w in rows])
    return ids, weights, -1, shift


def _sole_row(rig: BodyRig, name: str, vertices: NDArray) -> tuple:
    """The lowest skin of the foot at the heel, the inner or the outer ball."""
    side, part = name.split("_", 1)
    ids = rig.vertices_of(f"sole_{side}")
    at = vertices[ids]
    out = 1.0 if side == "left" else -1.0
    long = (at[:, 2] - at[:, 2].min()) / np.ptp(at[:, 2])
    if part == "heel_sole":
        score = long
    else:
        # The ball lies at about 3/10 of the foot's length from the toes.
        score = -np.abs(long - 0.3) + (-1.5 if part == "ball_in_sole" else 1.5) * out * at[:, 0]
    chosen = ids[np.argsort(-score, kind="stable")[:6]]
    return chosen, np.full(len(chosen), 1 / len(chosen)), -1, np.zeros(3)


def skin_sample(rig: BodyRig, count: int = 360) -> NDArray[np.int64]:
    """Vertices spread over the outside of the body (farthest point sampling from vertex 0), without fingers."""
    skip = np.union1d(rig.vertices_of("inside", "eyes"), rig.vertices_of("hands"))
    ids = np.setdiff1d(np.arange(rig.vertex_count), skip)
    at = rig.rest(rig.default_phenotypes()).vertices[ids].astype(np.float64)
    chosen = [int(at[:, 1].argmin()), int(at[:, 1].argmax())]
    distance = np.minimum(*(np.linalg.norm(at - at[c], axis=1) for c in chosen))
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(at - at[chosen[-1]], axis=1))
    return ids[np.array(chosen)]


@lru_cache(maxsize=1)
def default_fit_body() -> FitBody:
    """The points on the repository's rig, prepared once per process."""
    return FitBody(default_rig())
