"""Hull and normals in turns: each view's depth map is read from its normals inside the hull, and the hull is cut back
to it; the next round reads inside what is left.

Two outlines at right angles allow four legs where there are two. The normals of the front view know that the right
leg goes back from the hip downwards, the cut removes the leg that was never there, and the side view then sees
through to the other. Views also correct one another: where the depth maps of two views meet within a tolerance and
their normals agree, they show the same point, and each is drawn to what the other says (`agreed`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.mesh_raster import rasterise_layers, rasterise_mesh
from pipelines.geometry.surface import extract
from pipelines.geometry.volumes import Volume
from pipelines.views.carve import Outline, carve
from pipelines.views.contact import together, touching
from pipelines.views.evidence import Clue
from pipelines.views.relief import Bounds, Known, Sheet, integrate

Floats = NDArray[np.float32]

# Weights against 1 for a normal: of a point that two views show, of an outline pixel.
AGREED, TOUCHING = 0.02, 0.3
SAME_NORMAL = np.cos(np.radians(35.0))


def bounds_in(volume: Volume, clues: Sequence[Clue]) -> list[Bounds]:
    """First and last surface of a solid from every view."""
    vertices, faces = extract(volume)
    found = []
    for clue in clues:
        first, last = rasterise_layers(vertices, faces, clue.camera)
        found.append(Bounds(first.depth, last.depth))
    return found


def outlines_of(clues: Sequence[Clue], depths: Sequence[Floats | None], margin: float) -> list[Outline]:
    """What the views allow, with their depth maps cut `margin` metres in front of what they show."""
    return [Outline(c.mask, c.camera, d, margin) for c, d in zip(clues, depths, strict=True)]


def agreed(
    clues: Sequence[Clue], depths: Sequence[Floats | None], tolerance: float, weight: float
) -> list[Known | None]:
    """For every view, the depths that the other views' maps say of the points that it shows as well.

    A point of view a, moved to the depth that it has in view b (within `tolerance` metres, normals alike), is at
    another place of a's picture in general; along a's ray the point where b's surface is met is found by one step of
    Newton on b's depth, with b's normal as its tangent plane.
    """
    found: list[Known | None] = []
    for a, (clue, depth) in enumerate(zip(clues, depths, strict=True)):
        if depth is None or clue.normal is None:
            found.append(None)
            continue
        row, column = np.nonzero(depth > 0)
        pixels = np.stack([column, row], 1) + 0.5
        z = depth[row, column].astype(np.float64)
        points = clue.camera.unproject(pixels, z)
        ray = points - clue.camera.position
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        normals = clue.normal[row, column]
        total, mean = np.zeros(len(z)), np.zeros(len(z))
        for b, (other, there) in enumerate(zip(clues, depths, strict=True)):
            if a == b or there is None or other.normal is None:
                continue
            at, _ = other.camera.project(points)
            c, r = np.floor(at).astype(int).T
            inside = (c >= 0) & (r >= 0) & (c < other.camera.width) & (r < other.camera.height)
            c, r = np.where(inside, c, 0), np.where(inside, r, 0)
            seen = there[r, c].astype(np.float64)
            surface = other.camera.unproject(np.stack([c, r], 1) + 0.5, np.where(seen > 0, seen, 1.0))
            n = other.normal[r, c].astype(np.float64)
            along = (n * ray).sum(1)
            step = (n * (surface - points)).sum(1) / np.where(np.abs(along) < 0.15, np.inf, along)
            like = (n * normals).sum(1)
            good = inside & (seen > 0) & (like > SAME_NORMAL) & (np.abs(step) < tolerance) & (np.abs(along) > 0.15)
            good &= np.linalg.norm(surface - points, axis=1) < 2.0 * tolerance
            w = np.where(
                good, like**4 * np.abs(along) * np.maximum(-(n @ -other.camera.world_to_camera[2, :3]) * -1, 0), 0.0
            )
            total += w
            mean += w * step
        target, trust = np.zeros(depth.shape), np.zeros(depth.shape)
        good = total > 1e-3
        cosine = (ray @ clue.camera.world_to_camera[2, :3])[good]
        target[row[good], column[good]] = z[good] + mean[good] / total[good] * cosine
        trust[row[good], column[good]] = weight * np.minimum(total[good], 1.0)
        found.append(Known(target, trust))
    return found


def sculpt(
    clues: Sequence[Clue],
    low: NDArray,
    high: NDArray,
    voxel: float,
    height: float,
    say: Callable[[float, str], None],
    *,
    depths: Sequence[Floats | None] | None = None,
    margins: Sequence[float] = (0.05, 0.035, 0.025, 0.015),
    pulls: Sequence[float] = (1e-4, 3e-4, 1e-3, 2e-3),
    rounds: int = 6,
) -> list[Floats | None]:
    """Each view's depth map (None for views without normals).

    low, high: the box. height: of the person, metres; margins are shares of it, one round of turns each. depths: maps
    of a coarser pass to start from.
    """
    groups = facing_pairs(clues)
    if not groups:
        return [None] * len(clues)
    hull = carve(outlines_of(clues, [None] * len(clues), 0.0), low, high, voxel)
    found: list[Floats | None] = [None] * len(clues)
    known: list[Known | None] = [None] * len(clues)
    if depths is not None:
        found = [None if d is None else as_large_as(d, c) for d, c in zip(depths, clues, strict=True)]
    for turn, margin in enumerate(margins):
        metres = (margins[turn - 1] if turn else margin) * height
        limits = [Bounds(np.zeros(c.mask.shape), np.zeros(c.mask.shape)) for c in clues]
        for group in groups:
            # A view's own mistakes must not cut the hull that it is read in.
            others = [None if i in group else d for i, d in enumerate(found)]
            cut = hull
            if any(d is not None for d in others):
                cut = with_outlines(carve(outlines_of(clues, others, metres), low, high, voxel), hull, clues)
            inside = bounds_in(cut, [clues[i] for i in group])
            for i, bounds in zip(group, inside, strict=True):
                limits[i] = bounds
        if found[groups[0][0]] is not None:
            known = knowledge(clues, found, limits, low, high, metres)
        for n, group in enumerate(groups):
            say((turn + n / len(groups)) / len(margins), f"depth from the normals, round {turn + 1}")
            sheets = [sheet_of(clues[i], limits[i], known[i], found[i]) for i in group]
            for i, depth in zip(group, integrate(sheets, rounds=rounds, pull=pulls[turn]), strict=True):
                found[i] = depth
    return found


def sheet_of(clue: Clue, limits: Bounds, known: Known | None, start: Floats | None) -> Sheet:
    """What `integrate` needs of a view with normals."""
    assert clue.normal is not None
    return Sheet(clue.normal, clue.mask, clue.camera, limits, known, start)


def with_outlines(cut: Volume, hull: Volume, clues: Sequence[Clue]) -> Volume:
    """The cut solid with the hull put back along the rays of pixels that lost all of theirs: some cut was wrong there."""
    vertices, faces = extract(cut)
    values = cut.values
    for clue in clues:
        lost = (clue.mask & ~rasterise_mesh(vertices, faces, clue.camera).mask).astype(np.uint8)
        lost = np.asarray(cv2.morphologyEx(lost, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)), np.uint8)
        if lost.any():
            grown = (cv2.dilate(lost, np.ones((3, 3), np.uint8)) > 0) & clue.mask
            high = hull.origin + (np.array(hull.values.shape) - 1) * hull.voxel
            back = carve([Outline(grown, clue.camera)], hull.origin, high, hull.voxel)
            values = np.minimum(values, np.maximum(hull.values, back.values))
    return replace(cut, values=values)


def knowledge(
    clues: Sequence[Clue],
    depths: Sequence[Floats | None],
    limits: Sequence[Bounds],
    low: NDArray,
    high: NDArray,
    margin: float,
) -> list[Known | None]:
    """What all views together say of each view's depths, which are good to about `margin` metres."""
    meet = agreed(clues, depths, 2.0 * margin, AGREED)
    touch = touching(clues, depths, limits, low, high, 6.0 * margin, margin + 0.01, TOUCHING)
    return [together(a, b) for a, b in zip(meet, touch, strict=True)]


def facing_pairs(clues: Sequence[Clue]) -> list[tuple[int, ...]]:
    """Views with normals, each with the view that looks at it from the opposite side, if there is one."""
    left = [i for i, c in enumerate(clues) if c.normal is not None]
    groups: list[tuple[int, ...]] = []
    while left:
        i = left.pop(0)
        axis = clues[i].camera.world_to_camera[2, :3]
        partner = next((j for j in left if clues[j].camera.world_to_camera[2, :3] @ axis < -0.9999), None)
        if partner is None:
            groups.append((i,))
        else:
            left.remove(partner)
            groups.append((i, partner))
    return groups


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
