"""Attention among the voxels of one window of the grid, and along a space-filling curve."""

from __future__ import annotations

import torch
from torch import Tensor

from pipelines.synchuman.attention import SelfAttention, attend

BATCH = 64  # windows at a time


def windows(coords: Tensor, window: int, shift: int) -> list[Tensor]:
    """Rows that share a window, (n,) each: window index floor((c + shift) / window) on every axis."""
    index = (coords + shift) // window
    _, number = torch.unique(index, dim=0, return_inverse=True)
    order = torch.argsort(number, stable=True)
    return list(torch.split(order, torch.bincount(number).tolist()))


def attend_in_windows(attention: SelfAttention, x: Tensor, groups: list[Tensor]) -> Tensor:
    """x (B, N, C): rows attend within their group only; groups of equal size run together -> (B, N, C)."""
    query, keys, values = attention.project(x)
    mixed = torch.empty_like(query)
    by_size: dict[int, list[Tensor]] = {}
    for rows in groups:
        by_size.setdefault(len(rows), []).append(rows)
    for members in by_size.values():
        for start in range(0, len(members), BATCH):
            rows = torch.stack(members[start : start + BATCH])
            q, k, v = (part[:, rows].flatten(0, 1) for part in (query, keys, values))
            mixed[:, rows] = attend(q, k, v, attention.heads).unflatten(0, (x.shape[0], -1))
    return attention.to_out(mixed)


def morton_code(coords: Tensor, bits: int = 16) -> Tensor:
    """(N, 3) -> (N,) int64: the bits of x, y, z interleaved, x the most significant of each triple."""
    code = torch.zeros(len(coords), dtype=torch.int64, device=coords.device)
    for bit in range(bits):
        for axis in range(3):
            code |= ((coords[:, axis] >> bit) & 1) << (3 * bit + 2 - axis)
    return code


def attend_along_curve(
    attention: SelfAttention, x: Tensor, coords: Tensor, window: int, shift: int = 0, shift_window: int = 0
) -> Tensor:
    """x (B, N, C): voxels sorted by Morton code are cut into ceil(N / window) runs that attend to `window` neighbours.

    Run i owns positions floor(i n + s) .. floor((i + 1) n + s) - 1 with n = N / runs, and reads `window` positions from
    floor((i + 1/2) n + s - window / 2), around the end. One run: all attend to all. Released networks do not use it.
    """
    count = len(coords)
    order = torch.argsort(morton_code(coords + shift_window), stable=True)
    runs = -(-count // window)
    if runs == 1:
        return attention(x)
    query, keys, values = attention.project(x)
    mixed = torch.empty_like(query)
    share = count / runs
    for i in range(runs):
        owned = torch.arange(int(i * share + shift), int((i + 1) * share + shift), device=x.device) % count
        first = int((i + 0.5) * share + shift - window / 2 + count) - count  # floor, also below 0
        read = (first + torch.arange(window, device=x.device)) % count
        mine, theirs = order[owned], order[read]
        mixed[:, mine] = attend(query[:, mine], keys[:, theirs], values[:, theirs], attention.heads)
    return attention.to_out(mixed)
