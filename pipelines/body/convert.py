"""Anny <-> SMPL-X by fitting one body to the other: 22 joints, finger joints, and the surface.

Neither shape nor pose transfers one to one: rest poses differ, Anny splits its limb bones, and the meshes share no
vertices. Both directions therefore run the same short optimisation: world rotations from bone directions (least
rotation down each limb, least squares for pelvis and chest) as the start, then L-BFGS over pose, shape and place on
joint distances, and on the distances of sampled vertices to the other surface along its normals (Chen and Medioni
1991), whose closest points are found anew in every round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from pipelines.body.joints import BODY22_PARENTS, FIT_GROUPS, body22_matrix, rotations_from_vectors
from pipelines.body.rig import BodyRig, PosedBody
from pipelines.body.smplx_file import JOINT_NAMES, SmplxModel
from pipelines.geometry.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix

Array = NDArray[np.float64]

FINGERS = {"index": "finger2", "middle": "finger3", "pinky": "finger5", "ring": "finger4", "thumb": "finger1"}
# Anny bones of SMPL-X's finger joints 25 to 54, in SMPL-X order.
FINGER_BONES: tuple[str, ...] = tuple(
    f"{FINGERS[name.split('_')[1][:-1]]}-{name[-1]}.{name[0].upper()}" for name in JOINT_NAMES[25:]
)
SAMPLES = 900  # vertices that look for the other surface
FAR = 0.06  # metres; farther pairs, and pairs whose normals differ by more than 60 degrees, are left out
# Which SMPL-X joint's rotation starts each fit group of Anny (the spine's joints are one further down).
_GROUP_JOINT = {
    "pelvis": "pelvis", "spine_low": "spine1", "spine_middle": "spine2", "spine_high": "spine3", "neck": "neck",
    "head": "head",
} | {f"{s}_{g}": f"{s}_{g}" for s in ("left", "right") for g in
     ("hip", "knee", "ankle", "collar", "shoulder", "elbow", "wrist")}  # fmt: skip


@dataclass(frozen=True)
class SmplxFit:
    """SMPL-X parameters of a body: rotations (55, 3, 3), betas (10,), translation (3,); errors in millimetres."""

    rotations: Array
    betas: Array
    translation: Array
    joint_error_mm: float
    surface_error_mm: float


@dataclass(frozen=True)
class AnnyFit:
    """Anny parameters of a body, as `BodyRig.rest` and `BodyRig.pose` take them; errors in millimetres."""

    phenotypes: Array
    local: Array
    length_scales: Array
    rotations: Array
    root_translation: Array
    joint_error_mm: float
    surface_error_mm: float


def smplx_from_anny(model: SmplxModel, rig: BodyRig, posed: PosedBody, rounds: int = 5) -> SmplxFit:
    """Fit SMPL-X to a posed Anny body (numpy, any frame; the result is in the same frame)."""
    target22 = body22_matrix(rig) @ np.asarray(posed.joints, np.float64)
    fingers = np.asarray(posed.joints, np.float64)[[rig.bone(b) for b in FINGER_BONES]]
    visible = np.setdiff1d(np.arange(rig.vertex_count), rig.vertices_of("inside"))
    surface = Surface.of(np.asarray(posed.vertices), rig.faces, visible)
    rest = model.rest(np.zeros(1))
    world = directions_to_rotations(rest.joints[:22], target22)
    start = np.zeros((55, 3))
    start[:22] = rotation_vector_from_matrix(relative(world, BODY22_PARENTS))
    samples = spread_samples(rest.vertices, SAMPLES)
    small, faces = model.subset(samples), model.faces
    vectors = torch.tensor(start, requires_grad=True)
    betas = torch.zeros(10, dtype=torch.float64, requires_grad=True)
    place = torch.tensor(target22[0] - rest.joints[0], requires_grad=True)
    free = torch.ones(55, 1, dtype=torch.float64)
    free[22:25] = 0  # jaw and eyes have no counterpart

    def forward() -> tuple[Tensor, Tensor]:
        made = small.pose(small.rest(betas), rotations_from_vectors(vectors * free), place)
        return torch.cat([made.joints[:22], made.joints[25:]]), made.vertices

    def whole() -> Array:
        made = model.pose(model.rest(betas), rotations_from_vectors(vectors * free), place)
        return made.vertices.detach().numpy()

    def prior() -> Tensor:
        return 2e-3 * ((vectors - torch.as_tensor(start)) ** 2).sum() + 2e-3 * (betas**2).sum()

    errors = optimise(forward, prior, [vectors, betas, place], np.concatenate([target22, fingers]), surface,
                      lambda: vertex_normals(whole(), faces)[samples], rounds)  # fmt: skip
    rotations = rotations_from_vectors((vectors * free).detach()).numpy()
    return SmplxFit(rotations, betas.detach().numpy(), place.detach().numpy(), *errors)


def anny_from_smplx(rig: BodyRig, model: SmplxModel, posed: PosedBody, rounds: int = 5) -> AnnyFit:
    """Fit Anny to a posed SMPL-X body (numpy, any frame; the result is in the same frame)."""
    joints = np.asarray(posed.joints, np.float64)
    surface = Surface.of(np.asarray(posed.vertices), model.faces, np.arange(model.vertex_count))
    default = rig.rest(rig.default_phenotypes())
    reference = rig.pose(default, rig.identity_pose(), np.zeros(3))
    world = directions_to_rotations(body22_matrix(rig) @ reference.joints, joints[:22])
    start_joint = rotation_vector_from_matrix(relative(world, BODY22_PARENTS))
    spread, start = anny_spread(rig, start_joint)
    visible = np.setdiff1d(np.arange(rig.vertex_count), rig.vertices_of("inside"))
    samples = visible[spread_samples(default.vertices[visible], SAMPLES)]
    small = rig.subset(samples)
    matrix = torch.as_tensor(body22_matrix(rig))
    finger_rows = torch.tensor([rig.bone(b) for b in FINGER_BONES])
    names = rig.phenotype_names
    first = torch.as_tensor(rig.default_phenotypes().astype(np.float64))
    logits = torch.logit(first).requires_grad_()
    local = torch.zeros(len(rig.local_names), dtype=torch.float64, requires_grad=True)
    lengths = torch.zeros(len(rig.length_names), dtype=torch.float64, requires_grad=True)
    vectors = torch.tensor(start, requires_grad=True)
    hips = joints[1:3].mean(0)
    place = torch.tensor(hips, requires_grad=True)

    def shape() -> tuple[Tensor, Tensor, Tensor]:
        return torch.sigmoid(logits), torch.tanh(local), lengths

    def forward() -> tuple[Tensor, Tensor]:
        phenotypes, changes, scales = shape()
        rest = small.rest(phenotypes, changes, None, scales)
        made = small.pose(rest, rotations_from_vectors(spread @ vectors), place)
        return torch.cat([matrix @ made.joints, made.joints[finger_rows]]), made.vertices

    def whole() -> Array:
        phenotypes, changes, scales = (x.detach().numpy() for x in shape())
        turned = rotations_from_vectors((spread @ vectors).detach()).numpy()
        return rig.pose(rig.rest(phenotypes, changes, None, scales), turned, place.detach().numpy()).vertices

    def prior() -> Tensor:
        drift = ((vectors - torch.as_tensor(start)) ** 2).sum()
        return 2e-3 * drift + 2e-3 * ((logits - torch.logit(first)) ** 2).sum() \
            + 2e-3 * (local**2).sum() + 0.1 * (lengths**2).sum()  # fmt: skip

    errors = optimise(forward, prior, [logits, local, lengths, vectors, place],
                      np.concatenate([joints[:22], joints[25:]]), surface,
                      lambda: vertex_normals(whole(), rig.faces)[samples], rounds)  # fmt: skip
    phenotypes, changes, scales = (x.detach().numpy() for x in shape())
    assert len(phenotypes) == len(names)
    rotations = rotations_from_vectors((spread @ vectors).detach()).numpy()
    return AnnyFit(phenotypes, changes, scales, rotations, place.detach().numpy(), *errors)


def anny_spread(rig: BodyRig, joint_vectors: NDArray[np.floating]) -> tuple[Tensor, Array]:
    """(J, G) shares of fit groups and single fingers, and the start (G, 3) from rotation vectors of 22 joints."""
    columns = [*FIT_GROUPS.values(), *({bone: 1.0} for bone in FINGER_BONES)]
    spread = np.zeros((rig.bone_count, len(columns)))
    for column, bones in enumerate(columns):
        for bone, share in bones.items():
            spread[rig.bone(bone), column] = share
    start = np.zeros((len(columns), 3))
    for column, group in enumerate(FIT_GROUPS):
        if group in _GROUP_JOINT:
            start[column] = joint_vectors[JOINT_NAMES.index(_GROUP_JOINT[group])]
    return torch.as_tensor(spread), start


@dataclass(frozen=True)
class Surface:
    """The body to be met: points (N, 3), unit normals (N, 3) and a search tree over the points."""

    points: Array
    normals: Array
    tree: cKDTree

    @classmethod
    def of(cls, vertices: Array, faces: NDArray[np.integer], kept: NDArray[np.integer]) -> Surface:
        vertices = np.asarray(vertices, np.float64)
        return cls(vertices[kept], vertex_normals(vertices, faces)[kept], cKDTree(vertices[kept]))

    def match(self, points: Array, normals: Array) -> tuple[NDArray[np.intp], NDArray[np.bool_], Array]:
        """For each point the nearest surface point, whether the pair counts, and the distance in metres."""
        distance, index = self.tree.query(points)
        good = (distance < FAR) & ((normals * self.normals[index]).sum(1) > 0.5)
        return index, good, distance


def optimise(forward: Callable[[], tuple[Tensor, Tensor]], prior: Callable[[], Tensor], parameters: list[Tensor],
             joints: Array, surface: Surface, normals: Callable[[], Array],
             rounds: int) -> tuple[float, float]:  # fmt: skip
    """L-BFGS on joints alone, then `rounds` times on joints and surface; mean errors (joints, surface) in mm."""
    wanted = torch.as_tensor(joints)
    for step in range(rounds + 1):
        pairs: tuple[Tensor, ...] | None = None
        if step:
            with torch.no_grad():
                points = forward()[1].numpy()
            index, good, _ = surface.match(points, normals())
            found = (good, surface.points[index], surface.normals[index])
            pairs = tuple(torch.as_tensor(array) for array in found)
        solver = torch.optim.LBFGS(parameters, max_iter=40 if step == 0 else 15, line_search_fn="strong_wolfe")
        joint_weight = 1.0 if step == 0 else 0.3

        def loss(solver: torch.optim.LBFGS = solver, pairs: tuple[Tensor, ...] | None = pairs,
                 joint_weight: float = joint_weight) -> Tensor:  # fmt: skip
            solver.zero_grad()
            made, vertices = forward()
            # In units of (2 cm)^2, so that one is a plainly visible error.
            total = joint_weight * ((made - wanted) ** 2).sum(1).mean() * 2500 + 0.01 * prior()
            if pairs is not None:
                good, points, directions = pairs
                gap = (vertices - points)[good]
                along = (gap * directions[good]).sum(1)
                total = total + 2500 * ((along**2).mean() + 0.1 * (gap**2).sum(1).mean())
            total.backward()
            return total

        solver.step(loss)
    with torch.no_grad():
        made, vertices = forward()
    index, good, distance = surface.match(vertices.numpy(), normals())
    along = np.abs(((vertices.numpy() - surface.points[index]) * surface.normals[index]).sum(1))
    gap = np.where(good, along, distance)
    return float((made - wanted).norm(dim=1).mean() * 1000), float(gap.mean() * 1000)


def directions_to_rotations(rest: Array, target: Array) -> Array:
    """World rotations (22, 3, 3) that take the rest joints' bone directions (22, 3) to the target's.

    Pelvis and chest by least squares over their neighbouring joints, the spine between them by halves, every limb by
    the least rotation from its parent's: twist is not seen by joints and starts at zero.
    """
    rest, target = np.asarray(rest, np.float64), np.asarray(target, np.float64)
    name = JOINT_NAMES.index
    children: dict[int, int] = {p: c for c, p in enumerate(BODY22_PARENTS) if p > 0}
    world = np.tile(np.eye(3), (22, 1, 1))
    pelvis = [name(n) for n in ("pelvis", "left_hip", "right_hip", "spine1")]
    chest = [name(n) for n in ("spine3", "neck", "left_collar", "right_collar", "left_shoulder", "right_shoulder")]
    world[0] = kabsch(rest[pelvis], target[pelvis])
    upper = kabsch(rest[chest], target[chest])
    bend = rotation_vector_from_matrix(upper @ world[0].T)
    for joint, share in ((name("spine1"), 1 / 3), (name("spine2"), 2 / 3), (name("spine3"), 1.0)):
        world[joint] = matrix_from_rotation_vector(share * bend) @ world[0]
    for joint in range(1, 22):
        parent = BODY22_PARENTS[joint]
        if joint in (name("spine1"), name("spine2"), name("spine3")):
            continue
        child = children.get(joint)
        world[joint] = world[parent]
        if child is not None:
            was = world[parent] @ (rest[child] - rest[joint])
            world[joint] = least_rotation(was, target[child] - target[joint]) @ world[parent]
    return world


def relative(world: Array, parents: tuple[int, ...]) -> Array:
    """World rotations (N, 3, 3) -> relative to the parents."""
    return np.stack([world[p].T @ r if p >= 0 else r for r, p in zip(world, parents, strict=True)])


def kabsch(source: Array, target: Array) -> Array:
    """(3, 3) proper rotation that best turns centred source points (N, 3) to centred targets (Kabsch 1976)."""
    left, _, right = np.linalg.svd((target - target.mean(0)).T @ (source - source.mean(0)))
    return left @ np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right))]) @ right


def least_rotation(source: Array, target: Array) -> Array:
    """(3, 3) the rotation by the smallest angle that takes direction `source` to direction `target`."""
    a, b = source / np.linalg.norm(source), target / np.linalg.norm(target)
    axis, cosine = np.cross(a, b), float(a @ b)
    sine = np.linalg.norm(axis)
    if sine < 1e-8:
        # Opposite directions: half a turn about any axis across them.
        axis = np.cross(a, np.eye(3)[np.abs(a).argmin()])
        axis /= np.linalg.norm(axis)
        return np.eye(3) if cosine > 0 else np.asarray(matrix_from_rotation_vector(np.pi * axis), np.float64)
    return np.asarray(matrix_from_rotation_vector(axis / sine * np.arctan2(sine, cosine)), np.float64)


def spread_samples(points: Array, count: int) -> NDArray[np.int64]:
    """`count` point ids, one per cell of a grid fine enough: even over the body, whatever the mesh's density."""
    points = np.asarray(points, np.float64)
    low, high = 0.002, 0.5
    chosen = np.arange(len(points))
    for _ in range(20):
        cell = (low + high) / 2
        keys = np.floor((points - points.min(0)) / cell).astype(np.int64)
        _, first = np.unique(keys, axis=0, return_index=True)
        if len(first) > count:
            low = cell
        else:
            high, chosen = cell, first
    return np.sort(chosen)


def vertex_normals(vertices: Array, faces: NDArray[np.integer]) -> Array:
    """(V, 3) unit normals, area weighted over the faces around each vertex; zero where there is none."""
    corners = np.asarray(vertices, np.float64)[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros((len(vertices), 3))
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(faces[:, k], normals[:, axis], len(vertices))
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
