"""The spatial transformer of the 2D branch: domains meet, then rows of the four body views, then the prompt.

Items come as (domain, half, view) with two domains (normals, colours), one or two guidance halves, five views
(front, right, back, left, face). Back and left are stored mirrored, so rows and columns of the body views correspond.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.models.attention import FeedForward
from torch import Tensor, nn

from pipelines.synchuman.attention import Attention

DOMAINS = 2
VIEWS = 5
BODY_VIEWS = 4
FACE = 4


def by_item(x: Tensor) -> Tensor:
    """(10 or 20, ...) -> (domain 2, half, view 5, ...)."""
    return x.unflatten(0, (DOMAINS, -1, VIEWS))


class CrossDomainAttention(Attention):
    """Self-attention over the joined tokens of an item's normal and colour picture, then the face blended in."""

    def __init__(self, width: int, heads: int, face_blend: float = 0.5, face_share: int = 3) -> None:
        super().__init__(width, heads, width // heads)
        self.face_blend, self.face_share = face_blend, face_share

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(items, h h, width), square maps only -> the same shape."""
        pairs = torch.cat(x.unflatten(0, (DOMAINS, -1)).unbind(0), 1)
        out = torch.cat(super().forward(pairs).chunk(DOMAINS, 1), 0)
        return blend_face(out, self.face_blend, self.face_share) if self.face_blend else out


def blend_face(tokens: Tensor, blend: float, share: int) -> Tensor:
    """Mix the reduced face view into its box of the front view: the middle 1/share of the top 1/share.

    tokens: (items, h h, C). The reduction is bilinear without a low-pass, at a third the centre of each 3 x 3.
    Raises ValueError when the box does not fall on whole cells.
    """
    side = int(tokens.shape[1] ** 0.5)
    small = side // share
    left = (side - small) // 2
    if small * share != side or 2 * left + small != side:
        raise ValueError(
            f"A map of {side} x {side} has no face box of 1/{share}: the side must be divisible by {share}."
        )
    maps = by_item(tokens).unflatten(3, (side, side)).clone()
    faces = maps[:, :, FACE].flatten(0, 1).permute(0, 3, 1, 2)
    face = F.interpolate(faces, (small, small), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    box = maps[:, :, 0, :small, left : left + small]
    box.copy_((1 - blend) * box + blend * face.unflatten(0, maps.shape[:2]))
    return maps.flatten(0, 2).flatten(1, 2)


class RowAttention(Attention):
    """Self-attention among the tokens of one row in the four body views."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads, width // heads)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(sets * 4, h h, width) -> the same shape; a set is one domain and one half."""
        side = int(x.shape[1] ** 0.5)
        maps = x.reshape(-1, BODY_VIEWS, side, side, x.shape[-1])
        rows = maps.transpose(1, 2).reshape(-1, BODY_VIEWS * side, x.shape[-1])
        out = super().forward(rows).reshape(-1, side, BODY_VIEWS, side, x.shape[-1])
        return out.transpose(1, 2).reshape(x.shape)


class MultiviewBlock(nn.Module):
    """Cross-domain attention, row-wise attention of the body views, the prompt, a gated feed-forward."""

    def __init__(self, width: int, heads: int, text: int, face_blend: float = 0.5, face_share: int = 3) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = CrossDomainAttention(width, heads, face_blend, face_share)
        self.norm_mv = nn.LayerNorm(width)
        self.attn_mv = RowAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = Attention(width, heads, width // heads, text)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width, activation_fn="geglu")

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """x (items, h h, width), text (items, T, text) -> like x."""
        x = x + self.attn1(self.norm1(x))
        items = by_item(x)
        body = items[:, :, :BODY_VIEWS]
        flat = body.flatten(0, 2)
        body = body + self.attn_mv(self.norm_mv(flat)).reshape(body.shape)
        x = torch.cat([body, items[:, :, BODY_VIEWS:]], 2).flatten(0, 2)
        x = x + self.attn2(self.norm2(x), text)
        return x + self.ff(self.norm3(x))


class MultiviewTransformer(nn.Module):
    """Group norm, linear, one block, linear, plus the input."""

    def __init__(
        self, width: int, heads: int, text: int, groups: int = 32, face_blend: float = 0.5, face_share: int = 3
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, 1e-6)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([MultiviewBlock(width, heads, text, face_blend, face_share)])
        self.proj_out = nn.Linear(width, width)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """(items, width, h, h), (items, T, text) -> (items, width, h, h)."""
        tokens = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))
        for block in self.transformer_blocks:
            tokens = block(tokens, text)
        return self.proj_out(tokens).transpose(1, 2).reshape(x.shape) + x
