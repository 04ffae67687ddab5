"""Step splats: the two surfaces and the sides between them as 3D Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Body, Cutout, Layers, Splats
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class SplatsParams:
    """Knobs of splats."""

    count: int = knob(65000, "About how many splats.", low=2000, high=1000000)
    sides: bool = knob(True, "Close the sides between front and back, and between limbs that hide one another.")
    refine: int = knob(3, "Rounds of comparing the front with the photo and correcting its colours.", low=0, high=20)


@step("splats", version=2, title="Splats", kind="mixed")
def splats(layers: Layers, body_fit: Body, matte: Cutout, params: SplatsParams, ctx: Context) -> Splats:
    """Two Gaussians per pixel on the front and back surface, and those of the closed surface that neither covers.

    The front has the photo's own pixels; everything else is marked as generated. Whatever would show outside the
    cut-out from the photo's camera is dropped.
    """
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.projection.gaussians import gaussians

    return gaussians(layers, body_fit, matte, params, ctx)
