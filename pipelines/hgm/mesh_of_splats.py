"""Gaussians -> depth pictures from all sides -> one closed solid -> a textured mesh: the work of the step `mesh`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.bake import Picture
from pipelines.geometry.cameras import Camera
from pipelines.geometry.splat_raster import SplatArrays, render_numpy
from pipelines.geometry.surface import Focus, surface_of
from pipelines.geometry.volumes import DepthView, bounds_of, fuse
from pipelines.hgm.back_frame import off_paper
from pipelines.hgm.cameras import UNITS_PER_METRE
from pipelines.hgm.frame import NetworkMetres, orbit_camera
from pipelines.hgm.preset_network import AZIMUTHS
from pipelines.hgm.records import BackView, BodyPoints
from pipelines.projection.textured_surface import clay, head_of, textured
from pipelines.records import Body, Cutout, Mesh, Splats
from pipelines.step import Context, UserError

if TYPE_CHECKING:
    from pipelines.hgm.mesh_step import MeshParams

Array = NDArray[np.float64]
ELEVATIONS = (-35.0, 0.0, 25.0)  # degrees of the rounds; negative is above, as in HGM's orbit
CUBE = 1.0 / UNITS_PER_METRE  # metres, half its side
SOLID = 0.5  # alpha from which a pixel counts as the person
PHOTO_FADE, BACK_FADE = (0.15, 0.45), (0.2, 0.6)  # cosines over which a picture's trust rises


def mesh_of_splats(
    splats: Splats, back: BackView, points: BodyPoints, matte: Cutout, body: Body, params: MeshParams, ctx: Context
) -> Mesh:
    """See the step `mesh`."""
    if len(splats) == 0:
        raise UserError("There are no Gaussians to make a mesh from; check the step hgm.fused.")
    focus = Focus(*head_of(body), params.face_detail)
    vertices, faces = closed_surface(splats, points, body, focus, params, ctx)
    return textured(
        vertices, faces, body.camera, focus, pictures(matte, back, points, body), splats, params.texture, ctx
    )


def closed_surface(
    splats: Splats, points: BodyPoints, body: Body, focus: Focus, params: MeshParams, ctx: Context
) -> tuple[Array, NDArray[np.int32]]:
    """The largest piece of the solid that the depth pictures leave, smoothed, with the wanted number of faces."""
    views = []
    cameras = [orbit_camera(360.0 * i / params.views, e, params.size, points.pelvis, body.camera)
               for e in ELEVATIONS for i in range(params.views)]  # fmt: skip
    for i, camera in enumerate(cameras):
        views.append(DepthView(depth_of(drawn(splats, camera)), camera))
        ctx.progress(0.35 * (i + 1) / len(cameras), "depth from all sides")
    voxel = params.voxel / 1000.0
    try:
        low, high = bounds_of(views, 4 * voxel)
        pelvis = body.camera.to_world(points.pelvis[None])[0]
        # The networks' cube about the pelvis: what lies beyond is no person, and a volume around it would be too large.
        volume = fuse(views, np.maximum(low, pelvis - CUBE), np.minimum(high, pelvis + CUBE), voxel)
        ctx.progress(0.5, "one solid")
        vertices, faces = surface_of(volume, faces=params.faces, smoothing=params.smoothing, focus=focus)
    except ValueError as error:
        raise UserError(f"No surface could be made from the Gaussians: {error}") from error
    ctx.progress(0.6, "closed surface", clay(vertices, faces, body.camera))
    return vertices, faces


def drawn(splats: Splats, camera: Camera) -> SplatArrays:
    """The Gaussians without their colours."""
    paint = np.zeros((len(splats), 1), np.float32)
    return render_numpy(splats.means, splats.quats, splats.scales, splats.opacities, paint, camera.world_to_camera,
                        camera.K, camera.width, camera.height)  # fmt: skip


def depth_of(image: SplatArrays) -> NDArray[np.float32]:
    """(H, W) expected depth in metres where the person is, 0 elsewhere."""
    return np.where(image.alpha > SOLID, image.depth, 0.0).astype(np.float32)


def pictures(matte: Cutout, back: BackView, points: BodyPoints, body: Body) -> tuple[Picture, Picture]:
    """The photo and the picked back view, as the bake wants them. The back view is of the network's frame: what the
    photo's lens did to the person's places is done again before HGM's camera behind looks."""
    camera = body.camera.resized(matte.alpha.shape[1], matte.alpha.shape[0])
    photo = Picture(matte.rgb, matte.alpha, camera, fade=PHOTO_FADE)
    network = NetworkMetres(points.pelvis, body.camera)
    behind = network.camera(AZIMUTHS[1], len(back.coarse))
    image = back.images[0]
    alpha = back.coarse[..., 3]
    if not alpha.any():
        alpha = off_paper(image).astype(np.float32)
    return photo, Picture(image, alpha, behind, fade=BACK_FADE, edges=True, bend=network)
