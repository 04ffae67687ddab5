"""The photo as SyncHuman's networks see it: the square, the canvas with its face box, the close-up, the token crop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.synchuman.records import Framed
from ui.inspect_numbers import Facts, to_json
from ui.inspect_photo import DISPLAY_PIXELS, webp
from ui.run_reader import RunReader

BOX = (0.878, 0.192, 0.478)  # of a drawn box; the page's colour for what points at a place
PAPER = 0.93  # beyond the photo
OUTSIDE = 0.45  # share of the light that is left outside the square
MOST_AROUND = 1.0  # of the photo's longer side: how far the square may reach beyond it and still be drawn


def square(reader: RunReader, step: str, argument: str) -> bytes:
    """The photo, dark outside the square that the canvas shows; paper where the square reaches beyond the photo."""
    from ui.inspect_body import photo_at

    photo = reader.photo_pixels
    scale = min(1.0, DISPLAY_PIXELS / max(photo.size))
    photo = photo_at(photo, scale) if scale < 1 else photo
    left, top, side = (scale * float(v) for v in framed_of(reader, step).square)
    width, height = photo.size
    around = MOST_AROUND * max(width, height)
    x0, y0 = (round(float(np.clip(v, -around, 0))) for v in (left, top))
    x1 = round(float(np.clip(left + side, width, width + around)))
    y1 = round(float(np.clip(top + side, height, height + around)))
    picture = np.full((y1 - y0, x1 - x0, 3), PAPER, np.float32)
    picture[-y0 : height - y0, -x0 : width - x0] = photo.rgb
    rows, columns = np.arange(y0, y1)[:, None] + 0.5, np.arange(x0, x1) + 0.5
    inside = (columns >= left) & (columns < left + side) & (rows >= top) & (rows < top + side)
    lit = (picture * np.where(inside, 1.0, OUTSIDE)[..., None]).astype(np.float32)
    thick = max(2, round(max(picture.shape) / 400))
    return webp(outlined(lit, left - x0, top - y0, side, thick), limit=DISPLAY_PIXELS)


def canvas(reader: RunReader, step: str, argument: str) -> bytes:
    """The canvas, cut out, with the box that the close-up is made of."""
    from pipelines.synchuman.configuration import face_share
    from pipelines.synchuman.frame import face_box

    record = framed_of(reader, step)
    shown = (record.canvas / 255).astype(np.float32)
    left, top, right, _ = face_box(len(shown), face_share(record.facts))
    return webp(outlined(shown, left, top, right - left, max(1, len(shown) // 256)), quality=92)


def face(reader: RunReader, step: str, argument: str) -> bytes:
    """The face box, enlarged."""
    return webp(framed_of(reader, step).face.astype(np.float32) / 255, quality=92)


def tokens(reader: RunReader, step: str, argument: str) -> bytes:
    """The crop on black that the image encoder is given."""
    return webp(framed_of(reader, step).tokens.astype(np.float32) / 255, quality=92)


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """How large, what of the photo, and whether head and feet are where the networks look for them."""
    record = framed_of(reader, step)
    person = record.canvas[..., 3] > 127
    head = record.facts.get("head_in_box")
    rows: Facts = [
        ("Canvas", f"{len(record.canvas)} x {len(record.canvas)} px"),
        ("Square in the photo", f"{record.square[2]:.0f} px"),
        ("Person", f"{100 * person.mean():.0f} % of the canvas"),
        ("Token picture", f"{record.tokens.shape[1]} x {record.tokens.shape[0]} px"),
        ("Head in the face box", "no head was seen" if head is None else "yes" if head else "no"),
        ("Canvas follows the head", "yes" if record.facts.get("followed") else "no"),
        ("Feet", "cut off" if record.facts.get("cut") else "in the photo"),
    ]
    return to_json(rows)


def outlined(picture: NDArray[np.float32], left: float, top: float, side: float, thick: int) -> NDArray[np.float32]:
    """(H, W, 3 or 4) with the outline of a square drawn `thick` pixels inwards, opaque."""
    high, wide = picture.shape[:2]
    x0, y0 = max(0, round(left)), max(0, round(top))
    x1, y1 = min(wide, round(left + side)), min(high, round(top + side))
    line = np.zeros((high, wide), bool)
    line[y0:y1, x0:x1] = True
    line[y0 + thick : y1 - thick, x0 + thick : x1 - thick] = False
    out = picture.copy()
    out[line] = (*BOX, 1.0)[: picture.shape[2]]
    return out


def framed_of(reader: RunReader, step: str) -> Framed:
    """The step's record."""
    record = reader.record(step)
    assert isinstance(record, Framed)
    return record
