"""The decoder of the latent grid: which of 64^3 voxels are filled."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.synchuman.attention import LayerNorm32
from pipelines.synchuman.configuration import OccupancyConfig
from pipelines.synchuman.embeddings import unpatchify


def _conv(channels: int, out: int) -> nn.Conv3d:
    return nn.Conv3d(channels, out, 3, padding=1)


class ChannelNorm(LayerNorm32):
    """Layer norm over the channels of a volume, eps 1e-5, in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ResidualBlock(nn.Module):
    """norm, SiLU, conv, norm, SiLU, conv, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
        self.conv1, self.conv2 = _conv(channels, channels), _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, D, H, W) -> the same shape."""
        hidden = self.conv1(F.silu(self.norm1(x)))
        return self.conv2(F.silu(self.norm2(hidden))) + x


class Upsample(nn.Module):
    """A convolution to eight times the channels, then the 3D pixel shuffle."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = _conv(channels, 8 * out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, n, n, n) -> (B, out, 2n, 2n, 2n)."""
        return unpatchify(self.conv(x), 2)


class OccupancyDecoder(nn.Module):
    """Latent grid -> logits on a grid 2^(levels - 1) times as fine."""

    def __init__(self, config: OccupancyConfig) -> None:
        super().__init__()
        widths = config.channels
        self.input_layer = _conv(config.latent_channels, widths[0])
        self.middle_block = nn.Sequential(*(ResidualBlock(widths[0]) for _ in range(config.middle_blocks)))
        self.blocks = nn.ModuleList()
        for level, width in enumerate(widths):
            self.blocks.extend(ResidualBlock(width) for _ in range(config.blocks))
            if level + 1 < len(widths):
                self.blocks.append(Upsample(width, widths[level + 1]))
        self.out_layer = nn.Sequential(ChannelNorm(widths[-1]), nn.SiLU(), _conv(widths[-1], 1))

    def forward(self, grid: Tensor) -> Tensor:
        """(B, 8, V, V, V) -> (B, 1, 4V, 4V, 4V) logits."""
        x = self.middle_block(self.input_layer(grid))
        for block in self.blocks:
            x = block(x)
        return self.out_layer(x)


def occupied(logits: Tensor) -> Tensor:
    """(B, 1, N, N, N) logits -> (M, 4) int32 rows (batch, x, y, z) with logit > 0, in lexicographic order."""
    return torch.argwhere(logits > 0)[:, (0, 2, 3, 4)].int()
