"""Step hgm.back: the person from behind, drawn from the coarse Gaussians and painted over by a diffusion network."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.hgm.configuration import HgmConfig
from pipelines.hgm.records import BackView, BodyPoints
from pipelines.records import Body, Splats
from pipelines.step import Context, Step, knob, same_knob, step


@dataclass(frozen=True)
class BackParams:
    """Knobs of hgm.back. The defaults are those of the released code (diffusers' img2img with a tile ControlNet)."""

    refiner: str = knob("controlnet", "Who paints the coarse back over; none takes it as it is.",
                        choices=("controlnet", "none"))  # fmt: skip
    strength: float = knob(0.2, "How much of the coarse back is painted anew; 1 all of it.", low=0.02, high=1.0)
    steps: int = knob(100, "Steps of the sampler; strength decides how many of them are taken.", low=5, high=1000)
    guidance: float = knob(5.0, "How strongly the words 'best quality' count.", low=1.0, high=20.0)
    control: float = knob(1.0, "How strongly the coarse back holds the painter.", low=0.0, high=2.0)
    variants: int = knob(1, "How many are painted; hgm.pick.variant chooses one.", low=1, high=8)


@dataclass(frozen=True)
class TinyBackParams(BackParams):
    """The same for stand-in networks: a few steps are enough to see that it runs."""

    strength: float = same_knob(BackParams, "strength", 0.4)
    steps: int = same_knob(BackParams, "steps", 10)
    variants: int = same_knob(BackParams, "variants", 2)


def back_step(config: HgmConfig) -> Step:
    """The declaration for a preset."""
    stand_in = config.name == "tiny"
    kind: type[BackParams] = TinyBackParams if stand_in else BackParams

    def back(hgm_gaussians: Splats, hgm_points: BodyPoints, hgm_refine: Body, params, ctx: Context) -> BackView:  # type: ignore[no-untyped-def]
        """The coarse Gaussians from behind, as HGM's camera sees them, painted over by Stable Diffusion with a ControlNet.

        A picture from elsewhere takes its place with --replace hgm.back=FILE: square, framed like this step's coarse.png.
        """
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.hgm.back_view import back_view

        return back_view(hgm_gaussians, hgm_points, hgm_refine, config, params, ctx)

    back.__annotations__["params"] = kind
    painter = ("refiner", "controlnet")
    optional = {} if stand_in else {"hgm.diffusion": painter, "hgm.controlnet": painter}
    return step(
        "hgm.back", version=2, title="Back view", kind="generated", backends=("cpu", "cuda"), seeded=True,
        optional_weights=optional,
    )(back)  # fmt: skip
