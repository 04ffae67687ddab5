"""Training of the layer network: `python -m training.hgm.train_layers --shards DIR --held DIR --out DIR --steps N`.

Direct losses first, then the person drawn from other sides as well. How it stops and goes on: see `course`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from pipelines.hgm.configuration import COMPACT
from pipelines.hgm.layer_network import LayerNetwork, load_layer_network
from training.hgm.batches import People, varied
from training.hgm.course import Course, arguments, read_both, run
from training.hgm.losses import Weights, direct_losses
from training.hgm.monitor import measure, picture
from training.hgm.side_views import side_losses

DIRECT = 0.2  # share of a new network's steps with direct losses alone; then views from the sides are drawn as well


class Training(Course[LayerNetwork]):
    """The layer network learns where front and back are, and what colour the back has."""

    def __init__(
        self, people: People, steps: int, batch: int, rate: float, seed: int, begin: Path | None = None
    ) -> None:
        torch.manual_seed(seed)
        network = LayerNetwork() if begin is None else load_layer_network(begin).train()
        super().__init__(network, people, steps, batch, rate, seed)
        self.direct = DIRECT if begin is None else 0.0

    def losses(self, which: Tensor, share: float) -> dict[str, Tensor]:
        channels, truth, variation = varied(*self.people.take(which), self.random)
        with torch.autocast("cpu", torch.bfloat16):
            answer = self.network(channels)
        losses = direct_losses(channels, answer, truth, Weights())
        if share >= self.direct:
            sides = variation.of(self.people.sides(which), channels.shape[3])
            losses |= side_losses(channels, answer, truth.known, sides, Weights())
        return losses


def main(words: list[str] | None = None) -> int:
    """See the module."""
    parser = arguments(__doc__)
    parser.add_argument("--begin", type=Path, metavar="FILE", help="weights to start from, as this script writes them")
    chosen = parser.parse_args(words)
    people, held = read_both(parser, chosen)
    training = Training(people, chosen.steps, chosen.batch, chosen.rate, chosen.seed, chosen.begin)
    run(
        training, chosen, "hgm_layers.safetensors", lambda: measure(training.averaged(), held),
        lambda place: picture(training.averaged(), held, place),
        {"config": json.dumps(asdict(COMPACT)), "began_from": chosen.begin.name if chosen.begin else "zero"},
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
