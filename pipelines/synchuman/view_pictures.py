"""The stage-1 pictures as the second stage reads them: for the image encoder, and for the bake."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from pipelines.synchuman.frame import CANVAS, MEAN, STD, face_box

ENCODER_SIDE = 896
FACE_CANVAS = 1536
FOREGROUND_BELOW = 230  # a pixel belongs to the person where any channel of its normal map is darker

Bytes = NDArray[np.uint8]


def as_batch(pictures: Sequence[Bytes], side: int = CANVAS) -> Tensor:
    """(S, S, 3) uint8 pictures -> (V, 3, side, side) 0..1; resized bilinear without a low-pass if S differs."""
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    return batch if batch.shape[-1] == side else F.interpolate(batch, (side, side), mode="bilinear")


def for_encoder(views: Tensor, side: int = ENCODER_SIDE) -> Tensor:
    """(V, 3, S, S) 0..1 -> (V, 3, side, side) in the image encoder's scale, bilinear without a low-pass."""
    mean, std = (torch.from_numpy(values)[:, None, None] for values in (MEAN, STD))
    return (F.interpolate(views, (side, side), mode="bilinear") - mean) / std


def face_canvas(face: Tensor, side: int = FACE_CANVAS, share: int = 3) -> Tensor:
    """(3, S, S) 0..1 face view -> (3, side, side): on white, at its place in a front view of that size."""
    canvas, (left, top, right, bottom) = face.new_ones(3, side, side), face_box(side, share)
    canvas[:, top:bottom, left:right] = F.interpolate(face[None], (bottom - top, right - left), mode="bilinear")[0]
    return canvas


def foreground(normals: Bytes) -> NDArray[np.bool_]:
    """(H, W, 3) normal map -> (H, W) where the person is."""
    return np.any(normals < FOREGROUND_BELOW, axis=-1)
