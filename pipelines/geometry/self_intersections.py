"""Which triangles of a mesh pass through others of it.

Two triangles intersect when they have a point in common that does not belong to a corner or an edge that they share.
Corners are shared where they lie at the same place: vertices are first rounded to a grid of at most 2 um for a person
(`BITS` bits along the longest side), and all decisions are then exact, in 64-bit integers. Broad phase: sort along the
longest side and sweep. Narrow phase: signs of volumes (Guigue and Devillers 2003 give the same predicates).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

BITS = 20  # of a coordinate: the largest intermediate is below 3 * 2^(3 BITS + 1) < 2^63
Corners = NDArray[np.int64]


def intersecting_faces(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(F,) whether each face has another one passing through it, touching it elsewhere than in a shared corner or edge,
    or lying on it.

    vertices (V, 3), any unit; faces (F, 3). Faces without any area count as none. ValueError when a vertex that a face
    names is not finite.
    """
    faces = np.asarray(faces, np.int64).reshape(-1, 3)
    found = np.zeros(len(faces), np.bool_)
    if not len(faces):
        return found
    corners = on_grid(np.asarray(vertices, np.float64)[faces])
    solid = np.flatnonzero(_normals(corners).any(1))
    corners = corners[solid]
    if len(corners):
        low, high = corners.min(1), corners.max(1)
        axis = int((high.max(0) - low.min(0)).argmax())
        order = np.argsort(low[:, axis], kind="stable")
        hit = _sweep(np.ascontiguousarray(corners[order]), low[order], high[order], axis)
        found[solid[order]] = hit
    return found


def on_grid(corners: NDArray[np.float64]) -> Corners:
    """(F, 3, 3) points -> whole numbers from 0 up to 2^BITS - 1, equal along all axes."""
    if not np.isfinite(corners).all():
        raise ValueError("A face names a vertex that is not finite; leave such faces out first.")
    low, high = corners.min((0, 1)), corners.max((0, 1))
    step = max(float((high - low).max()), 1e-300) / (2**BITS - 1)
    return np.rint((corners - low) / step).astype(np.int64)


def _normals(corners: Corners) -> Corners:
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.cross(a, b)


@njit(cache=True)
def _sweep(corners, low, high, axis):  # type: ignore[no-untyped-def]
    """Corners (F, 3, 3) sorted by their lowest coordinate along the axis, their boxes (F, 3) -> (F,)."""
    count = len(corners)
    u, v = (axis + 1) % 3, (axis + 2) % 3
    found = np.zeros(count, np.bool_)
    for i in range(count):
        end, lu, hu, lv, hv = high[i, axis], low[i, u], high[i, u], low[i, v], high[i, v]
        for k in range(i + 1, count):
            if low[k, axis] > end:
                break
            if low[k, u] > hu or high[k, u] < lu or low[k, v] > hv or high[k, v] < lv:
                continue
            if found[i] and found[k]:
                continue
            if _intersect(corners[i], corners[k]):
                found[i] = found[k] = True
    return found


@njit(cache=True)
def _volume(a, b, c, d):  # type: ignore[no-untyped-def]
    """Six times the signed volume of a tetrahedron; 0 when its corners lie in a plane."""
    x0, y0, z0 = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    x1, y1, z1 = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    x2, y2, z2 = d[0] - a[0], d[1] - a[1], d[2] - a[2]
    return x0 * (y1 * z2 - z1 * y2) + y0 * (z1 * x2 - x1 * z2) + z0 * (x1 * y2 - y1 * x2)


@njit(cache=True)
def _intersect(p, q):  # type: ignore[no-untyped-def]
    """Whether two triangles (3, 3) with area have a point in common beyond their shared corners and edge."""
    of_p, of_q, shared = np.empty(3, np.int64), np.empty(3, np.int64), 0
    for i in range(3):
        for k in range(3):
            if p[i, 0] == q[k, 0] and p[i, 1] == q[k, 1] and p[i, 2] == q[k, 2]:
                of_p[shared], of_q[shared] = i, k
                shared += 1
                break
    if shared == 3:
        return True
    a, b, c = _volume(q[0], q[1], q[2], p[0]), _volume(q[0], q[1], q[2], p[1]), _volume(q[0], q[1], q[2], p[2])
    if (a > 0 and b > 0 and c > 0) or (a < 0 and b < 0 and c < 0):
        return False
    flat = a == 0 and b == 0 and c == 0
    if shared == 2:
        # In one plane, on the same side of the edge: folded over. Else the edge is all they have in common.
        return flat and _folded(p, q, 3 - of_p[0] - of_p[1], 3 - of_q[0] - of_q[1], p[of_p[0]], p[of_p[1]])
    if flat:
        return _overlap(p, q, shared, of_p[0], of_q[0])
    if shared == 1:
        # What they have in common is a piece of a line that begins at the shared corner, and ends on an edge opposite.
        i, k = of_p[0], of_q[0]
        return _pierces(p[(i + 1) % 3], p[(i + 2) % 3], q) or _pierces(q[(k + 1) % 3], q[(k + 2) % 3], p)
    met = False  # else an end of that piece lies on some edge of one, within the other
    for i in range(3):
        met = met or _pierces(p[i], p[(i + 1) % 3], q) or _pierces(q[i], q[(i + 1) % 3], p)
    return met


@njit(cache=True)
def _pierces(a, b, t):  # type: ignore[no-untyped-def]
    """Whether the segment a b, not lying in the plane of the triangle t, meets t; its border counts."""
    above, below = _volume(t[0], t[1], t[2], a), _volume(t[0], t[1], t[2], b)
    if (above > 0 and below > 0) or (above < 0 and below < 0) or (above == 0 and below == 0):
        return False
    u, v, w = _volume(a, b, t[0], t[1]), _volume(a, b, t[1], t[2]), _volume(a, b, t[2], t[0])
    return (u >= 0 and v >= 0 and w >= 0) or (u <= 0 and v <= 0 and w <= 0)


@njit(cache=True)
def _across(p):  # type: ignore[no-untyped-def]
    """The two axes on which a triangle's shadow is largest."""
    x0, y0, z0 = p[1, 0] - p[0, 0], p[1, 1] - p[0, 1], p[1, 2] - p[0, 2]
    x1, y1, z1 = p[2, 0] - p[0, 0], p[2, 1] - p[0, 1], p[2, 2] - p[0, 2]
    x, y, z = abs(y0 * z1 - z0 * y1), abs(z0 * x1 - x0 * z1), abs(x0 * y1 - y0 * x1)
    if x >= y and x >= z:
        return 1, 2
    return (2, 0) if y >= z else (0, 1)


@njit(cache=True)
def _area(a, b, c, u, v):  # type: ignore[no-untyped-def]
    """Twice the signed area of three points seen along the third axis."""
    return (b[u] - a[u]) * (c[v] - a[v]) - (b[v] - a[v]) * (c[u] - a[u])


@njit(cache=True)
def _folded(p, q, i, k, start, end):  # type: ignore[no-untyped-def]
    u, v = _across(p)
    one, two = _area(start, end, p[i], u, v), _area(start, end, q[k], u, v)
    return (one > 0) == (two > 0)


@njit(cache=True)
def _overlap(p, q, shared, i, k):  # type: ignore[no-untyped-def]
    """The same of two triangles in one plane; with a shared corner its number in each."""
    u, v = _across(p)
    if shared == 1:
        return _meets(p[(i + 1) % 3], p[(i + 2) % 3], q, u, v) or _meets(q[(k + 1) % 3], q[(k + 2) % 3], p, u, v)
    for n in range(3):
        if _meets(p[n], p[(n + 1) % 3], q, u, v):
            return True
    return _within(q[0], p, u, v)


@njit(cache=True)
def _within(a, t, u, v):  # type: ignore[no-untyped-def]
    one, two, three = _area(t[0], t[1], a, u, v), _area(t[1], t[2], a, u, v), _area(t[2], t[0], a, u, v)
    return (one >= 0 and two >= 0 and three >= 0) or (one <= 0 and two <= 0 and three <= 0)


@njit(cache=True)
def _meets(a, b, t, u, v):  # type: ignore[no-untyped-def]
    """Whether a segment in the plane of the triangle meets it."""
    if _within(a, t, u, v) or _within(b, t, u, v):
        return True
    for n in range(3):
        c, d = t[n], t[(n + 1) % 3]
        one, two = _area(a, b, c, u, v), _area(a, b, d, u, v)
        three, four = _area(c, d, a, u, v), _area(c, d, b, u, v)
        if ((one > 0) != (two > 0) or one == 0 or two == 0) and ((three > 0) != (four > 0) or three == 0 or four == 0):
            # All four on a line: they meet where their stretches do.
            if one == 0 and two == 0:
                apart = (
                    max(a[u], b[u]) < min(c[u], d[u]) or max(c[u], d[u]) < min(a[u], b[u])
                    or max(a[v], b[v]) < min(c[v], d[v]) or max(c[v], d[v]) < min(a[v], b[v])
                )  # fmt: skip
                if apart:
                    continue
            return True
    return False
