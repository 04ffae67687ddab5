"""Which of a person's clothes go around to the side that no photo shows.

The picture is parted into pieces of one cloth (a garment, its shaded half, a stripe). Front and back meet at the
outline: at every height it is asked how much of the outline there has a piece's colour. The pieces that make a fair
share go around whole, so that trousers whose sides hang behind hands at the seat are known by the legs below; a shirt
in an open jacket, a tie, a print or a scarf makes none and is not on the back.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from skimage.segmentation import felzenszwalb

from pipelines.projection.outline import half_width, nearest, smooth

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
SHADING = np.array([0.4, 1.0, 1.0], np.float32)  # of CIELAB: a fold in shadow is still the same cloth
CELL = 0.008  # metres: side of a pixel of the picture that is parted
SCALE = 100.0  # how strong an edge parts two large pieces; felzenszwalb's, on CIELAB / 100
LEAST = 0.002  # square metres of the smallest piece
ALONG = 0.08  # metres: a height over which cloth does not change
SHARE = 0.45  # of the outline at its height: what shows on one of the two sides is not the back's
PRINT = 1.5  # times the likeness: a spot in a piece that is further from the piece's colour is a print
GARMENT = 2.0  # times the likeness: pieces nearer than that are one garment, light and shade
OWN = 0.3  # of its pixels that a piece of the trunk's and legs' clothes has there; skin of an arm has fewer


class Clothes(NamedTuple):
    """around (h, w): pixels of the clothes that the back has too. garment (h, w, 3): mean colour of the garment at a
    pixel, 0 outside. limb (h, w): pixels of pieces that are not the trunk's and legs', be it beyond the fitted arm."""

    around: Mask
    garment: Floats
    limb: Mask


def clothes(
    rgb: Floats, region: Mask, telling: Mask, trunk: Mask, inside: Floats, likeness: float, pixel: float
) -> Clothes:
    """What goes around of the region (h, w) of a photo (h, w, 3).

    telling: where the outline tells of clothes (no hands, no feet). trunk: the trunk and the legs. inside: distance to
    the outline, px. likeness: colour difference (CIELAB, brightness counts less) below which two pieces are one cloth:
    0 lets nothing go around, 200 all. pixel: metres per pixel.
    """
    piece, colour = pieces(rgb, region, pixel)
    apart = np.sqrt(((colour[:, None] - colour[None]) ** 2).sum(-1))
    rim = region & telling & (inside > 0.5) & (inside < np.maximum(0.25 * half_width(inside), 2.5))
    height, count = len(region), len(colour)
    row_of_piece = np.arange(height)[:, None] * count + piece
    width, at_rim = (
        np.bincount(row_of_piece[m], minlength=height * count).reshape(height, count).astype(float)
        for m in (region, rim)
    )
    own = gaussian_filter1d(width * (at_rim @ (apart < likeness)), ALONG / pixel, axis=0, mode="constant")
    every = gaussian_filter1d(width * at_rim.sum(1, keepdims=True), ALONG / pixel, axis=0, mode="constant")
    # Where arms hide all of the outline nothing speaks against a piece.
    share = np.where(every > 1e-6, own / np.maximum(every, 1e-6), 1.0)
    number = np.bincount(piece[region], minlength=count)
    sums = np.stack([np.bincount(piece[region], rgb[..., c][region], count) for c in range(3)], -1)
    garment = (apart < GARMENT * likeness).astype(float)
    mean = ((garment @ sums) / np.maximum(garment @ number, 1)[:, None]).astype(np.float32)
    calm = weighed(smooth(rgb, region, 0.006 / pixel))
    plain = ((calm - weighed(mean[None])[0][piece]) ** 2).sum(-1) < (PRINT * likeness) ** 2
    limb = np.bincount(piece[region & trunk], minlength=count) < OWN * number
    around = region & plain & (share.ravel()[row_of_piece] > SHARE)
    return Clothes(around, mean[piece] * region[..., None], region & limb[piece])


def pieces(rgb: Floats, region: Mask, pixel: float) -> tuple[NDArray[np.intp], Floats]:
    """(h, w) number of the piece of each pixel of a region, and (n, 3) the pieces' colours as `weighed`.

    Graph-based segmentation (Felzenszwalb & Huttenlocher 2004): a long soft shade is one piece, a sharp border parts
    two, however little they differ.
    """
    size = max(round(region.shape[1] * pixel / CELL), 1), max(round(region.shape[0] * pixel / CELL), 1)
    cover = cv2.resize(region.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(rgb * region[..., None], size, interpolation=cv2.INTER_AREA) / np.maximum(cover, 1e-3)[..., None]
    calm = weighed(np.asarray(cv2.medianBlur((np.clip(mean, 0, 1) * 255).astype(np.uint8), 3) / 255, np.float32))
    there = cover > 0.5
    # What is around the region is one piece, too far from any colour to join in.
    parted = np.where(there[..., None], calm / 100, 10.0).astype(np.float64)
    label = felzenszwalb(parted, scale=SCALE, sigma=0, min_size=round(LEAST / CELL**2))
    label = label[nearest(there)] if there.any() else label
    count = int(label.max()) + 1
    sums = np.stack([np.bincount(label[there], calm[..., c][there], count) for c in range(3)], -1)
    colour = sums / np.maximum(np.bincount(label[there], minlength=count), 1)[:, None]
    whole = cv2.resize(label.astype(np.int32), region.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return whole.astype(np.intp), colour.astype(np.float32)


def weighed(rgb: Floats) -> Floats:
    """(h, w, 3) CIELAB with brightness counting less."""
    return cv2.cvtColor(np.ascontiguousarray(rgb, np.float32), cv2.COLOR_RGB2LAB) * SHADING
