"""The metrics on cases with a known answer, and against scikit-image and trimesh where these have the same one."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pipelines.evaluate import images, intervals, surfaces
from pipelines.evaluate.bodies import mpjpe
from pipelines.evaluate.protocols import PSNR_CAP
from pipelines.evaluate.report import before_and_after
from pipelines.evaluate.scorecard import Scorecard
from pipelines.geometry.rotations import matrix_from_rotation_vector


def pictures(seed: int = 0, height: int = 61, width: int = 47) -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(seed)
    smooth = np.linspace(0, 1, width)[None, :, None] * np.linspace(0.2, 1, height)[:, None, None] * np.ones(3)
    return smooth, np.clip(smooth + rng.normal(0, 0.1, smooth.shape), 0, 1)


def sphere(shift: tuple[float, float, float] = (0, 0, 0), radius: float = 0.5) -> tuple[NDArray, NDArray]:
    ball = trimesh.creation.icosphere(subdivisions=4, radius=radius)
    return np.asarray(ball.vertices) + shift, np.asarray(ball.faces)


def test_psnr_is_that_of_scikit_image_and_capped_for_identical_pictures() -> None:
    a, b = pictures()
    assert images.psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1.0), abs=1e-9)
    assert images.psnr(a, a) == PSNR_CAP
    where = np.zeros(a.shape[:2], bool)
    where[10:20, 5:30] = True
    assert images.psnr(a, b, where) == pytest.approx(
        peak_signal_noise_ratio(a[10:20, 5:30], b[10:20, 5:30], data_range=1.0)
    )


def test_ssim_is_that_of_scikit_image() -> None:
    for seed, size in ((0, (61, 47)), (1, (32, 90)), (2, (11, 11))):
        a, b = pictures(seed, *size)
        same = structural_similarity(
            a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, channel_axis=-1
        )
        assert images.ssim(a, b) == pytest.approx(same, abs=1e-6)
    assert images.ssim(a, a) == pytest.approx(1.0, abs=1e-12)
    with pytest.raises(ValueError, match="11 x 11"):
        images.ssim(np.zeros((10, 20, 3)), np.zeros((10, 20, 3)))


def test_ssim_inside_a_mask_sees_only_the_mask() -> None:
    a, b = pictures()
    c = a.copy()
    c[:, :20] = b[:, :20]
    far = np.zeros(a.shape[:2], bool)
    far[8:-8, 30:-8] = True
    assert images.ssim(a, c, far) == pytest.approx(1.0, abs=1e-12)
    assert images.ssim(a, c) < 0.95


def test_white_against_white_and_black() -> None:
    white, black = np.ones((40, 40, 3)), np.zeros((40, 40, 3))
    assert images.psnr(white, white) == PSNR_CAP
    assert images.psnr(white, black) == pytest.approx(0.0, abs=1e-12)
    transparent = np.zeros((40, 40, 4))
    assert (images.on_white(transparent) == 1).all()


def test_multi_scale_ssim() -> None:
    a, b = pictures(3, 192, 200)
    assert images.multi_scale_ssim(a, a, 1.0) == pytest.approx(1.0, abs=1e-12)
    # The larger data range forgives more: the quirk of the released script.
    assert images.multi_scale_ssim(a, b, 2.0) > images.multi_scale_ssim(a, b, 1.0) > 0.1
    # Five scales by hand with scikit-image's contrast: a picture that differs by its brightness alone is told apart by
    # the luminance of the coarsest scale only.
    flat, darker = np.full((192, 192, 3), 0.6), np.full((192, 192, 3), 0.3)
    luminance = (2 * 0.6 * 0.3 + 1e-4) / (0.6**2 + 0.3**2 + 1e-4)
    assert images.multi_scale_ssim(flat, darker, 1.0) == pytest.approx(luminance**0.1333, abs=1e-6)
    with pytest.raises(ValueError, match="176"):
        images.multi_scale_ssim(a[:170], b[:170], 1.0)


def test_lab_is_that_of_scikit_image() -> None:
    rgb = np.random.default_rng(0).random((50, 3))
    rgb[0], rgb[1] = 0.0, 1.0
    assert np.abs(images.lab(rgb) - rgb2lab(rgb)).max() < 1e-6


def test_iou_and_holes() -> None:
    y, x = np.mgrid[:100, :100]
    disc = (x - 50) ** 2 + (y - 50) ** 2 < 40**2
    alpha = disc.astype(np.float64)
    assert images.iou(disc, disc) == 1.0 and images.holes(alpha, disc) == (0.0, 0.0)
    alpha[45:55, 45:55] = 0.0  # a hole of 100 px
    core = ((x - 50) ** 2 + (y - 50) ** 2 < 39**2).sum()
    enclosed, missed = images.holes(alpha, disc)
    assert enclosed == missed == pytest.approx(100 * 100 / core, rel=0.03)
    half = disc & (x < 50)
    enclosed, missed = images.holes(half.astype(float), disc)
    assert enclosed == 0.0 and missed == pytest.approx(50, abs=2)  # a missing half is no hole
    assert images.iou(half, disc) == pytest.approx(0.5, abs=0.01)
    ring = disc & ~((x - 50) ** 2 + (y - 50) ** 2 < 20**2)
    assert images.holes(ring.astype(float), ring) == (0.0, 0.0)  # a gap that the truth has
    cut = disc.astype(float)
    cut[48:51] = 0.0  # a crack to the outline, 3 px wide, is one as well
    assert images.holes(cut, disc)[0] > 3


def test_nearest_point_is_that_of_every_triangle() -> None:
    rng = np.random.default_rng(1)
    vertices = rng.normal(size=(60, 3)) * (1.0, 3.0, 0.2)
    faces = rng.integers(0, 60, (90, 3))
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])]
    points = rng.normal(size=(200, 3)) * 2
    distance, face = surfaces.Triangles(vertices, faces).nearest(points)
    table = np.stack([
        np.linalg.norm(trimesh.triangles.closest_point(vertices[faces], np.tile(p, (len(faces), 1))) - p, axis=1)
        for p in points
    ])  # fmt: skip
    assert np.abs(distance - table.min(1)).max() < 1e-9
    assert np.abs(table[np.arange(len(points)), face] - table.min(1)).max() < 1e-9


def test_sphere_against_shifted_and_larger_sphere() -> None:
    vertices, faces = sphere()
    ball = surfaces.Triangles(vertices, faces)
    same = surfaces.compare_surfaces(ball, ball, samples=4000)
    assert same.chamfer < 1e-9 and same.normals == pytest.approx(1.0, abs=1e-9)
    assert surfaces.rounding_floor(ball) < 1e-6
    larger = surfaces.compare_surfaces(surfaces.Triangles(vertices * 1.1, faces), ball, samples=4000)
    # Radius 0.55 against 0.5; the facets of the sphere make them smaller by the same share.
    assert larger.to_truth == pytest.approx(0.05, rel=0.01) and larger.from_truth == pytest.approx(0.05, rel=0.01)
    assert larger.normals > 0.999 and larger.height == pytest.approx(1.0, abs=1e-3)
    # Shifted by d, the distance at angle t to the shift is nearly |d cos t|, whose mean over the sphere is d / 2.
    shifted = surfaces.compare_surfaces(surfaces.Triangles(*sphere((0.04, 0, 0))), ball, samples=20000)
    assert shifted.chamfer == pytest.approx(0.02, rel=0.02)
    assert abs(shifted.chamfer - 0.02) < 4 * shifted.sampling + 2e-4
    inside_out = surfaces.compare_surfaces(surfaces.Triangles(vertices, faces[:, ::-1]), ball, samples=2000)
    assert inside_out.normals == pytest.approx(-1.0, abs=1e-9)


def test_samples_are_uniform_by_area_and_always_the_same() -> None:
    vertices = np.array([[0, 0, 0], [3, 0, 0], [0, 1, 0], [-1, 0, 0]], float)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    points, face = surfaces.sample(vertices, faces, 4000, seed=5)
    assert (face == 0).mean() == pytest.approx(0.75, abs=0.001)
    assert points[face == 0].mean(0) == pytest.approx(np.array([1, 1 / 3, 0]), abs=0.03)
    again, _ = surfaces.sample(vertices, faces, 4000, seed=5)
    assert (points == again).all()
    with pytest.raises(ValueError, match="without area"):
        surfaces.sample(vertices, np.array([[0, 1, 1]]), 10, 0)


def test_joint_errors_of_known_moves() -> None:
    rng = np.random.default_rng(2)
    joints = rng.normal(size=(22, 3))
    assert mpjpe(joints + np.array([1.0, 2.0, 3.0]), joints) == pytest.approx(0.0, abs=1e-9)
    moved = joints.copy()
    moved[7] += (0.0, 0.22, 0.0)
    assert mpjpe(moved, joints) == pytest.approx(10.0, abs=1e-9)  # 220 mm over 22 joints
    turn = matrix_from_rotation_vector(np.array([0.0, np.radians(10.0), 0.0]))
    about_pelvis = (joints - joints[0]) @ turn.T
    reach = np.linalg.norm((joints - joints[0])[:, [0, 2]], axis=1)
    assert mpjpe(about_pelvis, joints) == pytest.approx(1000 * (2 * np.sin(np.radians(5.0)) * reach).mean(), rel=1e-9)


def test_bootstrap_interval_holds_the_mean_and_is_always_the_same() -> None:
    values = np.random.default_rng(0).normal(20, 2, 100)
    row = intervals.summary(values)
    assert row == intervals.summary(values)
    half = 1.96 * values.std() / 10
    assert row["low"] == pytest.approx(values.mean() - half, abs=0.1) and row["high"] == pytest.approx(
        values.mean() + half, abs=0.1
    )
    alone = intervals.summary([3.0])
    assert (alone["mean"], alone["low"], alone["n"]) == (3.0, None, 1)


def test_before_and_after_are_of_the_same_people() -> None:
    seen = Scorecard(1, {"mpjpe_mm": 40.0, "head_back_de": 8.0}, before={"mpjpe_mm": 50.0, "head_back_de": 9.0})
    hidden = Scorecard(2, {"mpjpe_mm": 60.0}, before={"mpjpe_mm": 80.0})
    alone = Scorecard(3, {"mpjpe_mm": 1000.0})
    found = before_and_after([seen, hidden, alone])
    assert found["mpjpe_mm"]["before"]["mean"] == 65.0 and found["mpjpe_mm"]["after"]["mean"] == 50.0
    assert found["head_back_de"]["before"]["mean"] == 9.0 and found["head_back_de"]["after"]["mean"] == 8.0
    assert set(found) == {"mpjpe_mm", "head_back_de"}
