"""What a camera makes of light: exposure, white balance, tone curve, blur, noise, JPEG."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.people.fabric import encoded

Floats = NDArray[np.float32]


def developed(linear: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(H, W, 3) linear light -> (H, W, 3) bytes as a phone would store them before JPEG."""
    height, width = linear.shape[:2]
    scale = max(height, width) / 1000.0
    gain = np.exp(rng.normal(0.0, 0.10))
    warm, magenta = rng.normal(0.0, 0.03), rng.normal(0.0, 0.012)
    balance = np.array([1.0 + warm, 1.0 - magenta, 1.0 - warm]) * gain
    blur = max(float(rng.normal(0.55, 0.35)), 0.0) * scale
    contrast, saturation = rng.uniform(0.0, 0.35), rng.uniform(0.85, 1.15)
    vignette = max(float(rng.normal(0.04, 0.06)), 0.0)
    noise = float(np.exp(rng.normal(np.log(0.006), 0.6)))
    sharpen = max(float(rng.normal(0.2, 0.3)), 0.0)
    light = linear * balance.astype(np.float32)
    if vignette > 0.005:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        r2 = ((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) * 2.0
        light = light * (1.0 - vignette * 2.0 * r2)[..., None]
    # Highlights roll off instead of clipping: a shoulder above 0.8.
    over = np.maximum(light - 0.8, 0.0)
    light = np.minimum(light, 0.8) + 0.2 * over / (over + 0.2)
    if blur > 0.25:
        light = cv2.GaussianBlur(light.astype(np.float32), (0, 0), blur)
    image = encoded(light)
    image = image + np.float32(contrast) * (image * image * (3 - 2 * image) - image)
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
    image = grey[..., None] + np.float32(saturation) * (image - grey[..., None])
    if sharpen > 0.05:
        image = image + np.float32(sharpen) * (image - cv2.GaussianBlur(image, (0, 0), 1.2 * scale))
    grain = rng.standard_normal((height, width, 1), np.float32) + 0.5 * rng.standard_normal(
        (height, width, 3), np.float32
    )
    image = image + np.float32(noise) * grain * (1.3 - image)
    return np.clip(image * 255.0 + 0.5, 0, 255).astype(np.uint8)


def jpeg(pixels: NDArray[np.uint8], rng: np.random.Generator) -> bytes:
    """JPEG of quality 72-95, as cameras and messengers write it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(72, 96)), subsampling=int(rng.choice([0, 2])))
    return file.getvalue()
