"""What the layer network is told: where the surfaces are, how they bend, and what colour the back has."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.hgm.layer_input import place_of
from pipelines.hgm.layer_network import USUAL, LayerAnswer

SLOPE_LIMIT = 0.04  # crop heights between neighbours: a step between limbs may lie a pixel beside the true one
WINDOW = 7  # pixels in which a texture is looked for
HEAD = 3.0  # weight of depth and the back's colour where the body has its head, where eyes look first


@dataclass(frozen=True)
class Weights:
    """Of the terms of `direct_losses`, and of `side_views.side_losses`."""

    depth: float = 10.0
    thickness: float = 5.0
    slope: float = 10.0
    colour: float = 1.0
    texture: float = 1.0
    calm: float = 0.02
    spread: float = 0.3
    outline: float = 10.0
    look: float = 10.0


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


def is_head(channels: Tensor) -> Tensor:
    """(B, H, W) bool: the back's body part lies above the shoulders in the rest pose, whose y points down."""
    return channels[:, place_of("back_place")][:, 1] < -0.7


def is_foot(channels: Tensor) -> Tensor:
    """(B, H, W) bool: the back's body part is a foot. A ray leaves a foot through its dark sole, which says nothing of
    the shoe that is seen from behind."""
    return channels[:, place_of("back_place")][:, 1] > 0.85


def true_back(channels: Tensor, truth: Truth) -> Tensor:
    """(B, 3, H, W) 0..1 what the back's colours should be: the true ones, and the given ones on feet."""
    shown = (channels[:, place_of("back_rgb")].float() + 1) / 2
    return torch.where(is_foot(channels)[:, None], shown, truth.back_rgb)


def direct_losses(channels: Tensor, answer: LayerAnswer, truth: Truth, weights: Weights) -> dict[str, Tensor]:
    """Each term, already weighted; their sum is the loss. Means over the known pixels of the batch."""
    known = truth.known.float()
    depth = predicted_depth(channels, answer)
    signed = depth - truth.depth
    error, thickness = signed.abs(), (signed[:, 1] - signed[:, 0]).abs()
    back = answer.back_rgb(channels)
    wanted = true_back(channels, truth)
    colour = (back - wanted).abs().mean(1)
    head = (1 + (HEAD - 1) * is_head(channels).float()) * known
    busy = (unrest(back, known) - unrest(wanted, known)).abs().mean(1)
    return {
        "depth": weights.depth * masked_mean(error, head[:, None].expand_as(error)),
        # How far a person is from the camera a photo hardly says, how thick they are it does.
        "thickness": weights.thickness * masked_mean(thickness, head),
        "slope": weights.slope * slope_error(depth, truth.depth, known),
        "colour": weights.colour * masked_mean(colour, head),
        "texture": weights.texture * masked_mean(busy, known),
        "spread": weights.spread
        * masked_mean(surprise(error.detach(), answer.spread), known[:, None].expand_as(error)),
        "calm": weights.calm * (answer.moves.square().mean() + answer.tint.square().mean()),
    }


def surprise(error: Tensor, spread: Tensor) -> Tensor:
    """Minus the logarithm of an absolute error's likelihood under Laplace's law with mean `spread`, up to a constant."""
    return error / spread + (spread / USUAL).log()


def unrest(colours: Tensor, known: Tensor) -> Tensor:
    """(B, C, H, W) standard deviation of the colours in the WINDOW around each pixel, among the known (B, H, W).

    Stripes that lie a little beside the true ones are a texture all the same; the mean of all of them is none.
    """
    weight = known[:, None]
    count = F.avg_pool2d(weight, WINDOW, 1, WINDOW // 2).clamp(min=1e-3)
    mean = F.avg_pool2d(colours * weight, WINDOW, 1, WINDOW // 2) / count
    square = F.avg_pool2d(colours.square() * weight, WINDOW, 1, WINDOW // 2) / count
    return (square - mean.square()).clamp(min=1e-6).sqrt()


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
