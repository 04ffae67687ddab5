"""The body that both decoders share: window attention over voxels, with what the views show added in every block."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipelines.synchuman.attention import LayerNorm32, SelfAttention
from pipelines.synchuman.configuration import SlatDecoderConfig, ViewMode
from pipelines.synchuman.embeddings import position_code
from pipelines.synchuman.modulated_block import EPS, FeedForward
from pipelines.synchuman.voxels import Voxels
from pipelines.synchuman.window_attention import attend_in_windows, windows

VIEWS_OF_MODE: dict[str, tuple[int, ...]] = {"4_view": (0, 1, 2, 3), "front&back": (0, 2), "front": (0,), "no": ()}
Watch = Callable[[str, Tensor], None]


def lift(maps: Tensor, coords: Tensor, mode: ViewMode = "4_view") -> Tensor:
    """What each voxel sees: the nearest cell of every view's map, views side by side.

    maps: (4, M, M, C), front, right, back, left, the last two mirrored. coords: (N, 3). Row M - 1 - z in all views;
    column x in front and back, y in right and left. No visibility, no interpolation. -> (N, views * C).
    """
    if mode not in VIEWS_OF_MODE:
        raise ValueError(f"View mode {mode!r} is not implemented; known are {', '.join(VIEWS_OF_MODE)}.")
    side = maps.shape[1]
    if len(coords) and int(coords.max()) >= side:
        raise ValueError(f"Voxels up to {int(coords.max())} do not fit feature maps of {side} cells.")
    x, y, row = coords[:, 0], coords[:, 1], side - 1 - coords[:, 2]
    seen = [maps[view, row, (x, y)[view % 2]] for view in VIEWS_OF_MODE[mode]]
    return torch.cat(seen, -1) if seen else maps.new_zeros(len(coords), 0)


class SlatBlock(nn.Module):
    """x += window attention(LN x); x += MLP([LN x, normals, colours]); x += MLP(LN x). Norms have no weights."""

    def __init__(self, width: int, heads: int, ratio: float, lifted: int) -> None:
        super().__init__()
        self.norm = LayerNorm32(width, EPS, elementwise_affine=False)
        self.attn = SelfAttention(width, heads)
        self.mlp = FeedForward(width, ratio)
        inner = int(width * ratio)
        self.mv_condition = (
            nn.Sequential(nn.Linear(width + lifted, inner), nn.GELU(approximate="tanh"), nn.Linear(inner, width))
            if lifted
            else None
        )

    def forward(self, x: Tensor, groups: list[Tensor], normal: Tensor | None, colour: Tensor | None) -> Tensor:
        """x (B, N, width); groups: the windows; normal, colour (B, N, lifted / 2) -> like x."""
        x = x + attend_in_windows(self.attn, self.norm(x), groups)
        if self.mv_condition is not None:
            assert normal is not None and colour is not None
            x = x + self.mv_condition(torch.cat([self.norm(x), normal, colour], -1))
        return x + self.mlp(self.norm(x))


class SlatTransformer(nn.Module):
    """Structured latents (1, N, 8) and two sets of view maps -> features (1, N, width)."""

    def __init__(self, config: SlatDecoderConfig) -> None:
        super().__init__()
        if config.mode not in VIEWS_OF_MODE:
            raise ValueError(f"View mode {config.mode!r} is not implemented; known are {', '.join(VIEWS_OF_MODE)}.")
        self.config = config
        views = len(VIEWS_OF_MODE[config.mode])
        self.input_layer = nn.Linear(config.channels, config.width)
        self.blocks = nn.ModuleList(
            SlatBlock(config.width, config.heads, config.ratio, 2 * views * config.features)
            for _ in range(config.depth)
        )
        self.input_layer_color = nn.Linear(config.layers * config.features, config.features) if views else None
        self.input_layer_normal = nn.Linear(config.layers * config.features, config.features) if views else None

    def body(
        self, latents: Tensor, voxels: Voxels, colour: Tensor, normal: Tensor, watch: Watch | None = None
    ) -> Tensor:
        """latents (1, N, 8) in their own scale; colour, normal: maps (4, M, M, layers * features) -> (1, N, width)."""
        see = watch or (lambda name, value: None)
        torso = next(self.blocks.parameters()).dtype
        h = self.input_layer(latents.to(self.input_layer.weight))
        see("input_layer", h)
        h = (h + position_code(voxels.coords, h.shape[-1])).to(torso)
        seen: list[Tensor | None] = [None, None]
        if self.input_layer_color is not None and self.input_layer_normal is not None:
            pairs = ((self.input_layer_normal, normal), (self.input_layer_color, colour))
            # Projecting whole maps beats projecting voxels as soon as there are more than 4096 of them.
            seen = [
                lift(layer(maps.to(layer.weight)), voxels.coords, self.config.mode)[None].to(torso)
                for layer, maps in pairs
            ]
        half = self.config.window // 2
        groups = [windows(voxels.coords, self.config.window, shift) for shift in (0, half)]
        for i, block in enumerate(self.blocks):
            h = block(h, groups[i % 2], *seen)
            see(f"blocks.{i}", h)
        return h
