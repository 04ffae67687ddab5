"""Shards as batches of tensors, and what is varied anew each time a person is shown."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipelines.hgm.layer_input import place_of
from training.hgm.losses import Truth
from training.hgm.side_views import SideViews

TILT = 0.05  # crop heights per crop height: standard deviation of the turn of the given depths about the pelvis
SHIFT = 0.01  # crop heights
BETTER = 0.8  # the largest share of a fit's error that is taken away, so that better fits are seen as well
GAIN = 0.15  # standard deviation of a channel's logarithmic gain


@dataclass(frozen=True)
class People:
    """All samples of some shards in memory, as in `samples.Sample`, first axis people."""

    seeds: Tensor
    channels: Tensor
    mask: Tensor
    depth: Tensor
    known: Tensor
    back_rgb: Tensor
    view_rgba: Tensor
    view_K: Tensor
    view_pose: Tensor
    crop_K: Tensor
    pelvis: Tensor

    def __len__(self) -> int:
        return len(self.seeds)

    def take(self, which: Tensor) -> tuple[Tensor, Truth]:
        """Channels (B, 32, H, W) float32 and the truth of some people (B,)."""
        known = self.known[which] & self.mask[which]
        return self.channels[which].float(), Truth(self.depth[which].float(), known, self.back_rgb[which].float() / 255)

    def sides(self, which: Tensor) -> SideViews:
        """The true pictures of some people (B,) from their other sides."""
        return SideViews(self.view_rgba[which].float() / 255, self.view_K[which], self.view_pose[which],
                         self.crop_K[which], self.pelvis[which])  # fmt: skip


@dataclass(frozen=True)
class Variation:
    """What was done to a batch: mirrored (B,), and colour channels in the order (B, 3), then times gain (B, 3, 1, 1)."""

    mirrored: Tensor
    gain: Tensor
    order: Tensor

    def of(self, sides: SideViews, width: int) -> SideViews:
        """The same done to the views from the sides; width: of the crop, pixels."""
        return sides.mirrored(self.mirrored, width).recoloured(self.gain, self.order)


def read_people(folder: Path) -> People:
    """Every shard of a folder; FileNotFoundError when there is none."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise FileNotFoundError(f"There is no shard in '{folder}'; make some with python -m training.hgm.shards.")
    names = tuple(f.name for f in fields(People))
    columns: dict[str, list[np.ndarray]] = {n: [] for n in names}
    for file in files:
        with np.load(file, allow_pickle=False) as shard:
            for name in names:
                columns[name].append(shard[name])
    return People(*(torch.from_numpy(np.concatenate(columns[n])) for n in names))


def varied(channels: Tensor, truth: Truth, random: torch.Generator) -> tuple[Tensor, Truth, Variation]:
    """The batch mirrored at random, in other colours, and with the given depths tilted: more errors of the fit."""
    count = len(channels)
    mirrored = torch.rand(count, generator=random) < 0.5
    channels, truth = _mirrored(channels, truth, mirrored)
    channels = _tilted(_better_fitted(channels.clone(), truth, random), random)
    gain = torch.exp(GAIN * torch.randn(count, 3, 1, 1, generator=random))
    order = torch.stack([
        torch.randperm(3, generator=random) if float(torch.rand((), generator=random)) < 0.15 else torch.arange(3)
        for _ in range(count)
    ])  # fmt: skip
    rows = torch.arange(count)[:, None]
    alpha = channels[:, place_of("alpha")]
    for name in ("rgb", "back_rgb"):
        colour = (channels[:, place_of(name)][rows, order] + 1) / 2
        colour = alpha * (colour * gain).clamp(0, 1) + (1 - alpha) * colour
        channels[:, place_of(name)] = colour * 2 - 1
    back = (truth.back_rgb[rows, order] * gain).clamp(0, 1)
    return channels, Truth(truth.depth, truth.known, back), Variation(mirrored, gain, order)


def _mirrored(channels: Tensor, truth: Truth, which: Tensor) -> tuple[Tensor, Truth]:
    flipped = channels.flip(3)
    # What points to the side changes its sign; a ray's moment is a cross product, so its other two components do.
    for name, parts in (("ray", (1, 2, 3)), ("front_normal", (0,)), ("back_normal", (0,)), ("front_place", (0,)),
                        ("back_place", (0,))):  # fmt: skip
        start = place_of(name).start
        for part in parts:
            flipped[:, start + part] = -flipped[:, start + part]
    pick = which[:, None, None, None]
    return torch.where(pick, flipped, channels), Truth(
        torch.where(pick, truth.depth.flip(3), truth.depth),
        torch.where(which[:, None, None], truth.known.flip(2), truth.known),
        torch.where(pick, truth.back_rgb.flip(3), truth.back_rgb),
    )


def _better_fitted(channels: Tensor, truth: Truth, random: torch.Generator) -> Tensor:
    """The given depths moved towards the true ones by a share drawn per person, as a better fit would have them."""
    share = (
        BETTER
        * torch.rand(len(channels), 1, 1, generator=random)
        * (torch.rand(len(channels), 1, 1, generator=random) < 0.5)
    )
    for side, name in enumerate(("front", "back")):
        given = channels[:, place_of(name)][:, 0]
        move = torch.where(truth.known, share * (truth.depth[:, side] - given), 0.0)
        channels[:, place_of(name).start] = given + move
        covered = channels[:, place_of("covered")][:, 0] > 0.5
        channels[:, place_of(f"body_{name}").start] += move * covered
    return channels


def _tilted(channels: Tensor, random: torch.Generator) -> Tensor:
    count, _, high, wide = channels.shape
    y = torch.linspace(-0.5, 0.5, high)[None, :, None]
    x = torch.linspace(-0.5 * wide / high, 0.5 * wide / high, wide)[None, None]
    a, b, c = torch.randn(3, count, 1, 1, generator=random)
    plane = TILT * (a * y + 0.5 * b * x) + SHIFT * c
    for name, inside in (("front", None), ("back", None), ("body_front", "covered"), ("body_back", "covered")):
        place = place_of(name)
        mask = channels[:, place] != 0 if inside is None else channels[:, place_of(inside)] > 0.5
        channels[:, place] += plane[:, None] * mask
    return channels
