"""Pictures of a mesh: colours, light, normals, lines, coverage."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from pipelines.geometry.cameras import Camera, intrinsics, look_at
from pipelines.geometry.mesh_picture import MODES, render_mesh, sample_texture
from tests.capsule_person import camera_at

QUAD = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
QUAD_FACES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
QUAD_UV = (QUAD[:, :2] + 1) / 2


def ball() -> tuple[np.ndarray, np.ndarray]:
    shape = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    return np.asarray(shape.vertices), shape.faces.astype(np.int32)


def quad_camera(size: int = 64) -> Camera:
    K = intrinsics(size, size, 2 * np.degrees(np.arctan(0.5)))
    return Camera(K, size, size, look_at(np.zeros(3), 2.0, 0.0, 0.0))


def test_the_texture_stands_upright_and_is_not_mirrored() -> None:
    texture = np.zeros((64, 64, 3), np.float32)
    texture[:32, :32] = (1, 0, 0)  # upper left
    texture[32:, 32:] = (0, 0, 1)  # lower right
    picture = render_mesh(QUAD, QUAD_FACES, quad_camera(), uv=QUAD_UV, texture=texture)
    assert picture.shape == (64, 64, 4) and picture.dtype == np.float32
    assert np.allclose(picture[..., 3], 1)
    assert np.allclose(picture[2:30, 2:30, :3], [1, 0, 0]) and np.allclose(picture[34:62, 34:62, :3], [0, 0, 1])
    assert np.allclose(picture[2:30, 34:62, :3], 0)


def test_unlit_colours_are_the_texture_itself() -> None:
    rng = np.random.default_rng(0)
    texture = rng.random((64, 64, 3)).astype(np.float32)
    picture = render_mesh(QUAD, QUAD_FACES, quad_camera(), uv=QUAD_UV, texture=texture, supersample=1)
    assert np.abs(picture[..., :3] - texture).max() < 1e-3


def test_vertex_colours() -> None:
    vertices, faces = ball()
    picture = render_mesh(vertices, faces, camera_at(0, 0, 80, (0, 0, 0), 2.0), colours=vertices + 0.5)
    middle = picture[40, 40, :3]
    assert np.allclose(middle, [0.5, 0.5, 1.0], atol=0.02)


def test_coverage_is_the_discs_area_with_soft_edges() -> None:
    vertices, faces = ball()
    camera = camera_at(30, 20, 100, (0, 0, 0), 2.0)
    alpha = render_mesh(vertices, faces, camera, "clay", supersample=4)[..., 3]
    radius = camera.K[0, 0] * np.tan(np.arcsin(0.5 / 2.0))
    assert alpha.sum() == pytest.approx(np.pi * radius**2, rel=0.01)
    assert ((alpha > 0.05) & (alpha < 0.95)).sum() > 100


def test_straight_alpha_does_not_darken_the_rim() -> None:
    vertices, faces = ball()
    white = np.ones_like(vertices)
    picture = render_mesh(vertices, faces, camera_at(0, 0, 60, (0, 0, 0), 2.0), colours=white)
    assert np.allclose(picture[picture[..., 3] > 0][:, :3], 1, atol=1e-4)


def test_normals_point_where_the_camera_says() -> None:
    vertices, faces = ball()
    for azimuth in (0.0, 135.0):  # the picture is in the camera's frame, so it does not turn with the camera
        picture = render_mesh(vertices, faces, camera_at(azimuth, 0, 101, (0, 0, 0), 2.0), "normals")
        assert np.allclose(picture[50, 50, :3], [0.5, 0.5, 1.0], atol=0.02)
        assert picture[50, 80, 0] > 0.8 and picture[50, 20, 0] < 0.2
        assert picture[20, 50, 1] > 0.8 and picture[80, 50, 1] < 0.2


def test_clay_is_grey_lit_from_above_and_never_black() -> None:
    vertices, faces = ball()
    picture = render_mesh(vertices, faces, camera_at(0, 0, 101, (0, 0, 0), 2.0), "clay")
    inside = picture[..., 3] > 0.99
    assert picture[20, 40, :3].mean() > picture[80, 60, :3].mean() + 0.1
    assert picture[inside][:, :3].min() > 0.1 and np.ptp(picture[inside][:, :3], axis=1).max() < 0.12


def test_wireframe_draws_the_edges() -> None:
    clay = render_mesh(QUAD, QUAD_FACES, quad_camera(), "clay")
    wire = render_mesh(QUAD, QUAD_FACES, quad_camera(), "wireframe")
    darker = (clay - wire)[..., 0]
    diagonal = np.array([darker[63 - i, i] for i in range(4, 60)])  # 0-2 runs from the lower left upwards
    assert diagonal.min() > 0.2 and np.abs(darker[10, 20]) < 1e-6 and darker[30, 0] > 0.2


def test_every_mode_on_an_empty_view() -> None:
    vertices, faces = ball()
    away = camera_at(180, 0, 20, (0, 0, 20), 2.0)
    for mode in MODES:
        assert not render_mesh(vertices, faces, away, mode, colours=vertices).any()


def test_mistakes_are_named() -> None:
    vertices, faces = ball()
    camera = camera_at(0, 0, 20, (0, 0, 0), 2.0)
    with pytest.raises(ValueError, match="not known"):
        render_mesh(vertices, faces, camera, "glass")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="uv and texture"):
        render_mesh(vertices, faces, camera)


def test_texture_look_up() -> None:
    texture = np.arange(12, dtype=np.float32).reshape(2, 2, 3) / 12
    at = sample_texture(texture, np.array([[[0.25, 0.75], [0.75, 0.75], [0.25, 0.25], [0.5, 0.5]]]))[0]
    colours = texture.reshape(-1, 3)
    assert np.allclose(at[:3], colours[:3]) and np.allclose(at[3], colours.mean(0), atol=1e-2)
