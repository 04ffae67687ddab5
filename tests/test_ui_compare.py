"""Two runs side by side: which there are to choose from, a second run beside the first, and the page of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.records import Upload
from pipelines.run import Executor, Run, create_run
from pipelines.store import Store
from tests.browser import Visitor, photo_bytes, read_run
from ui import desk_jobs
from ui.compare import comparable
from ui.session import Session, new_token

pytest_plugins = ("tests.browser",)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    from pipelines import systems

    monkeypatch.setitem(systems.SYSTEMS, "fake", "tests.fake_system")
    monkeypatch.setitem(systems.SYSTEMS, "show", "tests.page_system")
    return Session(Store(tmp_path / "store"), tmp_path / "none")


def finished(session: Session, token: str, data: bytes, **options: Any) -> Run:
    """A finished run of a visitor."""
    run = create_run(session.runs / new_token(), Upload(data, "a.png"), "fake", **options)
    Executor(run, session.store, Upload(data, "a.png")).execute()
    session.claim(run.folder, token, stepwise=False)
    return run


def test_only_ones_own_runs_can_be_chosen_the_newest_first(session: Session) -> None:
    mine, theirs = new_token(), new_token()
    old = finished(session, mine, photo_bytes(150))
    new = finished(session, mine, photo_bytes(151), settings={"slow": {"iterations": 3}})
    new.created = "2999-01-01T00:00:00+00:00"
    new.save()
    finished(session, theirs, photo_bytes(152))
    found = comparable(session, mine)
    assert [entry["run"] for entry in found] == [new.folder.name, old.folder.name]
    assert found[0]["settings"] == {"slow": {"iterations": 3}} and found[0]["mine"] and found[0]["frames"] is None
    assert theirs not in json.dumps(found) and comparable(session, new_token()) == []


def test_a_run_beside_shares_what_did_not_change_and_leaves_the_first_alone(session: Session) -> None:
    mine, data = new_token(), photo_bytes(160)
    first = finished(session, mine, data)
    before = (first.folder / "run.json").read_bytes()
    folder = session.runs / new_token()
    desk_jobs.adopt(str(first.folder), str(folder), str(session.store.root), {"slow": {"iterations": 4}})
    second = Executor(Run.load(folder), session.store).execute()  # without the upload: the photo is in the store
    assert [s.state for s in second.steps] == ["reused", "reused", "done", "done"]
    assert second.settings == {"slow": {"iterations": 4}} and (first.folder / "run.json").read_bytes() == before
    other = session.runs / new_token()
    desk_jobs.adopt(str(first.folder), str(other), str(session.store.root), None, "show")
    third = Run.load(other)
    assert third.system == "show" and third.upload_sha256 == first.upload_sha256


@pytest.fixture(scope="module")
def pair(chromium: Any, server: Any) -> Iterator[tuple[Visitor, list[Path]]]:
    """A visitor on the compare page with two runs of one photo, the second with fewer iterations."""
    guest = Visitor(chromium, server).open()
    guest.choose_system("show")
    guest.upload(photo_bytes(200))
    first = guest.reconstruct()
    guest.turn("body.fit", "iterations", 5)
    guest.page.click("button:has-text('Run beside')")
    guest.page.wait_for_function(
        "[...document.querySelectorAll('.hs-compare tr[data-differs]')].some(e => e.textContent === 'body: Iterations85')"
    )
    guest.page.wait_for_function("document.querySelectorAll('.hs-compare-canvas[data-ready=yes]').length === 2")
    yield guest, [first, next(p for p in server.runs() if p != first)]
    guest.leave()


def drawn(page: Any) -> list[str]:
    """What both canvases hold."""
    return page.eval_on_selector_all(".hs-compare-canvas", "all => all.map(e => e.toDataURL())")


@pytest.mark.browser
def test_both_turn_together_and_the_numbers_that_differ_stand_out(pair: tuple[Visitor, list[Path]]) -> None:
    guest, (first, second) = pair
    page = guest.page
    assert read_run(first)["settings"] == {} and read_run(second)["settings"] == {"body.fit": {"iterations": 5}}
    chosen = page.eval_on_selector_all(".hs-compare select", "all => all.map(e => e.selectedOptions[0].textContent)")
    assert "iterations 5" not in chosen[0] and "iterations 5" in chosen[1]
    differ = page.locator(".hs-compare tr[data-differs] th").all_inner_texts()
    assert "body: Iterations" in differ and "Photo" not in differ and "mesh: Triangles" not in differ
    turn = page.locator(".hs-compare input[type=range] >> nth=0")
    canvas = page.locator(".hs-compare-canvas")
    turn.fill("0")
    front = drawn(page)
    turn.fill("90")
    side = drawn(page)
    # The stand-ins of both runs look the same from every side.
    assert front[0] == front[1] and side[0] == side[1] and front[0] != side[0] and len(front[0]) > 2000
    assert [canvas.nth(k).get_attribute("data-angle") for k in (0, 1)] == ["90", "90"]
    box = canvas.nth(1).bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, box["y"] + 100, steps=3)
    page.mouse.up()
    assert [canvas.nth(k).get_attribute("data-angle") for k in (0, 1)] == ["150", "150"]
    assert not guest.errors


@pytest.mark.browser
def test_difference_is_black_where_nothing_differs(pair: tuple[Visitor, list[Path]]) -> None:
    guest, _ = pair
    guest.page.click(".hs-compare button[data-mode='difference']")
    assert guest.picture(".hs-compare-canvas")[40:-40, 40:-40].max() <= 2
    guest.page.click(".hs-compare button[data-mode='wipe']")
    assert guest.picture(".hs-compare-canvas").max() > 200
    guest.page.click(".hs-compare button[data-mode='beside']")
    guest.page.set_viewport_size({"width": 390, "height": 844})
    assert guest.page.evaluate("document.documentElement.scrollWidth") == 390
    right = guest.page.evaluate("document.querySelector('.hs-theme').getBoundingClientRect().right")
    assert right <= 390
    guest.page.set_viewport_size({"width": 1280, "height": 800})


def options(page: Any) -> list[int]:
    """How many runs each side has to choose from."""
    return page.eval_on_selector_all(".hs-compare select", "all => all.map(e => e.options.length)")


@pytest.mark.browser
def test_an_older_list_that_comes_last_changes_nothing(pair: tuple[Visitor, list[Path]]) -> None:
    page, held = pair[0].page, []
    page.route("**/runs/*", lambda route: route.continue_() if held else held.append(route))
    try:
        with page.expect_response("**/runs/*"):
            page.evaluate("for (let i = 0; i < 2; i++) window.dispatchEvent(new Event('hs-regained'))")
        with page.expect_response("**/runs/*"):
            held[0].fulfill(json=[])
        page.wait_for_timeout(300)
        assert options(page) == [2, 2]
        assert page.inner_text(".hs-compare-words") == ""
    finally:
        page.unroute("**/runs/*")


@pytest.mark.browser
def test_a_list_or_a_number_that_does_not_come_is_asked_for_again(pair: tuple[Visitor, list[Path]]) -> None:
    page, lost = pair[0].page, []

    def lose_one(route: Any) -> None:
        if route.request.url.split("?")[0] in lost:
            return route.continue_()
        lost.append(route.request.url.split("?")[0])
        return route.abort()

    for where in ("**/runs/*", "**/body.fit/facts.json*"):
        page.route(where, lose_one)
    try:
        page.evaluate("window.dispatchEvent(new Event('hs-regained'))")
        page.wait_for_selector(".hs-compare-words:has-text('trying again')")
        page.wait_for_selector(".hs-compare-words:has-text('trying again')", state="hidden")
        assert options(page) == [2, 2]
        page.select_option(".hs-compare select >> nth=1", index=1)
        page.wait_for_function(
            "[...document.querySelectorAll('.hs-compare tr')].some(e => e.textContent === 'body: Iterations88')"
        )
        assert len(lost) == 2
    finally:
        page.select_option(".hs-compare select >> nth=1", index=0)
        page.unroute_all()


@pytest.mark.browser
def test_a_stranger_sees_no_run_of_the_list(pair: tuple[Visitor, list[Path]], chromium: Any, server: Any) -> None:
    other = Visitor(chromium, server, url=f"{server.url}#compare").open()
    try:
        other.page.wait_for_selector(".hs-compare-words:has-text('Two finished runs are needed')")
        assert other.page.locator(".hs-compare option").count() == 0
        assert other.page.request.get(f"{server.url}runs/nobody").status == 404
    finally:
        other.leave()
