"""Attention in the two key layouts of the released files, both on torch's fused kernel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, N, heads * w) -> (B, heads, N, w)."""
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def attend(query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """(B, Q, C), (B, K, C), (B, K, C) -> (B, Q, C); softmax of q k / sqrt(head width), never materialised."""
    query, keys, values = (split_heads(x, heads) for x in (query, keys, values))
    mixed = F.scaled_dot_product_attention(query, keys, values)
    return mixed.transpose(-3, -2).flatten(-2)


class LayerNorm32(nn.LayerNorm):
    """Layer norm computed in float32 whatever the stream's type."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C), in x's type."""
        weight = None if self.weight is None else self.weight.float()
        bias = None if self.bias is None else self.bias.float()
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps).to(x.dtype)


class MultiHeadRMSNorm(nn.Module):
    """x / max(|x|, 1e-12) * gamma * sqrt(head width), per head, in float32."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.scale = width**0.5
        self.gamma = nn.Parameter(torch.ones(heads, width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., heads, width) -> the same shape and type."""
        return (F.normalize(x.float(), dim=-1) * self.gamma * self.scale).to(x.dtype)


class Attention(nn.Module):
    """The layout of the 2D branch: to_q, to_k, to_v without bias, to_out.0 with."""

    def __init__(self, width: int, heads: int, head_width: int, context: int | None = None) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_k = nn.Linear(context or width, inner, bias=False)
        self.to_v = nn.Linear(context or width, inner, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(inner, width)])

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, Q, width), keys from (B, K, context) or from x itself -> (B, Q, width)."""
        source = x if context is None else context
        return self.to_out[0](attend(self.to_q(x), self.to_k(source), self.to_v(source), self.heads))


class SelfAttention(nn.Module):
    """The layout of the 3D networks: to_qkv as (3, heads, head width), to_out, both with bias; optional q/k norm."""

    def __init__(self, width: int, heads: int, rms_norm: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(width, 3 * width)
        self.q_rms_norm = MultiHeadRMSNorm(width // heads, heads) if rms_norm else None
        self.k_rms_norm = MultiHeadRMSNorm(width // heads, heads) if rms_norm else None
        self.to_out = nn.Linear(width, width)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N, width) -> query, keys, values, each (B, N, width), query and keys normalised if so configured."""
        query, keys, values = self.to_qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        if self.q_rms_norm is not None and self.k_rms_norm is not None:
            query, keys = self.q_rms_norm(query), self.k_rms_norm(keys)
        return query.flatten(-2), keys.flatten(-2), values.flatten(-2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) -> (B, N, width), every token attending to all of its batch element."""
        return self.to_out(attend(*self.project(x), self.heads))


class CrossAttention(nn.Module):
    """The layout of the 3D networks: to_q, to_kv as (2, heads, head width), to_out, all with bias."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width)
        self.to_kv = nn.Linear(context, 2 * width)
        self.to_out = nn.Linear(width, width)

    def read(self, context: Tensor) -> Tensor:
        """(B, K, context) -> (B, K, 2 width): keys, then values. They depend on nothing else, so one call serves a run."""
        return self.to_kv(context)

    def forward(self, x: Tensor, context: Tensor, is_read: bool = False) -> Tensor:
        """(B, N, width), (B, K, context) or, with `is_read`, what `read` made of it -> (B, N, width)."""
        keys, values = (context if is_read else self.read(context)).chunk(2, -1)
        return self.to_out(attend(self.to_q(x), keys, values, self.heads))
