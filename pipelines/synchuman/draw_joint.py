"""The work of the step `synchuman.joint`: conditions, sampling that can be resumed, the strip of estimates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.step import Context, UserError
from pipelines.synchuman.conditioning import Conditions, class_labels, normalised_tokens
from pipelines.synchuman.frame import normalise, on_white, to_bytes
from pipelines.synchuman.joint_sampling import JointState, draw_noise, sample_joint
from pipelines.synchuman.latent_colours import as_pictures, colour_map
from pipelines.synchuman.lending import Lender, memory_is_short
from pipelines.synchuman.networks import encode_picture
from pipelines.synchuman.picture_embedding import prepare
from pipelines.synchuman.records import Framed, JointSample

if TYPE_CHECKING:
    from pipelines.synchuman.steps.joint import JointParams

ITEMS = [0, 0, 0, 0, 1] * 2  # which of canvas and face each of the ten items is made from
FAST_STEPS = 25
FAST_GUIDED = 0.5
NETWORKS = ("joint_network", "vae", "image_encoder", "dinov2")


def draw_joint(frame: Framed, params: JointParams, preset: str, ctx: Context) -> JointSample:
    """See the step."""
    ctx.progress(0.0, "networks")
    lender = Lender(preset, ctx, memory_is_short(ctx.device, params.memory), NETWORKS)
    steps, guided = params.steps, 0.0
    if params.fast:
        steps, guided = min(steps, FAST_STEPS), FAST_GUIDED
        ctx.warn(
            "Fast mode: fewer steps, guided in part, and guidance used twice. The result is not that of the released program."
        )
    with torch.inference_mode():
        conditions, colours = read_conditions(frame, lender)
        state, strip = _sample(lender, conditions, colours, params, steps, guided)
    facts: dict[str, Any] = {
        **lender.facts, "steps": steps, "guidance": params.guidance, "guided_above": guided, "seed": ctx.seed,
        "fast": params.fast,
    }  # fmt: skip
    stacked = {name: np.stack([part[name] for part in strip]) for name in strip[0]}
    return JointSample(
        state.latents.numpy(), state.grid.numpy(), stacked["step"].astype(np.int32), stacked["time"],
        stacked["latents"], stacked["grid"], stacked["preview"], facts,
    )  # fmt: skip


def read_conditions(frame: Framed, lender: Lender) -> tuple[Conditions, NDArray[np.float32]]:
    """What the joint network is told, on the CPU in float32, and the map from its latents to colours (5, 3)."""
    legacy = lender.config.joint.quirks.legacy_rounding
    pair = [to_bytes(on_white(picture), legacy) for picture in (frame.canvas, frame.face)]
    pictures = torch.from_numpy(np.stack(pair)).permute(0, 3, 1, 2).float() / 255
    latents = _encode(lender, pictures)
    labels = _embed(lender, pair)[ITEMS]
    context = normalised_tokens(image_tokens(lender, frame.tokens))
    conditions = Conditions(lender.prompts(), class_labels(labels), latents[ITEMS], context)
    return conditions, colour_map(latents, pictures)


def _encode(lender: Lender, pictures: Tensor) -> Tensor:
    with lender.network("vae") as vae:
        like = next(vae.parameters())
        # One at a time: the autoencoder's memory grows with what it is given.
        return torch.cat([encode_picture(vae, picture[None].to(like)).float().cpu() for picture in pictures])


def _embed(lender: Lender, pair: list[NDArray[np.uint8]]) -> Tensor:
    with lender.network("image_encoder") as encoder:
        like = next(encoder.parameters())
        given = torch.from_numpy(np.stack([prepare(p, encoder.config.side) for p in pair]))
        made: Tensor = encoder(given.to(like)).float().cpu()
        return made


def image_tokens(lender: Lender, picture: NDArray[np.uint8]) -> Tensor:
    """The encoder's tokens of a token picture, (1, 1 + registers + patches, width), float32 on the CPU."""
    with lender.network("dinov2") as encoder:
        like = next(encoder.parameters())
        made: Tensor = encoder(torch.from_numpy(normalise(picture))[None].to(like)).float().cpu()
        return made


def strip_steps(steps: int, kept: int) -> list[int]:
    """Which steps' estimates are kept: the last, and others evenly before it; ascending, 1 .. steps."""
    return sorted({round(x) for x in np.linspace(steps, 1, min(kept, steps))} | {steps})


def _sample(
    lender: Lender, conditions: Conditions, colours: NDArray[np.float32], params: JointParams, steps: int, guided: float
) -> tuple[JointState, list[dict[str, NDArray]]]:
    """Draw, from the last kept state if there is one; keep every state before the next is begun."""
    ctx, wanted = lender.ctx, strip_steps(steps, params.kept)
    start, strip = _resume(ctx, wanted)
    if start is not None:
        ctx.progress(start.step / (steps + 1), f"going on after step {start.step} of {steps}")
    with lender.network("joint_network") as network:
        noise = draw_noise(network, ctx.seed)
        state = start
        sampled = sample_joint(
            network, conditions, noise, steps=steps, guidance=params.guidance, guided_above=guided,
            reuse=params.fast, halves_apart=lender.short, start=start,
        )  # fmt: skip
        for state in sampled:
            if not (state.latents.isfinite().all() and state.grid.isfinite().all()):
                raise UserError(
                    f"The joint network's numbers are not finite after step {state.step}; its weights are damaged, or this "
                    "device's half precision overflows: try --device cpu."
                )
            picture = as_pictures(state.latents_end, colours)
            if state.step in wanted:
                part = _strip_part(state, picture)
                ctx.keep(f"estimate_{state.step:03d}", part)
                strip.append(part)
            ctx.keep("state", _arrays_of(state))
            shown = picture.astype(np.float32) / 255
            ctx.progress((state.step + 1) / (steps + 2), f"step {state.step} of {steps}, estimate of the end", shown)
    assert state is not None
    return state, strip


def _strip_part(state: JointState, picture: NDArray[np.uint8]) -> dict[str, NDArray]:
    return {
        "step": np.array(state.step), "time": np.array(state.time, np.float64), "preview": picture,
        "latents": _half(state.latents_end), "grid": _half(state.grid_end[0]),
    }  # fmt: skip


def _half(values: Tensor) -> NDArray[np.float16]:
    """float16, held inside its range: what is kept to be looked at must be finite."""
    return values.clamp(-6e4, 6e4).half().numpy()


_TENSORS = ("latents", "grid", "latents_end", "grid_end")
_PARTS = ("pictures", "grid")


def _arrays_of(state: JointState) -> dict[str, Any]:
    arrays: dict[str, Any] = {name: getattr(state, name).numpy() for name in _TENSORS}
    for name, pair in (("velocity", state.velocities), ("difference", state.differences)):
        arrays |= {f"{name}_{part}": value.numpy() for part, value in zip(_PARTS, pair or (), strict=False)}
    return {**arrays, "step": np.array(state.step), "time": np.array(state.time, np.float64)}


def _resume(ctx: Context, wanted: list[int]) -> tuple[JointState | None, list[dict[str, NDArray]]]:
    """The last kept state and the estimates kept before it; nothing when any of it is missing."""
    kept = ctx.kept("state")
    names = {*_TENSORS, *(f"velocity_{part}" for part in _PARTS), "step", "time"}
    reused = {f"difference_{part}" for part in _PARTS}
    if kept is None or set(kept) not in (names, names | reused):
        return None, []
    step = int(kept["step"])
    parts = [ctx.kept(f"estimate_{number:03d}") for number in wanted if number <= step]
    strip = [part for part in parts if part is not None]
    if len(strip) < len(parts):
        return None, []

    def pair(name: str) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(kept[f"{name}_pictures"]), torch.from_numpy(kept[f"{name}_grid"])

    tensors = {name: torch.from_numpy(kept[name]) for name in _TENSORS}
    differences = pair("difference") if reused <= set(kept) else None
    state = JointState(step, float(kept["time"]), velocities=pair("velocity"), differences=differences, **tensors)
    return state, strip
