"""HGM on the page: layers before and after the network, the refined body, the back, first splats, one part left out."""

from __future__ import annotations

import dataclasses
import io
import json
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app import build_parser
from pipelines import evaluate_run
from pipelines.evaluate.intervals import worth
from pipelines.evaluate.made import Made
from pipelines.evaluate.oracle import ESTIMATED, TRUE_BODY
from pipelines.evaluate.report import people_report
from pipelines.evaluate.scorecard import Scorecard
from pipelines.evaluate_session import Session
from pipelines.hgm import released_recipe
from pipelines.hgm.recipe import ABLATION, RECIPE
from pipelines.hgm.records import BackView
from pipelines.projection.recipe import RECIPE as PROJECTION
from pipelines.recipe import Recipe
from pipelines.records import Body, Cutout, Layers, Photo
from pipelines.step import Context, NoParams, UserError
from pipelines.store import Store
from pipelines.systems import SYSTEMS, find_system
from tests import browser, twice_system
from tests.browser import Server, Visitor, colours_in, photo_bytes, read_run, served, step_states
from tests.page_system import FitParams, fit
from ui import inspect_back_view, inspect_correction, inspect_refinement
from ui.desk_jobs import describe
from ui.evaluation_command import command
from ui.evaluation_page import people_sections
from ui.evaluation_result import read_result
from ui.inspect_body import at_iteration
from ui.step_plates import CORRECTION, PICKED, REFINEMENT, plates, view_of, views_of

pytest_plugins = ("tests.browser",)
WIDE, HIGH = 120, 160


class Reader:
    """A run with these records by step, as the inspectors ask for them."""

    def __init__(self, **records: Any) -> None:
        self.records = {name.replace("_", "."): r for name, r in records.items()}
        self.photo_pixels = Photo(np.full((HIGH, WIDE, 3), 0.5, np.float32))

    def record(self, step: str) -> Any:
        return self.records[step]


def matte_of() -> Cutout:
    image = np.asarray(Image.open(io.BytesIO(photo_bytes(width=WIDE, height=HIGH))), np.float32) / 255
    return Cutout(np.dstack([image, (image.mean(-1) > 0.5).astype(np.float32)]))


@pytest.fixture(scope="module")
def start() -> Body:
    body = fit.function(Photo(matte_of().rgb), None, FitParams(iterations=2, seconds=0.0), Context())
    assert isinstance(body, Body)
    return body


def picture_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), np.float32) / 255


def test_a_change_is_coloured_by_its_direction_and_told_in_millimetres(start: Body) -> None:
    given = twice_system.flat(matte_of(), start)
    reader: Any = Reader(layers=given, hgm_coarse=twice_system.corrected(given))
    change = picture_of(inspect_correction.picture(reader, "hgm.coarse", "layers change front"))
    rows, columns = np.nonzero(given.arrays["mask"])
    high, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert change.shape[0] < 1.15 * high and change.shape[1] < 1.5 * wide  # cut to the person
    inside = change[..., 3] > 0.9
    left, right = inside.copy(), inside.copy()
    left[:, change.shape[1] // 2 - 3 :], right[:, : change.shape[1] // 2 + 3] = False, False
    # 30 mm towards the camera is the legend's end: full red; the other half did not move.
    assert np.abs(change[left][:, :3].mean(0) - inspect_correction.NEARER).max() < 0.06
    assert np.abs(change[right][:, :3].mean(0) - inspect_correction.STILL).max() < 0.06
    back = picture_of(inspect_correction.picture(reader, "hgm.coarse", "layers change back"))
    assert np.abs(back[inside][:, :3].mean(0) - inspect_correction.STILL).max() < 0.03
    away = twice_system.corrected(given, -1.0)
    farther = picture_of(
        inspect_correction.picture(Reader(layers=given, hgm_coarse=away), "hgm.coarse", "layers change front")  # type: ignore[arg-type]
    )
    assert np.abs(farther[left][:, :3].mean(0) - inspect_correction.FARTHER).max() < 0.06
    maps = {m["name"]: m for m in json.loads(inspect_correction.data(reader, "hgm.coarse", "layers"))["maps"]}
    assert maps["front"]["limit"] == maps["back"]["limit"] == 30 and maps["colour"]["limit"] == 10
    assert "50 % moved by more than 20 mm, 100 % of that towards the camera" in maps["front"]["words"]
    assert "mean change 10.0 %" in maps["colour"]["words"] and "camera" not in maps["back"]["words"]
    facts = dict(json.loads(inspect_correction.facts(reader, "hgm.coarse", "layers")))
    assert facts["Front moved, 95 % within"] == "30 mm" and facts["Back moved, median"] == "0 mm"


def test_given_and_corrected_depths_have_one_scale(start: Body) -> None:
    given = twice_system.flat(matte_of(), start)
    reader: Any = Reader(layers=given, hgm_coarse=twice_system.corrected(given))
    before, after = (
        picture_of(inspect_correction.picture(reader, "hgm.coarse", f"layers {state} front"))
        for state in ("given", "corrected")
    )
    inside = before[..., 3] > 0.9
    moved = np.abs(before - after)[..., :3].max(-1) > 0.3
    half = before.shape[1] // 2
    assert moved[:, : half - 3][inside[:, : half - 3]].mean() > 0.98
    assert moved[:, half + 3 :][inside[:, half + 3 :]].mean() < 0.02
    small = Layers({n: a[::2] for n, a in given.arrays.items()}, given.camera)
    with pytest.raises(UserError, match="made from other layers than those of 'layers'"):
        inspect_correction.facts(Reader(layers=small, hgm_coarse=given), "hgm.coarse", "layers")  # type: ignore[arg-type]
    empty = Layers({**given.arrays, "mask": np.zeros_like(given.arrays["mask"])}, given.camera)
    with pytest.raises(UserError, match="hold nobody"):
        inspect_correction.facts(Reader(layers=empty, hgm_coarse=given), "hgm.coarse", "layers")  # type: ignore[arg-type]


def test_every_iteration_of_the_refinement_is_told(start: Body) -> None:
    reader: Any = Reader(body_fit=start, hgm_refine=twice_system.refined(start))
    data = json.loads(inspect_refinement.data(reader, "hgm.refine", "body.fit"))
    count = twice_system.COUNT
    assert data["iterations"] == list(range(count)) and data["kept"] == count - 2 and data["helped"]
    assert [s["from"] for s in data["stages"]] == [0, 3] and data["stages"][0]["title"] == "the photo alone"
    assert data["names"] == ["front mask", "side masks"]
    assert data["values"][0][1] is None and data["values"][3][1] > data["values"][-1][1]
    assert data["agree"][0][1] is None and data["agree"][0][0] < data["agree"][-1][0]
    assert data["agree"][-1] == [data["agree"][-1][0]] * 4 == [pytest.approx(1.0)] * 4
    away = twice_system.SHIFT * 1000 * (count - 2) / (count - 1)
    for joint in data["joints"]:
        assert joint["away"] == pytest.approx(away, abs=0.2) and joint["across"] < 0.2
        assert joint["mm"] == pytest.approx(away, abs=0.2)
    assert len({j["name"] for j in data["joints"]}) == 22 and "left wrist" in {j["name"] for j in data["joints"]}
    facts = dict(json.loads(inspect_refinement.facts(reader, "hgm.refine", "body.fit")))
    assert facts["Kept"] == f"iteration {count - 2} of {count - 1}" and facts["Side masks"] == "90 to 8"
    assert facts["Joints moved, mean"] == f"{away:.0f} mm"


def test_an_outline_lies_where_the_body_is_in_the_photo(start: Body) -> None:
    from pipelines.body.read_body import project_cam, vertices_cam

    lines = inspect_refinement.outline(start, 1.0)
    points = np.array([v for line in lines for v in line]).reshape(-1, 2)
    pixels = project_cam(vertices_cam(start), start["K"])
    clipped = np.clip(pixels, 0, start["image_size"])
    assert np.abs(points.min(0) - clipped.min(0)).max() < 1.6 and np.abs(points.max(0) - clipped.max(0)).max() < 1.6
    last = at_iteration(twice_system.refined(start), twice_system.COUNT - 1)
    farther = np.array([v for line in inspect_refinement.outline(last, 1.0) for v in line]).reshape(-1, 2)
    assert np.ptp(farther[:, 1]) < np.ptp(points[:, 1])


def test_silhouettes_are_coloured_by_who_has_them(start: Body) -> None:
    sheet = picture_of(
        inspect_refinement.sides(Reader(body_fit=start, hgm_refine=twice_system.refined(start)), "hgm.refine", "")  # type: ignore[arg-type]
    )
    high, wide = sheet.shape[0] // twice_system.COUNT, sheet.shape[1] // 4
    first, last = sheet[:high, :wide], sheet[-high:, -wide:]
    assert sheet[:high, wide:, 3].max() < 0.1  # no side is compared in the first stage

    def share(cell: np.ndarray, colour: tuple[float, float, float]) -> float:
        return float(((np.abs(cell[..., :3] - colour).max(-1) < 0.12) & (cell[..., 3] > 0.9)).mean())

    assert share(first, inspect_refinement.PERSON_ONLY) > 0.2 and share(first, inspect_refinement.BOTH) > 0.2
    assert share(last, inspect_refinement.BOTH) > 0.6 and share(last, inspect_refinement.PERSON_ONLY) < 0.05
    only = inspect_refinement.compared(np.float32([1, 0, 1, 0]), np.float32([0, 1, 1, 0]))
    assert np.allclose(
        only[:3, :3], [inspect_refinement.BODY_ONLY, inspect_refinement.PERSON_ONLY, inspect_refinement.BOTH]
    )
    assert only[:, 3].tolist() == [1, 1, 1, 0]


def test_a_refinement_that_did_not_help_or_was_off_says_so(start: Body) -> None:
    no_help: Any = Reader(body_fit=start, hgm_refine=twice_system.refined(start, helped=False))
    data = json.loads(inspect_refinement.data(no_help, "hgm.refine", "body.fit"))
    assert data["kept"] == -1 and not data["helped"] and max(j["mm"] for j in data["joints"]) == 0
    assert dict(json.loads(inspect_refinement.facts(no_help, "hgm.refine", "body.fit")))["Kept"] == "the fitted body"
    off: Any = Reader(body_fit=start, hgm_refine=twice_system.refined(start, enabled=False))
    assert json.loads(inspect_refinement.data(off, "hgm.refine", "body.fit")) == {"off": True}
    with pytest.raises(UserError, match="switched off"):
        inspect_refinement.sides(off, "hgm.refine", "")


def test_of_many_iterations_some_are_shown_the_kept_one_among_them(start: Body) -> None:
    body = twice_system.refined(start)
    many = 391
    long = {n: np.repeat(a[:1], many, 0) for n, a in body.history.items() if n != "term_names"}
    long["root_translation"] = body["root_translation"] + np.arange(many, dtype=np.float32)[:, None] * 0.01 - 1.57
    body = dataclasses.replace(body, history={**long, "term_names": body.history["term_names"]})
    picked = inspect_refinement.chosen(body)
    assert inspect_refinement.kept_at(body) == 157
    assert {0, 157, many - 1} <= set(picked) and len(picked) <= inspect_refinement.MOST and picked == sorted(picked)


def test_the_steps_have_their_own_views_and_no_others() -> None:
    assert CORRECTION == {"hgm.coarse": "layers", "hgm.again": "hgm.layers", "hgm.fused": "hgm.again"}
    assert REFINEMENT == {"hgm.refine": "body.fit"}
    names = [s.name for s in RECIPE.steps]
    for step, given in {**CORRECTION, **REFINEMENT}.items():
        assert names.index(given) < names.index(step)
    view = view_of("hgm.fused", "layers", "change-back.webp")
    assert view is not None and view.argument == "hgm.again change back"
    assert view_of("layers", "layers", "change-back.webp") is None
    assert view_of("hgm.fused", None, "change-back.webp") is None
    # Where another preset makes splats under that name, they are looked at as splats.
    assert view_of("hgm.fused", "splats", "change-back.webp") is None
    gaussians = view_of("hgm.fused", "splats", "facts.json")
    assert gaussians and gaussians.maker == "ui.inspect_front:facts"
    usual = view_of("splats.first", "splats", "facts.json")
    assert usual and usual.maker == "ui.inspect_splats:facts"
    assert view_of("hgm.fused", "layers", "change-../x.webp") is None
    own, usual = view_of("hgm.refine", "body", "facts.json"), view_of("body.fit", "body", "facts.json")
    assert own and usual and own.maker == "ui.inspect_refinement:facts" and usual.maker == "ui.inspect_body:facts"
    assert "fit.webp" in views_of("hgm.refine", "body") and "sides.webp" not in views_of("body.fit", "body")

    def nowhere(kind: str, view: str) -> str | None:
        return None

    shown = plates("hgm.coarse", "layers", "here/{}".format, nowhere)
    assert [p["id"] for p in shown] == ["correction", "layers"]
    asked = plates("hgm.again", "layers", "here/{}".format, lambda kind, view: "there" if kind == "body_maps" else None)
    assert [p["id"] for p in asked] == ["correction", "layers", "features"] and asked[2]["data"] == "here/features.json"
    for state in ("given", "corrected", "change"):
        address = shown[0]["pictures"][state].replace("{map}", "front")
        assert view_of("hgm.coarse", "layers", address.removeprefix("here/")), address
    assert [p["id"] for p in plates("layers", "layers", "{}".format, nowhere)] == [
        "layers",
        "front-depth",
        "back-depth",
    ]
    body = plates("hgm.refine", "body", "{}".format, nowhere)
    assert [p["id"] for p in body] == ["refine", "joints", "body", "side", "body-3d"]
    assert body[2]["before"] == {"src": "as-fitted.webp", "label": "As fitted"}


def test_a_back_view_is_shown_beside_the_coarse_one_with_its_variants() -> None:
    coarse = np.zeros((64, 64, 4), np.float32)
    coarse[16:48, 24:40] = (0.2, 0.4, 0.6, 1)
    flat = np.where(coarse[..., 3:] > 0, coarse[..., :3], 1).astype(np.float32)
    other = np.where(coarse[..., 3:] > 0, coarse[..., :3] + 0.3, 1).astype(np.float32)
    back = BackView(coarse, np.stack([flat, other]), {"refiner": "controlnet", "strength": 0.2})
    reader: Any = Reader(hgm_back=back)
    before = picture_of(inspect_back_view.coarse(reader, "hgm.back", ""))
    assert before[..., 3].min() == 1 and np.abs(before[..., :3] - flat).mean() < 0.02  # on white, as it is painted
    assert np.abs(picture_of(inspect_back_view.painted(reader, "hgm.back", "1"))[..., :3] - other).mean() < 0.02
    with pytest.raises(UserError, match="no variant 3 here; there are 2"):
        inspect_back_view.painted(reader, "hgm.back", "2")
    cells = json.loads(inspect_back_view.data(reader, "hgm.back", ""))["cells"]
    assert [(c["label"], c["note"]) for c in cells] == [
        ("Variant 1", "0.0 % from the coarse one, outline IoU 100.0 %"),
        ("Variant 2", "30.0 % from the coarse one, outline IoU 100.0 %"),
    ]  # fmt: skip
    facts = dict(json.loads(inspect_back_view.facts(reader, "hgm.back", "")))
    assert facts["Strength"] == "0.2" and facts["Painted anew, mean change"] == "0.0 %"
    one: Any = Reader(hgm_back=BackView(coarse, flat[None], back.facts))
    told = [json.loads(inspect_back_view.data(r, "hgm.back", ""))["words"] for r in (reader, one)]
    assert told[0] == "" and "Turn up" in told[1] and RECIPE.step("hgm.back").make_params({}).variants == 1
    outside: Any = Reader(hgm_back=BackView(np.zeros_like(coarse), flat[None], {"refiner": "given"}))
    assert "Painted anew, mean change" not in dict(json.loads(inspect_back_view.facts(outside, "hgm.back", "")))
    shown = plates("hgm.back", "back_view", "{}".format, lambda kind, view: None)
    assert [p["id"] for p in shown] == ["back", "variants"] and shown[1]["pick"] == {
        "step": "hgm.pick",
        "knob": "variant",
    }
    assert [p["id"] for p in plates("hgm.pick", "back_view", "{}".format, lambda kind, view: None)] == ["back"]
    for step, (by, knob) in PICKED.items():
        recipe = released_recipe.RELEASED_RECIPE
        assert step in recipe.sources(recipe.step(by)).values() and recipe.step(by).make_params({knob: 2})


def test_first_splats_are_those_of_projection_and_come_before_any_network() -> None:
    names = [s.name for s in RECIPE.steps]
    first, own = RECIPE.step("splats.first"), PROJECTION.step("splats")
    assert RECIPE.sources(first) == PROJECTION.sources(own) and first.version == own.version
    assert names.index("splats.first") < names.index("hgm.coarse") < names.index("splats")
    assert names[: names.index("splats.first")] == [s.name for s in PROJECTION.steps][: names.index("splats.first")]
    assert not RECIPE.after("splats.first")  # nothing waits for them
    # Fewer, as better ones are seconds away; asked for as many they are the very ones of the projection.
    quick, usual = (step.make_params({}) for step in (first, own))
    assert (quick.count, quick.refine) < (usual.count, usual.refine) and quick.sides == usual.sides
    asked = first.make_params({"count": usual.count, "refine": usual.refine})
    assert dataclasses.asdict(asked) == dataclasses.asdict(usual) and first.key_name == own.key_name
    # They are splats as the projection's: the work is the same function on the same records.
    step = dataclasses.replace(own, function=lambda **given: given["layers"], output=Layers)
    again = step.renamed("splats.first")
    some = Layers({}, None)  # type: ignore[arg-type]
    assert again.function(layers=some, params=NoParams(), ctx=Context()) is some


def test_an_ablation_that_does_not_fit_its_recipe_is_refused() -> None:
    with pytest.raises(UserError, match=r"no step 'hgm\.no'"):
        dataclasses.replace(RECIPE, ablation={"whole": {}, "odd": {"hgm.no": {}}})
    with pytest.raises(UserError, match="no parameter 'sleeves'"):
        dataclasses.replace(RECIPE, ablation={"whole": {}, "odd": {"hgm.refine": {"sleeves": 1}}})
    assert RECIPE.ablation == ABLATION and next(iter(ABLATION)) == "whole" and PROJECTION.ablation == {}


@pytest.fixture
def hgm(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setitem(SYSTEMS, "hgm", "pipelines.hgm.recipe")
    find_system.cache_clear()
    return RECIPE


def test_every_row_is_one_run_with_its_settings(hgm: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def once(store: Any, upload: Any, system: str, *, settings: Any, replaced: Any, **_: Any) -> Made:
        asked.append({"settings": settings, "replaced": sorted(replaced)})
        return Made(seconds={"number": len(asked)})

    monkeypatch.setattr(evaluate_run, "run_once", once)
    variants = evaluate_run.variants_of(hgm, "both", False, True)
    assert variants == [ESTIMATED, TRUE_BODY, *list(ABLATION)[1:]]
    mine = {"hgm.refine": {"iterations": 9}}
    someone: Any = Namespace(upload=None, body="true")
    made = evaluate_run.run_variants(Store(tmp_path), someone, "hgm", variants, settings=mine)
    assert set(made) == set(variants) and len(asked) == len(variants)
    by_row = {name: asked[int(made[name].seconds["number"]) - 1] for name in variants}
    assert by_row[ESTIMATED] == {"settings": mine, "replaced": []}
    assert by_row["with refinement"]["settings"] == {"hgm.refine": {"iterations": 9, "enabled": True}}
    silent = {"hgm.coarse": {"colour": 0.0}, "hgm.again": {"colour": 0.0}, "hgm.back": {"refiner": "none"}}
    assert by_row["depths alone"]["settings"] == mine | silent
    assert by_row[TRUE_BODY]["replaced"] == ["body.fit", "hgm.refine"] and mine == {"hgm.refine": {"iterations": 9}}


def test_the_command_checks_an_ablation_before_any_run(hgm: Recipe, tmp_path: Path) -> None:
    def prepare(*words: str) -> Session:
        return Session.prepare(build_parser().parse_args(["evaluate", *words, "--runs", str(tmp_path / "store")]))

    people = ("--people", "9000:9012")
    session = prepare("--system", "hgm", *people, "--ablation")
    assert session.variants == {"hgm": [ESTIMATED, *list(ABLATION)[1:]]} and session.settings()["ablation"] is True
    for words, sentence in (
        (("--system", "projection", *people, "--ablation"), "projection has none"),
        (("--system", "hgm", "--photos", str(tmp_path), "--ablation"), "needs --people"),
        (("--system", "hgm", *people, "--ablation", "--body", "true"), "improves the estimated body"),
        (("--system", "hgm", *people, "--ablation", "--search", "12"), "leave --oracle and --ablation out"),
    ):
        (tmp_path / "a.png").write_bytes(photo_bytes())
        with pytest.raises(UserError, match=sentence):
            prepare(*words)


def test_what_a_part_is_worth_stands_in_report_and_page() -> None:
    def cards(*psnr: float) -> list[Scorecard]:
        return [Scorecard(9000 + i, {"psnr": p, "mpjpe_mm": 200 - 5 * p}) for i, p in enumerate(psnr)]

    failed = Scorecard(9003, {"psnr": 5.0}, error="gave up")
    variants = {ESTIMATED: [*cards(20, 22, 24), failed], "without refinement": cards(19, 20.5, 24.5, 20),
                "one pass": cards(21, 23, 25)}  # fmt: skip
    table = worth(variants, ["without refinement", "one pass"])
    assert table["psnr"]["without refinement"]["mean"] == pytest.approx(2 / 3)
    assert table["psnr"]["without refinement"]["n"] == 3 and table["psnr"]["one pass"]["mean"] == -1.0
    # Fewer millimetres are better: the sign follows the metric.
    assert table["mpjpe_mm"]["one pass"]["mean"] == -5.0 and "iou_side" not in table
    report = people_report({"hgm": variants}, 9000, 9004, {"systems": ["hgm"], "ablation": True}, [])
    result = read_result(json.dumps(report).encode(), "a.json")
    assert result.worth["hgm"]["psnr"]["one pass"].mean == -1.0 and result.gaps == {}
    html = people_sections([result])
    assert (
        "What each part is worth" in html and "lost without each part, without refinement 0.67; one pass −1.00" in html
    )
    assert "--ablation" in command(result)[0].split()
    whole = people_report({"hgm": {ESTIMATED: cards(20, 21)}}, 9000, 9002, {"systems": ["hgm"]}, [])
    assert "What each part" not in people_sections([read_result(json.dumps(whole).encode(), "b.json")])


def test_the_card_tells_the_page_of_the_rows(hgm: Recipe) -> None:
    card = describe("hgm")
    assert card["ablation"] == ABLATION and describe("projection")["ablation"] == {}
    assert [s["name"] for s in card["steps"] if s["record"] == "splats"] == ["splats.first", "splats"]
    for row in card["ablation"].values():
        for step, values in row.items():
            knobs = next(s for s in card["steps"] if s["name"] == step)["knobs"]
            assert set(values) <= {k["name"] for k in knobs}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    systems = f"{browser.SYSTEMS},twice=tests.twice_system"
    yield from served(tmp_path_factory.mktemp("twice"), HUMANSCOPE_SYSTEMS=systems)


@pytest.mark.browser
def test_first_splats_the_inspectors_and_a_part_left_out(chromium: Any, server: Server) -> None:
    guest = Visitor(chromium, server, reduced_motion="reduce").open()
    page = guest.page
    try:
        guest.choose_system("twice")
        guest.upload(photo_bytes(200))
        whole = guest.reconstruct(wait=False)
        # While the network is at work, the first splats stand on the stage and say so.
        page.wait_for_selector(".hs-which[data-final=no]:has-text('better ones are on their way: Network')")
        assert step_states(whole)["hgm.coarse"] == "running" and step_states(whole)["splats"] == "waiting"
        guest.rest()
        guest.choose("splats.first")
        page.wait_for_selector(".hs-which[data-final=no]:has-text('the result is under “Splats”')")
        page.wait_for_function("document.querySelector('.hs-poster')?.naturalWidth > 0")
        guest.choose("splats")
        page.wait_for_selector(".hs-which[data-final=yes]")
        guest.choose("hgm.coarse", "correction")
        page.wait_for_selector('.hs-plate-correction[data-shown="change-front"]')
        page.wait_for_function("document.querySelector('.hs-picture-in').naturalWidth > 0")
        assert "30 mm nearer" in page.inner_text(".hs-scale") and colours_in(guest.picture(".hs-correction-view")) > 2
        page.click(".hs-plate-correction button[data-value=given]")
        page.click(".hs-plate-correction button[data-value=back]")
        assert page.get_attribute(".hs-plate-correction", "data-shown") == "given-back"
        check_refinement(guest)
        check_left_out(guest, server, whole)
        assert not guest.errors
    finally:
        guest.leave()


def check_refinement(guest: Visitor) -> None:
    """The slider by keys, the kept iteration, the joints, the width of a phone."""
    page = guest.page
    guest.choose("hgm.refine", "refine")
    page.wait_for_selector(".hs-plate-refine[data-ready]")
    kept = str(twice_system.COUNT - 2)
    assert page.get_attribute(".hs-plate-refine", "data-frame") == kept
    assert "kept" in page.inner_text(".hs-refine-words") and page.locator(".hs-plate-refine .hs-verdict").is_hidden()
    slider = page.locator(".hs-plate-refine input[type=range]")
    outline = page.get_attribute(".hs-outline-under", "d")
    slider.press("Home")
    assert page.get_attribute(".hs-plate-refine", "data-frame") == "0"
    assert page.get_attribute(".hs-outline-under", "d") != outline
    assert "the photo alone" in page.inner_text(".hs-refine-words") and page.locator(".hs-sides .hs-idle").count() == 3
    assert page.locator(".hs-plate-refine button:has-text('Play')").is_hidden()  # who wants no motion gets none
    page.click(".hs-plate-refine button:has-text('Kept')")
    assert page.get_attribute(".hs-plate-refine", "data-frame") == kept
    assert page.locator(".hs-plate-refine .hs-mark-kept").count() == 1
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.set_viewport_size({"width": 1280, "height": 800})
    guest.choose("hgm.refine", "joints")
    page.wait_for_selector(".hs-joints li")
    assert page.locator(".hs-joints li").count() == 22 and "44 away" in page.inner_text(".hs-joints")


def check_left_out(guest: Visitor, server: Server, whole: Path) -> None:
    """A click makes one run beside the whole one, and a second click on the same row makes none."""
    page = guest.page
    assert page.get_attribute(".hs-ablation button[data-row=whole]", "aria-pressed") == "true"
    page.click(".hs-ablation button[data-row='without refinement']")
    page.wait_for_selector(".hs-compare-parts button[data-row='without refinement'][aria-pressed=true]:not([disabled])")
    page.wait_for_function("document.querySelectorAll('.hs-compare-canvas[data-ready=yes]').length === 2")
    other = next(p for p in server.runs() if p != whole)
    assert read_run(whole)["settings"] == {}
    assert read_run(other)["settings"] == {"hgm.refine": {"enabled": False}}
    assert step_states(other)["hgm.coarse"] == "reused" and step_states(other)["hgm.refine"] == "done"
    chosen = page.eval_on_selector_all(".hs-compare select", "all => all.map(e => e.selectedOptions[0].textContent)")
    assert "without" not in chosen[0] and "without refinement" in chosen[1] and "enabled" not in chosen[1]
    page.click(".hs-compare-parts button[data-row=whole]")
    page.wait_for_selector(".hs-compare-parts button[data-row=whole][aria-pressed=true]")
    page.click(".hs-compare-parts button[data-row='without refinement']")
    page.wait_for_selector(".hs-compare-parts button[data-row='without refinement'][aria-pressed=true]")
    assert len(server.runs()) == 2
    # The run without refinement says on its own page that there was none.
    page.evaluate("location.hash = ''")
    guest.choose("hgm.refine", "refine")
    page.wait_for_selector(".hs-plate-refine .hs-verdict:has-text('switched off')")
