"""Step consistency: do the views show one shape, and if not, which is the odd one?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.records import Table
from pipelines.step import Context, knob, step
from pipelines.views.records import Shape, Views

# Blame from which a view stands out. In exact views of twelve training people the most is 0.22; of the same views, one
# turned by 20 or 30 degrees has at least 0.26.
STANDS_OUT = 0.24
FITS = 0.95  # overlap of a view's outline with the surface's, below which they do not agree


@dataclass(frozen=True)
class ConsistencyParams:
    """Knobs of consistency."""

    leave_out: bool = knob(True, "Carve again without each view, to find the one that does not fit the others.")


@step("consistency", version=4, title="Agreement of the views")
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
    odd = max(table, key=lambda r: r["blame"] or 0.0)
    if (odd["blame"] or 0.0) >= STANDS_OUT:
        ctx.warn(f"The view '{odd['view']}' does not fit the others (blame {odd['blame']:.2f}, from {STANDS_OUT} on a view "
                 "stands out); replace it, or leave it out.")  # fmt: skip
    apart = [f"{row['view']} ({100 * row['iou']:.0f} %)" for row in table if row["iou"] < FITS]
    if apart:
        ctx.warn(f"Outlines that overlap with the surface too little, below {100 * FITS:.0f} %: {', '.join(apart)}.")
    table.sort(key=lambda r: -(r["blame"] if r["blame"] is not None else 1.0 - r["iou"]))
    return Table(tuple(table))
