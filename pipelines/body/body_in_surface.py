"""A body fitted to a surface: from the fit to the front view alone to one that fills the carved person.

1. The pose is turned into the surface's frame and moved and stretched to its joints at their depth
   (`landmark_depth`).
2. Levenberg-Marquardt on landmarks, joints at depth, joint limits and shape, with the terms of the photo's fit.
3. The same with the skin: each skin point meets the nearest piece of the surface that looks the same way, found anew
   in every round (iterated closest points, Besl and McKay 1992; point to plane).

The surface is of parallel rays: everything is computed from a camera so far away that perspective is nothing, and
the result is written for an ordinary long lens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipelines.body.fit import LENGTH_SIGMA, Fitter, Settings
from pipelines.body.fit_evidence import Evidence, read_evidence
from pipelines.body.fit_joints import joint_table
from pipelines.body.fit_kinematics import positions
from pipelines.body.fit_points import FitBody, Linearised, default_fit_body
from pipelines.body.fit_terms import Scene, State, Term, angle_prior, reprojection, scene, shape_prior
from pipelines.body.fit_twist import SPLIT, full_rotations
from pipelines.body.landmark_depth import landmark_depths
from pipelines.body.misread import other_readings
from pipelines.body.read_body import check_body, make_body
from pipelines.body.surface_terms import Cloth, covering, inside_surface, joints_at_depth, nearest_parts
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.rotations import rotation_vector_from_matrix
from pipelines.records import Body, Keypoints
from pipelines.step import UserError

Array = NDArray[np.float64]

# How far dress, hair or shoes stand off the skin, metres on a body of 1.7 m; other parts: clothes.
STAND_OFF = {"face": 0.0, "neck": 0.004, "head": 0.012, "scalp": 0.02, "forearm_left": 0.004, "forearm_right": 0.004,
             "foot_left": 0.008, "foot_right": 0.008}  # fmt: skip
CLOTHES = 0.010
SHAPE_SIGMA = np.array([0.25, 0.15, 0.2, 0.2, 0.2, 0.25])  # of the phenotypes around those of the photo's fit
FIRST_WEIGHT, LAST_WEIGHT = 0.03, 0.3  # of one skin point in the first and the last round
SAMPLES = 0.06  # metres between the points of the surface that must be covered, on a body of 1.7 m
DOUBTFUL = 0.05  # more unfit than this: the view may have been misread
BARE = 200.0  # cost of a surface that is bare altogether
FAR_OFF = 0.05  # metres on a body of 1.7 m: skin that is farther from the surface than this does not fit it
TERMS = (
    "landmarks",
    "joints at depth",
    "inside the surface",
    "surface covered",
    "pose prior",
    "joint limits",
    "shape prior",
)

Progress = Callable[[float, str], None]


def silent(fraction: float, message: str) -> None:
    """No progress is shown."""


@dataclass(frozen=True)
class Room:
    """Where the body must fit: the surface (V, 3), (F, 3) in the display frame; a camera that sees it from the front
    (far away where its rays are parallel) on the photo's grid; the same view through an ordinary lens."""

    vertices: Array
    faces: NDArray[np.int32]
    camera: Camera
    lens: Camera


@dataclass(frozen=True)
class Wear:
    """How to fill. rounds: of closest points. weight: how strongly the skin follows the surface. clothes: metres by
    which cloth stands off the skin of a body of 1.7 m; hair and shoes in proportion."""

    rounds: int = 8
    weight: float = 1.0
    clothes: float = CLOTHES


@dataclass(frozen=True)
class Filled:
    """A finished fit. misses_mm: median distance of the skin from the surface. outside: share of the skin more than a
    centimetre above it. far: share of the skin that meets no piece of the surface within `FAR_OFF`. bare: share of the
    surface that is farther than twice that from the body. cost: what the fit minimised, and the bare surface; for
    comparing fits of one person."""

    body: Body
    misses_mm: float
    outside: float
    far: float
    bare: float
    cost: float

    @property
    def unfit(self) -> float:
        """0 where the body fills the surface; skirts and long hair alone make about a quarter."""
        return self.far + self.bare


def body_in_surface(
    start: Body, keypoints: Keypoints, alpha: NDArray, room: Room, wear: Wear = Wear(), progress: Progress = silent
) -> Filled:
    """`start` (fitted to the front view, any lens) moved, stretched and bent to fill the surface. Deterministic.

    keypoints, alpha (H, W): of the front view, on the grid of `room.camera`. ValueError for a start of another body
    model, UserError where too few landmarks lie on the surface.
    """
    check_body(start)
    cloth = cloth_of(room)
    best = filling(start, keypoints, alpha, room, cloth, wear, lambda f, m: progress(0.25 * f, m))
    if best.unfit <= DOUBTFUL:
        return best
    for k, (pose, points) in enumerate(other_readings(start, keypoints), 1):

        def later(fraction: float, message: str, k: int = k) -> None:
            progress(0.25 * (k + fraction), message)

        trial = filling(pose, points, alpha, room, cloth, wear, later)
        if trial.cost < best.cost:
            best = trial
    return best


def filling(
    start: Body, keypoints: Keypoints, alpha: NDArray, room: Room, cloth: Cloth, wear: Wear, progress: Progress
) -> Filled:
    """One attempt of `body_in_surface`."""
    body = default_fit_body()
    evidence = read_evidence(keypoints, alpha, room.camera.K)
    fitter = Fitter(body, evidence, Settings(iterations=2 * wear.rounds + 16), progress)
    height = float(np.ptp(room.vertices @ room.camera.world_to_camera[1, :3]))
    depth, found = landmark_depths(room.vertices, room.faces, room.camera, evidence.px, height)
    sure = found * np.minimum(evidence.weights, 1.0)
    state, near = brought_in(body, state_of(body, start), evidence, depth, sure, room.camera)
    prior = (state.phenotypes.copy(), state.lengths.copy())
    state, near = joined(fitter, state, near, prior, joints_at_depth(depth, sure))
    normals, samples = reference_normals(), cloth.spread(SAMPLES * height / 1.7)
    rounds, stand = wear.rounds, stand_off() * wear.clothes / CLOTHES
    for k in range(rounds):
        # The skin's partners are guesses at first: landmarks lead, then the surface does.
        share = FIRST_WEIGHT ** (1.0 - k / max(rounds - 1, 1)) * LAST_WEIGHT ** (k / max(rounds - 1, 1))
        if k in (rounds // 3, 2 * rounds // 3):
            near = body.linearised(state.phenotypes, state.lengths)
        here = scene(body, near, state)
        terms = [*common_terms(fitter, near, prior), joints_at_depth(depth, sure),
                 skin_term(here, normals, cloth, stand, share * wear.weight)]  # fmt: skip
        if k < rounds // 2:
            terms.append(covering(here, samples))
        free = fitter.columns(shape=True, pitch=False)
        state, _, _ = fitter.minimise(state, near, terms, free, 2, "filling the surface")
    return finished(fitter, state, near, start, cloth, samples, room)


def cloth_of(room: Room) -> Cloth:
    """The surface in the frame of the far camera, ready for closest points."""
    points = room.camera.to_camera(room.vertices)
    normals = vertex_normals(room.vertices, room.faces) @ room.camera.world_to_camera[:3, :3].T
    return Cloth(points, normals, cKDTree(points))


def state_of(body: FitBody, record: Body) -> State:
    """The state that a Body record came from: shared twists joined again; pitch 0, place as in the record."""
    rig = body.rig
    turns = np.asarray(record["rotations"], np.float64).copy()
    for upper, lower, _ in SPLIT:
        for side in "LR":
            turns[rig.bone(f"{upper}.{side}")] = turns[rig.bone(f"{upper}.{side}")] @ turns[rig.bone(f"{lower}.{side}")]
    theta = np.asarray(rotation_vector_from_matrix(turns[body.fold.bones]), np.float64)
    theta[0] = 0.0
    phenotypes = np.asarray(record.arrays.get("phenotypes", rig.default_phenotypes()), np.float64)
    lengths = np.asarray(record.arrays.get("length_scales", np.zeros(len(rig.length_names))), np.float64)
    return State(turns[0], theta, np.asarray(record["root_translation"], np.float64), phenotypes, lengths, 0.0)


def brought_in(body: FitBody, state: State, evidence: Evidence, depth: Array, sure: Array,
               camera: Camera) -> tuple[State, Linearised]:  # fmt: skip
    """The state stretched to the surface's size and moved so that its landmarks lie at theirs."""
    near = body.linearised(state.phenotypes, state.lengths)
    rays = np.concatenate([evidence.px, np.ones((len(evidence.px), 1))], 1) @ np.linalg.inv(camera.K).T
    target = rays * depth[:, None]
    w = sure / max(float(sure.sum()), 1e-9)
    if (sure > 0.3).sum() < 4:
        raise UserError("Too few keypoints of the front view lie on the surface to place a body in it; look at both.")
    at = scene(body, near, state).at[:33]
    a, b = at - w @ at, target - w @ target
    ratio = float(np.sqrt((w @ (b**2).sum(1)) / max(w @ (a**2).sum(1), 1e-9)))
    lengths = np.clip(state.lengths + np.log(ratio), -0.3, 0.3)
    near = body.linearised(state.phenotypes, lengths)
    state = replace(state, lengths=lengths)
    at = scene(body, near, state).at[:33]
    return replace(state, translation=state.translation + w @ (target - at)), near


def common_terms(fitter: Fitter, near: Linearised, prior: tuple[Array, Array]) -> list[Term]:
    """Landmarks, joint angles, and the shape near that of the photo's fit."""
    e, joints = fitter.evidence, joint_table(fitter.body.fold, near.bones)
    phenotypes, lengths = prior
    shape = shape_prior(phenotypes, SHAPE_SIGMA, 1.5 * LENGTH_SIGMA)

    def around(s: Scene, rows) -> None:  # type: ignore[no-untyped-def]
        shape(replace(s, state=replace(s.state, lengths=s.state.lengths - lengths)), rows)

    return [
        reprojection(e.px, e.weights, e.K, e.sigma, 4.0),
        angle_prior(joints.axes, joints.mean, joints.sigma, joints.low, joints.high),
        around,
    ]


def joined(fitter: Fitter, state: State, near: Linearised, prior: tuple[Array, Array],
           at_depth: Term) -> tuple[State, Linearised]:  # fmt: skip
    """Pose, then pose and lengths, to landmarks and depths alone: the skin would only find wrong partners yet."""
    terms = [*common_terms(fitter, near, prior), at_depth]
    for shape, iterations in ((False, 8), (True, 8)):
        free = fitter.columns(shape=shape, pitch=False)
        state, _, _ = fitter.minimise(state, near, terms, free, iterations, "joints at their depth")
    return state, near


@lru_cache(maxsize=1)
def reference_normals() -> Array:
    """(N, 3) unit normals of the fit's skin points in the reference pose."""
    body = default_fit_body()
    rig = body.rig
    rest = rig.pose(rig.rest(rig.default_phenotypes()), rig.identity_pose(), np.zeros(3))
    return vertex_normals(rest.vertices, rig.faces)[body.skin_ids]


@lru_cache(maxsize=1)
def stand_off() -> Array:
    """(N,) metres on a body of 1.7 m by which ordinary cloth or hair stands off each skin point of the fit."""
    body = default_fit_body()
    names = body.rig.part_names
    return np.array([STAND_OFF.get(names[p], CLOTHES) for p in body.rig.part[body.skin_ids]])


def skin_at(s: Scene, normals: Array) -> tuple[Array, Array]:
    """Posed skin points (N, 3) and their unit normals (N, 3), camera frame."""
    skin = s.skin
    turned = np.einsum("nb,bij,nj->ni", skin.a, s.posed.G, normals)
    return positions(skin, s.posed), turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-9)


def skin_term(s: Scene, normals: Array, cloth: Cloth, stand: Array, weight: float) -> Term:
    """The skin of this state with its closest partners."""
    points, turned = skin_at(s, normals)
    partner, found = cloth.partners(points, turned)
    use = np.flatnonzero(found)
    return inside_surface(cloth, partner[use], use, stand[use] * s.scale, weight=weight)


def finished(fitter: Fitter, state: State, near: Linearised, start: Body, cloth: Cloth, samples: Array,
             room: Room) -> Filled:  # fmt: skip
    """The record for the ordinary lens, and how well it fits."""
    body = fitter.body
    rig = body.rig
    s = scene(body, near, state)
    points, turned = skin_at(s, reference_normals())
    partner, found = cloth.partners(points, turned)
    above = ((points - cloth.points[partner]) * cloth.normals[partner]).sum(1)
    away = np.linalg.norm(points - cloth.points[partner], axis=1)
    far = ~found | (away > FAR_OFF * s.scale)
    moved = {i for i in body.fold.bones} | {rig.bone(f"{n}.{side}") for _, n, _ in SPLIT for side in "LR"}
    fingers = {i: np.asarray(start["rotations"][i], np.float64) for i in range(rig.bone_count) if i not in moved}
    states = [state_i for _, state_i in fitter.history]
    # One camera looks where the other does; only the distance differs.
    shift = room.lens.world_to_camera[:3, 3] - room.camera.world_to_camera[:3, 3]
    shown = [replace(x, translation=x.translation + shift) for x in (state, *states)]
    up = room.lens.world_to_camera[:3, 1]
    misses = float(np.median(np.abs(above[found]))) if found.any() else float("inf")
    outside = float((above > 0.01 * s.scale).mean())
    history = {
        "terms": np.array([[c.get(n, 0.0) for n in TERMS] for c, _ in fitter.history], np.float32).reshape(
            -1, len(TERMS)
        ),
        "term_names": np.array(TERMS, dtype="U"),
        "rotations": np.array([full_rotations(body, near, x.root, x.theta, fingers) for x in states], np.float32),
        "root_translation": np.array([x.translation for x in shown[1:]], np.float32),
        "phenotypes": np.array([x.phenotypes for x in states], np.float32),
        "length_scales": np.array([x.lengths for x in states], np.float32),
        "local_changes": np.zeros((len(states), len(rig.local_names)), np.float32),
    }
    made = make_body(
        rotations=full_rotations(body, near, state.root, state.theta, fingers), root_translation=shown[0].translation,
        phenotypes=state.phenotypes, length_scales=state.lengths, K=room.lens.K,
        image_size=(room.lens.width, room.lens.height), pitch=float(np.arctan2(-up[2], -up[1])),
        texts={"source": "anny-surface-fit", "source_version": "1",
               "created_from": f"{start.texts.get('source', '')}; carved surface"},
        arrays={"surface_mm": np.array(1000.0 * misses, np.float32), "outside_surface": np.array(outside, np.float32),
                "confidence": np.asarray(start.arrays.get("confidence", np.ones(rig.bone_count)), np.float32)},
        history=history, rig=rig,
    )  # fmt: skip
    # The display frame is the views' own, not the one that a photo's body sets.
    made = replace(made, arrays={**made.arrays, "world_from_camera": np.linalg.inv(room.lens.world_to_camera)})
    bare = nearest_parts(s, samples)[1] > 2.0 * FAR_OFF * s.scale
    return Filled(made, 1000.0 * misses, outside, float(far.mean()), float(bare.mean()),
                  sum(fitter.history[-1][0].values()) + BARE * float(bare.mean()))  # fmt: skip


__all__ = ["Filled", "Room", "Wear", "body_in_surface"]
