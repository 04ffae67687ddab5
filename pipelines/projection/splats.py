"""Step splats: the two surfaces, the walls between them and the hidden parts of the body as 3D Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Body, BodyMaps, Cutout, Layers, Splats
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class SplatsParams:
    """Knobs of splats."""

    count: int = knob(65000, "About how many splats.", low=2000, high=1000000)
    walls: bool = knob(True, "Close the strip between front and back along the outline.")
    hidden: bool = knob(True, "Add the body's own surface where neither layer shows it.")
    refine: int = knob(3, "Rounds of comparing the front with the photo and correcting its colours.", low=0, high=20)


@step("splats", version=1, title="Splats")
def splats(
    layers: Layers, body_fit: Body, body_maps: BodyMaps, matte: Cutout, params: SplatsParams, ctx: Context
) -> Splats:
    """Two Gaussians per pixel on the front and back surface, walls along the outline, and the body's hidden parts.

    The front has the photo's own pixels; everything else is marked as generated. Whatever would show outside the
    cut-out from the photo's camera is dropped.
    """
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.projection.gaussians import gaussians

    return gaussians(layers, body_fit, body_maps, matte, params, ctx)
