"""Which view is the odd one: each left out in turn, and compared with what the others carve.

A shape carved from all views is a compromise: next to a turned view its neighbours look wrong as well. So every view is
left out in turn, and compared with what the others carve without it. Of the odd one and the view opposite to it both
look wrong then; but only without the odd one do the others agree among themselves. What they disagree is taken off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.mesh_raster import interpolate, rasterise_mesh, vertex_normals
from pipelines.geometry.surface import extract
from pipelines.views.agreement import overlap
from pipelines.views.carve import Outline
from pipelines.views.evidence import Clue, clues_of
from pipelines.views.fusion import fuse
from pipelines.views.records import PosedView
from pipelines.views.sculpt import Turn, sculpt

TURNS = (Turn(1e-4, 4, 0.4), Turn(1e-3, 4, 0.4))
OWN = 2.0  # weight of what the others disagree among themselves
DEGREES_PER_OUTLINE = 90.0  # normals that are wrong by a right angle count like an outline that is wrong altogether


def blames(views: Sequence[PosedView], low: NDArray, high: NDArray, rows: int = 112,
           say: Callable[[float], None] = lambda share: None) -> list[float]:  # fmt: skip
    """For each whole view, its disagreement with the shape that the others carve without it, less `OWN` times their own
    with that shape; counted from the view with the least, which has 0.

    low, high: (3,) a box that holds the person. rows: pixels from head to foot.
    """
    clues = clues_of([v for v in views if not v.close_up], rows)
    voxel = float(high[1] - low[1]) / rows
    found = []
    for k, clue in enumerate(clues):
        say(k / len(clues))
        others = [c for i, c in enumerate(clues) if i != k]
        wrong = disagreements(others, [clue, *others], low, high, voxel)
        found.append(float(wrong[0] - OWN * wrong[1:].mean()))
    return [value - min(found) for value in found]


def disagreements(used: Sequence[Clue], judged: Sequence[Clue], low: NDArray, high: NDArray, voxel: float) -> NDArray:
    """(K,) for each of the judged views: 1 - IoU of its outline with the shape carved from the used ones, plus the mean
    angle between their normals as a share of a right angle. 2 for all when there is no common solid."""
    height = float(high[1] - low[1])
    try:
        depths = sculpt(used, low, high, voxel, height, lambda f, m: None, TURNS)
        vertices, faces = extract(fuse(used, depths, [Outline(c.mask, c.camera) for c in used], low, high, voxel))
    except ValueError:
        return np.full(len(judged), 2.0)
    return np.array([disagreement(vertices, faces, clue) for clue in judged])


def disagreement(vertices: NDArray, faces: NDArray, clue: Clue) -> float:
    """See `disagreements`; of one view."""
    image = rasterise_mesh(vertices, faces, clue.camera)
    wrong = 1.0 - overlap(image.mask, clue.mask)
    if clue.normal is None:
        return wrong
    drawn = interpolate(image, faces, vertex_normals(vertices, faces))
    drawn /= np.maximum(np.linalg.norm(drawn, axis=-1, keepdims=True), 1e-9)
    both = image.mask & clue.mask & clue.normal.any(-1)
    if not both.any():
        return 2.0
    angle = np.degrees(np.arccos(np.clip((drawn * clue.normal).sum(-1)[both], -1.0, 1.0)))
    return wrong + float(angle.mean()) / DEGREES_PER_OUTLINE
