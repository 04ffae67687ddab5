"""The mesh rasteriser against its plain twin and ray casting; its promises about edges and silhouettes."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from pipelines.geometry import mesh_raster as mr
from pipelines.geometry.cameras import Camera, intrinsics, look_at
from pipelines.geometry.mesh_raster_twin import rasterise_layers_twin


def camera(width: int = 48, height: int = 40, azimuth: float = 20.0) -> Camera:
    return Camera(intrinsics(width, height, 50.0), width, height, look_at(np.zeros(3), 2.5, azimuth, 10.0))


def soup(seed: int, count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.9, 0.9, (count * 3, 3)), np.arange(count * 3).reshape(-1, 3)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_twin(seed: int) -> None:
    vertices, faces = soup(seed)
    for fast, slow in zip(
        mr.rasterise_layers(vertices, faces, camera()),
        rasterise_layers_twin(vertices, faces, camera()),
        strict=True,
    ):
        assert (fast.face_id == slow.face_id).all()
        np.testing.assert_allclose(fast.depth, slow.depth, rtol=1e-6)
        np.testing.assert_allclose(fast.barycentric, slow.barycentric, atol=1e-5)


def test_grid_of_triangles_covers_every_pixel_exactly_once() -> None:
    # Vertices on pixel centres and on half pixels, so that many centres lie exactly on edges and corners.
    n, size = 9, 32
    xs, ys = np.meshgrid(np.linspace(0, size, n), np.linspace(0, size, n))
    view = Camera(np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1]]), size, size, np.eye(4))
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.5, rng.uniform(0, 0.4)):
        vertices = np.stack([xs.ravel() + shift, ys.ravel() + shift, np.ones(n * n)], 1)
        quads = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
        faces = np.concatenate(
            [np.stack([quads, quads + 1, quads + n + 1], 1), np.stack([quads, quads + n, quads + n + 1], 1)]
        )
        alone = sum(mr.rasterise_mesh(vertices, faces[[f]], view).mask.astype(int) for f in range(len(faces)))
        inside = (np.arange(size) + 0.5 >= shift) & (np.arange(size) + 0.5 < size + shift)
        assert (alone == np.outer(inside, inside)).all()


@pytest.mark.parametrize("azimuth", [0.0, 33.0, 180.0])
def test_watertight_mesh_has_one_silhouette_and_thickness(azimuth: float) -> None:
    ball = trimesh.creation.icosphere(4, 0.5)
    view = camera(128, 96, azimuth)
    first, last = mr.rasterise_layers(ball.vertices, ball.faces, view)
    assert (first.mask == last.mask).all() and first.mask.any()
    assert (last.depth[last.mask] >= first.depth[first.mask]).all()
    # Every ray that meets a closed surface meets it at two different faces.
    assert (first.face_id != last.face_id)[first.mask].all()
    directions = view.rays()
    centre = view.to_camera(np.zeros((1, 3)))[0]
    t = directions @ centre / (directions**2).sum(-1)
    closest = np.linalg.norm(directions * t[..., None] - centre, axis=-1)
    assert (first.mask[closest < 0.495]).all() and not first.mask[closest > 0.5].any()


def test_depth_and_attributes_agree_with_ray_casting() -> None:
    vertices, faces = soup(7, 3)
    view = camera()
    first, last = mr.rasterise_layers(vertices, faces, view)
    for image, nearest in ((first, True), (last, False)):
        rows, columns = np.nonzero(image.mask)
        direction = view.rays()[rows, columns] @ view.world_to_camera[:3, :3]
        hit = ray_hits(view.position, direction, vertices[faces])  # depth per ray and face, nan where missed
        met = np.isfinite(hit).any(1)
        assert met.mean() > 0.97  # the others pass through the snapped rim
        z = (np.nanmin if nearest else np.nanmax)(hit[met], 1)
        point = view.position + direction[met] * z[:, None]
        found = mr.interpolate(image, faces, vertices)[rows, columns][met]
        error = np.linalg.norm(found - point, axis=1)
        # Snapping by 1/2048 px moves a grazing hit further than a frontal one.
        assert np.quantile(error, 0.95) < 1e-3 and np.abs(image.depth[rows, columns][met] - z).max() < 0.02


def ray_hits(origin: np.ndarray, directions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(R, F) distance along each ray to each triangle (Moeller & Trumbore 1997), nan where it misses."""
    a, ab, ac = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    p = np.cross(directions[:, None], ac)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1.0 / (p * ab).sum(-1)
        u = ((origin - a) * p).sum(-1) * scale
        q = np.cross(origin - a, ab)
        v = (directions[:, None] * q).sum(-1) * scale
        t = (ac * q).sum(-1) * scale
    return np.where((u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0), t, np.nan)


def test_constant_attribute_stays_constant_and_weights_sum_to_one() -> None:
    vertices, faces = soup(3)
    image = mr.rasterise_mesh(vertices, faces, camera(), last=True)
    ones = mr.interpolate(image, faces, np.ones((len(vertices), 2)))
    np.testing.assert_allclose(ones[image.mask], 1.0, atol=1e-6)
    assert (ones[~image.mask] == 0).all() and (image.depth[~image.mask] == 0).all()


def test_faces_behind_or_through_the_camera_are_left_out() -> None:
    vertices, faces = soup(5)
    behind = vertices + camera().position * 2.0
    assert not mr.rasterise_mesh(behind, faces, camera()).mask.any()
    through = np.array([[0.0, 0, 0], [0.3, 0, 0], camera().position])
    assert not mr.rasterise_mesh(through, np.array([[0, 1, 2]]), camera()).mask.any()


def test_normals_of_a_ball_point_outwards() -> None:
    ball = trimesh.creation.icosphere(3, 1.0)
    normals = mr.vertex_normals(ball.vertices, ball.faces)
    assert ((normals * ball.vertices).sum(1) > 0.999).all()
    centres = ball.triangles_center / np.linalg.norm(ball.triangles_center, axis=1, keepdims=True)
    assert ((mr.face_normals(ball.vertices, ball.faces) * centres).sum(1) > 0.999).all()


def test_wrong_faces_are_refused() -> None:
    with pytest.raises(ValueError, match="names vertex 9"):
        mr.rasterise_mesh(np.zeros((3, 3)), np.array([[0, 1, 9]]), camera())
    with pytest.raises(ValueError, match="need \\(F, 3\\)"):
        mr.rasterise_mesh(np.zeros((3, 3)), np.array([[0, 1, 2, 0]]), camera())
