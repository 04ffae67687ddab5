"""Hats: turned forms around the skull."""

from __future__ import annotations

import numpy as np

from training.people.figure import Material, Part
from training.people.garments import hemmed
from training.people.helpers_mesh import Posed
from training.people.skull import head, skull_marks
from training.people.turned import follow, grid_part

HATS = ("beanie", "baseball_cap", "brim_hat", "bucket_hat")


def hat(kind: str, body: Posed, rng: np.random.Generator, material: Material) -> tuple[list[Part], float]:
    """A hat of HATS and the rest height (m) above which hair must not show."""
    h = head()
    rest = body.rest[h.ids]
    top, back, side, middle = skull_marks(body)
    front = float(rest[h.scalp > 0.5][:, 2].max())
    depth = (front - back[2]) / 2 + 0.012
    centre = np.array([0, 0, (front + back[2]) / 2])
    rise = top[1] - middle[1]
    base = middle[1] + {"beanie": -0.012, "baseball_cap": 0.004, "brim_hat": 0.008, "bucket_hat": 0.016}[kind]
    puff = {"beanie": 0.014, "baseball_cap": 0.015, "brim_hat": 0.018, "bucket_hat": 0.019}[kind]
    tall = rise - (base - middle[1]) + (0.03 if kind == "beanie" else 0.045 if kind == "brim_hat" else 0.016)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    wide = np.stack([(side + puff) * np.sin(angle), 0 * angle, (depth + puff) * np.cos(angle)], 1)
    tilt = {"beanie": -0.2, "baseball_cap": -0.06}.get(kind, -0.02)
    levels = []
    brim = {"brim_hat": 0.075, "bucket_hat": 0.05}.get(kind, 0.0) * float(rng.uniform(0.8, 1.2))
    drop = {"brim_hat": 0.004, "bucket_hat": 0.035}.get(kind, 0.0)
    if brim:
        scale = 1 + brim / (side + puff)
        levels += [(scale, -drop), (1 + 0.5 * (scale - 1), -0.5 * drop)]
    if kind == "beanie":
        levels += [(1.03, -0.012), (1.045, 0.012), (1.03, 0.03)]
    levels.append((1.0, 0.0))
    if kind == "brim_hat":
        levels += [(0.97, 0.4 * tall), (0.9, 0.8 * tall), (0.75, 0.98 * tall), (0.35, tall), (0.01, 0.97 * tall)]
    else:
        levels += [
            (float(np.sqrt(max(1 - t**2.4, 0.0))) * 1.0 + 0.01, t * tall)
            for t in (0.25, 0.45, 0.62, 0.76, 0.87, 0.95, 0.99, 1.0)
        ]
    points = np.stack([centre + np.array([0, base + y, 0]) + wide * s for s, y in levels])
    points[..., 1] += tilt * (points[..., 2] - centre[2]) * -1.0
    parts = [grid_part("hat", follow(points[::-1], {"head": 1.0}, body), material)]
    if kind == "baseball_cap":
        spread = np.linspace(-0.95, 0.95, 15)
        arc = np.stack([(side + puff) * np.sin(spread), 0 * spread, (depth + puff) * np.cos(spread)], 1)
        inner = centre + np.array([0, base + 0.004, 0]) + arc
        outer = inner + np.stack(
            [0.05 * np.sin(spread), -0.028 + 0.018 * np.cos(spread * 1.6), 0.075 * np.cos(spread)], 1
        )
        visor = np.stack([inner, 0.5 * (inner + outer) + np.array([0, 0.004, 0]), outer])
        made = grid_part("hat", follow(visor, {"head": 1.0}, body), material, closed=False)
        parts.append(hemmed(made, 0.004))
    return parts, base + 0.006
