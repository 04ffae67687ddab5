"""The case tables of dual contouring with ambiguity resolution, generated rather than stored.

Corner k of a cube stands at the bits (k & 1, k >> 1 & 1, k >> 2 & 1) of (x, y, z). A case is the set of inside
corners, as bits. In a case, the edges that cross the surface are joined on each face: two of them to one another,
four (an ambiguous face) pairwise around the inside corners. What hangs together is one patch, with one vertex.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CORNERS = np.array([(k & 1, k >> 1 & 1, k >> 2 & 1) for k in range(8)])
# Ends of the edges. Along x they run to +x, along z to +z, along y to -y: faces take their orientation from this.
EDGES = np.array(
    [(0, 1), (1, 5), (4, 5), (0, 4), (2, 3), (3, 7), (6, 7), (2, 6), (2, 0), (3, 1), (7, 5), (6, 4)], np.int64
)
# Faces as (axis, side) and their corners.
FACES = [(axis, side) for axis in range(3) for side in (0, 1)]
SWAPPED = 231  # the one case whose two patches stand in the other order: numbering only

Group = tuple[int, ...]


@dataclass(frozen=True)
class Tables:
    """patches: (256, 4, 7) edge numbers, -1 where there are fewer; count: (256,) patches per case.

    partner: (256, 3) offset of the cube across the ambiguous face of a doubtful case, 0 for the others.
    """

    patches: NDArray[np.int64]
    count: NDArray[np.int64]
    partner: NDArray[np.int64]

    @property
    def doubtful(self) -> NDArray[np.bool_]:
        """(256,) cases with one ambiguous face and more than four inside corners."""
        return np.abs(self.partner).sum(1) > 0


def face_corners(axis: int, side: int) -> list[int]:
    """The four corners of a face."""
    return [k for k in range(8) if CORNERS[k, axis] == side]


def is_ambiguous(case: int, axis: int, side: int) -> bool:
    """Whether exactly two diagonal corners of the face are inside."""
    inside = [k for k in face_corners(axis, side) if case >> k & 1]
    return len(inside) == 2 and int(np.abs(CORNERS[inside[0]] - CORNERS[inside[1]]).sum()) == 2


def patches_of(case: int) -> list[Group]:
    """The patches of a case: their crossing edges, ascending; patches by their smallest inside corner."""
    crossing = [e for e, (a, b) in enumerate(EDGES) if (case >> a & 1) != (case >> b & 1)]
    parent = {e: e for e in crossing}

    def root(e: int) -> int:
        while parent[e] != e:
            e = parent[e]
        return e

    for axis, side in FACES:
        corners = set(face_corners(axis, side))
        on_face = [e for e in crossing if set(EDGES[e].tolist()) <= corners]
        if len(on_face) == 2:
            parent[root(on_face[0])] = root(on_face[1])
        elif len(on_face) == 4:
            for corner in (k for k in corners if case >> k & 1):
                first, second = (e for e in on_face if corner in EDGES[e])
                parent[root(first)] = root(second)
    found: dict[int, list[int]] = {}
    for e in crossing:
        found.setdefault(root(e), []).append(e)

    def smallest_inside(group: list[int]) -> int:
        return min(int(k) for e in group for k in EDGES[e] if case >> int(k) & 1)

    groups = sorted(found.values(), key=smallest_inside)
    return [tuple(g) for g in (reversed(groups) if case == SWAPPED else groups)]


@lru_cache(maxsize=1)
def tables() -> Tables:
    """All 256 cases."""
    patches = np.full((256, 4, 7), -1, np.int64)
    count = np.zeros(256, np.int64)
    partner = np.zeros((256, 3), np.int64)
    for case in range(256):
        groups = patches_of(case)
        count[case] = len(groups)
        for i, group in enumerate(groups):
            patches[case, i, : len(group)] = group
        ambiguous = [(axis, side) for axis, side in FACES if is_ambiguous(case, axis, side)]
        if len(ambiguous) == 1 and bin(case).count("1") > 4:
            axis, side = ambiguous[0]
            partner[case, axis] = 2 * side - 1
    return Tables(patches, count, partner)
