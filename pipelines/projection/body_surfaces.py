"""The fitted body drawn from one camera: first and last surface, and the inner ones where limbs overlap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import (
    MeshImage,
    face_normals,
    interpolate,
    rasterise_layers,
    rasterise_mesh,
    vertex_normals,
)
from pipelines.projection.body_maps import BodyMapsParams
from pipelines.projection.body_mesh import BodyMesh, body_mesh
from pipelines.records import Body, BodyMaps, Cutout
from pipelines.step import Context, UserError

NOTHING = 255  # part label of a pixel where no body is


class Surface(NamedTuple):
    """One surface of the body on a grid: depth (h, w) z metres, 0 outside; normal (h, w, 3) display frame;
    part (h, w) uint8, NOTHING outside."""

    depth: NDArray[np.float32]
    normal: NDArray[np.float32]
    part: NDArray[np.uint8]


def draw_body_maps(body_fit: Body, matte: Cutout, params: BodyMapsParams, ctx: Context) -> BodyMaps:
    """The work of the step `body.maps`; see its declaration."""
    camera = body_fit.camera
    height, width = matte.alpha.shape
    if (camera.width, camera.height) != (width, height):
        raise UserError(
            f"The body was fitted to a picture of {camera.width} x {camera.height} and the cut-out has "
            f"{width} x {height} pixels; fit the body to this photo again."
        )
    grid = camera.resized(*grid_size(width, height, params.resolution))
    mesh = body_mesh(body_fit)
    arrays: dict[str, NDArray] = {"part_names": np.array(mesh.part_names, dtype="U")}
    for fraction, (name, faces) in enumerate((("full", mesh.faces), ("armless", mesh.without_arms()))):
        front, back = draw(mesh, faces, grid)
        for side, surface in (("front", front), ("back", back)):
            arrays[f"{name}_{side}"] = surface.depth
            arrays[f"{name}_{side}_normal"] = surface.normal
            arrays[f"{name}_{side}_part"] = surface.part
        arrays[f"{name}_exit"], arrays[f"{name}_entry"] = inner_depths(mesh, faces, grid, front.depth, back.depth)
        ctx.progress(0.5 + 0.5 * fraction, f"body maps, {name}", front.normal * 0.5 + 0.5)
    if not (arrays["full_front"] > 0).any():
        raise UserError(
            "The fitted body lies outside the photo, so nothing can be projected onto it; check the keypoints and "
            "fit the body again."
        )
    return BodyMaps(arrays, grid)


def grid_size(width: int, height: int, longest: int) -> tuple[int, int]:
    """(width, height) of the photo's grid with the longer side at most `longest` pixels, same shape."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def draw(mesh: BodyMesh, faces: NDArray[np.int32], camera: Camera) -> tuple[Surface, Surface]:
    """First and last surface of some of the body's faces."""
    normals = vertex_normals(mesh.vertices, mesh.faces)
    first, last = rasterise_layers(mesh.vertices, faces, camera)
    return _surface(first, mesh, faces, normals), _surface(last, mesh, faces, normals)


def inner_depths(
    mesh: BodyMesh,
    faces: NDArray[np.int32],
    camera: Camera,
    front: NDArray[np.float32],
    back: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(h, w) depths of the nearest exit (a face seen from inside) and of the farthest entry; where a ray passes
    through one limb only, the exit is `back` and the entry `front`."""
    towards = ((mesh.vertices[faces].mean(1) - camera.position) * face_normals(mesh.vertices, faces)).sum(1) < 0
    leaves = rasterise_mesh(mesh.vertices, faces[~towards], camera)
    enters = rasterise_mesh(mesh.vertices, faces[towards], camera, last=True)
    two = leaves.mask & enters.mask & (leaves.depth < enters.depth) & (leaves.depth > front) & (enters.depth < back)
    return np.where(two, leaves.depth, back), np.where(two, enters.depth, front)


def _surface(image: MeshImage, mesh: BodyMesh, faces: NDArray[np.int32], normals: NDArray[np.float64]) -> Surface:
    normal = interpolate(image, faces, normals)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    normal /= np.where(length > 1e-6, length, 1.0)
    nearest = np.argmax(image.barycentric, -1)
    part = mesh.part[faces[np.maximum(image.face_id, 0), nearest]]
    return Surface(image.depth, normal, np.where(image.mask, part, NOTHING).astype(np.uint8))
