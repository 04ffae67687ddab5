"""The body fit: its derivatives, its terms one by one, and known poses found again."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import pytest

from benchmarks.fit_bench import Case, make_case, run_case
from pipelines.body.body_numbers import pa_mpjpe, side_numbers
from pipelines.body.fit_evidence import read_evidence
from pipelines.body.fit_hands import finger_rotations, observed_palms, reference_joints, reference_palm
from pipelines.body.fit_joints import joint_table
from pipelines.body.fit_kinematics import fold, pose, positions, slow_points
from pipelines.body.fit_lift import POINTS, lifted, lifted_points, lifted_size, read_lift
from pipelines.body.fit_points import LANDMARK_NAMES, SOLE_NAMES, default_fit_body
from pipelines.body.fit_step import FitParams, body_fit
from pipelines.body.fit_terms import (
    Rows,
    State,
    angle_prior,
    ankles_level_in_depth,
    camera_pitch,
    hand_at_head,
    hands_outside,
    inside_mask,
    reprojection,
    scene,
    shape_prior,
    soles_on_ground,
    straight_knees,
    upright,
)
from pipelines.body.fit_twist import full_rotations, twist_angle
from pipelines.body.read_body import posed
from pipelines.body.rig import default_rig
from pipelines.geometry.cameras import intrinsics
from pipelines.geometry.rotations import matrix_from_rotation_vector
from pipelines.records import Body, Keypoints
from pipelines.step import Cancelled, Context, UserError

ADULT = np.array([0.45, 0.65, 0.55, 0.45, 0.42, 0.55])


@pytest.fixture(scope="module")
def body():
    return default_fit_body()


@pytest.fixture(scope="module")
def near(body):
    return body.linearised(ADULT, np.linspace(-0.05, 0.05, 9))


def some_state(body, near, seed: int = 0, spread: float = 0.25) -> State:
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, spread, (len(body.fold.bones), 3))
    theta[0] = 0
    root = matrix_from_rotation_vector(rng.normal(0, 0.3, 3))
    return State(root, theta, np.array([0.1, -0.05, 3.0]), near.phenotypes, near.lengths, 0.07)


@lru_cache(maxsize=8)
def solved(name: str, seed: int, child: bool = False, noise: float = 0.0) -> tuple[Case, Body, dict[str, float]]:
    case = make_case(name, np.random.default_rng(seed), child=child, noise=noise, yaw=25.0)
    found, numbers, _ = run_case(case)
    return case, found, numbers


def test_points_agree_with_the_rigs_own_skinning(body, near) -> None:
    state = some_state(body, near)
    at = scene(body, near, state)
    rig = body.rig
    rotations = rig.identity_pose().astype(np.float64)
    rotations[body.fold.bones] = matrix_from_rotation_vector(state.theta)
    rotations[0] = state.root
    rest = rig.rest(near.phenotypes, None, None, near.lengths)
    truth = rig.pose(rest, rotations, state.translation)
    skin = positions(near.skin, at.posed)
    assert np.abs(skin - truth.vertices[body.skin_ids]).max() < 1e-5
    for name, bone in (("left_knee_joint", "lowerleg01.L"), ("right_wrist_joint", "wrist.R"), ("head_joint", "head")):
        assert np.abs(at.at[body.row[name]] - truth.joints[rig.bone(bone)]).max() < 1e-5
    ids, weights = rig.arrays.keypoint_rows[rig.keypoint_names.index("left_heel")]
    assert np.abs(at.at[body.row["left_heel"]] - weights @ truth.vertices[ids]).max() < 1e-5


def test_fast_points_agree_with_their_slow_twin(body, near) -> None:
    state = some_state(body, near, 3)
    some = near.points[np.arange(0, len(body.names), 6)]
    slow = slow_points(body.fold, near.bones, some, state.root, state.theta, state.translation)
    fast = positions(some, pose(body.fold, near.bones, state.root, state.theta, state.translation))
    assert np.abs(slow - fast).max() < 1e-12


def test_jacobian_agrees_with_differences(body, near) -> None:
    state = some_state(body, near, 1, 0.6)
    d = scene(body, near, state).d
    rng = np.random.default_rng(5)
    for column in rng.choice(d.shape[2] - 1, 24, replace=False):
        step = np.zeros(d.shape[2])
        step[column] = 1e-5
        ahead = scene(body, near, state.stepped(step)).at
        behind = scene(body, near, state.stepped(-step)).at
        assert np.abs((ahead - behind) / 2e-5 - d[:, :, column]).max() < 1e-6


def test_shape_is_linear_near_the_shape(body, near) -> None:
    other = body.linearised(near.phenotypes - 0.01, near.lengths + 0.01)
    step = np.concatenate([np.full(6, -0.01), np.full(9, 0.01)])
    assert np.abs(near.points.at(step).X - other.points.X).max() < 5e-4
    assert np.abs(near.bones.at(step).offsets - other.bones.offsets).max() < 5e-4


def every_term(body, near, joints):
    K = intrinsics(300, 400, 40.0)
    rng = np.random.default_rng(2)
    px = rng.uniform(50, 350, (33, 2))
    distance = np.hypot(*np.meshgrid(np.arange(300) - 150.0, np.arange(400) - 200.0)) * 0.1
    ones = np.ones(33)
    lift = lifted(np.concatenate([px, np.ones((33, 2))], 1), rng.normal(0, 0.3, (33, 3)), K)
    hands = np.array([body.row["left_wrist"], body.row["right_index"]])
    face = px.copy()
    face[[7, 8, 0, 11, 12]] = [[160, 60], [140, 60], [150, 65], [180, 100], [120, 100]]
    face[[19, 17]] = [[150, 60], [152, 62]]
    return {
        "landmarks": reprojection(px, ones, K, ones * 3),
        "lift": lifted_points(lift, np.array([body.row[name] for name in POINTS]), K[0, 0]),
        "size": lifted_size(lift, K[0, 0]),
        "pose": angle_prior(joints.axes, joints.mean, joints.sigma, joints.low, joints.high),
        "shape": shape_prior(ADULT - 0.1, np.full(6, 0.1), np.full(9, 0.1)),
        "pitch": camera_pitch(0.1, 0.02),
        "upright": upright(0.8, np.array([1.0, 0.4])),
        "knees": straight_knees(np.array([1.0, 0.5]), joints.axes, joints.knees, joints.straight),
        "ankles": ankles_level_in_depth(0.7),
        "soles": soles_on_ground(np.array([1.0, 0.5, 0.5, 1.0, 0.7, 0.2])),
        "mask": inside_mask(distance, K, 10.0, 1.0, 1.0),
        "head": hand_at_head(face, ones),
        "outside": hands_outside(hands, torso=1.0, head=1.0),
    }


@pytest.mark.parametrize("name", ["landmarks", "lift", "size", "pose", "shape", "pitch", "upright", "knees", "ankles",
                                  "soles", "head"])  # fmt: skip
def test_gradient_of_each_term(body, near, name: str) -> None:
    """2 J^T r is the gradient of the cost, for plain squares and for robust terms."""
    joints = joint_table(body.fold, near.bones)
    term = every_term(body, near, joints)[name]
    state = some_state(body, near, 4)

    def cost(s: State) -> float:
        rows = Rows()
        term(scene(body, near, s), rows)
        return rows.cost

    rows = Rows()
    term(scene(body, near, state), rows)
    assert rows.cost > 0
    gradient = 2 * np.concatenate(rows.jacobians).T @ np.concatenate(rows.residuals)
    direction = np.random.default_rng(8).normal(0, 1, len(gradient))
    direction /= np.linalg.norm(direction)
    h = 1e-5
    slope = (cost(state.stepped(h * direction)) - cost(state.stepped(-h * direction))) / (2 * h)
    # Rows of robust terms carry c^2 / (c^2 + e^2): their J^T r is the gradient of rho, too.
    assert slope == pytest.approx(gradient @ direction, rel=1e-3, abs=1e-4)


def test_mask_is_an_upper_bound_only(body, near) -> None:
    """Inside the silhouette nothing pulls; outside, the cost grows."""
    K = intrinsics(300, 400, 40.0)
    state = dataclasses.replace(some_state(body, near, 0, 0.02), root=np.eye(3), translation=np.array([0, 0, 3.5]))
    at = scene(body, near, state)
    rows = Rows()
    inside_mask(np.zeros((400, 300)), K, 8.0, 1.0, 1.0)(at, rows)
    assert rows.cost == 0 and not rows.residuals
    outside = Rows()
    inside_mask(np.abs(np.arange(300) - 150.0)[None].repeat(400, 0), K, 8.0, 1.0, 1.0)(at, outside)
    assert outside.cost > 1


def test_hand_inside_the_belly_is_pushed_out(body, near) -> None:
    state = dataclasses.replace(some_state(body, near, 0, 0.0), root=np.eye(3))
    at = scene(body, near, state)
    wrist = body.row["left_wrist"]
    moved = at.at.copy()
    moved[wrist] = (at.at[body.row["pelvis_joint"]] + at.at[body.row["neck_joint"]]) / 2 + (0.0, 0.0, -0.03)
    rows = Rows()
    hands_outside(np.array([wrist]))(dataclasses.replace(at, at=moved), rows)
    assert rows.cost > 1
    step = -np.linalg.lstsq(np.concatenate(rows.jacobians), np.concatenate(rows.residuals), rcond=None)[0]
    assert (at.d[wrist] @ step)[2] < 0  # forwards, out of the belly
    free = Rows()
    hands_outside(np.array([wrist]))(at, free)
    assert free.cost == 0


def test_twist_is_shared_without_moving_the_joints(body, near) -> None:
    theta = np.zeros((len(body.fold.bones), 3))
    theta[body.fold["upperarm01.L"]] = (0.9, 0.5, 0.2)
    shared = full_rotations(body, near, np.eye(3), theta)
    plain = body.rig.identity_pose()
    plain[body.fold.bones] = matrix_from_rotation_vector(theta)
    rest = body.rig.rest(near.phenotypes, None, None, near.lengths)
    a, b = (body.rig.pose(rest, r, np.zeros(3)).joints for r in (shared, plain))
    assert np.abs(a - b).max() < 0.012
    lower = shared[body.rig.bone("upperarm02.L")]
    assert np.degrees(np.arccos((np.trace(lower) - 1) / 2)) > 5
    axis = np.array([0.6, 0.0, 0.8])
    assert twist_angle(matrix_from_rotation_vector(axis * 0.7), axis) == pytest.approx(0.7)


def test_fold_names_what_is_missing() -> None:
    with pytest.raises(ValueError, match="no bones"):
        fold(("root", "a"), np.array([-1, 0]), ("root", "b"))
    with pytest.raises(ValueError, match="root"):
        fold(("root", "a"), np.array([-1, 0]), ("a",))


def test_fingers_bend_as_the_hand_landmarks() -> None:
    """A hand posed on the rig, read off as 21 points, comes back bone by bone."""
    rig = default_rig()
    joints = reference_joints(rig, ADULT, np.zeros(9))
    rotations = rig.identity_pose().astype(np.float64)
    along = joints[rig.bone("finger3-2.L")] - joints[rig.bone("finger3-1.L")]
    hinge = np.cross(along, reference_palm(rig, joints, "left")[:, 2])
    hinge /= np.linalg.norm(hinge)
    for finger in (2, 3, 4, 5):
        rotations[rig.bone(f"finger{finger}-1.L")] = matrix_from_rotation_vector(hinge * 0.8)
    turn = matrix_from_rotation_vector(np.array([0.4, 1.0, -0.3]))
    rotations[0] = turn
    state = rig.pose(rig.rest(ADULT), rotations, np.zeros(3))
    hand = np.zeros((21, 3), np.float32)
    hand[0] = state.joints[rig.bone("wrist.L")]
    for finger in range(1, 6):
        bones = [state.joints[rig.bone(f"finger{finger}-{k}.L")] for k in (1, 2, 3)]
        hand[1 + 4 * (finger - 1) :][:4] = [*bones, 2 * bones[2] - bones[1]]
    keypoints = Keypoints(np.ones((33, 4), np.float32), np.zeros((33, 3), np.float32), np.zeros(33, bool),
                          left_hand=hand[:, :2], left_hand_world=hand)  # fmt: skip
    assert set(observed_palms(keypoints)) == {"left"}
    found = finger_rotations(rig, joints, keypoints)
    first = found[rig.bone("finger3-1.L")]
    angle = np.degrees(np.arccos((np.trace(first) - 1) / 2))
    assert angle == pytest.approx(np.degrees(0.8), abs=6)
    second = found[rig.bone("finger3-2.L")]
    assert np.degrees(np.arccos(np.clip((np.trace(second) - 1) / 2, -1, 1))) < 8
    # The right hand was not seen: it hangs relaxed, and the fingers close towards the palm.
    relaxed = rig.identity_pose().astype(np.float64)
    for bone, value in found.items():
        relaxed[bone] = value
    tips = rig.pose(rig.rest(ADULT), relaxed, np.zeros(3)).joints
    palm = reference_palm(rig, joints, "right")[:, 2]
    thumb = joints[rig.bone("finger1-3.R")] - joints[rig.bone("finger1-1.R")]
    moved = (tips - joints)[rig.bone("finger3-3.R")] @ (palm * np.sign(thumb @ palm))
    assert moved > 0.003


@pytest.mark.parametrize(("name", "seed"), [("standing", 1), ("walking", 2), ("sitting", 3)])
def test_known_poses_are_found(name: str, seed: int) -> None:
    _, _, numbers = solved(name, seed)
    assert numbers["pa_mpjpe_mm"] < 40
    if name == "standing":
        assert numbers["lean_deg"] < 3 and numbers["foot_plane_mm"] < 20 and numbers["knee_error_deg"] < 12


def test_noise_of_one_percent_is_borne() -> None:
    _, _, numbers = solved("standing", 5, noise=1.0)
    assert numbers["pa_mpjpe_mm"] < 50 and numbers["lean_deg"] < 3


def test_a_small_child_gets_a_childs_body() -> None:
    _, found, _ = solved("apart", 4, child=True)
    _, grown, _ = solved("standing", 1)
    assert found["phenotypes"][1] < 0.5 < grown["phenotypes"][1]


def test_leaning_landmarks_do_not_make_a_leaning_body() -> None:
    """The 3D landmarks of a standing person lean by 7 to 19 degrees; the body must not, and the record says both."""
    _, found, _ = solved("standing", 1)
    assert float(found["lean_before_deg"]) > 5
    assert abs(float(found["lean_deg"])) < 3
    assert float(found["lean_deg"]) == pytest.approx(side_numbers(found)["lean_deg"], abs=0.8)


def test_record_is_complete_and_repeats() -> None:
    case, found, _ = solved("standing", 1)
    inputs = {"matte": case.matte, "keypoints": case.keypoints}
    seen = []
    again = body_fit.run(inputs, FitParams(), Context("body.fit", listen=lambda e: seen.append(e.fraction)))
    for name, value in found.arrays.items():
        assert np.array_equal(value, again.arrays[name]), name
    assert len(seen) > 10 and max(seen) <= 1 and seen == sorted(seen)
    assert np.abs(posed(found).joints - found["joints_cam"]).max() < 1e-4
    h = found.history
    assert len(h["terms"]) == len(h["rotations"]) == len(h["pitch"]) > 10
    assert h["terms"].shape[1] == len(h["term_names"])
    assert np.allclose(np.linalg.det(found["rotations"]), 1, atol=1e-5)
    assert ((found["confidence"] >= 0) & (found["confidence"] <= 1)).all()
    assert float(found["reprojection_pct"]) < 1.5 and float(found["inside_mask"]) > 0.9
    assert pa_mpjpe(found["body22_cam"], found["body22_cam"] * 2 + 1) < 1e-3


def test_knobs_and_messages() -> None:
    case, found, _ = solved("standing", 1)
    inputs = {"matte": case.matte, "keypoints": case.keypoints}
    wide = body_fit.run(inputs, body_fit.make_params({"fov": 60, "iterations": 12}), Context())
    assert wide["K"][0, 0] < found["K"][0, 0] and wide["root_translation"][2] < found["root_translation"][2]
    with pytest.raises(UserError, match="upright"):
        body_fit.make_params({"upright": "maybe"})
    broken = dataclasses.replace(case.keypoints, body=np.full((33, 4), np.nan, np.float32))
    with pytest.raises(UserError, match="not finite"):
        body_fit.run({**inputs, "keypoints": broken}, FitParams(), Context())
    with pytest.raises(Cancelled):
        body_fit.run(inputs, FitParams(), Context(is_cancelled=lambda: True))


def test_an_edited_landmark_is_obeyed() -> None:
    case, found, _ = solved("standing", 1)
    wrist = LANDMARK_NAMES.index("left_wrist")
    points, edited = case.keypoints.body.copy(), case.keypoints.edited.copy()
    points[wrist, :2] += (18, -14)
    edited[wrist] = True
    moved = dataclasses.replace(case.keypoints, body=points, edited=edited)
    other = body_fit.run({"matte": case.matte, "keypoints": moved}, FitParams(), Context())
    i = default_rig().bone("wrist.L")
    shift = other["joints_px"][i] - found["joints_px"][i]
    assert shift[0] > 9 and shift[1] < -6


@pytest.mark.parametrize(("name", "seed"), [("walking", 2), ("sitting", 3)])
def test_the_lift_knows_depth_better_than_the_landmarks(name: str, seed: int) -> None:
    """Its joints are nearer to the true ones than the network's leaning 3D landmarks, scale and place aside."""
    case, _, _ = solved(name, seed)
    K = intrinsics(384, 512, 40.0)
    found = lifted(case.keypoints.body.astype(float), case.keypoints.world.astype(float), K)
    assert found.points.shape == found.sigma.shape == (len(POINTS), 3)
    assert (found.sigma > 0).all() and np.abs(found.points[1:3].mean(0)).max() < 1e-9
    bones = [default_rig().bone(f"{b}.{s}") for b in ("lowerleg01", "foot", "upperarm01", "lowerarm01") for s in "LR"]
    rows = [25, 26, 27, 28, 11, 12, 13, 14]
    true = case.truth["joints_cam"].astype(float)
    hips = true[[default_rig().bone(f"upperleg01.{s}") for s in "LR"]].mean(0)

    def miss(points: np.ndarray) -> float:
        wanted = true[bones] - hips
        scale = (points * wanted).sum() / (points**2).sum()
        return float(np.abs(scale * points - wanted)[:, 2].mean())

    raw = case.keypoints.world.astype(float)
    assert miss(found.world(raw)[rows]) < 0.8 * miss(raw[rows] - raw[[23, 24]].mean(0))


def test_a_hidden_limb_is_lifted_with_a_wide_spread() -> None:
    case, _, _ = solved("standing", 1)
    K = intrinsics(384, 512, 40.0)
    body, world = case.keypoints.body.astype(float), case.keypoints.world.astype(float)
    hidden = body.copy()
    hidden[[13, 15, 17, 19, 21], 2] = 0.05
    elbow, wrist = POINTS.index("left_elbow_joint"), POINTS.index("left_wrist_joint")
    seen_sigma, hidden_sigma = (lifted(b, world, K).sigma[[elbow, wrist]].mean() for b in (body, hidden))
    assert hidden_sigma > 1.1 * seen_sigma


def test_a_lift_of_another_kind_is_refused(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"body_lift\.py"):
        read_lift(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", schema=np.array("other/1"), first=np.zeros(3))
    with pytest.raises(ValueError, match="other/1"):
        read_lift(tmp_path / "other.npz")


def test_stance_of_a_known_standing_person() -> None:
    case, _, _ = solved("standing", 1)
    sitting, _, _ = solved("sitting", 3)
    K = intrinsics(384, 512, 40.0)
    stands = read_evidence(case.keypoints, case.matte.alpha, K).stance
    sits = read_evidence(sitting.keypoints, sitting.matte.alpha, K).stance
    assert stands.upright > 0.8 and stands.both_feet > 0.8 and stands.contact.min() > 0.5
    assert sits.upright < 0.2 and sits.both_feet < 0.2
    assert len(SOLE_NAMES) == len(stands.contact)
