"""The work of the step `synchuman.texture`: colours for the cleaned surface, in one of two ways.

projection   deterministic, in the order of trust: each group of pictures covers what the groups before it left open:
             the front, which is the photo; back, sides and the face's close-up; pictures of the splats
optimised    the released program's: a thousand steps against the same pictures, of which front and back decide alone at
             the end (`optimise_texture`)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.bake import Picture, bake, seen_codes
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.unwrap import Atlas, unwrap, uv_image
from pipelines.records import GENERATED, Mesh, Splats
from pipelines.step import Context, UserError
from pipelines.synchuman.bake_cameras import STAGE_1_VIEWS, hammersley_angles
from pipelines.synchuman.display import Placement
from pipelines.synchuman.observations import observations
from pipelines.synchuman.optimise_texture import Optimised, Schedule, finish, optimise, targets
from pipelines.synchuman.placed_views import placed_views
from pipelines.synchuman.records import CleanedSurface, Framed, TenPictures
from pipelines.synchuman.splat_views import render_view
from pipelines.synchuman.view_texels import UnwrappedMesh

if TYPE_CHECKING:
    from pipelines.synchuman.steps.texture import TextureParams

Floats = NDArray[np.float32]
Vertices = NDArray[np.floating]

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
    try:
        atlas = unwrap(vertices, faces, np.eye(3), longest=0.55 * height, size=params.texture)
    except ValueError as error:  # too many charts for so small a texture
        raise UserError(f"The surface could not be laid out on its texture: {error}") from error
    ctx.progress(0.3, "pictures of the splats")
    facts: dict[str, Any] = {}
    if params.way == "optimised":
        made = optimised(surface, atlas, pictures, splats, placement, params, ctx)
        texture, facts = made.texture, {"way": params.way, "losses": [round(float(x), 6) for x in made.losses]}
    else:
        texture = projected(frame, pictures, vertices, faces, atlas, splats, placement, params, ctx)
    normals = vertex_normals(vertices, faces)
    seen = np.full(len(vertices), GENERATED, np.uint8)
    if pictures.facts.get("front_is_photo"):
        front = placed_views(frame, pictures, placement)[0]
        seen = seen_codes(vertices, faces, front.camera.distant(), front.rgba[..., 3])
    return Mesh(
        vertices[atlas.vertex].astype(np.float32), atlas.faces, normals[atlas.vertex].astype(np.float32),
        atlas.uv, texture, seen[atlas.vertex], atlas.weld, facts,
    )  # fmt: skip


def projected(
    frame: Framed, pictures: TenPictures, vertices: Vertices, faces: NDArray[np.integer], atlas: Atlas, splats: Splats,
    placement: Placement, params: TextureParams, ctx: Context,
) -> Floats:  # fmt: skip
    """(T, T, 3) by projection. vertices (V, 3), display frame, metres."""
    groups = view_pictures(frame, pictures, placement, params.sharpness)
    rendered = splat_pictures(splats, placement, params, ctx)
    layers = [*groups, *([rendered] if rendered else [])]
    bright = splats.opacities > min(0.3, float(np.quantile(splats.opacities, 0.9)))
    cloud = splats.means[bright].astype(np.float64), splats.colours[bright]
    texture = bake(atlas, vertices, faces, layers, cloud, params.texture)
    ctx.progress(0.95, "texture", np.asarray(cv2.resize(texture, (256, 256), interpolation=cv2.INTER_AREA), np.float32))
    return texture


def optimised(
    surface: CleanedSurface, atlas: Atlas, pictures: TenPictures, splats: Splats, placement: Placement,
    params: TextureParams, ctx: Context,
) -> Optimised:  # fmt: skip
    """The texture by optimisation, and the loss of every step."""
    mesh = UnwrappedMesh(surface.vertices[atlas.vertex], atlas.faces, atlas.uv)
    schedule = Schedule(params.texture, params.steps)
    count = STAGE_1_VIEWS + params.bake_renders
    seen = observations(pictures, splats, placement, params.bake_renders, params.bake_size)

    def ready(done: int) -> None:
        ctx.progress(0.3 + 0.2 * done / count, f"view {done} of {count}")

    def tell(part: float, said: str, shown: Floats | None) -> None:
        ctx.progress(0.5 + 0.45 * part, said, shown)

    texture, losses = optimise(targets(mesh, seen, schedule, ctx.device, ready), schedule, ctx, tell)
    ctx.progress(0.96, "filling what no chart covers")
    return Optimised(finish(texture, uv_image(atlas.uv, atlas.faces, params.texture).mask), losses)


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
