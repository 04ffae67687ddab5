"""The failure search on attributes like those of the synthetic people: what it finds, and what it must not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipelines.evaluate.arms import Arms, Case, Region, attributes_of
from pipelines.evaluate.search import Belief, control, search

FAMILIES = ("standing", "contrapposto", "walking", "running", "sitting", "kicking", "dancing", "kneeling")
GARMENTS = (
    "jeans",
    "trousers",
    "shorts",
    "t-shirt",
    "shirt",
    "hoodie",
    "jacket",
    "coat",
    "skirt",
    "dress",
    "hat",
    "bag",
)


def crowd(count: int, seed: int) -> list[Case]:
    """People with correlated numbers, one text among many and a list of garments, as `training.people.facts` has it."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        age = float(rng.uniform(4, 80))
        found.append(Case(9000 + i, attributes_of({
            "seed": 9000 + i, "age": age, "height_m": min(1.7, 0.8 + 0.05 * age) + float(rng.normal(0, 0.07)),
            "family": str(rng.choice(FAMILIES)), "azimuth": float(rng.normal(0, 60)), "fov": float(rng.uniform(25, 65)),
            "garments": [str(g) for g in rng.choice(GARMENTS, 3, replace=False)], "loose": bool(rng.random() < 0.4),
            "photo_size": [700, 900],
        })))  # fmt: skip
    return found


def test_attributes_leave_out_the_seed_and_what_is_nested() -> None:
    known = attributes_of(
        {"seed": 3, "photo_size": [1, 2], "cut": "", "loose": True, "roll": 1, "garments": ["hat", "bag"]}
    )
    assert known == {"cut": "", "loose": True, "roll": 1.0, "garments: hat": True, "garments: bag": True}


def test_planted_weaknesses_are_found_by_far_more_often_than_by_random_runs() -> None:
    people = crowd(400, 0)
    guided = [control(people, 100, seed) for seed in range(8)]
    random = [control(people, 100, seed, guided=False) for seed in range(8)]
    assert [g["planted"] for g in guided] == [r["planted"] for r in random]
    assert sum(g["found"] for g in guided) >= 7
    assert sum(g["met"] for g in guided) > 3 * sum(r["met"] for r in random)
    assert len({g["planted"] for g in guided}) > 5


def test_a_search_is_the_start_of_a_longer_one_and_tries_nobody_twice() -> None:
    people = crowd(120, 1)
    noise = np.random.default_rng(5).normal(size=120)
    tried: dict[int, list[int]] = {30: [], 60: []}
    for budget, seeds in tried.items():
        search(
            people,
            lambda s: float(noise[s - 9000]),
            budget,
            2,
            lambda done, seed, value, seeds=seeds: seeds.append(seed),
        )
    assert tried[60][:30] == tried[30] and len(set(tried[60])) == 60
    everyone = search(people, lambda s: float(noise[s - 9000]), 500, 2)
    assert everyone.evaluations == 120 and [v for _, v in everyone.tried] == sorted(noise, reverse=True)


@pytest.mark.parametrize("badness", [lambda s: 1.0, lambda s: -3.0e4])
def test_a_system_without_fault_has_no_region(badness: Callable[[int], float]) -> None:
    for seed in range(3):
        assert search(crowd(200, seed), badness, 60, seed).regions == ()


def test_noise_alone_is_seldom_called_a_region() -> None:
    """The test allows two in a hundred; the search looks harder where the noise was bad, which adds a few."""
    people, false = crowd(300, 2), 0
    for seed in range(12):
        noise = np.random.default_rng(seed + 90).normal(size=300)
        false += bool(search(people, lambda s, n=noise: float(n[s - 9000]), 80, seed).regions)
    assert false <= 2


def test_odds_are_those_of_the_linear_model() -> None:
    """Against the marginal likelihood written out: y ~ N(0, w^2 (I + x x' EFFECT^2)) about its mean, w integrated out."""
    people = crowd(60, 3)
    arms = Arms.of([p.attributes for p in people])
    belief = Belief(arms, 60)
    rng = np.random.default_rng(4)
    for case, score in zip(range(25), rng.normal(size=25), strict=True):
        belief.learn(case, float(score))
    odds = belief.odds()
    y = np.array(belief.scores) - np.mean(belief.scores)
    for arm in np.flatnonzero(odds)[:: max(len(np.flatnonzero(odds)) // 20, 1)]:
        x = arms.members[arm, :25].astype(float)
        x -= x.mean()
        cover = np.eye(25) + 4.0 * np.outer(x, x)
        ratio = np.linalg.det(cover) ** -0.5 * (y @ np.linalg.solve(cover, y) / (y @ y)) ** (-24 / 2)
        assert odds[arm] * len(odds) == pytest.approx(ratio, rel=1e-5)
        assert x @ y > 0
    full = arms.members[:, :25].sum(1) == arms.members.sum(1)
    assert (odds[full] == 0).all()


def test_angles_wrap_in_regions() -> None:
    region = Region({"azimuth": (315.0, 45.0)}, 0, 0.0, 0.0, 0.0)
    inside = [region.holds({"azimuth": a}) for a in (-40.0, 0.0, 44.0, 320.0, 46.0, 180.0, -50.0)]
    assert inside == [True, True, True, True, False, False, False]
    assert Region({"azimuth": (270.0, 0.0)}, 0, 0.0, 0.0, 0.0).words() == "azimuth 270 to 360"
