"""The turntable as an animated WebP with transparency: it plays in every browser and in most chats.

Source: Google, WebP container specification (ANIM, ANMF); written by Pillow with libwebp, lossy at quality
85, alpha kept. It turns for ever.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.export.bundle import Bundle, need
from pipelines.export.mp4 import SECONDS
from pipelines.records import to_bytes

QUALITY = 85


def write(bundle: Bundle, path: Path) -> str:
    """Write the animation; returns one sentence."""
    views = need(bundle, "turntable")
    frames = [Image.fromarray(to_bytes(np.nan_to_num(image))) for image in views.images]
    out = io.BytesIO()
    frames[0].save(
        out, "WEBP", save_all=True, append_images=frames[1:], duration=round(1000 * SECONDS / len(frames)),
        loop=0, quality=QUALITY, method=3, background=(0, 0, 0, 0),
    )  # fmt: skip
    Path(path).write_bytes(out.getvalue())
    width, height = frames[0].size
    return f"Wrote an animation of {len(frames)} frames, {width} x {height} pixels, with transparency."
