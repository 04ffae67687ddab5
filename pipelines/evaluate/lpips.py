"""LPIPS, only where its package and its backbone's weights are at hand; nothing is downloaded."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# (a, b): pictures (H, W, 3) 0..1 -> the distance.
Lpips = Callable[[NDArray[np.floating], NDArray[np.floating]], float]
BACKBONE = "vgg16-397923af.pth"


def backbone_file() -> Path:
    """Where torch's hub keeps the VGG weights that torchvision publishes."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torch"
    return Path(home) / "hub" / "checkpoints" / BACKBONE


def find_lpips() -> tuple[Lpips | None, str]:
    """The metric (VGG, the variant of nv-lpips-vgg/1), or None and the sentence that says what is missing."""
    absent = [name for name in ("lpips", "torchvision") if importlib.util.find_spec(name) is None]
    if absent or not backbone_file().is_file():
        what = " and ".join(
            [f"the package {name}" for name in absent] + ([] if backbone_file().is_file() else [BACKBONE])
        )
        return None, f"LPIPS is left out: {what} {'are' if ' and ' in what else 'is'} not on this machine."
    import lpips
    import torch

    network = lpips.LPIPS(net="vgg", verbose=False).eval()

    def measure(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
        pair = [torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1), np.float32))[None] * 2 - 1 for x in (a, b)]
        with torch.no_grad():
            return float(network(*pair))

    return measure, ""
