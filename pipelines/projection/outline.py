"""Measures of an outline: distance to it, local half width, and how a solid rounds off towards it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def depth_inside(mask: NDArray[np.bool_]) -> Floats:
    """(H, W) distance of each pixel centre inside a mask to the outline, px; 0.5 in the outermost pixels.

    The picture's border is no outline: a person cut off by it goes on beyond.
    """
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.maximum(distance - 0.5, 0.0) * mask


def nearest(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(rows, columns), each (H, W): the nearest pixel of the mask."""
    _, labels = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rows, columns = np.nonzero(mask)
    by_label = np.zeros(labels.max() + 1, np.intp)
    by_label[labels[rows, columns]] = np.arange(len(rows))
    index = by_label[labels]
    return rows[index], columns[index]


def half_width(inside: Floats) -> Floats:
    """(H, W) radius of the largest disc that covers a pixel and lies in the mask, px (local thickness,
    Hildebrand & Ruegsegger 1997); `inside` is `depth_inside` of the mask. In steps of about 15 per cent."""
    width = inside.copy()
    radius, largest = 1.0, float(inside.max(initial=0.0))
    while radius <= largest:
        core = (inside < radius).astype(np.uint8)
        reach = cv2.distanceTransform(core, cv2.DIST_L2, cv2.DIST_MASK_5)
        width = np.where((reach <= radius) & (inside > 0), np.maximum(width, radius), width)
        radius *= 1.15
    return width.astype(np.float32)


def rounded(inside: Floats, radius: Floats) -> Floats:
    """Half thickness of a round solid at `inside` from its outline: sqrt(d (2 r - d)), r beyond its middle."""
    d = np.minimum(inside, radius)
    return np.sqrt(np.maximum(d * (2.0 * radius - d), 0.0))


def smooth(values: NDArray, weight: NDArray, sigma: float) -> Floats:
    """Gaussian mean over the pixels with a weight (normalised convolution, Knutsson & Westin 1993).

    values: (H, W) or (H, W, C); weight (H, W) >= 0; sigma px. Far from any weight the values are 0.
    """
    w = weight.astype(np.float32)
    v = np.asarray(values, np.float32)
    top = cv2.GaussianBlur(v * (w if v.ndim == 2 else w[..., None]), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    bottom = cv2.GaussianBlur(w, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    bottom = np.where(bottom > 1e-6, bottom, np.inf)
    return (top / (bottom if v.ndim == 2 else bottom[..., None])).astype(np.float32)
