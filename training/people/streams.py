"""Seeds: which people there are, which of them are for tests only, and one stream of chance per aspect.

Every aspect of a person (shape, pose, clothes, folds, ...) draws from its own generator, keyed by the seed and the
aspect's name, so that a new aspect never changes the others. Numbers that end in pictures are made in double precision
and rounded to 2^-17 m at the end, so that the last bits of another processor's arithmetic do not show.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

TRAIN = range(0, 9000)
TEST = range(9000, 10000)
GRID = 2.0**17  # steps per metre of every vertex that leaves this package
T = TypeVar("T")


def split_of(seed: int) -> str:
    """'train' or 'test'; ValueError for a seed that is neither."""
    if seed in TRAIN:
        return "train"
    if seed in TEST:
        return "test"
    raise ValueError(f"There is no person {seed}; training has seeds 0 to 8999, tests have 9000 to 9999.")


def stream(seed: int, aspect: str) -> np.random.Generator:
    """The generator of one aspect of one person."""
    return np.random.default_rng([seed, zlib.crc32(aspect.encode())])


def choose(rng: np.random.Generator, weights: Mapping[str, float] | Sequence[tuple[str, float]]) -> str:
    """One name, with probability in proportion to its weight; exactly one number is drawn."""
    pairs = list(weights.items()) if isinstance(weights, Mapping) else list(weights)
    total = np.cumsum([w for _, w in pairs])
    at = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
    return pairs[min(at, len(pairs) - 1)][0]


def rounded(points: NDArray[np.floating]) -> NDArray[np.float32]:
    """Metres on the grid of 2^-17 m as float32 (exact below 128 m)."""
    return (np.round(np.asarray(points, np.float64) * GRID) / GRID).astype(np.float32)
