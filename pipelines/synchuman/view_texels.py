"""Where on a texture each pixel of a view looks, and how wide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.mesh_raster import MeshImage
from pipelines.synchuman.bake_cameras import extrinsics, orthographic_pixels, perspective_camera
from pipelines.synchuman.mip_pyramid import footprint
from pipelines.synchuman.seen_faces import orthographic_view, perspective_view

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class UnwrappedMesh:
    """vertices (V, 3) in the cube, faces (F, 3), uv (V, 2) 0..1, origin at the lower left."""

    vertices: NDArray[np.floating]
    faces: NDArray[np.integer]
    uv: NDArray[np.floating]


@dataclass(frozen=True)
class ViewTexels:
    """One square view of a mesh. pixel (n,): the covered pixels, row by row from the top; uv (n, 2); width (n,): log2 of
    the pixel's longer axis on the texture, in sides of it."""

    side: int
    pixel: NDArray[np.int32]
    uv: Floats
    width: Floats


def texels_in_view(mesh: UnwrappedMesh, yaw: float, pitch: float, side: int, parallel: bool) -> ViewTexels:
    """The view of `bake_cameras` from (yaw, pitch), `side` px wide; parallel: of the whole cube with parallel rays."""
    if parallel:
        matrix = extrinsics(yaw, pitch)
        image = orthographic_view(mesh.vertices, mesh.faces, matrix, side)
        screen, weight = orthographic_pixels(mesh.vertices, matrix, side)[:, :2], np.ones(len(mesh.vertices))
    else:
        camera = perspective_camera(yaw, pitch, side)
        image = perspective_view(mesh.vertices, mesh.faces, camera)
        screen, depth = camera.project(mesh.vertices)
        weight = 1 / depth
    return _texels(image, mesh, screen, weight)


def _texels(
    image: MeshImage, mesh: UnwrappedMesh, screen: NDArray[np.floating], weight: NDArray[np.floating]
) -> ViewTexels:
    """screen (V, 2) px; weight (V,): what attributes are divided by to be linear on the screen."""
    pixel = np.flatnonzero(image.mask)
    corners = np.asarray(mesh.faces)[image.face_id.reshape(-1)[pixel]]
    share = image.barycentric.reshape(-1, 3)[pixel].astype(np.float64)
    uv, w = np.asarray(mesh.uv, np.float64)[corners], np.asarray(weight, np.float64)[corners]
    here = np.einsum("nk,nkc->nc", share, uv)
    # u = U / W with U and W linear on the screen: du = (dU - u dW) / W.
    slope = _slopes(np.asarray(screen, np.float64)[corners])
    dw = np.einsum("nkx,nk->nx", slope, w)
    du = np.einsum("nkx,nk,nkc->ncx", slope, w, uv)
    total = 1 / np.einsum("nk,nk->n", share, 1 / w)
    jacobian = (du - here[..., None] * dw[:, None]) / total[:, None, None]
    return ViewTexels(
        image.face_id.shape[1], pixel.astype(np.int32), here.astype(np.float32), footprint(jacobian).astype(np.float32)
    )


def _slopes(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3, 2) triangles on the screen -> (n, 3, 2): how each corner's barycentric weight grows per pixel."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    d, e = b - a, c - a
    area = d[:, 0] * e[:, 1] - d[:, 1] * e[:, 0]
    edges = np.stack([c - b, a - c, b - a], 1)
    return np.stack([-edges[..., 1], edges[..., 0]], -1) / np.where(area == 0, 1.0, area)[:, None, None]
