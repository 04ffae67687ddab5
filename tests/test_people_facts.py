"""The statistics of the synthetic people: what they count, and that a digest sees everything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from benchmarks.people_facts import digest, fit_failures, kept_for_tests, kind, lines, side, statistics


def someone(**changed: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "seed": 1, "sex": "female", "age": 30.0, "height_m": 1.65, "family": "standing", "pose": "stand__relax_relax",
        "azimuth": 10.0, "garments": ["jeans", "t-shirt"], "loose": False, "hair": "bob", "skin": "plain 2",
        "prints": ["plain"], "penetration_mm": 0.0, "fov": 40.0, "cut": "", "background": "room",
    }  # fmt: skip
    return plain | changed


def test_statistics_count_what_is_there() -> None:
    people = [
        someone(),
        someone(sex="male", age=40.0, height_m=1.8, azimuth=-60.0, loose=True, hair="crop, full beard"),
        someone(age=8.0, height_m=1.2, azimuth=-170.0, cut="feet", penetration_mm=12.0),
        someone(
            sex="male", age=70.0, height_m=1.7, azimuth=91.0, loose=True, pose="tree__up_up mirrored", prints=["argyle"]
        ),
    ]
    s = statistics(people)
    assert s["kinds"] == {"woman": 25.0, "man": 50.0, "child": 25.0}
    assert s["views"] == {"front": 25.0, "three quarters": 25.0, "back": 25.0, "side": 25.0}
    assert s["loose"] == 50.0 and s["bearded"] == 25.0 and s["cut"] == {"whole": 75.0, "feet": 25.0}
    assert s["height_m"]["man"]["median"] == 1.75 and s["height_m"]["child"]["max"] == 1.2
    assert s["penetration_mm"]["max"] == 12.0 and s["penetration_mm"]["over_10_mm_pct"] == 25.0
    assert s["with_something_kept_for_tests"] == 25.0 and "print argyle" in s["kept_for_tests"]
    assert kept_for_tests(someone(garments=["kimono"], hair="mohawk, short beard")) == ["garment kimono", "hair mohawk"]
    told = "\n".join(lines({"train": s, "test": s}))
    assert "loose clothing 50.0 %" in told and "worst 12.0 mm" in told


@pytest.mark.parametrize(("azimuth", "name"), [(-29.0, "front"), (331.0, "front"), (200.0, "back"), (-100.0, "side")])
def test_sides(azimuth: float, name: str) -> None:
    assert side(azimuth) == name
    assert kind(someone(age=12.9, sex="male")) == "child"


@dataclass(frozen=True)
class Thing:
    pixels: np.ndarray
    names: tuple[str, ...]
    facts: dict[str, Any]


def test_a_digest_sees_every_field() -> None:
    one = Thing(np.arange(12.0).reshape(3, 4), ("a", "b"), {"x": 1.0, "y": [1, 2]})
    same = Thing(np.arange(12.0).reshape(3, 4).copy(), ("a", "b"), {"y": [1, 2], "x": 1.0})
    others = [
        replace(one, pixels=one.pixels.astype(np.float32)), replace(one, pixels=one.pixels.reshape(4, 3)),
        replace(one, pixels=np.nextafter(one.pixels, 99.0)), replace(one, names=("a", "c")),
        replace(one, facts={"x": 1.0, "y": [1, 3]}), replace(one, facts={"z": 1.0, "y": [1, 2]}),
    ]  # fmt: skip
    assert digest(one) == digest(same)
    assert len({digest(t) for t in (one, *others)}) == 7


def test_fit_failures_are_read_from_a_report() -> None:
    def row(seed: int, pa: float | None, error: str = "", variant: str = "estimated", **more: float) -> dict[str, Any]:
        numbers = {} if pa is None else {"pa_mpjpe_mm": pa, **more}
        return {"seed": seed, "system": "projection", "variant": variant, "error": error, "numbers": numbers}

    rows = [row(1, 40.0), row(2, 120.0), row(3, None, "no person"), row(4, 60.0), row(1, 500.0, variant="true body")]
    report = {"machine": {"commit": "abc"}, "subjects": rows}
    found = fit_failures(report)
    assert found["refused"] == [3] and found["pa_mpjpe_over_100_mm"] == [2] and found["yaw_over_45_deg"] is None
    assert found["people"] == 4 and found["failed_pct"] == 50.0 and found["pa_mpjpe_mm"]["median"] == 60.0
    turned = {"machine": {"commit": "abc"}, "subjects": [*rows, row(5, 30.0, yaw_error_deg=170.0)]}
    assert fit_failures(turned)["yaw_over_45_deg"] == [5] and fit_failures(turned)["failed_pct"] == 60.0
    with pytest.raises(ValueError, match="hgm"):
        fit_failures(report, "hgm")
