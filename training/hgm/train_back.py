"""Training of the back refiner: `python -m training.hgm.train_back --shards DIR --held DIR --layers FILE --out DIR`.

Half of each batch learns the likeliest back (choice zero); for each of the other half several choices are drawn, and
the nearest to the truth is brought nearer. How it stops and goes on: see `course`.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pipelines.hgm.back_network import CHOICES, SHAPE, BackAnswer, BackNetwork, fine_structure, front_of
from pipelines.hgm.layer_input import place_of
from pipelines.hgm.layer_network import LayerNetwork, load_layer_network
from training.hgm.batches import People, varied
from training.hgm.course import Course, arguments, read_both, run
from training.hgm.losses import HEAD, Truth, is_head, masked_mean, true_back, unrest

DRAWN = 3  # choices among which the nearest is looked for
LEVELS = 3  # of the Laplacian pyramid
TEXTURE, EDGES, CALM = 1.0, 1.0, 0.02  # weights beside the colours' own 1
OF_HELD = 4  # choices beside zero whose best is measured
SHOWN = 8  # people of the picture


@dataclass(frozen=True)
class Seen:
    """What the refiner is given of a batch, and the truth of it. known: (B, H, W) float."""

    channels: Tensor
    moves: Tensor
    coarse: Tensor
    fine: Tensor
    wanted: Tensor
    known: Tensor
    head: Tensor

    def of(self, which: Tensor) -> Seen:
        """Some of them (n,), also repeatedly."""
        return Seen(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


@torch.no_grad()
def seen(channels: Tensor, truth: Truth, layers: LayerNetwork) -> Seen:
    """A batch through the layer network, as the program does it."""
    answer = layers(channels)
    known = truth.known.float()
    head = (1 + (HEAD - 1) * is_head(channels).float()) * known
    fine = fine_structure(front_of(channels), channels[:, place_of("alpha")])
    return Seen(channels, answer.moves, answer.back_rgb(channels), fine, true_back(channels, truth), known, head)


class BackTraining(Course[BackNetwork]):
    """The back refiner learns what people look like from behind."""

    def __init__(self, people: People, layers: LayerNetwork, steps: int, batch: int, rate: float, seed: int) -> None:
        torch.manual_seed(seed)
        super().__init__(BackNetwork(), people, steps, batch, rate, seed)
        self.layers = layers.eval()

    def losses(self, which: Tensor, share: float) -> dict[str, Tensor]:
        channels, truth, _ = varied(*self.people.take(which), self.random)
        with torch.autocast("cpu", torch.bfloat16):
            given = seen(channels, truth, self.layers)
            choice = torch.zeros(len(which), CHOICES)
            drawn = torch.arange(len(which) // 2)
            if len(drawn):
                choice[drawn] = nearest_choice(self.network, given.of(drawn), self.random)
            answer = self.network(given.channels, given.moves, given.coarse, choice)
        return back_losses(given, answer)


@torch.no_grad()
def nearest_choice(network: BackNetwork, given: Seen, random: torch.Generator) -> Tensor:
    """(B, 8) of DRAWN choices per person the one whose back is nearest to the true one."""
    count = len(given.channels)
    choice = torch.randn(DRAWN * count, CHOICES, generator=random)
    many = given.of(torch.arange(count).repeat(DRAWN))
    answer = network(many.channels, many.moves, many.coarse, choice)
    far = distance(painted(answer, many), many).reshape(DRAWN, count)
    return choice.reshape(DRAWN, count, CHOICES)[far.argmin(0), torch.arange(count)]


def painted(answer: BackAnswer, given: Seen) -> Tensor:
    """(B, 3, H, W) the back that the answer gives."""
    return answer.painted(front_of(given.channels), given.fine, given.coarse)


def distance(made: Tensor, given: Seen) -> Tensor:
    """(B,) mean difference of the colours inside the person, heads weighing more."""
    return apart(made, given.wanted, given.head)


def apart(one: Tensor, other: Tensor, weight: Tensor) -> Tensor:
    """(B,) mean difference of two pictures (B, 3, H, W) under a weight (B, H, W)."""
    return ((one - other).abs().mean(1) * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1.0)


def back_losses(given: Seen, answer: BackAnswer) -> dict[str, Tensor]:
    """Each term, weighted: colours, edges at LEVELS sizes, unrest of the texture, and little change for nothing."""
    made, wanted = painted(answer, given), given.wanted
    colour = (made - wanted).abs().mean(1)
    busy = (unrest(made, given.known) - unrest(wanted, given.known)).abs().mean(1)
    return {
        "colour": masked_mean(colour, given.head),
        "edges": EDGES * edge_error(made, wanted, given.known),
        "texture": TEXTURE * masked_mean(busy, given.known),
        "calm": CALM * sum(part.square().mean() for part in (answer.photo, answer.gate, answer.detail)),
    }


def edge_error(made: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """Mean difference of the bands of two Laplacian pyramids (B, 3, H, W), inside the known (B, H, W)."""
    total = made.new_zeros(())
    error, weight = (made - wanted) * known[:, None], known
    for _ in range(LEVELS):
        # Both pyramids are linear: the bands of the difference are the differences of the bands.
        low = F.avg_pool2d(error, 2, ceil_mode=True)
        band = error - F.interpolate(low, size=error.shape[2:], mode="nearest")
        total = total + masked_mean(band.abs().mean(1), weight)
        error, weight = low, F.avg_pool2d(weight[:, None], 2, ceil_mode=True)[:, 0]
    return total


@torch.inference_mode()
def measure(network: BackNetwork, layers: LayerNetwork, held: People) -> dict[str, float]:
    """Means over people, 1/255: error of the back's colours and of the head's, of the coarse back and of the refined
    one; `best`: the nearest of it and OF_HELD drawn ones; `apart`: how far those are from the likeliest; `busy`: error of
    the texture's unrest."""
    rows: list[dict[str, float]] = []
    random = torch.Generator().manual_seed(1)
    for start in range(0, len(held), 8):
        given = seen(*held.take(torch.arange(start, min(start + 8, len(held)))), layers)
        choices = [torch.zeros(len(given.channels), CHOICES)]
        choices += [torch.randn(len(given.channels), CHOICES, generator=random) for _ in range(OF_HELD)]
        made = [painted(network(given.channels, given.moves, given.coarse, c), given) for c in choices]
        on_head = (given.head > 1.5).float()
        far = torch.stack([apart(m, given.wanted, given.known) for m in made])
        spread = torch.stack([apart(m, made[0], given.known) for m in made[1:]]).mean(0)
        for k in range(len(given.channels)):
            row = {"coarse": apart(given.coarse, given.wanted, given.known)[k], "refined": far[0, k],
                   "best": far[:, k].min(), "apart": spread[k]}  # fmt: skip
            if bool(on_head[k].any()):
                row["coarse_head"] = apart(given.coarse, given.wanted, on_head)[k]
                row["head"] = apart(made[0], given.wanted, on_head)[k]
            for name, picture in (("coarse_busy", given.coarse), ("busy", made[0]), ("drawn_busy", made[1])):
                error = (unrest(picture, given.known) - unrest(given.wanted, given.known)).abs().mean(1)
                row[name] = masked_mean(error[k], given.known[k])
            rows.append({name: 255 * float(value) for name, value in row.items()})
    names = sorted({n for r in rows for n in r})
    return {n: round(float(np.nanmean([r.get(n, np.nan) for r in rows])), 3) for n in names}


@torch.inference_mode()
def picture(network: BackNetwork, layers: LayerNetwork, held: People, place: Path) -> None:
    """Rows: photo, coarse back, refined, three drawn ones, true."""
    given = seen(*held.take(torch.arange(min(SHOWN, len(held)))), layers)
    random = torch.Generator().manual_seed(1)
    front = front_of(given.channels)
    cells = [front, given.coarse]
    for k in range(4):
        choice = torch.randn(len(front), CHOICES, generator=random) * float(k > 0)
        cells.append(painted(network(given.channels, given.moves, given.coarse, choice), given))
    cells.append(given.wanted)
    mask = given.known[:, None]
    whole = torch.cat([torch.cat(list(c if k == 0 else c * mask + 1 - mask), 1) for k, c in enumerate(cells)], 2)
    pixels: NDArray[np.uint8] = (whole.permute(1, 2, 0).clamp(0, 1).numpy() * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(place)


def main(words: list[str] | None = None) -> int:
    """See the module."""
    parser = arguments(__doc__)
    parser.add_argument("--layers", type=Path, required=True, metavar="FILE", help="weights of the layer network")
    chosen = parser.parse_args(words)
    people, held = read_both(parser, chosen)
    layers = load_layer_network(chosen.layers)
    training = BackTraining(people, layers, chosen.steps, chosen.batch, chosen.rate, chosen.seed)
    run(
        training, chosen, "hgm_back.safetensors", lambda: measure(training.averaged(), layers, held),
        lambda place: picture(training.averaged(), layers, held, place),
        {"config": json.dumps(asdict(SHAPE)), "layers": chosen.layers.name},
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
