"""The U-Net of HGM over pictures (dims 2) or over sequences of Gaussians or vertices (dims 1)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pipelines.hgm.blocks import DownBlock, MidBlock, UpBlock, convolution
from pipelines.hgm.configuration import Quirks, UNetShape


class UNet(nn.Module):
    """conv_in, down blocks, middle, up blocks, norm_out, SiLU, conv_out.

    With fewer blocks up than down the output is smaller than the input (the released network ends at half size).
    Skips are used newest first; what the last up block leaves is unused.
    """

    def __init__(self, dims: int, channels: int, out: int, shape: UNetShape, quirks: Quirks) -> None:
        super().__init__()
        self.conv_in = convolution(dims, channels, shape.down[0], 3)
        pushed, width = [shape.down[0]], shape.down[0]
        down = []
        for i, wide in enumerate(shape.down):
            shrink = i != len(shape.down) - 1
            down.append(DownBlock(dims, width, wide, shape.down_attention[i], shape, quirks, shrink))
            pushed += [wide] * (shape.layers + int(shrink))
            width = wide
        self.down_blocks = nn.ModuleList(down)
        self.mid_block = MidBlock(dims, width, shape, quirks)
        up = []
        for i, wide in enumerate(shape.up):
            skips = [pushed.pop() for _ in range(shape.layers + 1)]
            grow = i != len(shape.up) - 1
            up.append(UpBlock(dims, width, skips, wide, shape.up_attention[i], shape, quirks, grow))
            width = wide
        self.up_blocks = nn.ModuleList(up)
        self.norm_out = nn.GroupNorm(shape.groups, width)
        self.conv_out = convolution(dims, width, out, 3)
        if shape.unused_head:
            self.norm_out_2 = nn.GroupNorm(shape.groups, shape.unused_head)
            self.conv_out_2 = nn.Conv1d(shape.unused_head, out, 3, padding=1)

    def forward(self, x: Tensor, views: int = 1) -> tuple[Tensor, Tensor]:
        """x (B views, channels, ...) -> output (B views, out, ...) and the features before norm_out.

        views: how many successive pictures belong to one sample; attention runs over all of them.
        """
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            x, new = block(x, views)
            skips += new
        x = self.mid_block(x, views)
        for block in self.up_blocks:
            assert isinstance(block, UpBlock)
            left = len(skips) - len(block.nets)
            x = block(x, skips, skips[left - 1].shape[2:] if left else None, views)
        return self.conv_out(F.silu(self.norm_out(x))), x
