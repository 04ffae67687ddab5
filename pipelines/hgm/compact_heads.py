"""The small networks that the compact preset has in place of the 1-D U-Nets; their last layer starts at zero."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WINDOW = 64


def zero_linear(channels: int, out: int) -> nn.Linear:
    """A linear layer whose output starts at exactly zero."""
    layer = nn.Linear(channels, out)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class VertexHead(nn.Module):
    """Per vertex, (M, channels) -> (M, 14) residuals of its Gaussian."""

    def __init__(self, channels: int, width: int = 128) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.out = zero_linear(width, 14)

    def forward(self, x: Tensor) -> Tensor:
        """(M, channels) -> (M, 14)."""
        return self.out(self.body(x))


class WindowMixer(nn.Module):
    """Per Gaussian, with attention among windows of 64 neighbours in their order: (N, channels) -> (N, 14) residuals."""

    def __init__(self, channels: int, width: int = 96, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.conv_in = nn.Linear(channels, width)
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.body = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        self.out = zero_linear(width, 14)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels) -> (N, 14); the last window is filled with rows that nobody attends to."""
        x = self.conv_in(x)
        count, width = x.shape
        windows = -(-count // WINDOW)
        padded = F.pad(self.norm(x), (0, 0, 0, windows * WINDOW - count))
        split = self.qkv(padded).reshape(windows, WINDOW, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        real = (torch.arange(windows * WINDOW, device=x.device) < count).reshape(windows, 1, 1, WINDOW)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=real.expand(-1, -1, WINDOW, -1))
        x = x + self.proj(mixed.transpose(1, 2).reshape(windows * WINDOW, width)[:count])
        return self.out(x + self.body(x))
