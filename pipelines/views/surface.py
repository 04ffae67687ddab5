"""Step surface: the hull carved on to what the normals of all views say."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.step import Context, UserError, knob, step
from pipelines.views.records import Shape, Views


@dataclass(frozen=True)
class SurfaceParams:
    """Knobs of surface."""

    resolution: int = knob(384, "Pixels from head to foot at which normals become depth.", low=96, high=768, unit="px")
    voxel: float = knob(
        5.0, "Finest detail of the solid, before it is bent to the normals.", low=2.5, high=30.0, unit="mm"
    )
    faces: int = knob(60000, "About how many triangles.", low=2000, high=300000)
    head_detail: float = knob(2.0, "How many times finer the triangles are on the head.", low=1.0, high=4.0)
    smoothing: int = knob(12, "Rounds of smoothing that keep the volume.", low=0, high=60)
    rounds: int = knob(3, "Rounds of bending the surface to normals and outlines.", low=0, high=20)
    normals: float = knob(1.0, "How strongly the surface follows the normals.", low=0.0, high=20.0)


@step("surface", version=4, title="Surface")
def surface(views_read: Views, hull: Shape, params: SurfaceParams, ctx: Context) -> Shape:
    """Depth from each view's normals inside the hull, joined to one closed surface, and bent to normals and outlines."""
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.views.sculpted_surface import sculpted_surface

    try:
        return sculpted_surface(views_read, hull, params, ctx)
    except ValueError as error:
        raise UserError(f"No surface could be carved: {error} Check the views' cameras and directions.") from error
