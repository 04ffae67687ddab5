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

from pipelines.geometry.volumes import Volume

Vertices = NDArray[np.float64]
Faces = NDArray[np.int32]

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
    if focus is None:
        return decimate(vertices, triangles, faces)
    vertices, triangles = decimate(focus.spread(vertices), triangles, faces)
    return focus.spread(vertices, back=True), triangles


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
    """Marching cubes (Lewiner et al. 2003) at level 0, outward winding, world metres; the volume's rim must be empty."""
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
        fewer = without_folds(np.asarray(fewer, np.int32))
        points, fewer = largest_piece(*apart(np.asarray(points, np.float64), fewer))
        if is_closed_manifold(fewer, len(points)) and len(fewer) > wanted // 2:
            return points, fewer
    return vertices, faces


def without_folds(faces: Faces) -> Faces:
    """Drops faces that name a vertex twice, and pairs of faces glued back to back (they hold no volume)."""
    while True:
        a, b, c = faces.T
        faces = faces[(a != b) & (b != c) & (c != a)]
        ordered = np.sort(faces, 1)
        turned = ((faces[:, 0] < faces[:, 1]) ^ (faces[:, 1] < faces[:, 2])) ^ (faces[:, 2] < faces[:, 0])
        _, group = np.unique(ordered, axis=0, return_inverse=True)
        group = group.ravel()
        # Of each set of three vertices as many faces go as have a partner of the other winding.
        pairs = np.minimum(np.bincount(group, turned), np.bincount(group, ~turned)).astype(int)
        if not pairs.any():
            return faces
        drop = np.zeros(len(faces), bool)
        for side in (turned, ~turned):
            order = np.nonzero(side)[0][np.argsort(group[side], kind="stable")]
            rank = np.arange(len(order)) - np.searchsorted(group[order], group[order])
            drop[order] |= rank < pairs[group[order]]
        faces = faces[~drop]


def apart(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """Cuts a closed surface where it touches itself along an edge or in a vertex, so that each sheet has its own.

    Where more than two faces meet at an edge, each takes the partner that goes on most smoothly; a vertex is then
    copied for each fan of faces around it, and the copies are drawn a hair (0.1 mm) into their fans.
    """
    for _ in range(10):
        if is_closed_manifold(faces, len(vertices)):
            break
        vertices, faces = _halve_double_edges(*_split_fans(vertices, faces))
    return vertices, faces


def _split_fans(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """One vertex for each fan of faces."""
    corners = np.arange(3 * len(faces)).reshape(3, -1)
    start, end = faces.T, np.roll(faces.T, -1, axis=0)
    forward = (start.astype(np.int64) * len(vertices) + end).ravel()
    backward = (end.astype(np.int64) * len(vertices) + start).ravel()
    order, other = np.argsort(forward, kind="stable"), np.argsort(backward, kind="stable")
    if not np.array_equal(forward[order], backward[other]):
        return vertices, faces
    twin = np.empty(len(forward), np.int64)
    twin[order] = other
    key, count = np.unique(forward, return_counts=True)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    for edge in key[count > 1]:
        for half, partner in _smooth_pairs(forward == edge, backward == edge, normal):
            twin[half] = partner
    following = np.roll(corners, -1, axis=0).ravel()
    joined = coo_matrix((np.ones(len(twin), np.int8), (corners.ravel(), following[twin])), (len(twin), len(twin)))
    fans, fan = connected_components(joined, directed=False)
    first = np.zeros(fans, np.int64)
    first[fan[::-1]] = faces.T.ravel()[::-1]
    copies = np.bincount(first, minlength=len(vertices))[first] > 1
    points = vertices[first]
    middle = vertices[faces].mean(1)[np.arange(len(fan)) % len(faces)]
    inner = np.stack([np.bincount(fan, middle[:, k], fans) for k in range(3)], -1)
    pull = inner / np.maximum(np.bincount(fan, minlength=fans), 1)[:, None] - points
    pull /= np.maximum(np.linalg.norm(pull, axis=1, keepdims=True), 1e-12)
    points = points + np.where(copies[:, None], 1e-4 * pull, 0.0)
    return points, fan.reshape(3, -1).T.astype(np.int32)


def _smooth_pairs(
    mine: NDArray[np.bool_], theirs: NDArray[np.bool_], normal: Vertices
) -> list[tuple[int, int]]:
    """Half-edges (masks over 3 F, in the order of corners) of one edge, each with the other face most like its own."""
    free, pairs = [int(t) for t in np.nonzero(theirs)[0]], []
    for half in np.nonzero(mine)[0]:
        like = normal[[t % len(normal) for t in free]] @ normal[half % len(normal)]
        pairs.append((int(half), free.pop(int(like.argmax()))))
    return pairs


def _halve_double_edges(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """Where two sheets still share both ends of an edge, each gets a middle of its own, a hair into the sheet."""
    for _ in range(1000):
        start, end = faces.T.ravel().astype(np.int64), np.roll(faces.T, -1, axis=0).ravel().astype(np.int64)
        forward, backward = start * len(vertices) + end, end * len(vertices) + start
        key, count = np.unique(forward, return_counts=True)
        if (count == 1).all():
            break
        edge = key[count > 1][0]
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
        added, points, gone = [], [], []
        for half, partner in _smooth_pairs(forward == edge, backward == edge, normal):
            middle = len(vertices) + len(points)
            tips = []
            for side in (half, partner):
                f, k = side % len(faces), side // len(faces)
                i, j, tip = (int(faces[f, (k + n) % 3]) for n in range(3))
                added += [(i, middle, tip), (middle, j, tip)]
                tips.append(vertices[tip])
                gone.append(f)
            centre = 0.5 * (vertices[i] + vertices[j])
            pull = 0.5 * (tips[0] + tips[1]) - centre
            points.append(centre + 1e-4 * pull / max(float(np.linalg.norm(pull)), 1e-12))
        if len(set(gone)) < len(gone):  # a face that names the edge twice has no sheet
            break
        vertices = np.concatenate([vertices, np.array(points)])
        faces = np.concatenate([np.delete(faces, gone, 0), np.array(added, np.int32)])
    return vertices, faces


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
