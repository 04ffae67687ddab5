"""The lift that sees the picture: as `pipelines.body.fit_lift`, and reads what the landmark network sees.

The landmark network says 33 points; of what else it saw (where cloth and limbs cover one another, which way a palm or a
knee faces) its points say nothing. A second path of the lift reads the network's last map of 8 x 8 cells, averaged
over its quarters (1,152 numbers: `pose_landmarks.seen_in`). It looks twice, at the landmark network's square and at its
mirror image, and takes the mean of both answers (`training/picture_lift.py` teaches it on synthetic people).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.body.joints import MEDIAPIPE_NAMES
from pipelines.body.lift_points import POINTS

Array = NDArray[np.float64]
Weights = dict[str, NDArray[np.float32]]
Sight = tuple[NDArray[np.float32], NDArray[np.float32]]
DEFAULT_PATH = Path(__file__).resolve().parents[2] / "assets" / "body" / "picture_lift.npz"
SCHEMA = "humanscope.picture_lift/1"


def _mirror(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Places of the other side's names."""
    other = [n.replace("left", "<").replace("right", "left").replace("<", "right") for n in names]
    return np.array([names.index(n) for n in other])


LANDMARK_MIRROR = _mirror(tuple(MEDIAPIPE_NAMES))
POINT_MIRROR = _mirror(POINTS)


def answer(weights: Weights, x: NDArray[np.float32], seen: NDArray[np.float32]) -> tuple[Array, Array, Array, Array]:
    """The network on features (B, 235) and what was seen (B, 1152): points (B, 26, 3), their sigma, (B, 2) log size and
    pitch, their sigma; units of `fit_lift`."""
    x = (x - weights["mean"]) / weights["scale"]
    h = np.maximum(x @ weights["first"].T + weights["first_bias"], 0)
    h = h + np.maximum(h @ weights["second"].T + weights["second_bias"], 0)
    z = h @ weights["last"].T + weights["last_bias"]
    seen = np.clip((seen - weights["seen_mean"]) / weights["seen_scale"], -6, 6)
    h = np.maximum(seen @ weights["look"].T + weights["look_bias"] + x @ weights["beside"].T, 0)
    h = h + np.maximum(h @ weights["think"].T + weights["think_bias"], 0)
    z = (z + h @ weights["correct"].T + weights["correct_bias"]).astype(np.float64)
    n, p = len(x), 3 * len(POINTS)
    shape = (n, len(POINTS), 3)
    grow = weights.get("calibration", np.ones(2))
    return (
        (z[:, :p] + x @ weights["straight"].T).reshape(shape),
        np.exp(np.clip(z[:, p : 2 * p], -5, 1)).reshape(shape) * grow[0],
        z[:, 2 * p : 2 * p + 2],
        np.exp(np.clip(z[:, 2 * p + 2 :], -5, 1)) * grow[1],
    )


def both_ways(weights: Weights, plain: Sight, mirrored: Sight) -> tuple[Array, Array, Array, Array]:
    """`answer` of the person and of the person's mirror image turned back, their mean. Each: features, what was seen."""
    points, sigma, whole, whole_sigma = answer(weights, *plain)
    other, other_sigma, other_whole, other_whole_sigma = answer(weights, *mirrored)
    other, other_sigma = other[:, POINT_MIRROR] * (-1, 1, 1), other_sigma[:, POINT_MIRROR]
    return (
        (points + other) / 2,
        (sigma + other_sigma) / 2,
        (whole + other_whole) / 2,
        (whole_sigma + other_whole_sigma) / 2,
    )


def mirror_image(px: Array, world: Array, seen: Array) -> tuple[Array, Array, Array]:
    """Landmarks (B, 33, 2) px, (B, 33, 3) metres and (B, 33, 2) visibility of the mirrored person."""
    return px[:, LANDMARK_MIRROR] * (-1, 1), world[:, LANDMARK_MIRROR] * (-1, 1, 1), seen[:, LANDMARK_MIRROR]


def read_picture_lift(path: Path) -> Weights:
    """The network's arrays as float32. FileNotFoundError without the file, ValueError for another schema."""
    if not path.is_file():
        raise FileNotFoundError(
            f"The lift {path.name} is not at {path.parent}. It is part of the repository (assets/body); fetch it again, "
            "or write it with training/picture_lift.py."
        )
    with np.load(path, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    schema = str(data.pop("schema", ""))
    if schema != SCHEMA:
        raise ValueError(f"{path.name} has schema {schema!r}; this version reads {SCHEMA!r}. Write the file again.")
    return {name: value.astype(np.float32) for name, value in data.items()}


@lru_cache(maxsize=1)
def default_picture_lift() -> Weights:
    """The repository's own network, read once per process."""
    return read_picture_lift(DEFAULT_PATH)
