"""How good a layer network is on held-out people, beside doing nothing; and a picture of what it does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pipelines.hgm.layer_input import place_of
from pipelines.hgm.layer_network import LayerAnswer, LayerNetwork
from training.hgm.batches import People
from training.hgm.losses import is_head, predicted_depth, true_back

SHOWN = 8  # people of the picture


@torch.inference_mode()
def measure(network: LayerNetwork, held: People) -> dict[str, float]:
    """Means over people, inside the person: depth errors of front and back in 1/1000 of the crop's height, colour error
    of the back and of the back of the head in 1/255, each with the given layers' (`*_given`); thickness errors as depths;
    `spread`: how many times the error is what the network expected."""
    rows: list[dict[str, float]] = []
    for start in range(0, len(held), 8):
        channels, truth = held.take(torch.arange(start, min(start + 8, len(held))))
        answer = network(channels)
        nothing = LayerAnswer(answer.raw, *(0 * a for a in (answer.moves, answer.photo, answer.tint)), answer.spread)
        for name, said in (("", answer), ("_given", nothing)):
            signed = predicted_depth(channels, said) - truth.depth
            depth, thickness = signed.abs(), (signed[:, 1] - signed[:, 0]).abs()
            colour = (said.back_rgb(channels) - true_back(channels, truth)).abs().mean(1)
            head = is_head(channels)
            for k in range(len(channels)):
                if name == "":
                    rows.append({})
                known = truth.known[k]
                row = rows[start + k]
                row[f"front{name}"] = float(depth[k, 0][known].mean()) * 1000
                row[f"back{name}"] = float(depth[k, 1][known].mean()) * 1000
                row[f"thick{name}"] = float(thickness[k][known].mean()) * 1000
                row[f"spread{name}"] = float((depth[k] / said.spread[k])[:, known].mean())
                row[f"colour{name}"] = float(colour[k][known].mean()) * 255
                if bool((known & head[k]).any()):
                    row[f"head{name}"] = float(colour[k][known & head[k]].mean()) * 255
    names = sorted({n for r in rows for n in r})
    return {n: round(float(np.nanmean([r.get(n, np.nan) for r in rows])), 2) for n in names}


@torch.inference_mode()
def picture(network: LayerNetwork, held: People, place: Path) -> None:
    """Rows: photo; given, answered, true front depth; the same of the back; given, answered, true colours behind."""
    channels, truth = held.take(torch.arange(min(SHOWN, len(held))))
    answer = network(channels)
    given = torch.stack([channels[:, place_of(n)][:, 0] for n in ("front", "back")], 1)
    depth = predicted_depth(channels, answer)
    shown = (channels[:, place_of("back_rgb")] + 1) / 2
    rows = []
    for k in range(len(channels)):
        known = truth.known[k].numpy()
        cells = [((channels[k, :3] + 1) / 2).permute(1, 2, 0).numpy()]
        for side in (0, 1):
            cells += [_grey(d[k, side].numpy(), known) for d in (given, depth, truth.depth)]
        cells += [
            c[k].permute(1, 2, 0).numpy() * known[..., None] for c in (shown, answer.back_rgb(channels), truth.back_rgb)
        ]
        rows.append(np.hstack(cells))
    whole = (np.vstack(rows).clip(0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(whole).save(place)


def _grey(depth: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Depth as grey, near is bright, a third of the crop's height from black to white."""
    return np.repeat((np.clip(0.5 - 1.5 * depth, 0.05, 1) * known)[..., None], 3, -1).astype(np.float32)
