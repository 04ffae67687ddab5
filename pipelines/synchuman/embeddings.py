"""What tells a transformer the time and the place: sinusoids, their small network, the position code of voxels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FREQUENCIES = 256  # width of the sinusoids of the 3D networks


def time_sinusoid(time: Tensor, width: int) -> Tensor:
    """(B,) times -> (B, width) float32: cosines, then sines, of t * 10000^(-k / half), k = 0 .. half - 1.

    The frequencies are exp(-ln(10000) k / half) in float32: at t = 1000 another formula differs by 1e-4.
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=time.device) / half
    angles = time.float()[:, None] * torch.exp(-math.log(10000.0) * steps)
    return torch.cat([angles.cos(), angles.sin()], -1)


class TimeEmbedder(nn.Module):
    """Sinusoids, linear, SiLU, linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, time: Tensor) -> Tensor:
        """(B,) network times (1000 t) -> (B, width)."""
        return self.mlp(time_sinusoid(time, FREQUENCIES).to(next(self.mlp.parameters()).dtype))


def position_code(coords: Tensor, channels: int) -> Tensor:
    """(N, 3) voxel coordinates -> (N, channels) float32.

    Each axis in turn gives sines, then cosines, of v * 10000^(-k / f), f = floor(floor(channels / 3) / 2); the
    channels that remain are 0. Coordinates enter as they are, neither centred nor scaled.
    """
    count = channels // 3 // 2
    steps = torch.arange(count, dtype=torch.float32, device=coords.device) / count
    angles = coords.reshape(-1, 1).float() / 10000.0**steps
    code = torch.cat([angles.sin(), angles.cos()], -1).reshape(len(coords), 6 * count)
    return nn.functional.pad(code, (0, channels - 6 * count))


def grid_coords(side: int) -> Tensor:
    """(side^3, 3) int64, the first axis slowest: the order of a grid's tokens."""
    axis = torch.arange(side)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def patchify(grid: Tensor, patch: int) -> Tensor:
    """(B, C, D, H, W) -> (B, C patch^3, D/patch, H/patch, W/patch); channel = ((c patch + i) patch + j) patch + k."""
    b, c, d, h, w = grid.shape
    parts = grid.reshape(b, c, d // patch, patch, h // patch, patch, w // patch, patch)
    return parts.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(b, c * patch**3, d // patch, h // patch, w // patch)


def unpatchify(grid: Tensor, patch: int) -> Tensor:
    """The inverse of `patchify`: (B, C patch^3, D, H, W) -> (B, C, patch D, patch H, patch W).

    It is also the pixel shuffle of the occupancy decoder.
    """
    b, c, d, h, w = grid.shape
    parts = grid.reshape(b, c // patch**3, patch, patch, patch, d, h, w)
    return parts.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, c // patch**3, d * patch, h * patch, w * patch)
