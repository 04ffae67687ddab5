"""Lending a step its networks: one at a time where memory is short, kept between steps where there is plenty.

A preset's networks come from files (`released`) or are made of numbers that know nothing (`tiny`). On a card the first
stage computes in float16 as released, the second with a float16 torso; on the CPU everything is float32. The samplers'
states stay in float32 on the CPU.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.step import Context
from pipelines.synchuman.checkpoints import STAGE_1, STAGE_2, files_of, read_config, read_prompts
from pipelines.synchuman.configuration import TINY, SyncHumanConfig
from pipelines.synchuman.networks import half_torso, load, stand_in
from pipelines.synchuman.stand_in import normals_of

PLENTY = 36 * 2**30  # bytes free on the card from which on networks stay there and both guidance halves run together
STAND_IN = (
    "The networks of this run are stand-ins with made-up numbers: what they draw is noise that shows the way through the "
    "steps, not the person."
)

_kept: dict[tuple[Any, ...], nn.Module] = {}


def memory_is_short(device: str, wish: str) -> bool:
    """Whether to hold one network at a time and run the guidance halves apart. wish: 'auto', 'short' or 'plenty'."""
    if wish != "auto":
        return wish == "short"
    return device != "cuda" or torch.cuda.mem_get_info()[0] < PLENTY


def _give_back() -> None:
    """Let all networks go that a finished borrower no longer holds, and give a card's memory back."""
    _kept.clear()
    if torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()


@dataclass
class Lender:
    """The networks of a preset on a step's device. short: one at a time (see `memory_is_short`)."""

    preset: str
    ctx: Context
    short: bool = True
    names: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.preset == "tiny":
            self.ctx.warn(STAND_IN)

    @property
    def device(self) -> str:
        """'cpu' or 'cuda'."""
        return self.ctx.device

    @cached_property
    def config(self) -> SyncHumanConfig:
        """The configuration: of the preset, or what the released folders say of the networks in `names`."""
        return TINY if self.preset == "tiny" else read_config(self.ctx.weight_file, self.names or None)

    @property
    def facts(self) -> dict[str, Any]:
        """What every record of this preset says of its networks."""
        return {"preset": self.preset, **({"stand_in": True} if self.preset == "tiny" else {})}

    @contextlib.contextmanager
    def network(self, name: str) -> Iterator[Any]:
        """`with lender.network("vae") as vae:` on the device, in evaluation mode.

        Borrow inside a function of its own: with short memory the next loan frees what nobody holds any more.
        """
        key = (self.preset, name, self.device, *self._marks(name))
        network = _kept.get(key)
        if network is None:
            if self.short and self.preset != "tiny":  # the stand-ins are a few megabytes
                _give_back()
            network = self._make(name)
            if not self.short or self.preset == "tiny":
                _kept[key] = network
        yield network

    def prompts(self) -> Tensor:
        """(10, T, text) float32, on the CPU."""
        if self.preset == "tiny":
            return torch.from_numpy(normals_of("tiny.prompts", (10, 7, TINY.joint.text)))
        return read_prompts(self.ctx.weight_file)

    def _marks(self, name: str) -> list[tuple[str, int, int]]:
        """What tells whether a network's files are still the same."""
        if self.preset == "tiny":
            return []
        files: list[Path] = files_of(name, self.ctx.weight_file)[0]
        return [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files]

    def _make(self, name: str) -> nn.Module:
        if self.preset == "tiny":
            return stand_in(name, TINY).requires_grad_(False).to(self.device)
        half = self.device == "cuda" and name in STAGE_1
        dtype = torch.float16 if half else torch.float32
        network = load(name, self.config, files_of(name, self.ctx.weight_file)[0], device=self.device, dtype=dtype)
        return half_torso(network) if self.device == "cuda" and name in STAGE_2 else network
