"""Distances between two surfaces, point to triangle: Chamfer, point to surface, normal consistency.

Points are sampled by area with a fixed seed. The nearest point on the other surface is exact: a tree of boxes over its
triangles is walked, the nearer box first, and only boxes farther than the best triangle so far are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.evaluate.protocols import SAMPLE_SEED, SAMPLES

Array = NDArray[np.float64]
Faces = NDArray[np.integer]
LEAF = 6  # triangles of a box that is not split further


@dataclass(frozen=True)
class SurfaceScores:
    """Metres, but for normals (-1..1). to_truth: mean distance from the result's samples to the truth; from_truth: the
    other way; chamfer: their mean; sampling: standard error of chamfer; height: the truth's extent along y."""

    chamfer: float
    to_truth: float
    from_truth: float
    normals: float
    sampling: float
    height: float


class Triangles:
    """A surface to ask distances of. vertices (V, 3) metres, faces (F, 3) outwards; a tree over them is built once."""

    def __init__(self, vertices: NDArray[np.floating], faces: Faces) -> None:
        self.vertices, self.faces = np.asarray(vertices, np.float64), np.asarray(faces)
        self.corners = np.ascontiguousarray(self.vertices[self.faces])
        self.normals = unit_normals(self.vertices, self.faces)
        self._tree = _build(self.corners.mean(1), self.corners)

    def sample(self, count: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
        """See `sample`."""
        return sample(self.vertices, self.faces, count, seed)

    def nearest(self, points: NDArray[np.floating]) -> tuple[Array, NDArray[np.int64]]:
        """Distances (N,) of points (N, 3) to the nearest point of the surface, and that point's face (N,)."""
        return _nearest(np.ascontiguousarray(points, np.float64), self.corners, *self._tree)


def compare_surfaces(
    made: Triangles, truth: Triangles, samples: int = SAMPLES, seed: int = SAMPLE_SEED
) -> SurfaceScores:
    """A result's surface against the true one, both in one frame.

    The result's samples are drawn with `seed`, the truth's with `seed + 1`. ValueError for a surface without area.
    """
    here, here_faces = made.sample(samples, seed)
    there, there_faces = truth.sample(samples, seed + 1)
    to_truth, nearest_true = truth.nearest(here)
    from_truth, nearest_made = made.nearest(there)
    cosines = (
        (made.normals[here_faces] * truth.normals[nearest_true]).sum(1).mean(),
        (truth.normals[there_faces] * made.normals[nearest_made]).sum(1).mean(),
    )
    error = 0.5 * np.hypot(to_truth.std(), from_truth.std()) / np.sqrt(samples)
    return SurfaceScores(
        float((to_truth.mean() + from_truth.mean()) / 2), float(to_truth.mean()), float(from_truth.mean()),
        float(np.mean(cosines)), float(error), float(np.ptp(truth.vertices[:, 1])),
    )  # fmt: skip


def rounding_floor(surface: Triangles) -> float:
    """Metres: the mean distance of a surface's samples, stored as float32, to that surface. 0 but for rounding."""
    points, _ = surface.sample(SAMPLES, SAMPLE_SEED)
    return float(surface.nearest(points.astype(np.float32))[0].mean())


def unit_normals(vertices: Array, faces: Faces) -> Array:
    """(F, 3) right-handed; 0 for a triangle without area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    return normal / np.where(length > 1e-20, length, 1.0)


def sample(vertices: Array, faces: Faces, count: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
    """(count, 3) points uniform by area, and the face (count,) of each; stratified along the list of faces."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    total = np.cumsum(area)
    if len(total) == 0 or total[-1] <= 0:
        raise ValueError("A surface came without area; it needs at least one triangle that is not flat.")
    rng = np.random.default_rng(seed)
    face = np.searchsorted(total, (np.arange(count) + rng.random(count)) / count * total[-1], side="right")
    face = np.minimum(face, len(faces) - 1)
    u, v = rng.random((2, count))
    u, v = np.where(u + v > 1, 1 - u, u)[:, None], np.where(u + v > 1, 1 - v, v)[:, None]
    return a[face] + u * (b - a)[face] + v * (c - a)[face], face


@njit(cache=True)
def _build(centres, corners):  # type: ignore[no-untyped-def]
    """A tree of boxes over triangles: order (F,) of the triangles; boxes (M, 2, 3) low and high; spans (M, 4): first
    and one behind the last triangle in `order`, and the two children (0 for a leaf)."""
    count = len(centres)
    order = np.arange(count)
    boxes = np.empty((2 * count, 2, 3))
    spans = np.zeros((2 * count, 4), np.int64)
    spans[0, 1] = count
    made, node = 1, 0
    while node < made:
        first, end = spans[node, 0], spans[node, 1]
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        near, far = np.full(3, np.inf), np.full(3, -np.inf)
        for k in range(first, end):
            for axis in range(3):
                for corner in range(3):
                    low[axis] = min(low[axis], corners[order[k], corner, axis])
                    high[axis] = max(high[axis], corners[order[k], corner, axis])
                near[axis] = min(near[axis], centres[order[k], axis])
                far[axis] = max(far[axis], centres[order[k], axis])
        boxes[node, 0], boxes[node, 1] = low, high
        if end - first > LEAF:
            widest = np.argmax(far - near)
            part = order[first:end].copy()
            order[first:end] = part[np.argsort(centres[part, widest], kind="mergesort")]
            middle = (first + end) // 2
            spans[made, 0], spans[made, 1] = first, middle
            spans[made + 1, 0], spans[made + 1, 1] = middle, end
            spans[node, 2], spans[node, 3] = made, made + 1
            made += 2
        node += 1
    return order, boxes[:made].copy(), spans[:made].copy()


@njit(cache=True)
def _nearest(points, corners, order, boxes, spans):  # type: ignore[no-untyped-def]
    """Distance and face of each point, the nearer child first; of equals the first met."""
    distance = np.empty(len(points))
    which = np.empty(len(points), np.int64)
    stack = np.empty(128, np.int64)
    floors = np.empty(128)
    for i in range(len(points)):
        best, chosen = np.inf, -1
        stack[0], floors[0], height = 0, 0.0, 1
        while height > 0:
            height -= 1
            if floors[height] >= best:
                continue
            node = stack[height]
            if spans[node, 2] == 0:
                for k in range(spans[node, 0], spans[node, 1]):
                    d = square_distance(points[i], corners[order[k]])
                    if d < best:
                        best, chosen = d, order[k]
                continue
            left, right = spans[node, 2], spans[node, 3]
            a, b = _to_box(points[i], boxes[left]), _to_box(points[i], boxes[right])
            if a < b:
                left, right, a, b = right, left, b, a
            stack[height], floors[height] = left, a
            stack[height + 1], floors[height + 1] = right, b
            height += 2
        distance[i], which[i] = np.sqrt(best), chosen
    return distance, which


@njit(cache=True)
def _to_box(point, box):  # type: ignore[no-untyped-def]
    """Squared distance of a point to a box, 0 inside."""
    total = 0.0
    for axis in range(3):
        gap = max(box[0, axis] - point[axis], point[axis] - box[1, axis], 0.0)
        total += gap * gap
    return total


@njit(cache=True)
def square_distance(p, triangle):  # type: ignore[no-untyped-def]
    """Squared distance of a point (3,) to a triangle (3, 3): Ericson, Real-Time Collision Detection, 5.1.5."""
    d1, d2, d3, d4, d5, d6 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(3):
        ab, ac = triangle[1, k] - triangle[0, k], triangle[2, k] - triangle[0, k]
        d1 += ab * (p[k] - triangle[0, k])
        d2 += ac * (p[k] - triangle[0, k])
        d3 += ab * (p[k] - triangle[1, k])
        d4 += ac * (p[k] - triangle[1, k])
        d5 += ab * (p[k] - triangle[2, k])
        d6 += ac * (p[k] - triangle[2, k])
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    # Shares v of corner b and w of corner c in the nearest point.
    v, w = 0.0, 0.0
    if d1 <= 0.0 and d2 <= 0.0:
        pass
    elif d3 >= 0.0 and d4 <= d3:
        v = 1.0
    elif d6 >= 0.0 and d5 <= d6:
        w = 1.0
    elif vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        v = d1 / (d1 - d3)
    elif vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        w = d2 / (d2 - d6)
    elif va <= 0.0 and d4 - d3 >= 0.0 and d5 - d6 >= 0.0:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        v = 1.0 - w
    elif va + vb + vc > 0.0:
        v, w = vb / (va + vb + vc), vc / (va + vb + vc)
    total = 0.0
    for k in range(3):
        a = triangle[0, k]
        gap = p[k] - a - v * (triangle[1, k] - a) - w * (triangle[2, k] - a)
        total += gap * gap
    return total
