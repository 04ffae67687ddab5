"""Step synchuman.joint: five views of normals and colours and a latent grid, drawn together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.step import Context, Step, knob, same_knob, step
from pipelines.synchuman.records import Framed, JointSample

MEMORY = ("auto", "short", "plenty")


@dataclass(frozen=True)
class JointParams:
    """Knobs of synchuman.joint."""

    steps: int = knob(50, "Sampling steps from noise to pictures.", low=1, high=200)
    guidance: float = knob(3.0, "How strongly the photo steers the pictures and the grid.", low=1.0, high=10.0)
    kept: int = knob(12, "How many of the estimates on the way are kept to be looked at.", low=1, high=50)
    fast: bool = knob(
        False, "At most 25 steps, guided above half of the time and there every other step: quicker, another result."
    )
    memory: str = knob("auto", "Short: one network at a time and guidance halves apart; the same but for rounding.",
                       choices=MEMORY, affects_result=False)  # fmt: skip


@dataclass(frozen=True)
class TinyJointParams(JointParams):
    """The stand-in's: a few steps."""

    steps: int = same_knob(JointParams, "steps", 4)


def joint_step(preset: str) -> Step:
    """The step on a preset: 'released' names its weights, 'tiny' has none."""
    weights = () if preset == "tiny" else ("synchuman.stage1", "synchuman.tokens", "synchuman.prompts")

    @step("synchuman.joint", version=2, title="Views and voxels", weights=weights, backends=("cpu", "cuda"), seeded=True,
          kind="generated")  # fmt: skip
    def joint(synchuman_frame: Framed, params: JointParams, ctx: Context) -> JointSample:
        """Ten pictures and a latent grid by rectified flow from noise, two networks coupled at every step.

        A run that was stopped goes on from its last step.
        """
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.synchuman.draw_joint import draw_joint

        return draw_joint(synchuman_frame, params, preset, ctx)

    return replace(joint, params=TinyJointParams) if preset == "tiny" else joint
