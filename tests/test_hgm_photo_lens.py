"""HGM's camera on a free photo: the same pixels from other distances and lenses, there and back, in front and behind."""

from __future__ import annotations

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch

from pipelines.body.read_body import make_body, vertices_cam
from pipelines.body.rig import default_rig
from pipelines.geometry.bake import Points, look_up
from pipelines.geometry.cameras import Camera
from pipelines.geometry.cameras import intrinsics as lens_of
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.rotations import covariance
from pipelines.geometry.splat_raster import render_numpy
from pipelines.hgm.back_view import coarse_from_behind
from pipelines.hgm.body_points import stand_in_points
from pipelines.hgm.cameras import intrinsics, opencv_view, orbit_pose, project
from pipelines.hgm.crop import crop_photo, pixels_per_metre
from pipelines.hgm.frame import (
    NetworkMetres,
    camera_to_gaussians,
    front_camera,
    gaussians_to_camera,
    moved,
    orbit_camera,
)
from pipelines.hgm.front_view import RELEASED_ALPHA, draw
from pipelines.hgm.mesh_of_splats import pictures
from pipelines.hgm.photo_lens import in_front, shown, slopes, to_network, to_photo
from pipelines.hgm.records import BackView
from pipelines.records import Body, Cutout, Splats
from pipelines.step import UserError

WIDTH, HEIGHT = 240, 360
# Metres to the pelvis and the photo's field of view over its longer side: near and wide, usual, far and narrow.
SEEN_FROM = [(1.5, 65.0), (2.0, 50.0), (2.9, 45.0), (5.0, 35.0), (8.0, 25.0)]


@cache
def person(distance: float, fov: float, x: float = 0.25) -> Body:
    """Standing beside the picture's middle, leaning: no plane of equal depth."""
    rig = default_rig()
    rotations = rig.identity_pose().astype(np.float64)
    rotations[0] = rotations[0] @ np.array([[1, 0, 0], [0, np.cos(0.3), -np.sin(0.3)], [0, np.sin(0.3), np.cos(0.3)]])
    return make_body(
        rotations=rotations, root_translation=np.array([x, 0.1, distance]), phenotypes=rig.default_phenotypes(),
        length_scales=np.zeros(9), K=lens_of(WIDTH, HEIGHT, fov), image_size=(WIDTH, HEIGHT), pitch=0.1,
        texts={"source": "test", "source_version": "1"},
    )  # fmt: skip


def hgm_pixels(places: np.ndarray, azimuth: float = 0.0, size: int = 512) -> np.ndarray:
    """(M, 2) where HGM's own camera shows places of the network frame."""
    view = torch.from_numpy(opencv_view(orbit_pose(azimuth))[None])
    return project(torch.from_numpy(places), torch.from_numpy(intrinsics(size)[None]), view)[0][0].numpy()


def random_gaussians(count: int = 300, seed: int = 0) -> np.ndarray:
    """(N, 14) in the network frame, about where a person stands."""
    rng = np.random.default_rng(seed)
    turns = rng.normal(size=(count, 4))
    return np.concatenate(
        [rng.uniform((-0.3, -0.6, -0.3), (0.3, 0.6, 0.3), (count, 3)), rng.uniform(0.3, 0.999, (count, 1)),
         np.exp(rng.uniform(np.log(0.002), np.log(0.03), (count, 3))), turns / np.linalg.norm(turns, axis=1)[:, None],
         rng.uniform(0, 1, (count, 3))], 1,
    )  # fmt: skip


@pytest.mark.parametrize(("distance", "fov"), SEEN_FROM)
def test_the_bodys_points_lie_on_the_photos_pixels(distance: float, fov: float) -> None:
    body = person(distance, fov)
    points = stand_in_points(body, 600)
    v, p = points.points.astype(np.float64), points.pelvis.astype(np.float64)
    pixels = v @ body.camera.K.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    middle = (body.camera.K @ p)[:2] / p[2]
    # What the crop does to a pixel of the photo.
    scale = pixels_per_metre() * p[2] / body.camera.K[0, 0]
    wanted = 256 + (pixels - middle) * scale
    places = to_network(v, p)
    assert np.abs(hgm_pixels(places) - wanted).max() < 1e-6
    plain = 0.75 * (v - p) * (1, -1, -1)
    assert np.abs(hgm_pixels(plain) - wanted).max() > 1, "which the plain scale misses"
    assert np.abs(places[:, 2] - plain[:, 2]).max() < 1e-12, "depths stay"
    assert np.abs(to_photo(places, p) - v).max() < 1e-9


def test_a_photo_taken_as_hgms_cameras_stand_needs_nothing() -> None:
    v = np.random.default_rng(1).normal(0, 0.4, (50, 3)) + np.array([0, 0, 2.0])
    assert np.abs(to_network(v, np.array([0, 0, 2.0])) - 0.75 * (v - (0, 0, 2.0)) * (1, -1, -1)).max() < 1e-12


@pytest.mark.parametrize("size", [64, 512])
def test_a_mark_in_the_photo_is_where_hgms_camera_shows_its_place(size: int) -> None:
    """By the pictures alone: a hand half a metre nearer than the pelvis, photographed with pixels that are not square."""
    K = np.array([[1300.0, 0, 330], [0, 1000.0, 420], [0, 0, 1]])
    pelvis = np.array([0.31, 0.12, 4.0])
    hand = pelvis + np.array([0.4, -0.5, -0.5])
    rgba = np.zeros((900, 640, 4), np.float32)
    y, x = np.mgrid[:900, :640] + 0.5
    place = (K @ hand / hand[2])[:2]
    rgba[((x - place[0]) / 13) ** 2 + ((y - place[1]) / 10) ** 2 < 1] = 1.0
    rgba[..., :3] = 0
    dark = 1 - crop_photo(rgba, K, pelvis, size)[..., 0]
    rows, columns = np.mgrid[:size, :size] + 0.5
    found = np.array([(columns * dark).sum(), (rows * dark).sum()]) / dark.sum()
    assert hgm_pixels(to_network(hand[None], pelvis), size=size)[0] == pytest.approx(found, abs=0.3 * size / 512 + 0.05)
    spread = np.array([((columns - found[0]) ** 2 * dark).sum(), ((rows - found[1]) ** 2 * dark).sum()]) / dark.sum()
    assert spread[0] == pytest.approx(spread[1], rel=0.1), "round again"


@pytest.mark.parametrize(("distance", "fov"), SEEN_FROM)
def test_slopes_are_the_maps_own_and_keep_left_and_right(distance: float, fov: float) -> None:
    pelvis = np.array([0.2, -0.1, distance])
    places = random_gaussians(40)[:, :3]
    made, step = slopes(places, pelvis), 1e-5
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        numeric = (to_photo(places + shift, pelvis) - to_photo(places - shift, pelvis)) / (2 * step)
        assert np.abs(made[:, :, axis] - numeric).max() < 1e-8
    assert (np.linalg.det(made) > 0).all()


@pytest.mark.parametrize(("distance", "fov"), SEEN_FROM)
def test_gaussians_go_there_and_back(distance: float, fov: float) -> None:
    body, made = person(distance, fov), random_gaussians()
    pelvis = stand_in_points(body, 10).pelvis
    matrix = np.asarray(body["world_from_camera"], np.float64)
    there = moved(gaussians_to_camera(made, pelvis), matrix)
    again = camera_to_gaussians(moved(there, np.linalg.inv(matrix)), pelvis)
    assert np.abs(again[:, :4] - made[:, :4]).max() < 1e-5 and np.abs(again[:, 11:] - made[:, 11:]).max() < 1e-6
    before, after = (covariance(g[:, 7:11].astype(np.float64), g[:, 4:7].astype(np.float64)) for g in (made, again))
    size = np.linalg.norm(before, axis=(1, 2))
    assert (np.linalg.norm(after - before, axis=(1, 2)) / size).max() < 1e-4
    wide = gaussians_to_camera(made, pelvis, "reference_49.1")
    assert wide.scales == pytest.approx(gaussians_to_camera(made, pelvis).scales * 1.3703, rel=1e-4)


def test_a_gaussian_is_bent_so_little_that_its_slopes_say_it_all() -> None:
    """What lies two deviations from the middle, carried exactly and by the slopes: the error against the distance."""
    made = random_gaussians()
    direction = np.random.default_rng(2).normal(size=(len(made), 3))
    direction *= 2 * made[:, 4:7] / np.linalg.norm(direction, axis=1)[:, None]
    worst = []
    for distance, _ in SEEN_FROM:
        pelvis = np.array([0.3, 0.1, distance])
        exact = to_photo(made[:, :3] + direction, pelvis)
        linear = to_photo(made[:, :3], pelvis) + np.einsum("nij,nj->ni", slopes(made[:, :3], pelvis), direction)
        worst.append((np.linalg.norm(exact - linear, axis=1) / np.linalg.norm(direction / 0.75, axis=1)).max())
    assert max(worst) < 0.03, worst


@pytest.mark.parametrize(("distance", "fov"), SEEN_FROM)
def test_carried_gaussians_draw_the_photo_where_it_is(distance: float, fov: float) -> None:
    """HGM's front view in the network frame, and the same Gaussians in the display frame through the photo's camera."""
    body, size = person(distance, fov), 128
    points = stand_in_points(body, 10)
    made = random_gaussians(400, 3)
    network = draw(torch.from_numpy(made).float(), 0.0, size).features.numpy()
    splats = moved(gaussians_to_camera(made, points.pelvis), np.asarray(body["world_from_camera"], np.float64))
    window = front_camera(size, points.pelvis, body.camera)
    same = drawn(splats, window)
    assert np.abs(same - network).mean() < 1e-4 and (np.abs(same - network).max(-1) > 0.02).mean() < 1e-3
    # The whole photo at a scale at which its crop is not enlarged, then the crop of it.
    factor = 1.5 * pixels_per_metre(size) * float(points.pelvis[2]) / body.camera.K[0, 0]
    photo = body.camera.resized(round(WIDTH * factor), round(HEIGHT * factor))
    whole = np.concatenate([drawn(splats, photo), np.ones((photo.height, photo.width, 1), np.float32)], 2)
    crop = crop_photo(whole, photo.K, points.pelvis, size)
    # Smoothed once more by the crop: what is left of the difference says nothing about places.
    inside = (crop < 0.99).any(-1) & (network < 0.99).any(-1)
    assert inside.mean() > 0.05
    assert mean_shift(crop, network) < 0.1 and np.abs(crop - network)[inside].mean() < 0.06


def drawn(splats: Splats, camera: Camera) -> np.ndarray:
    """(H, W, 3) on white, as the released rasteriser draws."""
    return render_numpy(
        splats.means, splats.quats, splats.scales, splats.opacities, splats.colours, camera.world_to_camera, camera.K,
        camera.width, camera.height, background=np.ones(3, np.float32), alpha_max=RELEASED_ALPHA,
    ).features.clip(0, 1)  # fmt: skip


def mean_shift(a: np.ndarray, b: np.ndarray) -> float:
    """Pixels between two pictures of one thing: one step of Lucas and Kanade over the whole picture."""
    dy, dx = np.gradient((a + b) / 2, axis=(0, 1))
    slopes = np.stack([dx.ravel(), dy.ravel()], 1)
    return float(np.linalg.norm(np.linalg.lstsq(slopes, (a - b).ravel(), rcond=None)[0]))


@pytest.mark.parametrize(("distance", "fov"), SEEN_FROM)
def test_the_back_is_what_hgms_camera_sees_before_the_lens_bends_it(distance: float, fov: float) -> None:
    body = person(distance, fov)
    points = stand_in_points(body, 10)
    made = random_gaussians(400, 4)
    splats = moved(gaussians_to_camera(made, points.pelvis), np.asarray(body["world_from_camera"], np.float64))
    behind = coarse_from_behind(splats, points, body, 96)
    plain = draw(torch.from_numpy(made).float(), 180.0, 96)
    assert np.abs(behind[..., 3] - plain.alpha.numpy()).mean() < 1e-4
    white = behind[..., :3] * behind[..., 3:] + 1 - behind[..., 3:]
    assert (np.abs(white - plain.features.numpy()).max(-1) > 0.02).mean() < 2e-3


@pytest.mark.parametrize(("distance", "fov"), [SEEN_FROM[0], SEEN_FROM[-1]])
def test_the_mesh_finds_its_place_in_the_back_view(distance: float, fov: float) -> None:
    """A back view whose colours are places of the network frame, drawn by hand from the bent body."""
    body, size = person(distance, fov), 256
    points, rig = stand_in_points(body, 10), default_rig()
    at = body.camera.to_world(np.asarray(vertices_cam(body), np.float64))
    network = NetworkMetres(points.pelvis, body.camera)
    places = to_network(vertices_cam(body), points.pelvis)
    pixel = hgm_pixels(places, 180.0, size)
    camera = network.camera(180.0, size)
    assert np.abs(camera.project(network.points(at))[0] - pixel).max() < 1e-6
    normals = vertex_normals(at, rig.faces)
    bent = vertex_normals(places, rig.faces)
    turned = network.normals(at, normals)
    assert np.median((bent * turned).sum(1)) > 0.999 and np.allclose(np.linalg.norm(turned, axis=1), 1)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    painted = np.stack([x, y, np.zeros_like(x)], -1).astype(np.float32)
    back = BackView(np.ones((size, size, 4), np.float32), painted[None])
    matte = Cutout(np.ones((HEIGHT, WIDTH, 4), np.float32))
    _, behind = pictures(matte, back, points, body)
    found, weight, _, colour = look_up(behind, Points(at, normals, np.zeros(len(at))), at, rig.faces)
    sure = weight > 0.5
    assert sure.sum() > 500 and (normals[found][:, 2] < 0.5).mean() > 0.95
    miss = np.abs(colour[sure, :2] * size - pixel[found][sure]).max()
    assert miss < 0.06, "a picture is read at every 32nd of a pixel"
    straight = dataclasses.replace(behind, camera=orbit_camera(180.0, 0.0, size, points.pelvis, body.camera), bend=None)
    found, weight, _, colour = look_up(straight, Points(at, normals, np.zeros(len(at))), at, rig.faces)
    assert np.abs(colour[weight > 0.5, :2] * size - pixel[found][weight > 0.5]).max() > 2, "a pinhole there misses"


def test_what_a_camera_does_not_see_is_refused_or_left_out() -> None:
    pelvis = np.array([0.0, 0.0, 1.5])
    for z in (-0.5, 0.0, 0.05):
        with pytest.raises(UserError, match=r"at least 0\.1 m before the photo's camera"):
            to_network(np.array([[0.0, 0, 1.5], [0.1, 0, z]]), pelvis)
    # Before the photo's camera, but beside HGM's, which stands two metres before the pelvis.
    with pytest.raises(UserError, match=r"at most 1\.73 m nearer to it than the pelvis"):
        to_network(np.array([[0.0, 0, 6.0]]), np.array([0.0, 0, 8.0]))
    with pytest.raises(UserError, match="pelvis came with depth -1 m"):
        to_network(np.zeros((1, 3)), np.array([0, 0, -1.0]))
    with pytest.raises(UserError, match="lie before both cameras"):
        to_photo(np.array([[0.0, 0.0, 1.4]]), np.array([0, 0, 8.0]))
    with pytest.raises(UserError, match="lie at least"):
        to_network(np.full((1, 3), np.nan), pelvis)
    made = random_gaussians(20)
    made[:5, 2] = 1.4  # before HGM's near plane
    made[5:8, 2] = 1.2  # behind the photo's camera
    kept = in_front(made[:, :3], pelvis)
    assert kept.tolist() == [False] * 8 + [True] * 12
    splats = gaussians_to_camera(made, pelvis)
    assert len(splats) == 12 and np.isfinite(splats.means).all() and splats.means[:, 2].min() > 0.1
    stray = dataclasses.replace(
        splats, means=splats.means * np.where(np.arange(12) == 3, -1, 1)[:, None].astype(np.float32)
    )
    assert len(camera_to_gaussians(stray, pelvis)) == 11 and not shown(stray.means, pelvis)[3]
    # The mesh may reach there; it is then held where HGM's camera begins to see.
    body = person(1.5, 65.0)
    near = body.camera.to_world(np.array([[0.1, 0.2, 0.05], [0.1, 0.2, -0.4]]))
    network = NetworkMetres(stand_in_points(body, 10).pelvis, body.camera)
    assert np.isfinite(network.points(near)).all() and np.isfinite(network.normals(near, np.eye(3)[:2])).all()
    with pytest.raises(UserError, match="None of 8 Gaussians"):
        gaussians_to_camera(made[:8], pelvis)
