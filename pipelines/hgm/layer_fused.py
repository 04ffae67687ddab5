"""Step hgm.fused of the compact preset: the photo's layers wear the picked back view."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.hgm.records import BackView
from pipelines.records import Body, Layers
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class LayerFusedParams:
    """Knobs of hgm.fused."""

    views: int = knob(2, "One takes the coarse person as it is: the photo alone, no back view.", low=1, high=2)


@step("hgm.fused", version=1, title="Two views", kind="generated")
def layer_fused(
    hgm_again: Layers, hgm_pick: BackView, hgm_refine: Body, params: LayerFusedParams, ctx: Context
) -> Layers:
    """The front keeps the photo's colours, the back takes those of the picked back view.

    A picture from elsewhere is moved and scaled onto the person's outline where that fits better than as it came.
    """
    if params.views == 1:
        return hgm_again
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.hgm.back_frame import back_frame, worn

    made, said = worn(hgm_again, back_frame(hgm_again, hgm_refine), hgm_pick)
    if said:
        ctx.warn(said)
    return made
