"""Conventions of cameras and rotations: each test would fail if one axis or sign were wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipelines.geometry import rotations
from pipelines.geometry.cameras import DISPLAY_TO_OPENCV, Camera, intrinsics, look_at


def camera(width: int = 640, height: int = 480) -> Camera:
    """Three metres in front of the origin, one metre up, level."""
    matrix = np.eye(4)
    matrix[:3, :3] = DISPLAY_TO_OPENCV
    matrix[:3, 3] = -DISPLAY_TO_OPENCV @ np.array([0.0, 1.0, 3.0])
    return Camera(intrinsics(width, height, 40.0), width, height, matrix)


def test_a_person_who_faces_the_camera_has_the_left_hand_on_the_right_of_the_picture() -> None:
    pixels, depth = camera().project(np.array([[0.5, 1.0, 0.0], [0.0, 1.5, 0.0], [0.0, 1.0, 0.0]]))
    assert pixels[0, 0] > 320 and pixels[0, 1] == pytest.approx(240)
    assert pixels[1, 1] < 240 and pixels[1, 0] == pytest.approx(320)
    assert np.allclose(depth, 3.0)


def test_unproject_undoes_project() -> None:
    points = np.random.default_rng(1).normal(size=(50, 3)) * 0.5
    pixels, depth = camera().project(points)
    assert np.allclose(camera().unproject(pixels, depth), points, atol=1e-12)


def test_the_rays_pass_through_pixel_centres() -> None:
    view = camera(64, 48)
    rays = view.rays()
    point = view.to_world(rays[10, 20][None] * 2.0)
    assert np.allclose(view.project(point)[0], [[20.5, 10.5]])


def test_at_azimuth_90_the_camera_stands_at_the_persons_left() -> None:
    pivot = np.array([0.0, 1.0, 0.0])
    assert np.allclose(camera().orbited(0, None, pivot).world_to_camera, camera().world_to_camera)
    side = camera().orbited(90, None, pivot).position
    assert np.allclose(side, [3.0, 1.0, 0.0], atol=1e-12)
    assert np.allclose(camera().orbited(180, None, pivot).position, [0, 1.0, -3.0], atol=1e-12)
    high = camera().orbited(0, 30, pivot)
    assert np.linalg.norm(high.position - pivot) == pytest.approx(3.0)
    assert high.position[1] == pytest.approx(1.0 + 3.0 * 0.5)
    assert np.allclose(high.project(pivot[None])[0], [[320, 240]])


def test_an_orbit_keeps_pitch_distance_and_place_in_the_picture() -> None:
    tilted = Camera(camera().K, 640, 480, look_at(np.array([0.2, 0.8, 0.0]), 3.0, 10.0, 15.0))
    pivot = np.array([0.0, 1.0, 0.0])
    for azimuth in (33.0, 90.0, 250.0):
        view = tilted.orbited(azimuth, None, pivot)
        assert np.allclose(view.project(pivot[None])[0], tilted.project(pivot[None])[0])
        assert np.allclose(view.world_to_camera[:3, :3] @ [0, 1, 0], tilted.world_to_camera[:3, :3] @ [0, 1, 0])


def test_resized_cropped_and_square_views_agree_with_the_first() -> None:
    points = np.random.default_rng(2).normal(size=(20, 3)) * 0.3
    pixels = camera().project(points)[0]
    assert np.allclose(camera().resized(320, 240).project(points)[0], pixels / 2)
    assert np.allclose(camera().cropped(10, 20, 50, 50).project(points)[0], pixels - [10, 20])
    square = camera().square(640)
    assert (square.width, square.height) == (640, 640)
    assert np.allclose(square.project(points)[0], pixels + np.array([0, 80]))


def test_a_camera_survives_json_and_refuses_wrong_shapes() -> None:
    again = Camera.from_json(camera().to_json())
    assert np.array_equal(again.K, camera().K) and np.array_equal(again.world_to_camera, camera().world_to_camera)
    with pytest.raises(ValueError, match="needs"):
        Camera(np.eye(4), 1, 1, np.eye(4))


def test_rotations_agree_with_scipy() -> None:
    reference = Rotation.random(200, random_state=3)
    xyzw = reference.as_quat()
    wxyz = xyzw[:, [3, 0, 1, 2]]
    matrices = reference.as_matrix()
    assert np.allclose(rotations.matrix_from_quaternion(wxyz * 3.0), matrices)
    back = rotations.quaternion_from_matrix(matrices)
    assert np.allclose(np.abs((back * wxyz).sum(1)), 1.0) and (back[:, 0] >= 0).all()
    vectors = reference.as_rotvec()
    assert np.allclose(rotations.matrix_from_rotation_vector(vectors), matrices)
    assert np.allclose(rotations.rotation_vector_from_matrix(matrices), vectors, atol=1e-9)


def test_half_turns_and_no_turn_are_exact() -> None:
    for axis in np.eye(3):
        half = rotations.matrix_from_rotation_vector(axis * np.pi)
        assert np.allclose(np.abs(rotations.rotation_vector_from_matrix(half)), axis * np.pi, atol=1e-7)
    assert np.array_equal(rotations.rotation_vector_from_matrix(np.eye(3)), np.zeros(3))


def test_a_covariance_and_its_axes_are_inverse() -> None:
    generator = np.random.default_rng(4)
    quaternions = generator.normal(size=(30, 4))
    scales = np.sort(generator.uniform(0.1, 2.0, (30, 3)), 1)
    spread = rotations.covariance(quaternions, scales)
    axes, deviations = rotations.axes_of_covariance(spread)
    assert np.allclose(deviations, scales)
    assert np.allclose(rotations.covariance(axes, deviations), spread)
