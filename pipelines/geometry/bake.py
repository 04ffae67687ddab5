"""Colours for a mesh's texture, from pictures: the photo first, other views where it sees nothing.

Each texel is a point with a normal. A picture gives it a colour where the mesh's own depth says that the point is
visible there, with a weight that falls with the angle between normal and ray and towards the picture's outline
(`Picture.feather` pixels), so that sources meet without a seam. Sources are laid one over the other in
the order of `bake`; inside a group of views the weights are averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import interpolate, rasterise_mesh, vertex_normals
from pipelines.geometry.unwrap import Atlas, uv_image

Floats = NDArray[np.float32]

SEEN, GRAZING, GENERATED = 0, 1, 2  # the codes of records.SEEN_NAMES
GRAZING_ANGLE = 70.0  # degrees between normal and ray beyond which a surface is only grazed
_TOLERANCE = 0.006  # metres by which a visible point may lie behind the depth picture
_EDGE = 0.03  # metres between neighbouring pixels that make a depth edge


class Bend(Protocol):
    """A way from the mesh's world to another, in which a picture's camera stands."""

    def points(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, 3) metres -> (N, 3) metres."""
        ...

    def normals(self, points: NDArray[np.floating], normals: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, 3) unit normals of a surface at points (N, 3) of the mesh's world -> (N, 3) unit, in the other."""
        ...


@dataclass(frozen=True)
class Picture:
    """A picture of the mesh from one camera.

    rgb: (H, W, 3) 0..1. alpha: (H, W) 0..1, the person. last: it shows the surface farthest from the camera (the back
    of a two-layer photo). feather: pixels inside the outline over which trust rises to full; with `edges` also beside
    the mesh's depth edges, for pictures whose edges lie elsewhere by a pixel or two. A photo is trusted there: seen
    from its own camera nothing else fits. sharpness: power of the cosine in the weight; 0 trusts all angles alike
    until they graze. fade: cosines between normal and ray over which trust rises from 0 to full. bend: the way to the
    camera's world where that is not the mesh's.
    """

    rgb: NDArray[np.floating]
    alpha: NDArray[np.floating]
    camera: Camera
    last: bool = False
    feather: float = 3.0
    edges: bool = False
    sharpness: float = 0.0
    fade: tuple[float, float] = (0.1, 0.4)
    bend: Bend | None = None
    _seen: dict = field(default_factory=dict, repr=False, compare=False)

    def see(self, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> tuple[Floats, Floats]:
        """Depth of the mesh (H, W) in this camera, 0 outside, and the trust (H, W) 0..1; computed once."""
        if "depth" not in self._seen:
            placed = vertices if self.bend is None else self.bend.points(vertices)
            depth = rasterise_mesh(placed, faces, self.camera, last=self.last).depth
            self._seen["depth"], self._seen["trust"] = depth, _trust(depth, self.alpha, self.feather, self.edges)
        return self._seen["depth"], self._seen["trust"]


@dataclass(frozen=True)
class Points:
    """Places on the surface with what the sources need: position (n, 3) metres, normal (n, 3) unit, and the size of a
    texel (n,) in metres (0: as sharp as the picture is)."""

    position: NDArray[np.floating]
    normal: NDArray[np.floating]
    texel: NDArray[np.floating]


def bake(
    atlas: Atlas,
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    layers: Sequence[Sequence[Picture]],
    cloud: tuple[NDArray[np.floating], NDArray[np.floating]],
    size: int,
) -> Floats:
    """Texture (size, size, 3) 0..1 of the unwrapped mesh, row 0 at the top.

    vertices (V, 3), faces (F, 3): the welded mesh that `atlas` was made from. layers: groups of pictures, the most
    trusted group first. cloud: points (N, 3) and colours (N, 3) that colour the rest. Texels outside
    all charts take the nearest chart's colour, so that filtering and mipmaps bleed nothing in.
    """
    normals = vertex_normals(vertices, faces)
    image = uv_image(atlas.uv, atlas.faces, size)
    copies = np.concatenate([vertices[atlas.vertex], normals[atlas.vertex]], 1)
    values = interpolate(image, atlas.faces, copies)[image.mask]
    length = np.linalg.norm(values[:, 3:], axis=1, keepdims=True)
    texel = _texel_size(atlas, np.asarray(vertices, np.float64), size)[image.face_id[image.mask]]
    points = Points(values[:, :3], values[:, 3:] / np.maximum(length, 1e-9), texel)
    texture = np.zeros((size, size, 3), np.float32)
    texture[image.mask] = blend(points, vertices, faces, layers, cloud)
    return dilate(texture, image.mask)


def blend(
    points: Points,
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    layers: Sequence[Sequence[Picture]],
    cloud: tuple[NDArray[np.floating], NDArray[np.floating]],
) -> Floats:
    """(n, 3) colours of points on the mesh: each group covers what the groups before it left open."""
    colour = np.zeros((len(points.position), 3), np.float32)
    left = np.ones(len(points.position), np.float32)
    for group in layers:
        open_ = np.nonzero(left > 1e-3)[0]
        part = Points(points.position[open_], points.normal[open_], points.texel[open_])
        total, mixed = np.zeros(len(open_), np.float32), np.zeros((len(open_), 3), np.float32)
        strongest = np.zeros(len(open_), np.float32)
        for picture in group:
            at, weight, trust, rgb = look_up(picture, part, vertices, faces)
            total[at] += weight
            mixed[at] += weight[:, None] * rgb
            strongest[at] = np.maximum(strongest[at], trust)
        cover = left[open_] * strongest
        colour[open_] += cover[:, None] * mixed / np.maximum(total, 1e-9)[:, None]
        left[open_] -= cover
    rest = np.nonzero(left > 1e-3)[0]
    if len(rest):
        colour[rest] += left[rest, None] * among(cloud, points.position[rest])
    return np.clip(colour, 0.0, 1.0)


def among(cloud: tuple[NDArray[np.floating], NDArray[np.floating]], position: NDArray[np.floating]) -> Floats:
    """(n, 3) colours between the nearest points of a cloud, by inverse squared distance (Shepard 1968)."""
    count = min(4, len(cloud[0]))
    distance, near = cKDTree(cloud[0]).query(position, k=range(1, count + 1))
    weight = 1.0 / np.maximum(distance, 1e-4) ** 2
    mean = (weight[..., None] * cloud[1][near]).sum(1) / weight.sum(1, keepdims=True)
    return mean.astype(np.float32)


def look_up(
    picture: Picture, points: Points, vertices: NDArray[np.floating], faces: NDArray[np.integer]
) -> tuple[NDArray[np.int64], Floats, Floats, Floats]:
    """Which points a picture sees (k,), and the weight (k,), trust (k,) 0..1 and colour (k, 3) that it gives them."""
    depth, confidence = picture.see(vertices, faces)
    camera, position, normal = picture.camera, points.position, points.normal
    if picture.bend is not None:
        position, normal = picture.bend.points(position), picture.bend.normals(position, normal)
    at, pixels, z, facing = _visible(
        np.ascontiguousarray(position, np.float32), np.ascontiguousarray(normal, np.float32),
        camera.K @ camera.world_to_camera[:3], camera.position, float(camera.K[0, 0]), depth, picture.last, picture.fade[0],
    )  # fmt: skip
    if not len(at):
        return at, facing, facing, np.zeros((0, 3), np.float32)
    trust = _sample(confidence, pixels)[:, 0] * _smoothstep(facing, *picture.fade)
    footprint = points.texel[at] * camera.K[0, 0] / z
    return at, trust * facing**picture.sharpness, trust, _sample_filtered(picture.rgb, pixels, footprint)


@njit(cache=True, error_model="numpy")
def _visible(position, normal, matrix, centre, focal, depth, last, least):  # type: ignore[no-untyped-def]
    """`visibility` for many points at once: numbers, pixels, depths and cosines of those that are seen and whose
    cosine is above `least`."""
    height, width = depth.shape
    count = len(position)
    at, pixels = np.empty(count, np.int64), np.empty((count, 2), np.float32)
    depths, cosines = np.empty(count, np.float32), np.empty(count, np.float32)
    found = 0
    for i in range(count):
        x, y, z = np.float64(position[i, 0]), np.float64(position[i, 1]), np.float64(position[i, 2])
        rx, ry, rz = centre[0] - x, centre[1] - y, centre[2] - z
        cosine = normal[i, 0] * rx + normal[i, 1] * ry + normal[i, 2] * rz
        if last:
            cosine = -cosine
        if cosine <= 0.0:
            continue
        cosine /= np.sqrt(rx * rx + ry * ry + rz * rz)
        if cosine <= least:
            continue
        w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
        if w <= 0.0:
            continue
        u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / w
        v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / w
        if not (u >= 0.0 and v >= 0.0 and u < width and v < height):
            continue
        there = np.float64(depth[int(v), int(u)])
        behind = there - w if last else w - there
        slack = _TOLERANCE + w / focal * np.sqrt(max(1.0 - cosine * cosine, 0.0)) / max(cosine, 0.1)
        if there > 0.0 and behind < slack:
            at[found] = i
            pixels[found, 0], pixels[found, 1] = u, v
            depths[found], cosines[found] = w, cosine
            found += 1
    return at[:found], pixels[:found], depths[:found], cosines[:found]


def visibility(
    position: NDArray[np.floating], normal: NDArray[np.floating], camera: Camera, depth: Floats, last: bool = False
) -> tuple[NDArray[np.float64], Floats, NDArray[np.bool_]]:
    """Points (n, 3) with normals (n, 3) against the mesh's own depth (H, W) -> pixels (n, 2), cosine between normal
    and the ray back to the camera (negated for `last`), and whether the point is what the camera sees (n,)."""
    pixels, z = camera.project(position)
    cosine = _cosine(position, normal, camera, last)
    column, row = (np.floor(np.nan_to_num(pixels[:, k], nan=-1.0)).clip(-1, 1e6).astype(np.int64) for k in (0, 1))
    inside = (z > 0) & (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
    there = np.zeros(len(z))
    there[inside] = depth[row[inside], column[inside]]
    # Across half a pixel's diagonal a slope of this cosine changes its depth by so much.
    steep = np.sqrt(np.maximum(1 - cosine**2, 0)) / np.maximum(np.abs(cosine), 0.1)
    slack = _TOLERANCE + z / camera.K[0, 0] * steep
    behind = there - z if last else z - there
    return pixels, cosine, inside & (there > 0) & (behind < slack)


def _cosine(position: NDArray[np.floating], normal: NDArray[np.floating], camera: Camera, last: bool) -> Floats:
    """(n,) cosine between normals and the rays back to the camera; negated for `last`."""
    ray = (camera.position - position).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", ray, ray))
    cosine = np.einsum("ij,ij->i", normal.astype(np.float32), ray) / np.maximum(length, np.float32(1e-9))
    return -cosine if last else cosine


def seen_codes(
    vertices: NDArray[np.floating], faces: NDArray[np.integer], camera: Camera, alpha: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """(V,) seen / grazing / generated: what the photo shows of each vertex of a welded mesh.

    camera, alpha (H, W): the photo's. Grazing: visible, but more than `GRAZING_ANGLE` from the ray; there the outline
    of the mesh may miss that of the photo by two pixels.
    """
    depth = rasterise_mesh(vertices, faces, camera).depth
    # A vertex on the outline may fall on a pixel whose middle the mesh does not cover.
    depth = np.where(depth > 0, depth, cv2.dilate(depth, np.ones((3, 3), np.uint8)))
    pixels, cosine, visible = visibility(vertices, vertex_normals(vertices, faces), camera, depth)
    alpha = alpha.astype(np.float32)
    covered = _sample(np.dstack([alpha, cv2.dilate(alpha, np.ones((5, 5), np.uint8))]), pixels) > 0.5
    seen = visible & (cosine > np.cos(np.radians(GRAZING_ANGLE))) & covered[:, 0]
    grazing = visible & (cosine > 0) & covered[:, 1]
    return np.where(seen, SEEN, np.where(grazing, GRAZING, GENERATED)).astype(np.uint8)


def dilate(texture: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Every texel outside `mask` takes the colour of the nearest one inside."""
    if mask.all() or not mask.any():
        return texture
    _, label = cv2.distanceTransformWithLabels((~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    # Labels number the zero pixels in the order in which they lie.
    source = np.zeros(int(label.max()) + 1, np.int64)
    source[label[mask]] = np.flatnonzero(mask)
    return texture.reshape(-1, 3)[source[label]]


def _trust(depth: Floats, alpha: NDArray[np.floating], feather: float, edges: bool) -> Floats:
    """(H, W) 0..1: 0 on the outline (and on depth edges if so asked), 1 from `feather` pixels inside."""
    good = ((alpha > 0.5) & (depth > 0)).astype(np.uint8)
    if edges:
        low = cv2.erode(depth, np.ones((3, 3), np.uint8))
        high = cv2.dilate(depth, np.ones((3, 3), np.uint8))
        good &= high - low < _EDGE
    if feather <= 0:
        return good.astype(np.float32)
    distance = cv2.distanceTransform(np.pad(good, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return _smoothstep(np.asarray(distance, np.float32)[1:-1, 1:-1], 0.5, 0.5 + feather)


def _texel_size(atlas: Atlas, vertices: NDArray[np.float64], size: int) -> Floats:
    """(F,) metres per texel of every face."""
    a, b, c = (vertices[atlas.vertex[atlas.faces[:, k]]] for k in range(3))
    space = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    p, q, r = (atlas.uv[atlas.faces[:, k]].astype(np.float64) * size for k in range(3))
    d, e = q - p, r - p
    flat = np.abs(d[:, 0] * e[:, 1] - d[:, 1] * e[:, 0])
    return np.sqrt(space / np.maximum(flat, 1e-12)).astype(np.float32)


def _sample(image: NDArray[np.floating], pixels: NDArray[np.floating], method: int = cv2.INTER_LINEAR) -> Floats:
    """(n, C) values at pixels (n, 2), bilinear unless told; the border repeats."""
    image = np.ascontiguousarray(image, np.float32)
    count, width = len(pixels), 4096  # OpenCV limits the sides of what it fills
    rows = -(-count // width)
    place = np.zeros((rows * width, 2), np.float32)
    place[:count] = np.clip(np.nan_to_num(pixels), -1e4, 3e4) - 0.5
    x, y = place[:, 0].reshape(rows, width), place[:, 1].reshape(rows, width)
    values = cv2.remap(image, x, y, method, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values, np.float32).reshape(rows * width, -1)[:count]


def _sample_filtered(
    image: NDArray[np.floating], pixels: NDArray[np.floating], footprint: NDArray[np.floating]
) -> Floats:
    """From a picture pyramid, so that a texel of several pixels (footprint (n,) px) shows their mean.

    Cubic, because the texture will be filtered once more when it is looked at.
    """
    level = np.clip(np.log2(np.maximum(footprint, 1.0)), 0.0, 4.0)
    out = np.zeros((len(pixels), 3), np.float32)
    image = np.ascontiguousarray(image, np.float32)
    full = image.shape[1::-1]
    for k in range(int(np.ceil(level.max(initial=0.0))) + 1):
        if k:
            half = (max(-(-image.shape[1] // 2), 1), max(-(-image.shape[0] // 2), 1))
            image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.float32)
        share = np.clip(1.0 - np.abs(level - k), 0.0, 1.0).astype(np.float32)
        at = np.nonzero(share > 0)[0]
        if len(at):
            scale = np.array(image.shape[1::-1], np.float64) / full
            out[at] += share[at, None] * _sample(image, pixels[at] * scale, cv2.INTER_CUBIC)
    return out


def _smoothstep(x: NDArray[np.floating], low: float, high: float) -> Floats:
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)
