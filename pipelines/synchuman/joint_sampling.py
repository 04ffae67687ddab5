"""Rectified flow of the joint network: explicit Euler from noise (t = 1) to data (t = 0), pictures and grid together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.synchuman.conditioning import Conditions, both_halves
from pipelines.synchuman.joint_network import JointNetwork

VAE_SCALE = 0.18215


@dataclass(frozen=True)
class JointState:
    """After `step` steps, at time t: latents (10, 4, S, S), grid (1, 8, V, V, V), and the estimates of their ends.

    velocities: the guided ones of the step that led here. differences: with the photo less without it, of the last
    step that was evaluated both ways; None before there was one. Each of pictures and grid.
    """

    step: int
    time: float
    latents: Tensor
    grid: Tensor
    latents_end: Tensor
    grid_end: Tensor
    velocities: tuple[Tensor, Tensor]
    differences: tuple[Tensor, Tensor] | None = None


def times(steps: int, rescale: float = 3.0) -> NDArray[np.float64]:
    """(steps + 1,) from 1 to 0: t = r u / (1 + (r - 1) u) of evenly spaced u; r > 1 spends more steps near noise."""
    if steps < 1:
        raise ValueError(f"Sampling needs at least one step, got {steps}.")
    u = np.linspace(1.0, 0.0, steps + 1)
    return rescale * u / (1 + (rescale - 1) * u)


def guide(unconditional: Tensor, conditional: Tensor, scale: float) -> Tensor:
    """unconditional + scale (conditional - unconditional), in the tensors' type."""
    return unconditional + scale * (conditional - unconditional)


def euler(state: Tensor, velocity: Tensor, time: float, following: float) -> Tensor:
    """x - (t - t') v; a float16 velocity on a float32 state is multiplied in float16 and added in float32."""
    return state - float(time - following) * velocity


def network_times(time: float, rounded: bool) -> tuple[Tensor, Tensor]:
    """1000 t for pictures (float64) and grid (rounded to float16 if so released), each (1,)."""
    scaled = torch.tensor([1000.0 * time], dtype=torch.float64)
    return scaled, scaled.half().float() if rounded else scaled


def draw_noise(network: JointNetwork, seed: int) -> tuple[Tensor, Tensor]:
    """Start of both branches, drawn on the CPU in float32: the same on every machine.

    The grid is the generator's first draw, which equals the released program's; its pictures hang on a CUDA generator.
    """
    generator, config = torch.Generator().manual_seed(seed), network.config
    grid = torch.randn(1, config.grid_channels, *3 * (config.grid,), generator=generator)
    pictures = torch.randn(10, config.latent_channels, config.side, config.side, generator=generator)
    return pictures, grid


@torch.inference_mode()
def sample_joint(
    network: JointNetwork,
    conditions: Conditions,
    noise: tuple[Tensor, Tensor],
    *,
    steps: int = 50,
    guidance: float = 3.0,
    halves_apart: bool = False,
    guided_above: float = 0.0,
    reuse: bool = False,
    start: JointState | None = None,
) -> Iterator[JointState]:
    """Every state after the first: take the last; stop asking to cancel; give one back as `start` to resume.

    noise: pictures (10, 4, S, S) and grid (1, 8, V, V, V). halves_apart: evaluate the guidance halves one after the
    other; half the memory, the same numbers but for rounding. guided_above: times up to this one are not guided, which
    saves half of their work and is not the released procedure. reuse: every other guided step takes what guidance adds
    from the step before it instead of evaluating without the photo; not the released procedure either. The state stays
    where the noise is and in its type, whatever the network's: float32 on the CPU is right for a float16 network on a
    card.
    """
    schedule = times(steps)
    latents, grid = noise if start is None else (start.latents, start.grid)
    rounded = network.config.quirks.round_time_3d
    differences = None if start is None else start.differences
    for i in range(0 if start is None else start.step, steps):
        at, following = float(schedule[i]), float(schedule[i + 1])
        moments = network_times(at, rounded)
        if at <= guided_above:
            v2d, v3d = (v.to(latents) for v in conditional_velocities(network, conditions, latents, grid, moments))
        elif reuse and i % 2 and differences is not None:
            plain = conditional_velocities(network, conditions, latents, grid, moments)
            v2d, v3d = (v.to(latents) + (guidance - 1) * d for v, d in zip(plain, differences, strict=True))
        else:
            raw = guided_velocities(network, conditions, latents, grid, moments, halves_apart)
            pairs = [(uncond.to(latents), cond.to(latents)) for uncond, cond in raw]
            v2d, v3d = (guide(uncond, cond, guidance) for uncond, cond in pairs)
            if reuse:
                differences = pairs[0][1] - pairs[0][0], pairs[1][1] - pairs[1][0]
        ends = euler(latents, v2d, at, 0.0), euler(grid, v3d, at, 0.0)
        latents, grid = euler(latents, v2d, at, following), euler(grid, v3d, at, following)
        yield JointState(i + 1, following, latents, grid, *ends, (v2d, v3d), differences)


def conditional_velocities(
    network: JointNetwork, conditions: Conditions, latents: Tensor, grid: Tensor, moments: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """One evaluation with the photo, without guidance -> pictures (10, 4, S, S) and grid (1, 8, V, V, V)."""
    c = conditions
    return network(torch.cat([latents, c.image_latents], 1), grid, *moments, c.text, c.labels, c.context)


def guided_velocities(
    network: JointNetwork,
    conditions: Conditions,
    latents: Tensor,
    grid: Tensor,
    moments: tuple[Tensor, Tensor],
    halves_apart: bool = False,
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """One guided evaluation -> (unconditional, conditional) of pictures (10, 4, S, S) and of grids (1, 8, V, V, V)."""
    c, nothing = conditions, torch.zeros_like
    if halves_apart:
        halves = [
            network(torch.cat([latents, image], 1), grid, *moments, c.text, labels, context)
            for image, labels, context in (
                (nothing(c.image_latents), nothing(c.labels), nothing(c.context)),
                (c.image_latents, c.labels, c.context),
            )
        ]
        return (halves[0][0], halves[1][0]), (halves[0][1], halves[1][1])
    pictures = torch.cat([both_halves(latents, latents), both_halves(c.image_latents)], 1)
    context = torch.cat([nothing(c.context), c.context])
    text, labels = both_halves(c.text, c.text), both_halves(c.labels)
    v2d, v3d = network(pictures, grid.expand(2, *grid.shape[1:]), *moments, text, labels, context)
    uncond, cond = v2d.unflatten(0, (2, 2, -1)).unbind(1)
    return (uncond.flatten(0, 1), cond.flatten(0, 1)), (v3d[:1], v3d[1:])
