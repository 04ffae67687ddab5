"""Inner faces: what nobody can see from outside is cut off along the shortest line, if the hole it leaves is small.

Outer faces are those often seen, inner faces those hardly ever. A minimum cut through the faces' dual graph, weighted
by edge length, separates them; pieces of the inner side are removed when they are dark and their rim is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pipelines.synchuman.minimum_cut import minimum_cut

LARGEST_HOLE = 0.04
LARGEST_OUTER_THRESHOLD = 0.5
REMOVED_ENOUGH = 15_000
REMOVED_SHARE = 0.8
UNIT = 1_000_000_000  # capacities are whole numbers: length 1 = this many

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HoleSettings:
    """outer_quantile and outer_least: where the threshold of outer faces lies; inner_most: visibility of inner faces.

    `outer_least` is also the largest median visibility of a piece that may go.
    """

    outer_quantile: float = 0.7
    outer_least: float = 0.15
    inner_most: float = 0.01


ATTEMPTS = (HoleSettings(), HoleSettings(0.7, 0.15, 0.0), HoleSettings(0.6, 0.08, 0.01))


@dataclass(frozen=True)
class Piece:
    """A connected part of the inner side: its faces, median visibility, areas of the rims it would leave, verdict."""

    faces: Ints
    median: float
    areas: list[float]
    removed: bool


@dataclass(frozen=True)
class Decision:
    """Faces by number: outer, inner, the cut-off side, the removed ones; the cut's length; the pieces."""

    outer: Ints
    inner: Ints
    cut: Ints
    removed: Ints
    cut_length: float
    pieces: list[Piece]


@dataclass(frozen=True)
class Edges:
    """edges (E, 2) distinct undirected; of_face (F, 3) rows of it; degree (E,) faces at each."""

    edges: Ints
    of_face: Ints
    degree: Ints


def edges_of(faces: NDArray[np.integer]) -> Edges:
    """The distinct edges of triangles (F, 3)."""
    sides = np.sort(np.asarray(faces, np.int64)[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    edges, of_face, degree = np.unique(sides, axis=0, return_inverse=True, return_counts=True)
    return Edges(edges, of_face.reshape(-1, 3), degree)


def face_components(of_face: Ints, edges: int) -> Ints:
    """(F,) number of the piece that each face hangs together with through shared edges."""
    count = len(of_face)
    links = coo_matrix(
        (np.ones(3 * count), (np.repeat(np.arange(count), 3), count + of_face.ravel())), (count + edges,) * 2
    )
    return np.unique(connected_components(links, directed=False)[1][:count], return_inverse=True)[1].reshape(-1)


def members_of(component: Ints) -> list[Ints]:
    """Rows of each component, ascending, by its number."""
    order = np.argsort(component, kind="stable")
    return np.split(order, np.cumsum(np.bincount(component))[:-1]) if len(component) else []


def outer_faces(visibility: Floats, component: Ints, settings: HoleSettings) -> Ints:
    """Faces seen more often than their component's threshold, ascending."""
    everywhere = np.quantile(visibility, settings.outer_quantile)
    outer = np.zeros(len(visibility), bool)
    for mine in members_of(component):
        threshold = max(min(np.quantile(visibility[mine], settings.outer_quantile), everywhere), settings.outer_least)
        outer[mine] = visibility[mine] > min(threshold, LARGEST_OUTER_THRESHOLD)
    return np.flatnonzero(outer)


def decide(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], visibility: Floats, settings: HoleSettings
) -> Decision:
    """What one attempt would remove. vertices (V, 3), faces (F, 3), visibility (F,) share of views that see a face."""
    table, points = edges_of(faces), np.asarray(vertices, np.float64)
    outer = outer_faces(visibility, face_components(table.of_face, len(table.edges)), settings)
    inner = np.flatnonzero(visibility <= settings.inner_most)
    nothing = np.zeros(0, np.int64)
    if len(inner) == 0:
        return Decision(outer, inner, nothing, nothing, 0.0, [])
    by_edge = np.argsort(table.of_face.ravel(), kind="stable")
    starts = np.concatenate([[0], np.cumsum(table.degree)])[:-1]
    shared = np.flatnonzero(table.degree == 2)
    pairs = np.stack([by_edge[starts[shared]] // 3, by_edge[starts[shared] + 1] // 3], 1)
    a, b = table.edges[shared].T
    lengths = np.rint(np.linalg.norm(points[a] - points[b], axis=1) * UNIT).astype(np.int64)
    side, value = minimum_cut(len(faces), pairs, lengths, inner, outer, UNIT)
    cut = np.flatnonzero(side)
    pieces = _pieces(points, np.asarray(faces, np.int64), table, cut, visibility, settings)
    gone = [piece.faces for piece in pieces if piece.removed]
    removed = np.sort(np.concatenate(gone)) if gone else nothing
    return Decision(outer, inner, cut, removed, value / UNIT, pieces)


def _pieces(
    points: Floats, faces: Ints, table: Edges, cut: Ints, visibility: Floats, settings: HoleSettings
) -> list[Piece]:
    if len(cut) == 0:
        return []
    component = face_components(table.of_face[cut], len(table.edges))
    pieces = []
    for members in members_of(component):
        mine = cut[members]
        values = np.sort(visibility[mine])
        median = float(values[(len(values) - 1) // 2])
        used, times = np.unique(table.of_face[mine], return_counts=True)
        rim = used[(times == 1) & (table.degree[used] != 1)]
        areas = rim_areas(points, table.edges[rim])
        good = median <= settings.outer_least and all(area <= LARGEST_HOLE for area in areas)
        pieces.append(Piece(mine, median, areas, good))
    return pieces


def rim_areas(points: Floats, rim: Ints) -> list[float]:
    """Areas of the loops among edges (E, 2): half the sum of |(a - c) x (b - c)|, c the mean of the edges' middles."""
    if len(rim) == 0:
        return []
    names, flat = np.unique(rim, return_inverse=True)
    ends = flat.reshape(-1, 2)
    links = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (len(names),) * 2)
    loop = connected_components(links, directed=False)[1][ends[:, 0]]
    areas = []
    for mine in members_of(np.unique(loop, return_inverse=True)[1].reshape(-1)):
        a, b = points[rim[mine, 0]], points[rim[mine, 1]]
        centre = ((a + b) / 2).mean(0)
        areas.append(float(np.linalg.norm(np.cross(a - centre, b - centre), axis=1).sum() / 2))
    return areas


def choose(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    visibility: Floats,
    attempts: Sequence[HoleSettings] = ATTEMPTS,
) -> tuple[Decision, HoleSettings]:
    """The first attempt that removes enough, else the last; each starts from the same mesh.

    Enough: more than 15 000 faces, or more faces than 0.8 times the vertices (the released test, units and all).
    """
    for settings in attempts:
        decision = decide(vertices, faces, visibility, settings)
        if len(decision.removed) > min(REMOVED_ENOUGH, REMOVED_SHARE * len(vertices)):
            break
    return decision, settings
