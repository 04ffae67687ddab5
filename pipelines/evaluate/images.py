"""Scores of one picture against the truth: PSNR, SSIM, silhouettes, holes, colour differences.

Pictures are floats 0..1 sRGB; RGBA has straight alpha and is compared on white.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.evaluate.protocols import PSNR_CAP

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]
WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
# Wang, Simoncelli, Bovik 2003.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


def on_white(rgba: Floats) -> NDArray[np.float64]:
    """(H, W, 4) straight alpha -> (H, W, 3) on white."""
    alpha = rgba[..., 3:].astype(np.float64)
    return rgba[..., :3] * alpha + 1.0 - alpha


def mean_square(a: Floats, b: Floats, where: Mask | None = None) -> float:
    """Mean squared difference of two pictures, of all pixels or those of a mask (H, W)."""
    squares = ((a.astype(np.float64) - b) ** 2).mean(-1)
    return float(squares.mean() if where is None else squares[where].mean())


def decibel(mean_squared: float) -> float:
    """PSNR of a mean squared error with peak 1, at most PSNR_CAP."""
    return float(min(-10.0 * np.log10(max(mean_squared, 1e-30)), PSNR_CAP))


def psnr(a: Floats, b: Floats, where: Mask | None = None) -> float:
    """dB, of whole pictures (H, W, C) or of the pixels of a mask (H, W)."""
    return decibel(mean_square(a, b, where))


def ssim_map(a: Floats, b: Floats, data_range: float = 1.0) -> NDArray[np.float64]:
    """(H - 10, W - 10, C) structural similarity (Wang et al. 2004): Gaussian window of 11 px, sigma 1.5, weighted
    (not sample) covariances; the rim where the window leaves the picture is cut off. ValueError below 11 px."""
    luminance, contrast = _ssim_factors(a, b, data_range)
    return luminance * contrast


def ssim(a: Floats, b: Floats, where: Mask | None = None) -> float:
    """Mean of `ssim_map` over the picture, or over a mask (H, W) without the rim."""
    values = ssim_map(a, b)
    if where is None:
        return float(values.mean())
    rim = WINDOW // 2
    return float(values[where[rim:-rim, rim:-rim]].mean())


def multi_scale_ssim(a: Floats, b: Floats, data_range: float) -> float:
    """Multi-scale SSIM (Wang et al. 2003), five scales halved by 2 x 2 means, negative factors taken as 0.

    Mean over channels and pixels per scale first, as torchmetrics does. ValueError below 176 px.
    """
    if min(a.shape[:2]) < 16 * WINDOW:
        raise ValueError(
            f"Multi-scale SSIM came with a picture of {a.shape[1]} x {a.shape[0]}; it needs 176 px a side."
        )
    a, b = a.astype(np.float64), b.astype(np.float64)
    result = 1.0
    for level, weight in enumerate(SCALE_WEIGHTS):
        luminance, contrast = _ssim_factors(a, b, data_range)
        last = level == len(SCALE_WEIGHTS) - 1
        value = float((luminance * contrast if last else contrast).mean())
        result *= max(value, 0.0) ** weight
        height, width = a.shape[0] // 2, a.shape[1] // 2
        a, b = (x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1).mean((1, 3)) for x in (a, b))
    return result


def _ssim_factors(a: Floats, b: Floats, data_range: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if a.shape != b.shape or min(a.shape[:2]) < WINDOW:
        raise ValueError(f"SSIM came with pictures {a.shape} and {b.shape}; it needs two alike of at least 11 x 11 px.")
    a, b = a.astype(np.float64), b.astype(np.float64)
    c1, c2 = C1 * data_range**2, C2 * data_range**2

    def blurred(image: Floats) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(image, (WINDOW, WINDOW), SIGMA), np.float64).reshape(image.shape)

    mean_a, mean_b = blurred(a), blurred(b)
    variance_a, variance_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    contrast = (2 * covariance + c2) / (variance_a + variance_b + c2)
    rim = WINDOW // 2
    return luminance[rim:-rim, rim:-rim], contrast[rim:-rim, rim:-rim]


def iou(a: Mask, b: Mask) -> float:
    """Intersection over union of two masks; 1 when both are empty."""
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0


def filled_outline(mask: Mask) -> Mask:
    """A silhouette without its holes: closed over 5 px, then every outline filled."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 8, 8, 8, 8, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(closed), outlines, -1, 1, cv2.FILLED)
    return filled[8:-8, 8:-8] > 0


def holes(alpha: Floats, truth: Mask) -> tuple[float, float]:
    """Percent of the true silhouette (H, W), eroded by 1 px, with alpha below 0.5: enclosed by the result's own filled
    outline (holes), and all (missed). A gap that the truth has as well, under an arm, is neither."""
    core = cv2.erode(truth.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
    if not core.any():
        return 0.0, 0.0
    open_ = core & (alpha < 0.5)
    return tuple(float(100.0 * x.sum() / core.sum()) for x in (open_ & filled_outline(alpha >= 0.5), open_))  # type: ignore[return-value]


def lab(rgb: Floats) -> NDArray[np.float64]:
    """(..., 3) sRGB 0..1 -> CIE L*a*b* 1976, D65, 2 degrees."""
    rgb = np.asarray(rgb, np.float64)
    linear = np.where(rgb > 0.04045, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    to_xyz = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
    xyz = linear @ to_xyz.T / (0.95047, 1.0, 1.08883)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16.0 / 116.0)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], -1)


def colour_difference(a: Floats, b: Floats) -> NDArray[np.float64]:
    """(...) CIE 1976 difference of two sRGB pictures (..., 3); 2.3 is just noticeable."""
    return np.linalg.norm(lab(a) - lab(b), axis=-1)
