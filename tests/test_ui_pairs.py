"""Agreement of every two views: outlines that one body could have, normals of the places that both see."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from pipelines.records import Table
from pipelines.step import UserError
from pipelines.views.records import PosedView, Views
from tests.sides_system import boxes, drawn
from ui import inspect_pairs
from ui.plates import view_of


@pytest.fixture(scope="module")
def views() -> Views:
    return drawn(128)


class Reader:
    """A run with these records, as the inspectors ask for them."""

    def __init__(self, views: Views, *rows: dict[str, Any]) -> None:
        self.records: dict[str, Any] = {"posed_views": views, "shape": boxes(), "table": Table(rows)}

    def record(self, step: str) -> Any:
        return self.records[step]

    def need(self, kind: type) -> Any:
        return self.records[kind.kind]  # type: ignore[attr-defined]


ROW = {"view": "front", "iou": 1.0, "worst_height": 0.5, "worst_side": "left"}


def pairs_of(views: Views) -> dict[tuple[int, int], dict[str, Any]]:
    shape = boxes()
    return {(p["a"], p["b"]): p for p in inspect_pairs.pairs_of(views.views, shape.vertices, shape.faces)}


def with_view(views: Views, i: int, **changes: Any) -> Views:
    all_views = list(views.views)
    all_views[i] = dataclasses.replace(all_views[i], **changes)
    return Views(tuple(all_views), views.facts)


def test_views_of_one_body_agree_in_every_pair(views: Views) -> None:
    found = pairs_of(views)
    assert sorted(found) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert all(p["outline"] > 0.99 and p["outline_is"] == "good" for p in found.values())
    # Neighbours on a body of boxes see no face together; opposite views none at all.
    assert found[(0, 2)]["normals"] is None and found[(1, 3)]["normals"] is None


def test_a_view_that_is_too_short_disagrees_with_all_others(views: Views) -> None:
    back = views.views[2]
    rgba = back.rgba.copy()
    rows = np.flatnonzero(back.mask.any(1))
    rgba[rows[0] : rows[0] + len(rows) // 4, :, 3] = 0  # without its head and raised hand
    found = pairs_of(with_view(views, 2, rgba=rgba))
    assert {pair for pair, p in found.items() if p["outline_is"] == "bad"} == {(0, 2), (1, 2), (2, 3)}
    assert all(found[pair]["outline"] > 0.99 for pair in ((0, 1), (0, 3), (1, 3)))
    # From the opposite side, it is the share of the outline that has no counterpart.
    mask, other = views.views[0].mask, rgba[:, ::-1, 3] > 0.5
    assert found[(0, 2)]["outline"] == pytest.approx((mask & other).sum() / mask.sum(), abs=0.03)


def test_a_mirrored_view_from_behind_is_found(views: Views) -> None:
    back = views.views[2]
    found = pairs_of(with_view(views, 2, rgba=np.ascontiguousarray(back.rgba[:, ::-1])))
    assert found[(0, 2)]["outline_is"] != "good" and found[(0, 1)]["outline_is"] == "good"


def oblique(views: Views) -> PosedView:
    """The front once more, as seen from the same place, its normals included."""
    return dataclasses.replace(views.views[0], label="again")


def test_turned_normals_are_told_in_degrees(views: Views) -> None:
    same = Views((views.views[0], oblique(views)), {})
    assert pairs_of(same)[(0, 1)]["normals"] < 1.0 and pairs_of(same)[(0, 1)]["normals_is"] == "good"
    turn = np.radians(40)
    matrix = np.float32([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    front = views.views[0]
    assert front.normal is not None
    turned = dataclasses.replace(oblique(views), normal=(front.normal @ matrix.T).astype(np.float32))
    pair = pairs_of(Views((front, turned), {}))[(0, 1)]
    assert pair["normals"] == pytest.approx(40, abs=2) and pair["normals_is"] == "bad" and pair["outline_is"] == "good"
    bare = dataclasses.replace(oblique(views), normal=None)
    assert pairs_of(Views((front, bare), {}))[(0, 1)]["normals"] is None


def test_the_table_holds_at_most_a_dozen_views_and_says_how_many_are_left_out(views: Views) -> None:
    many = Views(tuple(dataclasses.replace(views.views[i % 4], label=f"v{i}", normal=None) for i in range(15)), {})
    data = json.loads(inspect_pairs.data(Reader(many, ROW), "table", ""))  # type: ignore[arg-type]
    assert len(data["views"]) == 12 and data["left_out"] == 3 and {"v0", "v14"} <= set(data["views"])
    assert len(data["pairs"]) == 66 and all(p["a"] < p["b"] for p in data["pairs"])
    with pytest.raises(UserError, match="not about views"):
        inspect_pairs.data(Reader(views, {"name": 1}), "table", "")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="needs two views"):
        inspect_pairs.data(Reader(Views(views.views[:1], {}), ROW), "table", "")  # type: ignore[arg-type]
    assert view_of("table", "pairs.json") is not None and view_of("shape", "pairs.json") is None
