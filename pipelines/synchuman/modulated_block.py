"""The transformer block of both flow networks: self-attention and MLP modulated by time, cross-attention plain."""

from __future__ import annotations

from torch import Tensor, nn

from pipelines.synchuman.attention import CrossAttention, LayerNorm32, SelfAttention

EPS = 1e-6


class FeedForward(nn.Module):
    """Linear, GELU in its tanh form, linear."""

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        inner = int(width * ratio)
        self.mlp = nn.Sequential(nn.Linear(width, inner), nn.GELU(approximate="tanh"), nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        return self.mlp(x)


class ModulatedCrossBlock(nn.Module):
    """x += gate1 Self(mod1(LN x)); x += Cross(LN x, context); x += gate2 MLP(mod2(LN x)), mod(a) = a (1 + scale) + shift.

    The six vectors come from the time vector in the order shift1, scale1, gate1, shift2, scale2, gate2. With
    `shared_modulation` the block has no linear of its own and is given the six already.
    """

    def __init__(
        self, width: int, context: int, heads: int, ratio: float = 4, *, rms_norm: bool = True, shared: bool = False
    ) -> None:
        super().__init__()
        self.norm1 = LayerNorm32(width, EPS, elementwise_affine=False)
        self.norm2 = LayerNorm32(width, EPS)
        self.norm3 = LayerNorm32(width, EPS, elementwise_affine=False)
        self.self_attn = SelfAttention(width, heads, rms_norm)
        self.cross_attn = CrossAttention(width, context, heads)
        self.mlp = FeedForward(width, ratio)
        self.adaLN_modulation = None if shared else nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x: Tensor, time: Tensor, context: Tensor, is_read: bool = False) -> Tensor:
        """x (B, N, width); time (1 or B, width), or (.., 6 width) if shared; context (B, K, context) -> like x.

        With `is_read`, context is what `cross_attn.read` made of it.
        """
        vectors = time if self.adaLN_modulation is None else self.adaLN_modulation(time)
        shift1, scale1, gate1, shift2, scale2, gate2 = vectors[:, None].chunk(6, -1)
        x = x + gate1 * self.self_attn(self.norm1(x) * (1 + scale1) + shift1)
        x = x + self.cross_attn(self.norm2(x), context, is_read)
        return x + gate2 * self.mlp(self.norm3(x) * (1 + scale2) + shift2)
