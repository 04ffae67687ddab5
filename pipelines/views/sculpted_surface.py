"""From views and hull to one closed surface: the work of the step `surface`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse.csgraph import connected_components

from pipelines.geometry.mesh_picture import render_mesh
from pipelines.geometry.surface import Focus, adjacency, decimate, extract, pieces, smooth
from pipelines.records import Floats
from pipelines.step import Context
from pipelines.views.carve import Outline
from pipelines.views.evidence import clues_of
from pipelines.views.fusion import fuse
from pipelines.views.records import PosedView, Shape, Views
from pipelines.views.refine import Neighbours, Target, refined_once
from pipelines.views.sculpt import Turn, sculpt

if TYPE_CHECKING:
    from pipelines.views.surface import SurfaceParams

# From coarse to fine: share of the resolution, and what is done there.
LEVELS = (
    (1 / 3, (Turn(1e-4, 6, 0.4), Turn(1e-4, 4, 0.4), Turn(1e-4, 4, 0.4))),
    (1 / 2, (Turn(1e-5, 4, 0.1),)),
    (1.0, (Turn(1e-5, 3, 0.05),)),
)
BLUR = 0.9  # samples; the seams between the views' surfaces are a sample or two wide
HEAD = 0.86  # share of the height above which the head is
LEAST_FACES = 200  # of a piece
SPECK = (0.02) ** 3  # cubic metres; smaller pieces are noise


def sculpted_surface(views: Views, hull: Shape, params: SurfaceParams, ctx: Context) -> Shape:
    """See the step `surface`. Raises ValueError when nothing solid is left."""
    whole = views.whole
    margin = 2.0 * params.voxel / 1000.0
    low, high = hull.vertices.min(0) - margin, hull.vertices.max(0) + margin
    height = float(high[1] - low[1])
    voxel = params.voxel / 1000.0
    depths: list[Floats | None] = [None] * len(whole)
    for level, (share, turns) in enumerate(LEVELS):
        rows = round(params.resolution * share)
        clues = clues_of(whole, rows)

        def say(part: float, message: str, done: int = level) -> None:
            ctx.progress(0.65 * (done + part) / len(LEVELS), message)

        depths = sculpt(clues, low, high, max(height / rows, 1.2 * voxel), height, say, turns, depths)
    ctx.progress(0.65, "one solid")
    volume = fuse(clues, depths, [Outline(v.mask, v.pinhole) for v in whole], low, high, voxel)
    volume = replace(volume, values=gaussian_filter(volume.values, BLUR))
    vertices, faces = pieces(*extract(volume), SPECK)
    vertices = smooth(vertices, faces, params.smoothing)
    vertices, faces = fewer(vertices, faces, params.faces, head_of(vertices, params.head_detail))
    solid, targets, mesh = vertices, [Target.of(v) for v in views.views], Neighbours.of(faces, len(vertices))
    for i in range(params.rounds):
        ctx.progress(0.75 + 0.25 * i / params.rounds, "bent to normals and outlines", clay(vertices, faces, whole[0]))
        vertices = refined_once(vertices, faces, targets, mesh, params.normals, solid)
    return Shape(vertices.astype(np.float32), faces)


def fewer(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], wanted: int, focus: Focus
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """`decimate` of every piece by itself, as it keeps one piece only: a hand beyond a wide sleeve, and feet below a
    long skirt, may be pieces of their own."""
    count, label = connected_components(adjacency(faces, len(vertices)), directed=False)
    if count == 1:
        return decimate(vertices, faces, wanted, focus)
    found_vertices, found_faces, start = [], [], 0
    for k in range(count):
        mine = faces[label[faces[:, 0]] == k]
        used, again = np.unique(mine, return_inverse=True)
        share = max(round(wanted * len(mine) / len(faces)), LEAST_FACES)
        piece, triangles = decimate(vertices[used], again.reshape(-1, 3).astype(np.int32), share, focus)
        found_vertices.append(piece)
        found_faces.append(triangles + np.int32(start))
        start += len(piece)
    return np.concatenate(found_vertices), np.concatenate(found_faces)


def head_of(vertices: NDArray[np.float64], detail: float) -> Focus:
    """The uppermost seventh of a figure: where triangles shall be `detail` times finer."""
    low, high = float(vertices[:, 1].min()), float(vertices[:, 1].max())
    top = vertices[vertices[:, 1] > low + HEAD * (high - low)]
    centre = 0.5 * (top.min(0) + top.max(0))
    return Focus(centre, 0.6 * (1.0 - HEAD) * (high - low), detail)


def clay(vertices: NDArray[np.float64], faces: NDArray[np.int32], view: PosedView) -> NDArray[np.float32]:
    """A small picture of the bare shape from one view."""
    camera = view.pinhole
    scale = 320.0 / max(camera.width, camera.height)
    small = camera.resized(max(int(camera.width * scale), 1), max(int(camera.height * scale), 1))
    return render_mesh(vertices, faces, small, "clay", supersample=1)
