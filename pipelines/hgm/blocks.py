"""Blocks of the U-Nets: residual, attention, down, middle, up; over pictures (dims 2) or sequences (dims 1).

Every sum of two branches is multiplied by sqrt(1/2). GroupNorm has eps 1e-5. Names of sub-modules are the keys of
the released weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.hgm.configuration import Quirks, UNetShape

HALF = math.sqrt(0.5)


def convolution(dims: int, channels: int, out: int, kernel: int, stride: int = 1) -> nn.Module:
    """A convolution with bias that keeps the size (stride 1) or halves it, rounding up (stride 2)."""
    make = nn.Conv1d if dims == 1 else nn.Conv2d
    return make(channels, out, kernel, stride=stride, padding=kernel // 2)


class ResidualBlock(nn.Module):
    """norm, SiLU, conv, norm, SiLU, conv, plus the input (through a 1x1 convolution when the width changes)."""

    def __init__(self, dims: int, channels: int, out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels)
        self.conv1 = convolution(dims, channels, out, 3)
        self.norm2 = nn.GroupNorm(groups, out)
        self.conv2 = convolution(dims, out, out, 3)
        self.shortcut = nn.Identity() if channels == out else convolution(dims, channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, ...) -> (B, out, ...)."""
        hidden = self.conv1(F.silu(self.norm1(x)))
        hidden = self.conv2(F.silu(self.norm2(hidden)))
        return (hidden + self.shortcut(x)) * HALF


class SelfAttention(nn.Module):
    """Multi-head attention over (B, N, C); qkv without bias, split as [3, heads, C / heads]."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C); the N x N matrix is never stored."""
        batch, count, channels = tokens.shape
        split = self.qkv(tokens).reshape(batch, count, 3, self.heads, channels // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, channels))


class AttentionBlock(nn.Module):
    """GroupNorm, self-attention over all views of a sample (pictures) or over the sequence, plus the input."""

    def __init__(self, dims: int, channels: int, groups: int, heads: int, reinterpret: bool) -> None:
        super().__init__()
        self.reinterpret = reinterpret and dims == 1
        self.norm = nn.GroupNorm(groups, channels)
        self.attn = SelfAttention(channels, heads)

    def forward(self, x: Tensor, views: int = 1) -> Tensor:
        """(B views, C, ...) -> the same; the tokens of a sample are ordered view, row, column."""
        rows, channels, *size = x.shape
        normed = self.norm(x)
        if self.reinterpret:
            # No transpose: the flat memory of [C, N] is read as [N, C], as the released weights were trained.
            mixed = self.attn(normed.reshape(rows, -1, channels)).reshape(x.shape)
        else:
            tokens = normed.flatten(2).transpose(1, 2).reshape(rows // views, -1, channels)
            mixed = self.attn(tokens).reshape(rows, -1, channels).transpose(1, 2).reshape(rows, channels, *size)
        return (mixed + x) * HALF


class _Stack(nn.Module):
    """`nets` and, where wanted, one attention block behind each of them."""

    def __init__(
        self, dims: int, widths: Sequence[tuple[int, int]], attention: int, shape: UNetShape, quirks: Quirks
    ) -> None:
        super().__init__()
        self.nets = nn.ModuleList(ResidualBlock(dims, a, b, shape.groups) for a, b in widths)
        self.attns = nn.ModuleList(
            AttentionBlock(dims, b, shape.groups, shape.heads, quirks.reinterpret_sequence)
            for _, b in list(widths)[:attention]
        )

    def block(self, i: int, x: Tensor, views: int) -> Tensor:
        x = self.nets[i](x)
        return self.attns[i](x, views) if i < len(self.attns) else x


class DownBlock(_Stack):
    """Residual blocks, each followed by attention if wanted, then a convolution of stride 2 unless it is the last."""

    def __init__(
        self, dims: int, channels: int, out: int, attention: bool, shape: UNetShape, quirks: Quirks, shrink: bool
    ) -> None:
        widths = [(channels if i == 0 else out, out) for i in range(shape.layers)]
        super().__init__(dims, widths, shape.layers if attention else 0, shape, quirks)
        self.downsample = convolution(dims, out, out, 3, stride=2) if shrink else None

    def forward(self, x: Tensor, views: int = 1) -> tuple[Tensor, list[Tensor]]:
        """(B, channels, ...) -> the result and the skips in the order in which they are pushed."""
        skips = []
        for i in range(len(self.nets)):
            x = self.block(i, x, views)
            skips.append(x)
        if self.downsample is not None:
            x = self.downsample(x)
            skips.append(x)
        return x, skips


class MidBlock(_Stack):
    """Two residual blocks with attention between them."""

    def __init__(self, dims: int, channels: int, shape: UNetShape, quirks: Quirks) -> None:
        super().__init__(dims, [(channels, channels)] * 2, int(shape.mid_attention), shape, quirks)

    def forward(self, x: Tensor, views: int = 1) -> Tensor:
        """(B, channels, ...) -> the same shape."""
        return self.block(1, self.block(0, x, views), views)


class UpBlock(_Stack):
    """Residual blocks that each take one skip, then nearest up-sampling and a convolution unless it is the last."""

    def __init__(
        self, dims: int, channels: int, skips: Sequence[int], out: int, attention: bool, shape: UNetShape,
        quirks: Quirks, grow: bool,
    ) -> None:  # fmt: skip
        widths = [((channels if i == 0 else out) + skip, out) for i, skip in enumerate(skips)]
        super().__init__(dims, widths, len(skips) if attention else 0, shape, quirks)
        self.upsample = convolution(dims, out, out, 3) if grow else None
        self.single = quirks.single_precision_nearest

    def forward(self, x: Tensor, skips: list[Tensor], size: Sequence[int] | None, views: int = 1) -> Tensor:
        """x (B, channels, ...); skips are popped from the end; size: what the up-sampling goes to."""
        for i in range(len(self.nets)):
            x = self.block(i, torch.cat([x, skips.pop()], 1), views)
        if self.upsample is None:
            return x
        if size is None:
            raise ValueError("An up block that grows needs the size to grow to.")
        for axis, length in enumerate(size, start=2):
            index = nearest_index(x.shape[axis], length, self.single)
            x = x.index_select(axis, torch.from_numpy(index).to(x.device))
        return self.upsample(x)


def nearest_index(count: int, length: int, single_precision: bool = True) -> np.ndarray:
    """(length,) int64 source of each entry when `count` entries are up-sampled to `length` by nearest neighbour.

    single_precision: the framework's own rule, min(floor(float32(i) * float32(n / L)), n - 1), which differs from
    i // 2 at a few places of long odd lengths; otherwise floor(i n / L) exactly.
    """
    place = np.arange(length)
    if single_precision:
        source = (place.astype(np.float32) * (np.float32(count) / np.float32(length))).astype(np.int64)
    else:
        source = place * count // length
    return np.minimum(source, count - 1)
