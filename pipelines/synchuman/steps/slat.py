"""Step synchuman.slat: structured latents on the voxels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.step import Context, Step, knob, same_knob, step
from pipelines.synchuman.records import Framed, SlatSample, VoxelSet
from pipelines.synchuman.steps.joint import MEMORY


@dataclass(frozen=True)
class SlatParams:
    """Knobs of synchuman.slat. The released sampler's file says 25 steps, strength 5, times 0.5 to 1."""

    steps: int = knob(25, "Sampling steps.", low=1, high=100)
    strength: float = knob(5.0, "How much further than the photo says; 0 is no guidance.", low=0.0, high=15.0)
    guided_from: float = knob(0.5, "Earliest time that is guided; time runs from 1, noise, to 0.", low=0.0, high=1.0)
    guided_to: float = knob(1.0, "Latest time that is guided.", low=0.0, high=1.0)
    kept: int = knob(6, "How many of the estimates on the way are kept to be looked at.", low=1, high=50)
    fast: bool = knob(False, "At most 12 steps: quicker, and another result.")
    memory: str = knob("auto", "Short: one network at a time; the same but for rounding.", choices=MEMORY,
                       affects_result=False)  # fmt: skip


@dataclass(frozen=True)
class TinySlatParams(SlatParams):
    """The stand-in's: a few steps."""

    steps: int = same_knob(SlatParams, "steps", 3)


def slat_step(preset: str) -> Step:
    """The step on a preset."""
    weights = () if preset == "tiny" else ("synchuman.stage2", "synchuman.tokens")

    @step("synchuman.slat", version=1, title="Latents", weights=weights, backends=("cpu", "cuda"), seeded=True,
          kind="generated")  # fmt: skip
    def slat(synchuman_frame: Framed, synchuman_voxels: VoxelSet, params: SlatParams, ctx: Context) -> SlatSample:
        """Eight numbers for every voxel by rectified flow from noise, told by the photo alone.

        A run that was stopped goes on from its last step.
        """
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.synchuman.draw_slat import draw_slat

        return draw_slat(synchuman_frame, synchuman_voxels, params, preset, ctx)

    return replace(slat, params=TinySlatParams) if preset == "tiny" else slat
