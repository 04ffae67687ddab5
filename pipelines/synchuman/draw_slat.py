"""The work of the step `synchuman.slat`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.step import Context
from pipelines.synchuman.conditioning import normalised_tokens
from pipelines.synchuman.configuration import SlatSampling
from pipelines.synchuman.draw_joint import image_tokens, strip_steps
from pipelines.synchuman.lending import Lender, memory_is_short
from pipelines.synchuman.records import Framed, SlatSample, VoxelSet
from pipelines.synchuman.slat_sampling import SlatState, denormalise, draw_noise, sample_slat
from pipelines.synchuman.voxel_picture import principal_colours, voxel_picture
from pipelines.synchuman.voxels import Voxels

if TYPE_CHECKING:
    from pipelines.synchuman.steps.slat import SlatParams

FAST_STEPS = 12


@torch.inference_mode()
def draw_slat(frame: Framed, filled: VoxelSet, params: SlatParams, preset: str, ctx: Context) -> SlatSample:
    """See the step."""
    ctx.progress(0.0, "networks")
    lender = Lender(preset, ctx, memory_is_short(ctx.device, params.memory), ("slat_flow_model",))
    steps = min(params.steps, FAST_STEPS) if params.fast else params.steps
    if params.fast:
        ctx.warn("Fast mode: fewer steps. The result is not that of the released program.")
    sampling = replace(
        lender.config.sampling, steps=steps, strength=params.strength, interval=(params.guided_from, params.guided_to)
    )
    context = normalised_tokens(image_tokens(lender, frame.tokens))
    last, strip = _sample(lender, filled, context, sampling, strip_steps(steps, params.kept))
    facts = {
        **lender.facts, "steps": steps, "strength": params.strength, "interval": list(sampling.interval),
        "seed": ctx.seed, "fast": params.fast, "file_says": file_says(lender.config.sampling),
    }  # fmt: skip
    return SlatSample(
        denormalise(last.latents, sampling)[0].numpy(), np.array([int(p["step"]) for p in strip], np.int32),
        np.array([float(p["time"]) for p in strip]), np.stack([p["end"] for p in strip]), facts,
    )  # fmt: skip


def file_says(sampling: SlatSampling) -> dict[str, Any]:
    """What the weights' own file asks for, for comparison with the knobs."""
    return {"steps": sampling.steps, "strength": sampling.strength, "interval": list(sampling.interval)}


def _sample(
    lender: Lender, filled: VoxelSet, context: Tensor, sampling: SlatSampling, wanted: list[int]
) -> tuple[SlatState, list[dict[str, NDArray]]]:
    """Draw, from the last kept state if there is one."""
    ctx, steps = lender.ctx, sampling.steps
    start, strip = _resume(ctx, wanted, len(filled.coords))
    if start is not None:
        ctx.progress(start.step / (steps + 1), f"going on after step {start.step} of {steps}")
    voxels = Voxels(torch.from_numpy(filled.coords).long().to(lender.device), filled.side)
    with lender.network("slat_flow_model") as network:
        noise = draw_noise(voxels, network.config.channels, ctx.seed)
        last = start
        for last in sample_slat(network, voxels, context.to(lender.device), noise, sampling, start):
            estimate = denormalise(last.end, sampling)[0].numpy()
            if last.step in wanted:
                end = np.clip(estimate, -6e4, 6e4).astype(np.float16)
                strip.append({"step": np.array(last.step), "time": np.array(last.time, np.float64), "end": end})
                ctx.keep(f"estimate_{last.step:03d}", strip[-1])
            state = {"step": np.array(last.step), "time": np.array(last.time, np.float64)}
            ctx.keep("state", {**state, "latents": last.latents.numpy(), "end": last.end.numpy()})
            shown = voxel_picture(filled.coords, principal_colours(estimate), filled.side)
            ctx.progress((last.step + 1) / (steps + 2), f"step {last.step} of {steps}, estimate of the end", shown)
    assert last is not None
    return last, strip


def _resume(ctx: Context, wanted: list[int], count: int) -> tuple[SlatState | None, list[dict[str, NDArray]]]:
    """The last kept state and the estimates kept before it; nothing when any of it is missing."""
    kept = ctx.kept("state")
    if kept is None or set(kept) != {"step", "time", "latents", "end"} or kept["latents"].shape[1] != count:
        return None, []
    step = int(kept["step"])
    parts = [ctx.kept(f"estimate_{number:03d}") for number in wanted if number <= step]
    strip = [part for part in parts if part is not None]
    if len(strip) < len(parts):
        return None, []
    latents, end = torch.from_numpy(kept["latents"]), torch.from_numpy(kept["end"])
    return SlatState(step, float(kept["time"]), latents, end), strip
