"""Do the views agree with one shape? Each with what it says against the surface, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Floats, Table
from pipelines.step import UserError
from pipelines.views.consistency import FITS, STANDS_OUT
from pipelines.views.records import PosedView, Shape, Views
from ui.inspect_numbers import Facts, to_json
from ui.inspect_posed_views import cells_sheet
from ui.run_reader import RunReader

COLUMNS = ("view", "iou", "worst_height", "worst_side")  # by these a table is known to be about views
MISSING, EXCESS, TURNED = (0.84, 0.16, 0.12), (0.0, 0.45, 0.70), (0.90, 0.62, 0.0)
FULL = 60.0  # degrees of normal error at which the colour is full


def is_about_views(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether a table is the consistency meter's."""
    return bool(rows) and all(name in rows[0] for name in COLUMNS)


def facts_of(rows: Sequence[dict[str, Any]]) -> Facts:
    """The view that stands out, or none; the worst one, where, and the means. rows: the worst first."""
    worst = rows[0]
    found: Facts = []
    if worst.get("blame") is not None:
        found.append(("Stands out", str(worst["view"]) if stands_out(worst) else "no view"))
    found += [("Worst view", str(worst["view"])), ("Outline there", f"{100 * worst['iou']:.1f} %")]
    if worst.get("normal_deg") is not None:
        found.append(("Normals there", f"{worst['normal_deg']:.1f}° off"))
    found.append(("Where", where(worst)))
    if worst.get("blame") is not None:
        blame = f"{worst['blame']:.2f}, next {rows[1]['blame']:.2f}" if len(rows) > 1 else f"{worst['blame']:.2f}"
        found += [("Its blame", blame), ("A view stands out from", f"{STANDS_OUT:.2f}")]
    found.append(("Outlines, lowest", f"{100 * min(r['iou'] for r in rows):.1f} %"))
    angles = [r["normal_deg"] for r in rows if r.get("normal_deg") is not None]
    if angles:
        found.append(("Normals, mean", f"{float(np.mean(angles)):.1f}° off"))
    return found


def stands_out(row: dict[str, Any]) -> bool:
    """Whether the row's view does not fit the others; without blames, whether its outline and the surface's differ."""
    return row["blame"] >= STANDS_OUT if row.get("blame") is not None else row["iou"] < FITS


def where(row: dict[str, Any]) -> str:
    """'near the head, left in the picture'."""
    share = float(row["worst_height"])
    names = ((0.85, "at the head"), (0.7, "at the shoulders"), (0.5, "at the waist"), (0.25, "at the knees"))
    height = next((name for limit, name in names if share >= limit), "at the feet")
    side = {"left": "left in the picture", "right": "right in the picture"}.get(str(row["worst_side"]), "in the middle")
    return f"{height}, {side}"


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """{'cells': [{label, note, worst}]} in the table's order."""
    cells = []
    for k, (_, row) in enumerate(_pairs(reader, step)):
        notes = [f"outline {100 * row['iou']:.1f} %"]
        notes += [f"normals {row['normal_deg']:.1f}°"] if row.get("normal_deg") is not None else []
        notes += [f"blame {row['blame']:.2f}"] if row.get("blame") is not None else []
        worst = k == 0 and stands_out(row)
        cells.append({"label": row["view"], "note": ", ".join(notes), "place": where(row), "worst": worst})
    return to_json({"cells": cells})


def picture(reader: RunReader, step: str, argument: str) -> bytes:
    """The views in the table's order, pale, with what is wrong in colour: see `marked`."""
    shape = reader.need(Shape)
    return cells_sheet([marked(view, shape.vertices, shape.faces) for view, _ in _pairs(reader, step)])


def marked(view: PosedView, vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> Floats:
    """(H, W, 4): red where the view has the person and the surface does not, blue the other way round, orange the more,
    the more the normals differ."""
    from pipelines.geometry.mesh_raster import rasterise_mesh
    from pipelines.views.agreement import normal_errors

    drawn = rasterise_mesh(vertices, faces, view.pinhole).mask
    grey = view.rgba[..., :3].mean(-1, keepdims=True) * 0.35 + 0.55
    rgb = np.broadcast_to(grey, (*grey.shape[:2], 3)).copy()
    if view.normal is not None:
        strength = np.clip(np.nan_to_num(normal_errors(vertices, faces, view)) / FULL, 0.0, 1.0)[..., None]
        rgb = rgb * (1 - strength) + np.array(TURNED, np.float32) * strength
    rgb[view.mask & ~drawn] = MISSING
    rgb[~view.mask & drawn] = EXCESS
    return np.dstack([rgb, (view.mask | drawn).astype(np.float32)]).astype(np.float32)


def _pairs(reader: RunReader, step: str) -> list[tuple[PosedView, dict[str, Any]]]:
    """The views of the table's rows, in its order; UserError when it is another table."""
    table = reader.record(step)
    assert isinstance(table, Table)
    if not is_about_views(table.rows):
        raise UserError(f"The table of '{step}' is not about views; its rows stand in the inspector.")
    views = {view.label: view for view in reader.need(Views).views}
    return [(views[row["view"]], row) for row in table.rows if row["view"] in views]
