"""The volume around the body: token features spread by sparse convolutions, sampled at the Gaussians."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.geometry.sparse_conv import Backend, SparseGrid, sample_sparse, strided, submanifold
from pipelines.hgm.voxelise import VoxelBox


class SparseConv(nn.Module):
    """The weight of one sparse convolution, (out, 3, 3, 3, in), without bias."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, 3, 3, 3, channels))
        nn.init.normal_(self.weight, std=(27 * channels) ** -0.5)


def _stage(width: int, count: int) -> nn.Sequential:
    """`count` times (convolution, norm over the rows, ReLU); numbers of the entries are keys of the weights."""
    layers: list[nn.Module] = []
    for _ in range(count):
        layers += [SparseConv(width, width), nn.BatchNorm1d(width, eps=1e-3, momentum=0.01), nn.ReLU()]
    return nn.Sequential(*layers)


def _pairs(stage: nn.Module) -> list[tuple[SparseConv, nn.Module]]:
    """Convolution and norm of every (convolution, norm, ReLU) of a stage."""
    layers = list(stage.children())
    return [(cast(SparseConv, layers[i]), layers[i + 1]) for i in range(0, len(layers), 3)]


class SparseVolume(nn.Module):
    """Two submanifold convolutions, then for every level a strided one and two submanifold ones."""

    def __init__(self, width: int, levels: int, full_resolution_grid: bool = True) -> None:
        super().__init__()
        self.full_resolution_grid = full_resolution_grid
        counts = [2, *(n for _ in range(levels) for n in (1, 2))]
        self.net = nn.ModuleList(_stage(width, n) for n in counts)
        self.backend: Backend = "auto"

    def forward(self, features: Tensor, grid: SparseGrid) -> list[tuple[Tensor, SparseGrid]]:
        """(N, width) on the rows of a grid -> features and grid of every level, finest (half size) first."""
        x, levels = self._submanifold(self.net[0], features, grid), []
        for down, same in zip(self.net[1::2], self.net[2::2], strict=True):
            ((convolution, norm),) = _pairs(down)
            x, grid = strided(x, grid, convolution.weight, self.backend)
            x = self._submanifold(same, F.relu(norm(x)), grid)
            levels.append((x, grid))
        return levels

    def _submanifold(self, stage: nn.Module, x: Tensor, grid: SparseGrid) -> Tensor:
        for convolution, norm in _pairs(stage):
            x = F.relu(norm(submanifold(x, grid, convolution.weight, self.backend)))
        return x

    def sample(self, levels: list[tuple[Tensor, SparseGrid]], box: VoxelBox, points: Tensor) -> Tensor:
        """Levels sampled at points (P, 3) in network units -> (P, levels x width), finest first."""
        if self.full_resolution_grid:
            places = box.places(points).clamp(-1, 1)
            return torch.cat([sample_sparse(x, grid, places) for x, grid in levels], 1)
        parts = []
        for i, (x, grid) in enumerate(levels, start=1):
            parts.append(sample_sparse(x, grid, box.places_at(points, grid.shape, 2**i)))
        return torch.cat(parts, 1)
