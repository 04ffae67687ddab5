"""A canvas that follows the head: the same fixed face box, but the person moved and reduced until the head is in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.records import Keypoints
from pipelines.synchuman.frame import alpha_box

HEAD = slice(0, 11)  # nose, eyes, ears, mouth among the body landmarks
SEEN = 0.3  # visibility from which a landmark counts
AROUND = 0.9  # spreads of the face's landmarks added on each side for skull, hair and chin

Square = tuple[float, float, float]


def head_box(keypoints: Keypoints) -> NDArray[np.float64] | None:
    """(4,) left, top, right, bottom px of the whole head, from its landmarks; None when too few are seen."""
    seen = keypoints.body[HEAD][keypoints.body[HEAD, 2] > SEEN, :2].astype(np.float64)
    if len(seen) < 3:
        return None
    low, high = seen.min(0), seen.max(0)
    spread = max(float(np.max(high - low)), 1.0)
    return np.concatenate([low - AROUND * spread, high + AROUND * spread])


def in_face_box(head: NDArray[np.float64], square: Square, share: int = 3) -> bool:
    """Whether the head's middle lies in the middle 1/share of the top 1/share of the square (left, top, side px)."""
    left, top, side = square
    x, y = ((head[:2] + head[2:]) / 2 - (left, top)) / side
    return bool(abs(x - 0.5) <= 0.5 / share and y <= 1 / share)


def following(rgba: NDArray[np.uint8], head: NDArray[np.float64], share: int = 3) -> Square:
    """The smallest square of the photo (left, top, side px) that holds the person, with the head in the middle column
    and above the lower rim of the top 1/share as far as the person's highest point allows."""
    x0, y0, x1, y1 = (float(v) for v in alpha_box(rgba, 0))
    x1, y1 = x1 + 1, y1 + 1
    middle = float(np.clip((head[0] + head[2]) / 2, x0, x1))
    beside = 2 * max(middle - x0, x1 - middle)
    side = max(y1 - y0, beside, share * (min(float(head[3]), y1) - y0))
    return middle - side / 2, y0, side


def canvas_of(rgba: NDArray[np.uint8], square: Square, canvas: int) -> NDArray[np.uint8]:
    """(H, W, 4) -> (canvas, canvas, 4): the photo inside the square, transparent black beyond the photo."""
    left, top, side = square
    image = Image.fromarray(rgba)
    frame = Image.new("RGBA", (int(np.ceil(side)), int(np.ceil(side))), (0, 0, 0, 0))
    frame.paste(image, (-round(left), -round(top)))
    return np.asarray(frame.resize((canvas, canvas)))
