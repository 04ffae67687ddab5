"""The work of the steps hgm.gaussians and hgm.fused: pictures of the network's cameras, its Gaussians as splats."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipelines.geometry.splat_raster import render_numpy
from pipelines.hgm.configuration import HgmConfig
from pipelines.hgm.crop import crop_photo, pixels_per_metre
from pipelines.hgm.frame import LEAST_OPACITY, gaussians_to_camera, moved
from pipelines.hgm.front_view import Fov, doubtful_below, drawn_psnr, white_psnr
from pipelines.hgm.photo_lens import to_network
from pipelines.hgm.preset_network import predict, preset_network
from pipelines.hgm.records import BackView, BodyPoints
from pipelines.records import GENERATED, SEEN, Body, Cutout, Splats
from pipelines.step import Context, UserError

if TYPE_CHECKING:
    from pipelines.hgm.gaussians_step import FusedParams, GaussiansParams

Floats = NDArray[np.float32]
ENOUGH = 0.99  # of the Gaussians before both cameras; a stray one is nothing to speak of
SHOWN = 0.1  # of a pixel's colour that a splat must give in the photo's view to count as seen


def coarse_person(
    matte: Cutout, body: Body, points: BodyPoints, config: HgmConfig, params: GaussiansParams, ctx: Context
) -> Splats:
    """See the step `hgm.gaussians`."""
    front = front_picture(matte, body, points, config.input_size)
    ctx.progress(0.0, "the photo as the network sees it", front)
    network = preset_network(config, "hgm.one_view", ctx)
    made = predict(network, [front], points, ctx, branch=params.body)
    return as_splats(made, front, params.footprint, matte, body, points, config, ctx)


def fused_person(
    matte: Cutout, body: Body, points: BodyPoints, back: BackView, config: HgmConfig, params: FusedParams,
    ctx: Context,
) -> Splats:  # fmt: skip
    """See the step `hgm.fused`. back: the picked one."""
    front = front_picture(matte, body, points, config.input_size)
    behind = resized(back.images[0], config.input_size)
    ctx.progress(0.0, "photo and back view", np.hstack([front, behind]))
    network = preset_network(config, "hgm.two_view", ctx)
    made = predict(network, [front, behind], points, ctx, branch=params.body)
    return as_splats(made, front, params.footprint, matte, body, points, config, ctx)


def front_picture(matte: Cutout, body: Body, points: BodyPoints, size: int) -> Floats:
    """(size, size, 3) the person on white, as HGM's front camera frames it. UserError for points far from the photo."""
    height, width = matte.alpha.shape
    K = body.camera.resized(width, height).K
    pelvis = points.pelvis.astype(np.float64)
    x, y = (K @ pelvis)[:2] / max(pelvis[2], 1e-6)
    side = 512 / pixels_per_metre() * K[1, 1] / max(pelvis[2], 1e-6)
    if not (-width < x < 2 * width and -height < y < 2 * height and 0.1 < side / max(width, height) < 20):
        raise UserError(
            f"The body's pelvis came at {np.round(pelvis, 2).tolist()}, which the photo's camera does not see near its "
            "picture; its points need to be metres in that camera's frame (x right, y down, z forward)."
        )
    to_network(points.points, pelvis)  # refuses what the cameras do not see, before any network is read
    return crop_photo(matte.rgba, K, points.pelvis, size)


def resized(picture: Floats, size: int) -> Floats:
    """(S, S, 3) -> (size, size, 3), bilinear with a low-pass."""
    if len(picture) == size:
        return picture
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None]
    made = F.interpolate(tensor, (size, size), mode="bilinear", align_corners=False, antialias=True)
    return np.asarray(made[0].permute(1, 2, 0).clamp(0, 1).numpy(), np.float32)


def as_splats(
    gaussians: Tensor, front: Floats, footprint: str, matte: Cutout, body: Body, points: BodyPoints, config: HgmConfig,
    ctx: Context,
) -> Splats:  # fmt: skip
    """(N, 14) network frame -> splats in the display frame, with what the photo shows of them; faint ones dropped."""
    scores = front_scores(gaussians, front)
    fov: Fov = footprint if footprint != "auto" else max(scores, key=lambda name: scores[name])  # type: ignore[assignment]
    white = white_psnr(torch.from_numpy(front).permute(2, 0, 1))
    if config.name != "tiny" and scores[fov] < doubtful_below(white):
        ctx.warn(
            f"The photo drawn again from the front reaches {scores[fov]:.1f} dB (a genuine file reaches 20, an empty "
            f"picture {white:.1f}): check that the weight file is the one for this number of views, and that body and "
            "photo agree."
        )
    kept = gaussians[gaussians[:, 3] >= LEAST_OPACITY]
    if not len(kept):
        raise UserError("All Gaussians came out transparent; check the weight file.")
    splats = gaussians_to_camera(kept.numpy(), points.pelvis, fov)
    if len(splats) < ENOUGH * len(kept):
        ctx.warn(
            f"{len(kept) - len(splats)} of {len(kept)} Gaussians lie behind the photo's camera or HGM's and are left out."
        )
    splats = moved(splats, np.asarray(body["world_from_camera"], np.float64))
    return dataclasses.replace(splats, seen=seen_in(splats, matte, body))


def front_scores(gaussians: Tensor, front: Floats) -> dict[Fov, float]:
    """PSNR in dB of the front view drawn again, by footprint."""
    target = torch.from_numpy(front).permute(2, 0, 1)
    return {fov: drawn_psnr(gaussians, 0.0, target, fov) for fov in get_args(Fov)}


def seen_in(splats: Splats, matte: Cutout, body: Body) -> NDArray[np.uint8]:
    """(N,) SEEN for splats that give colour to a pixel of the cut-out, GENERATED for all others."""
    small = 640.0 / max(matte.alpha.shape)
    height, width = (max(1, round(n * small)) for n in matte.alpha.shape)
    camera = body.camera.resized(width, height)
    paint = np.zeros((len(splats), 1), np.float32)
    drawn = render_numpy(splats.means, splats.quats, splats.scales, splats.opacities, paint, camera.world_to_camera,
                         camera.K, width, height)  # fmt: skip
    column, row = (camera.project(splats.means)[0] / small).T.astype(np.int64)
    inside = (column >= 0) & (row >= 0) & (column < matte.alpha.shape[1]) & (row < matte.alpha.shape[0])
    there = np.zeros(len(splats), bool)
    there[inside] = matte.alpha[row[inside], column[inside]] > 0.5
    return np.where(there & (drawn.visibility > SHOWN), SEEN, GENERATED).astype(np.uint8)
