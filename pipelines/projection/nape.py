"""Colours of the nape, which no photo from the front shows: hair that falls behind, or hair above and skin below.

Hair that falls behind shows beside the neck: there the cut-out is wider than the fitted neck, or has the colour of the top
of the head. A hood or a scarf is just as wide, and what shows of it beside the neck goes around as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.projection.outline import depth_inside, smooth
from pipelines.projection.replaced import replace

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
BESIDE = 0.1  # metres from the nape within which hair that falls behind shows
WIDER = 0.04  # metres by which what shows beside the neck is wider than the fitted body, on both sides together
MIXED = 2.0  # pixels at the outline whose colour is not the hair's alone
SOFT = 0.02  # metres: where hair ends and skin begins


@dataclass(frozen=True)
class Heads:
    """What is known of the head in the picture, all (h, w) bool: `head` its pixels (hair and hat too), `face` the
    face as seen, `back_face` where the far side of the body is the face."""

    head: Mask
    face: Mask
    back_face: Mask


def nape_colours(
    result: Floats, rgb: Floats, calm: Floats, mask: Mask, covered: Mask, heads: Heads, nape: Mask,
    skin: Floats | None, pixel: float,
) -> Floats:  # fmt: skip
    """(h, w, 3) the far side with the pixels of the nape (h, w) coloured; as it is where the photo shows no hair.

    result, rgb (h, w, 3): the far side so far, and the photo; calm: the photo in CIELAB without grain. covered (h, w):
    the fitted body is there. skin (3,): its colour. pixel: metres per pixel.
    """
    face = heads.face & ~heads.back_face
    if not nape.any():
        return result
    level = np.arange(len(mask))[:, None]
    top = np.flatnonzero(face.any(1))[0] if face.any() else 0
    above = heads.head & mask & ~face & (level < top)
    hair = np.median(rgb[above], 0).astype(np.float32) if above.sum() >= 8 else None
    if hair is None and skin is None:
        return result
    rows = np.flatnonzero(nape.any(1))
    if hair is None or skin is None:
        share = np.full(mask.shape, float(hair is not None), np.float32)
    elif (falling := falls_beside(calm, mask, covered, face, above, nape, pixel)) is not None:
        blur = max(0.012 / pixel, 0.8)
        return blended(result, replace(result, rgb, falling, nape | falling, blur), nape, mask, pixel)
    else:
        # Hair of unknown length ends about half way down.
        middle = (rows[0] + rows[-1]) / 2
        share = np.broadcast_to(np.clip((middle - level) * pixel / SOFT + 0.5, 0, 1), mask.shape).astype(np.float32)
    colour = np.zeros_like(rgb)
    for part, weight in ((hair, share), (skin, 1 - share)):
        if part is not None:
            colour += part * weight[..., None]
    return blended(result, colour, nape, mask, pixel)


def blended(result: Floats, colour: Floats, nape: Mask, mask: Mask, pixel: float) -> Floats:
    """(h, w, 3) `colour` in the nape, fading into `result` around it."""
    sigma = max(0.004 / pixel, 0.6)
    reach = 2 * round(1.5 * sigma) + 1
    wide = cv2.dilate(nape.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool) & mask
    soft = smooth(wide.astype(np.float32), mask, sigma)[..., None]
    return (result * (1 - soft) + colour * soft).astype(np.float32)


def falls_beside(
    calm: Floats, mask: Mask, covered: Mask, face: Mask, above: Mask, nape: Mask, pixel: float
) -> Mask | None:
    """(h, w) where the photo shows, beside the neck, what falls behind it; None where the nape is bare. above: hair
    over the face."""
    if not face.any():
        return None
    reach = 2 * max(round(BESIDE / pixel), 1) + 1
    near = cv2.dilate(nape.astype(np.uint8), np.ones((1, reach), np.uint8)).astype(bool)
    beyond = near & mask & ~covered & ~face
    hair, skin = np.median(calm[above], 0), np.median(calm[face], 0)
    beside = near & mask & ~face & ~nape
    like_hair = beside & (((calm - hair) ** 2).sum(-1) < 0.5 * ((calm - skin) ** 2).sum(-1))
    wider = (beyond.sum(1) - (near & covered & ~mask).sum(1))[nape.any(1)] * pixel
    if np.median(wider) <= WIDER and like_hair.sum() < max(0.5 * beside.sum(), 0.5 * nape.sum()):
        return None
    # Where most of it is hair, the rest is a bare shoulder or an earring and hangs nowhere. The outermost pixels are
    # mixed with what lay behind.
    mostly = like_hair.sum() > (beyond & ~like_hair).sum()
    found = (like_hair if mostly else beyond | like_hair) & (depth_inside(mask) > MIXED)
    return found if found.any() else None
