"""What the layer network is told: where the surfaces are, how they bend, and what colour the back has."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.hgm.layer_input import place_of
from pipelines.hgm.layer_network import LayerAnswer

SLOPE_LIMIT = 0.04  # crop heights between neighbours: a step between limbs may lie a pixel beside the true one
HEAD = 3.0  # weight of the back's colour where the body has its head: the worst place of a mirrored photo


@dataclass(frozen=True)
class Weights:
    """Of the terms of `direct_losses`."""

    depth: float = 10.0
    slope: float = 10.0
    colour: float = 1.0
    calm: float = 0.02


@dataclass(frozen=True)
class Truth:
    """depth (B, 2, H, W) crop heights; known (B, H, W): person in the photo and in the cut-out; back_rgb (B, 3, H, W)
    0..1."""

    depth: Tensor
    known: Tensor
    back_rgb: Tensor


def predicted_depth(channels: Tensor, answer: LayerAnswer) -> Tensor:
    """(B, 2, H, W) the layers' depths with the answer on them."""
    return torch.stack([channels[:, place_of(n)][:, 0] for n in ("front", "back")], 1).float() + answer.moves


def head_weight(channels: Tensor) -> Tensor:
    """(B, H, W) HEAD where the back's body part lies above the shoulders in the rest pose, else 1."""
    return 1 + (HEAD - 1) * (channels[:, place_of("back_place")][:, 1] > 0.7).float()


def direct_losses(channels: Tensor, answer: LayerAnswer, truth: Truth, weights: Weights) -> dict[str, Tensor]:
    """Each term, already weighted; their sum is the loss. Means over the known pixels of the batch."""
    known = truth.known.float()
    depth = predicted_depth(channels, answer)
    error = (depth - truth.depth).abs()
    shown = (channels[:, place_of("back_rgb")].float() + 1) / 2
    colour = (shown + answer.tint - truth.back_rgb).abs().mean(1)
    head = head_weight(channels) * known
    return {
        "depth": weights.depth * masked_mean(error, known[:, None].expand_as(error)),
        "slope": weights.slope * slope_error(depth, truth.depth, known),
        "colour": weights.colour * masked_mean(colour, head),
        "calm": weights.calm * (answer.moves.square().mean() + answer.tint.square().mean()),
    }


def slope_error(depth: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Mean difference of neighbours' steps, each step limited to SLOPE_LIMIT."""
    total = depth.new_zeros(())
    for axis in (2, 3):
        both = known.narrow(axis - 1, 1, known.shape[axis - 1] - 1) * known.narrow(
            axis - 1, 0, known.shape[axis - 1] - 1
        )
        steps = [d.diff(dim=axis).clamp(-SLOPE_LIMIT, SLOPE_LIMIT) for d in (depth, truth)]
        total = total + masked_mean((steps[0] - steps[1]).abs(), both[:, None].expand_as(steps[0]))
    return total


def masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean; 0 without any weight."""
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
