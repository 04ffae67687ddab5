"""Step synchuman.body: the fitted body inside the reconstructed surface, so that it can be posed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.records import Body, Cutout, Keypoints
from pipelines.step import Context, Step, knob, same_knob, step
from pipelines.synchuman.records import CleanedSurface, Framed


@dataclass(frozen=True)
class BodyParams:
    """Knobs of synchuman.body."""

    rounds: int = knob(8, "How often the skin looks for the nearest piece of the surface.", low=2, high=40)
    weight: float = knob(1.0, "How strongly the skin follows the surface; less for wide clothes.", low=0.0, high=10.0)
    clothes: float = knob(10.0, "How far clothes stand off the skin.", low=0.0, high=60.0, unit="mm")


@dataclass(frozen=True)
class TinyBodyParams(BodyParams):
    """The stand-in's: few rounds, and little trust in a surface of noise."""

    rounds: int = same_knob(BodyParams, "rounds", 2)
    weight: float = same_knob(BodyParams, "weight", 0.1)


def body_step(preset: str) -> Step:
    """The step; the stand-in preset does less."""

    @step("synchuman.body", version=1, title="Body in the surface", weights=["body"])
    def body(synchuman_frame: Framed, synchuman_clean: CleanedSurface, matte: Cutout, keypoints: Keypoints,
             body_fit: Body, params: BodyParams, ctx: Context) -> Body:  # fmt: skip
        """The photo's body moved, stretched and bent until it lies just inside the reconstructed surface."""
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.body.body_in_surface import Wear
        from pipelines.synchuman.fill_surface import fill_surface

        wear = Wear(params.rounds, params.weight, params.clothes / 1000.0)
        return fill_surface(synchuman_frame, synchuman_clean, matte, keypoints, body_fit, wear, ctx)

    return replace(body, params=TinyBodyParams) if preset == "tiny" else body
