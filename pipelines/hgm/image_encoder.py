"""The image encoder that vertices are projected into: three stages of a ResNet-34 and a small decoder.

All convolutions pad by reflection; all norms are instance norms without running statistics.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _conv(channels: int, out: int, kernel: int, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=bias, padding_mode="reflect")


def _norm(channels: int) -> nn.InstanceNorm2d:
    return nn.InstanceNorm2d(channels, affine=True)


class BasicBlock(nn.Module):
    """conv, norm, ReLU, conv, norm, plus the input, ReLU."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(channels, out, 3, stride), _norm(out)
        self.conv2, self.bn2 = _conv(out, out, 3), _norm(out)
        same = stride == 1 and channels == out
        self.downsample = None if same else nn.Sequential(_conv(channels, out, 1, stride), _norm(out))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, out, ceil(H / stride), ceil(W / stride))."""
        hidden = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(hidden + (x if self.downsample is None else self.downsample(x)))


class ConvBlock(nn.Module):
    """3x3 convolution with bias, norm, ELU."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv, self.bn = _conv(channels, out, 3, bias=True), _norm(out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, out, H, W)."""
        return F.elu(self.bn(self.conv(x)))


class UpConv(nn.Module):
    """Bilinear up-sampling by two (corners aligned), then a conv block."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = ConvBlock(channels, out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, out, 2H, 2W)."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))


class ImageEncoder(nn.Module):
    """(V, channels, H, W) -> (V, out, ~H/4, ~W/4). Trained from scratch: no ImageNet weights fit nine channels."""

    def __init__(
        self, channels: int, out: int, widths: Sequence[int] = (64, 128, 256), blocks: Sequence[int] = (3, 4, 6)
    ) -> None:
        super().__init__()
        first, second, third = widths
        self.conv1, self.bn1 = _conv(channels, first, 7, 2), _norm(first)
        self.layer1 = self._stage(first, first, blocks[0])
        self.layer2 = self._stage(first, second, blocks[1])
        self.layer3 = self._stage(second, third, blocks[2])
        self.upconv3 = UpConv(third, second)
        self.iconv3 = ConvBlock(2 * second, second)
        self.upconv2 = UpConv(second, first)
        self.iconv2 = ConvBlock(2 * first, out)
        self.out_conv = nn.Conv2d(out, out, 1)

    @staticmethod
    def _stage(channels: int, out: int, count: int) -> nn.Sequential:
        return nn.Sequential(BasicBlock(channels, out, 2), *(BasicBlock(out, out, 1) for _ in range(count - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """(V, channels, H, W) -> (V, out, ~H/4, ~W/4)."""
        return self.stages(x)["out"]

    def stages(self, x: Tensor) -> dict[str, Tensor]:
        """Every stage by its name: layer1..3, iconv3, iconv2, out."""
        made = {"layer1": self.layer1(F.relu(self.bn1(self.conv1(x))))}
        made["layer2"] = self.layer2(made["layer1"])
        made["layer3"] = self.layer3(made["layer2"])
        made["iconv3"] = self.iconv3(beside(self.upconv3(made["layer3"]), made["layer2"]))
        made["iconv2"] = self.iconv2(beside(self.upconv2(made["iconv3"]), made["layer1"]))
        made["out"] = self.out_conv(made["iconv2"])
        return made


def beside(grown: Tensor, encoded: Tensor) -> Tensor:
    """[grown, encoded] along the channels; the encoder's map is zero-padded to the up-sampled one's size."""
    rows, columns = grown.shape[2] - encoded.shape[2], grown.shape[3] - encoded.shape[3]
    pad = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    return torch.cat([grown, F.pad(encoded, pad)], 1)
