"""The work of the step `synchuman.texture`: colours by projection, deterministic, in the order of trust.

The released program optimises the texture for a thousand steps against the same pictures; the front and the back
decide alone at its end. Here each group of pictures covers what the groups before it left open: the front, which is the
photo; back, sides and the face's close-up; pictures of the splats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.bake import Picture, bake, seen_codes
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.unwrap import unwrap
from pipelines.records import GENERATED, Mesh, Splats
from pipelines.step import Context
from pipelines.synchuman.bake_cameras import hammersley_angles
from pipelines.synchuman.display import Placement
from pipelines.synchuman.placed_views import placed_views
from pipelines.synchuman.records import CleanedSurface, Framed, TenPictures
from pipelines.synchuman.splat_views import render_view

if TYPE_CHECKING:
    from pipelines.synchuman.steps.texture import TextureParams

Floats = NDArray[np.float32]

FADE = (0.2, 0.5)  # cosine between normal and ray over which a view begins to count
FEATHER = 5.0  # pixels inside an outline or depth edge over which it begins to count


def textured(
    frame: Framed, pictures: TenPictures, surface: CleanedSurface, splats: Splats, placement: Placement,
    params: TextureParams, ctx: Context,
) -> Mesh:  # fmt: skip
    """See the step."""
    ctx.progress(0.0, "texture coordinates")
    vertices, faces = placement.to_display(surface.vertices), surface.faces
    height = float(np.ptp(vertices[:, 1]))
    atlas = unwrap(vertices, faces, np.eye(3), longest=0.55 * height, size=params.texture)
    ctx.progress(0.3, "pictures of the splats")
    groups = view_pictures(frame, pictures, placement, params.sharpness)
    rendered = splat_pictures(splats, placement, params, ctx)
    layers = [*groups, *([rendered] if rendered else [])]
    bright = splats.opacities > min(0.3, float(np.quantile(splats.opacities, 0.9)))
    cloud = splats.means[bright].astype(np.float64), splats.colours[bright]
    texture = bake(atlas, vertices, faces, layers, cloud, params.texture)
    ctx.progress(0.95, "texture", np.asarray(cv2.resize(texture, (256, 256), interpolation=cv2.INTER_AREA), np.float32))
    normals = vertex_normals(vertices, faces)
    front = groups[0][0]
    seen = np.full(len(vertices), GENERATED, np.uint8)
    if pictures.facts.get("front_is_photo"):
        seen = seen_codes(vertices, faces, front.camera, front.alpha)
    return Mesh(
        vertices[atlas.vertex].astype(np.float32), atlas.faces, normals[atlas.vertex].astype(np.float32),
        atlas.uv, texture, seen[atlas.vertex], atlas.weld,
    )  # fmt: skip


def view_pictures(frame: Framed, pictures: TenPictures, placement: Placement, sharpness: float) -> list[list[Picture]]:
    """The front alone, then the other views."""
    made = []
    for view in placed_views(frame, pictures, placement):
        rgb, alpha, camera = view.rgba[..., :3], view.rgba[..., 3], view.camera.distant()
        made.append(Picture(rgb, alpha, camera, feather=FEATHER, edges=True, sharpness=sharpness, fade=FADE))
    return [made[:1], made[1:]]


def splat_pictures(splats: Splats, placement: Placement, params: TextureParams, ctx: Context) -> list[Picture]:
    """The splats from all around, as the second stage draws them; straight alpha."""
    made = []
    for i, (yaw, pitch) in enumerate(hammersley_angles(params.renders)):
        camera = placement.perspective(float(yaw), float(np.clip(pitch, -1.5, 1.5)), params.render_size)
        drawn = render_view(splats.means, splats.quats, splats.scales, splats.opacities, splats.colours, camera)
        rgb = np.clip(drawn.features / np.maximum(drawn.alpha, 1e-3)[..., None], 0, 1)
        made.append(Picture(rgb, drawn.alpha, camera, feather=2.0, edges=True, sharpness=params.sharpness, fade=FADE))
        ctx.progress(0.3 + 0.4 * (i + 1) / params.renders, f"picture {i + 1} of {params.renders}", rgb[::4, ::4])
    return made
