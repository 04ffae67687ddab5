"""Which triangle each pixel sees: a z-buffer over a triangle mesh, first and last surface in one pass.

Vertices are snapped to 1/1024 px, so that the edge functions are exact in double precision, and a pixel
centre on an edge belongs to one side of it by the top-left rule: neighbours leave no hole and cover nothing
twice, and first and last surface of a watertight mesh have the same silhouette. Inverse depth is linear on the
screen; it is what the buffer compares. Attributes are interpolated afterwards, once per covered pixel, with
perspective-correct barycentric coordinates (Heckbert & Moreton 1991). Nothing is culled: a back face is a surface
like another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera

NEAR = 0.05  # metres; a face that comes nearer to the camera's plane than this is not drawn
SNAP = 1024.0  # grid steps per pixel; exact in double precision up to pictures of 60 000 px


class MeshImage(NamedTuple):
    """One surface of a mesh on a pixel grid.

    depth: (H, W) float32, z in metres, 0 where nothing is. face_id: (H, W) int32, -1 where nothing is.
    barycentric: (H, W, 3) float32, weights of the face's three vertices, sum 1, 0 where nothing is.
    """

    depth: NDArray[np.float32]
    face_id: NDArray[np.int32]
    barycentric: NDArray[np.float32]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) where the surface is."""
        return self.face_id >= 0


def rasterise_mesh(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], camera: Camera, *, last: bool = False
) -> MeshImage:
    """(V, 3) world metres, (F, 3) -> each pixel's first surface, or with `last` its last one."""
    return _surfaces(vertices, faces, camera, (int(last),))[0]


def rasterise_layers(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], camera: Camera
) -> tuple[MeshImage, MeshImage]:
    """(V, 3) world metres, (F, 3) -> the first and the last surface along every pixel's ray.

    Faces with a vertex nearer than `NEAR` are left out. Equal depths go to the lower face number.
    """
    first, last = _surfaces(vertices, faces, camera, (0, 1))
    return first, last


def _surfaces(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], camera: Camera, which: tuple[int, ...]
) -> list[MeshImage]:
    screen = to_screen(vertices, camera)
    faces = np.ascontiguousarray(faces, np.int32)
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"Faces came with shape {faces.shape}; they need (F, 3).")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(screen)):
        raise ValueError(f"A face names vertex {faces.max()}; the mesh has {len(screen)}.")
    ids, inverse = _fill(screen, faces, camera.width, camera.height)
    return [MeshImage(*_shade(screen, faces, ids[k], inverse[k])) for k in which]


def to_screen(vertices: NDArray[np.floating], camera: Camera) -> NDArray[np.float64]:
    """(V, 3) world metres -> (V, 3) x px, y px on the snapping grid, and 1/z; 0 where nearer than `NEAR`."""
    local = camera.to_camera(vertices)
    z = local[:, 2]
    visible = z >= NEAR
    screen = np.zeros_like(local)
    screen[:, 2] = np.where(visible, 1.0 / np.where(visible, z, 1.0), 0.0)
    pixels = (local @ camera.K.T)[:, :2] * screen[:, 2:]
    screen[:, :2] = np.round(np.clip(pixels, -60000.0, 60000.0) * SNAP) / SNAP
    return screen


def interpolate(image: MeshImage, faces: NDArray[np.integer], attributes: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vertex attributes (V, C) on a surface -> (H, W, C) float32, 0 where nothing is."""
    attributes = np.ascontiguousarray(attributes, np.float32)
    return _gather(image.face_id, image.barycentric, np.ascontiguousarray(faces, np.int32), attributes)


def face_normals(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """(F, 3) unit normals, right-handed (counter-clockwise seen from the tip); 0 for faces without area."""
    a, b, c = (np.asarray(vertices, np.float64)[faces[:, k]] for k in range(3))
    return _unit(np.cross(b - a, c - a))


def vertex_normals(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """(V, 3) unit normals, the area-weighted mean of the adjoining faces."""
    vertices = np.asarray(vertices, np.float64)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    columns = [sum(np.bincount(faces[:, k], normal[:, axis], len(vertices)) for k in range(3)) for axis in range(3)]
    return _unit(np.stack(columns, -1))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length < 1e-20, 1.0, length)


@njit(cache=True, fastmath=False, error_model="numpy")
def _fill(screen, faces, width, height):  # type: ignore[no-untyped-def]
    """Face numbers (2, H, W) and inverse depths (2, H, W) of the first and the last surface."""
    ids = np.full((2, height, width), -1, np.int32)
    inverse = np.zeros((2, height, width), np.float32)
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, aw = screen[i, 0], screen[i, 1], screen[i, 2]
        bx, by, bw = screen[j, 0], screen[j, 1], screen[j, 2]
        cx, cy, cw = screen[k, 0], screen[k, 1], screen[k, 2]
        if aw <= 0.0 or bw <= 0.0 or cw <= 0.0:
            continue
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), width - 1)
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), height - 1)
        if right < left or bottom < top:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        if area < 0.0:  # a back face: walk it the other way round
            bx, by, bw, cx, cy, cw = cx, cy, cw, bx, by, bw
            area = -area
        # Steps of the three edge functions per pixel; edge 0 lies opposite to a.
        ux0, uy0 = by - cy, cx - bx
        ux1, uy1 = cy - ay, ax - cx
        ux2, uy2 = ay - by, bx - ax
        on0 = ux0 > 0.0 or (ux0 == 0.0 and uy0 > 0.0)
        on1 = ux1 > 0.0 or (ux1 == 0.0 and uy1 > 0.0)
        on2 = ux2 > 0.0 or (ux2 == 0.0 and uy2 > 0.0)
        px, py = left + 0.5, top + 0.5
        row0 = ux0 * (px - bx) + uy0 * (py - by)
        row1 = ux1 * (px - cx) + uy1 * (py - cy)
        row2 = ux2 * (px - ax) + uy2 * (py - ay)
        scale = 1.0 / area
        for y in range(top, bottom + 1):
            e0, e1, e2 = row0, row1, row2
            for x in range(left, right + 1):
                if (
                    (e0 > 0.0 or (e0 == 0.0 and on0))
                    and (e1 > 0.0 or (e1 == 0.0 and on1))
                    and (e2 > 0.0 or (e2 == 0.0 and on2))
                ):
                    w = np.float32((e0 * aw + e1 * bw + e2 * cw) * scale)
                    if w > inverse[0, y, x]:
                        inverse[0, y, x] = w
                        ids[0, y, x] = f
                    if ids[1, y, x] < 0 or w < inverse[1, y, x]:
                        inverse[1, y, x] = w
                        ids[1, y, x] = f
                e0 += ux0
                e1 += ux1
                e2 += ux2
            row0 += uy0
            row1 += uy1
            row2 += uy2
    return ids, inverse


@njit(cache=True, error_model="numpy")
def _shade(screen, faces, ids, inverse):  # type: ignore[no-untyped-def]
    """Depth, face number and perspective-correct barycentric coordinates of one surface."""
    height, width = ids.shape
    depth = np.zeros((height, width), np.float32)
    weights = np.zeros((height, width, 3), np.float32)
    for y in range(height):
        for x in range(width):
            f = ids[y, x]
            if f < 0:
                continue
            depth[y, x] = 1.0 / inverse[y, x]
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            px, py = x + 0.5, y + 0.5
            ax, ay = screen[i, 0] - px, screen[i, 1] - py
            bx, by = screen[j, 0] - px, screen[j, 1] - py
            cx, cy = screen[k, 0] - px, screen[k, 1] - py
            w0 = (bx * cy - by * cx) * screen[i, 2]
            w1 = (cx * ay - cy * ax) * screen[j, 2]
            w2 = (ax * by - ay * bx) * screen[k, 2]
            total = w0 + w1 + w2
            weights[y, x, 0] = w0 / total
            weights[y, x, 1] = w1 / total
            weights[y, x, 2] = w2 / total
    return depth, ids, weights


@njit(cache=True, error_model="numpy")
def _gather(ids, weights, faces, attributes):  # type: ignore[no-untyped-def]
    height, width = ids.shape
    channels = attributes.shape[1]
    out = np.zeros((height, width, channels), np.float32)
    for y in range(height):
        for x in range(width):
            f = ids[y, x]
            if f < 0:
                continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            w0, w1, w2 = weights[y, x, 0], weights[y, x, 1], weights[y, x, 2]
            for c in range(channels):
                out[y, x, c] = w0 * attributes[i, c] + w1 * attributes[j, c] + w2 * attributes[k, c]
    return out
