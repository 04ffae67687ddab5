"""The coupling of the two branches: voxels read the normal maps, pixels read columns of voxels.

Both are attention along axis-aligned indices: the picture's full width and height are the cube's, row 0 is the top
(largest z); front and back look along y, right and left along x. No positions are encoded and no camera enters.
"""

from __future__ import annotations

import torch
from diffusers.models.attention import FeedForward
from torch import Tensor, nn

from pipelines.synchuman.attention import Attention, LayerNorm32, attend
from pipelines.synchuman.multiview_transformer import BODY_VIEWS, DOMAINS, VIEWS, by_item

EPS = 1e-6


class Resample(nn.Module):
    """Group norm, 3-wide convolution, exact GELU, adaptive average pooling to another side; in 2D or 3D."""

    def __init__(self, channels: int, side: int, dimensions: int, groups: int = 32) -> None:
        super().__init__()
        conv = nn.Conv2d if dimensions == 2 else nn.Conv3d
        pool = nn.AdaptiveAvgPool2d(side) if dimensions == 2 else nn.AdaptiveAvgPool3d(side)
        norm = nn.GroupNorm(groups, channels, 1e-5)
        self.conv = nn.Sequential(norm, conv(channels, channels, 3, padding=1), nn.GELU(), pool)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, n, n[, n]) -> (B, channels, side, side[, side])."""
        return self.conv(x)


def per_pixel(layer: nn.Linear, maps: Tensor) -> Tensor:
    """A linear layer on the channels of (B, C, h, w)."""
    return layer(maps.movedim(1, -1)).movedim(-1, 1)


def voxel_reads(maps: Tensor) -> Tensor:
    """What each voxel sees in the four body views.

    maps: (halves, 4, C, V, V). Returns (halves, V^3, 4, C): the views 0, 2, 1, 3 at row V - 1 - z and column x, x, y, y.
    """
    side = maps.shape[-1]
    planes = maps.flip(-2).permute(0, 4, 3, 1, 2)  # (halves, column, z, view, C)
    along_y = planes[:, :, None, :, (0, 2)].expand(-1, -1, side, -1, -1, -1)
    along_x = planes[:, None, :, :, (1, 3)].expand(-1, side, -1, -1, -1, -1)
    return torch.cat([along_y, along_x], -2).flatten(1, 3)


def column_reads(volume: Tensor) -> tuple[Tensor, Tensor]:
    """What each pixel sees of a volume: the column of voxels behind it.

    volume: (halves, C, M, M, M) in axes x, y, z. Returns front/back and right/left, each (halves, M M, M, C): pixel
    (row, column) reads x = column, all y (or y = column, all x) at z = M - 1 - row.
    """
    rows = volume.flip(-1).permute(0, 4, 2, 3, 1)  # (halves, row, x, y, C)
    return rows.flatten(1, 2), rows.transpose(2, 3).flatten(1, 2)


def _attend_to_few(query: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Every query its own keys: (B, N, C), (B, N, K, C), (B, N, K, C) -> (B, N, C)."""
    flat = attend(query.flatten(0, 1)[:, None], keys.flatten(0, 1), values.flatten(0, 1), heads)
    return flat[:, 0].unflatten(0, query.shape[:2])


class PicturesToVoxels(nn.Module):
    """Voxel tokens attend to the four body normal maps; colours and the face never reach them.

    Keys and values are projected on the maps and spread afterwards: the same numbers, V / 4 times fewer products.
    """

    def __init__(self, maps: int, width: int, heads: int, head_width: int, side: int) -> None:
        super().__init__()
        self.normStructure1 = LayerNorm32(width, EPS)
        self.normStructure2 = LayerNorm32(width, EPS)
        self.imagedownsample = Resample(maps, side, 2)
        self.input_layer_mv = nn.Linear(maps, maps)
        self.input_layer_stucture = nn.Linear(width, width)
        self.output_layer_stucture = nn.Linear(width, width)
        self.ffn_stucture = FeedForward(width, activation_fn="geglu")
        self.cross_attn_MV_to_Structure = Attention(width, heads, head_width, maps)

    def pooled(self, pictures: Tensor) -> Tensor:
        """(items, maps, u, u) -> (halves, 4, maps, V, V): the normal maps of the body views, resampled to the grid."""
        normal = by_item(pictures)[0, :, :BODY_VIEWS]
        return self.imagedownsample(per_pixel(self.input_layer_mv, normal.flatten(0, 1))).unflatten(0, normal.shape[:2])

    def forward(self, pictures: Tensor, tokens: Tensor) -> Tensor:
        """pictures (items, maps, u, u), tokens (halves, V^3, width) -> the new tokens."""
        attention = self.cross_attn_MV_to_Structure
        pooled = self.pooled(pictures).movedim(2, -1)
        keys, values = (voxel_reads(layer(pooled).movedim(-1, 2)) for layer in (attention.to_k, attention.to_v))
        y = self.input_layer_stucture(tokens)
        query = attention.to_q(self.normStructure1(y))
        y = y + attention.to_out[0](_attend_to_few(query, keys, values, attention.heads))
        y = y + self.ffn_stucture(self.normStructure2(y))
        return tokens + self.output_layer_stucture(y)


class VoxelsToPictures(nn.Module):
    """Pixels of the body views attend to the column of voxels behind them, each domain with weights of its own.

    Opposite views read the same column in the same order: only their own features tell front from back.
    """

    def __init__(self, maps: int, width: int, heads: int, head_width: int, side: int) -> None:
        super().__init__()
        self.norm = LayerNorm32(maps, EPS, elementwise_affine=False)
        self.voxeldownsample = Resample(width, side, 3)
        self.input_layer_mv = nn.Linear(maps, maps)
        self.input_layer_stucture = nn.Linear(width, width)
        self.output_layer_no = nn.Linear(maps, maps)
        self.output_layer_clr = nn.Linear(maps, maps)
        self.ffn_no = FeedForward(maps, activation_fn="geglu")
        self.ffn_clr = FeedForward(maps, activation_fn="geglu")
        self.cross_attn_Structure_to_color = Attention(maps, heads, head_width, width)
        self.cross_attn_Structure_to_normal = Attention(maps, heads, head_width, width)

    def pooled(self, tokens: Tensor) -> Tensor:
        """(halves, V^3, width) -> (halves, width, M, M, M)."""
        side = round(tokens.shape[1] ** (1 / 3))
        grid = self.input_layer_stucture(tokens).transpose(1, 2).unflatten(2, (side, side, side))
        return self.voxeldownsample(grid)

    def forward(self, pictures: Tensor, tokens: Tensor) -> Tensor:
        """pictures (items, maps, l, l), tokens (halves, V^3, width) -> the new pictures; the face view unchanged."""
        items = by_item(pictures)
        body = self.input_layer_mv(items[:, :, :BODY_VIEWS].movedim(3, -1)).flatten(3, 4)
        volume = self.pooled(tokens).movedim(1, -1)
        normal = self._read(body[0], volume, self.cross_attn_Structure_to_normal, self.ffn_no, self.output_layer_no)
        colour = self._read(body[1], volume, self.cross_attn_Structure_to_color, self.ffn_clr, self.output_layer_clr)
        change = torch.stack([normal, colour]).transpose(-1, -2).unflatten(-1, items.shape[-2:])
        change = torch.cat([change, change.new_zeros(items[:, :, BODY_VIEWS:].shape)], 2)
        return pictures + change.reshape(DOMAINS * len(tokens) * VIEWS, *pictures.shape[1:])

    def _read(self, body: Tensor, volume: Tensor, attention: Attention, feed: FeedForward, output: nn.Linear) -> Tensor:
        """One domain: body (halves, 4, pixels, maps), volume (halves, M, M, M, width) -> like body."""
        keys, values = (column_reads(layer(volume).movedim(-1, 1)) for layer in (attention.to_k, attention.to_v))
        query = attention.to_q(self.norm(body))
        views = [_attend_to_few(query[:, v], keys[v % 2], values[v % 2], attention.heads) for v in range(BODY_VIEWS)]
        body = body + attention.to_out[0](torch.stack(views, 1))
        return output(body + feed(self.norm(body)))
