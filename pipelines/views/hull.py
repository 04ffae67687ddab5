"""Step hull: what the outlines allow."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.step import Context, UserError, knob, step
from pipelines.views.records import Shape, Views


@dataclass(frozen=True)
class HullParams:
    """Knobs of hull."""

    voxel: float = knob(8.0, "Finest detail of the hull.", low=3.0, high=40.0, unit="mm")


@step("hull", version=1, title="Visual hull")
def hull(views_read: Views, params: HullParams, ctx: Context) -> Shape:
    """The largest solid that fits into the outlines of all views."""
    # Heavy packages are imported by the work alone, not by the declaration.
    import numpy as np

    from pipelines.geometry.surface import extract
    from pipelines.views.carve import Outline, box_of, carve, middle_of

    outlines = [Outline(v.mask, v.pinhole) for v in views_read.whole]
    if len(outlines) < 2:
        raise UserError(f"{len(outlines)} view of the whole person came; at least two from different sides are needed.")
    centre, reach = middle_of([v.camera for v in views_read.whole])
    try:
        low, high = box_of(outlines, centre - reach, centre + reach, 2e-3 * params.voxel)
        vertices, faces = extract(carve(outlines, low, high, params.voxel / 1000.0, enough=0.004 * params.voxel))
    except ValueError as error:
        raise UserError(f"The views have no common solid ({error}); check their cameras and directions.") from error
    return Shape(vertices.astype(np.float32), faces)
