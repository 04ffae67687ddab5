"""A surface bent to normals: on a ball with bumps, against a direct solution, and on a wall of layers."""

from __future__ import annotations

import numpy as np
import trimesh

from pipelines.geometry.bend import bent, equations
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.projection.columns import solid_surface
from pipelines.projection.relief import with_relief

RADIUS, BUMPS, HEIGHT = 0.1, 9.0, 0.002


def ball(steps: int) -> tuple[np.ndarray, np.ndarray]:
    made = trimesh.creation.icosphere(subdivisions=steps, radius=RADIUS)
    return np.asarray(made.vertices, np.float64), np.asarray(made.faces, np.int32)


def bumpy(vertices: np.ndarray) -> np.ndarray:
    """The ball's vertices on the surface that is looked for."""
    direction = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    return direction * (RADIUS + HEIGHT * np.prod(np.sin(BUMPS * direction), axis=1))[:, None]


def degrees(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((one * other).sum(1), -1, 1))).mean())


def test_a_ball_gets_the_bumps_that_its_normals_tell_of() -> None:
    vertices, faces = ball(5)
    truth = bumpy(vertices)
    wanted = vertex_normals(truth, faces)
    made = bent(vertices, faces, wanted, np.ones(len(vertices)))
    assert degrees(vertex_normals(made, faces), wanted) < 0.35 * degrees(vertex_normals(vertices, faces), wanted)
    rise, true_rise = (np.linalg.norm(v, axis=1) - RADIUS for v in (made, truth))
    assert np.corrcoef(rise, true_rise)[0, 1] > 0.95


def test_the_descent_finds_what_a_direct_solution_finds() -> None:
    vertices, faces = ball(3)
    wanted, weight = vertex_normals(bumpy(vertices), faces), (vertices[:, 2] > 0).astype(float)
    along = vertex_normals(vertices, faces)
    matrix, right, unit = equations(vertices, faces, along, wanted, weight)
    exact = unit * np.linalg.solve(matrix.toarray(), right)
    moves = ((bent(vertices, faces, wanted, weight) - vertices) * along).sum(1)
    assert np.abs(moves - exact).max() < 0.01 * np.abs(exact).max()


def test_without_normals_nothing_moves() -> None:
    vertices, faces = ball(2)
    assert np.array_equal(bent(vertices, faces, np.zeros_like(vertices), np.zeros(len(vertices))), vertices)


def test_a_wall_of_wide_cells_gets_back_the_waves_of_its_layers_where_it_is_bare() -> None:
    """The upper half is a face, the lower one a trunk, which has clothes on."""
    camera = Camera(np.array([[400.0, 0, 80], [0, 400, 80], [0, 0, 1]]), 160, 160, np.eye(4))
    rows, columns = np.mgrid[:160, :160]
    mask = (abs(rows - 80) < 60) & (abs(columns - 80) < 60)

    def wave(x: np.ndarray) -> np.ndarray:
        return 1.0 + 0.002 * np.sin(2 * np.pi * x / 0.03)

    front = np.where(mask, wave((columns + 0.5 - 80) / 400), 0).astype(np.float32)
    back = np.where(mask, 1.1, 0).astype(np.float32)
    arrays = {"mask": mask, "alpha": mask.astype(np.float32), "two": mask & False, "front": front, "back": back,
              "leave": back, "enter": front, "seen": mask.astype(np.uint8), "arm": np.zeros(mask.shape, np.uint8),
              "front_rgb": np.zeros((160, 160, 3), np.float32), "back_rgb": np.zeros((160, 160, 3), np.float32),
              "front_part": np.where(rows < 80, 1, 0).astype(np.uint8), "back_part": np.zeros(mask.shape, np.uint8),
              "part_names": np.array(["torso", "face"])}  # fmt: skip
    vertices, faces = solid_surface(arrays, camera, 0.006, 6)
    bent_back = with_relief(vertices, faces, arrays, camera, 0.006)
    x = vertices[:, 0]
    face = (vertices[:, 2] < 1.02) & (np.abs(vertices[:, :2] + (0, 0.06)) < (0.1, 0.04)).all(1)
    slope = 0.002 * 2 * np.pi / 0.03 * np.cos(2 * np.pi * x / 0.03)
    truth = np.stack([slope, 0 * x, -np.ones(len(x))], 1) / np.sqrt(1 + slope**2)[:, None]
    before, after = (degrees(vertex_normals(v, faces)[face], truth[face]) for v in (vertices, bent_back))
    assert after < 0.75 * before
    dressed = (vertices[:, 2] > 1.08) | (vertices[:, 1] > 0.03)
    assert np.abs(bent_back - vertices)[dressed].max() < 0.0005
