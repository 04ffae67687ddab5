"""What the picture alone says about how a person stands, before any fit: trunk, legs, and feet that carry.

Everything is read from 2D landmarks (their depth is what the fit must not trust) and is a score 0..1 without jumps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEFT_LEG, RIGHT_LEG = (23, 25, 27), (24, 26, 28)
HEELS, TOES = (29, 30), (31, 32)


@dataclass(frozen=True)
class Stance:
    """upright: how surely the person stands or walks. legs: (2,) how straight and vertical each leg is, left first.
    support: (2,) how surely each leg carries the person from its full length. contact: (6,) heel, inner ball, outer
    ball of the left foot, then of the right."""

    upright: float
    legs: Array
    support: Array
    contact: Array

    @property
    def both_feet(self) -> float:
        """How surely the person stands on both feet."""
        return float(self.support.min())


def fades(value: float, full: float, none: float) -> float:
    """1 at or before `full`, 0 at or beyond `none`, straight between them."""
    return float(np.clip((none - value) / (none - full), 0.0, 1.0))


def angle_between(a: Array, b: Array) -> float:
    """Degrees between two plane vectors."""
    lengths = max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9)
    return float(np.degrees(np.arccos(np.clip(float(a @ b) / lengths, -1, 1))))


def read_stance(body: Array, height_px: float) -> Stance:
    """body: (33, 4) px, px, visibility, presence; height_px: the person's height in the picture."""
    px, seen = body[:, :2].astype(np.float64), body[:, 2].astype(np.float64)
    down = np.array([0.0, 1.0])
    shoulders, hips = px[[11, 12]].mean(0), px[[23, 24]].mean(0)
    trunk = hips - shoulders
    trunk_length = max(float(np.linalg.norm(trunk)), 0.05 * height_px)
    trunk_score = fades(angle_between(trunk, down), 14, 28)
    legs, long_legs = np.zeros(2), np.zeros(2)
    for side, (hip, knee, ankle) in enumerate((LEFT_LEG, RIGHT_LEG)):
        thigh, shin = px[knee] - px[hip], px[ankle] - px[knee]
        # A leg bent towards the camera is collinear in the picture but short there, one part more than the other.
        reach = float(np.linalg.norm(px[ankle] - px[hip])) / trunk_length
        parts = float(np.linalg.norm(thigh)), float(np.linalg.norm(shin))
        even = min(parts) / max(max(parts), 1e-6)
        long_legs[side] = fades(-reach, -1.3, -1.05) * fades(-even, -0.7, -0.5)
        collinear = fades(angle_between(thigh, shin), 16, 32)
        vertical = fades(max(angle_between(thigh, down), angle_between(shin, down)), 25, 45)
        legs[side] = long_legs[side] * collinear * vertical
    upright = trunk_score * max(legs.max(), 0.0)
    lowest = px[[29, 30, 31, 32], 1].max()
    contact = np.zeros(6)
    low = np.zeros(2)
    for side in (0, 1):
        heel, toe = HEELS[side], TOES[side]
        foot_low = max(px[heel, 1], px[toe, 1])
        low[side] = fades((lowest - foot_low) / height_px, 0.07, 0.14) * min(1.0, 2 * seen[[heel, toe]].max())
        raised = fades((px[toe, 1] - px[heel, 1]) / height_px, 0.06, 0.10)
        lifted_toe = fades((px[heel, 1] - px[toe, 1]) / height_px, 0.035, 0.06)
        contact[3 * side : 3 * side + 3] = low[side] * np.array([raised, lifted_toe, lifted_toe])
    return Stance(float(upright), legs, low * long_legs, contact)
