"""Cutting a triangle mesh along the zero line of a field, so that hems are clean lines and not steps."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def cut(values: Array, faces: Ints, field: Array) -> tuple[Array, Ints, Array]:
    """Keep where the field is positive. values (V, A) attributes, interpolated at the cut; faces (F, 3); field (V,).

    Returns values and faces of the kept part and (V',) bool: vertices on the new border. Faces keep their turn."""
    field = np.where(np.abs(field) < 1e-9, 1e-9, field)
    made, pairs, shares = _clip(np.ascontiguousarray(faces, np.int64), np.ascontiguousarray(field), len(values))
    fresh = values[pairs[:, 0]] * (1 - shares[:, None]) + values[pairs[:, 1]] * shares[:, None]
    joined = np.concatenate([values, fresh])
    used = np.zeros(len(joined), bool)
    used[made] = True
    place = np.cumsum(used) - 1
    border = np.arange(len(joined)) >= len(values)
    return joined[used], place[made], border[used]


@njit(cache=True)
def _clip(faces, field, count):  # type: ignore[no-untyped-def]
    n = len(faces)
    out = np.empty((2 * n, 3), np.int64)
    pairs = np.empty((3 * n, 2), np.int64)
    shares = np.empty(3 * n)
    total, fresh = 0, 0
    known = dict()
    known[(np.int64(-1), np.int64(-1))] = np.int64(-1)
    corner = np.empty(4, np.int64)
    for t in range(n):
        size = 0
        inside = (field[faces[t, 0]] > 0) + (field[faces[t, 1]] > 0) + (field[faces[t, 2]] > 0)
        if inside == 0:
            continue
        for k in range(3):
            a, b = faces[t, k], faces[t, (k + 1) % 3]
            if field[a] > 0:
                corner[size] = a
                size += 1
            if (field[a] > 0) != (field[b] > 0):
                key = (min(a, b), max(a, b))
                if key in known:
                    at = known[key]
                else:
                    at = np.int64(count + fresh)
                    known[key] = at
                    pairs[fresh, 0], pairs[fresh, 1] = key
                    shares[fresh] = field[key[0]] / (field[key[0]] - field[key[1]])
                    fresh += 1
                corner[size] = at
                size += 1
        for k in range(1, size - 1):
            out[total, 0], out[total, 1], out[total, 2] = corner[0], corner[k], corner[k + 1]
            total += 1
    return out[:total].copy(), pairs[:fresh].copy(), shares[:fresh].copy()


def border_edges(faces: Ints) -> Ints:
    """(E, 2) directed edges that only one face has, in face order (the surface lies on their left)."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    key = np.sort(edges, 1)
    code = key[:, 0] * (int(faces.max()) + 1 if len(faces) else 1) + key[:, 1]
    _, place, count = np.unique(code, return_inverse=True, return_counts=True)
    return edges[count[place.ravel()] == 1]


def loops(edges: Ints) -> list[Ints]:
    """Chains of directed border edges: closed loops and open lines, longest first."""
    after = {int(a): int(b) for a, b in edges}
    ends = set(after.values())
    starts = [a for a in after if a not in ends] + sorted(after)
    seen: set[int] = set()
    found = []
    for start in starts:
        if start in seen:
            continue
        chain = [start]
        seen.add(start)
        while chain[-1] in after and after[chain[-1]] not in seen:
            chain.append(after[chain[-1]])
            seen.add(chain[-1])
        if chain[-1] in after and after[chain[-1]] == chain[0]:
            chain.append(chain[0])
        found.append(np.array(chain))
    return sorted(found, key=lambda c: -len(c))
