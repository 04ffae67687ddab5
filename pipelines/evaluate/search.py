"""Failure search (after PoseExaminer): where, among people one can ask for, does a system fail worst?

A case is a seed with attributes (pose family, azimuth, garments, lens ...), known before the dear part, the run. The
hypotheses are the arms of `pipelines.evaluate.arms` (conditions on one attribute or two at once) and that there is no
weak arm. Every run draws one of them by its probability given the scores so far (Thompson 1933) and tries an untried
case of that arm, or, where it drew none, the case that meets the most arms nobody has looked into. At the end the arms
that chance alone does not explain (permutation test) are named.

A search that cannot find a fault that somebody planted says nothing when it finds none: `control` plants one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluate.arms import LEAST, Arms, Case, Region, Value, conditions_of, pairs_of

Array = NDArray[np.float64]
START = 12  # random cases before the first prediction
EFFECT = 2.0  # how much worse a weak arm is expected to be, in standard deviations of the scores elsewhere
SHUFFLES, CHANCE = 200, 0.02


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


def search(
    cases: Sequence[Case], badness: Callable[[int], float], budget: int, seed: int = 0,
    say: Callable[[int, int, float], None] = lambda done, case, value: None, *, guided: bool = True,
) -> Found:  # fmt: skip
    """Spend `budget` calls of `badness(seed)` (larger is worse) on the worst of `cases`.

    say: told (calls done, seed, badness). guided: False tries random cases, for comparison. The same arguments give the
    same answer. ValueError for no cases or a budget below START.
    """
    if len(cases) < START or budget < START:
        raise ValueError(f"A search came with {len(cases)} cases and a budget of {budget}; it needs {START} of each.")
    rng = np.random.default_rng(seed)
    belief = Belief(Arms.of([c.attributes for c in cases]), len(cases))
    while len(belief.order) < min(budget, len(cases)):
        left = rng.permutation(np.setdiff1d(np.arange(len(cases)), belief.order))
        index = int(belief.choose(left, rng) if guided and len(belief.order) >= START else left[0])
        belief.learn(index, float(badness(cases[index].seed)))
        say(len(belief.order), cases[index].seed, belief.scores[-1])
    seeds = (cases[i].seed for i in belief.order)
    ranked = sorted(zip(seeds, belief.scores, strict=True), key=lambda pair: (-pair[1], pair[0]))
    regions = find_regions([cases[i].attributes for i in belief.order], np.array(belief.scores), rng)
    return Found(tuple(ranked), tuple(regions), len(belief.order), len(cases))


class Belief:
    """What the scores so far say about the arms. order: tried cases; scores: theirs."""

    def __init__(self, arms: Arms, cases: int) -> None:
        self.members = np.ascontiguousarray(arms.members.T)  # (N, A)
        self.sizes = arms.members.sum(1)
        self.met = np.zeros(len(self.sizes), np.float32)
        self.sums = np.zeros(len(self.sizes))
        self.order: list[int] = []
        self.scores: list[float] = []
        assert len(self.members) == cases or not len(self.sizes)

    def learn(self, case: int, score: float) -> None:
        """One more score."""
        self.order.append(case)
        self.scores.append(score)
        if len(self.sizes):
            self.met += self.members[case]
            self.sums += score * self.members[case]

    def odds(self) -> Array:
        """(A,) how much likelier than 'no arm is weak' it is that this one is, with equal shares for all arms.

        Scores are normal with one unknown mean and width; a weak arm adds an effect that is itself normal with EFFECT
        widths (Bayes factor of a linear model with unknown width, e.g. Murphy 2007). Arms without untried cases get 0.
        """
        values = np.array(self.scores)
        count, mean = len(values), float(values.mean())
        total = float(((values - mean) ** 2).sum())
        if total <= 1e-24 * max(1.0, mean * mean) * count:
            return np.zeros(len(self.sizes))
        excess = self.sums - self.met * mean
        share = self.met - self.met.astype(np.float64) ** 2 / count
        explained = excess**2 / (share + EFFECT**-2) / total
        factor = -0.5 * (count - 1) * np.log(np.maximum(1 - explained, 1e-9)) - 0.5 * np.log1p(EFFECT**2 * share)
        good = (excess > 0) & (self.met < self.sizes)
        return np.where(good, np.exp(np.minimum(factor, 600.0)) / max(len(self.sizes), 1), 0.0)

    def choose(self, left: NDArray[np.intp], rng: np.random.Generator) -> int:
        """The case to try now, of `left` in their order."""
        if not len(self.sizes):
            return int(left[0])
        odds = self.odds()
        if rng.random() * (1.0 + odds.sum()) < 1.0:
            unmet = (self.met == 0).astype(np.float32)
            return int(left[np.argmax((self.members @ unmet)[left])])
        arm = min(int(np.searchsorted(np.cumsum(odds), rng.random() * odds.sum(), side="right")), len(odds) - 1)
        return int(left[np.argmax(self.members[left, arm])])


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


def control(cases: Sequence[Case], budget: int, seed: int = 0, *, guided: bool = True) -> dict[str, Any]:
    """Whether the search finds a weakness planted among these cases: a system that is as bad as noise everywhere, but
    4 noise widths worse where two attributes have chosen values (2 to 10 per cent of the cases).

    Returns planted (words), share (of the cases), found (whether a reported region has at least half its tried cases
    there and at least half of the worst were planted), evaluations, uniform (planted cases that as many random ones
    would have met), met. `planted` is None when no pair of attributes is that rare. guided: False has random
    cases tried, for comparison.
    """
    rng = np.random.default_rng(seed + 1000)
    conditions, members = conditions_of([c.attributes for c in cases])
    first, second, both = pairs_of(conditions, members)
    rare = np.flatnonzero((both >= 0.02 * len(cases)) & (both <= 0.10 * len(cases)) & (both >= LEAST))
    if len(rare) == 0:
        return {"planted": None, "found": False}
    chosen = rare[int(rng.integers(len(rare)))]
    i, j = int(first[chosen]), int(second[chosen])
    planted = Region(dict([conditions[i], conditions[j]]), 0, 0.0, 0.0, 0.0)
    weak = {c.seed: bool(members[i][k] & members[j][k]) for k, c in enumerate(cases)}
    noise = {c.seed: float(v) for c, v in zip(cases, rng.standard_normal(len(cases)), strict=True)}
    found = search(cases, lambda s: noise[s] + 4.0 * weak[s], min(budget, len(cases)), seed, guided=guided)
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
