"""One level of the 2D branch's U-Net: resnets, each with or without a transformer, then a change of size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.models.resnet import Downsample2D, ResnetBlock2D, Upsample2D
from torch import Tensor, nn

from pipelines.synchuman.multiview_transformer import MultiviewTransformer

Transformers = Sequence[MultiviewTransformer] | None


def _resnet(channels: int, out: int, time: int, groups: int) -> ResnetBlock2D:
    return ResnetBlock2D(in_channels=channels, out_channels=out, temb_channels=time, eps=1e-5, groups=groups)


def _after(attentions: nn.ModuleList | None, at: int, x: Tensor, text: Tensor) -> Tensor:
    return x if attentions is None else attentions[at](x, text)


class DownLevel(nn.Module):
    """Resnets with transformers, then a convolution of stride 2 unless it is the last level."""

    def __init__(
        self, channels: int, out: int, time: int, layers: int, groups: int, transformers: Transformers, last: bool
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_resnet(channels if i == 0 else out, out, time, groups) for i in range(layers))
        self.attentions = None if transformers is None else nn.ModuleList(transformers)
        down = None if last else Downsample2D(out, use_conv=True, out_channels=out, padding=1, name="op")
        self.downsamplers = None if down is None else nn.ModuleList([down])

    def forward(self, x: Tensor, time: Tensor, text: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(items, channels, h, h) -> the map half as large (last: as large), and what the way up will need."""
        kept: list[Tensor] = []
        for i, resnet in enumerate(self.resnets):
            x = _after(self.attentions, i, resnet(x, time), text)
            kept.append(x)
        if self.downsamplers is not None:
            x = self.downsamplers[0](x)
            kept.append(x)
        return x, kept


class MiddleLevel(nn.Module):
    """Resnet, transformer, resnet."""

    def __init__(self, channels: int, time: int, groups: int, transformer: MultiviewTransformer) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_resnet(channels, channels, time, groups) for _ in range(2))
        self.attentions = nn.ModuleList([transformer])

    def forward(self, x: Tensor, time: Tensor, text: Tensor) -> Tensor:
        """(items, channels, h, h) -> the same shape."""
        return self.resnets[1](self.attentions[0](self.resnets[0](x, time), text), time)


class UpLevel(nn.Module):
    """Resnets on [map, kept map], with transformers, then nearest doubling and a convolution unless it is the last."""

    def __init__(
        self, inputs: Sequence[int], out: int, time: int, groups: int, transformers: Transformers, last: bool
    ) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(_resnet(channels, out, time, groups) for channels in inputs)
        self.attentions = None if transformers is None else nn.ModuleList(transformers)
        self.upsamplers = None if last else nn.ModuleList([Upsample2D(out, use_conv=True, out_channels=out)])

    def forward(self, x: Tensor, kept: list[Tensor], time: Tensor, text: Tensor) -> Tensor:
        """(items, c, h, h); takes the newest of `kept` for each resnet -> the map twice as large (last: as large)."""
        for i, resnet in enumerate(self.resnets):
            x = _after(self.attentions, i, resnet(torch.cat([x, kept.pop()], 1), time), text)
        return x if self.upsamplers is None else self.upsamplers[0](x)
