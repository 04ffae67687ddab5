"""Surface extraction: the generated tables, and meshes that must close."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pipelines.synchuman.cubes_to_surface import surface  # noqa: E402
from pipelines.synchuman.embeddings import grid_coords  # noqa: E402
from pipelines.synchuman.flexicubes import Cubes, Extracted, extract  # noqa: E402
from pipelines.synchuman.flexicubes_tables import CORNERS, EDGES, patches_of, tables  # noqa: E402
from pipelines.synchuman.stand_in import normals_of  # noqa: E402


def dense(sdf: np.ndarray, seed: str = "") -> Extracted:
    """Extraction of a (n + 1)^3 field, with weights of a seed."""
    side = sdf.shape[0] - 1
    cubes = grid_coords(side).numpy()
    place = cubes[:, None] + CORNERS
    n = side + 1
    weights = normals_of(f"test.{seed}", (len(cubes), 21)) if seed else np.zeros((len(cubes), 21), np.float32)
    corner = (place[..., 0] * n + place[..., 1]) * n + place[..., 2]
    position = grid_coords(n).numpy().astype(np.float32) / side - 0.5
    nothing = np.zeros((n**3, 0), np.float32)
    return extract(
        Cubes(side, cubes, corner, sdf.ravel(), position, nothing, weights[:, :8], weights[:, 8:20], weights[:, 20])
    )


def grid(side: int) -> np.ndarray:
    axis = np.linspace(-0.5, 0.5, side + 1)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)


def euler(mesh: Extracted) -> int:
    edges = {tuple(sorted(pair)) for a, b, c in mesh.faces.tolist() for pair in ((a, b), (b, c), (c, a))}
    return len(mesh.vertices) - len(edges) + len(mesh.faces)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]].astype(float) for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_facts_about_the_tables() -> None:
    table = tables()
    assert np.bincount(table.count).tolist() == [2, 162, 82, 8, 2]
    assert (table.patches >= 0).sum(2).max() == 7
    assert [patches_of(case) for case in (1, 6, 20)] == [[(0, 3, 8)], [(0, 1, 9), (4, 7, 8)], [(4, 7, 8), (2, 3, 11)]]
    doubtful = np.flatnonzero(table.doubtful)
    corners = [bin(case).count("1") for case in doubtful]
    assert len(doubtful) == 36 and corners.count(5) == 24 and corners.count(6) == 12
    assert all(table.count[case] == 1 and table.count[255 - case] == 2 for case in doubtful)
    assert [table.partner[case].tolist() for case in (61, 62, 91, 103)] == [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_every_crossing_edge_is_in_one_patch() -> None:
    for case in range(256):
        crossing = [e for e, (a, b) in enumerate(EDGES) if (case >> a & 1) != (case >> b & 1)]
        assert sorted(e for group in patches_of(case) for e in group) == crossing


def test_turning_a_cube_turns_its_patches() -> None:
    ends = {frozenset(pair): e for e, pair in enumerate(EDGES.tolist())}
    turns = [
        (axes, flips)
        for axes in itertools.permutations(range(3))
        for flips in itertools.product((0, 1), repeat=3)
        if np.linalg.det(np.eye(3)[list(axes)] * (1 - 2 * np.array(flips))[:, None]) > 0
    ]
    assert len(turns) == 24
    groups_of = [{frozenset(group) for group in patches_of(case)} for case in range(256)]
    for axes, flips in turns:
        moved = CORNERS[:, list(axes)] ^ np.array(flips)
        to = (moved * np.array([1, 2, 4])).sum(1)
        edge_to = [ends[frozenset((int(to[a]), int(to[b])))] for a, b in EDGES]
        for case in range(256):
            turned = sum(1 << int(to[k]) for k in range(8) if case >> k & 1)
            assert {frozenset(edge_to[e] for e in group) for group in groups_of[case]} == groups_of[turned]


def test_sphere_torus_and_two_spheres() -> None:
    p = grid(20)
    sphere = dense((np.linalg.norm(p, axis=-1) - 0.3).astype(np.float32))
    share = volume(sphere.vertices, sphere.faces) / (4 / 3 * np.pi * 0.3**3)
    assert euler(sphere) == 2 and 0.93 < share < 1  # vertices are means of points on the sphere: a little inside
    radius = np.linalg.norm(sphere.vertices, axis=1)
    assert radius.min() > 0.29 and radius.max() < 0.3001
    ring = np.hypot(np.hypot(p[..., 0], p[..., 1]) - 0.27, p[..., 2]) - 0.11
    assert euler(dense(ring.astype(np.float32))) == 0
    apart = np.minimum(*(np.linalg.norm(p - [x, 0, 0], axis=-1) for x in (-0.22, 0.22))) - 0.15
    assert euler(dense(apart.astype(np.float32))) == 4


@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_noise_gives_closed_surfaces_inside_the_grid(seed: str) -> None:
    """Every edge has two faces: the field is positive on the border, so nothing may stay open."""
    field = np.ones((10, 10, 10), np.float32)
    field[1:-1, 1:-1, 1:-1] = normals_of(f"test.field.{seed}", (8, 8, 8))
    mesh = dense(field, seed)
    assert (mesh.case != mesh.case_before).any()  # doubtful cubes occurred
    sides = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    count = np.unique(sides, axis=0, return_counts=True)[1]
    assert (count % 2 == 0).all()
    assert volume(mesh.vertices, mesh.faces) > 0


def test_cubes_that_were_not_decoded_close_the_rim() -> None:
    """Two cubes all inside: the wall runs through their neighbours, and its order is that of a dense grid."""
    head = torch.zeros(2, 101)
    head[:, :8] = -0.4
    mesh = surface(head, torch.tensor([[3, 3, 3], [4, 3, 3]]), 8)
    field = np.ones((9, 9, 9), np.float32)
    field[3:6, 3:5, 3:5] = np.float32(-0.4) - np.float32(1 / 8)
    wanted = dense(field)
    assert np.array_equal(mesh.faces, wanted.faces) and np.allclose(mesh.vertices, wanted.vertices, atol=1e-6)
    assert euler(mesh) == 2 and volume(mesh.vertices, mesh.faces) > 0
    assert mesh.colours.shape == (len(mesh.vertices), 6)


def test_nothing_inside_gives_an_empty_mesh() -> None:
    mesh = surface(torch.ones(1, 53), torch.tensor([[2, 2, 2]]), 8)
    assert mesh.vertices.shape == (0, 3) and mesh.faces.shape == (0, 3)
