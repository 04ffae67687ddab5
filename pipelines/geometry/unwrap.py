"""UV charts for a figure seen from its sides: six directions, no stretch beyond a fixed angle, no overlap.

Every face goes to the direction (towards the viewer, away, left, right, up, down) that it looks to best, after its
normal was averaged with its neighbours' so that charts are large and their borders smooth. Charts are connected faces
of one direction, projected flat along it: the front of the texture reads like the photo. Where a chart would cover
itself (an arm before a chest) the hidden faces are peeled off into charts of their own. Charts are placed by testing
their bitmaps, largest first, at the first free place; the scale is the largest that fits.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components

from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import MeshImage, face_normals, rasterise_layers, rasterise_mesh

Array = NDArray[np.float64]

_SMOOTH_ROUNDS = 12  # averaging of normals over neighbouring faces
_LEAST_FACING = 0.2  # cosine between a face and its chart's direction; stretch is at most its inverse
_CELL = 4  # texels per cell of the packing bitmap
_SMALL = 24  # faces; smaller charts join a neighbour where the stretch allows it


@dataclass(frozen=True)
class Atlas:
    """A mesh with texture coordinates.

    vertex (W,) int32: which vertex of the input each vertex is a copy of, ascending. faces (F, 3) int32, in the
    input's order. uv (W, 2) 0..1, origin at the LOWER left. weld (W,) int32: index of the first copy of the same
    vertex. chart (F,) int32.
    """

    vertex: NDArray[np.int32]
    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    weld: NDArray[np.int32]
    chart: NDArray[np.int32]


def unwrap(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    axes: NDArray[np.floating],
    *,
    density: NDArray[np.floating] | None = None,
    hidden_share: float = 0.75,
    longest: float = np.inf,
    size: int = 1024,
    padding: int = 3,
) -> Atlas:
    """A closed mesh, (V, 3) metres and (F, 3), -> charts on one square.

    axes: (3, 3) rows right, up, towards the viewer, orthonormal, right-handed. density: (F,) texels per metre
    relative to 1; only a few distinct values make sense, each starts charts of its own. hidden_share: texels per
    metre of all directions but the viewer's, relative to it. longest: metres along `up` after which charts are cut,
    so that a standing figure fills a square. size, padding: texels of the square and between charts.
    """
    points, frame = np.asarray(vertices, np.float64), np.asarray(axes, np.float64)
    corners = np.ascontiguousarray(faces, np.int32)
    density = np.ones(len(corners)) if density is None else np.asarray(density, np.float64)
    directions = np.concatenate([frame[2:], -frame[2:], frame[:1], -frame[:1], frame[1:2], -frame[1:2]])
    links = dual_graph(corners)
    label = _directions_of_faces(face_normals(points, corners), directions, links)
    levels, level = np.unique(density, return_inverse=True)
    flat = points @ _frames(frame).transpose(0, 2, 1)  # (6, V, 3): right, up, towards the direction
    height = points[corners].mean(1) @ frame[1]
    band = np.zeros(len(corners), np.int64)
    if np.isfinite(longest):
        count = max(int(np.ceil(np.ptp(height) / longest)), 1)
        rise = (height - height.min()) / max(float(np.ptp(height)), 1e-9)
        band = np.minimum(np.floor(rise * count), count - 1).astype(np.int64)
    group = label + 6 * (level.ravel() + len(levels) * band)
    chart = _without_overlap(flat, corners, label, group, links, size)
    first = np.unique(chart, return_index=True)[1]
    scale = levels[level.ravel()[first]] * np.where(label[first] == 0, 1.0, hidden_share)
    plane = flat[label[:, None], corners][..., :2]  # (F, 3, 2) corners of every face on its direction's plane
    place = _pack(plane * scale[chart][:, None, None], chart, size, padding)
    return _atlas(place, corners, chart, size)


def uv_image(uv: NDArray[np.floating], faces: NDArray[np.integer], size: int) -> MeshImage:
    """Which face covers each texel (row 0 at the top), with its barycentric coordinates; depth is 1."""
    flat = np.column_stack([uv[:, 0] * size, (1.0 - uv[:, 1]) * size, np.ones(len(uv))])
    return rasterise_mesh(flat, faces, _flat_camera(size, size))


def dual_graph(faces: NDArray[np.integer]) -> csr_matrix:
    """(F, F) symmetric, 1.0 between faces that share an edge."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64), 1)
    key = edges[:, 0] * (int(faces.max()) + 1) + edges[:, 1]
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    a, b = order[:-1][same] % len(faces), order[1:][same] % len(faces)
    i, j = np.concatenate([a, b]), np.concatenate([b, a])
    return coo_matrix((np.ones(len(i)), (i, j)), (len(faces), len(faces))).tocsr()


def _frames(axes: Array) -> Array:
    """(6, 3, 3) rows right, up, towards, for each direction, as seen by who looks at that side."""
    right, up, towards = axes
    frames = [(right, up, towards), (-right, up, -towards), (-towards, up, right), (towards, up, -right)]
    frames += [(right, -towards, up), (right, towards, -up)]
    return np.array(frames)


def _directions_of_faces(normals: Array, directions: Array, links: csr_matrix) -> NDArray[np.int64]:
    """(F,) index of the direction of every face."""
    own = normals @ directions.T
    mean = diags(1.0 / np.maximum(np.asarray(links.sum(1)).ravel(), 1.0)) @ links
    smooth = normals
    for _ in range(_SMOOTH_ROUNDS):
        smooth = 0.5 * (smooth + mean @ smooth)
    allowed = own > _LEAST_FACING
    label = np.where(allowed, smooth @ directions.T, -2.0).argmax(1)
    label = np.where(allowed.any(1), label, own.argmax(1))
    for _ in range(4):  # small islands take their neighbours' direction
        island, _ = _components(label, links)
        small = np.bincount(island)[island] < _SMALL
        votes = links @ (np.eye(6)[label] * ~small[:, None])
        votes = np.where(allowed & small[:, None], votes, 0.0)
        change = votes.max(1) > 0
        label = np.where(change, votes.argmax(1), label)
        if not change.any():
            break
    return label


def _components(group: NDArray[np.integer], links: csr_matrix) -> tuple[NDArray[np.int32], int]:
    """Connected faces of one group -> (F,) piece number and how many."""
    pairs = links.tocoo()
    keep = group[pairs.row] == group[pairs.col]
    same = coo_matrix((pairs.data[keep], (pairs.row[keep], pairs.col[keep])), links.shape)
    count, piece = connected_components(same, directed=False)
    return piece, count


def _without_overlap(
    flat: Array, faces: NDArray[np.int32], label: NDArray[np.integer], group: NDArray[np.integer],
    links: csr_matrix, size: int,
) -> NDArray[np.int32]:  # fmt: skip
    """Pieces of the groups, split until none covers itself at twice the texture's resolution."""
    extent = float(np.ptp(flat[:2].reshape(-1, 3), axis=0).max())
    texel = 2.0 * size / max(extent, 1e-9)
    piece, count = _components(group, links)
    suspects = np.arange(count)
    while True:
        layer = np.zeros(len(faces), np.int64)
        order = np.argsort(piece, kind="stable")
        start = np.searchsorted(piece[order], np.arange(count + 1))
        for p in suspects:
            members = order[start[p] : start[p + 1]]
            if len(members) > 1:
                layer[members[_hidden(flat[label[members[0]]], faces[members], texel)]] = 1
        if not layer.any():
            return piece
        split = np.unique(piece[layer > 0])
        old = piece
        piece, count = _components(piece * 2 + layer, links)
        suspects = np.unique(piece[np.isin(old, split)])


def _hidden(flat: Array, faces: NDArray[np.int32], texel: float) -> NDArray[np.int64]:
    """Which faces of a chart lie behind others of it, seen along its direction."""
    used, local = np.unique(faces, return_inverse=True)
    points = flat[used]
    low, high = points.min(0), points.max(0)
    width, height = (int(n) for n in np.ceil((high - low)[:2] * texel) + 2)
    # Points (x z, y z, z) fall on pixel (x, y) of a camera with K = 1: a flat projection that keeps the order in z.
    z = 1.0 + (high[2] - points[:, 2]) / max(high[2] - low[2], 1e-9)
    x, y = (points[:, 0] - low[0]) * texel + 1.0, (high[1] - points[:, 1]) * texel + 1.0
    mesh = np.column_stack([x * z, y * z, z])
    first, last = rasterise_layers(mesh, local.reshape(-1, 3), _flat_camera(width, height))
    return np.unique(last.face_id[first.face_id != last.face_id])


def _flat_camera(width: int, height: int) -> Camera:
    return Camera(np.eye(3), width, height, np.eye(4))


def _pack(plane: Array, chart: NDArray[np.int32], size: int, padding: int) -> Array:
    """(F, 3, 2) corners in metres, y up -> texels, y down, charts side by side."""
    count = int(chart.max()) + 1
    low = np.full((count, 2), np.inf)
    high = np.full((count, 2), -np.inf)
    for corner in range(3):
        np.minimum.at(low, chart, plane[:, corner])
        np.maximum.at(high, chart, plane[:, corner])
    local = np.stack([plane[..., 0] - low[chart, 0, None], high[chart, 1, None] - plane[..., 1]], -1)
    edge = local[:, 1:] - local[:, :1]
    area = 0.5 * float(np.abs(edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0]).sum())
    order = np.argsort(-np.ptp(np.stack([low, high]), axis=0).prod(1), kind="stable")
    scale = np.sqrt(0.8 * size * size / max(area, 1e-12))
    for _ in range(200):
        spot = _place(local * scale, chart, order, size, padding)
        if spot is not None:
            return local * scale + spot[chart][:, None, :]
        scale *= 0.96
    raise ValueError(f"{count} charts do not fit on {size} texels; use a larger texture or fewer faces.")


def _place(local: Array, chart: NDArray[np.int32], order: NDArray[np.int64], size: int, padding: int) -> Array | None:
    """(C, 2) where each chart's corner goes, in texels, or None when they do not fit."""
    spot = np.zeros((len(order), 2))
    by_chart = np.argsort(chart, kind="stable")
    start = np.searchsorted(chart[by_chart], np.arange(len(order) + 1))
    cells = size // _CELL
    taken = np.zeros((cells, cells), np.uint8)
    for c in order:
        corners = local[by_chart[start[c] : start[c + 1]]]
        mask = _bitmap(corners, padding)
        if max(mask.shape) > cells:
            return None
        row, column = _first_free(taken, mask)
        if row < 0:
            return None
        taken[row : row + mask.shape[0], column : column + mask.shape[1]] |= mask
        spot[c] = column * _CELL + padding, row * _CELL + padding
    return spot


def _bitmap(corners: Array, padding: int) -> NDArray[np.uint8]:
    """(n, 3, 2) texels -> cells that the chart covers with half of the padding around it."""
    width, height = (int(n) for n in -(-(np.ceil(corners.max((0, 1))) + 2 * padding + 1) // _CELL))
    image = np.zeros((height * _CELL, width * _CELL), np.uint8)
    # Filled polygons with their outline, in 1/16 texels: covers every texel that a face touches.
    points = np.round((corners + padding - 0.5) * 16).astype(np.int32)
    for polygon in points:
        cv2.fillConvexPoly(image, polygon, 1, cv2.LINE_8, 4)
    reach = padding // 2 + 1
    grown = np.asarray(cv2.dilate(image, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)))
    return np.ascontiguousarray(grown.reshape(height, _CELL, width, _CELL).max((1, 3)))


@njit(cache=True)
def _first_free(taken, mask):  # type: ignore[no-untyped-def]
    """First place (row, column), left to right in bands from the top, where no cell collides; -1 when none."""
    rows, columns = mask.shape
    ys, xs = np.nonzero(mask)
    count = len(ys)
    stride = 17  # walks the cells in jumps, so that a collision is met early
    while count % stride == 0:
        stride += 2
    for top in range(taken.shape[0] - rows + 1):
        for left in range(taken.shape[1] - columns + 1):
            free = True
            at = 0
            for _ in range(count):
                if taken[top + ys[at], left + xs[at]]:
                    free = False
                    break
                at += stride
                if at >= count:
                    at %= count
            if free:
                return top, left
    return -1, -1


def _atlas(place: Array, faces: NDArray[np.int32], chart: NDArray[np.int32], size: int) -> Atlas:
    """One vertex per (vertex, chart)."""
    charts = int(chart.max()) + 1
    key = faces.astype(np.int64) * charts + chart[:, None]
    copies, first, index = np.unique(key, return_index=True, return_inverse=True)
    vertex = copies // charts
    uv = place.reshape(-1, 2)[first] / size
    uv[:, 1] = 1.0 - uv[:, 1]
    weld = np.searchsorted(vertex, vertex)
    return Atlas(
        vertex.astype(np.int32), index.reshape(faces.shape).astype(np.int32), uv.astype(np.float32),
        weld.astype(np.int32), chart.astype(np.int32),
    )  # fmt: skip
