"""Step synchuman.views: the ten latents decoded to pictures, as the second stage and a person read them."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.step import Context, Step, knob, step
from pipelines.synchuman.records import Framed, JointSample, TenPictures


@dataclass(frozen=True)
class PicturesParams:
    """Knobs of synchuman.views."""

    keep_generated_front: bool = knob(False, "Show the generated front instead of the photo itself; as released: off.")
    paste_face: bool = knob(True, "Put the close-up's normals into the front view's face.")


def pictures_step(preset: str) -> Step:
    """The step on a preset."""
    weights = () if preset == "tiny" else ("synchuman.stage1",)

    @step(
        "synchuman.views", version=1, title="Ten pictures", weights=weights, backends=("cpu", "cuda"), kind="generated"
    )
    def pictures(synchuman_frame: Framed, synchuman_joint: JointSample, params: PicturesParams,
                 ctx: Context) -> TenPictures:  # fmt: skip
        """Five views of colours and normals; the front's colours are the photo's own."""
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.synchuman.decode_pictures import decode_pictures

        return decode_pictures(synchuman_frame, synchuman_joint, params, preset, ctx)

    return pictures
