"""What is seen from around, the cut that removes what is not, and the patches that close the rest."""

from __future__ import annotations

import networkx
import numpy as np
import pytest
import trimesh

pytest.importorskip("torch")

from pipelines.geometry.mesh_raster import rasterise_mesh
from pipelines.synchuman import bake_cameras, clean_surface, hole_fill, hole_patches, seen_faces, splat_views
from pipelines.synchuman.minimum_cut import minimum_cut


def test_cut_is_as_small_as_another_solvers() -> None:
    random = np.random.default_rng(3)
    for nodes in (8, 40):
        pairs = np.unique(np.sort(random.integers(0, nodes, (4 * nodes, 2)), 1), axis=0)
        links = pairs[pairs[:, 0] != pairs[:, 1]]
        capacity = random.integers(1, 50, len(links))
        sources, sinks = np.array([0, 1]), np.array([nodes - 1, nodes - 2])
        side, value = minimum_cut(nodes, links, capacity, sources, sinks, 60)
        graph = networkx.DiGraph()
        for (a, b), c in zip(links.tolist(), capacity.tolist(), strict=True):
            graph.add_edge(a, b, capacity=c)
            graph.add_edge(b, a, capacity=c)
        for node in sources.tolist():
            graph.add_edge("s", node, capacity=60)
        for node in sinks.tolist():
            graph.add_edge(node, "t", capacity=60)
        assert value == networkx.maximum_flow_value(graph, "s", "t")
        cost = capacity[side[links[:, 0]] != side[links[:, 1]]].sum() + 60 * (
            (~side[sources]).sum() + side[sinks].sum()
        )
        assert cost == value


def test_among_equal_cuts_the_largest_source_side_is_taken() -> None:
    chain = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    side, value = minimum_cut(5, chain, np.array([2, 1, 1, 2]), np.array([0]), np.array([4]), 9)
    assert value == 1 and side.tolist() == [True, True, True, False, False]


@pytest.fixture(scope="module")
def bottle() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A sphere around a smaller one turned inside out, joined by a narrow neck at the top; True = inner wall."""
    rings, around = 24, 24
    outer = np.linspace(np.pi - 1e-3, 0.25, rings)
    profile = np.concatenate(
        [0.40 * np.stack([np.sin(outer), np.cos(outer)], 1), 0.36 * np.stack([np.sin(outer), np.cos(outer)], 1)[::-1]]
    )
    turn = np.arange(around) * 2 * np.pi / around
    points = np.stack([profile[:, None, 0] * np.cos(turn), profile[:, None, 0] * np.sin(turn)], -1)
    points = np.concatenate([points, np.broadcast_to(profile[:, None, 1:], (*points.shape[:2], 1))], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(2 * rings - 1), np.arange(around), indexing="ij")
    a, b = i * around + j, i * around + (j + 1) % around
    faces = np.concatenate(
        [np.stack([a, b, b + around], -1).reshape(-1, 3), np.stack([a, b + around, a + around], -1).reshape(-1, 3)]
    )
    return points, faces, faces.min(1) >= rings * around


def test_a_hidden_wall_is_removed_and_its_rim_closed(bottle: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    points, faces, inner = bottle
    made = clean_surface.clean(points, faces, reduction=0, views=40, size=96)
    assert made.visibility[inner].mean() < 0.1 < made.visibility[~inner].mean()
    removed = np.zeros(len(faces), bool)
    removed[made.decision.removed] = True
    assert removed[inner].mean() > 0.95 and removed[~inner].mean() < 0.05
    gone = [piece for piece in made.decision.pieces if piece.removed]
    assert all(area <= hole_fill.LARGEST_HOLE for piece in gone for area in piece.areas)
    mesh = trimesh.Trimesh(made.vertices, made.faces, process=False)
    assert made.open_loops == 0 and mesh.is_winding_consistent and len(mesh.vertices) < len(points)
    lid = mesh.vertices[mesh.faces[len(faces) - int(removed.sum()) :]][..., 2]
    assert lid.size and lid.max() > 0.3  # it lies at the neck


def test_decimation_leaves_the_asked_share_of_faces(bottle: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    ball = trimesh.creation.icosphere(4, 0.4)
    made = clean_surface.clean(ball.vertices, ball.faces, views=10, size=64)
    assert len(made.light_faces) == pytest.approx(0.3 * len(ball.faces), rel=0.02)
    assert trimesh.Trimesh(made.vertices, made.faces, process=False).is_watertight
    with pytest.raises(ValueError, match="no faces"):
        clean_surface.clean(ball.vertices, ball.faces[:0])


def test_a_wide_opening_is_left_alone(bottle: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """The same bottle four times as large: the rim is larger than a hole may be."""
    points, faces, inner = bottle
    decision = hole_fill.decide(4 * points, faces, np.where(inner, 0.0, 0.9), hole_fill.HoleSettings())
    assert len(decision.cut) and len(decision.removed) == 0
    nothing = hole_fill.decide(points, faces, np.full(len(faces), 0.9), hole_fill.HoleSettings())
    assert len(nothing.inner) == 0 and len(nothing.removed) == 0


def test_patch_of_a_bent_loop_has_least_area() -> None:
    """A square folded along one diagonal is closed along that diagonal, not across it."""
    square = np.array([[0, 0, 0], [1, 0, 0.8], [1, 1, 0], [0, 1, 0.8]], float)
    made = hole_patches.patch(square, np.arange(4))
    assert made.shape == (2, 3) and sorted(made.ravel().tolist()) in ([0, 0, 1, 2, 2, 3], [0, 1, 1, 2, 3, 3])

    def area(diagonal: tuple[int, int], others: tuple[int, int]) -> float:
        a, b = square[list(diagonal)]
        return sum(np.linalg.norm(np.cross(b - a, square[o] - a)) / 2 for o in others)

    best = min(area((0, 2), (1, 3)), area((1, 3), (0, 2)))
    assert trimesh.Trimesh(square, made, process=False).area == pytest.approx(best)


def test_long_loops_stay_open() -> None:
    box = trimesh.creation.icosphere(2)
    faces = box.faces[box.triangles_center[:, 2] < 0.5]
    closed, left_open = hole_patches.close_holes(box.vertices, faces)
    assert left_open == 0 and trimesh.Trimesh(box.vertices, closed, process=False).is_watertight
    assert hole_patches.close_holes(box.vertices, faces, longest=3)[1] == 1


def test_orthographic_views_show_the_cube_at_its_true_size() -> None:
    """A small box at +x, in front, high: where it appears in the four views, and how far away."""
    box = trimesh.creation.box(bounds=[[0.2, -0.3, 0.1], [0.3, -0.2, 0.2]])
    boxes, depths = [], []
    for yaw, pitch in bake_cameras.bake_angles()[:4]:
        view = seen_faces.orthographic_view(box.vertices, box.faces, bake_cameras.extrinsics(yaw, pitch), 100)
        rows, columns = np.nonzero(view.mask)
        boxes.append([rows.min(), rows.max() + 1, columns.min(), columns.max() + 1])
        depths.append(float(view.depth[view.mask].mean()))
    # Rows 30 to 40 (z from the top); columns x, y, -x, -y.
    assert boxes == [[30, 40, 70, 80], [30, 40, 20, 30], [30, 40, 20, 30], [30, 40, 70, 80]]
    assert depths == pytest.approx([1.7, 1.7, 2.2, 2.2], abs=1e-4)


def test_unsnapped_perspective_agrees_with_the_rasteriser() -> None:
    ball = trimesh.creation.icosphere(3, 0.4)
    camera = bake_cameras.perspective_camera(0.7, 0.3, 128)
    mine, other = (
        seen_faces.perspective_view(ball.vertices, ball.faces, camera),
        rasterise_mesh(ball.vertices, ball.faces, camera),
    )
    assert (mine.face_id != other.face_id).mean() < 1e-3
    both = mine.mask & other.mask
    assert (
        np.abs(mine.depth - other.depth)[both].max() < 1e-2 and np.abs(mine.barycentric.sum(-1) - 1)[both].max() < 1e-5
    )


def test_low_pass_keeps_large_splats_and_dims_small_ones() -> None:
    camera = bake_cameras.perspective_camera(0.0, 0.0, 64)
    means, quats = np.zeros((2, 3)), np.tile([1.0, 0, 0, 0], (2, 1))
    kept = splat_views.low_pass_opacity(means, quats, np.array([[0.2] * 3, [0.001] * 3]), camera)
    focal = camera.K[0, 0] / 2
    small = (0.001 * focal) ** 2
    assert kept[0] > 0.99 and kept[1] == pytest.approx(small / (small + 0.1), rel=0.1)
