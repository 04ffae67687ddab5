"""Each view's depth map: read from its normals inside the hull, and moved to where the other views show the same.

Two outlines at right angles allow four legs where there are two, and normals leave open how deep each piece lies. So
every view is first integrated by itself, which gives the relief of each piece; then `stereo` finds the depth at which
the other views show that very piece, and the view is integrated again with what was found, together with the view
from the opposite side. What it shows without the others' help, an arm in front of a trunk, then lies at the depth of
the pixels beside it that the others do see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.mesh_raster import rasterise_layers
from pipelines.geometry.surface import extract
from pipelines.geometry.volumes import Volume
from pipelines.views.carve import Outline, carve
from pipelines.views.evidence import Clue, facing_pairs
from pipelines.views.relief import Bounds, Known, Sheet, integrate
from pipelines.views.stereo import stereo

Floats = NDArray[np.float32]

SEEN_TWICE = 0.1  # weight against 1 for a normal of a depth at which another view shows the same
SAME = 0.02  # share of the height by which two views may differ about a place that both show


def bounds_in(volume: Volume, clues: Sequence[Clue]) -> list[Bounds]:
    """First and last surface of a solid from every view."""
    vertices, faces = extract(volume)
    found = []
    for clue in clues:
        first, last = rasterise_layers(vertices, faces, clue.camera)
        found.append(Bounds(first.depth, last.depth))
    return found


class Turn(NamedTuple):
    """One round of turns. pull: weight towards the nearest bound. rounds: of normal integration. reach: share of the
    height by which a depth is looked for in other views."""

    pull: float
    rounds: int
    reach: float


def sculpt(
    clues: Sequence[Clue],
    low: NDArray,
    high: NDArray,
    voxel: float,
    height: float,
    say: Callable[[float, str], None],
    turns: Sequence[Turn],
    depths: Sequence[Floats | None] | None = None,
) -> list[Floats | None]:
    """Each view's depth map (None for views without normals).

    low, high: the box. height: of the person, metres. depths: maps of a coarser pass to start from.
    """
    groups = facing_pairs(clues)
    if not groups:
        return [None] * len(clues)
    hull = carve([Outline(c.mask, c.camera) for c in clues], low, high, voxel, enough=4.0 * voxel)
    limits = bounds_in(hull, clues)
    found: list[Floats | None] = [None] * len(clues)
    if depths is not None:
        found = [None if d is None else as_large_as(d, c) for d, c in zip(depths, clues, strict=True)]
    for n, turn in enumerate(turns):
        first = found[groups[0][0]] is None
        known = stereo(clues, found, limits, turn.reach * height, SAME * height, SEEN_TWICE)
        # A view and its opposite that are both off bend one another where they are sewn together: at first each is alone.
        sewn = [(i,) for group in groups for i in group] if first else groups
        for k, group in enumerate(sewn):
            say((n + k / len(sewn)) / len(turns), f"depth from the normals, round {n + 1}")
            sheets = [sheet_of(clues[i], limits[i], known[i], found[i]) for i in group]
            for i, depth in zip(group, integrate(sheets, rounds=turn.rounds, pull=turn.pull), strict=True):
                found[i] = depth
    return found


def sheet_of(clue: Clue, limits: Bounds, known: Known | None, start: Floats | None) -> Sheet:
    """What `integrate` needs of a view with normals."""
    assert clue.normal is not None
    return Sheet(clue.normal, clue.mask, clue.camera, limits, known, start)


def as_large_as(depth: Floats, clue: Clue) -> Floats:
    """A coarser depth map on a clue's grid; pixels that it does not cover take the nearest that it does."""
    if depth.shape == clue.mask.shape:
        return depth
    size = clue.mask.shape[1::-1]
    large = np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST), np.float32)
    hole = clue.mask & (large <= 0)
    if hole.any() and (large > 0).any():
        _, label = cv2.distanceTransformWithLabels((large <= 0).astype(np.uint8), cv2.DIST_L2, 5,
                                                   labelType=cv2.DIST_LABEL_PIXEL)  # fmt: skip
        source = np.zeros(int(label.max()) + 1, np.float32)
        source[label[large > 0]] = large[large > 0]
        large = np.where(hole, source[label], large)
    return np.where(clue.mask, large, 0.0).astype(np.float32)
