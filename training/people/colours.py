"""Colours of clothes, hair and skin (sRGB 0..1) and the recipes of drawn cloth."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.people.reserved import allowed
from training.people.streams import choose

Colour = tuple[float, float, float]

CLOTH: list[tuple[tuple[int, int, int], float]] = [
    ((24, 24, 27), 2.0),
    ((58, 60, 66), 1.2),
    ((120, 122, 126), 1.2),
    ((188, 188, 188), 0.9),
    ((238, 236, 230), 2.0),
    ((28, 38, 66), 1.8),
    ((52, 80, 128), 1.2),
    ((110, 148, 190), 0.9),
    ((196, 178, 148), 1.2),
    ((142, 110, 78), 0.9),
    ((84, 60, 44), 0.8),
    ((88, 92, 60), 0.9),
    ((46, 78, 58), 0.7),
    ((120, 36, 44), 0.8),
    ((184, 48, 44), 0.8),
    ((214, 132, 60), 0.5),
    ((222, 184, 82), 0.6),
    ((204, 140, 150), 0.6),
    ((146, 110, 160), 0.5),
    ((130, 180, 160), 0.5),
    ((232, 210, 190), 0.6),
    ((70, 140, 150), 0.4),
]
DENIM = [(44, 62, 96), (70, 96, 136), (116, 146, 182), (32, 36, 48), (150, 156, 164)]
HAIR = {
    "black": ((22, 18, 17), 2.2),
    "dark": ((42, 27, 20), 2.2),
    "brown": ((70, 44, 28), 2.0),
    "auburn": ((105, 48, 26), 0.5),
    "red": ((150, 66, 30), 0.3),
    "ash": ((140, 118, 92), 0.7),
    "blond": ((190, 148, 92), 1.0),
}
GREY_HAIR = [(150, 148, 146), (215, 213, 210), (110, 106, 102)]
SKIN = [
    ((228, 184, 156), 1.3),
    ((206, 164, 128), 1.2),
    ((180, 128, 92), 1.0),
    ((150, 104, 76), 0.8),
    ((120, 78, 52), 0.7),
    ((87, 57, 40), 0.5),
]
PATTERNS = {
    "plain": 5.0,
    "stripes": 1.2,
    "check": 0.5,
    "plaid": 0.6,
    "dots": 0.35,
    "floral": 0.6,
    "pinstripe": 0.3,
    "herringbone": 0.2,
    "blocks": 0.3,
    "gradient": 0.15,
    "camouflage": 0.4,
    "zigzag": 0.3,
    "marble": 0.3,
    "houndstooth": 0.2,
    "argyle": 0.2,
    "tie_dye": 0.2,
}


# Length after which a pattern repeats, before it is varied by a factor of 0.7 to 1.4.
PERIOD_M = {
    "stripes": 0.05,
    "check": 0.045,
    "plaid": 0.12,
    "dots": 0.05,
    "floral": 0.17,
    "pinstripe": 0.02,
    "herringbone": 0.03,
    "blocks": 0.45,
    "gradient": 1.0,
    "camouflage": 0.3,
    "zigzag": 0.1,
    "marble": 0.4,
    "houndstooth": 0.04,
    "argyle": 0.14,
    "tie_dye": 0.6,
}


def colour(rgb: tuple[int, int, int]) -> Colour:
    """0..255 -> 0..1."""
    return (rgb[0] / 255, rgb[1] / 255, rgb[2] / 255)


def cloth_colour(rng: np.random.Generator) -> Colour:
    """A colour people wear, a little off."""
    at = choose(rng, [(str(i), w) for i, (_, w) in enumerate(CLOTH)])
    base = np.array(CLOTH[int(at)][0]) / 255 * (1 + 0.12 * rng.normal()) + 0.02 * rng.normal(size=3)
    return tuple(round(float(v), 4) for v in np.clip(base, 0.03, 0.96))  # type: ignore[return-value]


def recipe(rng: np.random.Generator, name: str, split: str) -> tuple[dict[str, Any], Colour]:
    """Pattern and first colour for a garment of this name."""
    tint = cloth_colour(rng)
    seed = int(rng.integers(1 << 20))
    if name in ("jeans", "short shorts", "flared trousers") or (name == "jacket" and rng.random() < 0.4):
        return (
            {"name": "denim", "weave": "denim", "fade": round(float(rng.random() * 0.8), 3), "seed": seed},
            colour(DENIM[int(rng.integers(len(DENIM)))]),
        )
    weights = allowed("print", PATTERNS, split, favour=2.5)
    if name in (
        "trousers",
        "wide trousers",
        "joggers",
        "leggings",
        "closed coat",
        "open coat",
        "jacket",
        "vest",
        "hoodie",
        "shorts",
    ):
        weights = {k: w * (1.0 if k in ("plain", "pinstripe", "herringbone") else 0.3) for k, w in weights.items()}
    kind = choose(rng, weights)
    weave = {
        "sweater": "knit",
        "cardigan": "knit",
        "hoodie": "jersey",
        "t-shirt": "jersey",
        "long sleeve": "jersey",
        "trousers": "canvas",
        "joggers": "melange",
    }.get(name, ("jersey", "smooth", "canvas")[int(rng.integers(3))])
    pattern: dict[str, Any] = {"name": kind, "weave": weave, "seed": seed}
    if kind != "plain":
        pattern["colours"] = [tint, cloth_colour(rng), cloth_colour(rng)]
        pattern["period_m"] = round(float(PERIOD_M[kind] * rng.uniform(0.7, 1.4)), 4)
        pattern["duty"] = round(float(rng.uniform(0.3, 0.55)), 3)
        pattern["angle_deg"] = 90 if kind == "pinstripe" or (kind == "stripes" and rng.random() < 0.2) else 0
    return pattern, tint


def hair_colour(rng: np.random.Generator, age: float) -> Colour:
    """By age: grey comes between 40 and 70."""
    grey = rng.random() < np.clip((age - 42) / 26, 0, 0.92)
    name = choose(rng, {n: w for n, (_, w) in HAIR.items()})
    base = np.array(GREY_HAIR[int(rng.integers(3))] if grey else HAIR[name][0]) / 255 * (1 + 0.1 * rng.normal())
    return tuple(round(float(v), 4) for v in np.clip(base, 0.03, 0.95))  # type: ignore[return-value]
