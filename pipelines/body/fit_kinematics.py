"""Forward kinematics of the few bones that a fit moves, with its exact Jacobian, by hand.

A rig has about a hundred bones; a photo decides about two dozen of them. Every bone that never moves is folded into
its nearest moving ancestor. A point of the body (a landmark, a joint, a skin vertex) is then

    p = sum_b G_b X_b + a_b w_b,    G_b = G_parent D_b,    w_b = w_parent + G_parent o_b,

with X_b the point's skinned share on bone b relative to that bone's head, a_b its skin weight, o_b the head's
offset from the parent's head (both in the rig's reference pose, both linear in the shape near one shape), and
D_b = exp(theta_b) the bone's rotation in world-aligned axes. The derivative by a rotation is the cross product of
its axis with the part of the point that hangs below the bone (the geometric Jacobian of robotics).
`slow_points` is the plain twin that judges it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.rotations import matrix_from_rotation_vector

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fold:
    """Which bones move. bones: (M,) indices in the rig, parents first, the root at 0. parents: (M,) index into
    `bones`, -1 for the root. owner: (J,) index into `bones` of the mover that carries each rig bone.
    below: (M, M), below[j, b] = 1 when b is j or hangs below it."""

    names: tuple[str, ...]
    bones: NDArray[np.int64]
    parents: tuple[int, ...]
    owner: NDArray[np.int64]
    below: Array

    def __getitem__(self, name: str) -> int:
        return self.names.index(name)


def fold(joint_names: tuple[str, ...], joint_parents: NDArray[np.integer], movable: tuple[str, ...]) -> Fold:
    """The movers among a rig's joints (parents come before children, the root first)."""
    if not movable or movable[0] != joint_names[0]:
        raise ValueError(f"The first movable bone came as '{movable[:1]}'; it needs the root '{joint_names[0]}'.")
    index = {name: i for i, name in enumerate(joint_names)}
    missing = [name for name in movable if name not in index]
    if missing:
        raise ValueError(f"The rig has no bones {missing}; it has {', '.join(joint_names[:8])}, ...")
    bones = np.array(sorted(index[name] for name in movable))
    place = {int(b): m for m, b in enumerate(bones)}
    owner = np.zeros(len(joint_names), np.int64)
    for j, parent in enumerate(joint_parents):
        owner[j] = place[j] if j in place else owner[parent]
    parents = tuple(-1 if m == 0 else int(owner[joint_parents[b]]) for m, b in enumerate(bones))
    below = np.eye(len(bones))
    for m in range(len(bones) - 1, 0, -1):
        below[parents[m]] += below[m]
    return Fold(tuple(joint_names[b] for b in bones), bones, parents, owner, below)


@dataclass(frozen=True)
class FoldedPoints:
    """N body points on M movers near one shape. X: (N, M, 3) metres. a: (N, M) skin weights.
    dX: (S, N, M, 3) change per unit of each shape parameter."""

    X: Array
    a: Array
    dX: Array

    def __getitem__(self, rows: NDArray) -> FoldedPoints:
        return FoldedPoints(self.X[rows], self.a[rows], self.dX[:, rows])

    def at(self, step: Array) -> FoldedPoints:
        """The same points after a shape step (S,)."""
        return FoldedPoints(self.X + np.tensordot(step, self.dX, 1), self.a, self.dX)


@dataclass(frozen=True)
class FoldedBones:
    """offsets: (M, 3) from the parent mover's head, metres (the root's is 0). d_offsets: (S, M, 3)."""

    offsets: Array
    d_offsets: Array

    def at(self, step: Array) -> FoldedBones:
        """The same bones after a shape step (S,)."""
        return FoldedBones(self.offsets + np.tensordot(step, self.d_offsets, 1), self.d_offsets)


def concatenated(*groups: FoldedPoints) -> FoldedPoints:
    """Several groups of points in a row."""
    return FoldedPoints(
        np.concatenate([g.X for g in groups]),
        np.concatenate([g.a for g in groups]),
        np.concatenate([g.dX for g in groups], 1),
    )


def heads_as_points(folded: Fold, movers: list[int], shape_size: int) -> FoldedPoints:
    """The heads of some movers as points (their X is 0)."""
    a = np.eye(len(folded.bones))[movers]
    zeros = np.zeros((len(movers), len(folded.bones), 3))
    return FoldedPoints(zeros, a, np.zeros((shape_size, *zeros.shape)))


@dataclass(frozen=True)
class Posed:
    """G: (M, 3, 3) orientations and w: (M, 3) heads of the movers in the camera frame; axes: (M, 3, 3), columns =
    the camera-frame axes about which the mover's three rotation parameters turn; dw: (S, M, 3)."""

    G: Array
    w: Array
    axes: Array
    dw: Array


def pose(folded: Fold, bones: FoldedBones, root: Array, theta: Array, translation: Array) -> Posed:
    """root: (3, 3) orientation of the root; theta: (M, 3) rotation vectors, row 0 unused; translation: (3,)."""
    D = np.asarray(matrix_from_rotation_vector(theta), np.float64)
    G = np.empty_like(D)
    w = np.empty((len(D), 3))
    dw = np.zeros_like(bones.d_offsets)
    G[0], w[0] = root, translation
    for m in range(1, len(D)):
        p = folded.parents[m]
        G[m] = G[p] @ D[m]
        w[m] = w[p] + G[p] @ bones.offsets[m]
        dw[:, m] = dw[:, p] + bones.d_offsets[:, m] @ G[p].T
    axes = G @ right_jacobian(theta)
    axes[0] = root
    return Posed(G, w, axes, dw)


def right_jacobian(theta: Array) -> Array:
    """(M, 3) -> (M, 3, 3): exp(theta + d) = exp(theta) exp(J d) to first order."""
    angle = np.linalg.norm(theta, axis=1)[:, None, None]
    K = skew(theta)
    safe = np.where(angle < 1e-4, 1.0, angle)
    first = np.where(angle < 1e-4, 0.5, (1 - np.cos(safe)) / safe**2)
    second = np.where(angle < 1e-4, 1 / 6, (safe - np.sin(safe)) / safe**3)
    return np.eye(3) - first * K + second * (K @ K)


def skew(v: Array) -> Array:
    """(..., 3) -> (..., 3, 3) with skew(v) u = v x u."""
    out = np.zeros((*v.shape[:-1], 3, 3))
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    out[..., 1, 0], out[..., 2, 0], out[..., 2, 1] = v[..., 2], -v[..., 1], v[..., 0]
    return out


def positions(points: FoldedPoints, posed: Posed) -> Array:
    """(N, 3) camera-frame metres."""
    n = len(points.X)
    return points.X.reshape(n, -1) @ posed.G.transpose(0, 2, 1).reshape(-1, 3) + points.a @ posed.w


def jacobian(folded: Fold, points: FoldedPoints, posed: Posed) -> Array:
    """(N, 3, 3 M + 3 + S): derivatives of `positions` by rotations (mover by mover), translation, shape."""
    n, m = points.a.shape
    shapes = len(points.dX)
    share = np.einsum("bij,nbj->nbi", posed.G, points.X, optimize=False) + points.a[..., None] * posed.w
    hanging = np.einsum("jb,nbi->nji", folded.below, share) - (points.a @ folded.below.T)[..., None] * posed.w
    out = np.zeros((n, 3, 3 * m + 3 + shapes))
    # d p = axis x hanging = -skew(hanging) axis
    turns = -np.einsum("njik,jkc->nijc", skew(hanging), posed.axes)
    out[:, :, : 3 * m] = turns.reshape(n, 3, 3 * m)
    out[:, :, 3 * m : 3 * m + 3] = np.eye(3)
    if shapes:
        grown = points.dX.reshape(shapes * n, -1) @ posed.G.transpose(0, 2, 1).reshape(-1, 3)
        grown = grown.reshape(shapes, n, 3) + np.einsum("nb,sbi->sni", points.a, posed.dw)
        out[:, :, 3 * m + 3 :] = grown.transpose(1, 2, 0)
    return out


def slow_points(
    folded: Fold, bones: FoldedBones, points: FoldedPoints, root: Array, theta: Array, translation: Array
) -> Array:
    """The plain twin of `pose` and `positions`: one bone and one point after the other."""
    result = np.zeros((len(points.X), 3))
    for n in range(len(points.X)):
        for b in range(len(folded.bones)):
            chain = [b]
            while folded.parents[chain[0]] >= 0:
                chain.insert(0, folded.parents[chain[0]])
            G, w = root, np.array(translation, np.float64)
            for m in chain[1:]:
                w = w + G @ bones.offsets[m]
                G = G @ matrix_from_rotation_vector(theta[m])
            result[n] += G @ points.X[n, b] + points.a[n, b] * w
    return result
