"""A body record as points that move with a few bones, around the pose and shape that the record has.

Every rotation of a refinement is a turn on top of the record's own, about the posed joint and in the camera's axes, so
that bodies of any origin can be refined, not only those of our own fit. With T_b the record's bone transforms, w_m the
posed head of moving bone m and a_nb skin weights, a skin point is exactly

    p_n = sum_m Delta_m X_nm + a_nm w'_m,    X_nm = sum over the bones b carried by m of a_nb (T_b x_n - w_m),

which is the form of `pipelines.body.fit_kinematics`: positions and exact derivatives come from there. Shape enters
linearly around the record's shape, by differences of the rig's own rest body.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.body.fit_kinematics import Fold, FoldedBones, FoldedPoints, Posed, jacobian, pose, positions
from pipelines.body.fit_points import FitBody, default_fit_body
from pipelines.body.read_body import check_body, rest_body, with_pose
from pipelines.body.rig import BodyRig
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.rotations import matrix_from_rotation_vector
from pipelines.records import Body

Array = NDArray[np.float64]
POINTS = 1200  # on the skin: about 4 cm apart
CORE = 0.0275  # metres on a body of 1.7 m by which the core lies below the skin
SHAPE_STEP = 0.02  # of the differences by which shape is made linear
LANDMARKS = 33


@dataclass(frozen=True)
class Change:
    """What a refinement adds to a record. root (3, 3) and theta (M, 3; row 0 unused): turns of the moving bones, camera
    axes; translation (3,) metres; shape (S,): phenotypes, then log lengths."""

    root: Array
    theta: Array
    translation: Array
    shape: Array

    def stepped(self, step: Array) -> Change:
        """After a step (3 M + 3 + S,) in the columns of the Jacobian."""
        m = 3 * len(self.theta)
        theta = self.theta + np.concatenate([np.zeros(3), step[3:m]]).reshape(-1, 3)
        root = self.root @ matrix_from_rotation_vector(step[:3])
        return Change(root, theta, self.translation + step[m : m + 3], self.shape + step[m + 3 :])


@dataclass(frozen=True)
class Moved:
    """One change, applied. skin and core (N, 3), landmarks (33, 3), camera frame, metres. with_slopes: whether
    derivatives are wanted; a step that is only tried needs none."""

    change: Change
    with_slopes: bool
    posed: Posed
    skin: Array
    core: Array
    landmarks: Array


class MovingBody:
    """The points of one record: `skin`, `core` (the same points a little below the skin, of which soft silhouettes are
    made) and the photo's 33 `landmarks`. `turns` (M, 3, 3): orientation of each moving bone in the record, reference
    axes -> camera; the bones' names are in `fold`. ValueError for a record of another body model."""

    def __init__(self, body: Body) -> None:
        self.body, self.rig = body, check_body(body)
        fit = default_fit_body()
        self.fold: Fold = fit.fold
        self.ids, small = skin_points(self.rig)
        self.part = self.rig.part[self.ids]
        heads, transforms, vertices, self.phenotypes, self.lengths = shapes_around(body, small)
        rest = rest_body(body, self.rig)
        align = self.rig.arrays.reference_frames @ np.swapaxes(rest.bone_frames, -1, -2)
        self.bone_turns: Array = transforms[0, :, :, :3] @ np.swapaxes(align, -1, -2)
        self.turns: Array = self.bone_turns[self.fold.bones]
        self.heads: Array = heads[0, self.fold.bones]
        self.height = float(np.ptp(rest.vertices[:, 1]))
        below = CORE * self.height / 1.7 * vertex_normals(rest.vertices, self.rig.faces)[self.ids]
        weights = small.dense_weights().astype(np.float64)
        at = heads[:, self.fold.bones]
        offsets = at - at[:, np.maximum(self.fold.parents, 0)]
        self.bones = FoldedBones(offsets[0], self._slope(offsets))
        a = weights @ np.eye(len(self.fold.bones))[self.fold.owner]
        X = self._shares(weights, a, heads, transforms, vertices)
        self.skin = FoldedPoints(X[0], a, self._slope(X))
        inner = self._shares(weights, a, heads[:1], transforms[:1], vertices[:1] - below)
        self.core = FoldedPoints(inner[0], a, self.skin.dX)
        self.landmarks = self._landmarks(fit)

    def _shares(self, weights: Array, a: Array, heads: Array, transforms: Array, vertices: Array) -> Array:
        """X (B, N, M, 3) of B shapes: weights (N, J) by bone and a (N, M) by moving bone, heads (B, J, 3), transforms
        (B, J, 3, 4), rest vertices (B, N, 3)."""
        shapes = len(heads)
        X = np.zeros((shapes, *a.shape, 3))
        for m, bone in enumerate(self.fold.bones):
            mine = np.flatnonzero(self.fold.owner == m)
            touched = np.flatnonzero(a[:, m] > 1e-6)
            bones = transforms[:, mine].reshape(shapes, len(mine), 12)
            rows = (weights[np.ix_(touched, mine)] @ bones).reshape(shapes, len(touched), 3, 4)
            share = (rows[..., :3] @ vertices[:, touched, :, None])[..., 0] + rows[..., 3]
            X[:, touched, m] = share - a[touched, m, None] * heads[:, None, bone]
        return X

    def _slope(self, values: Array) -> Array:
        """Derivatives by shape of what was computed for `shapes_around`."""
        steps = shape_steps(self.phenotypes, self.lengths)
        return (values[1:] - values[:1]) / steps.reshape(-1, *[1] * (values.ndim - 1))

    def _landmarks(self, fit: FitBody) -> FoldedPoints:
        """The 33 landmarks: those of the fit, turned with the record's moving bones."""
        points = fit.linearised(self.phenotypes, self.lengths).points[np.arange(LANDMARKS)]
        X = np.einsum("mij,nmj->nmi", self.turns, points.X)
        dX = np.einsum("mij,snmj->snmi", self.turns, points.dX)
        return FoldedPoints(X, points.a, dX)

    @property
    def columns(self) -> int:
        """Of every Jacobian: turns (root first), translation, shape."""
        return 3 * len(self.fold.bones) + 3 + len(self.phenotypes) + len(self.lengths)

    def start(self) -> Change:
        """No change."""
        return Change(
            np.eye(3),
            np.zeros((len(self.fold.bones), 3)),
            np.zeros(3),
            np.zeros(len(self.phenotypes) + len(self.lengths)),
        )

    def moved(self, change: Change, *, with_slopes: bool = True) -> Moved:
        """The points after a change."""
        posed = pose(self.fold, self.bones.at(change.shape), change.root, change.theta,
                     self.heads[0] + change.translation)  # fmt: skip
        every = (self.skin, self.core, self.landmarks)
        skin, core, landmarks = (positions(points.at(change.shape), posed) for points in every)
        return Moved(change, with_slopes, posed, skin, core, landmarks)

    def slopes(self, points: FoldedPoints, moved: Moved) -> Array:
        """(N, 3, P) derivatives of points by turns, translation and shape; P is 0 where none are wanted."""
        if not moved.with_slopes or not len(points.X):
            return np.zeros((len(points.X), 3, self.columns if moved.with_slopes else 0))
        return jacobian(self.fold, points.at(moved.change.shape), moved.posed)

    def pose_of(self, moved: Moved) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """rotations (J, 3, 3) "anny-local-ref" and root_translation (3,) of the changed record."""
        rotations = self.body["rotations"].astype(np.float64).copy()
        for m, bone in enumerate(self.fold.bones):
            if m == 0:
                rotations[bone] = moved.posed.G[0] @ rotations[bone]
                continue
            above = self.bone_turns[self.rig.parents[bone]]
            turn = moved.posed.G[self.fold.parents[m]].T @ moved.posed.G[m]
            rotations[bone] = above.T @ turn @ above @ rotations[bone]
        return rotations.astype(np.float32), moved.posed.w[0].astype(np.float32)

    def shape_of(self, change: Change) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """phenotypes (6,) and log lengths (9,) of the changed record."""
        p = len(self.phenotypes)
        phenotypes = np.clip(self.phenotypes + change.shape[:p], 0.0, 1.0)
        return phenotypes.astype(np.float32), (self.lengths + change.shape[p:]).astype(np.float32)

    def record(self, moved: Moved) -> Body:
        """The record with the change in it; camera, image and pitch stay, the ground is found anew."""
        phenotypes, lengths = self.shape_of(moved.change)
        arrays = {**self.body.arrays, "phenotypes": phenotypes, "length_scales": lengths}
        return with_pose(dataclasses.replace(self.body, arrays=arrays, history={}), *self.pose_of(moved))


def shapes_around(body: Body, small: BodyRig) -> tuple[Array, Array, Array, Array, Array]:
    """The record's pose on its own shape and on one shape for each parameter: posed heads (B, J, 3), transforms
    (B, J, 3, 4), rest vertices (B, N, 3) of `small`; and the phenotypes (6,) and log lengths (9,)."""
    rig = small
    found = body.arrays
    phenotypes = np.asarray(found.get("phenotypes", rig.default_phenotypes()), np.float64)
    lengths = np.asarray(found.get("length_scales", np.zeros(len(rig.length_names))), np.float64)
    steps = shape_steps(phenotypes, lengths)
    shapes = np.tile(np.concatenate([phenotypes, lengths]), (len(steps) + 1, 1))
    shapes[np.arange(len(steps)) + 1, np.arange(len(steps))] += steps

    def given(name: str, size: int) -> torch.Tensor | None:
        value = found.get(name)
        fits = value is not None and len(value) == size and np.any(value)
        return torch.as_tensor(np.asarray(value, np.float64)) if fits else None

    p = len(phenotypes)
    batch = len(shapes)
    rest = small.rest(
        torch.as_tensor(shapes[:, :p]), given("local_changes", len(rig.local_names)),
        given("expression", len(rig.expression_names)), torch.as_tensor(shapes[:, p:]),
    )  # fmt: skip
    turns = torch.as_tensor(body["rotations"].astype(np.float64)).expand(batch, -1, -1, -1)
    root = torch.as_tensor(body["root_translation"].astype(np.float64)).expand(batch, -1)
    posed = small.pose(rest, turns, root)
    transforms = posed.transforms.numpy()[:, :, :3]
    return posed.joints.numpy(), transforms, rest.vertices.numpy(), phenotypes, lengths


def shape_steps(phenotypes: Array, lengths: Array) -> Array:
    """(S,) signed steps; phenotypes have kinks at their anchors and end at 0 and 1, so these step towards the middle."""
    return SHAPE_STEP * np.concatenate([np.where(phenotypes > 0.5, -1.0, 1.0), np.ones(len(lengths))])


@lru_cache(maxsize=2)
def skin_points(rig: BodyRig) -> tuple[NDArray[np.int64], BodyRig]:
    """Vertices spread over the outside of the body (farthest point sampling), and the rig of these alone."""
    ids = np.setdiff1d(np.arange(rig.vertex_count), rig.vertices_of("inside", "eyes"))
    at = rig.rest(rig.default_phenotypes()).vertices[ids].astype(np.float64)
    chosen = [int(at[:, 1].argmin())]
    distance = ((at - at[chosen[0]]) ** 2).sum(1)
    while len(chosen) < POINTS:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((at - at[chosen[-1]]) ** 2).sum(1))
    found = ids[np.sort(chosen)]
    return found, rig.subset(found)
