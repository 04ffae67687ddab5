"""Step synchuman.surface: the latents as a surface."""

from __future__ import annotations

from pipelines.step import Context, NoParams, Step, step
from pipelines.synchuman.records import RawSurface, SlatSample, TenPictures, VoxelSet


def surface_step(preset: str) -> Step:
    """The step on a preset."""
    weights = () if preset == "tiny" else ("synchuman.stage2", "synchuman.tokens")

    @step("synchuman.surface", version=2, title="Surface", weights=weights, backends=("cpu", "cuda"), kind="generated")
    def surface(synchuman_views: TenPictures, synchuman_voxels: VoxelSet, synchuman_slat: SlatSample, params: NoParams,
                ctx: Context) -> RawSurface:  # fmt: skip
        """Signed distances on cubes four times as fine as the voxels, and the surface through them (FlexiCubes)."""
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.synchuman.decode_surface import decode_surface

        return decode_surface(synchuman_views, synchuman_voxels, synchuman_slat, preset, ctx)

    return surface
