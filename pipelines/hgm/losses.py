"""Scores and losses of the released code, with its habits named."""

from __future__ import annotations

import torch
from torch import Tensor


def silhouette_iou(predicted: Tensor, target: Tensor) -> Tensor:
    """Soft intersection over union per view: masks (V, 1, H, W) in 0..1 -> (V,)."""
    axes = tuple(range(1, predicted.ndim))
    both = (predicted * target).sum(axes)
    either = (predicted + target - predicted * target).sum(axes).clamp(min=1e-6)
    return both / either


def iou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """1 - mean over the views of `silhouette_iou`."""
    return 1 - silhouette_iou(predicted, target).mean()


def pooled_psnr(predicted: Tensor, target: Tensor, step: int = 1) -> Tensor:
    """PSNR in dB of the squared error pooled over every `step`-th view; pictures (V, 3, H, W) in 0..1."""
    return -10 * torch.log10(((predicted[::step] - target[::step]) ** 2).mean())


def mean_psnr(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over the views of each view's PSNR in dB; pictures (V, 3, H, W) in 0..1."""
    return (-10 * torch.log10(((predicted - target) ** 2).mean((1, 2, 3)))).mean()


def picture_loss(rgb: Tensor, alpha: Tensor, target_rgb: Tensor, mask: Tensor) -> Tensor:
    """Squared error of colours plus squared error of the mask, each a mean over all views and pixels."""
    return ((rgb - target_rgb) ** 2).mean() + ((alpha - mask) ** 2).mean()
