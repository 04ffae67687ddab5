"""Drawing the structured latents: Euler steps, guidance inside an interval of times, statistics put back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.synchuman.configuration import SlatSampling
from pipelines.synchuman.joint_sampling import euler, times
from pipelines.synchuman.slat_flow import SlatFlow
from pipelines.synchuman.voxels import Voxels


@dataclass(frozen=True)
class SlatState:
    """After `step` steps, at time t: the latents (1, N, 8) and the estimate of their end, both still normalised."""

    step: int
    time: float
    latents: Tensor
    end: Tensor


def draw_noise(voxels: Voxels, channels: int, seed: int) -> Tensor:
    """(1, N, channels) standard normals from a CPU generator; the released program sets no seed here."""
    return torch.randn(len(voxels), channels, generator=torch.Generator().manual_seed(seed))[None]


@torch.inference_mode()
def sample_slat(
    network: SlatFlow,
    voxels: Voxels,
    context: Tensor,
    noise: Tensor,
    sampling: SlatSampling,
    start: SlatState | None = None,
) -> Iterator[SlatState]:
    """Every state after the first; stop asking to cancel, give one back as `start` to resume.

    context (1, K, context): image tokens; the other guidance half has zeros. noise (1, N, 8). Both halves run as one
    batch where the time lies in the interval, both ends included; outside it the conditional half runs alone. The
    state stays where the noise is and in its type; the voxels must lie where the network is.
    """
    schedule = times(sampling.steps, sampling.rescale)
    low, high = sampling.interval
    x = noise if start is None else start.latents
    both = network.read(torch.cat([context, torch.zeros_like(context)]))
    one = [keys[:1] for keys in both]
    for i in range(0 if start is None else start.step, sampling.steps):
        at, following = float(schedule[i]), float(schedule[i + 1])
        moment = torch.tensor([1000.0 * at], dtype=torch.float32)
        if low <= at <= high:
            conditional, zero = network(x.expand(2, -1, -1), voxels, moment, both).to(x).split(1)
            velocity = (1 + sampling.strength) * conditional - sampling.strength * zero
        else:
            velocity = network(x, voxels, moment, one).to(x)
        end = (1 - sampling.sigma) * x - (sampling.sigma + (1 - sampling.sigma) * at) * velocity
        x = euler(x, velocity, at, following)
        yield SlatState(i + 1, following, x, end)


def denormalise(latents: Tensor, sampling: SlatSampling) -> Tensor:
    """(1, N, 8) as sampled -> the decoders' scale: x std + mean per channel."""
    mean, std = (
        torch.tensor(values, dtype=latents.dtype, device=latents.device) for values in (sampling.mean, sampling.std)
    )
    return latents * std + mean
