"""A volume's zero level as one clean triangle surface: marching cubes, largest piece, smoothing, fewer faces.

The result is a closed 2-manifold: every edge has two faces, every vertex one fan, wound counter-clockwise seen from
outside. Collapsing edges can make a surface touch itself; it is cut apart there, and the result is checked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import fast_simplification
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

from pipelines.geometry.manifold import Faces, Vertices, apart, is_closed_manifold, without_folds
from pipelines.geometry.volumes import Volume

# Taubin 1995: a shrinking and a growing pass; pass band 1/lambda + 1/mu = 0.1.
_SHRINK, _GROW = 0.5, -0.526
_SWELL = 0.3  # voxels


@dataclass(frozen=True)
class Focus:
    """A region that keeps more faces. centre (3,) and radius in metres; gain: by how much it is blown up meanwhile."""

    centre: NDArray[np.floating]
    radius: float
    gain: float

    def spread(self, points: Vertices, *, back: bool = False) -> Vertices:
        """Space blown up around the centre by `gain`, fading to a shift without stretch beyond; `back` undoes it."""
        # Distance r goes to r + (gain - 1) radius tanh(r / radius): slope `gain` in the middle, 1 far away.
        table = np.linspace(0.0, 12.0, 4096)
        blown = table + (self.gain - 1.0) * np.tanh(table)
        offset = np.asarray(points, np.float64) - self.centre
        r = np.linalg.norm(offset, axis=1, keepdims=True) / self.radius
        if back:
            far = r > blown[-1]
            new = np.where(far, r - (self.gain - 1.0), np.interp(r, blown, table))
        else:
            new = r + (self.gain - 1.0) * np.tanh(r)
        return self.centre + offset * (new / np.maximum(r, 1e-12))


def surface_of(
    volume: Volume, *, faces: int = 20_000, smoothing: int = 8, focus: Focus | None = None
) -> tuple[Vertices, Faces]:
    """Volume -> vertices (V, 3) world metres and faces (F, 3), closed and in one piece.

    faces: wanted number of faces (fewer come when the volume gives fewer). smoothing: rounds of Taubin smoothing.
    focus: where more of the faces are to go.
    Raises ValueError when the volume holds no solid.

    The surface is taken `_SWELL` voxels outside the zero level and moved back at the end, so that sheets thinner
    than a voxel do not tear; gaps narrower than two voxels are filled: they are noise, and each would be a handle.
    """
    swell = _SWELL * volume.voxel
    values = without_gaps(volume.values - np.float32(swell))
    vertices, triangles = largest_piece(*extract(replace(volume, values=values)))
    if smoothing:
        vertices = smooth(vertices, triangles, smoothing)
    normal = _area_normals(vertices, triangles)
    vertices = vertices - normal * (swell / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20))
    return decimate(vertices, triangles, faces, focus)


def without_gaps(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Closing of the solid (negative values) with a sample's six neighbours; nothing solid is lost.

    The outermost samples stay as they are, so that a closed surface stays closed.
    """
    closed = _over_neighbours(_over_neighbours(values, np.minimum), np.maximum)
    inner = (slice(1, -1),) * 3
    result = values.copy()
    result[inner] = closed[inner]
    return result


def extract(volume: Volume) -> tuple[Vertices, Faces]:
    """Marching cubes (Lewiner et al. 2003) at level 0, outward winding, world metres; the rim must be empty."""
    where = np.nonzero(volume.values < 0)
    if not len(where[0]):
        raise ValueError("The volume holds no solid: no sample lies inside a surface.")
    window = tuple(slice(max(int(w.min()) - 1, 0), int(w.max()) + 2) for w in where)
    points, faces, _, _ = marching_cubes(
        volume.values[window], 0.0, gradient_direction="descent", allow_degenerate=False
    )
    start = np.array([s.start for s in window])
    return volume.origin + (points.astype(np.float64) + start) * volume.voxel, faces.astype(np.int32)


def largest_piece(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """The connected piece with the most faces, vertices renumbered in their order."""
    _, label = connected_components(adjacency(faces, len(vertices)), directed=False)
    biggest = np.bincount(label[faces[:, 0]]).argmax()
    return _used(vertices, faces[label[faces[:, 0]] == biggest])


def pieces(vertices: Vertices, faces: Faces, least: float) -> tuple[Vertices, Faces]:
    """The connected pieces that hold more than `least` cubic metres; hollows (negative volume) and specks go.

    Raises ValueError when nothing is left.
    """
    _, label = connected_components(adjacency(faces, len(vertices)), directed=False)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    volume = np.bincount(label[faces[:, 0]], np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0)
    keep = volume[label[faces[:, 0]]] > least
    if not keep.any():
        raise ValueError("Nothing solid is left: all pieces are smaller than a few cells.")
    return _used(vertices, faces[keep])


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


def decimate(vertices: Vertices, faces: Faces, wanted: int, focus: Focus | None = None) -> tuple[Vertices, Faces]:
    """Quadric edge collapse (Garland & Heckbert 1997) down to about `wanted` faces; stays closed and manifold.

    focus: where more of the faces are to stay.
    """
    if len(faces) <= wanted:
        return vertices, faces
    if focus is not None:
        vertices, faces = decimate(focus.spread(vertices), faces, wanted)
        return focus.spread(vertices, back=True), faces
    for aggressiveness in (5.0, 3.0, 1.5):
        points, fewer = fast_simplification.simplify(
            vertices, faces.astype(np.int64), target_count=wanted, agg=aggressiveness
        )
        fewer = without_folds(np.asarray(fewer, np.int32))
        points, fewer = largest_piece(*apart(np.asarray(points, np.float64), fewer))
        if is_closed_manifold(fewer, len(points)) and len(fewer) > wanted // 2:
            return points, fewer
    return vertices, faces


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


def _over_neighbours(values: NDArray[np.float32], extreme: np.ufunc) -> NDArray[np.float32]:
    """`extreme` over each sample and its six neighbours."""
    result = values.copy()
    for axis in range(3):
        source, target = [slice(None)] * 3, [slice(None)] * 3
        source[axis], target[axis] = slice(1, None), slice(None, -1)
        for one, two in ((source, target), (target, source)):
            view = result[tuple(two)]
            extreme(view, values[tuple(one)], out=view)
    return result
