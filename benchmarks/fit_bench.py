"""How well the body fit finds a pose that is known: posed bodies, true landmarks, and the network's kinds of error.

    python -m benchmarks.fit_bench [--count 2] [--seed 0] [--poses standing walking ...] [--noise 0 1]

Every case poses the body model (grown-up or child, any heading, camera pitched, another lens than the fit assumes)
and projects 33 landmarks that lie 1 to 2 cm beside where the fit believes them to be: each landmark has its own
fixed offset per case, so the fit is not judged with its own table. The 3D landmarks then get what the network does to
them: they lean towards the camera by 7 to 19 degrees, knees of straight legs bend, now and then a forearm or shin
is mirrored in depth, and children have a grown-up's proportions. `--noise` adds 2D noise in percent of the height.
Reported per pose and noise: PA-MPJPE and lean (see `pipelines.body.body_numbers`), foot plane, knee error.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.body.body_numbers import angle_degrees, pa_mpjpe, side_numbers
from pipelines.body.fit_step import FitParams, body_fit
from pipelines.body.joints import mediapipe_points
from pipelines.body.read_body import body_vertices, make_body
from pipelines.body.rig import default_rig
from pipelines.geometry.cameras import intrinsics
from pipelines.geometry.mesh_raster import rasterise_mesh
from pipelines.geometry.rotations import matrix_from_rotation_vector
from pipelines.records import Body, Cutout, Keypoints
from pipelines.step import Context

Array = NDArray[np.float64]
WIDTH, HEIGHT = 384, 512

# Bone -> rotation vector in degrees, reference axes (x left, y down, z backwards); arms hang at z = +-38.
ARMS_DOWN: dict[str, tuple[float, float, float]] = {"upperarm01.L": (0, 0, 38), "upperarm01.R": (0, 0, -38)}
POSES: dict[str, dict[str, tuple[float, float, float]]] = {
    "standing": ARMS_DOWN | {"upperleg01.L": (0, 0, 4), "upperleg01.R": (0, 0, -4)},
    "apart": {"upperleg01.L": (0, 0, -8), "upperleg01.R": (0, 0, 8), "upperarm01.L": (0, 0, 10)},
    "contrapposto": ARMS_DOWN | {
        "root": (0, 0, 6), "spine04": (0, 0, -5), "spine01": (0, 0, -5), "upperleg01.L": (-18, -15, -6),
        "lowerleg01.L": (32, 0, 0), "upperleg01.R": (0, 0, -8), "foot.L": (-10, 0, 0)},
    "walking": {
        "upperleg01.L": (-25, 0, 4), "lowerleg01.L": (5, 0, 0), "upperleg01.R": (14, 0, -4),
        "lowerleg01.R": (22, 0, 0), "upperarm01.L": (18, 0, 36), "upperarm01.R": (-18, 0, -36)},
    "sitting": ARMS_DOWN | {
        "upperleg01.L": (-82, 0, -4), "lowerleg01.L": (90, 0, 0), "upperleg01.R": (-82, 0, 4),
        "lowerleg01.R": (90, 0, 0), "upperarm01.L": (-25, 0, 36), "upperarm01.R": (-25, 0, -36)},
    "squatting": {
        "root": (-12, 0, 0), "upperleg01.L": (-95, 0, -15), "lowerleg01.L": (118, 0, 0),
        "upperleg01.R": (-95, 0, 15), "lowerleg01.R": (118, 0, 0), "foot.L": (-22, 0, 0), "foot.R": (-22, 0, 0),
        "upperarm01.L": (-60, 0, 10), "upperarm01.R": (-60, 0, -10), "spine02": (-8, 0, 0)},
    "arms_up": {"upperarm01.L": (0, 0, -95), "upperarm01.R": (0, 0, 95)},
    "kicking": {
        "root": (8, 0, 0), "upperleg01.L": (-85, 0, 0), "lowerleg01.L": (10, 0, 0), "upperleg01.R": (-8, 0, 0),
        "upperarm01.L": (0, 0, 0), "upperarm01.R": (-30, 0, -10)},
    "reaching": {"upperarm01.L": (-85, 0, 20), "upperarm01.R": (0, 0, -38), "upperleg01.L": (0, 0, 4)},
    "looking_aside": ARMS_DOWN | {"neck01": (0, 20, 0), "head": (-8, 25, 0), "spine01": (0, 8, 0)},
}  # fmt: skip
STANDING = ("standing", "apart", "contrapposto", "walking", "arms_up", "reaching", "looking_aside")


@dataclass(frozen=True)
class Case:
    """A known body and what a perfect network with the usual faults would say of it."""

    pose: str
    truth: Body
    matte: Cutout
    keypoints: Keypoints
    child: bool


def make_case(pose: str, rng: np.random.Generator, *, child: bool, noise: float, yaw: float | None = None,
              faults: bool = True) -> Case:  # fmt: skip
    """noise: percent of the height, 2D. faults: lean, bent knees, depth flips, grown-up proportions in 3D."""
    rig = default_rig()
    phenotypes = rig.default_phenotypes().astype(np.float64)
    phenotypes += rng.uniform(-1, 1, 6) * (0.3, 0.03, 0.2, 0.2, 0.12, 0.2)
    if child:
        phenotypes[1], phenotypes[4] = rng.uniform(0.05, 0.35), 0.5
    lengths = rng.normal(0, 0.03, 9)
    rotations = rig.identity_pose().astype(np.float64)
    for bone, degrees in POSES[pose].items():
        jitter = rng.normal(0, 3.0, 3) * (0.0 if bone == "root" else 1.0)
        if bone.startswith(("lowerleg", "foot")):
            jitter = jitter * (1, 0, 0)
        rotations[rig.bone(bone)] = matrix_from_rotation_vector(np.radians(np.array(degrees) + jitter))
    for side in "LR":
        # Elbows bend about an axis that points down and inwards of the arm in the reference pose.
        bend = np.radians(rng.uniform(-20, 40))
        rotations[rig.bone(f"lowerarm01.{side}")] = matrix_from_rotation_vector(elbow_axis(side) * bend)
    pitch = np.radians(rng.uniform(-8, 8))
    heading = np.radians(rng.uniform(-75, 75) if yaw is None else yaw)
    gravity = matrix_from_rotation_vector(np.array([-pitch, 0.0, 0.0]))
    turn = matrix_from_rotation_vector(np.array([0.0, heading, 0.0]))
    rotations[0] = gravity.T @ turn @ rotations[0]
    K = intrinsics(WIDTH, HEIGHT, float(rng.uniform(32, 52)))
    size = np.ptp(rig.rest(phenotypes).vertices[:, 1])
    place = np.array([rng.normal(0, 0.05), rng.normal(0, 0.05), 1.25 * size * K[1, 1] / HEIGHT])
    truth = make_body(
        rotations=rotations, root_translation=place, phenotypes=phenotypes, length_scales=lengths, K=K,
        image_size=(WIDTH, HEIGHT), pitch=pitch, texts={"source": "known", "source_version": "1"},
    )  # fmt: skip
    vertices, faces = body_vertices(truth)
    alpha = rasterise_mesh(vertices, faces, truth.camera).mask.astype(np.float32)
    points = landmarks_of(truth, rng)
    height_px = float(np.ptp(np.nonzero(alpha)[0]))
    px = points @ K.T
    px = px[:, :2] / px[:, 2:] + rng.normal(0, 1, (33, 2)) * noise * 0.01 * height_px
    world = points - points[[23, 24]].mean(0)
    if faults:
        world = with_faults(world, rng, child)
    body = np.concatenate([px, np.full((33, 2), 0.95)], 1).astype(np.float32)
    keypoints = Keypoints(body, world.astype(np.float32), np.zeros(33, bool), network="known body")
    return Case(pose, truth, Cutout(np.dstack([np.full((HEIGHT, WIDTH, 3), 0.5), alpha]).astype(np.float32)),
                keypoints, child)  # fmt: skip


def elbow_axis(side: str) -> Array:
    """(3,) the elbow's flexion axis in the reference pose, from the bones of the average body."""
    rig = default_rig()
    heads = rig.rest(rig.default_phenotypes()).bone_heads.astype(np.float64)
    shoulder, elbow, wrist = (heads[rig.bone(f"{b}.{side}")] for b in ("upperarm01", "lowerarm01", "wrist"))
    axis = np.cross(elbow - shoulder, wrist - elbow)
    return axis / np.linalg.norm(axis)


def landmarks_of(body: Body, rng: np.random.Generator) -> Array:
    """(33, 3) true landmarks in the camera frame, each with its own offset of 1 to 2 cm (face 0.5 cm)."""
    rig = default_rig()
    operator = rig.keypoint_operator(mediapipe_points(rig))
    rest = operator.rest(body["phenotypes"], None, None, body["length_scales"])
    points = np.asarray(operator.pose(rest, body["rotations"], body["root_translation"]), np.float64)
    direction = rng.normal(0, 1, (33, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    reach = np.where(np.arange(33) < 11, 0.005, rng.uniform(0.01, 0.02, 33))
    return points + direction * reach[:, None]


def with_faults(world: Array, rng: np.random.Generator, child: bool) -> Array:
    """What the network does to 3D landmarks (metres, origin mid-hip)."""
    out = world.copy()
    if child:
        # A grown-up's proportions: longer legs, smaller head.
        for hip, knee, ankle, heel, toe in ((23, 25, 27, 29, 31), (24, 26, 28, 30, 32)):
            thigh, shin = world[knee] - world[hip], world[ankle] - world[knee]
            out[knee] = world[hip] + 1.15 * thigh
            out[ankle] = out[knee] + 1.15 * shin
            out[[heel, toe]] = out[ankle] + world[[heel, toe]] - world[ankle]
        out[:11] = out[[11, 12]].mean(0) + 0.75 * (world[:11] - world[[11, 12]].mean(0))
        out *= 1.3
    for knee, ankle in ((25, 27), (26, 28)):
        out[knee, 2] -= rng.uniform(0.02, 0.07)
        out[ankle, 2] += rng.uniform(0.0, 0.05)
    out = out @ matrix_from_rotation_vector(np.array([np.radians(rng.uniform(7, 19)), 0.0, 0.0])).T
    if rng.uniform() < 0.25:
        elbow, wrist = ((13, 15), (14, 16))[int(rng.integers(2))]
        out[wrist, 2] = out[elbow, 2] - (out[wrist, 2] - out[elbow, 2])
    return out + rng.normal(0, 0.01, out.shape)


def judge(case: Case, body: Body) -> dict[str, float]:
    """Distances to the truth and the side numbers."""
    found, true = side_numbers(body), side_numbers(case.truth)
    up, true_up = body["world_from_camera"][1, :3], case.truth["world_from_camera"][1, :3]
    return {
        "pa_mpjpe_mm": pa_mpjpe(body["body22_cam"], case.truth["body22_cam"]),
        "lean_deg": abs(found["lean_deg"]),
        "lean_error_deg": abs(found["lean_deg"] - true["lean_deg"]),
        "foot_plane_mm": found["foot_plane_mm"],
        "knee_error_deg": max(abs(found[k] - true[k]) for k in ("knee_left_deg", "knee_right_deg")),
        "gravity_error_deg": angle_degrees(np.asarray(up, np.float64), np.asarray(true_up, np.float64)),
        "reprojection_pct": float(body["reprojection_pct"]),
    }


def run_case(case: Case, params: FitParams | None = None) -> tuple[Body, dict[str, float], float]:
    """The fit of a case, its numbers and its processor seconds."""
    started = time.process_time()
    body = body_fit.run({"matte": case.matte, "keypoints": case.keypoints}, params or FitParams(), Context("body.fit"))
    seconds = time.process_time() - started
    assert isinstance(body, Body)
    return body, judge(case, body), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2, help="cases per pose, size of person and noise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--poses", nargs="+", default=list(POSES), choices=list(POSES))
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0, 1.0])
    args = parser.parse_args()
    titles = ("PA mm", "max", "lean", "lean err", "feet mm", "knee err", "gravity", "2D %", "child", "s")
    print(f"{'pose':16}{'who':7}{'noise':>6}" + "".join(f"{h:>9}" for h in titles))
    everything: dict[float, list[float]] = {}
    for noise in args.noise:
        for pose in args.poses:
            for child in (False, True):
                numbers, children, seconds = [], [], []
                for i in range(args.count):
                    # A fixed list of seeds, so that a case stays the same whatever else is run.
                    rng = np.random.default_rng([args.seed, i, list(POSES).index(pose), int(child), int(noise * 10)])
                    case = make_case(pose, rng, child=child, noise=noise)
                    body, found, took = run_case(case)
                    numbers.append(found)
                    children.append(float(body["phenotypes"][1] < 0.55))
                    seconds.append(took)
                    everything.setdefault(noise, []).append(found["pa_mpjpe_mm"])
                mean = {k: np.mean([n[k] for n in numbers]) for k in numbers[0]}
                worst = max(n["pa_mpjpe_mm"] for n in numbers)
                print(f"{pose:16}{'child' if child else 'adult':7}{noise:6.1f}" + "".join(f"{v:9.1f}" for v in (
                    mean["pa_mpjpe_mm"], worst, mean["lean_deg"], mean["lean_error_deg"], mean["foot_plane_mm"],
                    mean["knee_error_deg"], mean["gravity_error_deg"], mean["reprojection_pct"], np.mean(children),
                    min(seconds))), flush=True)  # fmt: skip
    for noise, values in everything.items():
        print(f"noise {noise:.1f} %: PA-MPJPE mean {np.mean(values):.1f}, median {np.median(values):.1f}, "
              f"90th percentile {np.percentile(values, 90):.1f} mm over {len(values)} cases")  # fmt: skip


__all__ = ["POSES", "STANDING", "Case", "judge", "make_case", "run_case"]

if __name__ == "__main__":
    main()
