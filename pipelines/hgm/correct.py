"""Two layers through the compact network."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.hgm.coarse import CoarseParams
from pipelines.hgm.layer_input import Crop, improved, layer_input, spread
from pipelines.hgm.layer_network import LayerNetwork, load_layer_network
from pipelines.projection.outline import nearest
from pipelines.records import Body, BodyMaps, Layers
from pipelines.step import Context


def correct(layers: Layers, body: Body, maps: BodyMaps, params: CoarseParams, ctx: Context) -> Layers:
    """The work of the step `hgm.coarse`; see its declaration."""
    network = _network(ctx.weight_file("hgm.layers"))
    given = layer_input(layers, body, maps)
    ctx.progress(0.2, "what the network sees")
    with torch.inference_mode():
        answer = network(torch.from_numpy(given.channels)[None])
    moves, photo, tint, doubt = (
        outwards(a[0].numpy(), given.mask) for a in (answer.moves, answer.photo, answer.tint, answer.spread)
    )
    moves *= np.float32(params.depth)
    photo, tint = photo * np.float32(params.colour), tint * np.float32(params.colour)
    ctx.progress(0.8, "front and back moved", moved_picture(moves, given.mask))
    made = improved(layers, given.crop, moves, photo[0], tint)
    return with_doubt(made, given.crop, doubt)


def last_features(
    layers: Layers, body: Body, maps: BodyMaps, weights: Path
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What the network's last convolution reads (H, W, C), and the person (H, W), on the crop it looks at."""
    given = layer_input(layers, body, maps)
    with torch.inference_mode():
        _, found = _network(weights).unet(torch.from_numpy(given.channels)[None], views=1)
    return found[0].permute(1, 2, 0).numpy(), given.mask


def outwards(values: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(C, H, W) with those outside the mask (H, W) taken from the nearest pixel inside.

    No loss has ever seen what the network says there, and a finer grid would mix it into the person's rim.
    """
    if not mask.any():
        return values
    rows, columns = nearest(mask)
    return np.ascontiguousarray(values[:, rows, columns])


def with_doubt(layers: Layers, crop: Crop, expected: NDArray[np.float32]) -> Layers:
    """The layers with `front_doubt` and `back_doubt` (h, w), metres: the mean error that the network expects of its
    depths, 0 outside the person. expected (2, h, w): the same in crop heights, on a grid over the crop."""
    mask = layers.arrays["mask"]
    doubt = {
        f"{side}_doubt": (spread(expected[k], crop, mask.shape) * np.float32(crop.unit) * mask).astype(np.float32)
        for k, side in enumerate(("front", "back"))
    }
    return Layers({**layers.arrays, **doubt}, layers.camera)


def moved_picture(moves: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, 2 W, 3) how front and back were moved: red towards the camera, blue away, full at a tenth of the height."""
    strength = np.clip(moves / 0.1, -1, 1) * mask
    rgb = np.stack([1 - np.maximum(strength, 0), 1 - np.abs(strength), 1 - np.maximum(-strength, 0)], -1)
    return np.hstack(list(rgb)).astype(np.float32)


@lru_cache(maxsize=2)
def _network(path: Path) -> LayerNetwork:
    return load_layer_network(path)
