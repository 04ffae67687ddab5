"""From layers, photo and splats to one closed, textured surface: the work of the step `mesh`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.bake import Picture, bake, seen_codes
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_picture import render_mesh
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.surface import Focus, decimate, largest_piece
from pipelines.geometry.unwrap import unwrap
from pipelines.projection.columns import solid_surface
from pipelines.projection.relief import with_relief
from pipelines.records import Body, Cutout, Layers, Mesh, Splats
from pipelines.step import Context, UserError

if TYPE_CHECKING:
    from pipelines.projection.mesh import MeshParams

Floats = NDArray[np.float32]

HEAD, PELVIS = 15, 0  # in body22
_PHOTO_FADE = (0.15, 0.45)  # cosine; flatter than about 80 degrees a pixel of the photo is drawn out to a streak


def textured_surface(
    splats: Splats, layers: Layers, matte: Cutout, body_fit: Body, params: MeshParams, ctx: Context
) -> Mesh:
    """See the step `mesh`; splats must not be empty."""
    head = head_of(body_fit)
    vertices, faces = closed_surface(layers, Focus(*head, params.face_detail), params)
    ctx.progress(0.4, "closed surface", clay(vertices, faces, body_fit.camera))
    pictures = photo_pictures(matte, layers, body_fit.camera)
    # Around the corner the sides' splats know better than the layers, whose outermost pixels they replace.
    return textured(
        vertices, faces, layers.camera, Focus(*head, params.face_detail), pictures, splats, params.texture, ctx
    )


def textured(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], camera: Camera, head: Focus,
    pictures: tuple[Picture, Picture], splats: Splats, size: int, ctx: Context,
) -> Mesh:  # fmt: skip
    """A closed surface, vertices (V, 3) and faces (F, 3), with texture coordinates and a texture of size x size.

    camera: of the photo; the seams are laid by its axes. pictures: the photo, then the back; splats colour the rest.
    """
    rotation = camera.world_to_camera[:3, :3]
    axes = np.stack([rotation[0], -rotation[1], -rotation[2]])
    on_head = np.linalg.norm(vertices[faces].mean(1) - head.centre, axis=1) < head.radius
    density = np.where(on_head, head.gain, 1.0)
    height = float(np.ptp(vertices @ axes[1]))
    atlas = unwrap(vertices, faces, axes, density=density, longest=0.55 * height, size=size)
    ctx.progress(0.75, "texture coordinates")
    photo, back = pictures
    texture = bake(atlas, vertices, faces, [[photo], [back]], (splats.means, splats.colours), size)
    ctx.progress(0.95, "texture", texture)
    normals = vertex_normals(vertices, faces)
    seen = seen_codes(vertices, faces, photo.camera, photo.alpha)
    return Mesh(
        vertices[atlas.vertex].astype(np.float32), atlas.faces, normals[atlas.vertex].astype(np.float32),
        atlas.uv, texture, seen[atlas.vertex], atlas.weld,
    )  # fmt: skip


def closed_surface(layers: Layers, focus: Focus, params: MeshParams) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """The largest piece of the layers' solid, its face and hands bent to their normals, with the wanted number of faces,
    more of them on the head."""
    cell = params.voxel / 1000.0
    try:
        vertices, faces = largest_piece(*solid_surface(layers.arrays, layers.camera, cell, params.smoothing))
        if params.relief:
            vertices = with_relief(vertices, faces, layers.arrays, layers.camera, cell)
        return decimate(vertices, faces, params.faces, focus)
    except ValueError as error:
        raise UserError(f"No surface could be made from the layers: {error}") from error


def photo_pictures(matte: Cutout, layers: Layers, camera: Camera) -> tuple[Picture, Picture]:
    """The photo, and the back layer's colours as the same camera would see them from within."""
    camera = camera.resized(matte.alpha.shape[1], matte.alpha.shape[0])
    photo = Picture(matte.rgb, matte.alpha, camera, fade=_PHOTO_FADE)
    mask = layers.arrays["mask"].astype(np.float32)
    return photo, Picture(layers.arrays["back_rgb"], mask, layers.camera, last=True, fade=_PHOTO_FADE)


def head_of(body: Body) -> tuple[NDArray[np.float64], float]:
    """Middle (3,) and radius of a ball around the head, metres, from the length of the trunk."""
    joints = body.camera.to_world(np.asarray(body["body22_cam"], np.float64))
    trunk = joints[HEAD] - joints[PELVIS]
    return joints[HEAD] + 0.1 * trunk, 0.27 * max(float(np.linalg.norm(trunk)), 0.1)


def clay(vertices: NDArray[np.float64], faces: NDArray[np.int32], camera: Camera) -> Floats:
    """A small picture of the bare shape from the photo's camera."""
    scale = 320.0 / max(camera.width, camera.height)
    small = camera.resized(max(int(camera.width * scale), 1), max(int(camera.height * scale), 1))
    return render_mesh(vertices, faces, small, "clay", supersample=1)
