"""The surface bent to the normals that the views show, and stretched to their outlines.

Nehab et al. (SIGGRAPH 2005) combine positions with measured normals by linear least squares: the edges of every face
shall lie in the tangent plane of its measured normal, every vertex stay near where the solid had it. Here vertices move
along their own normals only, so that one number a vertex is unknown: with s the shift, m the vertex normal, v0 the
vertex of the solid and n the normal measured on a face with the edge i-j,

    n . (v_i + s_i m_i - v_j - s_j m_j) = 0,   m_i . (v_i + s_i m_i - v0_i) = 0 (weakly),
    s_i = what is missing to the outline (at the rim).

Normals belong to faces, not to vertices: at a hem the front shows one and the underside, which no view shows, another,
and a mean of both would round the hem off, more in every round. Which view sees what, and which vertices lie on an
outline, is looked up anew in every round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import cg

from pipelines.geometry.bake import visibility
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import face_normals, rasterise_mesh, vertex_normals
from pipelines.geometry.surface import adjacency
from pipelines.views.carve import signed_distance
from pipelines.views.records import PosedView

Floats = NDArray[np.float64]

STAY = 0.02  # weight of staying where the solid was, against 1 for an edge in its plane
SMOOTH = 0.02  # of neighbours moving alike
OUTLINE = 1.0  # of reaching an outline
UNSEEN = 0.03  # of the smoothed normals of what no view sees well
LIKE = (0.4, 0.95)  # cosine between a face and what a view shows there, over which it is believed to be the same place
SPREAD = 12  # rounds of their smoothing
CREASE = 0.5  # cosine between two faces below which it does not cross the edge between them
FOLD = 0.2  # cosine between a face and what is wanted below which it counts as turned over
UNFOLDING = 12  # rounds
RIM = 0.35  # cosine between normal and ray below which a vertex may lie on the outline
REACH = 8.0  # pixels of outline that can be missing


def refine(
    vertices: Floats, faces: NDArray[np.int32], views: Sequence[PosedView], rounds: int = 3, normals: float = 1.0
) -> Floats:
    """(V, 3) moved vertices. normals: weight of the views' normals (0: outlines alone). Deterministic."""
    moved, targets, mesh = vertices, [Target.of(view) for view in views], Neighbours.of(faces, len(vertices))
    for _ in range(rounds):
        moved = refined_once(moved, faces, targets, mesh, normals, vertices)
    return moved


class Target(NamedTuple):
    """What is asked of a view in every round. measured: (H, W, 4) its normals and where they are not mixed with what
    lies behind (0 or 1), or None. signed: (H, W) pixels to its outline, None for a close-up."""

    camera: Camera
    measured: NDArray[np.float32] | None
    signed: NDArray[np.float32] | None
    strength: float

    @classmethod
    def of(cls, view: PosedView) -> Target:
        measured = None
        if view.normal is not None:
            # The outermost pixels of a generated map are mixed with what lies behind them.
            solid = cv2.erode(view.mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
            measured = np.dstack([view.normal, solid])
        signed = None if view.close_up else signed_distance(view.mask)
        return cls(view.pinhole, measured, signed, 4.0 if view.close_up else 1.0)


class Neighbours(NamedTuple):
    """links, mean: (V, V) sparse, neighbouring vertices and the mean over them. pairs: the two faces of every edge."""

    links: csr_matrix
    mean: csr_matrix
    pairs: tuple[NDArray[np.int64], NDArray[np.int64]]

    @classmethod
    def of(cls, faces: NDArray[np.int32], count: int) -> Neighbours:
        links = adjacency(faces, count)
        mean = diags(1.0 / np.maximum(np.asarray(links.sum(1)).ravel(), 1.0)) @ links
        return cls(links, mean.tocsr(), face_pairs(faces))


def refined_once(
    vertices: Floats,
    faces: NDArray[np.int32],
    targets: Sequence[Target],
    mesh: Neighbours,
    normals: float,
    solid: Floats,
) -> Floats:
    """One round. solid: (V, 3) where the vertices were before the first one."""
    own = vertex_normals(vertices, faces)
    flat = face_normals(vertices, faces)
    wanted, trust, shift, pull = evidence_at(vertices, faces, own, flat, targets)
    wanted, trust = filled(wanted, trust, flat, mesh.pairs)
    weight = 0.5 * normals * np.minimum(trust, 1.0)  # every edge belongs to two faces
    count = len(vertices)
    rows, columns, values = [], [], []
    right = pull * shift + STAY * ((solid - vertices) * own).sum(1)
    for first, second in ((0, 1), (1, 2), (2, 0)):
        i, j = faces[:, first], faces[:, second]
        a, b = (wanted * own[i]).sum(1), (wanted * own[j]).sum(1)
        gap = (wanted * (vertices[i] - vertices[j])).sum(1)
        across = -weight * a * b - 0.5 * SMOOTH
        rows += [i, j, i, j]
        columns += [i, j, j, i]
        values += [weight * a * a + 0.5 * SMOOTH, weight * b * b + 0.5 * SMOOTH, across, across]
        right += np.bincount(j, weight * b * gap, count) - np.bincount(i, weight * a * gap, count)
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    matrix = (coo_matrix(entries, (count, count)) + diags(STAY + pull)).tocsr()
    solution, _ = cg(matrix, right, rtol=1e-3, maxiter=60, M=diags(1.0 / matrix.diagonal()))
    limit = 4.0 * float(np.median(np.linalg.norm(vertices[faces[:, 0]] - vertices[faces[:, 1]], axis=1)))
    return without_flips(vertices + np.clip(solution, -limit, limit)[:, None] * own, faces, mesh, wanted)


def without_flips(vertices: Floats, faces: NDArray[np.int32], mesh: Neighbours, wanted: Floats) -> Floats:
    """Where faces turned over, against the normals (F, 3) that were wanted there, their vertices and the next ones go
    to the middle of their neighbours, until the fold is out."""
    for _ in range(UNFOLDING):
        turned = (face_normals(vertices, faces) * wanted).sum(-1) < FOLD
        bad = np.zeros(len(vertices))
        bad[faces[turned]] = 1.0
        if not bad.any():
            break
        near = np.flatnonzero((mesh.links @ bad > 0) | (bad > 0))
        vertices = vertices.copy()
        vertices[near] = 0.5 * (vertices[near] + mesh.mean[near] @ vertices)
    return vertices


def evidence_at(
    vertices: Floats, faces: NDArray[np.int32], own: Floats, flat: Floats, targets: Sequence[Target]
) -> tuple[Floats, Floats, Floats, Floats]:
    """What the views say. Of each face: its normal (F, 3) and how much that is trusted (F,) 0..1. Of each vertex: the
    shift along its normal to the outline (V,) metres, and its weight (V,). own, flat: normals of vertices and faces."""
    middle = vertices[faces].mean(1)
    total, strongest = np.zeros((len(faces), 3)), np.zeros(len(faces))
    shift, pull = np.zeros(len(vertices)), np.zeros(len(vertices))
    for target in targets:
        camera = target.camera
        image = rasterise_mesh(vertices, faces, camera)
        depth = np.where(image.mask, image.depth, cv2.dilate(image.depth, np.ones((3, 3), np.uint8)))
        if target.measured is not None:
            pixels, cosine, visible = visibility(middle, flat, camera, depth)
            at = np.flatnonzero(visible & (cosine > 0.1))
            measured, weight = measured_at(target, pixels[at], cosine[at], flat[at])
            total[at] += weight[:, None] * measured
            strongest[at] = np.maximum(strongest[at], np.minimum(weight, 1.0))
        if target.signed is not None and image.mask.any():
            pixels, cosine, _ = visibility(vertices, own, camera, depth)
            at = np.flatnonzero(np.abs(cosine) < RIM)
            edge = sample(signed_distance(image.mask)[..., None], pixels[at])[:, 0]
            missing = sample(target.signed[..., None], pixels[at])[:, 0]
            rim = (np.abs(edge) < 1.5) & (np.abs(missing) < REACH)
            metres = float(np.median(depth[depth > 0])) / camera.K[0, 0]
            shift[at[rim]] -= missing[rim] * metres
            pull[at[rim]] += 1.0
    shift = shift / np.maximum(pull, 1.0)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return total / np.maximum(length, 1e-9), strongest, shift, np.where(pull > 0, OUTLINE, 0.0)


def measured_at(target: Target, pixels: Floats, cosine: NDArray[np.floating], flat: Floats) -> tuple[Floats, Floats]:
    """The normals (N, 3) that a view shows at pixels (N, 2), and their weights (N,): of faces with normals (N, 3) and
    this cosine (N,) to the ray."""
    assert target.measured is not None
    found = sample(target.measured, pixels)
    length = np.linalg.norm(found[:, :3], axis=1)
    measured = found[:, :3] / np.maximum(length, 1e-9)[:, None]
    # A pixel beside a depth edge may show what lies before or behind the face: there the normals differ.
    like = np.clip(((measured * flat).sum(1) - LIKE[0]) / (LIKE[1] - LIKE[0]), 0.0, 1.0)
    weight = like * np.clip((cosine - 0.1) / 0.5, 0.0, 1.0) ** 2 * target.strength
    return measured, np.where((found[:, 3] > 0.9) & (length > 0.5), weight, 0.0)


def filled(
    wanted: Floats, trust: Floats, flat: Floats, pairs: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> tuple[Floats, Floats]:
    """Normals for the faces that no view sees well: the surface's own, smoothed, going over into what is seen at the
    border, but not across a crease (pairs: see `face_pairs`). They count `UNSEEN`, so that seams between the views'
    surfaces come out even."""
    i, j = pairs
    even = np.clip(((flat[i] * flat[j]).sum(1) - CREASE) / (1.0 - CREASE), 0.01, 1.0)
    count = len(flat)
    entries = np.concatenate([even, even]), (np.concatenate([i, j]), np.concatenate([j, i]))
    links = coo_matrix(entries, (count, count)).tocsr()
    mean = diags(1.0 / np.maximum(np.asarray(links.sum(1)).ravel(), 1e-9)) @ links
    fixed = np.clip(trust, 0.0, 1.0)[:, None]
    normal = fixed * wanted + (1.0 - fixed) * flat
    for _ in range(SPREAD):
        normal = fixed * wanted + (1.0 - fixed) * (mean @ normal)
        normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    return normal, np.maximum(trust, UNSEEN)


def face_pairs(faces: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The two faces of every edge: (E,) and (E,)."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1).astype(np.int64)
    key = edges[:, 0] * (int(faces.max()) + 1) + edges[:, 1]
    order = np.argsort(key, kind="stable")
    same = np.flatnonzero(key[order][1:] == key[order][:-1])
    face = np.tile(np.arange(len(faces)), 3)[order]
    return face[same], face[same + 1]


def sample(image: NDArray[np.floating], pixels: NDArray[np.floating]) -> Floats:
    """(V, C) bilinear values of an image (H, W, C) at pixels (V, 2); the border repeats."""
    height, width = image.shape[:2]
    x = np.clip(np.nan_to_num(pixels[:, 0]) - 0.5, 0, width - 1.001)
    y = np.clip(np.nan_to_num(pixels[:, 1]) - 0.5, 0, height - 1.001)
    c, r = x.astype(np.int64), y.astype(np.int64)
    a, b = (x - c)[:, None], (y - r)[:, None]
    top = image[r, c] * (1 - a) + image[r, c + 1] * a
    return np.asarray(top * (1 - b) + (image[r + 1, c] * (1 - a) + image[r + 1, c + 1] * a) * b, np.float64)
