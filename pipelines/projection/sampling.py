"""The layers on the splats' own grid: positions, colours and covariances, one splat per grid pixel and side."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from pipelines.geometry.cameras import Camera
from pipelines.geometry.rotations import axes_of_covariance
from pipelines.projection.outline import depth_inside

Floats = NDArray[np.float32]
SURFACES = ("front", "back", "leave", "enter")
SPREAD = 0.42  # standard deviation of a splat in steps of the grid: below 0.35 sides get holes, above 0.5 it blurs
THIN = 0.2  # standard deviation across the surface, in steps of the grid
MIXED = 1.5  # grid pixels at the outline whose colour is a mixture with the background
STRETCH = 8.0  # a step in depth beyond this many grid steps parts two surfaces
STEEP = 3.0  # beyond this many steps the surface is seen too flatly: the sides' own splats cover it ...
EDGE = 4.0  # ... and beyond this many it is an edge, and a splat along it a needle
EVEN = 3.0  # steps of depth between a pixel and a mean of its neighbours, beyond which that floats between surfaces


@dataclass(frozen=True)
class Grid:
    """The layers resampled. camera: the view on this grid. mask, two (h, w); alpha (h, w); depth (4, h, w)
    metres: front, back, leave, enter (see `solid.Solid`); rgb (2, h, w, 3); part (2, h, w); seen, arm (h, w) uint8;
    step (h, w): metres per grid pixel at the middle depth; inside (h, w): distance to the outline, px."""

    camera: Camera
    mask: NDArray[np.bool_]
    two: NDArray[np.bool_]
    alpha: Floats
    depth: Floats
    rgb: Floats
    part: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    arm: NDArray[np.uint8]
    step: Floats
    inside: Floats


def pixel_size(layers: dict[str, NDArray], camera: Camera) -> float:
    """Metres per pixel of Layers arrays at the middle of the person's front; 0 where nobody is."""
    mask = layers["mask"]
    return float(np.median(layers["front"][mask])) / float(camera.K[0, 0]) if mask.any() else 0.0


def resample(layers: dict[str, NDArray], camera: Camera, scale: float, mixed: float = MIXED) -> Grid:
    """Layers arrays on `camera`'s grid -> the same on a grid `scale` times as fine (0.5: half as many pixels a side).

    Depths are interpolated inside a surface and taken from the nearest pixel at its edges.
    """
    width, height = max(2, round(camera.width * scale)), max(2, round(camera.height * scale))
    grid = camera.resized(width, height)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
    x, y = x * camera.width / width - 0.5, y * camera.height / height - 0.5
    columns = np.clip(np.round(x).astype(int), 0, camera.width - 1)
    rows = np.clip(np.round(y).astype(int), 0, camera.height - 1)
    mask = layers["mask"][rows, columns]
    step = pixel_size(layers, camera)
    depth = np.stack([_depth(layers[name], layers["mask"], x, y, rows, columns, step) for name in SURFACES])
    inside = depth_inside(mask)
    rgb = np.stack(
        [
            without_mixed_rim(_colour(layers[side], layers["mask"], width, height), inside, mixed)
            for side in ("front_rgb", "back_rgb")
        ]
    )
    alpha = np.clip(_scaled(layers["alpha"], width, height), 0, 1)
    part = np.stack([layers["front_part"][rows, columns], layers["back_part"][rows, columns]])
    fine_step = depth[:2].mean(0) / grid.K[0, 0]
    seen, arm = (layers[name][rows, columns] for name in ("seen", "arm"))
    return Grid(
        grid,
        mask,
        layers["two"][rows, columns] & mask,
        alpha,
        depth,
        rgb,
        part,
        seen,
        arm,
        fine_step,
        inside,
    )


def without_mixed_rim(rgb: Floats, inside: Floats, mixed: float) -> Floats:
    """(h, w, 3) colours whose outermost `mixed` pixels, half of them background, show what lies so far further in.

    inside (h, w): `depth_inside` of the mask. From the side such a pixel is a streak as long as the person is deep.
    """
    rows, columns = np.nonzero((inside > 0) & (inside < mixed))
    turn = inward(inside)[rows, columns] * (mixed - inside[rows, columns] + 0.5)[:, None]
    result = rgb.copy()
    for channel in range(3):
        where = np.stack([rows + turn[:, 1], columns + turn[:, 0]])
        result[rows, columns, channel] = map_coordinates(rgb[..., channel], where, order=1, mode="nearest")
    return result


def inward(inside: Floats) -> Floats:
    """(h, w, 2) unit direction x, y away from the outline, by the slope of the distance to it."""
    calm = cv2.GaussianBlur(inside, (0, 0), 1.5)
    direction = np.stack([cv2.Sobel(calm, cv2.CV_32F, 1, 0), cv2.Sobel(calm, cv2.CV_32F, 0, 1)], -1)
    return direction / np.maximum(np.linalg.norm(direction, axis=-1, keepdims=True), 1e-6)


def _depth(depth: Floats, mask: NDArray, x: Floats, y: Floats, rows: NDArray, columns: NDArray, step: float) -> Floats:
    weight = mask.astype(np.float32)
    total = cv2.remap(depth * weight, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    share = cv2.remap(weight, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    nearest = depth[rows, columns]
    mean = total / np.maximum(share, 1e-3)
    # Between two surfaces the mean lies on neither of them.
    return np.where((share > 0.01) & (np.abs(mean - nearest) < EVEN * step), mean, nearest).astype(np.float32)


def _colour(rgb: Floats, mask: NDArray, width: int, height: int) -> Floats:
    weight = mask.astype(np.float32)[..., None]
    total = _scaled(rgb * weight, width, height)
    share = _scaled(weight[..., 0], width, height)[..., None]
    return np.where(share > 0.02, total / np.maximum(share, 0.02), _scaled(rgb, width, height)).clip(0, 1)


def _scaled(image: Floats, width: int, height: int) -> Floats:
    finer = width > image.shape[1]
    how = cv2.INTER_LINEAR if finer else cv2.INTER_AREA
    return cv2.resize(np.ascontiguousarray(image, np.float32), (width, height), interpolation=how).astype(np.float32)


def sharpen_for_blur(rgb: Floats, mask: NDArray[np.bool_], variance: float) -> Floats:
    """Colours that, spread by Gaussians of `variance` (px^2), give the picture back: one step of van Cittert's
    deconvolution inside the mask, clipped to 0..1."""
    weight = mask.astype(np.float32)
    sigma = float(np.sqrt(variance))

    def spread(image: Floats) -> Floats:
        top = cv2.GaussianBlur(image * weight[..., None], (0, 0), sigma)
        return (top / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)[..., None]).astype(np.float32)

    sharper = rgb + (rgb - spread(rgb))
    return np.where(mask[..., None], np.clip(sharper, 0, 1), rgb).astype(np.float32)


def rim_opacity(alpha: Floats, mask: NDArray[np.bool_], variance: float) -> Floats:
    """(h, w) opacities of splats whose picture has the matte's alpha at the rim instead of a wider, blurred one.

    variance: of a drawn splat, px^2. Overlapping splats of opacity o add up to 1 - exp(-2 pi v G_v * o); a few
    multiplicative steps bring that to `alpha` (Richardson-Lucy without its last blur). Full inside.
    """
    sigma = float(np.sqrt(variance))
    target = -np.log(np.maximum(1.0 - np.clip(alpha, 0.0, 0.98), 1e-3)) * mask
    opacity = np.clip(alpha, 0.0, 1.0) * mask
    for _ in range(6):
        drawn = 2.0 * np.pi * variance * cv2.GaussianBlur(opacity.astype(np.float32), (0, 0), sigma)
        drawn = np.minimum(drawn, 4.0)
        # The light that spreads beyond the mask counts as well: weigh the pixels by what lies around them.
        ratio = cv2.GaussianBlur(target.astype(np.float32), (0, 0), sigma) / np.maximum(
            cv2.GaussianBlur(drawn, (0, 0), sigma), 1e-3
        )
        opacity = np.clip(opacity * np.minimum(ratio, 1.5), 0.0, 1.0)
    return np.where(depth_inside(mask) > 2.5, 1.0, opacity).astype(np.float32) * mask


def surface_axes(
    grid: Grid, side: int, mask: NDArray[np.bool_], spread: float = SPREAD, chosen: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], Floats, Floats]:
    """Means (N, 3) world, quaternions (N, 4) and scales (N, 3) of one splat per pixel of a mask, or of the
    `chosen` ones in it, on one of SURFACES.

    Covariance spread^2 (t_u t_u^T + t_v t_v^T) + (THIN step)^2 I, with t_u and t_v the steps in space to the
    neighbouring pixels on the side where the depth changes less; across an edge the surface is taken as flat.
    """
    camera, depth = grid.camera, grid.depth[side]
    rays = camera.rays()
    points = rays * depth[..., None]
    sheet = np.where(mask, 2 * grid.arm + grid.two if side in (0, 2) else grid.two, 255)
    tangents = [_tangent(depth, sheet, rays, grid.step, axis) for axis in (1, 0)]
    here = mask if chosen is None else chosen
    t = np.stack([tangent[here] for tangent in tangents], -1)
    covariance = spread**2 * t @ t.transpose(0, 2, 1)
    covariance += np.eye(3) * ((THIN * grid.step[here]) ** 2)[:, None, None]
    turn = camera.world_to_camera[:3, :3].T
    quats, scales = axes_of_covariance(turn @ covariance @ turn.T)
    return camera.to_world(points[here]), quats.astype(np.float32), scales.astype(np.float32)


def _tangent(depth: Floats, sheet: NDArray, rays: NDArray[np.float64], step: Floats, axis: int) -> NDArray[np.float64]:
    """(h, w, 3) the step in space to the next pixel of the same sheet along an axis of the picture."""
    jump = np.diff(depth, axis=axis)
    jump = np.where(np.diff(sheet.astype(np.int16), axis=axis) == 0, jump, np.inf)
    pad = [(0, 0), (0, 0)]
    pad[axis] = (0, 1)
    ahead = np.pad(jump, pad, constant_values=np.inf)
    pad[axis] = (1, 0)
    behind = np.pad(jump, pad, constant_values=np.inf)
    slope = np.where(np.abs(ahead) < np.abs(behind), ahead, behind)
    held = np.clip(slope, -STEEP * step, STEEP * step)
    slope = np.where(np.abs(slope) <= EDGE * step, held, 0.0)
    across = np.gradient(rays, axis=axis)
    return across * depth[..., None] + rays * slope[..., None]
