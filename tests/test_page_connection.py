"""What was pressed is done, once, and the page shows it, whatever happens to requests and answers on the way."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.records import Upload
from pipelines.run import create_run
from pipelines.store import Store
from tests.browser import Server, Visitor, photo_bytes, step_states
from ui.door import NOTE, Acts, Door, read_note
from ui.session import Limits, Session, new_token

pytest_plugins = ("tests.browser",)
INTERRUPTED = ".hs-banner:has-text('interrupted; trying again')"
REGAINED = ".hs-banner:has-text('Connected again')"


# The server's side, without a browser


class Counted:
    """Stands where `ui.actions.Actions` stands: counts what begins, and makes a run for each."""

    def __init__(self, session: Session, seconds: float = 0.0) -> None:
        self.session, self.seconds, self.worker, self.begun = session, seconds, None, 0

    async def start(self, token: str, upload: str, system: str, seed: int, stepwise: bool) -> str:
        self.begun += 1
        await asyncio.sleep(self.seconds)
        run = create_run(self.session.runs / new_token(), Upload(photo_bytes(), "a.png"), "fake", seed=seed)
        self.session.claim(run.folder, token, stepwise=stepwise)
        return run.folder.name

    async def run_from(self, token: str, name: str, step: str, settings: dict[str, Any], **_: Any) -> str:
        raise AssertionError("what cannot be read is refused before")

    async def delete(self, token: str, name: str) -> None:
        self.session.forget(self.session.own_folder(token, name))


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(Store(tmp_path / "store"), tmp_path / "none", Limits())


START = {"type": "start", "upload": "1" * 32, "system": "fake", "seed": 5, "stepwise": False}


def test_an_act_that_arrives_twice_is_done_once(session: Session) -> None:
    actions = Counted(session, 0.05)
    door, note, number = Door(actions), {**NOTE, "token": new_token()}, new_token()

    async def twice() -> list[dict[str, Any]]:
        both = await asyncio.gather(door.act(number, note, START), door.act(number, note, START))
        return [*both, await door.act(number, note, START)]  # a third time, when it has long been done

    answers = asyncio.run(twice())
    assert actions.begun == 1
    assert len({a["view"]["run"] for a in answers}) == 1 and answers[0]["view"]["seed"] == 5
    asyncio.run(door.act(new_token(), note, START))
    asyncio.run(door.act(number, {**note, "token": new_token()}, START))  # another visitor with the same number
    assert actions.begun == 3


def test_a_long_act_answers_not_yet_and_goes_on(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.door.ANSWER_SECONDS", 0.05)
    actions = Counted(session, 0.25)
    door, note, number = Door(actions), {**NOTE, "token": new_token()}, new_token()

    async def patiently() -> list[dict[str, Any]]:
        answers = [await door.act(number, note, START)]
        while "wait" in answers[-1]:
            answers.append(await door.act(number, note, START))
        return answers

    answers = asyncio.run(patiently())
    assert len(answers) > 2 and answers[0] == {"wait": True} and answers[-1]["view"]["mine"]
    assert actions.begun == 1


def test_what_broke_down_is_tried_again_and_what_was_refused_is_not() -> None:
    count = {"broken": 0, "done": 0}

    async def breaks() -> Any:
        count["broken"] += 1
        raise RuntimeError("planted")

    async def works() -> Any:
        count["done"] += 1
        return NOTE, {"error": "no"}

    async def ask() -> None:
        acts = Acts()
        for _ in range(2):
            with pytest.raises(RuntimeError, match="planted"):
                await acts.once(("t", "1"), breaks)
            assert await acts.once(("t", "2"), works) == (NOTE, {"error": "no"})

    asyncio.run(ask())
    assert count == {"broken": 2, "done": 1}


def test_a_look_answers_at_once_when_something_is_new(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.door.ANSWER_SECONDS", 0.5)
    owner = new_token()
    run = create_run(session.runs / new_token(), Upload(photo_bytes(), "a.png"), "fake")
    session.claim(run.folder, owner, stepwise=False)
    door, note = Door(Counted(session)), {**NOTE, "token": owner, "mine": run.folder.name}
    first = asyncio.run(door.look(note))
    assert first["note"] == note and first["view"]["mine"] and not first["view"]["busy"]
    began = time.monotonic()
    rested = asyncio.run(door.look(note, first["seen"]))
    assert rested["view"] is None and rested["seen"] == first["seen"]
    run.state = "running"
    run.save()
    moved = asyncio.run(door.look(note, first["seen"]))
    assert moved["view"]["busy"] and moved["seen"] != first["seen"]
    assert time.monotonic() - began < 0.4, "neither had to wait"

    async def while_waiting() -> dict[str, Any]:
        async def change() -> None:
            await asyncio.sleep(0.1)
            run.state = "done"
            run.save()

        found, _ = await asyncio.gather(door.look(note, moved["seen"]), change())
        return found

    assert asyncio.run(while_waiting())["view"]["state"] == "done"
    run.state = "running"
    run.save()
    same = asyncio.run(door.look(note, moved["seen"]))
    assert same["view"] is None, "an answer comes also when nothing changes"


def test_a_look_says_what_is_gone_and_gives_a_newcomer_a_token(session: Session) -> None:
    door, owner = Door(Counted(session)), new_token()
    new = asyncio.run(door.look({}))
    assert len(new["note"]["token"]) == 32 and new["view"]["state"] == "empty" and "notice" not in new
    gone = asyncio.run(
        door.look({**NOTE, "token": owner, "mine": new_token(), "guest": f"{new_token()}/{new_token()}"})
    )
    assert gone["note"] == {**NOTE, "token": owner} and "no longer there" in gone["notice"]
    assert read_note({"token": 3, "mine": ["x"], "other": "y"}) == NOTE == read_note("nonsense") == read_note(None)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ({"type": "fly"}, "does not know"),
        ({**START, "seed": "many"}, "not a whole number"),
        ({"type": "run_from", "settings": [1]}, "knobs did not arrive"),
        ({"type": "delete"}, "no such run"),
    ],
)
def test_acts_that_cannot_be_done_get_a_sentence(session: Session, act: dict[str, Any], words: str) -> None:
    answer = asyncio.run(Door(Counted(session)).act(new_token(), {**NOTE, "token": new_token()}, act))
    assert set(answer) == {"error"} and words in answer["error"]


def test_nothing_is_done_for_a_page_without_a_token(session: Session) -> None:
    actions = Counted(session)
    assert "reload" in asyncio.run(Door(actions).act(new_token(), NOTE, START))["error"]
    assert actions.begun == 0


# In the browser

browser = pytest.mark.browser


class Troubled:
    """Lets some of the page's questions or answers vanish. which: numbers of the posts that suffer, from 0."""

    def __init__(self, page: Any, where: str, how: str, which: range) -> None:
        self.how, self.which, self.count, self.lost = how, which, 0, 0
        page.route(where, self._handle)

    def _handle(self, route: Any) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        number, self.count = self.count, self.count + 1
        if number not in self.which:
            route.continue_()
            return
        self.lost += 1
        if self.how == "answer":
            route.fetch()  # the server does it, and the page never hears of it
        if self.how != "never":
            route.abort("connectionreset")


@browser
@pytest.mark.parametrize("how", ["question", "answer"])
def test_one_press_is_one_run_though_every_second_post_is_lost(visitor: Visitor, how: str) -> None:
    visitor.open()
    visitor.upload(photo_bytes(231))
    trouble = Troubled(visitor.page, "**/*", how, range(0, 12, 2))
    before = set(visitor.server.runs())
    visitor.page.click("#hs-reconstruct")
    visitor.rest()
    (mine,) = set(visitor.server.runs()) - before
    assert set(step_states(mine).values()) <= {"done", "reused"}
    assert visitor.states() == step_states(mine)
    assert trouble.lost >= 2
    visitor.page.wait_for_function("document.body.dataset.hsPending === 'no'")
    visitor.page.wait_for_selector(INTERRUPTED, state="hidden")
    visitor.page.unroute_all(behavior="wait")
    assert not visitor.errors


@browser
def test_a_question_that_is_never_answered_is_asked_again(chromium: Any, server: Server) -> None:
    guest = Visitor(chromium, server)
    try:
        guest.page.add_init_script(  # the page's patience, shortened
            "const later = window.setTimeout; window.setTimeout = (f, ms, ...rest) => later(f, ms >= 15000 ? 700 : ms, ...rest)"
        )
        guest.open()
        guest.upload(photo_bytes(232))
        trouble = Troubled(guest.page, "**/door/*", "never", range(0, 2))
        guest.page.click("#hs-reconstruct")
        guest.page.wait_for_selector(INTERRUPTED)
        guest.rest()
        assert trouble.lost == 2 and set(guest.states().values()) <= {"done", "reused"}
        guest.page.wait_for_selector(INTERRUPTED, state="hidden")
        assert not guest.errors
    finally:
        guest.leave()


@browser
def test_the_page_needs_none_of_gradios_event_stream(visitor: Visitor) -> None:
    # Its client waits for ever when its last event ends just as the next one joins.
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    visitor.open()
    visitor.upload(photo_bytes(233))
    visitor.reconstruct()
    visitor.turn("slow", "iterations", 4)
    visitor.page.dblclick(".hs-again")
    visitor.wait_state("slow", "done")
    assert not [url for url in asked if "/queue/" in url]
    assert any(url.endswith("door/act") for url in asked)


@browser
def test_the_page_outlives_its_server(chromium: Any, tmp_path: Path) -> None:
    server = Server(tmp_path / "store")
    guest = None
    try:
        server.wait()
        guest = Visitor(chromium, server).open()
        guest.upload(photo_bytes(234))
        guest.reconstruct()
        guest.turn("slow", "iterations", 5000)
        guest.page.click(".hs-again")
        guest.wait_state("slow", "running")
        server.kill()
        guest.page.wait_for_selector(INTERRUPTED)
        guest.choose("matte")  # what is there can be looked at meanwhile
        guest.page.wait_for_selector('.hs-knob[data-knob="threshold"]')
        server = Server(tmp_path / "store", port=server.port)
        guest.page.wait_for_selector(REGAINED)
        guest.rest()
        guest.wait_state("slow", "failed")
        guest.choose("slow")
        guest.set_number("iterations", 3)
        guest.page.click(".hs-again")
        guest.wait_state("last.step", "done")
        assert not guest.errors
    finally:
        if guest is not None:
            guest.leave()
        server.stop()
