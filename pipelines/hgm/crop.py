"""A free photo as HGM's front camera would have seen it: the pelvis in the middle, 204.5 pixels per metre, on white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.hgm.cameras import FOCAL_AT_512, RADIUS, UNITS_PER_METRE

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
    half = size / 2 * (K[1, 1] / pelvis[2]) / pixels_per_metre(size)
    left, top = place[0] - half, place[1] - half
    white = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]
    margin = [int(np.ceil(max(0.0, x))) + 2 for x in (-left, -top, left + 2 * half - rgba.shape[1],
                                                      top + 2 * half - rgba.shape[0])]  # fmt: skip
    padded = np.pad(white, ((margin[1], margin[3]), (margin[0], margin[2]), (0, 0)), constant_values=1.0)
    box = (left + margin[0], top + margin[1], left + margin[0] + 2 * half, top + margin[1] + 2 * half)
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(padded[..., c], np.float32)).resize(
            (size, size), Image.Resampling.BILINEAR, box))
        for c in range(3)
    ]  # fmt: skip
    return np.stack(channels, -1).clip(0, 1).astype(np.float32)
