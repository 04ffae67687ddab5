"""Body records: recomputed vertices, round trips, the display frame."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipelines.body.body_numbers import foot_plane, side_numbers
from pipelines.body.ground import heading_in_camera, up_in_camera, world_from_camera
from pipelines.body.read_body import (
    body_vertices,
    make_body,
    pitch_of,
    posed,
    vertices_cam,
    vertices_world,
    with_pose,
)
from pipelines.body.rig import default_rig
from pipelines.geometry.cameras import intrinsics
from pipelines.geometry.rotations import matrix_from_rotation_vector
from pipelines.records import Body


def a_body(yaw: float = 0.0, pitch: float = 0.0, raised: bool = False) -> Body:
    """Someone who turns by yaw (radians, to the own left positive) before a camera that looks down by pitch."""
    rig = default_rig()
    rotations = rig.identity_pose().astype(np.float64)
    tilt = matrix_from_rotation_vector(np.array([pitch, 0.0, 0.0]))
    rotations[0] = tilt @ matrix_from_rotation_vector(np.array([0.0, yaw, 0.0]))
    if raised:
        rotations[rig.bone("upperarm01.L")] = matrix_from_rotation_vector(np.array([0.0, 0.0, -1.6]))
    return make_body(
        rotations=rotations, root_translation=np.array([0.2, 0.1, 3.0]), phenotypes=rig.default_phenotypes(),
        length_scales=np.full(9, 0.02), K=intrinsics(300, 400, 40.0), image_size=(300, 400), pitch=pitch,
        texts={"source": "test", "source_version": "1"},
    )  # fmt: skip


def test_round_trip_keeps_every_bit(tmp_path: Path) -> None:
    body = a_body(0.4, 0.1, True)
    body.save(tmp_path)
    back = Body.load(tmp_path)
    assert np.array_equal(back["rotations"], body["rotations"])
    assert np.abs(vertices_cam(back) - vertices_cam(body)).max() < 1e-5
    assert back.texts == body.texts
    first = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    again = tmp_path / "again"
    again.mkdir()
    back.save(again)
    assert {p.name: p.read_bytes() for p in again.iterdir()} == first


def test_redundant_fields_follow_from_the_pose() -> None:
    body = a_body(0.3)
    state = posed(body)
    assert np.abs(state.joints - body["joints_cam"]).max() < 1e-6
    px, _ = body.camera.project(body.camera.to_world(body["joints_cam"]))
    assert np.abs(px - body["joints_px"]).max() < 0.01
    assert body["body22_cam"].shape == (22, 3) and len(body["joint_names"]) == len(body["rotations"])


@pytest.mark.parametrize("yaw", [0.0, 0.9, -1.3, 3.1])
@pytest.mark.parametrize("pitch", [0.0, 0.25])
def test_display_frame(yaw: float, pitch: float) -> None:
    """y up, soles on y = 0, pelvis above the origin, facing +z, the raised left hand at +x: for every heading."""
    body = a_body(yaw, pitch, True)
    rig = default_rig()
    vertices = vertices_world(body)
    joints = np.asarray(body.camera.to_world(body["joints_cam"]))
    assert abs(vertices[rig.vertices_of("sole_left", "sole_right"), 1].min()) < 1e-4
    assert np.abs(joints[0, [0, 2]]).max() < 1e-5
    assert joints[rig.bone("head"), 1] > 1.3
    nose = vertices[rig.arrays.keypoint_rows[rig.keypoint_names.index("nose")][0]].mean(0)
    assert nose[2] > joints[rig.bone("head"), 2] + 0.05
    left, right = joints[rig.bone("wrist.L")], joints[rig.bone("wrist.R")]
    assert left[0] > 0.3 and right[0] < -0.3 and left[1] > right[1] + 0.3
    matrix = body["world_from_camera"]
    assert np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-9) and np.linalg.det(matrix[:3, :3]) > 0
    assert pitch_of(body) == pytest.approx(pitch, abs=1e-9)


def test_faces_of_the_visible_surface() -> None:
    vertices, faces = body_vertices(a_body())
    rig = default_rig()
    assert len(vertices) == rig.vertex_count and len(faces) < len(rig.faces)
    assert not np.isin(faces, rig.vertices_of("inside")).any()
    # Counter-clockwise from outside: the signed volume is positive.
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    assert (a * np.cross(b, c)).sum() / 6 > 0.03


def test_another_pose_of_the_same_person() -> None:
    body = a_body()
    rig = default_rig()
    rotations = body["rotations"].copy()
    rotations[rig.bone("lowerleg01.L")] = matrix_from_rotation_vector(np.array([1.2, 0, 0]))
    other = with_pose(body, rotations)
    assert side_numbers(other)["knee_left_deg"] > side_numbers(body)["knee_left_deg"] + 55
    assert np.array_equal(other["phenotypes"], body["phenotypes"])
    assert other["joints_cam"][rig.bone("foot.L"), 2] > body["joints_cam"][rig.bone("foot.L"), 2] + 0.2


def test_lean_is_signed_towards_the_camera() -> None:
    """Someone who bows to a level camera leans by a positive angle; the same seen from behind by a negative one."""
    for yaw, sign in ((0.0, 1), (np.pi, -1)):
        body = a_body(yaw)
        rotations = body["rotations"].astype(np.float64)
        rotations[default_rig().bone("spine04")] = matrix_from_rotation_vector(np.array([0.6, 0, 0]))
        assert sign * side_numbers(with_pose(body, rotations))["lean_deg"] > 5


def test_foot_plane_of_flat_and_tilted_feet() -> None:
    body = a_body()
    flat = foot_plane(vertices_world(body).astype(np.float64), default_rig())
    rotations = body["rotations"].astype(np.float64)
    rotations[default_rig().bone("foot.L")] = matrix_from_rotation_vector(np.array([0.7, 0, 0]))
    tilted = foot_plane(vertices_world(with_pose(body, rotations)).astype(np.float64), default_rig())
    assert flat < 20 < tilted


def test_heading_of_somebody_who_lies() -> None:
    lying = matrix_from_rotation_vector(np.array([-np.pi / 2, 0.0, 0.0]))  # on the back, feet towards the camera
    heading = heading_in_camera(lying, up_in_camera(0.0))
    assert abs(heading[1]) < 1e-6 and np.linalg.norm(heading) == pytest.approx(1)
    matrix = world_from_camera(np.array([0.0, 0.0, 3.0]), lying, np.array([[0.0, 0.1, 3.0], [0.0, 0.3, 2.5]]), 0.0)
    assert (matrix @ [0.0, 0.3, 2.5, 1.0])[1] == pytest.approx(0)


def test_foreign_records_are_refused() -> None:
    body = a_body()
    smplx = dataclasses.replace(body, texts={**body.texts, "rotation_parameterisation": "smplx-parent-relative"})
    with pytest.raises(ValueError, match="Convert"):
        vertices_cam(smplx)
    short = dataclasses.replace(body, arrays={**body.arrays, "rotations": np.tile(np.eye(3), (7, 1, 1))})
    with pytest.raises(ValueError, match="7 bones"):
        posed(short)
