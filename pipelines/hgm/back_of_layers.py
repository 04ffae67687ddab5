"""The work of the step hgm.back of the compact preset."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import torch

from pipelines.hgm.back_frame import back_frame, coarse_back
from pipelines.hgm.back_network import CHOICES, BackAnswer, BackNetwork, fine_kernel, load_back_network
from pipelines.hgm.correct import outwards
from pipelines.hgm.featureless import featureless, made_behind
from pipelines.hgm.layer_input import LayerInput, cut, layer_input, pasted, place_of, spread
from pipelines.hgm.records import BackView
from pipelines.records import Body, BodyMaps, Floats, Layers, on_white
from pipelines.step import Context

if TYPE_CHECKING:
    from pipelines.hgm.layer_back import LayerBackParams


def back_of_layers(
    coarse: Layers, given: Layers, body: Body, maps: BodyMaps, params: LayerBackParams, ctx: Context
) -> BackView:
    """See the step. coarse: the layers after the network; given: those it was asked about."""
    frame = back_frame(coarse, body)
    picture = coarse_back(coarse, frame)
    start = on_white(picture)
    ctx.progress(0.05, "the coarse person from behind", start)
    if params.refiner == "none":
        return BackView(picture, start[None], {"refiner": "none", "stand_in": False})
    network = _network(ctx.weight_file("hgm.back"))
    seen, answered = layer_input(without_features(given), body, maps), layer_input(coarse, body, maps)
    seeds: list[int | None] = [None, *(ctx.seed + i for i in range(1, params.variants))]
    photo = photo_for_back(coarse, seen)
    images: list[Floats] = []
    for i, seed in enumerate(seeds):
        ctx.progress(0.1 + 0.9 * i / len(seeds), f"variant {i + 1} of {len(seeds)}", images[-1] if images else start)
        answer = asked(network, seen, answered, choice_of(seed, params.variety)).times(params.strength)
        made = painted(coarse, seen, answer, photo)
        images.append(on_white(coarse_back(made, frame)))
    ctx.progress(1.0, "back views", np.hstack(images))
    facts = {"refiner": "network", "stand_in": False, "strength": params.strength, "variety": params.variety,
             "seeds": seeds}  # fmt: skip
    return BackView(picture, np.stack(images), facts)


def choice_of(seed: int | None, variety: float) -> torch.Tensor:
    """(1, 8) the numbers that say which back is meant: zero without a seed, else drawn, times `variety`."""
    if seed is None:
        return torch.zeros(1, CHOICES)
    return variety * torch.randn(1, CHOICES, generator=torch.Generator().manual_seed(seed))


def asked(network: BackNetwork, seen: LayerInput, answered: LayerInput, choice: torch.Tensor) -> BackAnswer:
    """The network's answer over the crop. answered: what it would be asked of the corrected layers."""
    channels = torch.from_numpy(seen.channels)[None]
    after = torch.from_numpy(answered.channels)[None]
    moves = torch.cat([after[:, place_of(n)] - channels[:, place_of(n)] for n in ("front", "back")], 1)
    with torch.inference_mode():
        return network(channels, moves, (after[:, place_of("back_rgb")] + 1) / 2, choice)


class PhotoForBack(NamedTuple):
    """What of the photo may be laid on the back, on the layers' own grid: `shown` and its `fine` structure, (1, 3, h, w);
    neither has features where the back's colours are made (`featureless`)."""

    shown: torch.Tensor
    fine: torch.Tensor


def without_features(layers: Layers) -> Layers:
    """The layers with the photo that may be laid on their back (`featureless`). Shown a dark bag before a made back, the
    network adds light against the bag's share, which is not laid there: a bright spot behind the bag."""
    return Layers({**layers.arrays, "front_rgb": featureless(layers, made_behind(layers))}, layers.camera)


def photo_for_back(layers: Layers, seen: LayerInput) -> PhotoForBack:
    """See `PhotoForBack`; fine structure is measured on the crop, whose height says what is fine."""
    a, window = layers.arrays, seen.crop.window
    structure = structure_of(cut(a["front_rgb"], window), cut(a["alpha"] * a["mask"], window))
    behind = made_behind(layers)
    fine = pasted(structure, window, a["mask"].shape) * (1 - behind[..., None])
    return PhotoForBack(picture_of(featureless(layers, behind)), picture_of(fine))


def structure_of(front: Floats, alpha: Floats) -> Floats:
    """(h, w, 3) `fine_structure` of a photo (h, w, 3) and alpha (h, w) by opencv, ten times as fast on a whole photo;
    its very kernel and not `outline.smooth`'s, because the network was taught on it."""
    inside = (alpha > 0.5).astype(np.float32)
    bell = fine_kernel(len(front)).numpy()
    summed = cv2.sepFilter2D(
        np.dstack([front * inside[..., None], inside]), -1, bell, bell, borderType=cv2.BORDER_CONSTANT
    )
    mean = summed[..., :3] / np.maximum(summed[..., 3:], 1e-3)
    return np.asarray((front - mean) * inside[..., None], np.float32)


def painted(layers: Layers, seen: LayerInput, answer: BackAnswer, photo: PhotoForBack) -> Layers:
    """The layers with an answer on their back, on their own grid, so that both keep their own detail."""
    a = layers.arrays
    mask = a["mask"]

    said = torch.cat([answer.photo, answer.gate, answer.own, answer.detail], 1)[0].numpy()
    inside = outwards(said, seen.mask)
    on_grid = torch.from_numpy(np.stack([spread(v, seen.crop, mask.shape) for v in inside]))[None]
    finer = BackAnswer(*on_grid.split((1, 1, 3, 1), 1))
    made = finer.painted(photo.shown, photo.fine, picture_of(a["back_rgb"]))[0].permute(1, 2, 0).numpy()
    return Layers({**a, "back_rgb": np.where(mask[..., None], made, a["back_rgb"]).astype(np.float32)}, layers.camera)


def picture_of(rgb: Floats) -> torch.Tensor:
    """(H, W, 3) -> (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None]


@lru_cache(maxsize=2)
def _network(path: Path) -> BackNetwork:
    return load_back_network(path)
