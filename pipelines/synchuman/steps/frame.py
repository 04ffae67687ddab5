"""Step synchuman.frame: the canvas, the face crop and the token picture of the cut-out photo."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Cutout, Keypoints
from pipelines.step import Context, Step, knob, step
from pipelines.synchuman.records import Framed


@dataclass(frozen=True)
class FrameParams:
    """Knobs of synchuman.frame."""

    follow_head: bool = knob(False, "Move the person until the head lies in the fixed face box; off as released.")


def frame_step(preset: str) -> Step:
    """The step on a preset: the canvas has the size that its network was made for."""

    @step("synchuman.frame", version=1, title="Canvas")
    def frame(matte: Cutout, keypoints: Keypoints, params: FrameParams, ctx: Context) -> Framed:
        """The person from border to border of a square, the face box enlarged, and the crop of the image tokens."""
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.synchuman.framing import framed

        return framed(matte, keypoints, params.follow_head, preset, ctx)

    return frame
