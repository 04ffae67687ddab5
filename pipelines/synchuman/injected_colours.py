"""What a decoder is given of the pictures, to be looked at: its many channels as three colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipelines.synchuman.principal_axes import principal_axes
from pipelines.synchuman.slat_transformer import SlatTransformer

Injected = tuple[NDArray[np.uint8], list[float]]


def injected_colours(decoder: SlatTransformer, colour: Tensor, normal: Tensor, coords: NDArray[np.integer]) -> Injected:
    """Maps of colours and of normals (4, M, M, C) as `view_maps` makes them, voxels (N, 3) -> (2, 4, M, M, 3) bytes, and
    the share of the variance that three axes hold, of both.

    Shown is what is added to the voxels: the maps behind the decoder's own first layers. The axes are those of the cells
    that some voxel looks at (`lift`), so that the person and not the ground decides the colours. A decoder that looks at
    no view has nothing to show: M is then 0.
    """
    layers = decoder.input_layer_color, decoder.input_layer_normal
    pictures, explained = [], []
    for layer, maps in zip(layers, (colour, normal), strict=True):
        if layer is None:
            return np.zeros((2, len(colour), 0, 0, 3), np.uint8), []
        values = np.nan_to_num(layer(maps.to(layer.weight)).float().cpu().numpy())  # half precision may overflow
        side = values.shape[1]
        x, y, row = coords[:, 0], coords[:, 1], side - 1 - coords[:, 2]
        looked_at = np.zeros(values.shape[:3], bool)
        for view in range(len(values)):
            looked_at[view, row, (x, y)[view % 2]] = True
        axes = principal_axes(values[looked_at])
        pictures.append((axes.colours(values) * 255 + 0.5).astype(np.uint8))
        explained.append(round(float(axes.explained.sum()), 4))
    return np.stack(pictures), explained
