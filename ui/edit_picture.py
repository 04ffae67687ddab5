"""A picture file that a visitor puts in another picture's place: read as every upload is, on the other's own pixels."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pipelines.records import Floats, to_bytes
from pipelines.step import UserError

STRETCH = 0.03  # by how much the proportions of a picture may differ from the view's
LONGEST = 2048  # px to which larger files are reduced while they are read
WHITE = 230 / 255  # an opaque normal map is background where no channel is darker


def read_colours(data: bytes, name: str, size: tuple[int, int], label: str) -> Floats:
    """(high, wide, 4) 0..1, straight alpha: the file's own, else 1 where it differs from the colour of its corners.

    size: (wide, high) of the view `label`. UserError: what `pipelines.photo.decode` refuses, other proportions, nobody.
    """
    from pipelines.views.readers import with_alpha

    image = _fitted(*read_picture(data), name, size, label)
    rgba = image if image.shape[2] == 4 else with_alpha(image, None)
    if not (rgba[..., 3] > 0.5).any():
        raise UserError(f"'{name}' shows nobody: the whole picture is background.")
    return rgba


def read_normals(data: bytes, name: str, size: tuple[int, int], label: str) -> Floats:
    """(high, wide, 3) unit normals, 0 outside the person: the file's own alpha, else what is not white.

    size, label and UserError as for `read_colours`; the file's colours are (n + 1) / 2.
    """
    from pipelines.views.records import unit_normals

    rgb, alpha, original = read_picture(data)
    there = np.asarray((rgb < WHITE).any(-1) if alpha is None else alpha > 0.5, np.float32)
    # Background is transparent while the picture is resized, so that none of its white gets into the rim's normals.
    image = _fitted(rgb, there, original, name, size, label)
    inside = image[..., 3:] > 0.5
    if not inside.any():
        raise UserError(f"'{name}' holds no normals: the whole picture is background.")
    return np.where(inside, unit_normals(image[..., :3] * 2.0 - 1.0), 0.0).astype(np.float32)


def read_picture(data: bytes) -> tuple[Floats, Floats | None, tuple[int, int]]:
    """rgb (H, W, 3), alpha (H, W) or None where the file is opaque, both 0..1, and (wide, high) of the file, upright.

    UserError: what `pipelines.photo.decode` refuses.
    """
    from pipelines.photo import decode

    rgb, alpha, facts = decode(data, LONGEST)
    high, wide = rgb.shape[:2]
    shrunk = max(facts["original_size"]) / max(wide, high)
    return rgb, alpha, (round(wide * shrunk), round(high * shrunk))


def _fitted(
    rgb: Floats, alpha: Floats | None, original: tuple[int, int], name: str, size: tuple[int, int], label: str
) -> Floats:
    """(high, wide, 3 or 4) on the view's own pixels; UserError when the picture would have to be stretched."""
    wide, high = size
    if abs((original[0] / original[1]) / (wide / high) - 1.0) > STRETCH:
        raise UserError(f"'{name}' has {original[0]} x {original[1]} px and the view '{label}' {wide} x {high}; "
                        "crop it to the same proportions and the same window.")  # fmt: skip
    image = rgb if alpha is None else np.dstack([rgb, alpha])
    if image.shape[:2] == (high, wide):
        return image
    # Pillow weighs colours by alpha here, so what is transparent does not bleed in.
    small = Image.fromarray(to_bytes(image)).resize(size, Image.Resampling.LANCZOS)
    return (np.asarray(small, np.float32) / 255.0).astype(np.float32)
