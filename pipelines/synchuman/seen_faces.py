"""Which face each pixel of a view sees, and how often each face is seen from all around."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import MeshImage, _fill, _shade, to_screen
from pipelines.synchuman.bake_cameras import FOV, RADIUS, hammersley_angles, orthographic_pixels, perspective_camera

VISIBILITY_VIEWS = 1000
VISIBILITY_SIZE = 1024
NUDGE = 1e-6  # radians off straight below, where a view has no right of its own

Faces = NDArray[np.integer]
Vertices = NDArray[np.floating]


def orthographic_view(vertices: Vertices, faces: Faces, matrix: NDArray[np.float64], size: int) -> MeshImage:
    """The first surface in the orthographic view of the cube, row 0 at the top.

    vertices (V, 3), faces (F, 3), matrix (4, 4) world to OpenCV camera. Depth is the distance along the view.
    """
    screen = orthographic_pixels(vertices, matrix, size)
    farthest = 1.0 + screen[:, 2].max(initial=0.0)
    # The buffer keeps the largest of a quantity that is linear on the screen; 0 and below is not drawn.
    nearness = farthest - screen[:, 2]
    return _first_surface(screen, nearness, np.ones(len(screen)), faces, size, lambda kept: farthest - kept)


def perspective_view(vertices: Vertices, faces: Faces, camera: Camera) -> MeshImage:
    """The first surface in a square view, row 0 at the top, on exact positions.

    `rasterise_mesh` snaps corners to a grid of 1/1024 pixel, which moves what is baked by as much.
    """
    pixels, depth = camera.project(vertices)
    screen = np.concatenate([pixels, depth[:, None]], 1)
    return _first_surface(screen, 1 / depth, 1 / depth, faces, camera.width, lambda kept: 1 / kept)


def _first_surface(
    screen: NDArray[np.float64],
    nearness: NDArray[np.float64],
    weight: NDArray[np.float64],
    faces: Faces,
    size: int,
    distance: Callable[[NDArray[np.float32]], NDArray[np.floating]],
) -> MeshImage:
    """screen (V, 3): pixels and depth; nearness (V,) decides, weight (V,) is what attributes are linear in over z."""
    corners = np.ascontiguousarray(faces, np.int32)
    plane = screen.copy()
    plane[:, 2] = nearness
    ids, kept = _fill(plane, corners, size, size)
    plane[:, 2] = weight
    _, face, barycentric = _shade(plane, corners, ids[0], np.ones_like(kept[0]))
    seen = face >= 0
    depth = np.where(seen, distance(np.where(seen, kept[0], np.float32(1))), 0)
    return MeshImage(depth.astype(np.float32), face, barycentric)


def visible_counts(
    vertices: Vertices,
    faces: Faces,
    views: int = VISIBILITY_VIEWS,
    size: int = VISIBILITY_SIZE,
    progress: Callable[[float], None] | None = None,
) -> NDArray[np.int64]:
    """(F,) in how many of the views at least one pixel centre shows the face; nothing is culled."""
    count = np.zeros(len(faces), np.int64)
    angles = hammersley_angles(views)
    angles[0, 1] += NUDGE
    for i, (yaw, pitch) in enumerate(angles):
        count[faces_in_view(vertices, faces, float(yaw), float(pitch), size)] += 1
        if progress is not None:
            progress((i + 1) / views)
    return count


def faces_in_view(vertices: Vertices, faces: Faces, yaw: float, pitch: float, size: int) -> NDArray[np.int64]:
    """The faces that a perspective view from two units away shows, ascending."""
    if len(faces) == 0:
        return np.zeros(0, np.int64)
    screen = to_screen(vertices, perspective_camera(yaw, pitch, size, RADIUS, FOV))
    ids, _ = _fill(screen, np.ascontiguousarray(faces, np.int32), size, size)
    seen = np.zeros(len(faces) + 1, bool)
    seen[ids[0]] = True  # pixels that show nothing mark the last, extra place
    return np.flatnonzero(seen[:-1])
