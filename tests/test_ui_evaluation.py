"""The evaluation part of the page: documents are checked, the HTML says what they say, the command repeats them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app import build_parser
from pipelines.evaluate.protocols import PROTOCOLS
from pipelines.evaluate.report import people_report
from pipelines.evaluate.scorecard import Scorecard
from pipelines.step import UserError
from tests.browser import Server, Visitor, colours_in
from ui.evaluation_charts import closed, curve_chart, gap_chart, nice_ticks, number
from ui.evaluation_command import command
from ui.evaluation_page import stored_page, uploaded_page
from ui.evaluation_result import LARGEST, Mean, Metric, Result, read_result, stored
from ui.evaluation_routes import add_evaluation

pytest_plugins = ("tests.browser",)
ANGLES = (0.0, 90.0, 180.0, 270.0)
SETTINGS = {"systems": ["projection"], "body": "both", "views": 8, "view_px": 128, "seed": 3, "device": "cpu",
            "set": ["splats.spread=1.5"], "surface": False}  # fmt: skip


def card(seed: int, psnr: float, iou: float) -> Scorecard:
    around = {a: {"psnr": psnr - a / 90.0, "iou": iou - a / 3600.0} for a in ANGLES}
    return Scorecard(seed, {"psnr": psnr, "iou": iou, "chamfer_cm": 30.0 - psnr, "front_psnr": psnr + 8}, around)


@pytest.fixture
def document() -> dict[str, Any]:
    """A report as the command writes it: three people, two variants and the oracle."""
    variants = {
        "estimated": [card(9000, 18.0, 0.6), card(9001, 19.5, 0.7), card(9002, 22.0, 0.8)],
        "true body": [card(9000, 22.0, 0.8), card(9001, 23.0, 0.85), card(9002, 24.5, 0.9)],
        "+ true cut-out": [card(9000, 22.5, 0.81), card(9001, 23.1, 0.85), card(9002, 24.6, 0.9)],
    }
    columns = {"projection": variants, "blank white": {"blank white": [card(s, 14.0, 0.0) for s in range(9000, 9003)]}}
    report = people_report(columns, 9000, 9003, SETTINGS, ["A note of the run."])
    return json.loads(json.dumps(report))


@pytest.fixture
def found() -> dict[str, Any]:
    """A failure search as the command writes it."""
    return {
        "schema": "humanscope.failure_search/1", "machine": {"processor": "some", "cores": 4, "commit": "abcdef012345+"},
        "settings": {**SETTINGS, "body": "estimated"}, "system": "projection", "variant": "estimated", "metric": "iou",
        "protocol": vars(PROTOCOLS["iou"]), "people": [9000, 9200], "control": {"planted": "azimuth 0 to 72", "found": True},
        "evaluations": 60, "regions": [{"where": "family = sitting", "tried": 9, "mean": 0.41, "rest": 0.72, "chance": 0.005}],
        "worst": [{"seed": 9017, "iou": 0.2125, "error": None, "facts": {"family": "sitting", "garments": ["robe"],
                   "azimuth": 12.3}, "again": "python app.py evaluate --people 9017:9018"}],
    }  # fmt: skip


def read(document: dict[str, Any], name: str = "evaluate.json") -> Result:
    return read_result(json.dumps(document).encode(), name)


def texts(html: str, pattern: str) -> list[str]:
    return [unescape(re.sub("<[^>]*>", "|", t)) for t in re.findall(pattern, html, re.S)]


def test_every_mean_of_the_document_stands_in_the_table(document: dict[str, Any]) -> None:
    html = uploaded_page(read(document))
    rows = {}
    for row in re.findall(r"<tr>(<th scope=\"row\">.*?)</tr>", html, re.S):
        code = re.search("<code>(.*?)</code>", row)
        assert code
        rows[code.group(1)] = [t.strip("|").split("|") for t in texts(row, "<td>(.*?)</td>")]
    systems = document["systems"]
    columns = [*systems["projection"]["variants"].values(), systems["blank white"]["variants"]["blank white"]]
    for name, protocol in document["protocols"].items():
        cells = rows.pop(protocol["id"])
        for cell, column in zip(cells, columns, strict=True):
            mean = column["metrics"][name]
            digits = protocol["digits"]
            assert cell[0] == f"{mean['mean']:.{digits}f}".replace("-", "−")
            assert cell[-1] == f"{mean['low']:.{digits}f} to {mean['high']:.{digits}f}".replace("-", "−")
    assert not rows
    for words in ("People 9000 to 9002 (3)", "8 views at 128 px", "A note of the run.", document["interval"],
                  document["machine"]["commit"][:10]):  # fmt: skip
        assert words in unescape(html), words


def test_the_command_is_the_one_that_the_command_line_understands(
    document: dict[str, Any], found: dict[str, Any]
) -> None:
    (line,) = command(read(document))
    words = line.split()
    assert words[:2] == ["python", "app.py"]
    parsed = build_parser().parse_args(words[2:])
    assert (parsed.system, parsed.people, parsed.body, parsed.oracle) == (["projection"], "9000:9003", "both", True)
    assert (parsed.views, parsed.size, parsed.seed, parsed.no_surface) == (8, 128, 3, True)
    assert parsed.settings == ["splats.spread=1.5"] and parsed.search is None
    parsed = build_parser().parse_args(command(read(found))[0].split()[2:])
    assert (parsed.search, parsed.metric, parsed.people, parsed.oracle) == (60, "iou", "9000:9200", False)
    page = unescape(uploaded_page(read(document)))
    assert line in page and ("files changed since" in page) == document["machine"]["commit"].endswith("+")


def test_a_value_with_a_blank_is_quoted(document: dict[str, Any]) -> None:
    document["settings"]["set"] = ["a.b=x; echo y"]
    assert "--set 'a.b=x; echo y'" in command(read(document))[0]


def test_nothing_from_a_file_is_markup(document: dict[str, Any], found: dict[str, Any]) -> None:
    evil = '<img src=x onerror="x">'
    text = json.dumps(document).replace("true body", json.dumps(evil)[1:-1]).replace("A note", json.dumps(evil)[1:-1])
    document = json.loads(text.replace("Peak signal", evil))
    for protocol in document["protocols"].values():
        protocol.update(title=evil, sentence=evil, id=evil, unit=evil)
    document["machine"]["processor"] = evil
    found.update(system=evil, variant=evil)
    found["worst"][0].update(again=evil, facts={"family": evil}, error=evil)
    found["regions"][0]["where"] = evil
    for html in (
        uploaded_page(read(document, evil)),
        uploaded_page(read(found, evil)),
        stored_page([read(document)], evil),
    ):
        assert "<img" not in html and 'onerror="' not in html
        assert unescape(html).count("<img") >= 3


def test_what_does_not_fit_is_refused_with_a_sentence(document: dict[str, Any], found: dict[str, Any]) -> None:
    def without(*path: str | int) -> dict[str, Any]:
        changed: Any = copy.deepcopy(document)
        place = changed
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        return changed

    psnr = ("systems", "projection", "variants", "estimated", "metrics", "psnr", "mean")
    wrong = copy.deepcopy(document)
    wrong["systems"]["projection"]["variants"]["estimated"]["metrics"]["psnr"]["mean"] = "19"
    many = copy.deepcopy(document)
    many["protocols"] = {str(i): many["protocols"]["psnr"] for i in range(500)}
    bad: list[Any] = [
        [], 3, {}, {"schema": "other/9"}, {"schema": ["a"]}, without(*psnr), without("systems"), without("protocols"),
        without("people"), wrong, many, {**document, "people": [5, 5]}, {**document, "systems": []},
        {**document, "systems": {}}, {**found, "worst": [{"seed": 1}]}, {**found, "regions": 3},
        {**found, "protocol": {}},
    ]  # fmt: skip
    raw = [b"", b"\xff\xfe", b"{", b"[" * 100_000, json.dumps(document).replace('"n": 3', '"n": NaN').encode(),
           json.dumps(document).replace("18.0", "1e400").encode(), b" " * (LARGEST + 1)]  # fmt: skip
    for data in [*(json.dumps(b).encode() for b in bad), *raw]:
        with pytest.raises(UserError) as caught:
            read_result(data, "mine.json")
        sentence = str(caught.value)
        assert "mine.json" in sentence and sentence.endswith(".") and len(sentence) < 400, data[:80]


def test_bars_are_as_long_as_what_the_truth_adds(document: dict[str, Any]) -> None:
    result = read(document)
    shares = result.gaps["projection"]["psnr"]
    assert list(shares) == ["body", "cut-out"]
    html = gap_chart(result.metrics["psnr"], shares)
    widths = [float(w) for w in re.findall(r'<rect class="hs-bar"[^>]*width="([\d.]+)"', html)]
    truth = document["systems"]["projection"]["gap"]["psnr"]
    assert widths[0] / widths[1] == pytest.approx(truth["body"]["mean"] / truth["cut-out"]["mean"], rel=0.05)
    assert texts(html, '<text class="hs-value".*?>(.*?)</text>') == [f"+{truth[s]['mean']:.2f}" for s in shares]
    assert "18.50" not in html and f"body {truth['body']['mean']:.2f}" in html  # told in words as well


def test_a_loss_points_the_other_way() -> None:
    metric = Metric("psnr", "p/1", "PSNR", "dB", "higher", 2, "A sentence.")
    html = gap_chart(metric, {"body": Mean(2.0, 1.0, 3.0, 5), "surface": Mean(-1.0, -2.0, -0.5, 5)})
    (left, wide), (left_loss, wide_loss) = [
        (float(a), float(b)) for a, b in re.findall(r'hs-bar" x="([\d.]+)"[^>]*width="([\d.]+)"', html)
    ]
    assert wide == pytest.approx(2 * wide_loss, rel=0.02) and left_loss + wide_loss == pytest.approx(left, abs=0.2)
    assert "+2.00" in html and "−1.00" in html and "+−" not in html


def test_curves_lie_where_their_numbers_are() -> None:
    metric = Metric("psnr", "p/1", "PSNR", "dB", "higher", 1, "A sentence.")
    points = {a: Mean(20.0 + k, 19.0 + k, 21.0 + k, 3) for k, a in enumerate(ANGLES)}
    flat = {a: Mean(0.0, 0.0, 0.0, 3) for a in ANGLES}
    html = curve_chart(metric, [("mine <b>", points), ("blank", flat)])
    (line,) = re.findall(r'<polyline[^>]*points="(.*?)"', html)  # the flat one is left out
    places = [tuple(map(float, p.split(","))) for p in line.split()]
    assert len(places) == 5 and places[0][1] == places[-1][1]  # the circle is closed
    steps = [a[1] - b[1] for a, b in pairwise(places[:4])]
    assert min(steps) > 0 and max(steps) - min(steps) < 0.2  # higher is up, and evenly so
    assert places[1][0] - places[0][0] == pytest.approx(places[4][0] - places[3][0], abs=0.2)
    assert "<b>" not in html and "at 0 degrees" in html
    assert curve_chart(metric, [("blank", flat)]) == ""


def test_ticks_are_round_and_hold_the_range() -> None:
    for low, high in ((0.6, 0.95), (14.0, 30.1), (-2.0, 3.0), (5.0, 5.0), (0.0, 1e-5), (-1e6, 1e6)):
        ticks = nice_ticks(low, high)
        assert ticks[0] <= low + 1e-9 * abs(low) and ticks[-1] >= high - 1e-9 * abs(high) and 2 <= len(ticks) <= 7
    html = curve_chart(Metric("iou", "i/1", "IoU", "", "higher", 3, "."), [("a", {0.0: Mean(0.1, None, None, 1),
                                                                                180.0: Mean(1.0, None, None, 1)})])  # fmt: skip
    marks = [float(t) for t in texts(html, r'<text class="hs-tick"[^>]*text-anchor="end">([\d.]+)<')]
    assert len(marks) >= 3 and len({round(b - a, 6) for a, b in pairwise(marks)}) == 1


def test_numbers_have_a_true_minus_and_no_minus_zero() -> None:
    assert [number(v, 1) for v in (-0.04, -1.25, 0.0, 3.0)] == ["0.0", "−1.2", "0.0", "3.0"]
    assert closed([(90.0, Mean(1.0, None, None, 1))])[-1][0] == 90.0


def test_one_table_holds_all_systems_on_the_same_people(document: dict[str, Any]) -> None:
    other = json.loads(json.dumps(document).replace('"projection"', '"hgm"'))
    elsewhere = {**document, "people": [9100, 9103]}
    results = [read(document, "a.json"), read(other, "b.json"), read(elsewhere, "c.json")]
    html = stored_page(results)
    assert html.count("blank white</th>") == 1 + html.count("<summary>1 more numbers")  # the baseline once a table
    assert texts(html, '<th scope="colgroup".*?>(.*?)</th>')[:2] in (["projection", "hgm"], ["hgm", "projection"])
    assert "--system hgm" in html and "People 9000 to 9002: " in html
    second = stored_page(results, results[2].group)
    assert "People 9100 to 9102 (3)" in second and "--system hgm" not in second
    # Of several systems only each one's own curve is drawn, and the baseline's.
    drawn = re.findall(r"</svg>([^<]*)</li>", html)
    assert sorted(drawn) == ["blank white", "hgm, estimated", "projection, estimated"]


def test_a_failure_search_is_shown_with_its_control(found: dict[str, Any]) -> None:
    html = unescape(uploaded_page(read(found)))
    for words in ("family = sitting", "0.410", "0.720", "0.005", "9017", "0.212", "robe", "--people 9017:9018", "was found",
                  "60 of people 9000 to 9199 tried", "commit abcdef0123+"):  # fmt: skip
        assert words in html, words
    found["control"]["found"], found["regions"] = False, []
    html = uploaded_page(read(found))
    assert "NOT found: trust nothing below" in html and "No region is worse than chance explains" in html


def test_photos_with_and_without_protocols() -> None:
    rows = {"a.jpg": {"iou": 0.9912, "lean_deg": -28.7, "splats": 78701, "seconds": {"photo": 0.1}},
            "b.jpg": {"iou": 0.5, "lean_deg": 0.1, "splats": 6}, "c.jpg": {"error": "No person was found."}}  # fmt: skip
    html = uploaded_page(read_result(json.dumps({"load": 1.0, "cores": 2, "rows": rows}).encode(), "photos.json"))
    assert texts(html, "<td>(.*?)</td>") == ["0.991", "−28.7", "78701", "0.500", "0.1", "6"]
    assert "c.jpg: No person was found." in html
    part = {"protocols": {"iou": {**vars(PROTOCOLS["iou"]), "title": "overlap"}}, "systems": {"hgm": rows}}
    own = {"schema": "humanscope.evaluate_photos/1", "settings": SETTINGS, "machine": {"cores": 2}, "photos": part}
    html = uploaded_page(read(own))
    assert "overlap" in html and "<h3>hgm</h3>" in html and "--photos PHOTOS" in html


def test_missing_results_are_said_in_one_sentence_with_the_command(tmp_path: Path) -> None:
    assert stored(tmp_path / "none") == []
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text('{"schema": "something"}')
    assert stored(tmp_path) == []
    html = stored_page([])
    for words in ("No table of scores on people is stored here", "No failure search is stored here",
                  "No scores on real photos are stored here"):  # fmt: skip
        assert html.count(words) == 1
    for line in re.findall("<code>python app.py (.*?)</code>", html):
        assert build_parser().parse_args(line.split()).command == "evaluate"


def test_the_projects_own_results_can_be_shown() -> None:
    results = stored()
    people = [r for r in results if r.columns]
    assert people, "benchmarks/results has no evaluate_*.json that the page can read"
    html = stored_page(results)
    for column in people[0].columns:
        assert number(column.means["psnr"].mean, 2) in html


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    add_evaluation(app)
    with TestClient(app) as client:
        yield client


def test_routes(client: TestClient, document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANSCOPE_RESULTS", str(tmp_path))
    assert "No table of scores" in client.get("/evaluation/").text
    (tmp_path / "evaluate_a.json").write_text(json.dumps(document))
    answer = client.get("/evaluation/?table=nonsense")
    assert answer.status_code == 200 and "People 9000 to 9002 (3)" in answer.text
    sent = client.post("/evaluation/?name=mine.json", content=json.dumps(document))
    assert sent.status_code == 200 and "mine.json" in sent.text and "no-store" in sent.headers["cache-control"]
    assert client.post("/evaluation/", content=b"{}").status_code == 400
    large = client.post("/evaluation/", content=b" " * (LARGEST + 1))
    assert large.status_code == 413 and "8 MB" in large.json()["detail"]
    assert [p.name for p in tmp_path.iterdir()] == ["evaluate_a.json"]  # what was sent is not kept


@pytest.mark.browser
def test_in_the_browser(chromium: Any, server: Server, document: dict[str, Any], tmp_path: Path) -> None:
    guest = Visitor(chromium, server).open()
    page = guest.page
    try:
        assert page.is_hidden("#hs-evaluation") and page.is_visible("#hs-work")
        page.click(".hs-to-evaluation")
        page.wait_for_selector(".hs-eval-body .hs-eval-table")
        assert page.is_hidden("#hs-work") and page.evaluate("location.hash") == "#evaluation"
        assert colours_in(guest.picture(".hs-eval-curves svg")) >= 6
        mine = tmp_path / "mine.json"
        mine.write_text(json.dumps(document))
        page.set_input_files("#hs-eval-file", mine)
        page.wait_for_selector(".hs-eval-own:has-text('mine.json')")
        assert "People 9000 to 9002 (3)" in page.inner_text(".hs-eval-body")
        page.click(".hs-eval-body .hs-eval-table summary >> nth=0")
        assert "nv-psnr/1" in page.inner_text(".hs-eval-table details[open]")
        mine.write_text("not json")
        page.set_input_files("#hs-eval-file", mine)
        page.wait_for_selector(".hs-evaluation > .hs-message:not([hidden])")
        assert "is not JSON" in page.inner_text(".hs-evaluation > .hs-message")
        assert "mine.json" in page.inner_text(".hs-eval-own")  # what was shown stays
        page.click("#hs-eval-back")
        page.wait_for_selector(".hs-eval-own", state="detached")
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.click(".hs-evaluation a:has-text('Back to the person')")
        page.wait_for_selector("#hs-work:visible")
        assert page.is_hidden("#hs-evaluation")
        assert not guest.errors
    finally:
        guest.leave()
