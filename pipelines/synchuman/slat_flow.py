"""The flow transformer of the structured latents: convolutions at full resolution, a transformer at half of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.synchuman.attention import LayerNorm32
from pipelines.synchuman.configuration import SlatFlowConfig
from pipelines.synchuman.embeddings import TimeEmbedder, position_code
from pipelines.synchuman.modulated_block import EPS, ModulatedCrossBlock
from pipelines.synchuman.voxels import Holder, SubmanifoldConv, Voxels, pool, spread

Watch = Callable[[str, Tensor], None]


class SparseResidualBlock(nn.Module):
    """Change of resolution first, then norm, SiLU, conv, norm modulated by time, SiLU, conv, plus the input."""

    def __init__(self, channels: int, out: int, time: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm32(channels, EPS)
        self.norm2 = LayerNorm32(out, EPS, elementwise_affine=False)
        self.conv1, self.conv2 = (Holder(SubmanifoldConv(c, out)) for c in (channels, out))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, 2 * out))
        self.skip_connection = nn.Linear(channels, out) if channels != out else nn.Identity()

    def forward(self, x: Tensor, time: Tensor, voxels: Voxels) -> Tensor:
        """x (B, N, channels) already at the resolution of `voxels`, time (1 or B, time) -> (B, N, out)."""
        scale, shift = self.emb_layers(time)[:, None].chunk(2, -1)
        hidden = self.conv1(F.silu(self.norm1(x)), voxels)
        hidden = self.norm2(hidden) * (1 + scale) + shift
        return self.conv2(F.silu(hidden), voxels) + self.skip_connection(x)


class SlatFlow(nn.Module):
    """Velocity of the latents (B, N, 8) on N voxels at a time, given image tokens."""

    def __init__(self, config: SlatFlowConfig) -> None:
        super().__init__()
        self.config = config
        width, first = config.width, config.io_channels[0]
        self.input_layer = nn.Linear(config.channels, first)
        self.t_embedder = TimeEmbedder(width)
        self.input_blocks, self.out_blocks = nn.ModuleList(), nn.ModuleList()
        outputs = [*config.io_channels[1:], width]
        for channels, out in zip(config.io_channels, outputs, strict=True):
            self.input_blocks.extend(
                SparseResidualBlock(channels, channels, width) for _ in range(config.io_blocks - 1)
            )
            self.input_blocks.append(SparseResidualBlock(channels, out, width))
        for channels, above in zip(reversed(config.io_channels), reversed(outputs), strict=True):
            self.out_blocks.append(SparseResidualBlock(2 * above, channels, width))
            self.out_blocks.extend(
                SparseResidualBlock(2 * channels, channels, width) for _ in range(config.io_blocks - 1)
            )
        self.blocks = nn.ModuleList(
            ModulatedCrossBlock(width, config.context, config.heads, config.ratio) for _ in range(config.depth)
        )
        self.out_layer = nn.Linear(first, config.channels)

    @property
    def torso_type(self) -> torch.dtype:
        """The type of the big matrices; norms and the outer layers may be float32 around a half-precision torso."""
        return next(p.dtype for key, p in self.blocks.named_parameters() if key.endswith("to_qkv.weight"))

    def read(self, context: Tensor) -> list[Tensor]:
        """(B, K, context) -> each block's keys and values of it: the same for every step of a run."""
        given = context.to(self.input_layer.weight.device, self.torso_type)
        return [cast(ModulatedCrossBlock, block).cross_attn.read(given) for block in self.blocks]

    def forward(
        self, x: Tensor, voxels: Voxels, time: Tensor, context: Tensor | list[Tensor], watch: Watch | None = None
    ) -> Tensor:
        """x (B, N, 8); time (1,) network time, 1000 t; context (B, K, context), or what `read` made of it -> (B, N, 8)."""
        keys = self.read(context) if isinstance(context, Tensor) else context
        see = watch or (lambda name, value: None)
        torso = self.torso_type
        h = self.input_layer(x.to(self.input_layer.weight))
        see("input_layer", h)
        emb = self.t_embedder(time.to(self.input_layer.weight.device))
        see("t_emb", emb)
        h, emb = h.to(torso), emb.to(torso)
        kept: list[Tensor] = []
        stages = [voxels]
        for i, block in enumerate(self.input_blocks):
            if (i + 1) % self.config.io_blocks == 0:
                coarse, rows = stages[-1].halved
                h = pool(h, rows, len(coarse), self.config.quirks.downsample_includes_zero)
                stages.append(coarse)
            h = block(h, emb, stages[-1])
            kept.append(h)
            see(f"input_blocks.{i}", h)
        h = h + position_code(stages[-1].coords, h.shape[-1]).to(torso)
        for i, block in enumerate(self.blocks):
            h = block(h, emb, keys[i], is_read=True)
            see(f"blocks.{i}", h)
        for i, block in enumerate(self.out_blocks):
            h = torch.cat([h, kept.pop()], -1)
            if i % self.config.io_blocks == 0:
                stages.pop()
                h = spread(h, stages[-1].halved[1])
            h = block(h, emb, stages[-1])
            see(f"out_blocks.{i}", h)
        h = F.layer_norm(h.float(), h.shape[-1:], eps=1e-5)
        return self.out_layer(h.to(self.out_layer.weight.dtype))
