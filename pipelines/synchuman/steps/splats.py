"""Step synchuman.splats: the latents as Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Body, Splats
from pipelines.step import Context, Step, knob, step
from pipelines.synchuman.records import Framed, SlatSample, TenPictures, VoxelSet


@dataclass(frozen=True)
class SplatsParams:
    """Knobs of synchuman.splats."""

    least_opacity: float = knob(0.004, "Splats fainter than this are left out; below 1/255 none is ever drawn.", low=0.0,
                                high=0.9)  # fmt: skip


def splats_step(preset: str) -> Step:
    """The step on a preset."""
    weights = () if preset == "tiny" else ("synchuman.stage2", "synchuman.tokens")

    @step("synchuman.splats", version=1, title="Splats", weights=weights, backends=("cpu", "cuda"), kind="generated")
    def splats(synchuman_frame: Framed, synchuman_views: TenPictures, synchuman_voxels: VoxelSet,
               synchuman_slat: SlatSample, body_fit: Body, params: SplatsParams, ctx: Context) -> Splats:  # fmt: skip
        """32 Gaussians around every voxel, decoded with what four views show there, at the size of the fitted body."""
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.synchuman.decode_splats import decode_splats
        from pipelines.synchuman.display import place

        placement = place(synchuman_frame, body_fit)
        return decode_splats(
            synchuman_views, synchuman_voxels, synchuman_slat, placement, params.least_opacity, preset, ctx
        )

    return splats
