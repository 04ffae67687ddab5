"""Which of a person's clothes go around to the side that no photo shows.

The picture is parted into pieces of one cloth (a garment, its shaded half, a stripe). Front and back meet at the
outline: at every height it is asked how much of the outline there has a piece's colour. The pieces that make a fair
share go around whole, so that trousers whose sides hang behind hands at the seat are known by the legs below; a shirt
in an open jacket, a tie, a print or a scarf makes none and is not on the back. A patterned cloth has no colour of its
own: it goes around where the outline on the left and on the right shows its colours about as often as the inside does.
An arm before the trunk, whose sleeve or elbow may well be at the outline, tells nothing of the trunk and is not on it.
Skin is no cloth: a neckline is open in front alone, unless the shoulders are bare as well.
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
GRAIN = 0.006, 0.003  # metres: standard deviations of the means that are looked at for prints, and for straps
GARMENT = 2.0  # times the likeness: pieces nearer than that are one garment, light and shade
OWN = 0.3  # of its pixels that a piece of the trunk's and legs' clothes has there; skin of an arm has fewer
MISS = 0.03  # metres by which a fitted arm may miss the arm in the photo
SKIN = 2.0  # times the likeness: an arm's piece nearer to the skin's colour is bare
BARE = 0.5  # of the shoulders' outline that skin must be, and of the torso that it must not be
FORE = 0.5  # of its pixels that a piece has on a fitted forearm and hand to be the arm's
ALIKE = 0.5  # times as often as inside: a colour that the outline shows so often on both sides is the pattern's
RARE = 0.08  # of the width: what is rarer (a strap, a hand) the outline shows by chance
AROUND = 0.03  # metres: a pattern is a pattern by what lies so far around
MOST = 0.6  # of the pixels around that have the pattern's colours
MIXED = 1.5  # pixels at the outline whose colour is half the background's


class Clothes(NamedTuple):
    """around (h, w): pixels of the clothes that the back has too. garment (h, w, 3): mean colour of the garment at a
    pixel, 0 outside. limb (h, w): pixels of pieces that are not the trunk's and legs', be it beyond the fitted arm.
    bare (h, w): the skin below bare shoulders, which the back has too."""

    around: Mask
    garment: Floats
    limb: Mask
    bare: Mask


def clothes(
    rgb: Floats, region: Mask, telling: Mask, trunk: Mask, torso: Mask, shoulders: Mask, arms: Mask,
    skin: Floats | None, inside: Floats, likeness: float, pixel: float,
) -> Clothes:  # fmt: skip
    """What goes around of the region (h, w) of a photo (h, w, 3).

    telling: where the outline tells of clothes (no hands, no feet). trunk: the trunk and the legs; torso: without the
    legs. shoulders: the outline on top of them, without hair. arms: the fitted
    forearms and hands where they are in front. skin (3,): its colour, None when unknown. inside: distance to the
    outline, px. likeness: colour difference (CIELAB, brightness counts less) below which two pieces are one cloth: 0
    lets nothing go around, 200 all. pixel: metres per pixel.
    """
    piece, colour = pieces(rgb, region, pixel)
    apart = np.sqrt(((colour[:, None] - colour[None]) ** 2).sum(-1))
    height, count = len(region), len(colour)
    number = np.bincount(piece[region], minlength=count)
    reach = 2 * round(MISS / pixel) + 1
    near_arm = cv2.dilate(arms.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
    limb = np.bincount(piece[region & trunk], minlength=count) < OWN * number
    fore = np.bincount(piece[region & near_arm], minlength=count) > FORE * number
    # A sleeve of the same cloth as the trunk that it touches is as good as the trunk.
    fore &= ~(touching(piece, region, count) & (apart < likeness) & ~(limb | fore)).any(1)
    # What sleeves are made of, the trunk may well wear; of bare arms it tells nothing.
    naked = fore & False
    if skin is not None:
        naked = np.linalg.norm(colour - weighed(skin[None, None])[0, 0], axis=1) < SKIN * likeness
    bare = fore & naked
    rim = region & telling & (inside > 0.5) & (inside < np.maximum(0.25 * half_width(inside), 2.5)) & ~bare[piece]
    row_of_piece = np.arange(height)[:, None] * count + piece
    width, at_rim = (
        np.bincount(row_of_piece[m], minlength=height * count).reshape(height, count).astype(float)
        for m in (region, rim)
    )
    own = along(width * (at_rim @ (apart < likeness)), pixel)
    every = along(width * at_rim.sum(1, keepdims=True), pixel)
    # Where arms hide all of the outline nothing speaks against a piece.
    share = np.where(every > 1e-6, own / np.maximum(every, 1e-6), 1.0)
    sums = np.stack([np.bincount(piece[region], rgb[..., c][region], count) for c in range(3)], -1)
    garment = (apart < GARMENT * likeness).astype(float)
    mean = ((garment @ sums) / np.maximum(garment @ number, 1)[:, None]).astype(np.float32)
    calm, sharp = (weighed(smooth(rgb, region, width / pixel)) for width in GRAIN)
    # A strap is thinner than what calms a weave; it is parted from the cloth below by the sharper look alone.
    own_colour = weighed(mean[None])[0][piece]
    off = np.maximum(*(((look - own_colour) ** 2).sum(-1) for look in (calm, sharp)))
    plain = off < (PRINT * likeness) ** 2
    around = region & plain & (share.ravel()[row_of_piece] > SHARE)
    naked &= is_skin(sums / np.maximum(number, 1)[:, None])
    below = naked & ~(limb | fore) & bool(naked[piece[shoulders]].sum() > BARE * shoulders.sum() > 0)
    # Where most of the trunk has the skin's colour it is as likely cloth.
    below &= bool(below[piece[torso & region]].sum() < BARE * (torso & region).sum())
    around |= region & plain & below[piece]
    around |= patterned(calm, region & ~fore[piece], rim & (inside > MIXED), likeness, pixel)
    limb |= fore
    return Clothes(around & ~fore[piece], mean[piece] * region[..., None], region & limb[piece], region & below[piece])


def is_skin(rgb: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(...) whether colours (..., 3) have the chroma of skin: the YCbCr box of Chai & Ngan (1999), which holds for light
    and dark skin alike, and for much beige cloth too."""
    ycc = cv2.cvtColor(np.ascontiguousarray(rgb, np.float32).reshape(1, -1, 3), cv2.COLOR_RGB2YCrCb)[0] * 255
    cr, cb = ycc[:, 1], ycc[:, 2]
    return ((cr > 133) & (cr < 173) & (cb > 77) & (cb < 127)).reshape(rgb.shape[:-1])


def touching(piece: NDArray[np.intp], region: Mask, count: int) -> NDArray[np.bool_]:
    """(count, count) whether two of the pieces (h, w) lie side by side in a region."""
    result = np.zeros((count, count), bool)
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        both = region[here] & region[there]
        result[piece[here][both], piece[there][both]] = True
    return result | result.T


def along(values: NDArray[np.float64], pixel: float) -> NDArray[np.float64]:
    """(h, n) values of the rows, each with those at about its height."""
    return np.asarray(gaussian_filter1d(values, ALONG / pixel, axis=0, mode="constant"))


def patterned(calm: Floats, region: Mask, rim: Mask, likeness: float, pixel: float) -> Mask:
    """(h, w) the pixels of a region in cloth of several colours that the rim (h, w) has on the left and on the right
    nearly as often as the region at that height. calm (h, w, 3): colours as `weighed`, without grain."""
    step = max(likeness, 1.0)
    height = len(region)
    bins = np.round(calm / step).astype(np.int64) + 64
    shades, kind = np.unique(((bins[..., 0] << 16) + (bins[..., 1] << 8) + bins[..., 2])[region], return_inverse=True)
    if likeness <= 0 or not len(shades):
        return np.zeros_like(region)
    count = len(shades)
    centre = np.stack([shades >> 16, (shades >> 8) & 255, shades & 255], -1)
    alike = (((centre[:, None] - centre[None]) ** 2).sum(-1) <= 2).astype(float)
    rows, columns = np.nonzero(region)
    middle = (region * np.arange(region.shape[1])).sum(1) / np.maximum(region.sum(1), 1)
    at_rim, left = rim[rows, columns], columns < middle[rows]
    often = []
    for chosen in (np.ones(len(rows), bool), at_rim & left, at_rim & ~left):
        found = np.bincount(rows[chosen] * count + kind[chosen], minlength=height * count).reshape(height, count)
        here = along(found.astype(float) @ alike, pixel)
        every = along(found.sum(1, keepdims=True).astype(float), pixel)
        often.append(here / np.maximum(every, 1e-9))
    both = (np.minimum(often[1], often[2]) > ALIKE * often[0]) & (often[0] > RARE)
    fits = np.zeros(region.shape, np.float32)
    fits[rows, columns] = both[rows, kind]
    near, wide = AROUND / 2 / pixel, AROUND / pixel
    several = (smooth(calm**2, region, near) - smooth(calm, region, near) ** 2).sum(-1) > likeness**2
    # A hem or an open jacket's edge is a line between two colours, a pattern has them all around.
    all_around = smooth(several.astype(np.float32), region, 1.5 * wide) > MOST
    return (fits > 0) & (smooth(fits, region, near) > MOST) & all_around


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
