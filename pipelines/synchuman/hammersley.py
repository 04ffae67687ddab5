"""Points that fill a square evenly without repeating: for directions around a person and for places in a voxel."""

from __future__ import annotations


def radical_inverse(index: int, base: int) -> float:
    """The digits of `index` in `base`, mirrored behind the point."""
    value, place = 0.0, 1.0 / base
    while index:
        index, digit = divmod(index, base)
        value += digit * place
        place /= base
    return value
