"""From points to voxels: the box, the grid shape, the rows, and places inside the volume."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.geometry.sparse_conv import SparseGrid

PAD = 0.05  # network units around the points
MOST = 400  # the released code's last voxel


@dataclass(frozen=True)
class VoxelBox:
    """A box of voxels around points. low, high: (3,) x, y, z in network units; shape: voxels along (d, h, w)."""

    low: Tensor
    high: Tensor
    shape: tuple[int, int, int]
    voxel: float

    def places(self, points: Tensor) -> Tensor:
        """(P, 3) network units -> (P, 3) x, y, z in the volume, -1..1 between the box's corners, not clamped."""
        sizes = torch.tensor(self.shape[::-1], device=points.device)
        return ((points - self.low) / self.low.new_tensor(self.voxel)) / sizes * 2 - 1

    def places_at(self, points: Tensor, level_shape: tuple[int, int, int], scale: int) -> Tensor:
        """Like `places`, without the released shift: voxel i of a level with `scale` has its centre at i * scale."""
        sizes = torch.tensor(level_shape[::-1], device=points.device)
        return (points - self.low) / (self.voxel * scale) / (sizes - 1).clamp(min=1) * 2 - 1


def voxelise(points: Tensor, voxel: float, clamp: bool = True) -> tuple[SparseGrid, VoxelBox]:
    """(N, 3) x, y, z in network units -> one row per point, and the box.

    Row = round half to even of (p - low) / voxel in the order (z, y, x). Shape = the next multiple of 32 strictly
    above the count of voxels. clamp: rows stop at voxel 400, as in the released code; else at the grid's end.
    Arithmetic keeps the precision of `points`.
    """
    low, high = points.amin(0) - PAD, points.amax(0) + PAD
    # In the precision of the points: a count within rounding of a multiple of 32 decides the shape.
    length = torch.tensor(voxel, dtype=points.dtype, device=points.device)
    counts = torch.ceil((high - low).detach() / length).long().tolist()[::-1]
    shape = tuple((count | 31) + 1 for count in counts)
    rows = torch.round((points.detach() - low.detach()) / length).long().flip(-1)
    limits = torch.tensor([min(MOST, s - 1) if clamp else s - 1 for s in shape], device=points.device)
    grid = SparseGrid(torch.minimum(rows.clamp(min=0), limits), (shape[0], shape[1], shape[2]))
    return grid, VoxelBox(low, high, grid.shape, voxel)
