"""Pixels of the far side that are not copied, filled from those that are.

A garment's mean colour goes on sideways from the nearest copied pixel, so that a belt line or a hem stays as sharp as it
is in the photo; what differs from it, light and shade, is spread by a membrane; and the fine detail of the nearest copied
pixel is added, less and less the further away it is.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.projection.membrane import fill
from pipelines.projection.outline import depth_inside, nearest, smooth
from pipelines.projection.weave import woven

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
UPRIGHT = 4  # clothes change along the body more than around it: colours spread so many times further sideways
FADE = 2.0  # times the blur: a distance over which copied detail fades, before it would show as rings around its source
PATCH = 4.0  # times the blur: side of a patch of cloth


def replace(
    result: Floats,
    rgb: Floats,
    copied: Mask,
    region: Mask,
    blur: float,
    doubtful: Mask | None = None,
    garment: Floats | None = None,
) -> Floats:
    """Fill a region's pixels that are not copied from those that are (and not doubtful, if any are left); unchanged
    where none is.

    result, rgb (h, w, 3): the far side so far, and the photo. blur: of the colours, px. garment (h, w, 3): the mean
    colour of the garment at each pixel, whose borders stay sharp; None has no borders.
    """
    if not (copied & region).any() or (copied | ~region).all():
        return result
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    whole = result.copy()
    sure = copied & region if doubtful is None else copied & region & ~doubtful
    sure = sure[window] if sure.any() else (copied & region)[window]
    garment = np.zeros_like(rgb) if garment is None else garment
    garment = garment[window]
    result, rgb, copied, region = result[window], rgb[window], copied[window], region[window]
    source = sure
    # Two passes: the source without its rim to the replaced part, whose colour is mixed.
    solid = cv2.erode(source.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    solid = solid if solid.sum() > 0.2 * source.sum() else source
    shade = rgb - garment
    low = smooth(shade, solid, blur)
    fine = smooth(shade, solid, blur / 3)
    base = spread_sideways(low, solid, region) + nearest_sideways(garment, solid)
    rows, columns = nearest(solid)
    y, x = np.indices(region.shape)
    # Detail from the source, mirrored at its border to and fro within its width.
    offset = np.stack([rows - y, columns - x], -1).astype(np.float32)
    length = np.linalg.norm(offset, axis=-1)
    depth = cv2.dilate(depth_inside(solid), np.ones((9, 9), np.uint8))[rows, columns] + 1.0
    back_and_forth = depth - np.abs(np.mod(length, 2 * depth) - depth)
    ahead = offset / np.maximum(length, 1e-6)[..., None] * back_and_forth[..., None]
    from_y = np.clip(np.round(rows + ahead[..., 0]).astype(int), 0, region.shape[0] - 1)
    from_x = np.clip(np.round(columns + ahead[..., 1]).astype(int), 0, region.shape[1] - 1)
    detail = np.where(solid[..., None], shade - fine, 0.0)[from_y, from_x]
    kept = cv2.erode((copied | ~region).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & region
    keep = smooth(kept.astype(np.float32), region, 1.0)[..., None] * kept[..., None]
    near = np.exp(-length / (FADE * blur))[..., None]
    side = 2 * max(round(PATCH * blur / 2), 3)
    weave = woven(np.where(solid[..., None], shade - low, 0), low + garment, solid, base, region & ~solid, side)
    made = base + detail * near + weave * (1 - near)
    whole[window] = np.where(region[..., None], keep * rgb + (1 - keep) * made, result)
    return whole


def spread_sideways(low: Floats, known: Mask | Floats, region: Mask) -> Floats:
    """(h, w, 3) colours carried over a region from where they are known (h, w; a share 0..1) by a membrane on a picture
    UPRIGHT times narrower, so that a hem or a belt goes on at its height."""
    height, width = region.shape
    small = (max(-(-width // UPRIGHT), 1), height)

    def narrow(image: NDArray) -> Floats:
        made = np.asarray(cv2.resize(image.astype(np.float32), small, interpolation=cv2.INTER_AREA), np.float32)
        return made.reshape(small[1], small[0], *image.shape[2:])

    weight = narrow(known)
    mean = narrow(low * known[..., None]) / np.maximum(weight, 1e-3)[..., None]
    made = fill(mean, 2.0 * weight, narrow(region) > 0)
    wide = cv2.resize(made, (width, height), interpolation=cv2.INTER_LINEAR)
    cover = cv2.resize((narrow(region) > 0).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return (wide / np.maximum(cover, 1e-3)[..., None]).astype(np.float32)


def nearest_sideways(colours: Floats, known: Mask) -> Floats:
    """(h, w, 3) the colour of the nearest known pixel, UPRIGHT times nearer sideways; 0 where none is known."""
    half = UPRIGHT // 2
    cells = known[:, half::UPRIGHT]
    if not cells.any():
        return np.zeros_like(colours)
    rows, columns = nearest(cells)
    column = np.minimum(np.arange(colours.shape[1]) // UPRIGHT, cells.shape[1] - 1)
    found = colours[rows[:, column], columns[:, column] * UPRIGHT + half]
    return np.asarray(cv2.GaussianBlur(found, (0, 0), UPRIGHT / 2, sigmaY=0.5), np.float32)
