"""Closing small holes: each boundary loop gets the triangulation of least area."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

LONGEST_LOOP = 136  # edges; 250 sqrt(1 - 0.7), from the share of faces that decimation keeps

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def boundary_loops(faces: NDArray[np.integer]) -> list[Ints]:
    """Closed loops of edges that one face has, each as vertices in the direction the missing faces run.

    Loops that touch in a vertex are walked apart where they can be; chains that do not close are left out.
    """
    sides = np.asarray(faces, np.int64)[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    _, where, count = np.unique(np.sort(sides, 1), axis=0, return_index=True, return_counts=True)
    after: dict[int, list[int]] = {}
    for a, b in sides[np.sort(where[count == 1])].tolist():
        after.setdefault(b, []).append(a)  # against the face's own direction
    loops = []
    for start in list(after):
        while after.get(start):
            path, node, place = [start], after[start].pop(), {start: 0}
            while node not in place and after.get(node):
                place[node] = len(path)
                path.append(node)
                node = after[node].pop()
            if node in place and len(path) - place[node] >= 3:
                loops.append(np.array(path[place[node] :], np.int64))
    return loops


def close_holes(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], longest: int = LONGEST_LOOP
) -> tuple[Ints, int]:
    """Faces with the patches of all loops of at most `longest` edges appended, and how many loops stay open."""
    points = np.asarray(vertices, np.float64)
    loops = boundary_loops(faces)
    patches = [patch(points, loop) for loop in loops if len(loop) <= longest]
    made = [np.asarray(faces, np.int64), *patches]
    return np.concatenate(made), sum(len(loop) > longest for loop in loops)


def patch(points: Floats, loop: Ints) -> Ints:
    """(L,) loop -> (L - 2, 3) triangles of least total area (dynamic programming, Barequet & Sharir 1995)."""
    split = _least_area(np.ascontiguousarray(points[loop]))
    triangles, open_spans = [], [(0, len(loop) - 1)]
    while open_spans:
        i, j = open_spans.pop()
        if j - i < 2:
            continue
        k = int(split[i, j])
        triangles.append((loop[i], loop[k], loop[j]))
        open_spans += [(i, k), (k, j)]
    return np.array(triangles, np.int64).reshape(-1, 3)


@njit(cache=True)
def _least_area(points):  # type: ignore[no-untyped-def]
    """(L, L) the middle vertex of the triangle on each chord i < j."""
    count = len(points)
    cost = np.zeros((count, count))
    split = np.full((count, count), -1, np.int64)
    for span in range(2, count):
        for i in range(count - span):
            j = i + span
            best = np.inf
            for k in range(i + 1, j):
                ax, ay, az = points[k] - points[i]
                bx, by, bz = points[j] - points[i]
                x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
                total = cost[i, k] + cost[k, j] + 0.5 * np.sqrt(x * x + y * y + z * z)
                if total < best:
                    best = total
                    split[i, j] = k
            cost[i, j] = best
    return split
