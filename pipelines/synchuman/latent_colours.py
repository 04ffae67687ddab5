"""Latents as small pictures without the autoencoder: a linear map to colours, found on the photo's own latents.

An autoencoder's latent and the mean colour of its cell are close to linearly related; the canvas gives both. So the
estimates of every sampling step can be painted at no cost, whichever autoencoder it is.
"""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]

RIDGE = 1e-3  # of the mean square of the latents


def colour_map(latents: Tensor, pictures: Tensor) -> Floats:
    """Least squares from latents (n, 4, L, L) to the mean colours of pictures (n, 3, 8 L, 8 L) 0..1 -> (5, 3)."""
    cells = F.interpolate(pictures.float(), latents.shape[-2:], mode="area")
    x = latents.float().permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).double().cpu().numpy()
    y = cells.permute(0, 2, 3, 1).reshape(-1, 3).double().cpu().numpy()
    x = np.column_stack([x, np.ones(len(x))])
    hold = RIDGE * len(x) * np.diag([*[float(np.mean(x[:, :-1] ** 2))] * (x.shape[1] - 1), 0.0])
    return np.linalg.solve(x.T @ x + hold, x.T @ y).astype(np.float32)


def as_pictures(latents: Tensor, colours: Floats) -> NDArray[np.uint8]:
    """(10, 4, L, L) -> (2 L, 5 L, 3): five views of normals above five of colours."""
    values = latents.float().cpu().permute(0, 2, 3, 1).numpy() @ colours[:-1] + colours[-1]
    rows = [np.concatenate(list(values[i : i + 5]), 1) for i in (0, 5)]
    made: NDArray[np.uint8] = (np.clip(np.concatenate(rows), 0, 1) * 255 + 0.5).astype(np.uint8)
    return made
