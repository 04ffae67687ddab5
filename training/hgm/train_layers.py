"""Training of the layer network: `python -m training.hgm.train_layers --shards DIR --held DIR --out DIR --steps N`.

Repeatable: the same shards, seed and steps give the same network on the same machine. It can be stopped at any time
(also by --minutes of processor time) and goes on from its last checkpoint when it is called again. Every few minutes
it measures itself on held-out training people and writes a line to metrics.jsonl and a picture.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.hgm.configuration import COMPACT
from pipelines.hgm.layer_network import LayerNetwork, load_layer_network
from training.hgm.batches import People, read_people, varied
from training.hgm.losses import Weights, direct_losses
from training.hgm.monitor import measure, picture
from training.hgm.side_views import side_losses

EVERY = 200  # steps between checkpoints and measurements
AVERAGE = 0.995  # of the running average of the weights, which is what is kept
WARM = 100  # steps until the full rate
DIRECT = 0.2  # share of a new network's steps with direct losses alone; then views from the sides are drawn as well


class Training:
    """Network, optimiser, average and place in the schedule."""

    def __init__(
        self, people: People, steps: int, batch: int, rate: float, seed: int, begin: Path | None = None
    ) -> None:
        torch.manual_seed(seed)
        self.people, self.steps, self.batch, self.rate = people, steps, batch, rate
        self.direct = DIRECT if begin is None else 0.0
        self.network = LayerNetwork() if begin is None else load_layer_network(begin).train()
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=rate, weight_decay=0.01)
        self.random = torch.Generator().manual_seed(seed)
        self.step, self.seconds = 0, 0.0
        self.order = torch.empty(0, dtype=torch.long)

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
        channels, truth, variation = varied(*self.people.take(which), self.random)
        with torch.autocast("cpu", torch.bfloat16):
            answer = self.network(channels)
        losses = direct_losses(channels, answer, truth, Weights())
        if share >= self.direct:
            sides = variation.of(self.people.sides(which), channels.shape[3])
            losses |= side_losses(channels, answer, truth.known, sides, Weights())
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

    def averaged(self) -> LayerNetwork:
        """The network with the running average of its weights."""
        made = LayerNetwork()
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


def export(training: Training, place: Path, facts: dict[str, str]) -> None:
    """The averaged weights as half precision safetensors with what they are in the metadata."""
    tensors: dict[str, Tensor] = {k: v.half().contiguous() for k, v in training.average.items()}
    save_file(tensors, place, metadata=facts)


def facts_of(training: Training, held: dict[str, float], seed: int, begin: str) -> dict[str, str]:
    """What a reader of the file wants to know, as safetensors' texts."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    seeds = training.people.seeds
    return {
        "config": json.dumps(asdict(COMPACT)), "licence": "same as the repository; trained on CC0 data only",
        "people": f"{len(seeds)} training people between seeds {int(seeds.min())} and {int(seeds.max())}",
        "steps": str(training.step), "batch": str(training.batch), "seed": str(seed), "commit": commit,
        "processor_minutes": f"{training.seconds / 60:.1f}", "began_from": begin,
        "held_out": json.dumps(held),
    }  # fmt: skip


def main(words: list[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, required=True, metavar="DIR")
    parser.add_argument("--held", type=Path, required=True, metavar="DIR", help="shards that are never trained on")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--minutes", type=float, default=600.0, help="of processor time of this call, then stop")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--begin", type=Path, metavar="FILE", help="weights to start from, as this script writes them")
    chosen = parser.parse_args(words)
    people, held = read_people(chosen.shards), read_people(chosen.held)
    if set(people.seeds.tolist()) & set(held.seeds.tolist()):
        parser.error("Some people are in both --shards and --held; they must be different people.")
    chosen.out.mkdir(parents=True, exist_ok=True)
    training = Training(people, chosen.steps, chosen.batch, chosen.rate, chosen.seed, chosen.begin)
    checkpoint = chosen.out / "checkpoint.pt"
    if checkpoint.exists():
        training.load(checkpoint)
    else:
        note(chosen.out, {"step": 0, **measure(training.averaged(), held)})
    begin = chosen.begin.name if chosen.begin else "zero"
    begun, running = training.seconds, {}
    while training.step < training.steps and training.seconds - begun < 60 * chosen.minutes:
        for name, value in training.one_step().items():
            running[name] = 0.98 * running.get(name, value) + 0.02 * value
        if training.step % EVERY == 0 or training.step == training.steps:
            line = {"step": training.step, "minutes": round(training.seconds / 60, 2),
                    **{k: round(v, 4) for k, v in running.items()}, **measure(training.averaged(), held)}  # fmt: skip
            note(chosen.out, line)
            training.save(checkpoint)
            picture(training.averaged(), held, chosen.out / "held.png")
            export(training, chosen.out / "hgm_layers.safetensors", facts_of(training, line, chosen.seed, begin))
    if training.step % EVERY:
        training.save(checkpoint)
    return 0


def note(folder: Path, line: dict[str, Any]) -> None:
    """A line of metrics, shown and kept."""
    print("  ".join(f"{k} {v}" for k, v in line.items()), flush=True)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    sys.exit(main())
