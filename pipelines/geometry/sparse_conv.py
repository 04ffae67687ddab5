"""Sparse 3-D convolution: features on the occupied voxels of a grid, rows not merged.

Semantics (spconv 2.x, and a dense convolution evaluated at the active sites):
- submanifold: the active rows stay; out[p] = sum over 27 offsets o of W[o] f[p + o - 1], active neighbours only;
- strided (kernel 3, stride 2, padding 1): q is active if some active p has p = 2 q + k - 1; out[q] sums them all.
Weights are (out, kd, kh, kw, in); coordinates are (d, h, w).

Several rows may share a voxel. The rule is deterministic: a row's centre tap reads the row itself, other taps read
the row with the lowest number in the neighbouring voxel, and a strided convolution sums every row.

Backends: 'torch' (plain tensors, any device, with gradients) and 'spconv' (CUDA only: the package's CPU build races
between threads and is never used). Both keep the rule above. `sparse_conv_twin` judges them.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

Backend = Literal["auto", "torch", "spconv"]


@dataclass(frozen=True)
class SparseGrid:
    """Occupied voxels. coords: (N, 3) int64 (d, h, w), repeats allowed; shape: voxels per axis (d, h, w)."""

    coords: Tensor
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        if self.coords.ndim != 2 or self.coords.shape[1] != 3 or self.coords.dtype != torch.int64:
            raise ValueError(
                f"A sparse grid came with coordinates {tuple(self.coords.shape)} of {self.coords.dtype}; "
                "it needs (N, 3) of int64."
            )
        if len(self.coords) and not bool(((self.coords >= 0) & (self.coords < self._limits())).all()):
            raise ValueError(f"A sparse grid of shape {self.shape} came with coordinates outside it.")

    def _limits(self) -> Tensor:
        return torch.tensor(self.shape, device=self.coords.device)

    def keys(self) -> Tensor:
        """(N,) the number of each row's voxel, (d H + h) W + w."""
        return voxel_keys(self.coords, self.shape)


def voxel_keys(coords: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """(..., 3) int64 voxels (d, h, w) -> (...) their numbers (d H + h) W + w."""
    return (coords[..., 0] * shape[1] + coords[..., 1]) * shape[2] + coords[..., 2]


class VoxelIndex:
    """Look-up of rows by voxel: sorted unique keys and, for each, its lowest row."""

    def __init__(self, grid: SparseGrid) -> None:
        keys = grid.keys()
        ordered, order = torch.sort(keys, stable=True)
        first = torch.ones_like(ordered, dtype=torch.bool)
        first[1:] = ordered[1:] != ordered[:-1]
        self.shape = grid.shape
        self.keys = ordered[first]
        self.rows = order[first]
        self.voxel_of_row = torch.searchsorted(self.keys, keys)

    def find(self, coords: Tensor) -> Tensor:
        """(..., 3) voxels, also outside the grid -> (...) number of the unique voxel, or -1 where it is empty."""
        limits = torch.tensor(self.shape, device=coords.device)
        inside = ((coords >= 0) & (coords < limits)).all(-1)
        wanted = voxel_keys(coords, self.shape)
        place = torch.searchsorted(self.keys, wanted).clamp(max=max(len(self.keys) - 1, 0))
        if len(self.keys) == 0:
            return torch.full_like(wanted, -1)
        return torch.where(inside & (self.keys[place] == wanted), place, -1)


def duplicate_share(grid: SparseGrid) -> float:
    """Share of rows that do not have a voxel for themselves first: 0 when all voxels are unique."""
    count = len(grid.coords)
    return 0.0 if count == 0 else 1.0 - len(torch.unique(grid.keys())) / count


def submanifold(features: Tensor, grid: SparseGrid, weight: Tensor, backend: Backend = "auto") -> Tensor:
    """(N, in) features on the rows of a grid -> (N, out) on the same rows."""
    _check(features, grid, weight)
    index = VoxelIndex(grid)
    first = features[index.rows]
    if choose_backend(backend, features) == "spconv":
        voxels = _spconv(first, _unique_coords(grid, index), grid.shape, weight, strided=False)[0]
        own = features - first[index.voxel_of_row]
        return voxels[index.voxel_of_row] + own @ weight[:, 1, 1, 1].T
    offsets = _offsets(features.device) - 1
    neighbours = index.find(grid.coords[:, None] + offsets)
    gathered = _gather(first, neighbours)
    # The centre tap is the row itself, also where another row of the voxel has the lower number.
    gathered = torch.cat([gathered[:, :13], features[:, None], gathered[:, 14:]], 1)
    return gathered.flatten(1) @ _as_matrix(weight)


def strided(features: Tensor, grid: SparseGrid, weight: Tensor, backend: Backend = "auto") -> tuple[Tensor, SparseGrid]:
    """(N, in) features -> (M, out) on the active sites of the halved grid, sorted by voxel number, and that grid."""
    _check(features, grid, weight)
    index = VoxelIndex(grid)
    summed = features.new_zeros(len(index.keys), features.shape[1]).index_add(0, index.voxel_of_row, features)
    halved = halve(grid)
    if choose_backend(backend, features) == "spconv":
        values, coords = _spconv(summed, _unique_coords(grid, index), grid.shape, weight, strided=True)
        order = torch.argsort(voxel_keys(coords, halved.shape))
        return values[order], SparseGrid(coords[order], halved.shape)
    sources = index.find(2 * halved.coords[:, None] + _offsets(features.device) - 1)
    return _gather(summed, sources).flatten(1) @ _as_matrix(weight), halved


def halve(grid: SparseGrid) -> SparseGrid:
    """The sites that a strided convolution makes active, sorted by voxel number; shape floor((s - 1) / 2) + 1."""
    d, h, w = ((s - 1) // 2 + 1 for s in grid.shape)
    limits = torch.tensor((d, h, w), device=grid.coords.device)
    doubled = grid.coords[:, None] + 1 - _offsets(grid.coords.device)
    fits = ((doubled % 2 == 0) & (doubled >= 0) & (doubled // 2 < limits)).all(-1)
    keys = torch.unique(voxel_keys(doubled[fits] // 2, (d, h, w)))
    coords = torch.stack([keys // (h * w), keys // w % h, keys % w], 1)
    return SparseGrid(coords, (d, h, w))


def sample_sparse(features: Tensor, grid: SparseGrid, places: Tensor) -> Tensor:
    """Trilinear samples of the dense volume that has `features` at the voxels and zero elsewhere.

    features (N, C) on unique voxels; places (P, 3) in -1..1 as (x, y, z) = (w, h, d), corners aligned, values
    outside read the border. Returns (P, C).
    """
    sizes = torch.tensor(grid.shape, device=places.device)
    spot = (places.clamp(-1, 1).flip(-1) + 1) / 2 * (sizes - 1)
    low = spot.floor().to(torch.int64).clamp(min=0)
    low = torch.minimum(low, sizes - 1)
    part = spot - low
    index = VoxelIndex(grid)
    ordered = features[index.rows]
    out = features.new_zeros(len(places), features.shape[1])
    for corner in _offsets(places.device, 2):
        weight = torch.where(corner == 1, part, 1 - part).prod(-1)
        out = out + weight[:, None] * _gather(ordered, index.find(torch.minimum(low + corner, sizes - 1)))
    return out


def choose_backend(backend: Backend, features: Tensor) -> Literal["torch", "spconv"]:
    """'auto' -> spconv for single or half precision on a card where it is installed, else torch; ValueError if absent."""
    if backend == "spconv":
        missing = why_no_spconv(features.device)
        if missing:
            raise ValueError(missing)
        return "spconv"
    if (
        backend == "auto"
        and features.is_cuda
        and features.dtype != torch.float64
        and not why_no_spconv(features.device)
    ):
        return "spconv"
    return "torch"


def why_no_spconv(device: torch.device) -> str | None:
    """None when the spconv backend can run on this device, else a sentence that says what is missing."""
    if device.type != "cuda":
        return "Backend 'spconv' came with tensors on the CPU, where it is not reliable; use backend 'torch'."
    if importlib.util.find_spec("spconv") is None:
        return (
            "Backend 'spconv' needs the package spconv (2.x, for your CUDA version); install it or use backend 'torch'."
        )
    return None


def _spconv(
    features: Tensor, coords: Tensor, shape: tuple[int, int, int], weight: Tensor, strided: bool
) -> tuple[Tensor, Tensor]:
    """One convolution by spconv on unique voxels: values and int64 coordinates, in its own row order."""
    import spconv.pytorch as spconv

    out, into = weight.shape[0], weight.shape[-1]
    layer: Any
    if strided:
        layer = spconv.SparseConv3d(into, out, 3, stride=2, padding=1, bias=False)
    else:
        layer = spconv.SubMConv3d(into, out, 3, bias=False)
    indices = torch.cat([coords.new_zeros(len(coords), 1), coords], 1).int()
    rows = spconv.SparseConvTensor(features.contiguous(), indices, list(shape), 1)
    # The caller's own tensor takes the place of the layer's, so that gradients reach it.
    made = torch.func.functional_call(layer.to(features), {"weight": weight.to(features)}, (rows,))
    return made.features, made.indices[:, 1:].long()


def _unique_coords(grid: SparseGrid, index: VoxelIndex) -> Tensor:
    return grid.coords[index.rows]


def _gather(rows: Tensor, index: Tensor) -> Tensor:
    """rows (N, C) at index (...); zero where it is -1."""
    padded = torch.cat([rows, rows.new_zeros(1, rows.shape[1])])
    return padded[torch.where(index < 0, len(rows), index)]


def _as_matrix(weight: Tensor) -> Tensor:
    """(out, 3, 3, 3, in) -> (27 in, out)."""
    return weight.flatten(1).T


@lru_cache(maxsize=8)
def _offsets(device: torch.device, size: int = 3) -> Tensor:
    """(size^3, 3) int64 kernel places (d, h, w), w fastest."""
    axis = torch.arange(size, device=device)
    return torch.cartesian_prod(axis, axis, axis)


def _check(features: Tensor, grid: SparseGrid, weight: Tensor) -> None:
    if weight.ndim != 5 or weight.shape[1:4] != (3, 3, 3):
        raise ValueError(f"A sparse convolution came with weight {tuple(weight.shape)}; it needs (out, 3, 3, 3, in).")
    if features.shape != (len(grid.coords), weight.shape[-1]):
        raise ValueError(
            f"A sparse convolution came with features {tuple(features.shape)}; "
            f"the grid and the weight need ({len(grid.coords)}, {weight.shape[-1]})."
        )
