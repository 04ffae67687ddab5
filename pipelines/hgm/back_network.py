"""The compact refiner of the back view: HGM's U-Net over the crop, in the place of the diffusion network.

It looks at what the layer network looked at, at that network's answer, and at eight numbers that say which of the
possible backs is meant: zero is the likeliest one, any others drawn from a normal distribution are further ones. It was
taught so that of several drawn ones the nearest to the truth comes nearer (implicit maximum likelihood, Li and Malik
2018): a back that a photo cannot tell is several sharp pictures, not the mean of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.hgm.compact_weights import with_weights
from pipelines.hgm.configuration import SOUND, UNetShape
from pipelines.hgm.layer_input import CHANNELS, place_of
from pipelines.hgm.unet import UNet

CHOICES = 8  # numbers that say which back is meant
SEEN = sum(count for _, count in CHANNELS) + 2 + 3  # channels of the layers, moves, coarse back
FOLD = 2  # pixels along an edge that become channels of one: four times fewer places to compute at
FINE = 1 / 64  # of the crop's height: standard deviation below which structure counts as fine
SHAPE = UNetShape(
    down=(48, 64, 96, 128), down_attention=(False, False, False, True),
    up=(128, 96, 64, 48), up_attention=(True, False, False, False), layers=1, groups=16, heads=8,
)  # fmt: skip


@dataclass(frozen=True)
class BackAnswer:
    """photo (B, 1, H, W) -1..1: how far the coarse back goes to the photo's own pixel; gate (B, 1, H, W) -1..1: how far
    that goes to own (B, 3, H, W), a colour 0..1 without detail; detail (B, 1, H, W) -1..1: how much of the photo's fine
    structure (`fine_structure`) is laid over that. Any of them may be brought to a finer grid first."""

    photo: Tensor
    gate: Tensor
    own: Tensor
    detail: Tensor

    def painted(self, front: Tensor, fine: Tensor, coarse: Tensor) -> Tensor:
        """(B, 3, H, W) the back, 0..1, of the photo's colours, their fine structure and the coarse back's colours."""
        shown = coarse + self.photo * (front - coarse)
        return (shown + self.gate * (self.own - shown) + self.detail * fine).clamp(0, 1)

    def times(self, strength: float) -> BackAnswer:
        """Part of the change, or more than it; 0 leaves the coarse back."""
        return BackAnswer(strength * self.photo, strength * self.gate, self.own, strength * self.detail)


class BackNetwork(nn.Module):
    """Channels of `layer_input` (B, 32, H, W), the layer network's moves (B, 2, H, W) and coarse back (B, 3, H, W) 0..1,
    choice (B, 8) -> `BackAnswer`. New weights answer zero."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet(2, SEEN * FOLD**2 + CHOICES, SHAPE.up[-1], SHAPE, SOUND)
        self.conv = nn.Conv2d(SHAPE.up[-1], 6 * FOLD**2, 1)
        nn.init.zeros_(self.conv.weight)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, channels: Tensor, moves: Tensor, coarse: Tensor, choice: Tensor) -> BackAnswer:
        """One picture per person."""
        x = F.pixel_unshuffle(torch.cat([channels, moves, 2 * coarse - 1], 1), FOLD)
        said = choice[:, :, None, None].expand(-1, -1, *x.shape[2:])
        raw = F.pixel_shuffle(self.conv(self.unet(torch.cat([x, said.to(x)], 1), views=1)[0]), FOLD).float()
        photo, gate, detail = (raw[:, k : k + 1].tanh() for k in (0, 1, 5))
        return BackAnswer(photo, gate, 0.5 + 0.5 * raw[:, 2:5].tanh(), detail)


def front_of(channels: Tensor) -> Tensor:
    """(B, 3, H, W) the photo's colours on white, 0..1."""
    return (channels[:, place_of("rgb")].float() + 1) / 2


def fine_structure(front: Tensor, alpha: Tensor) -> Tensor:
    """(B, 3, H, W) what the photo's colours have beyond their mean around each pixel: folds and weave, no print's size.

    front (B, 3, H, W) 0..1; alpha (B, 1, H, W): the mean is taken among what is opaque, and there is none outside. The
    mean's width goes with the picture's height: FINE, on every grid over the crop.
    """
    inside = (alpha > 0.5).float()
    bell = fine_kernel(front.shape[2])
    reach = len(bell) // 2
    kernel = bell.expand(4, 1, 1, -1)
    mean = torch.cat([front * inside, inside], 1)
    mean = F.conv2d(mean, kernel, padding=(0, reach), groups=4)
    mean = F.conv2d(mean, kernel.transpose(2, 3), padding=(reach, 0), groups=4)
    return (front - mean[:, :3] / mean[:, 3:].clamp(min=1e-3)) * inside


def fine_kernel(height: int) -> Tensor:
    """(2 n + 1,) weights of the mean that `fine_structure` takes along either axis of a picture so high."""
    sigma = FINE * height
    reach = max(round(3 * sigma), 1)
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float32) / sigma).square())
    return bell / bell.sum()


def load_back_network(path: Path) -> BackNetwork:
    """The network of a safetensors file, ready to answer; UserError when the file is not of this network."""
    return with_weights(BackNetwork(), path, "the compact back refiner", "training.hgm.train_back")
