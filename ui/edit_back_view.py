"""A picture of the person from behind that a visitor puts in the painted one's place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipelines.hgm.records import BackView
from pipelines.records import Floats, to_bytes
from pipelines.step import UserError
from ui.edit_picture import read_picture


@dataclass(frozen=True)
class BackEdit:
    """data: a picture file of the person from behind. name: what it was called."""

    data: bytes
    name: str


def given_back(edit: BackEdit) -> BackView:
    """The record that `--replace hgm.back=PICTURE` makes, of a picture of any proportions.

    What is not the person goes on white: the file's own transparency, else what has the colour of the corners. A picture
    that is not square gets white on both sides, and facts['padded'] says so in a sentence. UserError: what
    `pipelines.photo.decode` refuses, nobody in it, smaller than 64 px.
    """
    from pipelines.views.readers import with_alpha

    rgb, alpha, (wide, high) = read_picture(edit.data)
    rgba = with_alpha(rgb, None) if alpha is None else np.dstack([rgb, alpha])
    if not (rgba[..., 3] > 0.5).any():
        raise UserError(f"'{edit.name}' shows nobody: the whole picture is background.")
    try:
        made = BackView.from_picture(Image.fromarray(to_bytes(squared(rgba))))
    except ValueError as error:
        raise UserError(f"'{edit.name}' cannot be the view from behind: {error}.") from error
    if wide != high:
        sides = "left and right" if wide < high else "above and below"
        made.facts["padded"] = f"It came with {wide} x {high} px; white was put {sides} of it to make it square."
    return made


def squared(rgba: Floats) -> Floats:
    """(H, W, 4) in the middle of a transparent square of its longer side."""
    high, wide = rgba.shape[:2]
    side = max(high, wide)
    top, left = (side - high) // 2, (side - wide) // 2
    return np.pad(rgba, ((top, side - high - top), (left, side - wide - left), (0, 0)))
