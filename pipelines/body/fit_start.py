"""Where a fit begins: joint rotations from the directions between 3D landmarks, place from the 2D landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_joints import unit
from pipelines.body.fit_kinematics import pose, positions
from pipelines.body.fit_points import LANDMARK_NAMES, FitBody, Linearised
from pipelines.body.fit_terms import State
from pipelines.geometry.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix

Array = NDArray[np.float64]
ROW = {name: i for i, name in enumerate(LANDMARK_NAMES)}

# Limb -> (upper mover, lower mover, end mover, landmarks of the three joints).
LIMBS = {
    f"{limb}.{s}": (f"{movers[0]}.{s}", f"{movers[1]}.{s}", f"{movers[2]}.{s}",
                    tuple(ROW[f"{side}_{n}"] for n in landmarks))
    for side, s in (("left", "L"), ("right", "R"))
    for limb, movers, landmarks in (
        ("leg", ("upperleg01", "lowerleg01", "foot"), ("hip", "knee", "ankle")),
        ("arm", ("upperarm01", "lowerarm01", "wrist"), ("shoulder", "elbow", "wrist")),
    )
}  # fmt: skip


def lean_of(world: Array, support: Array) -> float:
    """Radians by which the line from the carrying ankles to mid-shoulder of 3D landmarks leans towards the camera.

    support (2,): how surely the left and the right foot carry; both count alike when neither seems to.
    """
    share = (support + 1e-3) / (support + 1e-3).sum()
    up = world[[11, 12]].mean(0) - share @ world[[27, 28]]
    return float(np.arctan2(-up[2], -up[1]))


def torso_frame(world: Array) -> Array:
    """(3, 3) orientation of the trunk: columns = its left, down and back in camera axes."""
    across = unit(world[11] - world[12]) + unit(world[23] - world[24])
    down = unit(world[[23, 24]].mean(0) - world[[11, 12]].mean(0))
    across = unit(across - down * (down @ across))
    return np.stack([across, down, np.cross(across, down)], 1)


def head_frame(world: Array) -> Array:
    """(3, 3) orientation of the head from ears, eyes and nose; columns as in `torso_frame`."""
    across = unit(unit(world[7] - world[8]) + unit(world[2] - world[5]))
    back = world[[7, 8]].mean(0) - world[0]
    back = unit(back - across * (across @ back))
    return np.stack([across, np.cross(back, across), back], 1)


def shortest_turn(a: Array, b: Array) -> Array:
    """(3, 3) smallest rotation that takes unit a to unit b."""
    axis = np.asarray(np.cross(a, b), np.float64)
    sine, cosine = float(np.linalg.norm(axis)), float(a @ b)
    if sine < 1e-9:
        flip = unit(np.cross(a, [1.0, 0.3, 0.1])) * np.pi
        return np.asarray(np.eye(3) if cosine > 0 else matrix_from_rotation_vector(flip), np.float64)
    return np.asarray(matrix_from_rotation_vector(axis / sine * np.arctan2(sine, cosine)), np.float64)


def two_vector_frame(first: Array, normal: Array) -> Array:
    """(3, 3) columns: unit first, unit normal (made orthogonal), their cross product."""
    a = unit(first)
    n = unit(normal - a * (a @ normal))
    return np.stack([a, n, np.cross(a, n)], 1)


def start_rotations(body: FitBody, near: Linearised, world: Array) -> tuple[Array, Array]:
    """Root (3, 3) and rotation vectors (M, 3) that point every limb along its 3D landmarks."""
    fold, offsets = body.fold, near.bones.offsets
    theta = np.zeros((len(fold.bones), 3))
    root = torso_frame(world)
    turn = rotation_vector_from_matrix(root.T @ head_frame(world))
    turn *= min(1.0, 1.2 / max(float(np.linalg.norm(turn)), 1e-6))
    theta[fold["neck01"]], theta[fold["head"]] = turn / 2, turn / 2
    for upper, lower, end, (a, b, c) in LIMBS.values():
        u, f = unit(world[b] - world[a]), unit(world[c] - world[b])
        m, k = fold[upper], fold[lower]
        u_rest = unit(offsets[k])
        f_rest = offsets[fold[end]]
        if upper.startswith("upperarm"):
            f_rest = f_rest + offsets[fold[lower.replace("01", "02")]]
        f_rest = unit(f_rest)
        # A leg's knee bends about the leg's own x; an arm's elbow about the normal of its bent reference pose.
        normal_rest = np.array([1.0, 0.0, 0.0]) if upper.startswith("upperleg") else np.cross(u_rest, f_rest)
        G = root @ shortest_turn(u_rest, root.T @ u)
        bend = np.cross(u, f)
        if np.linalg.norm(bend) > 0.3:  # sine of the bend: below it the plane of the limb is noise
            G = two_vector_frame(u, bend) @ two_vector_frame(u_rest, normal_rest).T
        theta[m] = rotation_vector_from_matrix(root.T @ G)
        theta[k] = rotation_vector_from_matrix(shortest_turn(f_rest, G.T @ f))
    return root, theta


def placed(body: FitBody, near: Linearised, root: Array, theta: Array, px: Array, weights: Array, K: Array) -> Array:
    """(3,) translation that puts the posed landmarks over px (33, 2): linear least squares of the projection."""
    posed = pose(body.fold, near.bones, root, theta, np.zeros(3))
    at = positions(near.points[np.arange(33)], posed)
    focal, centre = np.array([K[0, 0], K[1, 1]]), K[:2, 2]
    # f (p + t) - (px - c) (z + t_z) = 0
    rows, values = [], []
    for axis in (0, 1):
        offset = px[:, axis] - centre[axis]
        row = np.zeros((33, 3))
        row[:, axis], row[:, 2] = focal[axis], -offset
        rows.append(row * weights[:, None])
        values.append((offset * at[:, 2] - focal[axis] * at[:, axis]) * weights)
    t = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]
    t[2] = max(t[2], 0.5)
    return t


def start_state(body: FitBody, near: Linearised, world: Array, px: Array, weights: Array, K: Array) -> State:
    """The first state: shape as in `near`, level camera."""
    root, theta = start_rotations(body, near, world)
    t = placed(body, near, root, theta, px, weights, K)
    return State(root, theta, t, near.phenotypes.copy(), near.lengths.copy(), 0.0)
