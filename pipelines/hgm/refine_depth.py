"""Between the layers: along the photo's rays the body's first surface lies just behind the front layer and its last one
just before the back layer.

An extra term beside the paper's silhouettes, possible because the coarse person has both depths at every pixel. Clothes
only add: behind the front layer a body may lie as far as loose clothes reach, before it only by an error.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_terms import Rows, projected
from pipelines.body.read_body import body_vertices
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import rasterise_layers, vertex_normals
from pipelines.hgm.refine_body import Moved, MovingBody
from pipelines.records import Body, Layers

Array = NDArray[np.float64]
GRID = 256  # pixels, the longer side
STEEP = 2.5  # metres of depth per metre across beyond which a depth map is an edge
THICKNESS = 0.01  # metres of cloth over the skin, as a rule; none on face and hands
BEFORE, BEHIND = 0.012, 0.03  # metres, spread of a gap that is too small, and too large
ROBUST = 3.0
FACING = 0.3  # cosine to the ray below which a point's depth says little
SAME = 0.015  # metres within which a point counts as on the surface that is drawn
EVERY = 2  # of the points shown is asked: neighbours say the same
INDEPENDENT = 60.0  # what all gaps together count as, in independent measurements
BARE, UNSURE = ("face", "hand"), ("scalp", "head", "hand")  # no cloth; hair, or too small: not asked


@dataclass(frozen=True)
class Depths:
    """front, back (h, w) metres on `camera`'s grid; slope (2, 2, h, w): their change per pixel in x and y; sure (2, h, w):
    where there is a surface without an edge."""

    camera: Camera
    depth: Array
    slope: Array
    sure: NDArray[np.bool_]


def read_depths(layers: Layers) -> Depths:
    """The layers on a small grid."""
    width, height = layers.camera.width, layers.camera.height
    scale = min(1.0, GRID / max(width, height))
    camera = layers.camera.resized(max(1, round(width * scale)), max(1, round(height * scale)))
    rows = ((np.arange(camera.height) + 0.5) * height / camera.height).astype(int)
    columns = ((np.arange(camera.width) + 0.5) * width / camera.width).astype(int)
    mask = layers.arrays["mask"].astype(bool)[rows[:, None], columns]
    depth = np.stack([layers.arrays[n][rows[:, None], columns] for n in ("front", "back")]).astype(np.float64)
    slope = np.stack([np.gradient(d)[::-1] for d in depth])
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    metres = depth / camera.K[0, 0]
    sure = inner & (np.hypot(slope[:, 0], slope[:, 1]) < STEEP * metres)
    return Depths(camera, depth, slope, sure)


def shown_points(record: Body, body: MovingBody, depths: Depths) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The skin points on the first and on the last surface of the body in a record, as the photo's camera sees it."""
    vertices, faces = body_vertices(record)
    camera = record.camera.resized(depths.camera.width, depths.camera.height)
    first, last = rasterise_layers(vertices, faces, camera)
    normals = vertex_normals(vertices, faces)[body.ids] @ camera.world_to_camera[:3, :3].T
    at = camera.to_camera(vertices[body.ids])
    cosine = -(normals * at).sum(1) / np.linalg.norm(at, axis=1)
    cell = (at[:, :2] / at[:, 2:] * np.diag(camera.K)[:2] + camera.K[:2, 2]).astype(int)
    inside = np.asarray((cell >= 0).all(1) & (cell < (camera.width, camera.height)).all(1))
    x, y = np.where(inside[:, None], cell, 0).T
    names = body.rig.part_names
    asked = inside & ~np.isin(body.part, [i for i, name in enumerate(names) if name.startswith(UNSURE)])
    front = asked & (cosine > FACING) & (at[:, 2] < first.depth[y, x] + SAME)
    back = asked & (cosine < -FACING) & (at[:, 2] > last.depth[y, x] - SAME)
    return np.flatnonzero(front)[::EVERY], np.flatnonzero(back)[::EVERY]


def depth_rows(
    rows: Rows, body: MovingBody, moved: Moved, depths: Depths, shown: tuple[NDArray[np.intp], NDArray[np.intp]],
    weight: float,
) -> None:  # fmt: skip
    """Gaps between the points `shown` in front and behind and the layers there."""
    names = body.rig.part_names
    bare = np.isin(body.part, [i for i, name in enumerate(names) if name.startswith(BARE)])
    scale = body.height / 1.7
    residuals, slopes = [], []
    for side, points in enumerate(shown):
        at = moved.skin[points]
        d = body.slopes(body.skin[points], moved)
        px, d_px = projected(at, d, depths.camera.K)
        x = px[:, 0].astype(int).clip(0, depths.camera.width - 1)
        y = px[:, 1].astype(int).clip(0, depths.camera.height - 1)
        sign = 1.0 if side == 0 else -1.0
        gap = sign * (at[:, 2] - depths.depth[side, y, x]) - np.where(bare[points], 0.0, THICKNESS * scale)
        spread = np.where((gap < 0) | bare[points], BEFORE, BEHIND) * scale
        along = depths.slope[side][:, y, x]
        slope = sign * (d[:, 2] - along[0][:, None] * d_px[:, 0] - along[1][:, None] * d_px[:, 1])
        # Beside the person or at an edge there is no surface to compare with; the silhouettes hold these points.
        sure = depths.sure[side, y, x]
        residuals.append((gap / spread)[sure])
        slopes.append((slope / spread[:, None])[sure])
    count = sum(len(points) for points in shown)
    share = np.sqrt(weight * INDEPENDENT / max(count, 1))
    residual, jacobian = np.concatenate(residuals) * share, np.concatenate(slopes) * share
    rows.add("depth", residual, jacobian, ROBUST * share)
