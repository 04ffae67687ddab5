"""A volume's zero level as one clean triangle surface: marching cubes, largest piece, smoothing, fewer faces.

The result is a closed 2-manifold: every edge has two faces, every vertex one fan, wound counter-clockwise seen from
outside. That is checked at the end; decimation is tried more gently, and at last left out, when it breaks it.
"""

from __future__ import annotations

import fast_simplification
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

from pipelines.geometry.volumes import Volume

Vertices = NDArray[np.float64]
Faces = NDArray[np.int32]

# Taubin 1995: a shrinking and a growing pass; pass band 1/lambda + 1/mu = 0.1.
_SHRINK, _GROW = 0.5, -0.526


def surface_of(volume: Volume, *, faces: int = 20_000, smoothing: int = 8) -> tuple[Vertices, Faces]:
    """Volume -> vertices (V, 3) world metres and faces (F, 3), closed and in one piece.

    faces: wanted number of faces (fewer come when the volume gives fewer). smoothing: rounds of Taubin smoothing.
    Raises ValueError when the volume holds no solid.
    """
    vertices, triangles = largest_piece(*extract(volume))
    if smoothing:
        vertices = smooth(vertices, triangles, smoothing)
    return decimate(vertices, triangles, faces)


def extract(volume: Volume) -> tuple[Vertices, Faces]:
    """Marching cubes (Lewiner et al. 2003) at level 0, outward winding, world metres."""
    if not (volume.values < 0).any():
        raise ValueError("The volume holds no solid: no sample lies inside a surface.")
    near = _grown(volume.active)
    where = np.nonzero(near)
    window = tuple(slice(int(w.min()), int(w.max()) + 1) for w in where)
    points, faces, _, _ = marching_cubes(
        volume.values[window], 0.0, mask=near[window], gradient_direction="descent", allow_degenerate=False
    )
    start = np.array([s.start for s in window])
    return volume.origin + (points.astype(np.float64) + start) * volume.voxel, faces.astype(np.int32)


def largest_piece(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """The connected piece with the most faces, vertices renumbered in their order."""
    _, label = connected_components(adjacency(faces, len(vertices)), directed=False)
    biggest = np.bincount(label[faces[:, 0]]).argmax()
    return _used(vertices, faces[label[faces[:, 0]] == biggest])


def smooth(vertices: Vertices, faces: Faces, rounds: int) -> Vertices:
    """Taubin 1995: Laplacian smoothing that does not shrink; then the volume is restored exactly by a small offset."""
    before = signed_volume(vertices, faces)
    links = adjacency(faces, len(vertices))
    mean = diags(1.0 / np.maximum(np.asarray(links.sum(1)).ravel(), 1.0)) @ links
    moved = vertices
    for _ in range(rounds):
        for factor in (_SHRINK, _GROW):
            moved = moved + factor * (mean @ moved - moved)
    normal = _area_normals(moved, faces)
    area = np.linalg.norm(normal, axis=1, keepdims=True)
    lost = before - signed_volume(moved, faces)
    return moved + normal / np.maximum(area, 1e-20) * (lost / max(float(area.sum()), 1e-20))


def decimate(vertices: Vertices, faces: Faces, wanted: int) -> tuple[Vertices, Faces]:
    """Quadric edge collapse (Garland & Heckbert 1997) down to about `wanted` faces; stays closed and manifold."""
    if len(faces) <= wanted:
        return vertices, faces
    for aggressiveness in (5.0, 3.0, 1.5):
        points, fewer = fast_simplification.simplify(
            vertices, faces.astype(np.int64), target_count=wanted, agg=aggressiveness
        )
        points, fewer = _used(np.asarray(points, np.float64), np.asarray(fewer, np.int32))
        fewer = without_folds(fewer)
        points, fewer = _used(points, fewer)
        if is_closed_manifold(fewer, len(points)) and len(fewer) > wanted // 2:
            return points, fewer
    return vertices, faces


def without_folds(faces: Faces) -> Faces:
    """Drops faces that name a vertex twice, and pairs of faces glued back to back (they hold no volume)."""
    a, b, c = faces.T
    faces = faces[(a != b) & (b != c) & (c != a)]
    _, group, count = np.unique(np.sort(faces, 1), axis=0, return_inverse=True, return_counts=True)
    return faces[count[group.ravel()] == 1]


def is_closed_manifold(faces: Faces, vertices: int) -> bool:
    """True when every directed edge occurs once and its opposite once, and every vertex has a single fan of faces."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    forward = edges[:, 0] * vertices + edges[:, 1]
    backward = edges[:, 1] * vertices + edges[:, 0]
    order = np.sort(forward)
    if len(faces) == 0 or (np.diff(order) == 0).any() or not np.array_equal(order, np.sort(backward)):
        return False
    # Corners of faces that share an edge at a vertex belong to one fan: as many fans as vertices in use.
    corner = np.arange(3 * len(faces)).reshape(3, -1)
    at = np.argsort(forward)
    twin = at[np.searchsorted(forward[at], backward)]
    start, end = corner.ravel(), np.roll(corner, -1, axis=0).ravel()
    fans = coo_matrix((np.ones(len(start), np.int8), (start, end[twin])), (len(start), len(start)))
    return connected_components(fans, directed=False)[0] == len(np.unique(faces))


def adjacency(faces: Faces, vertices: int) -> csr_matrix:
    """(V, V) symmetric matrix with 1.0 between vertices that share an edge."""
    i = faces[:, [0, 1, 2, 1, 2, 0]].ravel()
    j = faces[:, [1, 2, 0, 0, 1, 2]].ravel()
    links = coo_matrix((np.ones(len(i)), (i, j)), (vertices, vertices)).tocsr()
    links.data[:] = 1.0
    return links


def signed_volume(vertices: Vertices, faces: Faces) -> float:
    """Cubic metres inside a closed surface, positive for outward winding (divergence theorem)."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def _area_normals(vertices: Vertices, faces: Faces) -> Vertices:
    """(V, 3) normals whose length is the vertex's third of its faces' area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a) / 6.0
    ends = faces.ravel(order="F")
    return np.stack([np.bincount(ends, np.tile(normal[:, k], 3), len(vertices)) for k in range(3)], -1)


def _used(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """Only the vertices that faces name."""
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    return vertices[used], (np.cumsum(used) - 1).astype(np.int32)[faces]


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One sample more at the lower side of every axis: cells are named by their lower corner."""
    grown = mask.copy()
    for axis in range(3):
        source, target = [slice(None)] * 3, [slice(None)] * 3
        source[axis], target[axis] = slice(1, None), slice(None, -1)
        grown[tuple(target)] |= grown[tuple(source)].copy()
    return grown
