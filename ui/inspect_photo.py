"""Pictures and facts of the steps 'photo' and 'person'."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.records import Person, Photo, to_bytes
from ui.inspect_numbers import Facts, to_json
from ui.run_reader import RunReader

DISPLAY_PIXELS = 1400  # the longer side of what the page shows


def webp(image: NDArray[np.floating] | Image.Image, *, limit: int = DISPLAY_PIXELS, quality: int = 88) -> bytes:
    """(H, W, 3|4) 0..1, or a picture -> WEBP bytes, no longer than `limit` pixels on a side."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(to_bytes(image))
    if max(picture.size) > limit:
        picture.thumbnail((limit, limit), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=2)
    return buffer.getvalue()


def picture(reader: RunReader, step: str, argument: str) -> bytes:
    """The upright photo for the page."""
    photo = reader.record(step)
    assert isinstance(photo, Photo)
    return webp(photo.rgb if photo.alpha is None else np.dstack([photo.rgb, photo.alpha]))


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """Size, and what was done on reading."""
    photo = reader.record(step)
    assert isinstance(photo, Photo)
    width, height = photo.size
    rows: Facts = [("Size", f"{width} x {height} px"), ("Own transparency", "no" if photo.alpha is None else "yes")]
    for name, value in photo.facts.items():
        if isinstance(value, (str, int, float, bool)):
            rows.append((str(name).replace("_", " ").capitalize(), _words(value)))
        elif isinstance(value, (list, tuple)) and all(isinstance(v, (str, int, float)) for v in value):
            rows.append((str(name).replace("_", " ").capitalize(), " x ".join(map(str, value))))
    return to_json(rows)


def people(reader: RunReader, step: str, argument: str) -> bytes:
    """The boxes of everybody found, in pixels of the photo."""
    person = reader.record(step)
    assert isinstance(person, Person)
    width, height = reader.photo_pixels.size
    return to_json({"width": width, "height": height, "boxes": person.boxes.tolist(), "chosen": person.chosen})


def people_facts(reader: RunReader, step: str, argument: str) -> bytes:
    """How many people, how tall, how sure."""
    person = reader.record(step)
    assert isinstance(person, Person)
    rows: Facts = [("People found", str(len(person.boxes)))]
    if len(person.boxes):
        top, bottom = person.boxes[person.chosen][[1, 3]]
        rows += [
            ("Height in the photo", f"{bottom - top:.0f} px"),
            ("Certainty", f"{person.scores[person.chosen]:.2f}"),
        ]
    return to_json([*rows, ("Network", person.network)])


def _words(value: object) -> str:
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
