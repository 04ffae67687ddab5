"""Splats for what neither layer shows: the sides of the person, and the surfaces between two limbs.

They lie on the closed surface of `columns`, one for each of its vertices that no layer covers, as flat as the
surface and as wide as its triangles: no gaps from any side and nothing that stands out beyond the outline.

Their colour is the photo's, **mirrored at the outline**: a point some way round the side looks like the point as far
inside the picture, which continues cloth with its texture instead of drawing the rim's colour out into streaks.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.sparse import csr_matrix, diags

from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.rotations import axes_of_covariance
from pipelines.geometry.surface import adjacency
from pipelines.projection.outline import depth_inside, half_width, nearest, smooth
from pipelines.projection.sampling import MIXED, Grid, inward

Floats = NDArray[np.float32]
SHOWN = 0.35  # cosine to the ray from which on a layer's own splats are dense enough
NEAR = 1.5  # cells by which the surface may miss a layer that covers it: it is blurred by about one
AWAY = 2.0  # grid pixels in depth beyond a pixel's layers from which a vertex belongs to another one ...
BESIDE = 5  # ... and how many grid pixels away that may be
WIDE = 0.6  # standard deviation in mean edge lengths: vertices are less evenly spread than pixels
THIN = 0.15  # standard deviation across the surface, in cells
CALM = 3  # rounds of averaging over neighbouring vertices, against specks where mirrored sources part


class Sides(NamedTuple):
    """means (N, 3) world; quats (N, 4); scales (N, 3); colours (N, 3); grazing (N,) bool: the photo's camera sees
    it, but flatly; between (N,) bool: hidden between two limbs."""

    means: NDArray[np.float64]
    quats: Floats
    scales: Floats
    colours: Floats
    grazing: NDArray[np.bool_]
    between: NDArray[np.bool_]


class Place(NamedTuple):
    """Where the vertices of the surface lie in the picture: pixels (V, 2) on the grid; rows, columns of the nearest
    pixel of the mask; ahead, behind (V,): metres behind the front layer and before the back layer."""

    pixels: NDArray[np.float64]
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    ahead: NDArray[np.float64]
    behind: NDArray[np.float64]


def sides(
    grid: Grid, vertices: NDArray[np.float64], faces: NDArray[np.int32], cell: float, inset: float,
    groups: NDArray[np.uint8],
) -> Sides:  # fmt: skip
    """One splat per vertex of the closed surface (V, 3), (F, 3) that neither the front nor the back layer covers.

    cell: metres, the detail of the surface. inset: grid pixels that splats keep within the outline. groups (256,):
    for each part label whose colours may stand in for it.
    """
    normals = vertex_normals(vertices, faces)
    links = adjacency(faces, len(vertices))
    ray = vertices - grid.camera.position
    facing = -np.einsum("ij,ij->i", normals, ray) / np.linalg.norm(ray, axis=1)
    place, moved = placed(grid, vertices, inset)
    slack = NEAR * cell
    covered = (facing > SHOWN) & (np.abs(place.ahead) < slack) | (facing < -SHOWN) & (np.abs(place.behind) < slack)
    colours = averaged(links, mirrored_colours(grid, at_own_depth(grid, place, groups), groups))
    covariance = ring_covariance(vertices, links)[~covered]
    own = normals[~covered]
    covariance = covariance * (2.0 * WIDE**2) + (THIN * cell) ** 2 * own[:, :, None] * own[:, None, :]
    quats, scales = axes_of_covariance(covariance)
    grazing = (facing > 0.0) & (place.ahead < slack)
    between = grid.two[place.rows, place.columns] & (place.ahead > slack) & (place.behind > slack)
    return Sides(
        moved[~covered], quats.astype(np.float32), scales.astype(np.float32), colours[~covered].astype(np.float32),
        grazing[~covered], between[~covered],
    )  # fmt: skip


def placed(grid: Grid, vertices: NDArray[np.float64], inset: float) -> tuple[Place, NDArray[np.float64]]:
    """Where vertices lie in the picture, and the vertices (V, 3) moved sideways to `inset` pixels in the outline."""
    pixels, depth = grid.camera.project(vertices)
    mask = grid.mask.astype(np.uint8)
    beyond = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    signed = (grid.inside - np.maximum(beyond - 0.5, 0.0)).astype(np.float32)
    turn = inward(signed)
    shift = np.clip(inset + 0.5 - picked(signed, pixels), 0.0, 3.0 * inset + 3.0)
    pixels = pixels + np.stack([picked(turn[..., k], pixels) for k in (0, 1)], -1) * shift[:, None]
    moved = np.where(shift[:, None] > 0, grid.camera.unproject(pixels, depth), vertices)
    near_rows, near_columns = nearest(grid.mask)
    at = clipped(pixels, grid.mask.shape)
    rows, columns = near_rows[at], near_columns[at]
    ahead, behind = depth - grid.depth[0][rows, columns], grid.depth[1][rows, columns] - depth
    return Place(pixels, rows, columns, ahead, behind), moved


def at_own_depth(grid: Grid, place: Place, groups: NDArray[np.uint8]) -> Place:
    """The places with a pixel nearby, of other cloth, for vertices that lie before or behind all that their own pixel
    holds: the surface is blurred, and a hip's side may lie behind a hand's pixel."""
    rows, columns = place.rows.copy(), place.columns.copy()
    depth = place.ahead + grid.depth[0][rows, columns]
    lost = np.flatnonzero(~holds(grid, rows, columns, depth))
    steps = [(y, x) for y in range(-BESIDE, BESIDE + 1) for x in range(-BESIDE, BESIDE + 1)]
    for y, x in sorted(steps, key=lambda step: step[0] ** 2 + step[1] ** 2):
        row = np.clip(place.rows[lost] + y, 0, grid.mask.shape[0] - 1)
        column = np.clip(place.columns[lost] + x, 0, grid.mask.shape[1] - 1)
        found = holds(grid, row, column, depth[lost])
        rows[lost[found]], columns[lost[found]] = row[found], column[found]
        lost = lost[~found]
    same = kind_of(grid, rows, columns, depth, groups) == kind_of(grid, place.rows, place.columns, depth, groups)
    rows[same], columns[same] = place.rows[same], place.columns[same]
    pixels = np.where(same[:, None], place.pixels, np.stack([columns, rows], 1) + 0.5)
    front, back = grid.depth[:2, rows, columns]
    return Place(pixels, rows, columns, depth - front, back - depth)


def holds(
    grid: Grid, rows: NDArray[np.intp], columns: NDArray[np.intp], depth: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(N,) whether the limbs of pixels, rows and columns (N,), reach to the depths (N,), or nearly."""
    front, back, leave, enter = grid.depth[:, rows, columns]
    slack = AWAY * grid.step[rows, columns]
    between = grid.two[rows, columns] & (depth > leave + slack) & (depth < enter - slack)
    return grid.mask[rows, columns] & (depth > front - slack) & (depth < back + slack) & ~between


def kind_of(
    grid: Grid, rows: NDArray[np.intp], columns: NDArray[np.intp], depth: NDArray[np.float64], groups: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """(N,) of `groups`: what the limb is that pixels hold at depths (N,), the first or the last of two."""
    first, last = groups[grid.part[:, rows, columns]]
    middle = grid.depth[2:, rows, columns].mean(0)
    return np.where(grid.two[rows, columns] & (depth > middle), last, first)


def mirrored_colours(grid: Grid, place: Place, groups: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(V, 3) colours: the photo as far inside the outline as a vertex lies round the corner, from the front's
    colours to the back's. The path never crosses the limb's middle nor cloth of another kind. A hip behind a hand has
    the back's colours alone: the photo shows the hand there."""
    turn = inward(depth_inside(grid.mask))[place.rows, place.columns]
    limit = np.maximum(smooth(half_width(grid.inside), grid.mask, 2.0)[place.rows, place.columns], 1.0)
    ahead, behind = np.maximum(place.ahead, 0.0), np.maximum(place.behind, 0.0)
    around = np.minimum(ahead, behind) / grid.step[place.rows, place.columns]
    around = limit - np.abs(np.mod(around, 2 * limit) - limit)
    kind, depth = groups[grid.part[0]], place.ahead + grid.depth[0, place.rows, place.columns]
    own = kind_of(grid, place.rows, place.columns, depth, groups)
    hidden = own != kind[place.rows, place.columns]
    around[hidden] = 0.0
    for _ in range(4):
        there = clipped(place.pixels + turn * around[:, None], grid.mask.shape)
        around = np.where((kind[there] != own) | ~grid.mask[there], around * 0.6, around)
    # The outermost pixels are mixed with what lay behind; the outline itself is where `inside` is 0.
    depth_in = grid.inside[place.rows, place.columns]
    source = place.pixels + turn * (np.maximum(MIXED + 0.5 - depth_in, 0.0) + around)[:, None]
    share = ahead / np.maximum(ahead + behind, 1e-6)
    mix = np.where(hidden, 1.0, np.clip((share - 0.3) / 0.4, 0.0, 1.0))[:, None]
    front, back = (np.stack([picked(grid.rgb[side][..., c], source) for c in range(3)], -1) for side in (0, 1))
    return front * (1 - mix) + back * mix


def averaged(links: csr_matrix, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(V, C) values, CALM times half their own and half their neighbours' mean."""
    mean = diags(1.0 / np.maximum(np.asarray(links.sum(1)).ravel(), 1.0)) @ links
    for _ in range(CALM):
        values = 0.5 * (values + mean @ values)
    return values


def ring_covariance(vertices: NDArray[np.float64], links: csr_matrix) -> NDArray[np.float64]:
    """(V, 3, 3) mean of e e^T over the edges e from each vertex to its neighbours."""
    pairs = links.tocoo()
    edge = vertices[pairs.col] - vertices[pairs.row]
    count = np.maximum(np.bincount(pairs.row, minlength=len(vertices)), 1)
    result = np.empty((len(vertices), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            total = np.bincount(pairs.row, edge[:, i] * edge[:, j], len(vertices))
            result[:, i, j] = result[:, j, i] = total / count
    return result


def picked(image: Floats, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) values of an (h, w) image at pixel positions (N, 2), interpolated."""
    return map_coordinates(image, (pixels[:, ::-1] - 0.5).T, order=1, mode="nearest").astype(np.float64)


def clipped(pixels: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[NDArray, NDArray]:
    """(rows, columns) of the pixels (N, 2) that points lie in, held inside the picture."""
    return np.clip(pixels[:, 1].astype(int), 0, shape[0] - 1), np.clip(pixels[:, 0].astype(int), 0, shape[1] - 1)
