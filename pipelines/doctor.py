"""What this machine has: Python, packages, shipped files, store, device."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

from pipelines.step import UserError
from pipelines.store import Store
from pipelines.weights import KNOWN, Weights

NEEDED = ("numpy", "pillow", "torch", "numba", "opencv-python-headless", "scipy", "scikit-image", "trimesh",
          "fast-simplification", "safetensors", "gradio", "viser")  # fmt: skip
OPTIONAL = {
    "gsplat": "splats on a CUDA device (requirements-cuda.txt)",
    "spconv-cu121": "sparse convolution on a CUDA device (requirements-cuda.txt)",
    "smplx": "only for SMPL-X files of your own",
    "diffusers": "only for systems with diffusion",
}


def examine(root: Path) -> list[dict[str, str]]:
    """Findings, each {'name', 'state': ok | optional | missing, 'text'}."""
    findings = [_python()]
    for name in NEEDED:
        findings.append(_package(name, "missing", "run 'make setup'"))
    for name, use in OPTIONAL.items():
        findings.append(_package(name, "optional", use))
    for role, known in KNOWN.items():
        try:
            path = Weights().path(role)
            findings.append({"name": role, "state": "ok", "text": f"{known.title}: {path.name}"})
        except UserError as error:
            first = next((w.role for w in KNOWN.values() if w.group and w.group == known.group), role)
            text = str(error) if first == role else f"not on this machine; see {first}"
            findings.append({"name": role, "state": "missing" if known.shipped else "optional", "text": text})
    findings.append(_store(root))
    gpu = (
        "nvidia-smi answers; use --device cuda"
        if shutil.which("nvidia-smi")
        else "no GPU found; everything runs on the CPU"
    )
    findings.append({"name": "device", "state": "optional" if not shutil.which("nvidia-smi") else "ok", "text": gpu})
    findings.append({"name": "cores", "state": "ok", "text": f"{os.cpu_count()} ({platform.machine()})"})
    return findings


def _python() -> dict[str, str]:
    fits = (3, 10) <= sys.version_info[:2] <= (3, 12)
    text = platform.python_version() + ("" if fits else "; 3.10, 3.11 or 3.12 is needed")
    return {"name": "python", "state": "ok" if fits else "missing", "text": text}


def _package(name: str, otherwise: str, text: str) -> dict[str, str]:
    try:
        return {"name": name, "state": "ok", "text": importlib.metadata.version(name)}
    except importlib.metadata.PackageNotFoundError:
        return {"name": name, "state": otherwise, "text": f"not installed; {text}"}


def _store(root: Path) -> dict[str, str]:
    try:
        store = Store(root)
    except UserError as error:
        return {"name": "store", "state": "missing", "text": str(error)}
    free = shutil.disk_usage(root).free / 2**30
    return {"name": "store", "state": "ok" if free > 1 else "missing",
            "text": f"{store.size() / 2**20:.0f} MB used, {free:.0f} GB free"}  # fmt: skip
