"""Seeded random weights: every tensor is a function of its key and shape, so nothing has to be stored.

They serve parity with recorded values and the preset `tiny`; what they draw is noise and is to be labelled so.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

# Rows 0..2 of these keys are damped: positions stay near the body and inside the sampled volume.
DAMPED = {"net.conv_out.weight": 0.002, "net.conv_out.bias": 0.002, "conv.weight": 0.15, "conv.bias": 0.15}


def stand_in_tensor(key: str, shape: tuple[int, ...]) -> NDArray:
    """The tensor of a key: normal numbers of Philox(crc32(key)), scaled by role; float32, or int64 for counters."""
    role = key.rsplit(".", 1)[-1]
    if role == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    stream = np.random.Generator(np.random.Philox(key=zlib.crc32(key.encode())))
    x = stream.standard_normal(shape, dtype=np.float32)
    if role == "running_mean":
        return np.float32(0.1) * x
    if role == "running_var":
        return np.float32(1) + np.float32(0.2) * np.abs(x)
    if role == "bias":
        x = np.float32(0.02) * x
    elif x.ndim == 1:
        x = np.float32(1) + np.float32(0.1) * x
    elif key != "c.weight":
        fan_in = x.size // shape[0]
        x = x * np.float32((3 if x.ndim == 5 else 1) / np.sqrt(fan_in))
    if key in DAMPED:
        x[:3] *= np.float32(DAMPED[key])
    return x


def fill(module: nn.Module, prefix: str = "") -> nn.Module:
    """Every parameter and buffer of a module by the rule, under `prefix` + key; returns the module in eval mode."""
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            tensor.copy_(torch.from_numpy(np.asarray(stand_in_tensor(prefix + key, tuple(tensor.shape)))))
    return module.eval()


def stand_in_body(count: int, half_extents: tuple[float, float, float]) -> NDArray[np.float32]:
    """(count, 3) points of a spiral on an ellipsoid, network units: the body of the recorded passes."""
    i = np.arange(count, dtype=np.float64)
    y = 1 - 2 * (i + 0.5) / count
    r = np.sqrt(1 - y * y)
    turn = np.pi * (3 - np.sqrt(5.0)) * i
    points = np.stack([r * np.cos(turn), y, r * np.sin(turn)], 1) * np.array(half_extents)
    return points.astype(np.float32)


def stand_in_pictures(seed: int, views: int, size: int) -> NDArray[np.float32]:
    """(views, 3, size, size) normal noise, used directly as normalised pictures."""
    return np.random.Generator(np.random.Philox(key=seed)).standard_normal((views, 3, size, size), dtype=np.float32)
