"""Step synchuman.voxels: which voxels of the cube the latent grid fills."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.step import Context, Step, knob, same_knob, step
from pipelines.synchuman.records import Framed, JointSample, TenPictures, VoxelSet


@dataclass(frozen=True)
class VoxelsParams:
    """Knobs of synchuman.voxels."""

    inside_outline: bool = knob(False, "Drop voxels outside the front picture's outline; as released: off.")


@dataclass(frozen=True)
class TinyVoxelsParams(VoxelsParams):
    """The stand-in's: noise is cut to the person's outline."""

    inside_outline: bool = same_knob(VoxelsParams, "inside_outline", True)


def voxels_step(preset: str) -> Step:
    """The step on a preset."""
    weights = () if preset == "tiny" else ("synchuman.stage1",)

    @step("synchuman.voxels", version=2, title="Voxels", weights=weights, backends=("cpu", "cuda"), kind="generated")
    def voxels(synchuman_frame: Framed, synchuman_joint: JointSample, synchuman_views: TenPictures,
               params: VoxelsParams, ctx: Context) -> VoxelSet:  # fmt: skip
        """The latent grid decoded to filled and empty voxels, with the count that every kept estimate had."""
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.synchuman.fill_voxels import fill_voxels

        return fill_voxels(synchuman_frame, synchuman_joint, synchuman_views, params.inside_outline, preset, ctx)

    return replace(voxels, params=TinyVoxelsParams) if preset == "tiny" else voxels
