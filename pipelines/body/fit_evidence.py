"""What a photo says about a body, in the numbers a fit needs: pixels, lifted joints, stance, silhouette."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_hands import observed_palms
from pipelines.body.fit_lift import Lift, lifted
from pipelines.body.fit_points import LANDMARK_NAMES
from pipelines.body.fit_stance import Stance, read_stance
from pipelines.body.fit_start import lean_of
from pipelines.records import Keypoints

Array = NDArray[np.float64]

# Spread of a landmark, percent of the person's height.
_SIGMA = {"eye": 0.5, "nose": 0.5, "mouth": 0.6, "ear": 0.8, "shoulder": 0.8, "hip": 1.5, "elbow": 0.7, "wrist": 0.7,
          "knee": 0.8, "ankle": 0.7, "heel": 0.9, "toe": 0.9, "little": 1.2, "index": 1.2, "thumb": 1.8}  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """px (33, 2), weights (33,) 0..1, sigma (33,) px, world (33, 3) metres, lifted, K (3, 3), height_px, stance,
    lean (radians, of the raw 3D landmarks), outside: (h, w) px outside the silhouette on a grid of outside_scale cells
    per px, palms: side -> (3, 3) palm frame where a hand was read, lift,
    edited (33,): moved by hand."""

    px: Array
    weights: Array
    sigma: Array
    world: Array
    K: Array
    image_size: tuple[int, int]
    height_px: float
    stance: Stance
    lean: float
    outside: Array
    outside_scale: float
    palms: dict[str, Array]
    lift: Lift
    edited: NDArray[np.bool_]


def person_height(alpha: NDArray, body: Array) -> float:
    """The longer side of the silhouette's box, px; of the landmarks' box where there is no silhouette."""
    ys, xs = np.nonzero(alpha > 0.5)
    seen = body[body[:, 3] > 0.3] if (body[:, 3] > 0.3).any() else body
    box = np.ptp(seen[:, :2], axis=0).max()
    if len(ys) < 50:
        return float(box * 1.08)
    return float(max(np.ptp(ys), np.ptp(xs)) + 1)


def read_evidence(keypoints: Keypoints, alpha: NDArray, K: Array, upright: float | None = None) -> Evidence:
    """alpha (H, W); K (3, 3) px; upright: 0..1, or None to read it from the picture."""
    body, world = keypoints.body.astype(np.float64), keypoints.world.astype(np.float64)
    edited = keypoints.edited
    height_px = person_height(alpha, body)
    stance = read_stance(body, height_px)
    lift = lifted(body, world, K, edited, keypoints.seen)
    sure = np.where(edited, 1.0, np.clip(body[:, 2], 0, 1) ** 2 * np.clip(body[:, 3], 0, 1))
    weights = np.where(edited, 4.0, np.maximum(sure, 0.02))
    names = [n.split("_")[1] if "_" in n else n for n in LANDMARK_NAMES]
    sigma = np.array([_SIGMA[n] for n in names]) * 0.01 * height_px
    lean = lean_of(world, stance.support if upright is None else np.ones(2))
    outside, scale = outside_distance(alpha)
    return Evidence(body[:, :2].copy(), weights, sigma, lift.world(world), np.asarray(K, np.float64),
                    (alpha.shape[1], alpha.shape[0]), height_px, stance, lean,
                    outside, scale, observed_palms(keypoints), lift,
                    edited)  # fmt: skip


def outside_distance(alpha: NDArray, longest: int = 384) -> tuple[Array, float]:
    """Distance in photo px from the silhouette, 0 inside, on a small grid; and the grid's cells per px."""
    scale = min(1.0, longest / max(alpha.shape))
    size = (max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale)))
    small = cv2.resize(np.asarray(alpha, np.float32), size, interpolation=cv2.INTER_AREA)
    inside = small > 0.4
    if not inside.any():
        return np.zeros(small.shape), scale
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
    return distance.astype(np.float64) / scale, scale
