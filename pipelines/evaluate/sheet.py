"""Contact sheets: people with the truth above and the result below, and real photos from their sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.evaluate.images import on_white
from pipelines.evaluate.scorecard import Scorecard
from pipelines.evaluate.subject import Subject
from pipelines.evaluate.truth import away, azimuths
from pipelines.geometry.cameras import Camera
from pipelines.records import Body, Splats, to_bytes

Floats = NDArray[np.floating]
SHOWN = (0.0, 60.0, 90.0, 150.0, 180.0, 270.0)  # degrees from the photo's side; the nearest view is taken
SIDES = (0.0, 90.0, 180.0, 270.0)
TEXT = 14  # px


def person_row(subject: Subject, card: Scorecard, caption: str, size: int = 160) -> Image.Image:
    """One person: the photo, then per side the truth above the result."""
    angles = azimuths(subject)
    nearest = list(dict.fromkeys(int(np.argmin([away(x, a) for x in angles])) for a in SHOWN))
    tiles = [(subject.views[index].rgba, card.pictures[index]) for index in nearest]
    box = square_around([picture for pair in tiles for picture in pair])
    photo = Image.fromarray(to_bytes(on_white(subject.photo.rgba).astype(np.float32)))
    row = Image.new("RGB", (size * (len(nearest) + 1), 2 * size + TEXT), "white")
    photo.thumbnail((size, 2 * size))
    row.paste(photo, ((size - photo.width) // 2, TEXT))
    ImageDraw.Draw(row).text((2, 1), caption, fill="black")
    for column, pair in enumerate(tiles, 1):
        for line, picture in enumerate(pair):
            whole = Image.fromarray(to_bytes(on_white(picture).astype(np.float32)))
            tile = whole.resize((size, size), Image.Resampling.BICUBIC, box)
            row.paste(tile, (column * size, TEXT + line * size))
    return row


def square_around(pictures: Sequence[Floats]) -> tuple[float, float, float, float]:
    """left, top, right, bottom of the smallest square, inside the pictures (all square and of one size), that holds
    what is in any of them."""
    side = pictures[0].shape[0]
    there = np.max([p[..., 3] for p in pictures], 0) > 0.1
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    if len(rows) == 0:
        return 0.0, 0.0, float(side), float(side)
    extent = min(float(max(np.ptp(rows), np.ptp(columns))) + 5.0, float(side))
    left, top = ((x[0] + x[-1] + 1) / 2 - extent / 2 for x in (columns, rows))
    left, top = (float(np.clip(v, 0.0, side - extent)) for v in (left, top))
    return left, top, left + extent, top + extent


def stacked(rows: Sequence[Image.Image], columns: int = 1) -> Image.Image:
    """Rows below one another, in so many columns. ValueError for none."""
    if not rows:
        raise ValueError("A sheet came without a row; it needs at least one.")
    lines = [rows[i : i + columns] for i in range(0, len(rows), columns)]
    width = max(sum(r.width for r in line) for line in lines)
    sheet = Image.new("RGB", (width, sum(max(r.height for r in line) for line in lines)), "white")
    y = 0
    for line in lines:
        x = 0
        for picture in line:
            sheet.paste(picture, (x, y))
            x += picture.width
        y += max(r.height for r in line)
    return sheet


def four_sides(cutout: Floats, splats: Splats, body: Body, caption: str, size: int = 320) -> Image.Image:
    """A real photo: the cut-out, and the result from the photo's side, both sides and behind."""
    from pipelines.projection.turntable import picture, pivot

    camera: Camera = body.camera.square(size)
    pictures = [picture(splats, camera.orbited(a, None, pivot(body))) for a in SIDES]
    row = Image.new("RGB", (size * 5, size + TEXT), "white")
    photo = Image.fromarray(to_bytes(on_white(cutout).astype(np.float32)))
    photo.thumbnail((size, size))
    row.paste(photo, ((size - photo.width) // 2, TEXT + (size - photo.height) // 2))
    for column, image in enumerate(pictures, 1):
        row.paste(Image.fromarray(to_bytes(on_white(image).astype(np.float32))), (column * size, TEXT))
    ImageDraw.Draw(row).text((2, 1), caption, fill="black")
    return row
