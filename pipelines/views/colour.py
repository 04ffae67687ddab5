"""Colours for the carved surface by projection: visible, faced, away from outlines; the rest flows in from beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import diags
from scipy.sparse.linalg import cg

from pipelines.geometry.bake import GENERATED, Picture, Points, bake, look_up, seen_codes
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.surface import adjacency
from pipelines.geometry.unwrap import unwrap
from pipelines.records import Mesh
from pipelines.step import Context
from pipelines.views.records import PosedView, Shape, Views

if TYPE_CHECKING:
    from pipelines.views.mesh import MeshParams

Floats = NDArray[np.float32]

FADE = (0.2, 0.5)  # cosine between normal and ray over which a view begins to count
FEATHER = 5.0  # pixels inside an outline or depth edge over which it begins to count
BLEED = 6.0  # pixels inside the outline that may show the background
SURE = 0.9  # of how well a vertex is seen, above which its colour stays as it was seen
HEAD = 0.86  # share of the person's height above which the head is


def textured(views: Views, surface: Shape, params: MeshParams, ctx: Context) -> Mesh:
    """See the step `mesh`."""
    vertices, faces = surface.vertices.astype(np.float64), surface.faces
    height = float(np.ptp(vertices[:, 1]))
    on_head = vertices[faces].mean(1)[:, 1] > vertices[:, 1].min() + HEAD * height
    density = np.where(on_head, params.head_detail, 1.0)
    atlas = unwrap(vertices, faces, np.eye(3), density=density, longest=0.55 * height, size=params.texture)
    ctx.progress(0.5, "texture coordinates")
    layers = pictures(views.views, params.sharpness)
    cloud = vertices, vertex_colours(vertices, faces, layers)
    texture = bake(atlas, vertices, faces, layers, cloud, params.texture)
    ctx.progress(0.95, "texture", np.asarray(cv2.resize(texture, (256, 256), interpolation=cv2.INTER_AREA), np.float32))
    normals = vertex_normals(vertices, faces)
    seen = seen_by_photos(vertices, faces, views.views)
    return Mesh(
        vertices[atlas.vertex].astype(np.float32), atlas.faces, normals[atlas.vertex].astype(np.float32),
        atlas.uv, texture, seen[atlas.vertex], atlas.weld,
    )  # fmt: skip


def pictures(views: Sequence[PosedView], sharpness: float) -> list[list[Picture]]:
    """Two groups: photos, and what was generated."""
    groups: list[list[Picture]] = [[], []]
    for view in views:
        alpha = without_background(view.rgba)
        groups[0 if view.photo else 1].append(
            Picture(
                view.rgba[..., :3], alpha, view.pinhole, feather=FEATHER, edges=True, sharpness=sharpness, fade=FADE
            )
        )
    return [group for group in groups if group]


def without_background(rgba: Floats) -> Floats:
    """(H, W) alpha without the pixels near the outline that have the colour of what lies outside of it.

    Colour and outline come from different maps, or from a photo and a network; a white rim would be baked in.
    """
    mask = rgba[..., 3] > 0.5
    if mask.all() or not mask.any():
        return rgba[..., 3]
    ground = np.median(rgba[~mask][:, :3], 0)
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    like = (np.abs(rgba[..., :3] - ground).max(-1) < 0.08) & (np.asarray(inside) <= BLEED)
    # Only what hangs together with the outside.
    _, label = cv2.connectedComponents((like | ~mask).astype(np.uint8), connectivity=4)
    outside = np.unique(label[~mask])
    return np.where(like & np.isin(label, outside), 0.0, rgba[..., 3]).astype(np.float32)


def vertex_colours(vertices: NDArray, faces: NDArray[np.int32], layers: Sequence[Sequence[Picture]]) -> Floats:
    """(V, 3): the views' colours where one of them sees a vertex well; elsewhere they spread over the surface.

    Spread along the surface (a membrane, the harmonic function between what is known), not through the air: the inside
    of an arm takes the sleeve's colour, not that of the hip beside it.
    """
    count = len(vertices)
    points = Points(vertices, vertex_normals(vertices, faces), np.zeros(count))
    colour, known = np.zeros((count, 3)), np.zeros(count)
    for group in layers:
        total, mixed, strongest = np.zeros(count), np.zeros((count, 3)), np.zeros(count)
        for picture in group:
            at, weight, trust, rgb = look_up(picture, points, vertices, faces)
            total[at] += weight
            mixed[at] += weight[:, None] * rgb
            strongest[at] = np.maximum(strongest[at], trust)
        cover = (1.0 - known) * strongest
        colour += cover[:, None] * mixed / np.maximum(total, 1e-9)[:, None]
        known += cover
    own = colour / np.maximum(known, 1e-6)[:, None]
    open_ = np.flatnonzero(known <= SURE)
    if not len(open_):
        return np.clip(own, 0.0, 1.0).astype(np.float32)
    # Solved where something is open alone; what is known beside it is the border.
    links = adjacency(faces, count)[open_]
    hold = 100.0 * known[open_] ** 2 + 1e-6
    matrix = (diags(np.asarray(links.sum(1)).ravel() + hold) - links[:, open_]).tocsr()
    mean = own[known > 0.5].mean(0) if (known > 0.5).any() else np.full(3, 0.5)
    border = links @ np.where(known[:, None] > SURE, own, 0.0)
    for k in range(3):
        right = border[:, k] + (hold - 1e-6) * own[open_, k] + 1e-6 * mean[k]
        start = np.where(known[open_] > 0.1, own[open_, k], mean[k])
        own[open_, k] = cg(matrix, right, x0=start, rtol=1e-4, maxiter=300, M=diags(1.0 / matrix.diagonal()))[0]
    return np.clip(own, 0.0, 1.0).astype(np.float32)


def seen_by_photos(vertices: NDArray, faces: NDArray[np.int32], views: Sequence[PosedView]) -> NDArray[np.uint8]:
    """(V,) seen / grazing / generated: what the photos among the views show; all generated when there is none."""
    best = np.full(len(vertices), GENERATED, np.uint8)
    for view in views:
        if view.photo:
            best = np.minimum(best, seen_codes(vertices, faces, view.pinhole, view.rgba[..., 3]))
    return best
