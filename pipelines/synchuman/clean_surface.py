"""The raw surface made light and whole: fewer faces, hidden walls cut off, small holes closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import fast_simplification
import numpy as np
from numpy.typing import NDArray

from pipelines.synchuman.hole_fill import Decision, HoleSettings, choose
from pipelines.synchuman.hole_patches import close_holes
from pipelines.synchuman.seen_faces import VISIBILITY_SIZE, VISIBILITY_VIEWS, visible_counts

REDUCTION = 0.7  # share of the faces that go


@dataclass(frozen=True)
class CleanSurface:
    """vertices (V, 3) float32, faces (F, 3) int64; what was decided, on the `light` mesh that it was decided on.

    light_vertices, light_faces: after decimation. visibility (F',): share of views that see each of its faces.
    open_loops: rims too long to close.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]
    light_vertices: NDArray[np.float32]
    light_faces: NDArray[np.int64]
    visibility: NDArray[np.float64]
    decision: Decision
    settings: HoleSettings
    open_loops: int


def clean(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    *,
    reduction: float = REDUCTION,
    views: int = VISIBILITY_VIEWS,
    size: int = VISIBILITY_SIZE,
    progress: Callable[[float], None] | None = None,
) -> CleanSurface:
    """vertices (V, 3) in -0.5 .. 0.5, faces (F, 3) -> the surface to unwrap and bake.

    reduction: share of faces that the quadric edge collapse takes away, 0 for none. views, size: of the visibility
    count; fewer are faster and change what counts as hidden. Without anything hidden the holes are closed all the
    same. Raises ValueError when there are no faces.
    """
    if len(faces) == 0:
        raise ValueError("The surface has no faces: nothing was inside; look at the decoder's distances.")
    points, triangles = np.asarray(vertices, np.float32), np.asarray(faces, np.int64)
    if reduction > 0:
        light = fast_simplification.simplify(points, triangles.astype(np.int32), target_reduction=reduction)
        points, triangles = light[0].astype(np.float32), light[1].astype(np.int64)
    visibility = visible_counts(points, triangles, views, size, progress) / views
    decision, settings = choose(points, triangles, visibility)
    kept = np.ones(len(triangles), bool)
    kept[decision.removed] = False
    closed, open_loops = close_holes(points, triangles[kept])
    used, compact = np.unique(closed, return_inverse=True)
    return CleanSurface(
        points[used], compact.reshape(-1, 3), points, triangles, visibility, decision, settings, open_loops
    )
