"""Hair that hangs down: where the photo shows it. It is none of the trunk's clothes, whose colours it must not lend.

What hangs beside the neck has come down past the temples and the ears. So hair is told by the colours that the head has
at the temples, beside the face and below any hat: a scarf or a collar begins at the neck, and short hair ends above it.
It is followed down from there as far as its colours go on.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
TEMPLES = 0.6  # of the face's height from its top: above the ear lobes, which are skin
LEAST = 8  # pixels of a colour that is worth following
OTHER = 0.8  # times as far from the hair's colours as from skin and clothes: what is farther is not hair
NEAR = 20.0  # CIELAB, from the nearest of the hair's shades
SHADES = 3  # of hair and of skin: hair is brighter where it bends
REACH = 0.3  # metres sideways from the middle of the face: no hair hangs farther out
CLOTHES = 0.15, 0.5  # metres below the neck between which the body wears clothes
OFF = 0.015  # metres from the fitted body beyond which nothing beside the neck is skin
BREAST = 0.5  # of the face's width, about its middle, below which no hair hangs but clothes open


def hanging_hair(
    calm: Floats, mask: Mask, trunk: Mask, covered: Mask, hands: Mask, head: Mask, face: Mask, nape: Mask, pixel: float
) -> Mask:
    """(h, w) hair as far as the photo shows it, from the temples down; empty where no face tells where they are.

    calm (h, w, 3): the photo in CIELAB without grain. trunk, covered, hands, head, face, nape (h, w): the fitted
    body's trunk, all of it, its forearms and hands, the head and the face in the picture, and the neck on the body's far
    side. pixel: metres per pixel.
    """
    nothing = np.zeros_like(mask)
    face = face & mask
    if face.sum() < LEAST or not nape.any():
        return nothing
    level = np.arange(len(mask))[:, None]
    across = np.broadcast_to(np.arange(mask.shape[1]), mask.shape)
    rows = np.flatnonzero(face.any(1))
    middle = float(across[face].mean())
    low = int(np.flatnonzero(nape.any(1))[-1])
    temples = head & mask & ~face & ~hands & (level >= rows[0]) & (level < rows[0] + TEMPLES * (rows[-1] - rows[0]))
    skin = shades(calm[face])
    temples &= distance(calm, skin) > NEAR / 2
    if temples.sum() < LEAST:
        return nothing
    hair = shades(calm[temples])
    other = skin
    worn = trunk & mask & (level > low + CLOTHES[0] / pixel) & (level < low + CLOTHES[1] / pixel)
    if worn.sum() >= LEAST:
        other = np.concatenate([skin, shades(calm[worn])])
    found = distance(calm, hair)
    like = mask & ~face & (found < OTHER * distance(calm, other)) & (found < NEAR)
    off = cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, 3) * pixel > OFF
    worn_like = distance(calm, other[SHADES:]) if len(other) > SHADES else np.inf
    like |= mask & ~face & off & (level <= low) & (found < np.minimum(worn_like, 1.5 * NEAR))
    wide = BREAST / 2 * np.ptp(across[face])
    like &= (np.abs(across - middle) * pixel < REACH) & (level >= rows[0]) & ~hands
    like &= (np.abs(across - middle) > wide) | (level <= low)
    like |= temples
    _, labels = cv2.connectedComponents(like.astype(np.uint8), connectivity=4)
    return np.isin(labels, np.unique(labels[temples])) & like


def shades(colours: Floats) -> Floats:
    """(SHADES, 3) means of the darkest to the brightest parts, equal in number, of colours (N, 3)."""
    order = np.argsort(colours[:, 0], kind="stable")
    return np.stack([colours[part].mean(0) for part in np.array_split(order, SHADES)])


def distance(colours: Floats, shades: Floats) -> Floats:
    """(h, w) distance of colours (h, w, 3) to the nearest of (n, 3) shades."""
    # One plane after the other: numpy's sum over an axis of three takes four times as long.
    x, y, z = np.ascontiguousarray(np.moveaxis(colours, -1, 0))
    nearest = np.full(x.shape, np.inf, np.float32)
    for a, b, c in shades:
        np.minimum(nearest, (x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2, out=nearest)
    return np.sqrt(nearest)
