"""Which device a run computes on."""

from __future__ import annotations

import shutil

from pipelines.step import MissingNeed, UserError


def choose_device(wish: str) -> str:
    """'auto', 'cpu' or 'cuda' -> 'cpu' or 'cuda'; MissingNeed when CUDA was asked for and is not there."""
    if wish not in ("auto", "cpu", "cuda"):
        raise UserError(f"--device came as '{wish}'; it needs auto, cpu or cuda.")
    if wish == "cpu" or (wish == "auto" and not shutil.which("nvidia-smi")):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wish == "cuda":
        raise MissingNeed(
            "--device cuda was asked for, but torch sees no CUDA device; "
            "install a CUDA build of torch and a driver (requirements-cuda.txt), or use --device cpu."
        )
    return "cpu"
