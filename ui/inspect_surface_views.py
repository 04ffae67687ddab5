"""Do the ten pictures agree with the surface made from them, and with one another? The same meters as for views made
elsewhere, on the five views with their cameras."""

from __future__ import annotations

from typing import Any

from pipelines.step import UserError
from pipelines.views.records import PosedView, Shape
from ui.inspect_agreement import marked, where
from ui.inspect_numbers import to_json
from ui.inspect_pairs import pairs_of
from ui.inspect_posed_views import cells_sheet
from ui.inspect_raw_surface import step_of_pictures, surface_of
from ui.inspect_ten_pictures import placed
from ui.run_reader import RunReader


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """{'cells': [{label, note, place, worst}]}, the view whose outline fits least first."""
    cells = []
    for k, (view, row) in enumerate(worst_first(reader, step)[1]):
        note = f"outline {100 * row['iou']:.1f} %"
        if row["normal_deg"] is not None:
            note += f", normals {row['normal_deg']:.1f}°"
        cells.append({"label": view.label, "note": note, "place": where(row), "worst": k == 0})
    return to_json({"cells": cells})


def picture(reader: RunReader, step: str, argument: str) -> bytes:
    """The views in that order, pale, with what differs from the surface in colour."""
    shape, rows = worst_first(reader, step)
    return cells_sheet([marked(view, shape.vertices, shape.faces) for view, _ in rows])


def pairs(reader: RunReader, step: str, argument: str) -> bytes:
    """A badge for every two views: {'views', 'pairs', 'left_out'} as in `inspect_pairs.data`."""
    shape, views = surface_of(reader, step), shown(reader)
    rows = pairs_of(views, shape.vertices, shape.faces)
    return to_json({"views": [v.label for v in views], "pairs": rows, "left_out": 0})


def worst_first(reader: RunReader, step: str) -> tuple[Shape, list[tuple[PosedView, dict[str, Any]]]]:
    """The surface, and the whole views with their rows of the meter."""
    from pipelines.views.agreement import agreement

    shape, views = surface_of(reader, step), shown(reader)
    rows = agreement(shape.vertices.astype("float64"), shape.faces, views)
    found = sorted(zip(views, rows, strict=True), key=lambda pair: float(pair[1]["iou"]))
    return shape, found


def shown(reader: RunReader) -> list[PosedView]:
    """The whole views that show somebody; UserError when fewer than two do."""
    views = [v for v in placed(reader, step_of_pictures(reader)).whole if v.mask.any()]
    if len(views) < 2:
        raise UserError("Fewer than two of the pictures show anything, so none can be compared.")
    return views
