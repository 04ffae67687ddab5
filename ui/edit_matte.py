"""Painting the cut-out: what one paints on, and the record after the strokes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.records import Cutout, Photo, to_bytes
from pipelines.step import UserError

EDITOR_PIXELS = 900


def background(photo: Photo, cutout: Cutout) -> Image.Image:
    """What one paints on: the photo, with all that is not the person dimmed; at most EDITOR_PIXELS high or wide."""
    dim = 0.25 + 0.75 * cutout.alpha[..., None]
    veil = np.array([0.35, 0.35, 0.38], np.float32) * (1 - dim)
    image = Image.fromarray(to_bytes(photo.rgb * dim + veil))
    image.thumbnail((EDITOR_PIXELS, EDITOR_PIXELS))
    return image


def painted(photo: Photo, cutout: Cutout, strokes: Image.Image) -> NDArray[np.float32]:
    """The matte (H, W) after the strokes (RGBA, any size, transparent where nothing was painted).

    Green raises alpha to one, red lowers it to zero; the strokes' own alpha blends at their rims.
    """
    size = photo.size
    paint = np.asarray(strokes.convert("RGBA").resize(size, Image.Resampling.BILINEAR), np.float32) / 255
    strength = paint[..., 3]
    if not (strength > 0.02).any():
        raise UserError("Nothing was painted; paint with green or red first, or leave the cut-out as it was.")
    adds = paint[..., 1] >= paint[..., 0]
    alpha = np.where(adds, np.maximum(cutout.alpha, strength), cutout.alpha * (1 - strength))
    if not (alpha > 0.5).any():
        raise UserError("Nothing of the person is left; paint some of it green, or leave the cut-out as it was.")
    return alpha.astype(np.float32)


def facts_of(alpha: NDArray[np.floating]) -> dict[str, Any]:
    """Coverage (share of the picture) and touched borders of a matte (H, W)."""
    inside = alpha > 0.5
    rims = {"left": inside[:, 0], "right": inside[:, -1], "top": inside[0], "bottom": inside[-1]}
    return {"coverage": round(float(alpha.mean()), 5), "touching": [k for k, v in rims.items() if v.any()]}


def strokes_of(value: Any) -> Image.Image:
    """The painted layer of an ImageEditor's value."""
    layers = (value or {}).get("layers") or []
    if not layers or layers[0] is None:
        raise UserError("Nothing was painted; paint with green or red first, or leave the cut-out as it was.")
    layer = layers[0]
    assert isinstance(layer, Image.Image)
    return layer
