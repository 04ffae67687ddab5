"""One damped step of Levenberg-Marquardt with Marquardt's diagonal (Marquardt 1963), for every fit of a body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Found = TypeVar("Found")
TRIALS = 4  # dampings that are tried before a step is given up
EASE = 4.0  # by which the damping falls after a step that helped


@dataclass
class Damping:
    """value: now. grow: factor after a step that did not help. least, most: bounds."""

    value: float
    grow: float
    least: float
    most: float = float("inf")


def damped_step(
    jacobian: Array,
    residual: Array,
    damping: Damping,
    turns: int,
    largest_turn: float,
    tried: Callable[[Array], Found | None],
) -> Found | None:
    """What the first step that helps leads to, None when none does; the damping is changed.

    jacobian (R, P), residual (R,). turns: so many of the first columns are angles, none of which changes by more than
    `largest_turn` radians. tried: takes a step (P,) and gives what lies there, or None when it is no better.
    """
    H, g = jacobian.T @ jacobian, jacobian.T @ residual
    diagonal = np.diag(H) + 1e-9
    for _ in range(TRIALS):
        step = np.asarray(-np.linalg.solve(H + np.diag(damping.value * diagonal), g), np.float64)
        step *= min(1.0, largest_turn / max(float(np.abs(step[:turns]).max()), 1e-9))
        found = tried(step)
        if found is not None:
            damping.value = max(damping.value / EASE, damping.least)
            return found
        damping.value = min(damping.value * damping.grow, damping.most)
    return None
