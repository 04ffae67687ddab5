"""What the two lifts share: the path that reads landmarks, how an answer lies in the last layer, and the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.body.lift_points import POINTS

Array = NDArray[np.float64]
Weights = dict[str, NDArray[np.float32]]
Answer = tuple[Array, Array, Array, Array]


def landmark_path(weights: Weights, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features (B, 235) scaled as the network was taught, and what its two hidden layers say of them, (B, 160)."""
    x = (x - weights["mean"]) / weights["scale"]
    h = np.maximum(x @ weights["first"].T + weights["first_bias"], 0)
    h = h + np.maximum(h @ weights["second"].T + weights["second_bias"], 0)
    return x, h @ weights["last"].T + weights["last_bias"]


def parted(weights: Weights, x: NDArray[np.float32], said: NDArray[np.float32]) -> Answer:
    """Points (B, 26, 3), their sigma, (B, 2) log size and pitch, their sigma, of what the layers say of scaled features."""
    z = said.astype(np.float64)
    n, p = len(x), 3 * len(POINTS)
    shape = (n, len(POINTS), 3)
    return (
        (z[:, :p] + x @ weights["straight"].T).reshape(shape),
        np.exp(np.clip(z[:, p : 2 * p], -5, 1)).reshape(shape),
        z[:, 2 * p : 2 * p + 2],
        np.exp(np.clip(z[:, 2 * p + 2 :], -5, 1)),
    )


def read_weights(path: Path, schema: str, script: str) -> Weights:
    """A lift's arrays as float32. script: what writes such a file. FileNotFoundError without the file, ValueError for
    another schema."""
    if not path.is_file():
        raise FileNotFoundError(
            f"The lift {path.name} is not at {path.parent}. It is part of the repository (assets/body); fetch it again, "
            f"or write it with {script}."
        )
    with np.load(path, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    found = str(data.pop("schema", ""))
    if found != schema:
        raise ValueError(f"{path.name} has schema {found!r}; this version reads {schema!r}. Write the file again.")
    return {name: value.astype(np.float32) for name, value in data.items()}
