"""Sparse grids of the second stage: occupied voxels, and what is done to the features that live on them.

Features are (B, N, C): every batch element has the same voxels (the two guidance halves). Rows keep the order of the
coordinates they came with. Convolutions leave the set of voxels as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.geometry.sparse_conv import SparseGrid, VoxelIndex

CHUNK = 1 << 26  # values gathered at a time


@dataclass(frozen=True)
class Voxels:
    """Distinct occupied voxels of a cube. coords: (N, 3) int64 in 0 .. side - 1, axes x, y, z."""

    coords: Tensor
    side: int

    def __len__(self) -> int:
        return len(self.coords)

    @cached_property
    def neighbours(self) -> Tensor:
        """(27, N): the row at coords + offset, offsets -1 .. 1 with z fastest; N where there is none."""
        grid = SparseGrid(self.coords, (self.side,) * 3)
        index = VoxelIndex(grid)
        if len(index.keys) != len(self):
            raise ValueError(
                f"{len(self)} voxels came with {len(self) - len(index.keys)} repeats; they must be distinct."
            )
        rows = torch.cat([index.rows, index.rows.new_tensor([len(self)])])
        return torch.stack([rows[index.find(self.coords + offset)] for offset in _offsets(self.coords.device)])

    @cached_property
    def halved(self) -> tuple[Voxels, Tensor]:
        """The voxels of a grid half as fine, in lexicographic order, and the row of each fine voxel in it."""
        half = (self.side + 1) // 2
        coarse = self.coords // 2
        keys, rows = torch.unique((coarse[:, 0] * half + coarse[:, 1]) * half + coarse[:, 2], return_inverse=True)
        return Voxels(torch.stack([keys // half**2, keys // half % half, keys % half], 1), half), rows

    @cached_property
    def subdivided(self) -> Voxels:
        """Eight children each at 2 c + (i, j, k); children of a parent stand together, k fastest."""
        children = 2 * self.coords[:, None] + _corners(self.coords.device)
        return Voxels(children.reshape(-1, 3), 2 * self.side)


def _offsets(device: torch.device) -> Tensor:
    axis = torch.arange(-1, 2, device=device)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(27, 3)


def _corners(device: torch.device) -> Tensor:
    axis = torch.arange(2, device=device)
    return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(8, 3)


class SubmanifoldConv(nn.Module):
    """3 x 3 x 3 convolution on the occupied voxels: out[p] = bias + sum of W[:, d + 1] in[p + d], occupied p + d only."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, 3, 3, 3, channels))
        self.bias = nn.Parameter(torch.zeros(out))
        nn.init.kaiming_uniform_(self.weight.view(out, -1), a=5**0.5)

    def forward(self, x: Tensor, voxels: Voxels) -> Tensor:
        """(B, N, channels) -> (B, N, out)."""
        taps = self.weight.flatten(1, 3).permute(1, 2, 0)  # (27, in, out)
        return _gather_and_sum(x, voxels.neighbours, taps) + self.bias

    def on_children(self, x: Tensor, voxels: Voxels) -> Tensor:
        """(B, N, channels) -> (B, 8 N, out): what `forward` makes of `subdivide(x)` on `voxels.subdivided`.

        A child sees 2 x 2 x 2 different parents only, so its 27 taps are summed to 8 first: 3.4 times fewer products.
        """
        taps = self.weight.permute(1, 2, 3, 4, 0)  # (3, 3, 3, in, out)
        parts = []
        for corner in _corners(x.device).tolist():
            folded, offsets = taps, []
            for axis, bit in enumerate(corner):
                # The lower child's taps -1 | 0, 1 fall on the parents -1 | 0, the upper child's -1, 0 | 1 on 0 | 1.
                cut = 2 if bit else 1
                halves = (folded.narrow(axis, 0, cut), folded.narrow(axis, cut, 3 - cut))
                folded = torch.cat([half.sum(axis, keepdim=True) for half in halves], axis)
                offsets.append((1, 2) if bit else (0, 1))
            rows = torch.tensor([9 * i + 3 * j + k for i in offsets[0] for j in offsets[1] for k in offsets[2]])
            parts.append(_gather_and_sum(x, voxels.neighbours[rows.to(x.device)], folded.flatten(0, 2)))
        return torch.stack(parts, 2).flatten(1, 2) + self.bias


def _gather_and_sum(x: Tensor, rows: Tensor, taps: Tensor) -> Tensor:
    """Sum over taps t of x[rows[t]] @ taps[t]: x (B, N, in), rows (T, M) with N for nothing, taps (T, in, out)."""
    padded, matrix = F.pad(x, (0, 0, 0, 1)), taps.flatten(0, 1)
    step = max(CHUNK // max(len(taps) * x.shape[0] * x.shape[2], 1), 1)
    parts = [padded[:, part.T].flatten(2) @ matrix for part in rows.split(step, 1)]
    return torch.cat(parts, 1)


class PointwiseConv(nn.Module):
    """1 x 1 x 1 convolution; `reinterpret` reads the weight's memory as (in, out) without a transpose.

    That is what the released decoder was trained through: M[i, o] = flat[i out + o] of the row-major (out, in) weight.
    """

    def __init__(self, channels: int, out: int, reinterpret: bool = True) -> None:
        super().__init__()
        self.reinterpret = reinterpret
        self.weight = nn.Parameter(torch.empty(out, 1, 1, 1, channels))
        self.bias = nn.Parameter(torch.zeros(out))
        nn.init.kaiming_uniform_(self.weight.view(out, -1), a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, channels) -> (B, N, out)."""
        out, channels = self.weight.shape[0], self.weight.shape[-1]
        matrix = self.weight.reshape(channels, out) if self.reinterpret else self.weight.reshape(out, channels).T
        return x @ matrix + self.bias


class Holder(nn.Module):
    """A convolution under the key `conv`, as the released files have it."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor, *more: Voxels) -> Tensor:
        """What the convolution makes of it."""
        return self.conv(x, *more)


def pool(x: Tensor, rows: Tensor, count: int, includes_zero: bool = True) -> Tensor:
    """(B, N, C) fine features -> (B, count, C): the sum over a coarse voxel's members by their number.

    rows: (N,) coarse row of each. includes_zero: the released program divides by the number plus one.
    """
    summed = x.new_zeros(x.shape[0], count, x.shape[2]).index_add(1, rows, x)
    members = torch.bincount(rows, minlength=count).to(x.dtype)
    return summed / (members + (1 if includes_zero else 0))[None, :, None]


def spread(x: Tensor, rows: Tensor) -> Tensor:
    """(B, M, C) coarse features -> (B, N, C): every fine voxel takes its coarse one's."""
    return x[:, rows]


def subdivide(x: Tensor) -> Tensor:
    """(B, N, C) -> (B, 8 N, C): children copy their parent, in the order of `Voxels.subdivided`."""
    return x.repeat_interleave(8, 1)


class VoxelGroupNorm(nn.GroupNorm):
    """Group norm over all voxels of a batch element, in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        made = F.group_norm(
            x.transpose(1, 2).float(), self.num_groups, self.weight.float(), self.bias.float(), self.eps
        )
        return made.transpose(1, 2).to(x.dtype)
