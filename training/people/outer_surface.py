"""The outermost surface of a dressed person, closed: what Chamfer distances and occupancy are measured against.

Depth maps of all parts (hair cut at its alpha) from many sides are fused into a signed distance field and its zero
level is taken (`pipelines.geometry.volumes`). Sheets get the thickness of a voxel; what no side sees is inside. Every
piece that is more than a speck is kept: under a skirt the feet are pieces of their own.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.evaluate.subject import Surface
from pipelines.geometry.cameras import Camera, intrinsics, look_at
from pipelines.geometry.surface import extract, pieces, smooth
from pipelines.geometry.volumes import DepthView, bounds_of, fuse
from training.people.raster import fill, pinhole
from training.people.scene import Scene

RINGS = ((-55.0, 6), (-18.0, 8), (12.0, 10), (42.0, 8), (72.0, 4))  # elevation in degrees, cameras
VOXEL = 0.010
PIXELS = 128  # depth maps have twice as many samples each way
DISTANCE, MARGIN = 4.0, 0.05
SPECK = 0.02**3  # m^3


def outer_surface(scene: Scene, *, voxel: float = VOXEL) -> Surface:
    """The closed surface of a scene, display frame. voxel in metres."""
    views = depth_views(scene)
    low, high = bounds_of(views, MARGIN)
    vertices, triangles = pieces(*extract(fuse(views, low, high, voxel)), SPECK)
    return Surface(smooth(vertices, triangles, 3).astype(np.float32), triangles.astype(np.int32))


def depth_views(scene: Scene) -> list[DepthView]:
    """First-surface depth maps from all sides, below and above."""
    low, high = scene.points.min(0).astype(np.float64), scene.points.max(0).astype(np.float64)
    middle, reach = 0.5 * (low + high), float(np.linalg.norm(high - low)) / 2.0
    fov = 2.0 * np.degrees(np.arcsin(min(1.04 * reach / DISTANCE, 0.9)))
    views = []
    for ring, (elevation, count) in enumerate(RINGS):
        for k in range(count):
            pose = look_at(middle, DISTANCE, 360.0 * (k + 0.5 * (ring % 2)) / count, elevation)
            camera = Camera(intrinsics(PIXELS, PIXELS, float(fov)), PIXELS, PIXELS, pose)
            ids, keys, _, _ = fill(pinhole(scene.points, camera), scene.faces, scene.uv, scene.owner, scene.cut,
                                   np.zeros_like(scene.hashes), scene.areas, scene.texels, scene.pyramid, PIXELS,
                                   PIXELS)  # fmt: skip
            # All samples of the doubled grid are used: its own intrinsics are those that `raster.pinhole` applies.
            K = np.diag([2.0, 2.0, 1.0]) @ camera.K
            K[:2, 2] -= 0.5
            depth = np.where(ids >= 0, 1.0 / np.where(ids >= 0, keys, 1.0), 0.0)
            views.append(DepthView(depth, Camera(K, 2 * PIXELS, 2 * PIXELS, pose)))
    return views


def occupancy(surface: Surface, to_cube: NDArray[np.floating], size: int = 64) -> NDArray[np.bool_]:
    """(size, size, size) voxels that the surface passes through, as TRELLIS' sparse structure has them.

    to_cube (4, 4): display frame -> cube -0.5..0.5 (`ortho.cube_of`). Voxel i spans [i / size - 0.5, (i + 1) / size -
    0.5] on each axis. What lies outside the cube is left out.
    """
    points = surface.vertices.astype(np.float64) @ to_cube[:3, :3].T + to_cube[:3, 3]
    out = np.zeros((size, size, size), np.bool_)
    _mark(points, surface.faces, out)
    return out


@njit(cache=True, error_model="numpy")
def _mark(points, faces, out):  # type: ignore[no-untyped-def]
    size = out.shape[0]
    for f in range(faces.shape[0]):
        a, b, c = points[faces[f, 0]], points[faces[f, 1]], points[faces[f, 2]]
        longest = 0.0
        for k in range(3):
            longest = max(longest, abs(a[k] - b[k]), abs(b[k] - c[k]), abs(c[k] - a[k]))
        n = int(longest * size * 3.0) + 1
        for p in range(n + 1):
            for q in range(n + 1 - p):
                s, t = p / n, q / n
                x = int(np.floor((a[0] + s * (b[0] - a[0]) + t * (c[0] - a[0]) + 0.5) * size))
                y = int(np.floor((a[1] + s * (b[1] - a[1]) + t * (c[1] - a[1]) + 0.5) * size))
                z = int(np.floor((a[2] + s * (b[2] - a[2]) + t * (c[2] - a[2]) + 0.5) * size))
                if 0 <= x < size and 0 <= y < size and 0 <= z < size:
                    out[x, y, z] = True
