"""Step splats: the two surfaces and the sides between them as 3D Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Body, Cutout, Layers, Splats
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class SplatsParams:
    """Knobs of splats."""

    count: int = knob(
        80000, "About how many splats; about a tenth more lie as a coat behind the finest.", low=2000, high=1000000
    )
    sides: bool = knob(True, "Close the sides between front and back, and between limbs that hide one another.")
    refine: int = knob(6, "Rounds of fitting the front's colours to the photo.", low=0, high=20)


@step("splats", version=9, title="Splats", kind="mixed")
def splats(layers: Layers, body_fit: Body, matte: Cutout, params: SplatsParams, ctx: Context) -> Splats:
    """Gaussians on the front, small where the photo has detail; on an even grid on the back; and on the closed surface
    where neither covers it.

    The front has the photo's own pixels; everything else is marked as generated. Whatever would show outside the
    cut-out from the photo's camera is dropped.
    """
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.projection.gaussians import gaussians

    return gaussians(layers, body_fit, matte, params, ctx)
