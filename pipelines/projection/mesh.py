"""Step mesh: one closed, textured surface from the splats and the photo."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.bake import Picture, bake, seen_codes
from pipelines.geometry.cameras import Camera, look_at
from pipelines.geometry.mesh_picture import render_mesh
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.splat_raster import render_numpy
from pipelines.geometry.surface import Focus, surface_of
from pipelines.geometry.unwrap import unwrap
from pipelines.geometry.volumes import DepthView, bounds_of, fuse
from pipelines.records import Body, Cutout, Layers, Mesh, Splats
from pipelines.step import Context, UserError, knob, step

Floats = NDArray[np.float32]

# Rings of cameras around the person: degrees above the horizon, how many, degrees of the first one.
RINGS = ((0.0, 12, 0.0), (38.0, 5, 18.0), (-32.0, 5, 18.0), (82.0, 1, 0.0), (-82.0, 1, 0.0))
HEAD, PELVIS = 15, 0  # in body22
_PHOTO_VOTES = 4.0  # against one for each rendered view: the two layers are measured, not drawn
_MARGIN = 0.05  # of a picture's longer side


@dataclass(frozen=True)
class MeshParams:
    """Knobs of mesh."""

    faces: int = knob(20000, "About how many triangles.", low=500, high=200000)
    texture: int = knob(1024, "Side of the texture.", low=256, high=4096, unit="px")
    voxel: float = knob(7.0, "Finest detail of the shape; halving it takes four times as long.", low=3.0, high=40.0, unit="mm")
    smoothing: int = knob(6, "Rounds of smoothing that keep the volume.", low=0, high=50)
    views: int = knob(448, "Height of the pictures the shape is measured in.", low=128, high=1024, unit="px")
    face_detail: float = knob(2.0, "How many times finer texture and triangles are on the head.", low=1.0, high=4.0)


@step("mesh", version=1, title="Mesh")
def mesh(
    splats: Splats, layers: Layers, matte: Cutout, body_fit: Body, params: MeshParams, ctx: Context
) -> Mesh:
    """A closed surface around the splats, textured from the photo first and from the splats where it sees nothing.

    Depth pictures from all sides and the two layers are fused to a solid; what enough of them see as empty is outside,
    all the rest is inside, so that the surface has no holes.
    """
    if len(splats) == 0:
        raise UserError("There are no splats to make a mesh from; check the step 'splats'.")
    drawn = render_around(splats, params.views)
    ctx.progress(0.35, "depth from all sides", contact_sheet(drawn))
    head = head_of(body_fit)
    vertices, faces = solid_surface(drawn, layers, Focus(*head, params.face_detail), params)
    ctx.progress(0.55, "closed surface", clay(vertices, faces, body_fit.camera))
    rotation = layers.camera.world_to_camera[:3, :3]
    axes = np.stack([rotation[0], -rotation[1], -rotation[2]])
    on_head = np.linalg.norm(vertices[faces].mean(1) - head[0], axis=1) < head[1]
    density = np.where(on_head, params.face_detail, 1.0)
    height = float(np.ptp(vertices @ axes[1]))
    atlas = unwrap(vertices, faces, axes, density=density, longest=0.55 * height, size=params.texture)
    ctx.progress(0.75, "texture coordinates")
    photo, back = photo_pictures(matte, layers, body_fit.camera)
    texture = bake(
        atlas, vertices, faces, [[photo], [back], drawn], (splats.means, splats.colours), params.texture
    )
    ctx.progress(0.95, "texture", texture)
    normals = vertex_normals(vertices, faces)
    seen = seen_codes(vertices, faces, photo.camera, photo.alpha)
    return Mesh(
        vertices[atlas.vertex].astype(np.float32), atlas.faces, normals[atlas.vertex].astype(np.float32),
        atlas.uv, texture, seen[atlas.vertex], atlas.weld,
    )  # fmt: skip


@dataclass(frozen=True)
class Drawn(Picture):
    """A picture of the splats with the depth at which half of the light is gone, (H, W) metres, 0 outside."""

    depth: Floats | None = None


def render_around(splats: Splats, height: int) -> list[Drawn]:
    """The splats from all sides, above and below, each picture cut close; `height` pixels for the longer side."""
    solid = splats.opacities > 0.3
    points = splats.means[solid if solid.any() else slice(None)].astype(np.float64)
    centre = 0.5 * (points.min(0) + points.max(0))
    radius = float(np.linalg.norm(points - centre, axis=1).max()) + 0.02
    result = []
    for elevation, count, first in RINGS:
        for i in range(count):
            pose = look_at(centre, 3.5 * radius, first + 360.0 * i / count, elevation)
            camera = close_camera(points, pose, height)
            image = render_numpy(
                splats.means, splats.quats, splats.scales, splats.opacities, splats.colours,
                camera.world_to_camera, camera.K, camera.width, camera.height,
            )  # fmt: skip
            rgb = np.clip(image.features / np.maximum(image.alpha, 1e-3)[..., None], 0.0, 1.0)
            depth = without_pinholes(image.median_depth)
            result.append(Drawn(rgb, image.alpha, camera, feather=4.0, sharpness=4.0, depth=depth))
    return result


def close_camera(points: NDArray[np.float64], pose: NDArray[np.float64], longer: int) -> Camera:
    """The camera at `pose` whose picture holds all points with a small margin, its longer side `longer` pixels."""
    local = points @ pose[:3, :3].T + pose[:3, 3]
    # Column by column: numpy's reductions along the first axis of (N, 2) are slow.
    sides = [(float((v / local[:, 2]).min()), float((v / local[:, 2]).max())) for v in (local[:, 0], local[:, 1])]
    low, high = np.array(sides).T
    middle, extent = 0.5 * (low + high), high - low
    extent = extent + _MARGIN * extent.max() + 1e-6
    focal = longer / float(extent.max())
    width, height = (int(n) for n in np.maximum(np.ceil(extent * focal), 16))
    K = np.array([[focal, 0, width / 2 - focal * middle[0]], [0, focal, height / 2 - focal * middle[1]], [0, 0, 1]])
    return Camera(K, width, height, pose)


def without_pinholes(depth: Floats) -> Floats:
    """Gaps of a pixel or two take the farthest depth around them: a gap between splats is not a hole."""
    mask = (depth > 0).astype(np.uint8)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    return np.where((closed > 0) & (mask == 0), cv2.dilate(depth, np.ones((3, 3), np.uint8)), depth)


def solid_surface(
    drawn: list[Drawn], layers: Layers, focus: Focus, params: MeshParams
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Fused depth -> vertices and faces; the layers count for more than the drawn pictures."""
    mask = layers.arrays["mask"]
    views = [DepthView(d.depth, d.camera) for d in drawn if d.depth is not None]
    for name, last in (("front", False), ("back", True)):
        depth = np.where(mask, layers.arrays[name], 0.0)
        views.append(DepthView(depth, layers.camera, _PHOTO_VOTES, last))
    voxel = params.voxel / 1000.0
    low, high = bounds_of(views, 4.0 * voxel)
    try:
        volume = fuse(views, low, high, voxel)
        return surface_of(volume, faces=params.faces, smoothing=params.smoothing, focus=focus)
    except ValueError as error:
        raise UserError(f"No surface could be made from the splats: {error}") from error


def photo_pictures(matte: Cutout, layers: Layers, camera: Camera) -> tuple[Picture, Picture]:
    """The photo, and the back layer's colours as the same camera would see them from within."""
    photo = Picture(matte.rgb, matte.alpha, camera.resized(matte.alpha.shape[1], matte.alpha.shape[0]))
    mask = layers.arrays["mask"].astype(np.float32)
    return photo, Picture(layers.arrays["back_rgb"], mask, layers.camera, last=True)


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


def contact_sheet(drawn: list[Drawn]) -> Floats:
    """The level views side by side, small."""
    tiles = []
    for picture in drawn[:12:2]:
        height, width = picture.alpha.shape
        side = max(height, width)
        tile = np.zeros((side, side, 4), np.float32)
        top, left = (side - height) // 2, (side - width) // 2
        tile[top : top + height, left : left + width] = np.dstack([picture.rgb, picture.alpha])
        tiles.append(cv2.resize(tile, (120, 120), interpolation=cv2.INTER_AREA))
    return np.hstack(tiles)
