"""Teach the lift that also sees the picture (`pipelines.body.picture_lift`).

    python -m training.picture_lift --photos FOLDER --held FOLDER --out assets/body/picture_lift.npz [--steps 6000]

Rows come from `training.body_lift_rows photos`: what the landmark network says of a training person, what it
sees (in the square and in its mirror image), and the truth. The landmarks' own path begins as
`assets/body/lift.npz`, which has seen many more poses, and the picture's path begins at zero. Every row counts twice,
mirrored; it is rolled and shaken. `--held`: people of other seeds, on whom every line of the log is measured, and by
whom the spreads are set right at the end: what is learned by heart looks more certain than it is.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.body.fit_lift import default_lift, features, spread_of
from pipelines.body.picture_lift import SCHEMA, both_ways
from training.body_lift import (
    OUTPUTS,
    Array,
    Descent,
    Found,
    LiftNetwork,
    Rows,
    likelihood,
    loss_of,
    read,
    real_rows,
    turned,
    turns,
)  # fmt: skip

SEEN = 1152


def rows_of(folder: Path) -> Rows:
    """`training.body_lift.real_rows` and `features` (2 n, 1152), mirrored rows behind the plain ones."""
    seen = read(folder)["features"]
    return {**real_rows(folder), "features": np.concatenate([seen[:, 0], seen[:, 1]])}


class PictureLift(LiftNetwork):
    """`pipelines.body.picture_lift.answer` with dropout, to be taught."""

    def __init__(self, hidden: int, seen_mean: Tensor, seen_scale: Tensor) -> None:
        begin = {name: torch.from_numpy(value.copy()) for name, value in default_lift().items()}
        within, count = begin["first"].shape
        super().__init__(count, within, torch.zeros(OUTPUTS), torch.zeros(2))
        self.look, self.beside = nn.Linear(SEEN, hidden), nn.Linear(count, hidden, bias=False)
        self.think, self.correct = nn.Linear(hidden, hidden), nn.Linear(hidden, 2 * OUTPUTS + 4)
        for name in ("mean", "scale"):
            self.register_buffer(name, begin[name])
        self.register_buffer("seen_mean", seen_mean)
        self.register_buffer("seen_scale", seen_scale)
        with torch.no_grad():
            for name in ("first", "second", "last", "straight"):
                layer = getattr(self, name)
                layer.weight.copy_(begin[name])
                if layer.bias is not None:
                    layer.bias.copy_(begin[name + "_bias"])
            self.correct.weight.zero_()
            self.correct.bias.zero_()

    def forward(self, x: Tensor, seen: Tensor) -> Found:  # type: ignore[override]
        x = (x - self.mean) / self.scale
        z = self.landmark_path(x)
        seen = self.drop(((seen - self.seen_mean) / self.seen_scale).clamp(-6, 6))
        h = torch.relu(self.look(seen) + self.beside(x))
        h = h + torch.relu(self.think(self.drop(h)))
        return self.parted(x, z + self.correct(self.drop(h)))


def batch(rows: Rows, at: Array, rng: np.random.Generator | None) -> tuple[Tensor, Tensor, Tensor, Tensor, Array]:
    """Features (n, 235), seen (n, 1152), points (n, 78) and whole (n, 2) of some rows, and the spread in metres (n,).

    rng: shakes and rolls them; None takes them as they are.
    """
    world, joints, px = rows["world"][at], rows["joints"][at], rows["px"][at]
    n = len(at)
    if rng is not None:
        roll = turns(2, np.radians(rng.normal(0, 4, n)))
        world, joints, px = turned(world, roll), turned(joints, roll), turned(px, roll[:, :2, :2])
        px = px + rng.normal(0, 0.012, px.shape) * spread_of(px)[:, None, None]
        world = world * np.exp(rng.normal(0, 0.05, (n, 1, 1))) + rng.normal(0, 0.015, world.shape)
    x, spread = features(px, world, rows["seen"][at], rows["assumed"][at])
    hips = joints[:, 1:3].mean(1, keepdims=True)
    size = spread * hips[:, 0, 2] / rows["focal"][at]
    points = ((joints - hips) / size[:, None, None]).reshape(n, -1)
    whole = np.stack([np.log(size), rows["pitch"][at]], 1)
    made = (torch.as_tensor(v, dtype=torch.float32) for v in (x, rows["features"][at], points, whole))
    return (*made, size)  # type: ignore[return-value]


def held_error(weights: dict[str, Array], rows: Rows) -> tuple[Array, Array, Array]:
    """(n, 26, 3) mm between what the file says, both ways, and the truth; (n, 26, 3) and (n, 2) errors over spreads."""
    n = len(rows["px"]) // 2
    x, seen, points, whole, size = batch(rows, np.arange(n), None)
    mirrored = batch(rows, np.arange(n, 2 * n), None)
    found, sigma, found_whole, whole_sigma = both_ways(
        {**weights, "calibration": np.ones(2)}, (x.numpy(), seen.numpy()), (mirrored[0].numpy(), mirrored[1].numpy())
    )
    miss = found - points.numpy().reshape(found.shape)
    return 1000 * miss * size[:, None, None], miss / sigma, (found_whole - whole.numpy()) / whole_sigma


def calibration(over: Array) -> float:
    """By what factor the spreads have to grow for `likelihood` to be greatest."""
    factors = np.exp(np.linspace(-0.7, 1.5, 111))
    cost = [float(likelihood(torch.as_tensor(over / f), torch.zeros(()), torch.zeros(())) + np.log(f)) for f in factors]
    return float(factors[int(np.argmin(cost))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--held", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--rate", type=float, default=1e-3)
    args = parser.parse_args()
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    rows, held = rows_of(args.photos), rows_of(args.held)
    print(f"{len(rows['px']) // 2} photos to learn from, {len(held['px']) // 2} held out", flush=True)
    seen = torch.as_tensor(rows["features"], dtype=torch.float32)
    network = PictureLift(args.hidden, seen.mean(0), seen.std(0) + 0.05)
    mean = copy.deepcopy(network)
    descend = Descent(network, args.rate, 0.1, args.steps)
    for step in range(args.steps + 1):
        if step % 500 == 0 or step == args.steps:
            miss, over, over_whole = held_error(mean.arrays(), held)
            say = f"{step} steps, held out {np.linalg.norm(miss, axis=2).mean():.1f} mm, {np.abs(miss[..., 2]).mean():.1f} deep"
            print(f"{say}, spreads x {calibration(over):.2f}", flush=True)
        if step == args.steps:
            break
        x, look, points, whole, _ = batch(rows, rng.integers(len(rows["px"]), size=128), rng)
        descend(loss_of(network(x, look), points, whole))
        with torch.no_grad():
            keep = min(0.998, step / (step + 10))
            for a, b in zip(mean.parameters(), network.parameters(), strict=True):
                a.lerp_(b, 1 - keep)
    kept = {n: v.astype(np.float16) if v.ndim == 2 else v.astype(np.float32) for n, v in mean.arrays().items()}
    np.savez_compressed(args.out, schema=np.array(SCHEMA), calibration=np.array([calibration(over), calibration(over_whole)]),
                        **kept)  # fmt: skip


if __name__ == "__main__":
    main()
