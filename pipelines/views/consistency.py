"""Step consistency: do the views show one shape, and if not, which is the odd one?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.records import Table
from pipelines.step import Context, knob, step
from pipelines.views.records import Shape, Views


@dataclass(frozen=True)
class ConsistencyParams:
    """Knobs of consistency."""

    leave_out: bool = knob(True, "Carve again without each view, to find the one that does not fit the others.")


@step("consistency", version=3, title="Agreement of the views")
def consistency(views_read: Views, hull: Shape, surface: Shape, params: ConsistencyParams, ctx: Context) -> Table:
    """For every view: its outline and normals against the surface, where it is worst, and how much it is to blame."""
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.views.agreement import agreement
    from pipelines.views.left_out import blames

    rows = agreement(surface.vertices.astype(np.float64), surface.faces, views_read.views)
    blame: list[float | None] = [None] * len(rows)
    if params.leave_out and len(rows) > 2:
        margin = 0.03
        low, high = hull.vertices.min(0) - margin, hull.vertices.max(0) + margin
        blame = list(blames(views_read.views, low, high, say=lambda share: ctx.progress(share, "leaving one out")))
    table: list[dict[str, Any]] = []
    for row, found in zip(rows, blame, strict=True):
        table.append({**row, "blame": None if found is None else round(found, 4)})
    for row in table:
        if row["iou"] < 0.95:
            ctx.warn(f"The outline of the view '{row['view']}' and the surface overlap by {100 * row['iou']:.0f} % only; "
                     "the views do not agree there.")  # fmt: skip
    table.sort(key=lambda r: -(r["blame"] if r["blame"] is not None else 1.0 - r["iou"]))
    return Table(tuple(table))
