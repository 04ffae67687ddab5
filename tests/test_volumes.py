"""Fusion of depth maps, the surface of a volume, UV charts and baked colours, against shapes with exact answers."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import trimesh
from scipy import ndimage

from pipelines.geometry import manifold, surface
from pipelines.geometry.bake import (
    GENERATED,
    GRAZING,
    SEEN,
    Picture,
    Points,
    bake,
    dilate,
    look_up,
    seen_codes,
    visibility,
)
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_picture import sample_texture
from pipelines.geometry.mesh_raster import rasterise_layers
from pipelines.geometry.unwrap import Atlas, unwrap, uv_image
from pipelines.geometry.volumes import DepthView, Volume, bounds_of, fuse
from pipelines.geometry.volumes_twin import fuse_dense
from tests import capsule_person as person

VOXEL = 0.012
TARGET = (0.0, 0.0, 0.0)


@cache
def person_views() -> tuple[DepthView, ...]:
    return tuple(DepthView(person.trace(c), c) for c in person.ring(240))


@cache
def person_surface() -> tuple[np.ndarray, np.ndarray]:
    views = person_views()
    return surface.surface_of(fuse(views, *bounds_of(views, 4 * VOXEL), VOXEL), faces=6000)


@cache
def ball_mesh() -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=4, radius=0.3)


def test_blocks_equal_the_plain_twin() -> None:
    photo = person_views()[0].camera
    views = [*person_views()[::3], DepthView(person.trace(photo, last=True), photo, 4.0, True)]
    low, high = bounds_of(views, 4 * VOXEL)
    fast, slow = fuse(views, low, high, 1.5 * VOXEL), fuse_dense(views, low, high, 1.5 * VOXEL)
    assert np.array_equal(fast.values < 0, slow.values < 0)
    assert np.abs(fast.values - slow.values)[fast.active].max() < 1e-6
    assert fast.active.mean() < 0.9  # it would not be block-sparse otherwise


def test_surface_lies_on_the_truth() -> None:
    vertices, faces = person_surface()
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    distances = np.abs(person.distance(vertices))
    assert distances.mean() < 0.1 * VOXEL and distances.max() < VOXEL
    points, _ = person.surface_points(3000, 0)  # and nothing of the truth is missing
    assert np.linalg.norm(points - mesh.triangles_center[nearest(points, mesh)], axis=1).max() < 0.03
    inside = np.random.default_rng(0).uniform(*mesh.bounds, (200_000, 3))
    truth = (person.distance(inside) < 0).mean() * np.prod(np.ptp(mesh.bounds, axis=0))
    assert surface.signed_volume(vertices, faces) == pytest.approx(truth, rel=0.03)


def nearest(points: np.ndarray, mesh: trimesh.Trimesh) -> np.ndarray:
    from scipy.spatial import cKDTree

    return cKDTree(mesh.triangles_center).query(points)[1]


def test_surface_is_closed_one_piece_and_outward() -> None:
    vertices, faces = person_surface()
    mesh = trimesh.Trimesh(vertices, faces, process=True)
    assert mesh.is_watertight and mesh.is_winding_consistent and mesh.body_count == 1
    assert manifold.is_closed_manifold(faces, len(vertices))
    assert abs(len(faces) - 6000) < 100
    outward = np.einsum("ij,ij->i", mesh.face_normals, person.gradient(mesh.triangles_center))
    assert np.mean(outward > 0.7) > 0.97


def test_a_hole_in_two_views_does_not_pierce() -> None:
    views = [DepthView(v.depth.copy(), v.camera) for v in person_views()]
    for view in views[:2]:
        middle = view.camera.project(np.array([[0.0, 1.1, 0.0]]))[0][0].astype(int)
        view.depth[middle[1] - 4 : middle[1] + 4, middle[0] - 4 : middle[0] + 4] = 0
    volume = fuse(views, *bounds_of(views, 4 * VOXEL), VOXEL)
    at = np.round((np.array([0.0, 1.1, 0.0]) - volume.origin) / VOXEL).astype(int)
    core = tuple(slice(i - 6, i + 7) for i in at)
    assert (volume.values[core] < 0).all()


def test_what_nobody_sees_is_solid_and_the_box_is_closed() -> None:
    camera = person.camera_at(0.0, 0.0, 160, TARGET, 2.0)
    views = [DepthView(person.trace(camera, person.ball), camera, 4.0)]
    volume = fuse(views, np.full(3, -0.4), np.full(3, 0.4), VOXEL)
    vertices, faces = surface.surface_of(volume)
    assert manifold.is_closed_manifold(faces, len(vertices))
    behind = np.round((np.array([0.0, 0.0, -0.35]) - volume.origin) / VOXEL).astype(int)
    before = np.round((np.array([0.0, 0.0, 0.35]) - volume.origin) / VOXEL).astype(int)
    assert volume.values[tuple(behind)] < 0 < volume.values[tuple(before)]


def test_a_sheet_thinner_than_a_voxel_survives() -> None:
    def sheet(points: np.ndarray) -> np.ndarray:
        excess = np.abs(points) - np.array([0.2, 0.3, 0.004])
        return np.linalg.norm(np.maximum(excess, 0), axis=1) + np.minimum(excess.max(1), 0)

    views = [DepthView(person.trace(c, sheet), c) for c in person.ring(160, TARGET, 1.6)]
    vertices, faces = surface.surface_of(fuse(views, *bounds_of(views, 0.05), VOXEL), faces=3000)
    assert manifold.is_closed_manifold(faces, len(vertices))
    mesh = trimesh.Trimesh(vertices, faces)
    # One sheet without a tear: a closed surface of genus 0, almost as large as the sheet.
    assert mesh.euler_number == 2
    assert np.allclose(np.ptp(mesh.bounds, axis=0)[:2], (0.4, 0.6), atol=2 * VOXEL)
    assert np.abs(vertices[:, 2]).max() < VOXEL


def test_fusing_says_what_is_wrong() -> None:
    camera = person.camera_at(0.0, 0.0, 32, TARGET, 2.0)
    with pytest.raises(ValueError, match="needs"):
        DepthView(np.zeros((3, 3)), camera)
    empty = DepthView(np.zeros((32, 32)), camera)
    with pytest.raises(ValueError, match="nothing to fuse"):
        bounds_of([empty], 0.1)
    with pytest.raises(ValueError, match="larger voxel"):
        fuse([empty], np.zeros(3), np.full(3, 10.0), 0.001)
    with pytest.raises(ValueError, match="no solid"):
        surface.extract(Volume(np.ones((8, 8, 8), np.float32), np.zeros(3), 0.1, np.ones((8, 8, 8), bool)))


def test_touching_sheets_are_cut_apart() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    # A second one turned by half around the edge 0-1, which both share; and a third that touches in one vertex.
    vertices = np.concatenate([corners, [[0, -1, 0], [0, 0, -1]], corners[1:] * 1.0 + [1, 0, 0]])
    second = np.array([0, 1, 4, 5])[tetrahedron]
    third = np.array([1, 6, 7, 8])[tetrahedron]
    faces = np.concatenate([tetrahedron, second, third]).astype(np.int32)
    assert not manifold.is_closed_manifold(faces, len(vertices))
    cut_vertices, cut = manifold.apart(vertices, faces)
    assert manifold.is_closed_manifold(cut, len(cut_vertices)) and len(cut) == 12
    assert trimesh.Trimesh(cut_vertices, cut, process=True).is_watertight
    assert surface.signed_volume(cut_vertices, cut) == pytest.approx(0.5, abs=2e-3)


def test_glued_faces_are_dropped() -> None:
    faces = np.array([[0, 1, 2], [1, 0, 2], [0, 1, 3], [3, 3, 1]], np.int32)
    assert manifold.without_folds(faces).tolist() == [[0, 1, 3]]


def test_open_and_pinched_surfaces_are_found_out() -> None:
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    assert manifold.is_closed_manifold(faces, 4)
    assert not manifold.is_closed_manifold(faces[:3], 4)
    assert not manifold.is_closed_manifold(np.concatenate([faces, faces[:, ::-1]]), 4)
    pinched = np.concatenate([faces, np.array([0, 4, 5, 6], np.int32)[faces]])
    assert not manifold.is_closed_manifold(pinched, 7)


def test_smoothing_keeps_the_volume() -> None:
    ball = ball_mesh()
    rng = np.random.default_rng(1)
    rough = ball.vertices * (1 + 0.01 * rng.normal(size=(len(ball.vertices), 1)))
    even = surface.smooth(rough, ball.faces.astype(np.int32), 10)
    assert surface.signed_volume(even, ball.faces) == pytest.approx(surface.signed_volume(rough, ball.faces), rel=1e-4)
    assert np.linalg.norm(even, axis=1).std() < 0.4 * np.linalg.norm(rough, axis=1).std()


def test_focus_is_undone_exactly_and_gets_more_faces() -> None:
    focus = surface.Focus(np.array([0.0, 1.55, 0.0]), 0.15, 3.0)
    points = np.random.default_rng(2).uniform(-2, 3, (2000, 3))
    assert np.allclose(focus.spread(focus.spread(points), back=True), points, atol=1e-5)
    views = person_views()
    volume = fuse(views, *bounds_of(views, 4 * VOXEL), VOXEL)
    counts = []
    for lens in (None, focus):
        vertices, faces = surface.surface_of(volume, faces=4000, focus=lens)
        assert manifold.is_closed_manifold(faces, len(vertices))
        counts.append((np.linalg.norm(vertices[faces].mean(1) - focus.centre, axis=1) < focus.radius).sum())
    assert counts[1] > 1.25 * counts[0]


# --- UV charts -------------------------------------------------------------------------------------------------


@cache
def person_atlas() -> tuple[Atlas, np.ndarray]:
    vertices, faces = person_surface()
    density = np.where(vertices[faces].mean(1)[:, 1] > 1.45, 2.0, 1.0)
    return unwrap(vertices, faces, np.eye(3), density=density, longest=1.0, size=512, padding=3), density


def test_charts_do_not_overlap_and_keep_their_distance() -> None:
    atlas, _ = person_atlas()
    assert atlas.uv.min() > 0 and atlas.uv.max() < 1
    fine = Camera(np.diag([2048.0, 2048.0, 1.0]), 2048, 2048, np.eye(4))
    first, last = rasterise_layers(np.column_stack([atlas.uv, np.ones(len(atlas.uv))]), atlas.faces, fine)
    assert np.array_equal(first.face_id, last.face_id)
    image = uv_image(atlas.uv, atlas.faces, 512)
    chart = np.where(image.mask, atlas.chart[image.face_id], -1)
    for c in range(atlas.chart.max() + 1):
        near = ndimage.binary_dilation(chart == c, np.ones((3, 3)), iterations=2)
        assert set(np.unique(chart[near])) <= {-1, c}
    assert image.mask.mean() > 0.3


def test_seams_weld_back_to_the_surface() -> None:
    vertices, faces = person_surface()
    atlas, _ = person_atlas()
    assert np.array_equal(atlas.vertex[atlas.faces], faces)
    assert np.array_equal(atlas.vertex[atlas.weld], atlas.vertex) and (atlas.weld <= np.arange(len(atlas.weld))).all()
    assert np.array_equal(atlas.weld[atlas.weld], atlas.weld)
    copies = vertices[atlas.vertex]
    assert trimesh.Trimesh(copies, atlas.weld[atlas.faces], process=False).is_watertight
    assert atlas.chart.max() + 1 < 120


def test_texels_are_spent_as_asked() -> None:
    vertices, faces = person_surface()
    atlas, density = person_atlas()
    p = atlas.uv[atlas.faces].astype(float)
    flat = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
    assert (flat > 0).all()  # no chart is mirrored
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    front = mesh.face_normals[:, 2] > 0.95
    rate = np.sqrt(flat / 2 / mesh.area_faces)
    fine, plain = np.median(rate[front & (density > 1)]), np.median(rate[front & (density == 1)])
    assert fine / plain == pytest.approx(2.0, rel=0.05)
    assert np.median(rate[mesh.face_normals[:, 2] < -0.95]) < 0.9 * np.median(rate[front])
    assert rate.min() > 0.2 * rate.max() / 2 * 0.75


def test_an_arm_before_the_chest_gets_its_own_chart() -> None:
    chest = trimesh.creation.icosphere(subdivisions=4, radius=0.2)
    vertices, faces = chest.vertices.copy(), chest.faces.astype(np.int32)
    # A hook: the top is drawn out forwards and down before the front.
    pull = np.clip((vertices[:, 1] - 0.1) / 0.1, 0, 1)[:, None]
    vertices = vertices + pull * np.array([0.0, -0.15, 0.35]) * pull
    atlas = unwrap(vertices, faces, np.eye(3), size=256)
    fine = Camera(np.diag([1024.0, 1024.0, 1.0]), 1024, 1024, np.eye(4))
    first, last = rasterise_layers(np.column_stack([atlas.uv, np.ones(len(atlas.uv))]), atlas.faces, fine)
    assert np.array_equal(first.face_id, last.face_id)


# --- Baked colours ---------------------------------------------------------------------------------------------


def ball_pictures(size: int) -> tuple[Picture, Picture, list[Picture]]:
    photo_camera = person.camera_at(15.0, 5.0, size, TARGET, 1.4)
    pictures = []
    for camera, last in ((photo_camera, False), (photo_camera, True)):
        rgb, depth = person.picture(camera, person.ball, last=last)
        pictures.append(Picture(rgb, (depth > 0).astype(float), camera, last))
    around = []
    for camera in person.ring(160, TARGET, 1.4):
        rgb, depth = person.picture(camera, person.ball)
        around.append(Picture(rgb, (depth > 0).astype(float), camera, sharpness=4.0))
    return pictures[0], pictures[1], around


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2)))


def test_baked_colours_are_the_true_ones() -> None:
    ball = ball_mesh()
    vertices, faces = np.asarray(ball.vertices), ball.faces.astype(np.int32)
    photo, back, around = ball_pictures(320)
    atlas = unwrap(vertices, faces, np.eye(3), size=512)
    wrong = (vertices[:1], np.ones((1, 3)))  # the last resort is white here, and must not be needed
    texture = bake(atlas, vertices, faces, [[photo], [back], around], wrong, 512)
    weights = np.random.default_rng(0).dirichlet(np.ones(3), len(faces))
    points = np.einsum("fk,fkc->fc", weights, vertices[faces])
    got = sample_texture(texture, np.einsum("fk,fkc->fc", weights, atlas.uv[atlas.faces])[None])[0]
    truth = person.colour(points)
    towards = photo.camera.position - points
    facing = np.einsum("ij,ij->i", points / 0.3, towards / np.linalg.norm(towards, axis=1, keepdims=True))
    assert psnr(got[facing > 0.4], truth[facing > 0.4]) > 38
    assert psnr(got[facing < -0.5], truth[facing < -0.5]) > 38
    assert psnr(got, truth) > 30
    assert np.abs(got - truth).max() < 0.15
    assert np.array_equal(texture, bake(atlas, vertices, faces, [[photo], [back], around], wrong, 512))


@pytest.mark.parametrize("last", [False, True])
def test_compiled_visibility_equals_the_plain_one(last: bool) -> None:
    ball = ball_mesh()
    vertices, faces = np.asarray(ball.vertices), ball.faces.astype(np.int32)
    picture = ball_pictures(120)[int(last)]
    rng = np.random.default_rng(4)
    position = np.concatenate([rng.normal(size=(4000, 3)), vertices]).astype(np.float32)
    position *= 0.3 / np.linalg.norm(position, axis=1, keepdims=True) * rng.uniform(0.9, 1.1, (len(position), 1))
    normal = (position / np.linalg.norm(position, axis=1, keepdims=True)).astype(np.float32)
    depth, _ = picture.see(vertices, faces)
    _, cosine, visible = visibility(position, normal, picture.camera, depth, last)
    at, _, trust, _ = look_up(picture, Points(position, normal, np.zeros(len(position))), vertices, faces)
    wanted = np.nonzero(visible & (cosine > 0.1))[0]
    assert 1000 < len(wanted) < 0.6 * len(position)
    assert len(np.setxor1d(at, wanted)) <= 2  # rounding at the limits
    assert trust.max() == pytest.approx(1.0)


def test_photo_colours_end_where_the_photo_sees_nothing() -> None:
    ball = ball_mesh()
    vertices, faces = np.asarray(ball.vertices), ball.faces.astype(np.int32)
    photo, _, _ = ball_pictures(200)
    green = Picture(np.broadcast_to([0.0, 1.0, 0.0], (200, 200, 3)), photo.alpha, photo.camera)
    atlas = unwrap(vertices, faces, np.eye(3), size=256)
    texture = bake(atlas, vertices, faces, [[green]], (vertices[:1], np.array([[1.0, 0.0, 0.0]])), 256)
    at_vertices = sample_texture(texture, atlas.uv[None])[0]
    codes = seen_codes(vertices, faces, photo.camera, photo.alpha)[atlas.vertex]
    towards = photo.camera.position - ball.vertices
    facing = np.einsum("ij,ij->i", ball.vertices, towards) / np.linalg.norm(towards, axis=1) / 0.3
    assert np.allclose(at_vertices[(codes == SEEN) & (facing[atlas.vertex] > 0.6)], [0, 1, 0], atol=0.02)
    assert np.allclose(np.median(at_vertices[codes == GENERATED], axis=0), [1, 0, 0])


def test_seen_codes_tell_the_angle() -> None:
    ball = ball_mesh()
    vertices, faces = np.asarray(ball.vertices), ball.faces.astype(np.int32)
    photo, _, _ = ball_pictures(320)
    codes = seen_codes(vertices, faces, photo.camera, photo.alpha)
    towards = photo.camera.position - vertices
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    angle = np.degrees(np.arccos(np.einsum("ij,ij->i", vertices / 0.3, towards)))
    assert (codes[angle < 69] == SEEN).all()
    assert (codes[(angle > 71) & (angle < 84)] == GRAZING).all()
    assert (codes[angle > 91] == GENERATED).all()
    assert (seen_codes(vertices, faces, photo.camera, 0 * photo.alpha) == GENERATED).all()


def test_what_something_hides_is_not_seen() -> None:
    ball = ball_mesh()
    camera = person.camera_at(0.0, 0.0, 256, TARGET, 2.5)
    small = np.asarray(ball.vertices) * 0.4 + [0.0, 0.0, 0.8]
    vertices = np.concatenate([ball.vertices, small])
    faces = np.concatenate([ball.faces, ball.faces + len(ball.vertices)]).astype(np.int32)
    codes = seen_codes(vertices, faces, camera, np.ones((256, 256)))
    pixels, _ = camera.project(vertices)
    radius = np.linalg.norm(pixels - 128, axis=1)
    shadow = radius[len(ball.vertices) :].max()
    hidden = (radius < 0.95 * shadow) & (np.arange(len(vertices)) < len(ball.vertices))
    assert hidden.sum() > 50 and (codes[hidden] == GENERATED).all()
    open_ = (radius > 1.1 * shadow) & (vertices[:, 2] > 0.2) & (np.arange(len(vertices)) < len(ball.vertices))
    assert open_.sum() > 50 and (codes[open_] == SEEN).all()


def test_charts_are_dilated() -> None:
    texture = np.zeros((64, 64, 3), np.float32)
    mask = np.zeros((64, 64), bool)
    mask[10:20, 10:20] = mask[40:50, 40:50] = True
    texture[10:20, 10:20] = (1, 0, 0)
    texture[40:50, 40:50] = (0, 0, 1)
    filled = dilate(texture, mask)
    assert np.array_equal(filled[4:26, 4:26].reshape(-1, 3), np.tile(np.float32([1, 0, 0]), (22 * 22, 1)))
    assert np.array_equal(filled[63, 63], [0, 0, 1]) and np.array_equal(filled[mask], texture[mask])
