"""Two surfaces, the walls between them and the hidden parts of the body as 3D Gaussians."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from pipelines.geometry.cameras import Camera
from pipelines.geometry.splat_raster import render_numpy
from pipelines.projection.body_mesh import BodyMesh, body_mesh
from pipelines.projection.body_set import body_set
from pipelines.projection.hull import inside_hull
from pipelines.projection.outline import depth_inside, smooth
from pipelines.projection.sampling import SPREAD, Grid, resample, rim_opacity, sharpen_for_blur, surface_axes
from pipelines.projection.splats import SplatsParams
from pipelines.projection.walls import Walls, inward, slopes, walls
from pipelines.records import GENERATED, ORIGIN_NAMES, SEEN, Body, BodyMaps, Cutout, Layers, Splats
from pipelines.step import Context

FRONT, BACK, WALL, BODY = (ORIGIN_NAMES.index(name) for name in ("front", "back", "wall", "body"))
FINEST = 1.0  # splats per photo pixel along a side at most: beyond it there is nothing more to show
DRAWN_BLUR = 0.3  # px^2 that a rasteriser adds to every splat
BACK_SCALE = 0.7  # fineness of the back's grid against the front's: it has less to show
STRIPS = 2.2  # splats of wall and slope per pixel of side, measured on people in many poses
FACES = 3000  # and of the body's hidden faces
CORRECTION = 0.25  # most that the comparison with the photo changes a colour
INSET = 0.8  # photo (or grid) pixels by which all but the front keep within the outline: soft rims add up


def gaussians(
    layers: Layers, body_fit: Body, body_maps: BodyMaps, matte: Cutout, params: SplatsParams, ctx: Context
) -> Splats:
    """The work of the step `splats`; see its declaration."""
    scale = grid_scale(layers, matte, params.count)
    grid = resample(layers.arrays, layers.camera, scale)
    photo_pixel = grid.camera.width / matte.alpha.shape[1]
    inset = INSET * max(photo_pixel, 1.0)
    blur = SPREAD**2 + DRAWN_BLUR * photo_pixel**2
    far = resample(layers.arrays, layers.camera, scale * BACK_SCALE)
    sets = [surface(grid, 0, blur), surface(far, 1, blur * BACK_SCALE**2, inset * BACK_SCALE)]
    ctx.progress(0.4, "front and back as splats", preview(grid))
    if params.walls:
        strips = (walls(grid, inset), slopes(grid, 0, inset), slopes(far, 1, inset * BACK_SCALE))
        sets += [round_splats(strip) for strip in strips]
    if params.hidden:
        sets += [hidden_surface(far, 2), hidden_surface(far, 3)]
        sets.append(body_splats(body_mesh(body_fit), body_maps, grid, layers))
    ctx.progress(0.9, "walls and hidden parts")
    joined = join(sets)
    joined = joined.select(inside_hull(joined.means, layers.camera, layers.arrays["mask"]))
    joined = refine_colours(joined, layers, matte, body_fit.camera, params.refine)
    ctx.progress(1.0, f"{len(joined)} splats")
    return joined


def grid_scale(layers: Layers, matte: Cutout, count: int) -> float:
    """Fineness of the splats' grid relative to the layers', so that all sets together come to about `count`."""
    a = layers.arrays
    core = cv2.erode(a["mask"].astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1).astype(bool)
    ring = a["mask"] & ~core
    pixel = np.maximum(a["front"][ring], 1e-3) / layers.camera.K[0, 0]
    strips = float(((a["back"] - a["front"])[ring] / pixel).sum()) * STRIPS
    per_scale = a["mask"].sum() * (1 + BACK_SCALE**2) + 2 * BACK_SCALE**2 * a["two"].sum() + strips
    wanted = np.sqrt(max(count - FACES, 0.3 * count) / per_scale)
    return float(min(wanted, FINEST * matte.alpha.shape[1] / layers.camera.width))


def surface(grid: Grid, side: int, blur: float, inset: float = 0.0) -> Splats:
    """One splat per masked pixel on the front (0) or back (1) surface.

    blur: variance of a splat as the photo's camera draws it, grid px^2. inset: the outermost pixels are moved in until
    they are this many pixels away from the outline.
    """
    means, quats, scales = surface_axes(grid, side, grid.mask)
    if inset > 0:
        means = move_in(grid, side, means, inset)
    rgb = grid.rgb[side]
    if side == 1:
        rgb = sharpen_for_blur(rgb, grid.mask, blur)
    opacity = rim_opacity(grid.alpha, grid.mask, blur)
    seen = grid.seen[grid.mask] if side == 0 else np.full(len(means), GENERATED, np.uint8)
    return pack(means, quats, scales, rgb[grid.mask], seen, (FRONT, BACK)[side], opacity[grid.mask])


def hidden_surface(grid: Grid, number: int) -> Splats:
    """The far side of the first limb (2) and the near side of the last one (3), where one hides the other."""
    means, quats, scales = surface_axes(grid, number, grid.two)
    return pack(means, quats, scales, grid.rgb[number - 2][grid.two], GENERATED, BODY)


def refine_colours(made: Splats, layers: Layers, matte: Cutout, camera: Camera, rounds: int) -> Splats:
    """Front colours whose picture is the photo: splats overlap and blur, so each round adds to every splat what the
    picture still lacks around it (van Cittert's deconvolution with the rasteriser itself as the blur).

    Less and less towards the outline, where a splat is seen from the side as well, and by at most CORRECTION.
    """
    front = np.flatnonzero(made.origin == FRONT)
    pixels, depth = camera.project(made.means[front])
    inside = depth_inside(layers.arrays["mask"])
    at = layers.camera.project(made.means[front])[0].astype(int)
    firm = np.clip((inside[at[:, 1], at[:, 0]] - 1.0) / 2.0, 0.0, 1.0)
    solid = (matte.alpha > 0.9).astype(np.float32)
    where = (pixels[:, ::-1] - 0.5).T
    spread = SPREAD * float(np.median(made.scales[front].max(1) / SPREAD * camera.K[0, 0] / depth))
    colours = made.colours.copy()
    for _ in range(rounds):
        drawn = render_numpy(
            made.means, made.quats, made.scales, made.opacities, colours, camera.world_to_camera, camera.K,
            camera.width, camera.height,
        )  # fmt: skip
        missing = smooth(matte.rgb - drawn.features, solid * (drawn.alpha > 0.9), max(0.7 * spread, 0.4))
        for channel in range(3):
            change = map_coordinates(missing[..., channel], where, order=1, mode="nearest")
            colours[front, channel] += np.where(drawn.visibility[front] > 0.1, change * firm, 0.0)
        colours = np.clip(colours, made.colours - CORRECTION, made.colours + CORRECTION).clip(0.0, 1.0)
    return dataclasses.replace(made, colours=colours.astype(np.float32))


def move_in(grid: Grid, side: int, means: NDArray[np.float64], inset: float) -> NDArray[np.float64]:
    """The surface's means with those of the outermost pixels shifted inwards at their depth."""
    rows, columns = np.nonzero(grid.mask)
    shift = np.clip(inset + 0.5 - grid.inside[rows, columns], 0.0, None)
    pixels = np.stack([columns, rows], 1) + 0.5 + inward(grid)[rows, columns] * shift[:, None]
    return np.where(shift[:, None] > 0, grid.camera.unproject(pixels, grid.depth[side][rows, columns]), means)


def round_splats(strip: Walls) -> Splats:
    """A strip of wall as splats."""
    quats = np.tile(np.array([1, 0, 0, 0], np.float32), (len(strip.means), 1))
    return pack(strip.means, quats, np.repeat(strip.sigma[:, None], 3, 1), strip.colours, GENERATED, WALL)


def body_splats(mesh: BodyMesh, maps: BodyMaps, grid: Grid, layers: Layers) -> Splats:
    """The body's hidden faces; a forearm only where the layers follow the fitted one."""
    size = (grid.camera.width, grid.camera.height)
    full = np.stack(
        [cv2.resize(maps.arrays[f"full_{s}"], size, interpolation=cv2.INTER_NEAREST) for s in ("front", "back")]
    )
    used = tuple(arm_is_used(maps, layers, side) for side in ("left", "right"))
    return pack(*body_set(mesh, grid, full, (used[0], used[1])), GENERATED, BODY)


def arm_is_used(maps: BodyMaps, layers: Layers, side: str) -> bool:
    """Whether the front or back layer follows most of what can be seen of the fitted forearm and hand."""
    names = [str(n) for n in maps.arrays["part_names"]]
    labels = [names.index(f"{stem}_{side}") for stem in ("forearm", "hand")]
    for surface_name in ("front", "back"):
        there = np.isin(maps.arrays[f"full_{surface_name}_part"], labels) & layers.arrays["mask"]
        followed = np.abs(layers.arrays[surface_name] - maps.arrays[f"full_{surface_name}"]) < 0.06
        if there.any() and (there & followed).sum() > 0.6 * there.sum():
            return True
    return False


def pack(
    means: NDArray, quats: NDArray, scales: NDArray, colours: NDArray, seen: NDArray[np.uint8] | int, origin: int,
    opacity: NDArray | float = 1.0,
) -> Splats:  # fmt: skip
    """A set of splats of one origin."""
    count = len(means)
    return Splats(
        means.astype(np.float32), quats.astype(np.float32), scales.astype(np.float32),
        np.clip(np.broadcast_to(np.float32(opacity), (count,)), 0.05, 0.995).astype(np.float32),
        np.clip(colours, 0, 1).astype(np.float32), np.broadcast_to(np.uint8(seen), (count,)).copy(),
        np.full(count, origin, np.uint8),
    )  # fmt: skip


def join(sets: list[Splats]) -> Splats:
    """Several sets as one, in order."""
    fields = ("means", "quats", "scales", "opacities", "colours", "seen", "origin")
    return Splats(*(np.concatenate([getattr(s, f) for s in sets]) for f in fields))


def preview(grid: Grid) -> NDArray[np.float32]:
    """What is seen, green, and what is only grazed, yellow, over the photo."""
    tint = np.where(
        (grid.seen == SEEN)[..., None], np.array([0.2, 0.8, 0.3], np.float32), np.array([0.9, 0.8, 0.1], np.float32)
    )
    return (0.6 * grid.rgb[0] + 0.4 * tint) * grid.mask[..., None]
