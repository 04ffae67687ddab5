"""The work of the step hgm.back: the coarse render from behind and its variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from pipelines.geometry.splat_raster import SplatImage
from pipelines.hgm.configuration import HgmConfig
from pipelines.hgm.frame import camera_to_gaussians, moved
from pipelines.hgm.front_view import draw
from pipelines.hgm.preset_network import AZIMUTHS, STAND_IN_SAID
from pipelines.hgm.records import BackView, BodyPoints
from pipelines.records import Body, Floats, Splats, on_white
from pipelines.step import Context

if TYPE_CHECKING:
    from pipelines.hgm.back import BackParams

SEED = 22  # of the released code; the run's seed and the variant's number are added
TINY_SIZE = 64


def back_view(
    splats: Splats, points: BodyPoints, body: Body, config: HgmConfig, params: BackParams, ctx: Context
) -> BackView:
    """See the step. splats: display frame, of the body's record."""
    stand_in = config.name == "tiny"
    # The diffusion network's own size, 512, is that of the released networks' pictures.
    coarse = coarse_from_behind(splats, points, body, TINY_SIZE if stand_in else config.input_size)
    # Truncated to 8 bits, as the released code hands it on.
    start = (np.floor(on_white(coarse).clip(0, 1) * 255.0) / 255.0).astype(np.float32)
    ctx.progress(0.0, "the coarse person from behind", start)
    facts = {"refiner": params.refiner, "stand_in": stand_in, "strength": params.strength, "steps": params.steps,
             "guidance": params.guidance, "control": params.control}  # fmt: skip
    if params.refiner == "none":
        ctx.warn("The back view is the coarse Gaussians as they are (hgm.back.refiner=none).")
        return BackView(coarse, start[None], {"refiner": "none", "stand_in": stand_in})
    from pipelines.hgm.painter import released_painter, stand_in_painter

    if stand_in:
        ctx.warn(STAND_IN_SAID)
        painter = stand_in_painter(ctx.device)
    else:
        folders = ctx.weight_file("hgm.diffusion"), ctx.weight_file("hgm.controlnet")
        ctx.progress(0.02, "diffusion networks")
        painter = released_painter(*folders, ctx.device)
    seeds = [SEED + ctx.seed + i for i in range(params.variants)]
    images: list[Floats] = []
    for i, seed in enumerate(seeds):
        # What a stopped run had painted is not painted again.
        if (kept := ctx.kept(f"variant_{i}")) is not None:
            images.append(kept["rgb"])
            continue

        def tell(share: float, done: int = i) -> None:
            ctx.progress(0.05 + 0.95 * (done + share) / len(seeds), f"variant {done + 1} of {len(seeds)}",
                         images[-1] if images else start)  # fmt: skip

        generator = torch.Generator("cpu").manual_seed(seed)
        images.append(
            painter.paint(start, params.strength, params.steps, params.guidance, params.control, generator, tell)
        )
        ctx.keep(f"variant_{i}", {"rgb": images[-1]})
    ctx.progress(1.0, "back views", np.hstack(images))
    return BackView(coarse, np.stack(images), {**facts, "seeds": seeds})


def drawn_from_behind(splats: Splats, points: BodyPoints, body: Body, size: int) -> SplatImage:
    """Splats of the display frame as HGM's camera at 180 degrees draws them, on white; depth in network units."""
    in_camera = moved(splats, np.linalg.inv(np.asarray(body["world_from_camera"], np.float64)))
    return draw(torch.from_numpy(camera_to_gaussians(in_camera, points.pelvis)), AZIMUTHS[1], size)


def coarse_from_behind(splats: Splats, points: BodyPoints, body: Body, size: int) -> Floats:
    """(size, size, 4) straight alpha: splats of the display frame as HGM's camera at 180 degrees sees them."""
    drawn = drawn_from_behind(splats, points, body, size)
    alpha = drawn.alpha.clamp(0, 1)[..., None]
    # Drawn on white; straight colours are what is left without it.
    rgb = ((drawn.features - (1 - alpha)) / alpha.clamp(min=1e-4)).clamp(0, 1)
    return torch.cat([rgb, alpha], -1).numpy().astype(np.float32)
