"""What level views from eight sides see of a person: the truth's very triangles, and a surface made from some of them.

A closed surface fused on a grid is no truth for a carved one: it rounds off what is finer than its cells, and sheets
thinner than a cell (skirts, hems, hair) fall apart in it; its normals are 5 to 20 degrees off those that the person's
own pictures show. So truth and result are looked at alike, in parallel projections from eight sides, 45 degrees apart:

- normals: the angle between the two at every pixel that both cover, mean over pixels (as ECON's and PSHuman's normal
  error, in degrees, without a turn of the result);
- outlines: intersection over union;
- Chamfer: every pixel is a point; the mean distance from points of the one to the nearest of the other, both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipelines.geometry.mesh_raster import interpolate, rasterise_mesh, vertex_normals
from pipelines.geometry.orthographic import DISTANCE, OrthographicCamera, around
from training.people.raster import FAR, fill, parallel
from training.people.scene import Scene
from training.people.shade import surface_facts

Array = NDArray[np.float64]

SIDES, SIZE = 8, 960
GRAZING = 0.1  # cosine between normal and ray below which a pixel's share of the surface is not told any more
BEHIND = 0.01  # metres by which a point may lie behind another view's surface and still be what it sees
POINTS = 30_000  # of each surface, whose distance to the other is taken


class Side(NamedTuple):
    """One projection. depth: (H, W) z in the camera's frame, metres, 0 outside. normal: (H, W, 3), display frame."""

    camera: OrthographicCamera
    depth: Array
    normal: Array


def cameras_around(low: Array, high: Array, sides: int = SIDES, size: int = SIZE) -> list[OrthographicCamera]:
    """Level cameras that show the box low..high, (3,) metres each, from all around, the first from the front."""
    scale = size / (1.04 * float(np.linalg.norm(high - low)))
    return [around(360.0 * k / sides, 0.0, size, scale, 0.5 * (low + high)) for k in range(sides)]


def person_sides(scene: Scene, place: Array) -> list[Side]:
    """A synthetic person, moved by -place (3,)."""
    s = scene
    points = s.points.astype(np.float64) - place
    found = []
    for camera in cameras_around(points.min(0), points.max(0)):
        size = camera.width
        screen = parallel(points, camera.world_to_camera, size / camera.scale, size)
        ids, keys, _, _ = fill(screen, s.faces, s.uv, s.owner, s.cut, np.zeros_like(s.hashes), s.areas, s.texels,
                               s.pyramid, size, size)  # fmt: skip
        # Every second sample of the doubled grid is a pixel's centre.
        centre = np.ascontiguousarray(ids[::2, ::2])
        normal, _, _ = surface_facts(screen, centre, s.faces, s.uv, s.normals, s.label)
        found.append(Side(camera, np.where(centre >= 0, FAR - keys[::2, ::2].astype(np.float64), 0.0), normal))
    return found


def mesh_sides(vertices: NDArray[np.floating], faces: NDArray[np.integer], like: Sequence[Side]) -> list[Side]:
    """A surface, seen by the cameras of other sides."""
    points = np.asarray(vertices, np.float64)
    normals = vertex_normals(points, faces)
    found = []
    for camera, _, _ in like:
        image = rasterise_mesh(points, faces, camera.distant())
        normal = interpolate(image, faces, normals).astype(np.float64)
        normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
        found.append(Side(camera, np.where(image.mask, image.depth.astype(np.float64) - DISTANCE, 0.0), normal))
    return found


def compared(result: Sequence[Side], truth: Sequence[Side], height: float) -> dict[str, float]:
    """chamfer_pct: mean of both directions, % of the height (metres). normal_deg: mean over the pixels of all sides;
    normal_between_deg: of those sides alone that lie between front, sides and back. iou: mean over sides."""
    angles, overlap = [], []
    for a, b in zip(result, truth, strict=True):
        both, either = (a.depth != 0) & (b.depth != 0), (a.depth != 0) | (b.depth != 0)
        angles.append(np.degrees(np.arccos(np.clip((a.normal * b.normal).sum(-1)[both], -1.0, 1.0))))
        overlap.append(both.sum() / max(either.sum(), 1))
    mine, true = points_of(result), points_of(truth)
    there, _ = cKDTree(true[0]).query(drawn(mine))
    back, _ = cKDTree(mine[0]).query(drawn(true))
    return {
        "chamfer_pct": 50.0 * float(there.mean() + back.mean()) / height,
        "normal_deg": float(np.concatenate(angles).mean()),
        "normal_between_deg": float(np.concatenate(angles[1::2]).mean()),
        "iou": float(np.mean(overlap)),
    }


def points_of(sides: Sequence[Side]) -> tuple[Array, Array]:
    """Points (N, 3) that the sides see and the share of the surface that each stands for (N,), sum 1. A place that
    several see is counted by the one that faces it most."""
    points, area = [], []
    for k, (camera, depth, normal) in enumerate(sides):
        row, column = np.nonzero(depth)
        at = camera.unproject(np.stack([column, row], 1) + 0.5, depth[row, column])
        normals = normal[row, column].astype(np.float64)
        facing = normals @ camera.towards
        best = np.ones(len(at), bool)
        for j, other in enumerate(sides):
            if j != k:
                better = normals @ other.camera.towards > facing + (1e-9 if j > k else -1e-9)
                best &= ~(better & _sees(other, at))
        points.append(at[best])
        area.append(1.0 / np.maximum(facing[best], GRAZING))
    share = np.concatenate(area)
    return np.concatenate(points), share / share.sum()


def drawn(cloud: tuple[Array, Array], count: int = POINTS, seed: int = 0) -> Array:
    """(count, 3) points spread evenly over a surface."""
    return cloud[0][np.random.default_rng(seed).choice(len(cloud[0]), count, p=cloud[1])]


def _sees(side: Side, points: Array) -> NDArray[np.bool_]:
    """(N,) whether a side's first surface is at these points."""
    pixels, z = side.camera.project(points)
    column, row = np.clip(np.floor(pixels), 0, side.camera.width - 1).astype(int).T
    there = side.depth[row, column]
    return (there != 0) & (z < there + BEHIND)
