"""The work of the step `synchuman.surface`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pipelines.step import Context, UserError
from pipelines.synchuman import cubes_to_surface
from pipelines.synchuman.injected_colours import Injected, injected_colours
from pipelines.synchuman.lending import Lender, memory_is_short
from pipelines.synchuman.records import RawSurface, SlatSample, TenPictures, VoxelSet
from pipelines.synchuman.view_maps import on_device, view_maps


def decode_surface(pictures: TenPictures, filled: VoxelSet, slat: SlatSample, preset: str, ctx: Context) -> RawSurface:
    """See the step. UserError when nothing is inside."""
    ctx.progress(0.0, "networks")
    lender = Lender(preset, ctx, memory_is_short(ctx.device, "auto"), ("slat_decoder_mesh",))
    with torch.inference_mode():
        head, coords, side, (injected, explained) = _decode(pictures, filled, slat, lender)
    ctx.progress(0.7, f"{len(coords)} cubes")
    made = cubes_to_surface.surface(head, coords, side)
    if not len(made.faces):
        raise UserError("No place lies inside the decoded surface, so there is no mesh; look at voxels and latents.")
    facts = {
        **lender.facts, "cubes": len(coords), "side": side, "faces": len(made.faces), "injected_explained": explained,
    }  # fmt: skip
    attributes = np.asarray(made.colours, np.float32).reshape(len(made.vertices), -1)
    return RawSurface(made.vertices.astype(np.float32), made.faces.astype(np.int32), attributes, injected, facts)


def _decode(
    pictures: TenPictures, filled: VoxelSet, slat: SlatSample, lender: Lender
) -> tuple[Tensor, Tensor, int, Injected]:
    colour, normal = view_maps(pictures, lender)
    latents, voxels = on_device(filled, slat, lender)
    with lender.network("slat_decoder_mesh") as decoder:
        shown = injected_colours(decoder, colour, normal, filled.coords)
        head, fine = decoder(latents, voxels, colour, normal)
    return head.float().cpu(), fine.coords.cpu(), fine.side, shown
