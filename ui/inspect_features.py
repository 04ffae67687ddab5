"""What the layer network tells apart: its last features as colours, along the three axes in which they differ most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Body, BodyMaps, Floats, Layers
from pipelines.step import UserError
from pipelines.synchuman.principal_axes import PrincipalAxes, principal_axes
from pipelines.weights import Weights
from ui.inspect_numbers import to_json
from ui.inspect_posed_views import cells_sheet
from ui.run_reader import RunReader

ROLE = "hgm.layers"
AXES = ("Red", "Green", "Blue")


def sheet(reader: RunReader, step: str, argument: str) -> bytes:
    """Four cells in a row: three axes as red, green and blue, then each one alone, light where its feature is high.
    argument: the steps that gave layers, body and maps."""
    features, mask, axes = read_features(reader, argument)
    colours = axes.colours(features)
    alone = [np.repeat(colours[..., k : k + 1], 3, -1) for k in range(len(axes.spread))]
    alpha = mask[..., None].astype(np.float32)
    return cells_sheet([np.concatenate([rgb, alpha], -1).astype(np.float32) for rgb in (colours, *alone)])


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """{'cells': [{label, note, wide, high}]} of that sheet: the share of all difference that each shows."""
    features, mask, axes = read_features(reader, argument)
    high, wide = mask.shape
    size = {"wide": wide, "high": high}
    shares = [f"{100 * share:.0f} % of the difference" for share in axes.explained]
    whole = {"label": f"{len(shares)} of {features.shape[-1]} features' axes", **size,
             "note": f"{100 * axes.explained.sum():.0f} % of the difference"}  # fmt: skip
    return to_json({"cells": [whole, *({"label": n, "note": s, **size} for n, s in zip(AXES, shares, strict=False))]})


def read_features(reader: RunReader, argument: str) -> tuple[Floats, NDArray[np.bool_], PrincipalAxes]:
    """The network's last features (H, W, C) on its own crop, the person (H, W), and their axes among the person's pixels.

    The network is asked again, as no step keeps them. UserError when a record or the weights are missing, or nobody is
    there.
    """
    # The network is heavy and wanted here alone.
    from pipelines.hgm.correct import last_features

    layers, body, maps = (reader.record(name) for name in argument.split())
    assert isinstance(layers, Layers) and isinstance(body, Body) and isinstance(maps, BodyMaps)
    if not layers.arrays["mask"].any():
        raise UserError("The layers hold nobody; check the cut-out.")
    features, mask = last_features(layers, body, maps, Weights(reader.run.weights).path(ROLE))
    return features, mask, principal_axes(features[mask])
