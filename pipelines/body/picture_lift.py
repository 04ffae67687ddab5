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
from pipelines.body.lift_network import Answer, Array, Weights, landmark_path, parted, read_weights
from pipelines.body.lift_points import POINTS, mirrored

Sight = tuple[NDArray[np.float32], NDArray[np.float32]]
DEFAULT_PATH = Path(__file__).resolve().parents[2] / "assets" / "body" / "picture_lift.npz"
SCHEMA = "humanscope.picture_lift/1"


LANDMARK_MIRROR = mirrored(MEDIAPIPE_NAMES)
POINT_MIRROR = mirrored(POINTS)


def answer(weights: Weights, x: NDArray[np.float32], seen: NDArray[np.float32]) -> Answer:
    """The network on features (B, 235) and what was seen (B, 1152): points (B, 26, 3), their sigma, (B, 2) log size and
    pitch, their sigma; units of `fit_lift`."""
    x, said = landmark_path(weights, x)
    seen = np.clip((seen - weights["seen_mean"]) / weights["seen_scale"], -6, 6)
    h = np.maximum(seen @ weights["look"].T + weights["look_bias"] + x @ weights["beside"].T, 0)
    h = h + np.maximum(h @ weights["think"].T + weights["think_bias"], 0)
    points, sigma, whole, whole_sigma = parted(weights, x, said + h @ weights["correct"].T + weights["correct_bias"])
    grow = weights["calibration"]
    return points, sigma * grow[0], whole, whole_sigma * grow[1]


def both_ways(weights: Weights, plain: Sight, reflection: Sight) -> Answer:
    """`answer` of the person and of the person's mirror image turned back, their mean. Each: features, what was seen."""
    points, sigma, whole, whole_sigma = answer(weights, *reflection)
    turned_back = points[:, POINT_MIRROR] * (-1, 1, 1), sigma[:, POINT_MIRROR], whole, whole_sigma
    a, b, c, d = ((here + there) / 2 for here, there in zip(answer(weights, *plain), turned_back, strict=True))
    return a, b, c, d


def mirror_image(px: Array, world: Array, seen: Array) -> tuple[Array, Array, Array]:
    """Landmarks (B, 33, 2) px, (B, 33, 3) metres and (B, 33, 2) visibility of the mirrored person."""
    return px[:, LANDMARK_MIRROR] * (-1, 1), world[:, LANDMARK_MIRROR] * (-1, 1, 1), seen[:, LANDMARK_MIRROR]


def read_picture_lift(path: Path) -> Weights:
    """The network's arrays; FileNotFoundError and ValueError as `read_weights` says."""
    return read_weights(path, SCHEMA, "training/picture_lift.py")


@lru_cache(maxsize=1)
def default_picture_lift() -> Weights:
    """The repository's own network, read once per process."""
    return read_picture_lift(DEFAULT_PATH)
