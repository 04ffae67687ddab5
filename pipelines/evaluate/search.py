"""Failure search (after PoseExaminer): where, among people one can ask for, does a system fail worst?

A case is a seed with attributes (pose family, azimuth, garments, lens ...), known before the dear part, the run. The
arms of a bandit are the conditions on one attribute or two at once (a value of a text, a range of a number). Every
round takes the untried cases of the arms whose tried cases are worst, by the excess over all in standard errors shrunk
towards none, and some at random: few as long as no arm stands out, most once one does. At the end the arms that chance
alone does not explain (permutation test) are named.

A search that cannot find a fault that somebody planted says nothing when it finds none: `control` plants one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = float | str | bool
Array = NDArray[np.float64]
START = 12  # random cases before the first prediction
BATCH = 4  # cases per round
HOPEFUL, SURE = 1, 3  # of them from the worst arms, before and after one stands out
STANDS_OUT = 3.0  # shrunk standard errors
SHRINK = 3.0  # average cases that every arm is taken to have met already
BINS = 5
LEAST = 4  # tried cases that a region needs
SHUFFLES, CHANCE = 200, 0.02
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


@dataclass(frozen=True)
class Found:
    """Result of a search. tried: (seed, badness) worst first. regions: worst first; empty when nothing was found."""

    tried: tuple[tuple[int, float], ...]
    regions: tuple[Region, ...]
    evaluations: int
    pool: int
    facts: dict[str, Any] = field(default_factory=dict)

    def worst(self, count: int = 16) -> list[tuple[int, float]]:
        """The worst cases."""
        return list(self.tried[:count])


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


def search(
    cases: Sequence[Case], badness: Callable[[int], float], budget: int, seed: int = 0,
    say: Callable[[int, int, float], None] = lambda done, case, value: None,
) -> Found:  # fmt: skip
    """Spend `budget` calls of `badness(seed)` (larger is worse) on the worst of `cases`.

    say: told (calls done, seed, badness). The same arguments give the same answer. ValueError for no cases or a budget
    below START.
    """
    if len(cases) < START or budget < START:
        raise ValueError(f"A search came with {len(cases)} cases and a budget of {budget}; it needs {START} of each.")
    rng = np.random.default_rng(seed)
    arms = Arms.of([c.attributes for c in cases])
    order: list[int] = []
    scores: list[float] = []

    def try_one(index: int) -> None:
        order.append(index)
        scores.append(float(badness(cases[index].seed)))
        say(len(order), cases[index].seed, scores[-1])

    for index in rng.choice(len(cases), START, replace=False):
        try_one(int(index))
    while len(order) < min(budget, len(cases)):
        left = rng.permutation(np.setdiff1d(np.arange(len(cases)), order))
        for index in next_cases(arms, np.array(order), np.array(scores), left)[: budget - len(order)]:
            try_one(index)
    ranked = sorted(zip((cases[i].seed for i in order), scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
    regions = find_regions([cases[i].attributes for i in order], np.array(scores), rng)
    return Found(tuple(ranked), tuple(regions), len(order), len(cases))


@dataclass(frozen=True)
class Arms:
    """conditions: of each arm. members: (A, N) float32, 1 where a case meets them."""

    conditions: list[dict[str, Any]]
    members: NDArray[np.float32]

    @classmethod
    def of(cls, attributes: Sequence[Mapping[str, Value]]) -> Arms:
        """All conditions on one attribute and on two that at least LEAST and at most 60 % of the cases meet."""
        conditions, single = _conditions(attributes)
        first, second, both = _pairs(conditions, single)
        most = 0.6 * len(attributes)
        alone = np.flatnonzero(single.sum(1) <= most)
        wanted = np.flatnonzero((both >= LEAST) & (both <= most))
        labels = [dict([conditions[k]]) for k in alone]
        labels += [dict([conditions[first[k]], conditions[second[k]]]) for k in wanted]
        members = np.concatenate([single[alone], single[first[wanted]] & single[second[wanted]]]).astype(np.float32)
        return cls(labels, members)


def _pairs(
    conditions: Sequence[tuple[str, Any]], single: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """All pairs of conditions on different attributes, and how many cases meet both."""
    first, second = np.triu_indices(len(conditions), 1)
    names = np.array([c[0] for c in conditions], dtype="U")
    other = names[first] != names[second]
    counts = (single.astype(np.float32) @ single.T.astype(np.float32)).round().astype(np.intp)
    return first[other], second[other], counts[first[other], second[other]]


def next_cases(arms: Arms, tried: NDArray[np.intp], scores: Array, left: NDArray[np.intp]) -> list[int]:
    """The cases to try now: from the worst arms that have untried cases, the rest from the front of `left`."""
    spread = float(scores.std())
    chosen: list[int] = []
    if spread > 0 and len(arms.conditions):
        met = arms.members[:, tried]
        excess = met @ ((scores - scores.mean()) / spread) / np.sqrt(met.sum(1) + SHRINK)
        order = np.argsort(-excess, kind="stable")
        wanted = SURE if excess[order[0]] > STANDS_OUT else HOPEFUL
        for arm in order[:200]:
            chosen += [int(k) for k in left if arms.members[arm, k] and int(k) not in chosen][: wanted - len(chosen)]
            if len(chosen) >= wanted:
                break
    chosen += [int(k) for k in left if int(k) not in chosen][: BATCH - len(chosen)]
    return chosen


def find_regions(attributes: Sequence[Mapping[str, Value]], scores: Array, rng: np.random.Generator) -> list[Region]:
    """At most three regions of one or two conditions in which the scores are worse than chance explains.

    The measure is the excess of a region's mean in standard errors; the test shuffles the scores and takes the worst
    region anew each time. Constant scores give none.
    """
    spread = float(scores.std())
    if spread <= 1e-12 * max(1.0, float(np.abs(scores).max())):
        return []
    arms = Arms.of(attributes)
    if not arms.conditions:
        return []
    table = arms.members.astype(np.float64)
    count = table.sum(1)

    def excess(values: Array) -> Array:
        inside = table @ values / count
        return (inside - values.mean()) * np.sqrt(count * len(values) / (len(values) - count)) / values.std()

    real = excess(scores)
    chance = np.sort([excess(rng.permutation(scores)).max() for _ in range(SHUFFLES)])
    regions: list[Region] = []
    taken = np.zeros(len(scores), bool)
    for k in np.argsort(-real, kind="stable"):
        share = float(1.0 - np.searchsorted(chance, real[k]) / SHUFFLES)
        if share > CHANCE or len(regions) == 3:
            break
        inside = table[k] > 0
        # A region that says again what an earlier one said is no second finding.
        if (inside & taken).sum() > 0.5 * inside.sum():
            continue
        taken |= inside
        regions.append(
            Region(
                arms.conditions[k], int(count[k]), float(scores[inside].mean()), float(scores[~inside].mean()), share
            )
        )
    return regions


def _conditions(attributes: Sequence[Mapping[str, Value]]) -> tuple[list[tuple[str, Any]], NDArray[np.bool_]]:
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


def control(cases: Sequence[Case], budget: int, seed: int = 0) -> dict[str, Any]:
    """Whether the search finds a weakness planted among these cases: a system that is as bad as noise everywhere, but
    4 noise widths worse where two attributes have chosen values (2 to 10 per cent of the cases).

    Returns planted (words), share (of the cases), found (whether a reported region has at least half its tried cases
    there and at least half of the worst were planted), evaluations, uniform (planted cases that as many random ones
    would have met), met. `planted` is None when no pair of attributes is that rare.
    """
    rng = np.random.default_rng(seed + 1000)
    conditions, members = _conditions([c.attributes for c in cases])
    first, second, both = _pairs(conditions, members)
    rare = np.flatnonzero((both >= 0.02 * len(cases)) & (both <= 0.10 * len(cases)) & (both >= LEAST))
    if len(rare) == 0:
        return {"planted": None, "found": False}
    chosen = rare[int(rng.integers(len(rare)))]
    i, j = int(first[chosen]), int(second[chosen])
    planted = Region(dict([conditions[i], conditions[j]]), 0, 0.0, 0.0, 0.0)
    weak = {c.seed: bool(members[i][k] & members[j][k]) for k, c in enumerate(cases)}
    noise = {c.seed: float(v) for c, v in zip(cases, rng.standard_normal(len(cases)), strict=True)}
    found = search(cases, lambda s: noise[s] + 4.0 * weak[s], min(budget, len(cases)), seed)
    tried = [c for c in cases if c.seed in dict(found.tried)]
    met = sum(weak[c.seed] for c in tried)
    top = found.worst(max(min(met, 16), 1))
    hit = any(
        2 * sum(weak[c.seed] for c in tried if region.holds(c.attributes)) >= region.tried for region in found.regions
    )
    good = hit and 2 * sum(weak[s] for s, _ in top) >= len(top)
    share = float(np.mean(list(weak.values())))
    return {
        "planted": planted.words(), "share": share, "found": bool(good), "evaluations": found.evaluations, "met": met,
        "uniform": share * found.evaluations, "regions": [r.words() for r in found.regions],
    }  # fmt: skip
