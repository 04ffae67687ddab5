"""Weights without a download: random numbers that depend on nothing but each key's name.

They judge an implementation (two programs that follow the rule have the same weights) and make a stand-in that runs
in seconds. They know nothing about people.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

COMPUTED = ("pos_emb", "offset_perturbation")  # buffers with a formula of their own


def normals_of(key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normals of a name: numpy's Philox with the key crc32(name)."""
    return np.random.Generator(np.random.Philox(key=zlib.crc32(key.encode()))).standard_normal(shape, dtype=np.float32)


def value_of(key: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The stand-in value of a state-dict key: biases 0.02 x, norms 1 + 0.1 x, matrices x / sqrt(fan in), else 0.5 x."""
    x = normals_of(key, shape)
    last = key.rsplit(".", 1)[-1]
    if last == "bias":
        return np.float32(0.02) * x
    if last == "weight" and len(shape) == 1:
        return np.float32(1) + np.float32(0.1) * x
    if last == "weight":
        return x * np.float32(1 / np.sqrt(np.prod(shape[1:])))
    return np.float32(0.5) * x


def fill(module: nn.Module, prefix: str = "") -> nn.Module:
    """Give every parameter its stand-in value, keys prefixed with `prefix`; returns the module in evaluation mode."""
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            if key.rsplit(".", 1)[-1] not in COMPUTED:
                tensor.copy_(torch.from_numpy(value_of(prefix + key, tuple(tensor.shape))))
    return module.eval()
