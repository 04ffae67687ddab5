"""Step hgm.pick: one of the back views, for the fused Gaussians and the mesh."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.hgm.records import GIVEN, BackView
from pipelines.step import Context, UserError, knob, step


@dataclass(frozen=True)
class PickParams:
    """Knobs of hgm.pick."""

    variant: int = knob(1, "Which of the back views is taken; from 1 on.", low=1, high=8)
    remask: bool = knob(False, "Cut it out again with the coarse person's outline, on white.")


@step("hgm.pick", version=1, title="Back view, picked", kind="generated")
def pick(hgm_back: BackView, params: PickParams, ctx: Context) -> BackView:
    """The variant of the back view that goes on; to pick another re-runs what comes after, and paints nothing anew."""
    count, variant = len(hgm_back.images), params.variant
    if variant > count == 1 and hgm_back.facts.get("refiner") == GIVEN:
        ctx.warn(f"The back view came from elsewhere and is one picture; variant {variant} was of those it replaced.")
        variant = 1
    if variant > count:
        raise UserError(
            f"hgm.pick.variant came as {variant}, and there {'is' if count == 1 else 'are'} {count}; pick one of "
            "them, or make more with hgm.back.variants."
        )
    image = hgm_back.images[variant - 1]
    alpha = hgm_back.coarse[..., 3:]
    if params.remask and not alpha.any():
        ctx.warn("The back view came from elsewhere, without an outline to cut it out with; it stays as it is.")
    elif params.remask:
        image = image * alpha + 1.0 - alpha
    return BackView(hgm_back.coarse, image[None], {**hgm_back.facts, "variant": variant})
