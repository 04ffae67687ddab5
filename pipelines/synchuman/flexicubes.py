"""Surface extraction after FlexiCubes (Shen et al. 2023), evaluation mode, on the cubes that are given.

Inside is negative; 0 counts as outside. Each surface cube gets one vertex per patch of its case, each grid edge that
crosses the surface one quad between the four cubes around it, split by their gamma. The work is proportional to the
cubes given, not to the grid; the order of vertices and faces is that of a dense grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.synchuman.flexicubes_tables import CORNERS, EDGES, tables

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Cubes:
    """Cubes of a grid of `side`^3 with values at their corners, every corner shared with its neighbours.

    cubes (N, 3) in ascending order of (x side + y) side + z. corner (N, 8) rows of the vertex arrays: sdf (V,),
    position (V, 3), colour (V, C). alpha (N, 8), beta (N, 12), gamma (N,): raw weights, 0 where nothing is known.
    """

    side: int
    cubes: NDArray[np.int64]
    corner: NDArray[np.int64]
    sdf: Floats
    position: Floats
    colour: Floats
    alpha: Floats
    beta: Floats
    gamma: Floats


@dataclass(frozen=True)
class Extracted:
    """vertices (M, 3), faces (F, 3), colours (M, C); cube (S,) the surface cubes as rows of the input, their cases."""

    vertices: Floats
    faces: NDArray[np.int64]
    colours: Floats
    surface: NDArray[np.int64]
    case: NDArray[np.int64]
    case_before: NDArray[np.int64]


def extract(given: Cubes) -> Extracted:
    """The surface. Edges whose four cubes are not all given make no faces."""
    inside = given.sdf[given.corner] < 0
    bits = (inside << np.arange(8)).sum(1)
    surface = np.flatnonzero((bits > 0) & (bits < 255))
    before = bits[surface]
    case = _resolve(given, surface, before)
    patch, owner, row = _patches(case)
    vertices, colours = _dual_vertices(given, surface, patch, owner)
    faces = _faces(given, surface, case, row, len(patch))
    return Extracted(vertices, faces, colours, surface, case, before)


def _resolve(given: Cubes, surface: NDArray[np.int64], case: NDArray[np.int64]) -> NDArray[np.int64]:
    """Doubtful cubes that meet across their ambiguous face both take the complementary case."""
    partner = tables().partner[case]
    doubtful = np.flatnonzero(np.abs(partner).sum(1))
    keys = _number(given.cubes[surface], given.side)
    place = given.cubes[surface[doubtful]] + partner[doubtful]
    inside = ((place >= 0) & (place < given.side)).all(1)
    at = np.searchsorted(keys, _number(place, given.side))
    at = np.minimum(at, max(len(keys) - 1, 0))
    met = inside & (keys[at] == _number(place, given.side)) if len(keys) else inside
    met &= tables().doubtful[case[at]] if len(keys) else False
    resolved = case.copy()
    resolved[doubtful[met]] = 255 - case[doubtful[met]]
    return resolved


def _number(cubes: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    return (cubes[:, 0] * side + cubes[:, 1]) * side + cubes[:, 2]


def _patches(case: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Patches in their order: cubes with one patch first, then two, three, four; inside by cube, then patch.

    Returns edges (M, 7), the cube of each (M,), and (S, 4) the number of each cube's patches (-1 beyond).
    """
    table = tables()
    count = table.count[case]
    owners, which = [], []
    for size in range(1, 5):
        cubes = np.flatnonzero(count == size)
        owners.append(np.repeat(cubes, size))
        which.append(np.tile(np.arange(size), len(cubes)))
    owner, index = np.concatenate(owners), np.concatenate(which)
    row = np.full((len(case), 4), -1, np.int64)
    row[owner, index] = np.arange(len(owner))
    return table.patches[case[owner], index], owner, row


def _dual_vertices(
    given: Cubes, surface: NDArray[np.int64], patch: NDArray[np.int64], owner: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Each patch's vertex: its edges' crossings, weighted by beta; crossings lean by alpha. In double precision."""
    cube = surface[owner]
    used = patch >= 0
    edges = np.where(used, patch, 0)
    ends = EDGES[edges]  # (M, 7, 2)
    corner = given.corner[cube[:, None, None], ends]
    alpha = 1 + 0.99 * np.tanh(given.alpha[cube[:, None, None], ends].astype(np.float64))
    beta = 1 + 0.99 * np.tanh(given.beta[cube[:, None], edges].astype(np.float64)) * used
    beta = np.where(used, beta, 0.0)
    lean = given.sdf[corner].astype(np.float64) * alpha
    span = np.where(used, lean[..., 1] - lean[..., 0], 1.0)
    share = np.stack([lean[..., 1], -lean[..., 0]], -1) / span[..., None] * beta[..., None]
    share = np.where(used[..., None], share, 0.0) / beta.sum(1)[:, None, None]

    def mix(values: NDArray[np.floating]) -> Floats:
        return np.einsum("mek,mekc->mc", share, values[corner].astype(np.float64)).astype(np.float32)

    return mix(given.position), mix(1 / (1 + np.exp(-given.colour.astype(np.float64))))


def _faces(
    given: Cubes, surface: NDArray[np.int64], case: NDArray[np.int64], row: NDArray[np.int64], patches: int
) -> NDArray[np.int64]:
    """Two triangles for each crossing edge with four cubes; first those whose first end is outside, then the others."""
    # The patch that owns each crossing edge of each surface cube.
    table = tables().patches
    owner_of_edge = np.full((256, 12), -1, np.int64)
    for index in range(4):
        for slot in range(7):
            edge = table[:, index, slot]
            cases = np.flatnonzero(edge >= 0)
            owner_of_edge[cases, edge[cases]] = index
    cube, edge = np.nonzero(owner_of_edge[case] >= 0)
    vertex = row[cube, owner_of_edge[case][cube, edge]]
    # A grid edge is named by the dense numbers of its two ends.
    side = given.side + 1
    corners = given.cubes[surface[cube]][:, None] + CORNERS[EDGES[edge]]
    ends = (corners[..., 0] * side + corners[..., 1]) * side + corners[..., 2]
    order = np.lexsort((surface[cube], ends[:, 1], ends[:, 0]))
    ends, vertex, cube, edge = ends[order], vertex[order], cube[order], edge[order]
    first = np.ones(len(ends), bool)
    first[1:] = (ends[1:] != ends[:-1]).any(1)
    starts = np.flatnonzero(first)
    starts = starts[np.diff(np.append(starts, len(ends))) == 4]
    quad = vertex[starts[:, None] + np.arange(4)]
    outside_first = given.sdf[given.corner[surface[cube[starts]], EDGES[edge[starts], 0]]] > 0
    quads = np.concatenate([quad[outside_first][:, [0, 1, 3, 2]], quad[~outside_first][:, [2, 3, 1, 0]]])
    gamma_of = np.empty(patches, np.float64)
    gamma = 0.99 / (1 + np.exp(-given.gamma[surface].astype(np.float64))) + 0.005
    used = row >= 0
    gamma_of[row[used]] = np.repeat(gamma, used.sum(1))
    g = gamma_of[quads].astype(np.float32)
    along = (g[:, 0] * g[:, 2] > g[:, 1] * g[:, 3])[:, None]
    split = np.where(along, quads[:, [0, 1, 2, 0, 2, 3]], quads[:, [0, 1, 3, 3, 1, 2]])
    return split.reshape(-1, 3)
