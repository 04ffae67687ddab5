"""Steps hgm.gaussians and hgm.fused: the person as Gaussians, from the photo alone and from photo and back view."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.hgm.configuration import HgmConfig
from pipelines.hgm.records import BackView, BodyPoints
from pipelines.records import Body, Cutout, Splats
from pipelines.step import Context, Step, knob, step

FOOTPRINTS = ("auto", "consistent", "reference_49.1")


@dataclass(frozen=True)
class GaussiansParams:
    """Knobs of hgm.gaussians and, with its own, of hgm.fused."""

    footprint: str = knob(
        "auto", "What the splats' sizes are made for: found by drawing the photo again, or decided by you.",
        choices=FOOTPRINTS,
    )  # fmt: skip
    body: bool = knob(True, "Off takes the Gaussians of the pixels alone, without the branch that looks at the body.")


@dataclass(frozen=True)
class FusedParams(GaussiansParams):
    """Knobs of hgm.fused."""

    views: int = knob(2, "One takes the coarse Gaussians as they are: the photo alone, no second network.",
                      low=1, high=2)  # fmt: skip


def gaussians_step(config: HgmConfig) -> Step:
    """The declaration for a preset."""
    weights = () if config.name == "tiny" else ("hgm.one_view",)

    @step("hgm.gaussians", version=3, title="Coarse Gaussians", kind="generated", weights=weights,
          backends=("cpu", "cuda"))  # fmt: skip
    def gaussians(
        matte: Cutout, hgm_refine: Body, hgm_points: BodyPoints, params: GaussiansParams, ctx: Context
    ) -> Splats:
        """HGM's one-view network: one Gaussian for every second pixel of the photo's crop, moved and coloured by what the
        body's vertices see."""
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.hgm.whole_person import coarse_person

        return coarse_person(matte, hgm_refine, hgm_points, config, params, ctx)

    return gaussians


def fused_step(config: HgmConfig) -> Step:
    """The declaration for a preset."""
    weights = {} if config.name == "tiny" else {"hgm.two_view": ("views", 2)}

    @step("hgm.fused", version=3, title="Fused Gaussians", kind="generated",
          optional_weights=weights, backends=("cpu", "cuda"))  # fmt: skip
    def fused(
        matte: Cutout,
        hgm_refine: Body,
        hgm_points: BodyPoints,
        hgm_gaussians: Splats,
        hgm_pick: BackView,
        params: FusedParams,
        ctx: Context,
    ) -> Splats:
        """HGM's two-view network: the photo and the picked back view together give twice as many Gaussians."""
        if params.views == 1:
            return hgm_gaussians
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.hgm.whole_person import fused_person

        return fused_person(matte, hgm_refine, hgm_points, hgm_pick, config, params, ctx)

    return fused
