"""The surface bent to the normals that the views show, and stretched to their outlines.

Nehab et al. (SIGGRAPH 2005) combine positions with measured normals by linear least squares: every edge shall lie in
the tangent plane of its measured normal, every vertex stay near where it was. Here vertices move along their own
normals only, so that one number a vertex is unknown: with s the shift, m the vertex normal and n the measured one at an
edge i-j,

    n . (v_i + s_i m_i - v_j - s_j m_j) = 0,   s_i = 0 (weakly),   s_i = what is missing to the outline (at the rim).

Which view sees what, and which vertices lie on an outline, is looked up anew in every round.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import cg

from pipelines.geometry.bake import visibility
from pipelines.geometry.mesh_raster import face_normals, rasterise_mesh, vertex_normals
from pipelines.geometry.surface import adjacency
from pipelines.views.carve import signed_distance
from pipelines.views.records import PosedView

Floats = NDArray[np.float64]

STAY = 0.02  # weight of staying, against 1 for an edge in its plane
SMOOTH = 0.02  # of neighbours moving alike
OUTLINE = 1.0  # of reaching an outline
UNSEEN = 0.15  # of the smoothed normals of what no view sees well
SPREAD = 12  # rounds of their smoothing
FOLD = 0.2  # cosine between a face and what is wanted below which it counts as turned over
UNFOLDING = 12  # rounds
RIM = 0.35  # cosine between normal and ray below which a vertex may lie on the outline
REACH = 8.0  # pixels of outline that can be missing


def refine(
    vertices: Floats, faces: NDArray[np.int32], views: Sequence[PosedView], rounds: int = 3, normals: float = 1.0
) -> Floats:
    """(V, 3) moved vertices. normals: weight of the views' normals (0: outlines alone). Deterministic."""
    for _ in range(rounds):
        vertices = refined_once(vertices, faces, views, normals)
    return vertices


def refined_once(vertices: Floats, faces: NDArray[np.int32], views: Sequence[PosedView], normals: float) -> Floats:
    """One round."""
    own = vertex_normals(vertices, faces)
    wanted, trust, shift, pull = evidence_at(vertices, faces, own, views)
    edges = unique_edges(faces)
    i, j = edges.T
    wanted, trust = filled(wanted, trust, own, edges)
    n = wanted[i] * trust[i, None] + wanted[j] * trust[j, None]
    length = np.linalg.norm(n, axis=1)
    weight = normals * np.minimum(length, 1.0)
    n /= np.maximum(length, 1e-9)[:, None]
    a, b = (n * own[i]).sum(1), (n * own[j]).sum(1)
    gap = (n * (vertices[i] - vertices[j])).sum(1)
    count = len(vertices)
    stay = np.full(count, STAY) + pull
    rows = np.concatenate([i, j, i, j, i, j, i, j])
    columns = np.concatenate([i, j, j, i, i, j, j, i])
    smooth = np.full(len(i), SMOOTH)
    values = np.concatenate(
        [weight * a * a, weight * b * b, -weight * a * b, -weight * a * b, smooth, smooth, -smooth, -smooth]
    )
    matrix = (coo_matrix((values, (rows, columns)), (count, count)) + diags(stay)).tocsr()
    right = pull * shift - np.bincount(i, weight * a * gap, count) + np.bincount(j, weight * b * gap, count)
    solution, _ = cg(matrix, right, rtol=1e-3, maxiter=60, M=diags(1.0 / matrix.diagonal()))
    limit = 4.0 * float(np.median(np.linalg.norm(vertices[i] - vertices[j], axis=1)))
    return without_flips(vertices + np.clip(solution, -limit, limit)[:, None] * own, faces, wanted)


def without_flips(vertices: Floats, faces: NDArray[np.int32], wanted: Floats) -> Floats:
    """Where faces turned over, against the normals (V, 3) that were wanted there, their vertices and the next ones go
    to the middle of their neighbours, until the fold is out."""
    links = adjacency(faces, len(vertices))
    mean = diags(1.0 / np.maximum(np.asarray(links.sum(1)).ravel(), 1.0)) @ links
    for _ in range(UNFOLDING):
        turned = (face_normals(vertices, faces)[:, None] * wanted[faces]).sum(-1).max(1) < FOLD
        bad = np.zeros(len(vertices))
        bad[faces[turned]] = 1.0
        if not bad.any():
            break
        near = (links @ bad > 0) | (bad > 0)
        vertices = np.where(near[:, None], 0.5 * (vertices + mean @ vertices), vertices)
    return vertices


def evidence_at(
    vertices: Floats, faces: NDArray[np.int32], own: Floats, views: Sequence[PosedView]
) -> tuple[Floats, Floats, Floats, Floats]:
    """What the views say of each vertex: the normal (V, 3) and how much it is trusted (V,) 0..1; the shift along the
    vertex's normal to the outline (V,) metres, and its weight (V,)."""
    count = len(vertices)
    total, strongest = np.zeros((count, 3)), np.zeros(count)
    shift, pull = np.zeros(count), np.zeros(count)
    for view in views:
        camera = view.pinhole
        image = rasterise_mesh(vertices, faces, camera)
        depth = np.where(image.mask, image.depth, cv2.dilate(image.depth, np.ones((3, 3), np.uint8)))
        pixels, cosine, visible = visibility(vertices, own, camera, depth)
        if view.normal is not None:
            # The outermost pixels of a generated map are mixed with what lies behind them.
            solid = cv2.erode(view.mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            measured, there = sample(view.normal, pixels), sample(solid.astype(np.float32)[..., None], pixels)[:, 0]
            length = np.linalg.norm(measured, axis=1)
            like = (measured * own).sum(1) / np.maximum(length, 1e-9)
            good = visible & (there > 0.9) & (length > 0.5) & (like > 0.2)
            w = np.where(good, np.clip((cosine - 0.1) / 0.5, 0.0, 1.0) ** 2, 0.0) * (4.0 if view.close_up else 1.0)
            total += w[:, None] * measured / np.maximum(length, 1e-9)[:, None]
            strongest = np.maximum(strongest, np.minimum(w, 1.0))
        if not view.close_up:
            edge = sample(signed_distance(image.mask)[..., None], pixels)[:, 0]
            missing = sample(signed_distance(view.mask)[..., None], pixels)[:, 0]
            rim = (np.abs(cosine) < RIM) & (np.abs(edge) < 1.5) & (np.abs(missing) < REACH)
            metres = float(np.median(depth[depth > 0])) / camera.K[0, 0] if (depth > 0).any() else 0.0
            shift += np.where(rim, -missing * metres, 0.0)
            pull += np.where(rim, 1.0, 0.0)
    shift = shift / np.maximum(pull, 1.0)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return total / np.maximum(length, 1e-9), strongest, shift, np.where(pull > 0, OUTLINE, 0.0)


def filled(wanted: Floats, trust: Floats, own: Floats, edges: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Normals for the vertices that no view sees well: the surface's own, smoothed, going over into what is seen at
    the border. They count `UNSEEN`, so that creases between the views' surfaces come out even."""
    count = len(own)
    i, j = edges.T
    links = coo_matrix((np.ones(2 * len(i)), (np.concatenate([i, j]), np.concatenate([j, i]))), (count, count)).tocsr()
    mean = diags(1.0 / np.maximum(np.asarray(links.sum(1)).ravel(), 1.0)) @ links
    fixed = np.clip(trust, 0.0, 1.0)[:, None]
    start = fixed * wanted + (1.0 - fixed) * own
    normal = start
    for _ in range(SPREAD):
        normal = fixed * wanted + (1.0 - fixed) * (mean @ normal)
        normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    return normal, np.maximum(trust, UNSEEN)


def sample(image: NDArray[np.floating], pixels: NDArray[np.floating]) -> Floats:
    """(V, C) bilinear values of an image (H, W, C) at pixels (V, 2); the border repeats."""
    height, width = image.shape[:2]
    x = np.clip(np.nan_to_num(pixels[:, 0]) - 0.5, 0, width - 1.001)
    y = np.clip(np.nan_to_num(pixels[:, 1]) - 0.5, 0, height - 1.001)
    c, r = x.astype(np.int64), y.astype(np.int64)
    a, b = (x - c)[:, None], (y - r)[:, None]
    top = image[r, c] * (1 - a) + image[r, c + 1] * a
    return np.asarray(top * (1 - b) + (image[r + 1, c] * (1 - a) + image[r + 1, c + 1] * a) * b, np.float64)


def unique_edges(faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """(E, 2) each edge once, the lower number first."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1).astype(np.int64)
    key = np.unique(edges[:, 0] * (int(faces.max()) + 1) + edges[:, 1])
    return np.stack([key // (int(faces.max()) + 1), key % (int(faces.max()) + 1)], 1)
