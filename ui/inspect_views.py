"""A set of views (the turntable) as one sheet of frames."""

from __future__ import annotations

from pipelines.records import ViewSet
from ui.inspect_numbers import to_json
from ui.run_reader import RunReader
from ui.sheets import COLUMNS, FRAMES, common_square, cut, sheet


def sheet_of(reader: RunReader, step: str, argument: str) -> bytes:
    """At most FRAMES of the pictures, cut to what they show, in the order in which the camera goes around."""
    views = reader.record(step)
    assert isinstance(views, ViewSet)
    count = min(FRAMES, max(COLUMNS, len(views.images) // COLUMNS * COLUMNS))
    window = common_square(views.images)
    frames = [cut(views.images[i * len(views.images) // count], *window) for i in range(count)]
    return sheet(frames)


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """How many, how large."""
    views = reader.record(step)
    assert isinstance(views, ViewSet)
    count, high, wide = views.images.shape[:3]
    return to_json([("Pictures", str(count)), ("Size", f"{wide} x {high} px")])
