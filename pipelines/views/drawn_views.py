"""Views drawn from a mesh: what a perfect generator would give. Truth for tests and numbers, and the way to make a set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.mesh_raster import interpolate, rasterise_mesh, vertex_normals
from pipelines.geometry.orthographic import around
from pipelines.views.records import PosedView, Views

FOUR = (("front", 0.0), ("right", 90.0), ("back", 180.0), ("left", 270.0))
SIX = (
    ("front face", 0.0),
    ("front right", 45.0),
    ("right", 90.0),
    ("back", 180.0),
    ("left", 270.0),
    ("front left", 315.0),
)


def draw_views(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    colours: NDArray[np.floating],
    sides: Sequence[tuple[str, float]] = FOUR,
    size: int = 768,
    margin: float = 1.02,
    with_normals: bool = True,
) -> Views:
    """Orthographic, level pictures of `size` px around the y axis; the person's height times `margin` fills a picture.

    vertices (V, 3) metres in the display frame, colours (V, 3) 0..1. sides: labels and azimuths.
    """
    points = np.asarray(vertices, np.float64)
    low, high = points[:, 1].min(), points[:, 1].max()
    reach = max(high - low, 2.0 * float(np.hypot(points[:, 0], points[:, 2]).max())) * margin
    views = [draw_view(points, faces, colours, label, azimuth, size, reach, with_normals) for label, azimuth in sides]
    facts = {"source": "drawn", "height_m": float(high - low), "mirrored": []}
    return Views(tuple(views), facts)


def draw_view(
    points: NDArray[np.float64], faces: NDArray[np.integer], colours: NDArray[np.floating], label: str, azimuth: float,
    size: int, reach: float, with_normals: bool = True,
) -> PosedView:  # fmt: skip
    """One of them. reach: metres that the picture shows."""
    middle = 0.5 * (points[:, 1].min() + points[:, 1].max())
    camera = around(azimuth, 0.0, size, size / reach, np.array([0.0, middle, 0.0]))
    image = rasterise_mesh(points, faces, camera.distant())
    rgba = np.dstack([np.clip(interpolate(image, faces, colours), 0.0, 1.0), image.mask.astype(np.float32)])
    normal = None
    if with_normals:
        drawn = interpolate(image, faces, vertex_normals(points, faces))
        normal = drawn / np.maximum(np.linalg.norm(drawn, axis=-1, keepdims=True), 1e-9)
    return PosedView(label, rgba.astype(np.float32), camera, normal)


def turned(points: NDArray[np.floating], degrees: float) -> NDArray[np.float64]:
    """Points (V, 3) turned about the y axis, the front towards the person's left."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.asarray(points, np.float64) @ np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
