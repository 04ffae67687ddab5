"""Attention of body tokens to what the pictures show."""

from __future__ import annotations

from torch import Tensor, nn


class TokenAttention(nn.Module):
    """Multi-head attention without bias, residual or norm: query = token, keys and values = picture features.

    The released file carries a `layer_norm` that nothing calls; it is kept so that every key has its place.
    """

    def __init__(self, width: int, keys: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.w_qs = nn.Linear(width, width, bias=False)
        self.w_ks = nn.Linear(keys, width, bias=False)
        self.w_vs = nn.Linear(keys, width, bias=False)
        self.fc = nn.Linear(width, width, bias=False)
        self.layer_norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, query: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """query (B, Q, width), keys (B, K, key width) -> (B, Q, width) and the weights (B, heads, Q, K)."""
        q, k, v = (self._split(layer(x)) for layer, x in ((self.w_qs, query), (self.w_ks, keys), (self.w_vs, keys)))
        weights = (q / q.shape[-1] ** 0.5 @ k.transpose(-1, -2)).softmax(-1)
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        return self.fc(mixed), weights

    def _split(self, x: Tensor) -> Tensor:
        """(B, N, width) -> (B, heads, N, width / heads)."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)
