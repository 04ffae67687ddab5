"""The image encoder DINOv2 with registers (Oquab et al. 2023; Darcet et al. 2023), with the keys of `transformers`.

Both stages read it: the last block's output before the final norm for the flow networks, four blocks' outputs after
the final norm as maps for the decoders.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.synchuman.attention import attend
from pipelines.synchuman.configuration import TokenConfig

MAP_LAYERS = (4, 11, 17, 23)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention = nn.ModuleDict({name: nn.Linear(width, width) for name in ("query", "key", "value")})
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width)})

    def forward(self, x: Tensor) -> Tensor:
        query, keys, values = (self.attention[name](x) for name in ("query", "key", "value"))
        return self.output["dense"](attend(query, keys, values, self.heads))


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.lambda1 = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.lambda1


class _Block(nn.Module):
    """x += scale Attention(LN x); x += scale MLP(LN x), exact GELU."""

    def __init__(self, config: TokenConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1, self.norm2 = nn.LayerNorm(width, 1e-6), nn.LayerNorm(width, 1e-6)
        self.attention = _Attention(width, config.heads)
        self.layer_scale1, self.layer_scale2 = _Scale(width), _Scale(width)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.layer_scale1(self.attention(self.norm1(x)))
        return x + self.layer_scale2(self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x)))))


class _Embeddings(nn.Module):
    def __init__(self, config: TokenConfig) -> None:
        super().__init__()
        self.config = config
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        self.mask_token = nn.Parameter(torch.zeros(1, config.width))
        self.register_tokens = nn.Parameter(torch.zeros(1, config.registers, config.width))
        self.position_embeddings = nn.Parameter(torch.zeros(1, config.trained_side**2 + 1, config.width))
        conv = nn.Conv2d(3, config.width, config.patch, config.patch)
        self.patch_embeddings = nn.ModuleDict({"projection": conv})

    def positions(self, rows: int, columns: int) -> Tensor:
        """(1, 1 + rows * columns, width): the trained table, resized bicubic to the target size."""
        side = self.config.trained_side
        if (rows, columns) == (side, side):
            return self.position_embeddings
        first, table = self.position_embeddings[:, :1], self.position_embeddings[:, 1:]
        grid = table.unflatten(1, (side, side)).permute(0, 3, 1, 2).float()
        grid = F.interpolate(
            grid, (rows, columns), mode="bicubic", align_corners=False, antialias=self.config.antialias
        )
        return torch.cat([first, grid.flatten(2).transpose(1, 2).to(first.dtype)], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        patches = self.patch_embeddings["projection"](pictures)
        tokens = torch.cat([self.cls_token.expand(len(pictures), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        tokens = tokens + self.positions(*patches.shape[-2:])
        registers = self.register_tokens.expand(len(pictures), -1, -1)
        return torch.cat([tokens[:, :1], registers, tokens[:, 1:]], 1)


class ImageTokens(nn.Module):
    """Pictures -> tokens: class, registers, patches row by row."""

    def __init__(self, config: TokenConfig | None = None) -> None:
        super().__init__()
        self.config = config or TokenConfig()
        self.embeddings = _Embeddings(self.config)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(_Block(self.config) for _ in range(self.config.depth))})
        self.layernorm = nn.LayerNorm(self.config.width, 1e-6)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) normalised, sides multiples of the patch -> (B, 1 + registers + patches, width), before the
        final norm: what the flow networks are conditioned on after a norm without weights."""
        x = self.embeddings(pictures)
        for block in self.encoder["layer"].children():
            x = block(x)
        return x

    def maps(self, pictures: Tensor, layers: Sequence[int] = MAP_LAYERS) -> Tensor:
        """(B, 3, H, W) -> (B, H / patch, W / patch, layers * width): blocks' patch tokens after the final norm."""
        rows, columns = (size // self.config.patch for size in pictures.shape[-2:])
        x, kept = self.embeddings(pictures), []
        for i, block in enumerate(self.encoder["layer"].children()):
            x = block(x)
            if i in layers:
                kept.append(self.layernorm(x)[:, 1 + self.config.registers :])
        return torch.cat(kept, -1).unflatten(1, (rows, columns))
