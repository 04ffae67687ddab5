"""Two surfaces and the sides between them as 3D Gaussians."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.projection.body_mesh import cloth_groups
from pipelines.projection.colour_fit import fit_colours
from pipelines.projection.columns import solid_surface
from pipelines.projection.front import SPREADS, framed, front_cells, front_surface
from pipelines.projection.hull import inside_hull
from pipelines.projection.outline import depth_inside
from pipelines.projection.sampling import (
    MIXED,
    SPREAD,
    Grid,
    inward,
    resample,
    rim_opacity,
    sharpen_for_blur,
    surface_axes,
)
from pipelines.projection.sides import sides
from pipelines.projection.splats import SplatsParams
from pipelines.projection.support import settled
from pipelines.records import GENERATED, GRAZING, ORIGIN_NAMES, SEEN, Body, Cutout, Layers, Splats
from pipelines.step import Context, UserError

FRONT, BACK, WALL, BODY = (ORIGIN_NAMES.index(name) for name in ("front", "back", "wall", "body"))
FINEST = 1.0  # splats per photo pixel along a side at most: beyond it there is nothing more to show
DRAWN_BLUR = 0.3  # px^2 that a rasteriser adds to every splat
BACK_SCALE = 0.7  # fineness of the back's grid against the front's: it has less to show
# Standard deviation of a back's splat in steps of its grid: at the front's one sees 9 % through between them, which
# from near by is the chest's print as dots on the back. The back has no photo's sharpness to lose.
BACK_SPREAD = 0.6
CELL = 1.6  # steps of the front's grid per cell of the closed surface: sides have less to show than the front
SMOOTHING = 4  # rounds over the closed surface: it is smooth already, but its vertices are unevenly spread
LOST = 1.25  # cells from the closed surface beyond which a layer floats, unless it is a sheet
STRIPS = 0.9  # splats on the sides per grid pixel of side, measured on people in many poses
OTHERS = 0.8  # of the count, the even grid for back and sides comes from; the front gets what they leave
LEAST = 0.3  # of the count that the front gets however much the others take
DETAIL = 8.0  # pixels of the front's finest cells per splat at most
CORRECTION = 0.3  # most that the comparison with the photo changes a colour
INSET = 1.1  # photo (or grid) pixels by which all but the front keep within the outline: soft rims add up


def gaussians(layers: Layers, body_fit: Body, matte: Cutout, params: SplatsParams, ctx: Context) -> Splats:
    """The work of the step `splats`; see its declaration."""
    scale = grid_scale(layers, matte, OTHERS * params.count)
    grid = resample(layers.arrays, layers.camera, scale)
    photo_pixel = grid.camera.width / matte.alpha.shape[1]
    inset = INSET * max(photo_pixel, 1.0)
    sets = []
    if params.sides:
        cell = CELL * float(np.median(grid.step[grid.mask]))
        surface = closed_surface(layers, cell)
        layers = Layers(settled(layers.arrays, layers.camera, surface, LOST * cell), layers.camera)
        sets = [walls(grid, surface, cell, inset, cloth_groups(layers.arrays["part_names"]))]
    far = resample(layers.arrays, layers.camera, scale * BACK_SCALE)
    blur = BACK_SPREAD**2 + DRAWN_BLUR * (photo_pixel * BACK_SCALE) ** 2
    sets.insert(0, back(far, blur, inset * BACK_SCALE * BACK_SPREAD / SPREAD))
    ctx.progress(0.5, "back and sides as splats", preview(grid))
    made = front(layers, matte, scale, max(params.count - sum(map(len, sets)), LEAST * params.count))
    joined = join([made, *sets])
    joined = joined.select(inside_hull(joined.means, layers.camera, layers.arrays["mask"]))
    ctx.progress(0.8, "front as splats")
    joined = refine_colours(joined, layers, matte, body_fit.camera, params.refine)
    ctx.progress(1.0, f"{len(joined)} splats")
    return joined


def front(layers: Layers, matte: Cutout, scale: float, count: float) -> Splats:
    """About `count` splats on the front surface, where the photo has the detail, and the coat behind the small ones;
    `scale`: of the sides' grid."""
    share = float(layers.arrays["mask"].sum())
    finest = min(FINEST * matte.alpha.shape[1] / layers.camera.width, float(np.sqrt(DETAIL * count / share)))
    whole = resample(layers.arrays, layers.camera, finest, MIXED * max(finest / scale, 1.0))
    size = whole.camera.width, whole.camera.height
    photo = matte.rgb if matte.rgb.shape[1::-1] == size else cv2.resize(matte.rgb, size, interpolation=cv2.INTER_AREA)
    mixed = whole.inside < MIXED * max(finest / scale, 1.0)
    whole = dataclasses.replace(whole, rgb=np.where(mixed[..., None], whole.rgb[0], photo)[None].astype(np.float32))
    grid = framed(whole)
    chosen = front_cells(grid, grid.rgb[0], layers.arrays["part_names"], int(count), finest / scale)
    blur = SPREADS[0] ** 2 + DRAWN_BLUR * (size[0] / matte.alpha.shape[1]) ** 2
    return join([pack(s.means, s.quats, s.scales, s.colours, s.seen, FRONT, s.opacity)
                 for s in front_surface(grid, chosen, blur)])  # fmt: skip


def grid_scale(layers: Layers, matte: Cutout, count: float) -> float:
    """Fineness of the splats' grid relative to the layers', so that all sets together come to about `count`."""
    a = layers.arrays
    core = cv2.erode(a["mask"].astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1).astype(bool)
    ring = a["mask"] & ~core
    pixel = np.maximum(a["front"][ring], 1e-3) / layers.camera.K[0, 0]
    strips = float(((a["back"] - a["front"])[ring] / pixel).sum()) * STRIPS
    per_scale = a["mask"].sum() * (1 + BACK_SCALE**2) + strips
    wanted = np.sqrt(count / per_scale)
    return float(min(wanted, FINEST * matte.alpha.shape[1] / layers.camera.width))


def back(grid: Grid, blur: float, inset: float) -> Splats:
    """One splat per masked pixel on the back surface.

    blur: variance of a splat as the photo's camera draws it, grid px^2. inset: the outermost pixels are moved in until
    they are this many pixels away from the outline.
    """
    means, quats, scales = surface_axes(grid, 1, grid.mask, BACK_SPREAD)
    means = move_in(grid, 1, means, inset)
    rgb = sharpen_for_blur(grid.rgb[1], grid.mask, blur)
    opacity = rim_opacity(grid.alpha, grid.mask, blur)
    return pack(means, quats, scales, rgb[grid.mask], GENERATED, BACK, opacity[grid.mask])


def refine_colours(made: Splats, layers: Layers, matte: Cutout, camera: Camera, rounds: int) -> Splats:
    """Front colours whose picture is the photo, as `fit_colours`; less and less towards the outline, where a splat is
    seen from the side as well, and by at most CORRECTION."""
    front = np.flatnonzero(made.origin == FRONT)
    inside = depth_inside(layers.arrays["mask"])
    at = layers.camera.project(made.means[front])[0].astype(int)
    free = np.zeros(len(made), np.float32)
    free[front] = np.clip((inside[at[:, 1], at[:, 0]] - 1.0) / 2.0, 0.0, 1.0)
    sure = (matte.alpha > 0.9).astype(np.float32)
    return dataclasses.replace(made, colours=fit_colours(made, free, camera, matte.rgb, sure, rounds, CORRECTION))


def move_in(grid: Grid, side: int, means: NDArray[np.float64], inset: float) -> NDArray[np.float64]:
    """The surface's means with those of the outermost pixels shifted inwards at their depth."""
    rows, columns = np.nonzero(grid.mask)
    shift = np.clip(inset + 0.5 - grid.inside[rows, columns], 0.0, None)
    pixels = np.stack([columns, rows], 1) + 0.5 + inward(grid.inside)[rows, columns] * shift[:, None]
    return np.where(shift[:, None] > 0, grid.camera.unproject(pixels, grid.depth[side][rows, columns]), means)


def closed_surface(layers: Layers, cell: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Vertices (V, 3) and faces (F, 3) around the layers, cells of `cell` metres; UserError when there is nothing."""
    try:
        return solid_surface(layers.arrays, layers.camera, cell, SMOOTHING)
    except ValueError as error:
        raise UserError(f"No sides could be made between front and back: {error} Check the cut-out.") from error


def walls(
    grid: Grid, surface: tuple[NDArray[np.float64], NDArray[np.int32]], cell: float, inset: float,
    groups: NDArray[np.uint8],
) -> Splats:  # fmt: skip
    """Splats on those parts of the closed surface that no layer covers; see `sides`."""
    made = sides(grid, *surface, cell, inset, groups)
    seen = np.where(made.grazing, GRAZING, GENERATED).astype(np.uint8)
    origin = np.where(made.between, BODY, WALL).astype(np.uint8)
    return pack(made.means, made.quats, made.scales, made.colours, seen, origin)


def pack(
    means: NDArray, quats: NDArray, scales: NDArray, colours: NDArray, seen: NDArray[np.uint8] | int,
    origin: NDArray[np.uint8] | int,
    opacity: NDArray | float = 1.0,
) -> Splats:  # fmt: skip
    """A set of splats of one origin."""
    count = len(means)
    return Splats(
        means.astype(np.float32), quats.astype(np.float32), scales.astype(np.float32),
        np.clip(np.broadcast_to(np.float32(opacity), (count,)), 0.05, 0.995).astype(np.float32),
        np.clip(colours, 0, 1).astype(np.float32), np.broadcast_to(np.uint8(seen), (count,)).copy(),
        np.broadcast_to(np.uint8(origin), (count,)).copy(),
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
