"""What a failure search asks about: conditions on what is known of a person (attributes), one or two at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = float | str | bool
Array = NDArray[np.float64]
BINS = 5
LEAST = 4  # cases that a condition needs
CIRCULAR = "azimuth"  # numbers whose name begins so are angles, 360 degrees


@dataclass(frozen=True)
class Case:
    """seed: makes the person. attributes: what is known of it before any run."""

    seed: int
    attributes: Mapping[str, Value]


@dataclass(frozen=True)
class Region:
    """Where it fails. conditions: {attribute: text or (low, high)}. tried: cases in it; mean, rest: badness inside and
    outside; chance: share of shuffled scores with a region as bad."""

    conditions: dict[str, Any]
    tried: int
    mean: float
    rest: float
    chance: float

    def holds(self, attributes: Mapping[str, Value]) -> bool:
        """Whether a case lies in the region."""
        return all(_inside(attributes.get(name), wanted, name) for name, wanted in self.conditions.items())

    def words(self) -> str:
        """The conditions as text."""
        parts = []
        for name, wanted in self.conditions.items():
            if isinstance(wanted, tuple):
                end = 360.0 if name.startswith(CIRCULAR) and wanted[1] == 0.0 else wanted[1]
                parts.append(f"{name} {wanted[0]:.4g} to {end:.4g}")
            else:
                parts.append(name if wanted == "True" else f"{name} = {wanted}")
        return " and ".join(parts)


def attributes_of(facts: Mapping[str, Any]) -> dict[str, Value]:
    """The searchable part of `Subject.facts`: numbers, truth values, texts; lists of texts become 'name: member' truth
    values. The seed and anything nested deeper is left out."""
    found: dict[str, Value] = {}
    for name, value in facts.items():
        if name == "seed":
            continue
        if isinstance(value, (bool, str)):
            found[name] = value
        elif isinstance(value, (int, float)):
            found[name] = float(value)
        elif isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
            found |= {f"{name}: {v}": True for v in value}
    return found


@dataclass(frozen=True)
class Arms:
    """conditions: of each arm. members: (A, N) float32, 1 where a case meets them."""

    conditions: list[dict[str, Any]]
    members: NDArray[np.float32]

    @classmethod
    def of(cls, attributes: Sequence[Mapping[str, Value]]) -> Arms:
        """All conditions on one attribute and on two that at least LEAST and at most 60 % of the cases meet."""
        conditions, single = conditions_of(attributes)
        first, second, both = pairs_of(conditions, single)
        most = 0.6 * len(attributes)
        alone = np.flatnonzero(single.sum(1) <= most)
        wanted = np.flatnonzero((both >= LEAST) & (both <= most))
        labels = [dict([conditions[k]]) for k in alone]
        labels += [dict([conditions[first[k]], conditions[second[k]]]) for k in wanted]
        members = np.concatenate([single[alone], single[first[wanted]] & single[second[wanted]]]).astype(np.float32)
        return cls(labels, members)


def pairs_of(
    conditions: Sequence[tuple[str, Any]], single: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """All pairs of conditions on different attributes, and how many cases meet both."""
    first, second = np.triu_indices(len(conditions), 1)
    names = np.array([c[0] for c in conditions], dtype="U")
    other = names[first] != names[second]
    counts = (single.astype(np.float32) @ single.T.astype(np.float32)).round().astype(np.intp)
    return first[other], second[other], counts[first[other], second[other]]


def conditions_of(attributes: Sequence[Mapping[str, Value]]) -> tuple[list[tuple[str, Any]], NDArray[np.bool_]]:
    """Every value of a text, and every run of one to three neighbouring bins of a number, that at least LEAST cases
    and not all of them meet; and (C, N) which do."""
    conditions: list[tuple[str, Any]] = []
    members: list[NDArray[np.bool_]] = []
    for name in sorted({n for a in attributes for n in a}):
        values = [a.get(name, False) for a in attributes]
        if all(isinstance(v, float) for v in values):
            options: list[Any] = _ranges(name, np.array(values, np.float64))
        else:
            options = [v for v in sorted({str(v) for v in values}) if v != "False"]
        for option in options:
            member = np.array([_inside(v, option, name) for v in values])
            if LEAST <= member.sum() < len(values):
                conditions.append((name, option))
                members.append(member)
    return conditions, np.array(members, bool).reshape(len(members), len(attributes))


def _ranges(name: str, values: Array) -> list[tuple[float, float]]:
    if name.startswith(CIRCULAR):
        edges = 45.0 * np.arange(8)
        return [(float(e), float((e + 45.0 * n) % 360.0)) for n in (1, 2, 3) for e in edges]
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)))
    return [
        (float(edges[i]), float(edges[j]))
        for i in range(len(edges)) for j in range(i + 1, min(i + 4, len(edges)))
        if j - i < len(edges) - 1
    ]  # fmt: skip


def _inside(value: Value | None, wanted: Any, name: str) -> bool:
    if not isinstance(wanted, tuple):
        return str(value) == str(wanted)
    if not isinstance(value, float):
        return False
    low, high = wanted
    if name.startswith(CIRCULAR) and high <= low:
        return value % 360.0 >= low or value % 360.0 < high
    return low <= (value % 360.0 if name.startswith(CIRCULAR) else value) <= high
