"""Triangles that pass through others: against a slow twin in fractions, on surfaces whose answer is known, and in time."""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
import pytest

from pipelines.geometry.self_intersections import BITS, intersecting_faces, on_grid

Point = tuple[Fraction, ...]


def dot(a: Point, b: Point) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def less(a: Point, b: Point) -> Point:
    return tuple(x - y for x, y in zip(a, b, strict=True))


def cross(a: Point, b: Point) -> Point:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def cut(polygon: list[Point], place: Point, normal: Point) -> list[Point]:
    """The part of a convex polygon (or segment, or point) on the side to which the normal points; the border stays."""
    kept: list[Point] = []
    for i, a in enumerate(polygon):
        b = polygon[(i + 1) % len(polygon)]
        x, y = dot(less(a, place), normal), dot(less(b, place), normal)
        if x >= 0:
            kept.append(a)
        if x * y < 0:
            kept.append(tuple(p + (q - p) * x / (x - y) for p, q in zip(a, b, strict=True)))
    return kept


def twin_pair(p: list[Point], q: list[Point]) -> bool:
    """p cut by the plane of q from both sides and by the three walls on q's edges: what is left is common to both."""
    normal = cross(less(q[1], q[0]), less(q[2], q[0]))
    left = cut(cut(p, q[0], normal), q[0], tuple(-x for x in normal))
    for i in range(3):
        left = cut(left, q[i], cross(normal, less(q[(i + 1) % 3], q[i])))
    shared = [a for a in p if a in q]
    if len(shared) == 3:
        return True
    if len(shared) == 2:
        along = less(shared[1], shared[0])
        return any(any(cross(along, less(x, shared[0]))) for x in left)
    return any(x not in shared for x in left)


def twin(corners: np.ndarray) -> np.ndarray:
    """(F,) of whole-numbered corners (F, 3, 3), every pair looked at."""
    triangles = [[tuple(Fraction(int(x)) for x in corner) for corner in triangle] for triangle in corners]
    solid = [any(cross(less(t[1], t[0]), less(t[2], t[0]))) for t in triangles]
    found = np.zeros(len(triangles), bool)
    for i in range(len(triangles)):
        for k in range(i):
            if solid[i] and solid[k] and not (found[i] and found[k]) and twin_pair(triangles[i], triangles[k]):
                found[i] = found[k] = True
    return found


def sphere(steps: int, radius: float = 1.0, middle: tuple[float, float, float] = (0, 0, 0)) -> tuple:
    """A closed sphere of rings: vertices (V, 3) and faces (F, 3)."""
    rings = [[(0.0, 0.0, 1.0)]]
    for i in range(1, steps):
        at, around = np.pi * i / steps, 2 * np.pi * (np.arange(2 * steps) + 0.5 * (i % 2)) / (2 * steps)
        ring = np.stack([np.sin(at) * np.cos(around), np.sin(at) * np.sin(around), np.full(2 * steps, np.cos(at))], 1)
        rings.append([tuple(p) for p in ring])
    points = np.array([p for ring in [*rings, [(0.0, 0.0, -1.0)]] for p in ring])
    faces = []
    for k in range(2 * steps):
        after = (k + 1) % (2 * steps)
        faces.append((0, 1 + k, 1 + after))
        faces.append((len(points) - 1, len(points) - 1 - 2 * steps + after, len(points) - 1 - 2 * steps + k))
        for i in range(steps - 2):
            a, b = 1 + 2 * steps * i, 1 + 2 * steps * (i + 1)
            faces += [(a + k, b + k, b + after), (a + k, b + after, a + after)]
    return points * radius + np.array(middle), np.array(faces)


def soup(seed: int, count: int, span: int) -> np.ndarray:
    """(F, 3, 3) whole-numbered triangles in a small cube: shared corners and edges, one plane and touching abound."""
    return np.random.default_rng(seed).integers(0, span, (count, 3, 3))


@pytest.mark.parametrize("span", [2, 3, 4, 7])
def test_every_pair_is_decided_as_by_the_slow_twin(span: int) -> None:
    """Pairs alone: on so small a grid most have corners in common, lie in one plane, or touch."""
    seen = {True: 0, False: 0}
    # Two far corners hold the grid's scale at one step a unit, and are never within reach of the pair.
    far = np.array([[2**BITS - 1] * 3] * 3) - np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    for pair in soup(span, 1400, span).reshape(-1, 2, 3, 3):
        triangles = np.concatenate([pair, far[None], [[[0, 0, 0], [0, 0, 0], [0, 0, 0]]]])
        assert np.array_equal(on_grid(triangles.astype(float)), triangles)
        got = intersecting_faces(triangles.reshape(-1, 3), np.arange(12).reshape(-1, 3))
        wanted = twin(pair)
        assert got[:2].tolist() == wanted.tolist() and not got[2:].any(), pair.tolist()
        seen[bool(wanted[0])] += 1
    assert min(seen.values()) > 60, seen


def test_a_crowd_is_decided_as_by_the_slow_twin() -> None:
    """Rounded real numbers, every second triangle small: the sweep misses no pair and finds none twice wrong."""
    random = np.random.default_rng(5)
    middles, size = random.random((70, 1, 3)), np.where(np.arange(70) % 2, 0.5, 0.12)[:, None, None]
    triangles = middles + size * (random.random((70, 3, 3)) - 0.5)
    got = intersecting_faces(triangles.reshape(-1, 3), np.arange(210).reshape(-1, 3))
    assert np.array_equal(got, twin(on_grid(triangles))) and 10 < got.sum() < 65


def test_a_closed_surface_has_none_and_two_that_cross_have_theirs() -> None:
    points, faces = sphere(12)
    assert not intersecting_faces(points, faces).any()
    # The same place under two numbers is one corner: seams of a texture are no crossings.
    assert not intersecting_faces(points[faces].reshape(-1, 3), np.arange(3 * len(faces)).reshape(-1, 3)).any()
    other, _ = sphere(12, 1.0, (1.3, 0.07, 0.05))
    both = intersecting_faces(np.concatenate([points, other]), np.concatenate([faces, faces + len(points)]))
    # Only faces that reach the plane in which both spheres meet can be crossed, and those on it nearly all are.
    near = np.concatenate([points[faces], other[faces]])
    gap = np.abs(np.linalg.norm(near, axis=-1) - np.linalg.norm(near - (1.3, 0.07, 0.05), axis=-1)).min(1)
    assert both.any() and gap[both].max() < 0.35
    assert both[: len(faces)].any() and both[len(faces) :].any() and both.mean() < 0.2
    inner, _ = sphere(12, 0.5)
    assert not intersecting_faces(np.concatenate([points, inner]), np.concatenate([faces, faces + len(points)])).any()
    folded = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.9, 0.8, 0]])
    assert intersecting_faces(folded, np.array([[0, 1, 2], [0, 1, 3]])).all()
    folded[3, 1] = -0.8  # on the other side of the edge
    assert not intersecting_faces(folded, np.array([[0, 1, 2], [0, 1, 3]])).any()


def test_what_has_no_area_counts_as_none_and_what_is_no_number_is_refused() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0.5, 0, 0], [0, 1, 0]], float)
    assert not intersecting_faces(points, np.array([[0, 1, 2], [0, 1, 3], [1, 1, 3]])).any()
    assert intersecting_faces(points, np.zeros((0, 3), int)).shape == (0,)
    points[1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        intersecting_faces(points, np.array([[0, 1, 3]]))


def test_thirty_thousand_triangles_take_less_than_two_seconds() -> None:
    points, faces = sphere(87)
    points[:, 1] *= 0.3
    points += 0.002 * np.random.default_rng(0).standard_normal(points.shape)
    assert 29000 < len(faces) < 31000
    intersecting_faces(points[:0], faces[:0])
    intersecting_faces(*sphere(4))  # compiled
    began = time.process_time()
    found = intersecting_faces(points, faces)
    assert time.process_time() - began < 2.0
    assert np.array_equal(found, intersecting_faces(points, faces))
