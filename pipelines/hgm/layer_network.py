"""The compact network that corrects two layers: HGM's U-Net and output convolution, read by the decoder `layers2`.

Its modules carry the names they have in `HgmNetwork`, so that one file serves both.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pipelines.hgm.compact_weights import with_weights
from pipelines.hgm.configuration import COMPACT, HgmConfig
from pipelines.hgm.layer_input import KEEP, REACH, THIN, place_of
from pipelines.hgm.layers2 import LAYER_CHANNELS
from pipelines.hgm.unet import UNet

USUAL = 0.03  # crop heights: the spread of an untrained network


@dataclass(frozen=True)
class LayerAnswer:
    """raw (B, 20, H, W) as in `layers2`; moves (B, 2, H, W): of front and back depth, crop heights, REACH at most;
    photo (B, 1, H, W) -1..1: how far the back's colours go from the given ones to the photo's own pixel, which is as
    sharp as the photo; tint (B, 3, H, W): what is then added to them, 0..1; spread (B, 2, H, W): the mean error that
    the network expects of the depths it leaves, crop heights."""

    raw: Tensor
    moves: Tensor
    photo: Tensor
    tint: Tensor
    spread: Tensor

    def back_rgb(self, channels: Tensor) -> Tensor:
        """(B, 3, H, W) the back's colours, 0..1, of the input `channels` that was answered."""
        shown, front = ((channels[:, place_of(n)].float() + 1) / 2 for n in ("back_rgb", "rgb"))
        return (shown + self.photo * (front - shown) + self.tint).clamp(0, 1)


class LayerNetwork(nn.Module):
    """Channels of `layer_input` (B, 32, H, W) -> `LayerAnswer`. New weights answer zero."""

    def __init__(self, config: HgmConfig = COMPACT) -> None:
        super().__init__()
        self.unet = UNet(2, config.in_channels, config.raw_channels, config.unet, config.quirks)
        self.conv = nn.Conv2d(config.raw_channels, config.raw_channels, 1)
        nn.init.zeros_(self.conv.weight)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, channels: Tensor) -> LayerAnswer:
        """One picture per person; the layers' own colours come back with the tint 0."""
        raw = self.conv(self.unet(channels, views=1)[0]).float()
        return self.read(raw, channels)

    @staticmethod
    def read(raw: Tensor, channels: Tensor) -> LayerAnswer:
        """The raw output (B, 20, H, W) as moves, photo, tint and spread; gate and own colour are those of `layers2`.

        The tilts, which layers have no use for, say the spreads and (the back's second) the share of the photo.
        """
        back = raw[:, LAYER_CHANNELS:]
        moves = kept_apart(REACH * torch.stack([raw[:, 0], back[:, 0]], 1).tanh(), channels)
        spread = USUAL * torch.stack([raw[:, 4], back[:, 4]], 1).clamp(-3, 3).exp()
        shown = (channels[:, place_of("back_rgb")].float() + 1) / 2
        own = 0.5 + 0.5 * back[:, 7:10].tanh()
        return LayerAnswer(raw, moves, back[:, 5:6].tanh(), back[:, 6:7].tanh() * (own - shown), spread)


def kept_apart(moves: Tensor, channels: Tensor) -> Tensor:
    """Moves (B, 2, H, W) with as much between front and back as `layer_input.least_thickness` asks for."""
    front, back = (channels[:, place_of(n)][:, 0].float() for n in ("front", "back"))
    given = back - front
    lack = ((KEEP * given.clamp(min=0)).clamp(max=THIN) - (given + moves[:, 1] - moves[:, 0])).clamp(min=0) / 2
    # Where the given layers cross already, an answer of zero is still zero.
    lack = torch.where(given < 0, torch.zeros_like(lack), lack)
    return moves + torch.stack([-lack, lack], 1)


def load_layer_network(path: Path) -> LayerNetwork:
    """The network of a safetensors file, ready to answer; UserError when the file is not of this network."""
    return with_weights(LayerNetwork(), path, "the compact layer network", "training.hgm.train_layers")
