"""A free photo as HGM's front camera would have seen it: the pelvis in the middle, 204.5 pixels per metre, on white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.hgm.cameras import FOCAL_AT_512, RADIUS, UNITS_PER_METRE
from pipelines.records import on_white

Floats = NDArray[np.float32]


def pixels_per_metre(size: int = 512) -> float:
    """At the pelvis of HGM's front camera: 204.5 for 512 pixels."""
    return UNITS_PER_METRE * FOCAL_AT_512 * size / 512 / RADIUS


def crop_photo(rgba: Floats, K: NDArray[np.floating], pelvis: NDArray[np.floating], size: int = 512) -> Floats:
    """(H, W, 4) straight alpha 0..1 -> (size, size, 3) RGB on white.

    K: (3, 3) of the photo; pelvis: (3,) in its OpenCV camera frame, metres. The released code has no crop for free
    photos; the scale follows from its camera, so that body and picture agree. ValueError for a pelvis behind the
    camera.
    """
    if pelvis[2] <= 0:
        raise ValueError(f"The pelvis came with depth {pelvis[2]:.3g} m; it needs to be in front of the camera.")
    place = np.asarray(K, np.float64) @ pelvis / pelvis[2]
    # By axis: HGM's pixels are square, the photo's need not be.
    half = size / 2 * (np.array([K[0, 0], K[1, 1]]) / pelvis[2]) / pixels_per_metre(size)
    start, cell = place[:2] - half, 2 * half / size
    # The cells of the crop that the photo reaches; beyond it all is white. A portrait's crop is far larger than its photo.
    extent = np.array([rgba.shape[1], rgba.shape[0]])
    margin = 2 + np.ceil(2 / cell)
    low = np.clip(np.floor(-start / cell) - margin, 0, size).astype(int)
    high = np.clip(np.ceil((extent - start) / cell) + margin, low, size).astype(int)
    crop = np.ones((size, size, 3), np.float32)
    if (high == low).any():
        return crop
    first, last = start + low * cell, start + high * cell
    before = np.ceil(np.maximum(0.0, -first)).astype(int) + 2
    after = np.ceil(np.maximum(0.0, last - extent)).astype(int) + 2
    white = on_white(rgba)
    padded = np.pad(white, ((before[1], after[1]), (before[0], after[0]), (0, 0)), constant_values=1.0)
    box = (*(first + before), *(last + before))
    for c in range(3):
        channel = Image.fromarray(np.ascontiguousarray(padded[..., c], np.float32))
        made = channel.resize((high[0] - low[0], high[1] - low[1]), Image.Resampling.BILINEAR, box)
        crop[low[1] : high[1], low[0] : high[0], c] = np.asarray(made)
    return crop.clip(0, 1)
