"""Painting the cut-out: reading the strokes, and the matte after them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.records import Cutout, Photo
from pipelines.step import UserError

EDITOR_PIXELS = 1024  # assets/style/paint.js paints in these
STROKES_CHARACTERS = 4 * 2**20


def read_strokes(text: Any) -> Image.Image:
    """The brush's picture from its data URL; UserError when it is none, or larger than any photo's canvas."""
    head = "data:image/png;base64,"
    if not isinstance(text, str) or not text.startswith(head) or len(text) > STROKES_CHARACTERS:
        raise UserError("The painting did not arrive; reload the page and paint again.")
    try:
        image = Image.open(io.BytesIO(base64.b64decode(text[len(head) :], validate=True)), formats=["PNG"])
        if max(image.size) > EDITOR_PIXELS:
            raise ValueError("too large")
        return image.convert("RGBA")
    except (ValueError, OSError, SyntaxError):
        raise UserError("The painting did not arrive whole; reload the page and paint again.") from None


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
