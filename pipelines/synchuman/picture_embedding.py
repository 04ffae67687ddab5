"""The CLIP picture encoder that labels the ten items (Radford et al. 2021), with the keys of `transformers`."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pipelines.synchuman.attention import attend
from pipelines.synchuman.configuration import EmbeddingConfig

MEAN = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
STD = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads))


class _Layer(nn.Module):
    """x += Attention(LN x); x += MLP(LN x), exact GELU."""

    def __init__(self, config: EmbeddingConfig) -> None:
        super().__init__()
        width = config.width
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.self_attn = _Attention(width, config.heads)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, config.inner), "fc2": nn.Linear(config.inner, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.layer_norm2(x))))


class _Embeddings(nn.Module):
    def __init__(self, config: EmbeddingConfig) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(config.width))
        self.patch_embedding = nn.Conv2d(3, config.width, config.patch, config.patch, bias=False)
        self.position_embedding = nn.Embedding((config.side // config.patch) ** 2 + 1, config.width)

    def forward(self, pictures: Tensor) -> Tensor:
        patches = self.patch_embedding(pictures).flatten(2).transpose(1, 2)
        first = self.class_embedding.expand(len(pictures), 1, -1)
        return torch.cat([first, patches], 1) + self.position_embedding.weight


class _Vision(nn.Module):
    def __init__(self, config: EmbeddingConfig) -> None:
        super().__init__()
        self.embeddings = _Embeddings(config)
        self.pre_layrnorm = nn.LayerNorm(config.width)
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(_Layer(config) for _ in range(config.depth))})
        self.post_layernorm = nn.LayerNorm(config.width)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.pre_layrnorm(self.embeddings(pictures))
        for layer in self.encoder["layers"].children():
            x = layer(x)
        return self.post_layernorm(x[:, 0])


class PictureEmbedding(nn.Module):
    """Pictures -> one vector each."""

    def __init__(self, config: EmbeddingConfig | None = None) -> None:
        super().__init__()
        self.config = config or EmbeddingConfig()
        self.vision_model = _Vision(self.config)
        self.visual_projection = nn.Linear(self.config.width, self.config.projection, bias=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, side, side) normalised -> (B, projection), as it is, neither normalised nor noised."""
        return self.visual_projection(self.vision_model(pictures))


def prepare(picture: NDArray[np.uint8], side: int = 224) -> NDArray[np.float32]:
    """(H, W, 3) uint8 -> (3, side, side): shorter side to `side` bicubic, centre crop, normalised."""
    image = Image.fromarray(picture)
    scale = side / min(image.size)
    size = tuple(side if edge == min(image.size) else int(scale * edge) for edge in image.size)
    image = image.resize(size, Image.Resampling.BICUBIC)  # type: ignore[arg-type]
    left, top = (image.width - side) // 2, (image.height - side) // 2
    values = np.asarray(image.crop((left, top, left + side, top + side))).astype(np.float32) / 255
    return ((values - MEAN) / STD).astype(np.float32).transpose(2, 0, 1)
