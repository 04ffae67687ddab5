"""The work of the step `synchuman.splats`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.geometry.orthographic import OrthographicCamera
from pipelines.geometry.splat_raster import render_numpy
from pipelines.records import GENERATED, ORIGIN_NAMES, SEEN, Splats
from pipelines.step import Context, UserError
from pipelines.synchuman.bake_cameras import bake_angles
from pipelines.synchuman.display import Placement
from pipelines.synchuman.lending import Lender, memory_is_short
from pipelines.synchuman.records import SlatSample, TenPictures, VoxelSet
from pipelines.synchuman.slat_gaussians import Gaussians
from pipelines.synchuman.view_maps import on_device, view_maps

FRONT_SIZE = 512  # px of the view in which splats count as seen
DEPTH = 1.5  # voxels behind the front surface within which a splat counts as seen


def decode_splats(
    pictures: TenPictures, filled: VoxelSet, slat: SlatSample, placement: Placement, least_opacity: float, preset: str,
    ctx: Context,
) -> Splats:  # fmt: skip
    """See the step. UserError when no splat is left."""
    ctx.progress(0.0, "networks")
    lender = Lender(preset, ctx, memory_is_short(ctx.device, "auto"), ("slat_decoder_gs",))
    with torch.inference_mode():
        gaussians = _decode(pictures, filled, slat, lender)
    ctx.progress(0.8, "splats")
    means, scales, quats, opacities, colours = (
        getattr(gaussians, name).float().cpu().numpy() for name in ("means", "scales", "quats", "opacities", "colours")
    )
    keep = (opacities >= least_opacity) & np.isfinite(means).all(1) & np.isfinite(scales).all(1)
    if not keep.any():
        raise UserError("Every splat is fainter than 'least_opacity'; lower that parameter of synchuman.splats.")
    placed = placement.to_display(means[keep]).astype(np.float32)
    turned = placement.turn(quats[keep]).astype(np.float32)
    spread = (placement.scale * scales[keep]).astype(np.float32)
    colour = np.clip(colours[keep], 0, 1).astype(np.float32)
    camera = placement.orthographic(float(bake_angles()[0, 0]), FRONT_SIZE)
    reach = DEPTH * placement.scale / filled.side
    seen = front_of(placed, turned, spread, opacities[keep], camera, reach)
    origin = np.full(len(placed), ORIGIN_NAMES.index("network"), np.uint8)
    return Splats(placed, turned, spread, opacities[keep].astype(np.float32), colour, seen, origin)


def _decode(pictures: TenPictures, filled: VoxelSet, slat: SlatSample, lender: Lender) -> Gaussians:
    colour, normal = view_maps(pictures, lender)
    latents, voxels = on_device(filled, slat, lender)
    with lender.network("slat_decoder_gs") as decoder:
        made: Gaussians = decoder(latents, voxels, colour, normal)
    return made


def front_of(
    means: NDArray[np.float32], quats: NDArray[np.float32], scales: NDArray[np.float32], opacities: NDArray[np.floating],
    camera: OrthographicCamera, reach: float,
) -> NDArray[np.uint8]:  # fmt: skip
    """(N,) seen for splats at most `reach` metres behind the first surface of a view, generated for all others."""
    pinhole = camera.distant()
    drawn = render_numpy(
        means, quats, scales, opacities, np.zeros((len(means), 1), np.float32), pinhole.world_to_camera, pinhole.K,
        pinhole.width, pinhole.height,
    )  # fmt: skip
    pixels, depth = pinhole.project(means)
    column, row = (np.floor(pixels[:, k]).clip(0, limit - 1).astype(int) for k, limit in
                   ((0, pinhole.width), (1, pinhole.height)))  # fmt: skip
    first = drawn.median_depth[row, column]
    return np.where((first > 0) & (depth < first + reach), SEEN, GENERATED).astype(np.uint8)
