"""Declarations: what a step says of itself is what the command line, the page and the key see."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pytest

from pipelines import systems
from pipelines.recipe import Recipe
from pipelines.records import Curve, Photo, Upload
from pipelines.step import Cancelled, Context, MissingNeed, UserError, knob, same_knob, step
from pipelines.systems import find_system, offered, with_preset
from tests import fake_system


@dataclass(frozen=True)
class Params:
    count: int = knob(3, "How many.", low=1, high=9, unit="pieces")
    name: str = knob("a", "Which.", choices=("a", "b"))
    fast: bool = knob(False, "Quick.")
    size: float = knob(1.5, "How large.", low=0.0)


@step("thing", version=2, title="Thing")
def thing(photo: Photo, params: Params, ctx: Context) -> Curve:
    """A sentence about it.

    More words.
    """
    ctx.progress(0.5, "half")
    return Curve(("n",), np.full((1, 1), params.count, np.float32))


PHOTO = Photo(np.zeros((4, 4, 3), np.float32))


def test_a_declaration_is_read_from_the_function() -> None:
    assert (thing.name, thing.version, thing.summary) == ("thing", 2, "A sentence about it.")
    assert thing.inputs == {"photo": Photo} and thing.output is Curve
    assert [(k.name, k.type, k.default) for k in thing.knobs] == [
        ("count", int, 3), ("name", str, "a"), ("fast", bool, False), ("size", float, 1.5),
    ]  # fmt: skip
    assert thing.run({"photo": PHOTO}, Params(count=7), Context("thing")).values[0, 0] == 7


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("count", "10", "a whole number between 1 and 9 pieces"), ("count", "2.5", "whole number"),
        ("count", "", "whole number"), ("name", "c", "one of a, b"), ("fast", "maybe", "true or false"),
        ("size", "-1", "a number of at least 0"), ("size", "inf", "a number"), ("other", "1", "no parameter 'other'"),
    ],
)  # fmt: skip
def test_a_bad_value_is_a_sentence_with_what_is_needed(name: str, value: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        thing.make_params({name: value})


def test_text_and_plain_values_mean_the_same() -> None:
    assert thing.make_params({"count": "4", "fast": "yes", "size": "2"}) == thing.make_params(
        {"count": 4, "fast": True, "size": 2.0}
    )


def test_inputs_are_checked_before_work() -> None:
    with pytest.raises(UserError, match="needs 'photo'"):
        thing.run({}, Params(), Context())
    with pytest.raises(UserError, match="needs a Photo"):
        thing.run({"photo": Upload(b"")}, Params(), Context())


def test_progress_raises_when_cancelled_and_weights_that_were_not_given_are_missing() -> None:
    with pytest.raises(Cancelled):
        thing.run({"photo": PHOTO}, Params(), Context("thing", is_cancelled=lambda: True))
    with pytest.raises(MissingNeed):
        Context("thing").weight_file("body")


def test_a_step_that_declares_nonsense_is_refused() -> None:
    with pytest.raises(TypeError, match="params, ctx"):

        @step("bad", version=1, title="Bad")
        def bad(photo: Photo) -> Curve:
            raise AssertionError

    with pytest.raises(TypeError, match="not a record"):

        @step("worse", version=1, title="Worse")
        def worse(photo: int, params: Params, ctx: Context) -> Curve:
            raise AssertionError


def test_a_recipe_must_fit_together() -> None:
    photo, matte = fake_system.photo, fake_system.matte
    with pytest.raises(ValueError, match="needs 'matte' before it"):
        Recipe("r", "R", "", "tiny", (photo, fake_system.slow))
    with pytest.raises(ValueError, match="twice"):
        Recipe("r", "R", "", "tiny", (photo, photo))
    recipe = Recipe("r", "R", "", "tiny", (photo, matte, fake_system.slow, fake_system.last))
    assert recipe.after("matte") == {"slow", "last.step"} and recipe.after("last.step") == set()
    assert recipe.sources(fake_system.last) == {"slow": "slow"}
    assert recipe.parse_settings(["last.step.factor=3"]) == {"last.step": {"factor": "3"}}
    for wrong in ("factor=3", "last.step.factor", "last.step.x=1", "=1"):
        with pytest.raises(UserError):
            recipe.parse_settings([wrong])


def test_an_unknown_system_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="projection"):
        find_system("nothing")


def test_a_preset_is_a_system_of_its_own_name_and_stand_ins_are_offered_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(systems.SYSTEMS, "projection-tiny", "tests.fake_system")
    assert with_preset("projection", "none") == "projection"
    assert with_preset("projection", "tiny") == "projection-tiny"
    assert "projection-tiny" not in offered() and "projection" in offered()
    with pytest.raises(UserError, match=r"has no preset 'compact'; it has none, tiny"):
        with_preset("projection", "compact")


def test_a_knob_of_another_step_keeps_all_but_its_default() -> None:
    @dataclass(frozen=True)
    class Fewer(Params):
        count: int = same_knob(Params, "count", 1)

    usual, fewer = fields(Params), fields(Fewer)
    assert [f.name for f in fewer] == [f.name for f in usual] and fewer[0].default == 1 != usual[0].default
    assert [f.metadata for f in fewer] == [f.metadata for f in usual]
    with pytest.raises(ValueError):
        same_knob(Params, "number", 1)
