"""Plain twins of `sparse_conv`: a dense convolution for unique voxels, and row-by-row loops for repeated ones."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from pipelines.geometry.sparse_conv import SparseGrid


def densify(features: Tensor, grid: SparseGrid) -> Tensor:
    """(N, C) on unique voxels -> (1, C, D, H, W), zero elsewhere."""
    dense = features.new_zeros(features.shape[1], *grid.shape)
    d, h, w = grid.coords.T
    dense[:, d, h, w] = features.T
    return dense[None]


def dense_submanifold(features: Tensor, grid: SparseGrid, weight: Tensor) -> Tensor:
    """`sparse_conv.submanifold` by `conv3d`, for unique voxels."""
    full = F.conv3d(densify(features, grid), weight.permute(0, 4, 1, 2, 3), padding=1)[0]
    d, h, w = grid.coords.T
    return full[:, d, h, w].T


def dense_strided(features: Tensor, grid: SparseGrid, weight: Tensor) -> tuple[Tensor, Tensor]:
    """`sparse_conv.strided` by `conv3d`, for unique voxels: values and (M, 3) coordinates, sorted by voxel number."""
    kernel = weight.permute(0, 4, 1, 2, 3)
    full = F.conv3d(densify(features, grid), kernel, stride=2, padding=1)[0]
    ones = densify(features.new_ones(len(features), 1), grid)
    active = F.conv3d(ones, torch.ones_like(kernel[:1, :1]), stride=2, padding=1)[0, 0] > 0
    coords = torch.nonzero(active)
    d, h, w = coords.T
    return full[:, d, h, w].T, coords


def loop_submanifold(features: Tensor, grid: SparseGrid, weight: Tensor) -> Tensor:
    """`sparse_conv.submanifold` row by row with a dictionary; repeated voxels allowed."""
    lowest: dict[tuple[int, ...], int] = {}
    rows = [tuple(c) for c in grid.coords.tolist()]
    for row, place in enumerate(rows):
        lowest.setdefault(place, row)
    out = features.new_zeros(len(rows), weight.shape[0])
    for row, (d, h, w) in enumerate(rows):
        for a, b, c in itertools.product(range(3), repeat=3):
            source = row if (a, b, c) == (1, 1, 1) else lowest.get((d + a - 1, h + b - 1, w + c - 1))
            if source is not None:
                out[row] += weight[:, a, b, c] @ features[source]
    return out


def loop_strided(features: Tensor, grid: SparseGrid, weight: Tensor) -> tuple[Tensor, Tensor]:
    """`sparse_conv.strided` row by row; repeated voxels allowed. Values and (M, 3) coordinates, sorted."""
    limits = tuple((s - 1) // 2 + 1 for s in grid.shape)
    sites: dict[tuple[int, ...], Tensor] = {}
    for row, place in enumerate(grid.coords.tolist()):
        for offset in itertools.product(range(3), repeat=3):
            doubled = [p + 1 - k for p, k in zip(place, offset, strict=True)]
            site = tuple(x // 2 for x in doubled)
            if any(x % 2 or x < 0 for x in doubled) or any(s >= n for s, n in zip(site, limits, strict=True)):
                continue
            value = weight[:, offset[0], offset[1], offset[2]] @ features[row]
            sites[site] = sites.get(site, torch.zeros_like(value)) + value
    coords = sorted(sites)
    return torch.stack([sites[c] for c in coords]), torch.tensor(coords)


def dense_sample(features: Tensor, grid: SparseGrid, places: Tensor) -> Tensor:
    """`sparse_conv.sample_sparse` by `grid_sample` on the dense volume."""
    sampled = F.grid_sample(
        densify(features, grid), places[None, None, None], mode="bilinear", padding_mode="border", align_corners=True
    )
    return sampled[0, :, 0, 0].T
