"""The 14 numbers of a Gaussian, from raw network output to values.

Columns: 0:3 position (network units), 3 opacity 0..1, 4:7 scale (standard deviations, network units), 7:11 rotation
(unit quaternion wxyz, local to world), 11:14 colour 0..1 RGB.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SCALE_FACTOR = 0.1  # factor on the softplus of the released head


def _with_position(position: Tensor, raw: Tensor) -> Tensor:
    """position (N, 3) and the other eleven activated raw numbers of (N, 14)."""
    return torch.cat(
        [
            position,
            raw[:, 3:4].sigmoid(),
            SCALE_FACTOR * F.softplus(raw[:, 4:7]),
            F.normalize(raw[:, 7:11], dim=-1, eps=1e-12),
            0.5 * raw[:, 11:14].tanh() + 0.5,
        ],
        1,
    )


def image_set(raw: Tensor) -> Tensor:
    """(N, 14) raw -> (N, 14): free positions inside the cube -1..1."""
    return _with_position(raw[:, :3].clamp(-1, 1), raw)


def body_set(raw: Tensor, vertices: Tensor) -> Tensor:
    """(M, 14) raw and vertices (M, 3) in network units -> (M, 14): positions are moved vertices, inside the cube."""
    return _with_position((vertices + raw[:, :3].clamp(-1, 1)).clamp(-1, 1), raw)


def fused_set(raw: Tensor, position: Tensor) -> Tensor:
    """(N, 14) raw and the image set's positions (N, 3) -> (N, 14); positions are not clamped again."""
    return _with_position(position + raw[:, :3].clamp(-1, 1), raw)
