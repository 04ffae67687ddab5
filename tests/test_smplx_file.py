"""SMPL-X: safe reading, the forward pass against a plain one, frames, and conversion to and from Anny.

The licensed file cannot be part of the repository. A synthetic body of exactly its layout stands in: vertices of Anny
in a T-pose with other joints, weights, shape directions and pose directions of its own.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.body.convert import anny_from_smplx, directions_to_rotations, relative, smplx_from_anny
from pipelines.body.joints import BODY22_PARENTS, FIT_GROUP_NAMES, body22, body22_matrix, group_rotations
from pipelines.body.rig import BodyRig, PosedBody, default_rig
from pipelines.body.smplx_file import JOINT_NAMES, VERTICES, SmplxModel, change_frame, read_smplx
from pipelines.body.smplx_pickle import read_object
from pipelines.geometry.rotations import matrix_from_rotation_vector

FLIP = np.diag([1.0, -1.0, -1.0])  # OpenCV axes <-> y up, face to +z
PARENTS = (*BODY22_PARENTS, 15, 15, 15, *(p for wrist in (20, 21) for f in range(5) for p in
           (wrist, 25 + (wrist - 20) * 15 + 3 * f, 26 + (wrist - 20) * 15 + 3 * f)))  # fmt: skip
FINGER = {"finger2": "index", "finger3": "middle", "finger5": "pinky", "finger4": "ring", "finger1": "thumb"}
STEMS = {"root": "pelvis", "pelvis": "pelvis", "spine05": "pelvis", "spine04": "spine1", "spine03": "spine1",
         "spine02": "spine2", "spine01": "spine3", "clavicle": "collar", "shoulder01": "collar", "breast": "spine3",
         "upperarm": "shoulder", "lowerarm": "elbow", "upperleg": "hip", "lowerleg": "knee", "foot": "ankle",
         "toe": "foot", "neck": "neck", "head": "head", "eye": "eye", "wrist": "wrist",
         "metacarpal": "wrist"}  # fmt: skip


def joint_of_bone(bone: str) -> int:
    """SMPL-X joint that an Anny bone's vertices belong to."""
    stem, side = bone.split(".")[0], {".L": "left_", ".R": "right_"}.get(bone[-2:], "")
    if stem.startswith("finger"):
        return JOINT_NAMES.index(side + FINGER[stem[:7]] + stem[-1])
    name = next(v for k, v in STEMS.items() if stem.startswith(k))
    return JOINT_NAMES.index(name if name in JOINT_NAMES else side + name)


def t_pose(rig: BodyRig) -> PosedBody:
    """Anny with its arms raised to the side."""
    rest = rig.rest([0.3, 0.6, 0.5, 0.45, 0.42, 0.5])
    vectors = np.zeros((len(FIT_GROUP_NAMES), 3))
    vectors[FIT_GROUP_NAMES.index("left_shoulder"), 2] = -0.75
    vectors[FIT_GROUP_NAMES.index("right_shoulder"), 2] = 0.75
    return rig.pose(rest, group_rotations(rig, vectors), np.zeros(3))


def synthetic_arrays() -> dict[str, np.ndarray]:
    """Arrays with the official names and shapes (the older form with 10 + 10 shape directions)."""
    rig, rng = default_rig(), np.random.default_rng(5)
    posed = t_pose(rig)
    outside = np.setdiff1d(np.arange(rig.vertex_count), rig.vertices_of("inside"))
    face = np.intersect1d(outside, rig.vertices_of("face"))
    kept = np.setdiff1d(outside, face[: len(outside) - VERTICES])
    place = np.full(rig.vertex_count, -1)
    place[kept] = np.arange(VERTICES)
    faces = place[rig.faces]
    vertices = posed.vertices[kept] @ FLIP
    joints = np.zeros((55, 3))
    joints[:22] = body22(rig, posed.joints) @ FLIP
    for joint in range(22, 55):
        bones = [b for b, name in enumerate(rig.bone_names) if joint_of_bone(name) == joint]
        joints[joint] = posed.joints[bones[0]] @ FLIP if bones else joints[15] + [0, -0.02, 0.02]
    regressor = np.zeros((55, VERTICES))
    for joint, position in enumerate(joints):
        near = np.argsort(((vertices - position) ** 2).sum(1))[:80]
        system = np.concatenate([vertices[near].T, np.ones((1, 80))])
        regressor[joint, near] = np.linalg.lstsq(system, np.append(position, 1.0), rcond=None)[0]
    weights = np.zeros((VERTICES, 55))
    target = np.array([joint_of_bone(name) for name in rig.bone_names])
    np.add.at(weights, (np.arange(VERTICES)[:, None], target[rig.skin_indices[kept]]), rig.skin_weights[kept])
    shapedirs = np.zeros((VERTICES, 3, 20))
    centred = vertices - joints[0]
    for k in range(3):
        shapedirs[:, k, k] = 0.03 * centred[:, k]
    shapedirs[:, 1, 3] = 0.05 * np.minimum(centred[:, 1] + 0.1, 0)
    shapedirs[:, 0, 4] = 0.05 * centred[:, 0] * np.exp(-(centred[:, 1] ** 2) / 0.04)
    shapedirs[:, :, 10:12] = 0.001 * rng.normal(size=(VERTICES, 3, 2))
    return {
        "v_template": vertices, "f": faces[(faces >= 0).all(1)].astype(np.uint32), "shapedirs": shapedirs,
        "posedirs": 1e-5 * rng.standard_normal((VERTICES, 3, 486), np.float32), "J_regressor": regressor,
        "weights": weights, "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(55)], np.int64),
    }  # fmt: skip


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return synthetic_arrays()


@pytest.fixture(scope="module")
def model(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> SmplxModel:
    path = tmp_path_factory.mktemp("smplx") / "SMPLX_NEUTRAL.npz"
    np.savez(path, **arrays, joint2num=np.array({"Pelvis": 0}, dtype=object))
    return SmplxModel.load(path)


def plain_forward(arrays: dict[str, np.ndarray], betas: np.ndarray, rotations: np.ndarray,
                  translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The published equations, joint by joint, in double precision."""
    shaped = arrays["v_template"] + arrays["shapedirs"][:, :, :10] @ betas
    joints = arrays["J_regressor"] @ shaped
    bent = shaped + arrays["posedirs"].astype(np.float64) @ (rotations[1:] - np.eye(3)).ravel()
    world = [np.eye(4)] * 55
    for j, parent in enumerate(PARENTS):
        step = np.eye(4)
        step[:3, :3] = rotations[j]
        step[:3, 3] = joints[j] - (joints[parent] if parent >= 0 else 0)
        world[j] = step if parent < 0 else world[parent] @ step
    out = np.zeros_like(bent)
    for j in range(55):
        out += arrays["weights"][:, j : j + 1] * ((bent - joints[j]) @ world[j][:3, :3].T + world[j][:3, 3])
    return out + translation, np.stack([w[:3, 3] for w in world]) + translation


def test_forward_pass_equals_the_published_equations(model: SmplxModel, arrays: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    betas, translation = rng.normal(size=10), rng.normal(size=3)
    rotations = matrix_from_rotation_vector(rng.normal(0, 0.4, (55, 3)))
    wanted, joints = plain_forward(arrays, betas, rotations, translation)
    made = model.pose(model.rest(betas), rotations, translation)
    assert np.abs(made.vertices - wanted).max() < 1e-5
    assert np.abs(made.joints - joints).max() < 1e-5
    ids = np.array([5, 7000, 12])
    few = model.subset(ids)
    assert np.abs(few.pose(few.rest(betas), rotations, translation).vertices - wanted[ids]).max() < 1e-5


def test_expression_moves_only_through_its_own_directions(model: SmplxModel, arrays: dict[str, np.ndarray]) -> None:
    plain, smiling = model.rest(np.zeros(10)), model.rest(np.zeros(10), np.array([1.0, -2.0]))
    wanted = arrays["shapedirs"][:, :, 10] - 2 * arrays["shapedirs"][:, :, 11]
    assert np.abs((smiling.vertices - plain.vertices) - wanted).max() < 1e-6


def test_change_of_frame_turns_the_whole_body(model: SmplxModel) -> None:
    rng = np.random.default_rng(2)
    rest = model.rest(np.zeros(10))
    rotations = matrix_from_rotation_vector(rng.normal(0, 0.3, (55, 3)))
    translation = np.array([0.2, -0.1, 3.0])
    before = model.pose(rest, rotations, translation)
    turned = rotations.copy()
    turned[0], moved = change_frame(rotations[0], translation, rest.joints[0], FLIP)
    after = model.pose(rest, turned, moved)
    assert np.abs(after.vertices - before.vertices @ FLIP).max() < 1e-5
    naive = model.pose(rest, turned, FLIP @ translation)
    assert np.abs(naive.vertices - before.vertices @ FLIP).max() > 0.02  # the pelvis is not at the origin


def test_gradients_reach_pose_and_shape(model: SmplxModel) -> None:
    small = model.subset(np.arange(0, VERTICES, 500))
    betas = torch.zeros(10, dtype=torch.float64, requires_grad=True)
    rotations = torch.eye(3, dtype=torch.float64).repeat(55, 1, 1).requires_grad_()
    small.pose(small.rest(betas), rotations, torch.zeros(3)).vertices.square().sum().backward()
    assert betas.grad is not None and betas.grad.abs().max() > 1e-3
    assert rotations.grad is not None and rotations.grad[0].abs().max() > 1e-3


def write_with(path: Path, arrays: dict[str, np.ndarray], **changes: object) -> Path:
    """The synthetic file with some entries replaced; objects are stored as pickles, as the official file does."""
    small = {**arrays, "posedirs": np.zeros((VERTICES, 3, 486), np.float16), **changes}
    np.savez(path, **{k: v for k, v in small.items() if v is not None})
    return path


def stored_object(value: object) -> np.ndarray:
    box = np.empty((), dtype=object)
    box[()] = value
    return box


def test_sparse_regressor_stored_as_object_is_read_without_running_it(arrays: dict[str, np.ndarray],
                                                                      tmp_path: Path) -> None:  # fmt: skip
    from scipy.sparse import csc_matrix

    box = stored_object(csc_matrix(arrays["J_regressor"]))
    read = read_smplx(write_with(tmp_path / "a.npz", arrays, J_regressor=box))
    assert np.allclose(read["joint_template"], arrays["J_regressor"] @ arrays["v_template"], atol=1e-6)
    nested = stored_object(arrays["weights"].astype(np.float32))
    assert np.array_equal(read_smplx(write_with(tmp_path / "b.npz", arrays, weights=nested))["weights"],
                          arrays["weights"].astype(np.float32))  # fmt: skip


class Harmful:
    """A pickle that would write a file if it were run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_stored_code_is_refused_and_never_run(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = write_with(tmp_path / "bad.npz", arrays, J_regressor=stored_object(Harmful(mark)))
    with pytest.raises(ValueError, match=r"J_regressor.*stored object"):
        read_smplx(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Harmful(mark)))
    assert mark.exists()  # the pickle itself works, so that it was the reader that refused


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_nested_results_come_back_as_plain_arrays(protocol: int) -> None:
    values = {"pose": np.arange(6, dtype=np.float32).reshape(2, 3), "n": [np.float64(1.5), 2, "x", None, (True,)],
              "f": np.asfortranarray(np.arange(6).reshape(2, 3)), "big": np.arange(3, dtype=">i4")}  # fmt: skip
    read = read_object(io.BytesIO(pickle.dumps(values, protocol=protocol)))
    assert np.array_equal(read["pose"], values["pose"]) and read["pose"].dtype == np.float32
    assert np.array_equal(read["f"], values["f"]) and np.array_equal(read["big"], values["big"])
    assert read["n"] == [1.5, 2, "x", None, (True,)]


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps(len), pickle.dumps(np.random.default_rng()),
                                     b"cos\nsystem\n(S'true'\ntR.", pickle.dumps(np.zeros(5))[:-20]])  # fmt: skip
def test_anything_else_is_refused_with_a_sentence(content: bytes) -> None:
    with pytest.raises(ValueError, match="stored object"):
        read_object(io.BytesIO(content))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"posedirs": np.zeros((6890, 3, 207), np.float16)}, "posedirs came as 6890 x 3 x 207.*10475 x 3 x 486"),
        ({"J_regressor": None}, "has no J_regressor"),
        ({"shapedirs": np.zeros((VERTICES, 3, 16))}, "shapedirs has 16 columns"),
        ({"v_template": np.full((VERTICES, 3), np.nan)}, "v_template holds something else than finite"),
        ({"f": np.full((4, 3), VERTICES)}, "outside 0..10474"),
    ],
)
def test_wrong_files_are_named(arrays: dict[str, np.ndarray], tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_smplx(write_with(tmp_path / "x.npz", arrays, **changes))


def test_no_file_and_no_archive_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="SMPLX_NEUTRAL"):
        read_smplx(tmp_path / "none.npz")
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({}))
    with pytest.raises(ValueError, match="no npz archive"):
        read_smplx(tmp_path / "m.pkl")


def walking(rig: BodyRig) -> PosedBody:
    """A person in OpenCV axes, three metres away, turned, with a raised left hand and a bent knee."""
    vectors = np.zeros((len(FIT_GROUP_NAMES), 3))
    for name, vector in {"pelvis": [0, 0.5, 0], "left_shoulder": [0.2, 0, -1.6], "left_elbow": [0, 0, -0.6],
                         "right_knee": [0.9, 0, 0], "right_hip": [-0.5, 0, 0], "spine_middle": [0.2, 0, 0.1],
                         "head": [0, 0.3, 0]}.items():  # fmt: skip
        vectors[FIT_GROUP_NAMES.index(name)] = vector
    rest = rig.rest([0.8, 0.7, 0.4, 0.6, 0.35, 0.5])
    return rig.pose(rest, group_rotations(rig, vectors), [0.1, 0.0, 3.0])


def test_directions_give_back_a_pose_without_twist(model: SmplxModel) -> None:
    rest = model.rest(np.zeros(10)).joints[:22].astype(np.float64)
    vectors = np.zeros((55, 3))
    vectors[0] = [np.pi - 0.2, 0.3, 0.1]
    for name, vector in {"left_shoulder": [0, 0, 0.8], "right_knee": [1.1, 0, 0], "right_hip": [-0.7, 0, 0]}.items():
        vectors[JOINT_NAMES.index(name)] = vector
    target = model.pose(model.rest(np.zeros(10)), matrix_from_rotation_vector(vectors), np.zeros(3)).joints[:22]
    found = matrix_from_rotation_vector(np.zeros((55, 3)))
    found[:22] = relative(directions_to_rotations(rest, target), BODY22_PARENTS)
    again = model.pose(model.rest(np.zeros(10)), found, target[0] - rest[0]).joints[:22]
    assert np.abs(again - target).max() < 0.01


def test_anny_to_smplx_and_back(model: SmplxModel) -> None:
    rig = default_rig()
    posed = walking(rig)
    fit = smplx_from_anny(model, rig, posed, rounds=3)
    assert fit.surface_error_mm < 8 and fit.joint_error_mm < 25
    assert np.allclose(fit.rotations @ fit.rotations.transpose(0, 2, 1), np.eye(3), atol=1e-6)
    smplx = model.pose(model.rest(fit.betas), fit.rotations, fit.translation)
    left, right = (smplx.joints[JOINT_NAMES.index(n)] for n in ("left_wrist", "right_wrist"))
    assert left[1] < right[1] - 0.3  # y is down: the raised hand is the left one
    back = anny_from_smplx(rig, model, smplx, rounds=3)
    assert back.surface_error_mm < 8 and back.joint_error_mm < 25
    again = rig.pose(rig.rest(back.phenotypes, back.local, None, back.length_scales), back.rotations,
                     back.root_translation)  # fmt: skip
    distance = np.linalg.norm(body22_matrix(rig) @ (again.joints - posed.joints), axis=1)
    assert distance.mean() < 0.02
