"""The course of a training: batches in a repeatable order, rate, running average, checkpoints, lines of metrics.

A course can be stopped at any time (also by --minutes of processor time) and goes on from its last checkpoint when it
is called again, to the same weights. Every EVERY steps it measures itself on held-out people, writes a line to
metrics.jsonl, a picture, and the weights as they would be shipped.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from training.hgm.batches import People, read_people

N = TypeVar("N", bound=nn.Module)
EVERY = 200  # steps between checkpoints and measurements
AVERAGE = 0.995  # of the running average of the weights, which is what is kept
WARM = 100  # steps until the full rate


class Course(ABC, Generic[N]):
    """A network, its optimiser, the average of its weights and its place in the schedule.

    A subclass says what is learned: `losses`, of some people (B,) at a share 0..1 of the whole course.
    """

    def __init__(self, network: N, people: People, steps: int, batch: int, rate: float, seed: int) -> None:
        self.network: N = network
        self.people, self.steps, self.batch, self.rate = people, steps, batch, rate
        self.average = {k: v.clone() for k, v in network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.01)
        self.random = torch.Generator().manual_seed(seed)
        self.step, self.seconds = 0, 0.0
        self.order = torch.empty(0, dtype=torch.long)

    @abstractmethod
    def losses(self, which: Tensor, share: float) -> dict[str, Tensor]:
        """Each term, weighted; their sum is what becomes less."""

    def one_step(self) -> dict[str, float]:
        """Shows a batch; the losses."""
        start = time.process_time()
        share = self.step / self.steps
        rate = self.rate * min(1.0, (self.step + 1) / WARM) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if len(self.order) < self.batch:
            self.order = torch.cat([self.order, torch.randperm(len(self.people), generator=self.random)])
        which, self.order = self.order[: self.batch], self.order[self.batch :]
        losses = self.losses(which, share)
        total = torch.stack(list(losses.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        keep = min(AVERAGE, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.average[name].lerp_(value, 1 - keep)
        self.step += 1
        self.seconds += time.process_time() - start
        return {"loss": float(total.detach()), **{k: float(v.detach()) for k, v in losses.items()}}

    def averaged(self) -> N:
        """The network with the running average of its weights."""
        made = copy.deepcopy(self.network)
        made.load_state_dict(self.average)
        return made.eval()

    def save(self, place: Path) -> None:
        """Everything that is needed to go on, whole or not at all."""
        state = {"network": self.network.state_dict(), "average": self.average, "step": self.step,
                 "optimiser": self.optimiser.state_dict(), "random": self.random.get_state(), "order": self.order,
                 "seconds": self.seconds}  # fmt: skip
        torch.save(state, place.with_suffix(".part"))
        os.replace(place.with_suffix(".part"), place)

    def load(self, place: Path) -> None:
        """Inverse of `save`; a checkpoint is a file of our own making, and only tensors and numbers are read."""
        state = torch.load(place, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average, self.step, self.seconds = state["average"], state["step"], state["seconds"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.random.set_state(state["random"])
        self.order = state["order"]


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The words that every training takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--shards", type=Path, required=True, metavar="DIR")
    parser.add_argument("--held", type=Path, required=True, metavar="DIR", help="shards that are never trained on")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--minutes", type=float, default=600.0, help="of processor time of this call, then stop")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def read_both(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> tuple[People, People]:
    """People to train on and held-out ones; the parser's error when somebody is in both."""
    people, held = read_people(chosen.shards), read_people(chosen.held)
    if set(people.seeds.tolist()) & set(held.seeds.tolist()):
        parser.error("Some people are in both --shards and --held; they must be different people.")
    return people, held


def run(
    course: Course[N], chosen: argparse.Namespace, name: str, measured: Callable[[], dict[str, float]],
    pictured: Callable[[Path], None], facts: dict[str, str],
) -> None:  # fmt: skip
    """Go through the course, or on with it. name: of the file of weights in --out. measured, pictured: of the average so
    far. facts: of the file beyond those of the course itself."""
    chosen.out.mkdir(parents=True, exist_ok=True)
    checkpoint = chosen.out / "checkpoint.pt"
    if checkpoint.exists():
        course.load(checkpoint)
    else:
        note(chosen.out, {"step": 0, **measured()})
    begun, running = course.seconds, {}
    while course.step < course.steps and course.seconds - begun < 60 * chosen.minutes:
        for term, value in course.one_step().items():
            running[term] = 0.98 * running.get(term, value) + 0.02 * value
        if course.step % EVERY == 0 or course.step == course.steps:
            held = {"step": course.step, "minutes": round(course.seconds / 60, 2),
                    **{k: round(v, 4) for k, v in running.items()}, **measured()}  # fmt: skip
            note(chosen.out, held)
            course.save(checkpoint)
            pictured(chosen.out / "held.png")
            export(course, chosen.out / name, {**facts_of(course, held, chosen.seed), **facts})
    if course.step % EVERY:
        course.save(checkpoint)


def export(course: Course[N], place: Path, facts: dict[str, str]) -> None:
    """The averaged weights as half precision safetensors with what they are in the metadata."""
    tensors: dict[str, Tensor] = {k: v.half().contiguous() for k, v in course.average.items()}
    save_file(tensors, place, metadata=facts)


def facts_of(course: Course[N], held: dict[str, float], seed: int) -> dict[str, str]:
    """What a reader of the file wants to know, as safetensors' texts."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    seeds = course.people.seeds
    return {
        "licence": "same as the repository; trained on CC0 data only",
        "people": f"{len(seeds)} training people between seeds {int(seeds.min())} and {int(seeds.max())}",
        "steps": str(course.step), "batch": str(course.batch), "seed": str(seed), "commit": commit,
        "processor_minutes": f"{course.seconds / 60:.1f}", "held_out": json.dumps(held),
    }  # fmt: skip


def note(folder: Path, line: dict[str, Any]) -> None:
    """A line of metrics, shown and kept."""
    print("  ".join(f"{k} {v}" for k, v in line.items()), flush=True)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
