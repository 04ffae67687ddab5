"""Pictures of a mesh: textured, in clay, by normals, as a wire frame."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import MeshImage, interpolate, rasterise_mesh, vertex_normals

Floats = NDArray[np.float32]
Mode = Literal["textured", "clay", "normals", "wireframe"]
MODES: tuple[Mode, ...] = ("textured", "clay", "normals", "wireframe")

_CLAY = np.array([0.80, 0.76, 0.72], np.float32)
# Directions towards the lights in the camera's frame (x right, y down, z forward) with their strengths: the main
# light over the viewer's left shoulder, a weak one from the right.
_LIGHTS = ((np.array([-0.45, -0.65, -0.61]), 0.62), (np.array([0.8, -0.1, -0.6]), 0.22))
_AMBIENT = 0.26
_LINE = 0.9  # pixels, of a drawn edge in the final picture


def render_mesh(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    camera: Camera,
    mode: Mode = "textured",
    *,
    normals: NDArray[np.floating] | None = None,
    uv: NDArray[np.floating] | None = None,
    texture: NDArray[np.floating] | None = None,
    colours: NDArray[np.floating] | None = None,
    supersample: int = 2,
) -> Floats:
    """(H, W, 4) straight alpha, sRGB 0..1, of a mesh from `camera`.

    vertices (V, 3) world metres, faces (F, 3). mode: 'textured' shows the texture (uv (V, 2) with its origin at the
    LOWER left, texture (T, T, 3)) or else vertex `colours` (V, 3), without light; 'clay' a matt grey surface in soft
    light; 'normals' the normals in the camera's frame, (x, -y, -z) * 0.5 + 0.5; 'wireframe' clay with its edges.
    normals (V, 3) unit, or None to compute them. supersample: samples per pixel along a side.
    Raises ValueError for an unknown mode, or 'textured' without colours.
    """
    if mode not in MODES:
        raise ValueError(f"Mode '{mode}' is not known; choose one of {', '.join(MODES)}.")
    if mode == "textured" and colours is None and (uv is None or texture is None):
        raise ValueError("A textured picture needs uv and texture, or vertex colours.")
    fine = camera.resized(camera.width * supersample, camera.height * supersample)
    image = rasterise_mesh(vertices, faces, fine)
    if mode == "textured":
        rgb = _unlit(image, faces, uv, texture, colours)
    else:
        normals = vertex_normals(vertices, faces) if normals is None else normals
        local = _turned(interpolate(image, faces, normals), camera)
        rgb = local * np.array([0.5, -0.5, -0.5], np.float32) + np.float32(0.5) if mode == "normals" else _clay(local)
        if mode == "wireframe":
            rgb = rgb * (1.0 - 0.75 * _edges(image, vertices, faces, fine, _LINE * supersample))[..., None]
    return _smaller(rgb, image.mask, camera.width, camera.height)


def sample_texture(texture: NDArray[np.floating], uv: NDArray[np.floating]) -> Floats:
    """(..., 2) texture coordinates, origin at the lower left -> (..., 3) bilinear colours."""
    height, width = texture.shape[:2]
    column = (uv[..., 0] * width - 0.5).astype(np.float32)
    row = ((1.0 - uv[..., 1]) * height - 0.5).astype(np.float32)
    source = np.ascontiguousarray(texture, np.float32)
    colours = cv2.remap(source, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(colours, np.float32)


def _unlit(
    image: MeshImage, faces: NDArray[np.integer], uv: NDArray[np.floating] | None,
    texture: NDArray[np.floating] | None, colours: NDArray[np.floating] | None,
) -> Floats:  # fmt: skip
    if uv is not None and texture is not None:
        return sample_texture(texture, interpolate(image, faces, uv))
    assert colours is not None
    return interpolate(image, faces, colours)


def _turned(normals: Floats, camera: Camera) -> Floats:
    """(H, W, 3) world normals -> unit, camera frame."""
    local = normals @ camera.world_to_camera[:3, :3].T.astype(np.float32)
    return local / np.maximum(np.linalg.norm(local, axis=-1, keepdims=True), 1e-9)


def _clay(local: Floats) -> Floats:
    """Lambert with a wrap of one half, so that the shadow side keeps its form."""
    light = np.full(local.shape[:2], _AMBIENT, np.float32)
    for direction, strength in _LIGHTS:
        cosine = local @ (direction / np.linalg.norm(direction)).astype(np.float32)
        light += strength * np.clip((cosine + 0.5) / 1.5, 0.0, 1.0)
    return np.clip(_CLAY * light[..., None], 0.0, 1.0)


def _edges(
    image: MeshImage, vertices: NDArray[np.floating], faces: NDArray[np.integer], camera: Camera, width: float
) -> Floats:
    """(H, W) 0..1, how much of an edge line covers each sample: by its distance on the screen to the face's edges."""
    pixels, _ = camera.project(vertices)
    row, column = np.nonzero(image.mask)
    corner = pixels[faces[image.face_id[row, column]]]
    point = np.stack([column, row], 1) + 0.5
    nearest = np.full(len(row), np.inf)
    for k in range(3):
        a, b = corner[:, k], corner[:, (k + 1) % 3]
        along, to = b - a, point - a
        length = np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)
        nearest = np.minimum(nearest, np.abs(along[:, 0] * to[:, 1] - along[:, 1] * to[:, 0]) / length)
    line = np.zeros(image.mask.shape, np.float32)
    line[row, column] = np.clip(width / 2 + 0.5 - nearest, 0.0, 1.0)
    return line


def _smaller(rgb: Floats, mask: NDArray[np.bool_], width: int, height: int) -> Floats:
    """Mean over the samples of each pixel, colours weighted by coverage."""
    cover = mask.astype(np.float32)
    stacked = np.dstack([rgb * cover[..., None], cover])
    if cover.shape != (height, width):
        stacked = cv2.resize(stacked, (width, height), interpolation=cv2.INTER_AREA)
    alpha = stacked[..., 3:]
    return np.concatenate([np.clip(stacked[..., :3] / np.maximum(alpha, 1e-6), 0.0, 1.0), alpha], -1)
