"""The decoder of structured latents into the corners of fine cubes, from which the surface is extracted."""

from __future__ import annotations

import itertools
from typing import cast

import torch
from torch import Tensor, nn

from pipelines.synchuman.configuration import SlatDecoderConfig
from pipelines.synchuman.slat_transformer import SlatTransformer, Watch
from pipelines.synchuman.voxels import Holder, PointwiseConv, SubmanifoldConv, VoxelGroupNorm, Voxels, subdivide


class SubdivideBlock(nn.Module):
    """Eight children per voxel: norm, SiLU, subdivision, conv, norm, SiLU, conv, plus the input through a 1 x 1 x 1."""

    def __init__(self, channels: int, out: int, reinterpret: bool, groups: int = 32) -> None:
        super().__init__()
        self.act_layers = nn.Sequential(VoxelGroupNorm(groups, channels), nn.SiLU())
        self.out_layers = nn.ModuleList(
            [
                Holder(SubmanifoldConv(channels, out)),
                VoxelGroupNorm(groups, out),
                nn.SiLU(),
                Holder(SubmanifoldConv(out, out)),
            ]
        )
        self.skip_connection = Holder(PointwiseConv(channels, out, reinterpret))

    def forward(self, x: Tensor, voxels: Voxels) -> Tensor:
        """(B, N, channels) on the coarse voxels -> (B, 8 N, out) on `voxels.subdivided`."""
        fine = voxels.subdivided
        first, norm, act, second = self.out_layers
        hidden = cast(SubmanifoldConv, first.conv).on_children(self.act_layers(x), voxels)
        return second(act(norm(hidden)), fine) + subdivide(self.skip_connection(x))


class SurfaceDecoder(SlatTransformer):
    """Structured latents and view maps -> cubes of a grid four times as fine, 101 values (53 without colours) each."""

    def __init__(self, config: SlatDecoderConfig) -> None:
        super().__init__(config)
        widths = [config.width, config.width // 4, config.width // 8]
        self.upsample = nn.ModuleList(
            SubdivideBlock(channels, out, config.quirks.conv1x1_reinterpret)
            for channels, out in itertools.pairwise(widths)
        )
        self.out_layer = nn.Linear(widths[-1], 101 if config.colours else 53)

    def forward(
        self, latents: Tensor, voxels: Voxels, colour: Tensor, normal: Tensor, watch: Watch | None = None
    ) -> tuple[Tensor, Voxels]:
        """As `SlatTransformer.body` -> (64 N, 101) raw values and their cubes."""
        h = self.body(latents, voxels, colour, normal, watch)
        for i, block in enumerate(self.upsample):
            h, voxels = block(h, voxels), voxels.subdivided
            if watch is not None:
                watch(f"upsample.{i}", h)
        return self.out_layer(h.to(self.out_layer.weight.dtype))[0], voxels


def split_head(head: Tensor) -> dict[str, Tensor]:
    """(N, 53 or 101) -> sdf (N, 8), deform (N, 8, 3), weights (N, 21) and, if present, colour (N, 8, 6)."""
    sizes = {"sdf": 8, "deform": 24, "weights": 21, "colour": head.shape[1] - 53}
    parts = dict(zip(sizes, torch.split(head, list(sizes.values()), 1), strict=True))
    parts["deform"] = parts["deform"].unflatten(1, (8, 3))
    if parts["colour"].shape[1]:
        parts["colour"] = parts["colour"].unflatten(1, (8, 6))
    else:
        del parts["colour"]
    return parts
