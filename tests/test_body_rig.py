"""The body model: against the package it was exported from, plain twins, symmetry, labels, gradients, speed."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.body.joints import (
    BODY22_NAMES,
    BODY22_PARENTS,
    FIT_GROUP_NAMES,
    MEDIAPIPE_NAMES,
    body22,
    group_rotations,
    mediapipe_points,
    rotations_from_vectors,
)
from pipelines.body.kinematics import nearest_rotation
from pipelines.body.rig import BodyRig, RestBody, default_rig, from_anny_axes, to_anny_axes
from pipelines.body.rig_file import DEFAULT_PATH, read_rig
from pipelines.body.skinning import blended_rotations, skin, skin_plain
from pipelines.geometry.rotations import matrix_from_rotation_vector

GOLDEN = Path(__file__).parent / "golden" / "body" / "anny_forward.npz"
TURN = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # Anny axes -> OpenCV axes


@pytest.fixture(scope="module")
def rig() -> BodyRig:
    return default_rig()


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def millimetres(ours: np.ndarray, anny: np.ndarray) -> np.ndarray:
    return np.linalg.norm(ours - anny @ TURN.T, axis=-1) * 1000


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Cubic metres inside a closed mesh with outward faces (divergence theorem)."""
    corners = vertices[faces].astype(np.float64)
    return float(np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6)


@pytest.fixture(scope="module")
def random_body(rig: BodyRig) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "phenotypes": rng.random(6),
        "local": rng.uniform(-1, 1, len(rig.local_names)),
        "expression": rng.random(len(rig.expression_names)),
        "scales": rng.normal(0, 0.1, len(rig.length_names)),
        "rotations": matrix_from_rotation_vector(rng.normal(0, 0.4, (rig.bone_count, 3))),
        "root": rng.normal(size=3),
    }


# -- against the package ---


@pytest.mark.parametrize("case", range(6))
def test_posing_equals_the_package_for_its_own_rest_body(rig: BodyRig, golden: dict, case: int) -> None:
    few = rig.subset(golden["vertex_ids"])
    rest = RestBody(golden["rest_vertices"][case] @ TURN.T, golden["rest_heads"][case] @ TURN.T,
                    TURN @ golden["rest_frames"][case])  # fmt: skip
    posed = few.pose(rest, from_anny_axes(golden["rotations"][case]), TURN @ golden["translations"][case])
    assert millimetres(posed.vertices, golden["vertices"][case]).max() < 0.01
    assert millimetres(posed.joints, golden["joints"][case]).max() < 0.01


@pytest.mark.parametrize(("case", "mean", "worst"), [(0, 0.15, 1), (1, 0.15, 1), (2, 0.15, 1), (3, 0.15, 1),
                                                     (4, 0.15, 1), (5, 1.0, 8)])  # fmt: skip
def test_whole_forward_pass_is_near_the_package(rig: BodyRig, golden: dict, case: int, mean: float,
                                                worst: float) -> None:  # fmt: skip
    """The shape space is cut to its main directions: far below a millimetre but for the ends of all ranges at once."""
    rest = rig.rest(golden["phenotypes"][case], golden["local"][case], golden["expression"][case])
    posed = rig.pose(rest, from_anny_axes(golden["rotations"][case]), TURN @ golden["translations"][case])
    errors = millimetres(posed.vertices[golden["vertex_ids"]], golden["vertices"][case])
    assert errors.mean() < mean and errors.max() < worst
    assert millimetres(posed.joints, golden["joints"][case]).max() < worst
    points = np.stack([w @ posed.vertices[v] for v, w in rig.arrays.keypoint_rows])
    assert millimetres(points, golden["keypoints"][case]).max() < 2 + worst


def test_axes_convert_both_ways() -> None:
    rotations = matrix_from_rotation_vector(np.random.default_rng(0).normal(size=(5, 3)))
    assert np.allclose(to_anny_axes(from_anny_axes(rotations)), rotations)
    about_up = matrix_from_rotation_vector(np.array([0.0, 0.0, 0.7]))  # Anny: z up
    assert np.allclose(from_anny_axes(about_up), matrix_from_rotation_vector(np.array([0.0, -0.7, 0.0])))


# -- what the axes mean ---


def test_the_person_stands_upright_and_faces_the_camera(rig: BodyRig) -> None:
    rest = rig.rest(rig.default_phenotypes())
    posed = rig.pose(rest, rig.identity_pose(), [0.0, 0.0, 3.0])
    joints = dict(zip(BODY22_NAMES, body22(rig, posed.joints), strict=True))
    assert joints["head"][1] < joints["pelvis"][1] < joints["left_ankle"][1]  # y down
    assert joints["left_wrist"][0] > 0.3 > -0.3 > joints["right_wrist"][0]  # the person's left is at +x
    nose = np.mean([posed.vertices[v].T @ w for v, w in [rig.arrays.keypoint_rows[0]]], axis=0)
    assert nose[2] < joints["head"][2] - 0.05  # the face is nearer to the camera
    assert 1.6 < np.ptp(posed.vertices[:, 1]) < 1.9
    assert np.allclose(posed.joints[0], [0, 0, 3], atol=1e-6)


def test_a_raised_left_hand_and_a_bent_right_knee_are_where_they_belong(rig: BodyRig) -> None:
    vectors = np.zeros((len(FIT_GROUP_NAMES), 3))
    vectors[FIT_GROUP_NAMES.index("left_shoulder"), 2] = -2.0
    vectors[FIT_GROUP_NAMES.index("right_knee"), 0] = 1.2
    rest = rig.rest(rig.default_phenotypes())
    base = rig.pose(rest, rig.identity_pose(), np.zeros(3)).joints
    made = rig.pose(rest, group_rotations(rig, vectors), np.zeros(3)).joints
    left, head = made[rig.bone("wrist.L")], made[rig.bone("head")]
    assert left[1] < head[1] and left[0] > 0  # above the head, still on the person's left
    assert np.allclose(made[rig.bone("wrist.R")], base[rig.bone("wrist.R")], atol=1e-6)
    assert made[rig.bone("foot.R")][2] > base[rig.bone("foot.R")][2] + 0.2  # the heel goes back
    assert np.allclose(made[rig.bone("foot.L")], base[rig.bone("foot.L")], atol=1e-6)


def test_root_rotation_turns_the_body_about_the_pelvis_joint(rig: BodyRig, random_body: dict) -> None:
    rest = rig.rest(random_body["phenotypes"])
    turn = matrix_from_rotation_vector(np.array([0.3, 1.0, -0.2]))
    rotations = random_body["rotations"].copy()
    rotations[0] = np.eye(3)
    before = rig.pose(rest, rotations, np.zeros(3))
    rotations[0] = turn
    after = rig.pose(rest, rotations, [1.0, 2.0, 3.0])
    assert np.abs(after.vertices - (before.vertices @ turn.T + [1, 2, 3])).max() < 1e-5


# -- shape ---


def test_phenotypes_do_what_they_say(rig: BodyRig) -> None:
    def body(**changes: float) -> np.ndarray:
        values = rig.default_phenotypes()
        for name, value in changes.items():
            values[rig.phenotype_names.index(name)] = value
        return rig.rest(values).vertices

    def size(**changes: float) -> np.ndarray:
        return np.ptp(body(**changes), axis=0)

    assert size(height=0.2)[1] + 0.2 < size(height=0.6)[1]
    assert size(age=0.33)[1] < 1.45 < size(age=0.67)[1]
    assert volume(body(weight=1.0), rig.faces) > 1.2 * volume(body(weight=0.0), rig.faces)
    assert size(gender=0.0)[1] > size(gender=1.0)[1] + 0.05  # 0 man, 1 woman
    assert np.allclose(size(age=1.7), size(age=1.0))  # clamped


def test_shape_is_linear_between_anchors_of_each_phenotype(rig: BodyRig) -> None:
    values = rig.default_phenotypes()
    for i, (low, high) in enumerate([(0, 1), (1 / 3, 2 / 3), (0, 0.5), (0.5, 1), (0, 1), (0, 1)]):
        ends = []
        for share in (0.0, 0.25, 1.0):
            changed = values.astype(np.float64)
            changed[i] = low + share * (high - low)
            ends.append(rig.rest(torch.tensor(changed)).vertices)
        assert (ends[1] - (0.75 * ends[0] + 0.25 * ends[2])).abs().max() < 1e-9
    # ... and not across an anchor:
    ends = [rig.rest(np.where(np.arange(6) == 1, age, values)).vertices for age in (1 / 3, 2 / 3, 1.0)]
    assert np.abs(ends[1] - (ends[0] + ends[2]) / 2).max() > 0.02


@pytest.mark.parametrize(("name", "axis"), [("upper_leg_length", 1), ("torso_length", 1), ("shoulder_width", 0),
                                            ("belly", 2), ("foot_size", 2), ("head_height", 1)])  # fmt: skip
def test_local_changes_move_their_region(rig: BodyRig, name: str, axis: int) -> None:
    column = rig.local_names.index(name)
    base = rig.rest(rig.default_phenotypes()).vertices
    ends = []
    for sign in (1.0, -1.0):
        local = np.zeros(len(rig.local_names))
        local[column] = sign
        ends.append(rig.rest(rig.default_phenotypes(), local).vertices - base)
    assert np.abs(ends[0]).max() > 0.01 and np.abs(ends[1]).max() > 0.005
    moved = (np.linalg.norm(ends[0], axis=1) > 0.003) & (np.linalg.norm(ends[1], axis=1) > 0.003)
    assert np.abs(ends[0][moved, axis]).max() > 0.01
    opposite = (ends[0][moved] * ends[1][moved]).sum(1)
    assert (opposite < 0).mean() > 0.8


def test_face_actions_stay_in_the_head(rig: BodyRig) -> None:
    base = rig.rest(rig.default_phenotypes()).vertices
    for name in ("jawOpen", "mouthSmileLeft", "eyeBlinkRight"):
        values = np.zeros(len(rig.expression_names))
        values[rig.expression_names.index(name)] = 1.0
        moved = np.linalg.norm(rig.rest(rig.default_phenotypes(), None, values).vertices - base, axis=1) > 5e-4
        assert moved.sum() > 100
        assert set(np.unique(rig.part[moved])) <= {rig.part_names.index(p) for p in ("head", "face", "neck")}
        if name == "eyeBlinkRight":
            assert base[moved, 0].mean() < -0.02  # the person's right is at -x


@pytest.mark.parametrize(("group", "bones"), [("upper_leg", ("upperleg01.L", "lowerleg01.L")),
                                              ("lower_leg", ("lowerleg01.R", "foot.R")),
                                              ("lower_arm", ("lowerarm01.L", "wrist.L")),
                                              ("upper_arm", ("upperarm01.R", "lowerarm01.R"))])  # fmt: skip
def test_length_factors_scale_their_bones_and_nothing_else(rig: BodyRig, group: str, bones: tuple[str, str]) -> None:
    shape = rig.default_phenotypes()
    base, long = rig.rest(shape), rig.rest(shape, length_scales={group: np.log(1.2)})

    def length(rest: RestBody, a: str, b: str) -> float:
        return float(np.linalg.norm(rest.bone_heads[rig.bone(b)] - rest.bone_heads[rig.bone(a)]))

    middle = bones[0].replace("01", "02")
    for a, b in ((bones[0], middle), (middle, bones[1])):
        assert length(long, a, b) / length(base, a, b) == pytest.approx(1.2, rel=1e-4)
    assert length(long, "spine05", "neck01") == pytest.approx(length(base, "spine05", "neck01"), rel=1e-5)
    foot = rig.vertices_of("foot_left")  # carried along without a change of its own
    assert np.abs(np.ptp(long.vertices[foot], axis=0) - np.ptp(base.vertices[foot], axis=0)).max() < 0.012
    zero = rig.rest(shape, length_scales=np.zeros(len(rig.length_names)))
    assert np.abs(zero.vertices - base.vertices).max() < 2e-6


def test_length_factors_by_name_keep_their_gradient(rig: BodyRig) -> None:
    few = rig.subset(rig.vertices_of("shin_left"))
    longer = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    phenotypes = torch.tensor(rig.default_phenotypes(), dtype=torch.float64)
    few.rest(phenotypes, length_scales={"upper_leg": longer}).vertices[:, 1].mean().backward()
    assert longer.grad is not None and longer.grad > 0.3  # a longer thigh lowers the shin by the thigh's length


def test_unknown_length_group_is_named(rig: BodyRig) -> None:
    with pytest.raises(ValueError, match=r"tail.*upper_leg"):
        rig.rest(rig.default_phenotypes(), length_scales={"tail": 0.1})


# -- skinning and keypoints ---


def test_fast_skinning_equals_the_plain_sum(rig: BodyRig, random_body: dict) -> None:
    rest = rig.rest(random_body["phenotypes"], random_body["local"])
    posed = rig.pose(rest, random_body["rotations"], random_body["root"])
    ids = np.arange(0, rig.vertex_count, 23)
    indices, weights = rig.skin_indices[ids], rig.skin_weights[ids]
    plain = skin_plain(rest.vertices[ids], indices, weights, posed.transforms)
    assert np.abs(plain - posed.vertices[ids]).max() < 1e-5
    tensors = [torch.as_tensor(x) for x in (rest.vertices[ids], indices, weights, posed.transforms)]
    assert np.abs(skin(*tensors).numpy() - plain).max() < 1e-5


def test_blended_rotations_are_proper_and_exact_for_single_bones(rig: BodyRig, random_body: dict) -> None:
    rest = rig.rest(random_body["phenotypes"])
    posed = rig.pose(rest, random_body["rotations"], random_body["root"])
    turned = blended_rotations(rig.skin_indices, rig.skin_weights, posed.transforms)
    assert np.allclose(turned @ turned.transpose(0, 2, 1), np.eye(3), atol=1e-6)
    assert np.linalg.det(turned).min() > 0.99
    single = np.flatnonzero(rig.skin_weights[:, 0] > 0.9999)
    assert len(single) > 1000
    wanted = posed.transforms[rig.skin_indices[single, 0], :3, :3]
    assert np.abs(turned[single] - wanted).max() < 1e-3


@pytest.mark.parametrize("stretched", [False, True])
def test_keypoint_operator_equals_skinning(rig: BodyRig, random_body: dict, stretched: bool) -> None:
    points = [*mediapipe_points(rig), *rig.keypoint_names, "wrist.L", "head"]
    operator = rig.keypoint_operator(points)
    scales = random_body["scales"] if stretched else None
    shape = [torch.tensor(random_body[k]) for k in ("phenotypes", "local", "expression")]
    scales = None if scales is None else torch.tensor(scales)
    pose = [torch.tensor(random_body[k]) for k in ("rotations", "root")]
    made = operator.pose(operator.rest(*shape, scales), *pose)
    posed = rig.pose(rig.rest(*shape, scales), *pose)
    for point, value in zip(points, made, strict=True):
        if isinstance(point, str) and point in rig.bone_names:
            wanted = posed.joints[rig.bone(point)]
        else:
            row = rig.arrays.keypoint_rows[rig.keypoint_names.index(point)] if isinstance(point, str) else point
            wanted = torch.as_tensor(row[1]).to(posed.vertices) @ posed.vertices[row[0]]
        assert (value - wanted).abs().max() < 1e-9


def test_subset_equals_the_whole_on_its_vertices(rig: BodyRig, random_body: dict) -> None:
    ids = np.random.default_rng(1).permutation(rig.vertex_count)[:300]
    few = rig.subset(ids)
    arguments = [random_body[k] for k in ("phenotypes", "local", "expression", "scales")]
    whole = rig.pose(rig.rest(*arguments), random_body["rotations"], random_body["root"])
    part = few.pose(few.rest(*arguments), random_body["rotations"], random_body["root"])
    assert np.abs(part.vertices - whole.vertices[ids]).max() < 1e-5
    assert np.array_equal(few.vertex_ids, ids) and np.array_equal(few.part, rig.part[ids])
    with pytest.raises(ValueError, match="different vertex ids"):
        rig.subset([1, 1])


def test_batches_equal_single_bodies(rig: BodyRig) -> None:
    rng = np.random.default_rng(8)
    few = rig.subset(np.arange(0, rig.vertex_count, 100))
    phenotypes = torch.tensor(rng.random((3, 6)))
    rotations = rotations_from_vectors(torch.tensor(rng.normal(0, 0.3, (3, rig.bone_count, 3))))
    roots = torch.tensor(rng.normal(size=(3, 3)))
    together = few.pose(few.rest(phenotypes), rotations, roots)
    for i in range(3):
        alone = few.pose(few.rest(phenotypes[i]), rotations[i], roots[i])
        assert (together.vertices[i] - alone.vertices).abs().max() < 1e-12
        assert (together.transforms[i] - alone.transforms).abs().max() < 1e-12


# -- gradients ---


def test_gradients_equal_finite_differences(rig: BodyRig, random_body: dict) -> None:
    operator = rig.keypoint_operator(["left_wrist", "nose", "foot.R"])

    def points(phenotypes: torch.Tensor, local: torch.Tensor, scales: torch.Tensor, vectors: torch.Tensor,
               root: torch.Tensor) -> torch.Tensor:  # fmt: skip
        return operator.pose(operator.rest(phenotypes, local, None, scales), group_rotations(rig, vectors), root)

    rng = np.random.default_rng(4)
    start = [torch.tensor(x) for x in (np.full(6, 0.61), rng.uniform(0.2, 0.6, 30), random_body["scales"],
                                       rng.normal(0, 0.3, (len(FIT_GROUP_NAMES), 3)), random_body["root"])]  # fmt: skip
    assert torch.autograd.gradcheck(points, [x.double().requires_grad_() for x in start], eps=1e-6, atol=1e-6,
                                    fast_mode=True)  # fmt: skip


def test_nearest_rotation_is_the_special_procrustes_solution() -> None:
    generator = torch.Generator().manual_seed(0)
    matrices = torch.randn(40, 3, 3, dtype=torch.float64, generator=generator)  # half of them mirror
    found = nearest_rotation(matrices)
    assert torch.allclose(found @ found.mT, torch.eye(3, dtype=torch.float64).expand(40, 3, 3))
    assert (torch.det(found) > 0).all() and (torch.det(matrices) < 0).any()
    score = (found * matrices).sum((1, 2))
    for _ in range(200):
        other = rotations_from_vectors(torch.randn(40, 3, dtype=torch.float64, generator=generator))
        assert ((other * matrices).sum((1, 2)) <= score + 1e-9).all()
    assert torch.autograd.gradcheck(nearest_rotation, [matrices[:6].clone().requires_grad_()], fast_mode=True)
    equal = (2.0 * torch.eye(3, dtype=torch.float64)).requires_grad_()  # equal singular values: SVD has no gradient
    nearest_rotation(equal)[0, 1].backward()
    assert equal.grad is not None and torch.isfinite(equal.grad).all() and equal.grad[0, 1] == pytest.approx(0.25)


# -- labels ---


def test_mesh_and_mirror_are_consistent(rig: BodyRig) -> None:
    assert rig.vertex_count == 13718 and rig.faces.shape == (27420, 3) == rig.uv_faces.shape
    assert rig.faces.min() == 0 and rig.faces.max() == rig.vertex_count - 1 and rig.uv_faces.max() < len(rig.uv)
    assert rig.uv.min() >= 0 and rig.uv.max() <= 1
    assert np.array_equal(rig.mirror[rig.mirror], np.arange(rig.vertex_count))
    vertices = rig.rest(rig.default_phenotypes()).vertices
    assert np.abs(vertices[rig.mirror] * [-1, 1, 1] - vertices).max() < 5e-4
    assert np.allclose(rig.skin_weights.sum(1), 1, atol=1e-5)
    swapped = [rig.bone_names[i] for i in rig.mirror_bones]
    assert all(a == b or {a[-2:], b[-2:]} == {".L", ".R"} for a, b in zip(rig.bone_names, swapped, strict=True))
    assert 0.03 < volume(vertices, rig.faces) < 0.12  # outward faces, in OpenCV axes (proper turn of Anny's)


def test_parts_are_labelled_on_the_right_side(rig: BodyRig) -> None:
    vertices = rig.rest(rig.default_phenotypes()).vertices
    for name in rig.part_names:
        ids = rig.vertices_of(name)
        assert len(ids) > 100
        if name.endswith("_left"):
            assert vertices[ids, 0].min() > 0
            other = rig.vertices_of(name.replace("_left", "_right"))
            assert np.array_equal(np.sort(rig.mirror[ids]), other)
    order = ["scalp", "face", "neck", "torso", "thigh_left", "shin_left", "foot_left"]
    heights = [vertices[rig.vertices_of(name), 1].mean() for name in order]
    assert heights == sorted(heights)
    with pytest.raises(ValueError, match=r"no body part.*tail"):
        rig.vertices_of("tail")


def test_face_and_scalp_meet_at_the_hairline(rig: BodyRig) -> None:
    vertices = rig.rest(rig.default_phenotypes()).vertices
    outside = np.setdiff1d(np.arange(rig.vertex_count), rig.vertices_of("inside"))
    face, scalp = (np.intersect1d(rig.vertices_of(n), outside) for n in ("face", "scalp"))
    rows = dict(zip(rig.keypoint_names, rig.arrays.keypoint_rows, strict=True))
    at = {n: rows[n][1] @ vertices[rows[n][0]] for n in ("nose", "left_eye", "left_ear", "right_ear")}
    ear = (at["left_ear"] + at["right_ear"]) / 2
    assert vertices[face, 2].max() < ear[2] + 0.01  # the face lies in front of the ears
    assert vertices[scalp, 1].max() < ear[1] + 0.05  # the scalp ends at the nape
    top = vertices[scalp, 1].min()
    assert top == vertices[:, 1].min()  # the crown is scalp
    forehead = vertices[face, 1].min()
    brow_to_nose = at["nose"][1] - at["left_eye"][1]
    assert top + 0.02 < forehead < at["left_eye"][1] - brow_to_nose  # a forehead above the eyes, hair above it
    behind = np.flatnonzero(np.isin(rig.part, [rig.part_names.index("face")]) & (vertices[:, 2] > ear[2] + 0.02))
    assert len(np.intersect1d(behind, outside)) == 0


def test_soles_are_flat_and_below(rig: BodyRig) -> None:
    vertices = rig.rest(rig.default_phenotypes()).vertices
    for side in ("left", "right"):
        sole = rig.vertices_of(f"sole_{side}")
        assert set(sole) <= set(rig.vertices_of(f"foot_{side}"))
        assert len(sole) > 100 and np.ptp(vertices[sole, 1]) < 0.05
        assert np.ptp(vertices[sole, 2]) > 0.18  # from heel to toes


def test_mediapipe_points_lie_where_their_names_say(rig: BodyRig) -> None:
    operator = rig.keypoint_operator(mediapipe_points(rig))
    shape = rig.default_phenotypes()
    points = operator.pose(operator.rest(shape), rig.identity_pose(), np.zeros(3))
    at = dict(zip(MEDIAPIPE_NAMES, points, strict=True))
    for name in MEDIAPIPE_NAMES:
        if name.startswith("left_") or name == "mouth_left":
            other = at[name.replace("left", "right")]
            assert at[name][0] > 0 and np.abs(at[name] * [-1, 1, 1] - other).max() < 2e-3
    assert at["left_eye_inner"][0] < at["left_eye"][0] < at["left_eye_outer"][0]
    assert at["left_foot_index"][2] < at["left_ankle"][2] - 0.1 < at["left_heel"][2]  # toes point to the camera
    assert at["nose"][2] == min(p[2] for n, p in at.items() if "eye" in n or "ear" in n or n == "nose")
    down = [at[n][1] for n in ("left_eye", "mouth_left", "left_shoulder", "left_hip", "left_knee", "left_ankle")]
    assert down == sorted(down)


def test_body22_is_a_person(rig: BodyRig) -> None:
    posed = rig.pose(rig.rest(rig.default_phenotypes()), rig.identity_pose(), np.zeros(3))
    joints = body22(rig, posed.joints)
    assert joints.shape == (22, 3) and len(BODY22_NAMES) == len(BODY22_PARENTS) == 22
    lengths = np.linalg.norm(joints[1:] - joints[list(BODY22_PARENTS[1:])], axis=1)
    assert lengths.min() > 0.04 and lengths.max() < 0.5
    assert np.allclose(body22(rig, torch.as_tensor(posed.joints)).numpy(), joints)


# -- the file ---


def test_file_is_small_open_and_says_where_it_comes_from(tmp_path: Path) -> None:
    assert DEFAULT_PATH.stat().st_size < 6e6
    about = read_rig().about
    assert about["source"] == "anny 0.6.2" and "CC0" in str(about["licence"])
    assert (DEFAULT_PATH.parent / "NOTICE").is_file()
    np.savez(tmp_path / "old.npz", about=np.array(json.dumps({"schema": "humanscope.rig/0"})))
    with pytest.raises(ValueError, match=r"humanscope.rig/0.*humanscope.rig/1"):
        read_rig(tmp_path / "old.npz")
    with pytest.raises(FileNotFoundError, match="export_anny"):
        read_rig(tmp_path / "none.npz")


def test_wrong_arguments_are_named(rig: BodyRig) -> None:
    with pytest.raises(ValueError, match=r"5 phenotypes.*6"):
        rig.rest(np.zeros(5))
    with pytest.raises(ValueError, match="104 bones"):
        rig.pose(rig.rest(rig.default_phenotypes()), np.zeros((22, 3, 3)), np.zeros(3))
    with pytest.raises(ValueError, match="neither a bone nor a keypoint"):
        rig.keypoint_operator(["tail"])


def test_forward_pass_is_fast_and_repeats_to_the_bit(rig: BodyRig, random_body: dict) -> None:
    """Processor time of the best of several runs, with a margin of two for a busy machine."""
    operator = rig.keypoint_operator(mediapipe_points(rig))
    arguments = [random_body[k] for k in ("phenotypes", "local", "expression", "scales")]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        full, fast, results = [], [], []
        for _ in range(12):
            begin = time.process_time()
            posed = rig.pose(rig.rest(*arguments), random_body["rotations"], random_body["root"])
            full.append(time.process_time() - begin)
            results.append(posed.vertices)
        rest = operator.rest(*arguments)
        for _ in range(30):
            begin = time.process_time()
            operator.pose(rest, random_body["rotations"], random_body["root"])
            fast.append(time.process_time() - begin)
    finally:
        torch.set_num_threads(threads)
    assert min(full) < 0.050 and min(fast) < 0.003
    assert all(np.array_equal(r, results[0]) for r in results)
