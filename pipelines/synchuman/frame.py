"""Framing a cut-out photo: the canvas and face crop of the 2D branch, the square crop of the image tokens.

The two branches see the person at different scales, without margin on white and with a fifth on black: the network
was trained so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.step import UserError

CANVAS = 768
TOKEN_SIDE = 518
OPAQUE = 0.8 * 255
MARGIN = 1.2
MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)

Box = tuple[int, int, int, int]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Crop:
    """A square of the photo, pixels: left, top, right, bottom before rounding, and the side that was asked for."""

    box: tuple[float, float, float, float]
    side: int


def alpha_box(rgba: NDArray[np.uint8], over: float) -> Box:
    """Smallest and largest column and row with alpha above `over`: x0, y0, x1, y1, all inclusive.

    UserError when nothing is above it.
    """
    rows, columns = np.nonzero(rgba[..., 3] > over)
    if len(rows) == 0:
        raise UserError(
            f"The cut-out has no pixel with alpha above {over:.0f} of 255: cut the person out, then try again."
        )
    return int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())


def face_box(canvas: int, share: int = 3) -> Box:
    """The middle 1/share of the top 1/share (`JointConfig.face_share`): left, top, right, bottom (exclusive)."""
    side = canvas // share
    left = (canvas - side) // 2
    return left, 0, left + side, side


def place_on_canvas(rgba: NDArray[np.uint8], canvas: int = CANVAS, legacy_rounding: bool = True) -> NDArray[np.uint8]:
    """(H, W, 4) cut-out -> (canvas, canvas, 4), the person touching two opposite borders, transparent black around.

    With `legacy_rounding` the last row and column of the person are lost, as in the released program.
    """
    x0, y0, x1, y1 = alpha_box(rgba, 0)
    extra = 0 if legacy_rounding else 1
    person = Image.fromarray(rgba).crop((x0, y0, x1 + extra, y1 + extra))
    if min(person.size) < 1:
        raise UserError("The cut-out is a single line of pixels; give a photo with a person in it.")
    scale = canvas / max(person.size)
    size = (max(int(scale * person.width), 1), max(int(scale * person.height), 1))
    out = Image.new("RGBA", (canvas, canvas), (0, 0, 0, 0))
    out.paste(person.resize(size), ((canvas - size[0]) // 2, (canvas - size[1]) // 2))
    return np.asarray(out)


def crop_face(canvas_rgba: NDArray[np.uint8], share: int = 3) -> NDArray[np.uint8]:
    """The fixed face box of a canvas, enlarged to the canvas's size. No face is looked for."""
    side = canvas_rgba.shape[0]
    return np.asarray(Image.fromarray(canvas_rgba).crop(face_box(side, share)).resize((side, side)))


def on_white(rgba: NDArray[np.uint8]) -> Floats:
    """(H, W, 4) -> (H, W, 3) float32 0..1, composited on white."""
    values: Floats = rgba.astype(np.float32) / np.float32(255)
    alpha = values[..., 3:]
    return values[..., :3] * alpha + (np.float32(1) - alpha)


def to_bytes(rgb: Floats, legacy_rounding: bool = True) -> NDArray[np.uint8]:
    """0..1 -> 8 bits, what both encoders are given: cut downwards as in the released program, or rounded."""
    return (rgb * np.float32(255) + np.float32(0 if legacy_rounding else 0.5)).astype(np.uint8)


def token_crop(rgba: NDArray[np.uint8]) -> Crop:
    """The square around the opaque person with a fifth of margin; its corners may lie outside the photo."""
    x0, y0, x1, y1 = alpha_box(rgba, OPAQUE)
    side = int(max(x1 - x0, y1 - y0) * MARGIN)
    x, y, half = (x0 + x1) / 2, (y0 + y1) / 2, side // 2
    return Crop((x - half, y - half, x + half, y + half), side)


def token_picture(rgba: NDArray[np.uint8], side: int = TOKEN_SIDE, legacy_rounding: bool = True) -> NDArray[np.uint8]:
    """The picture the image tokens are made from: (side, side, 3) uint8, the person on black."""
    square = Image.fromarray(rgba).crop(token_crop(rgba).box)  # type: ignore[arg-type]  # Pillow rounds the corners
    values = np.asarray(square.resize((side, side), Image.Resampling.LANCZOS)).astype(np.float32) / np.float32(255)
    return to_bytes(values[..., :3] * values[..., 3:], legacy_rounding)


def normalise(rgb: NDArray[np.uint8]) -> Floats:
    """(H, W, 3) uint8 -> (3, H, W) float32 in the image encoder's scale."""
    return ((rgb.astype(np.float32) / np.float32(255) - MEAN) / STD).transpose(2, 0, 1)
