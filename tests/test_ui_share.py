"""Sharing a run by a link: looking, nothing else, and only while it is shared."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.records import Upload
from pipelines.run import create_run
from pipelines.step import UserError
from pipelines.store import Store
from tests.browser import Visitor, photo_bytes, read_run, step_states
from ui.rail import snapshot
from ui.session import Page, Session, new_token

pytest_plugins = ("tests.browser",)


def test_a_key_looks_and_does_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines import systems

    monkeypatch.setitem(systems.SYSTEMS, "fake", "tests.fake_system")
    session, owner = Session(Store(tmp_path / "store"), tmp_path / "none"), new_token()
    run = create_run(session.runs / new_token(), Upload(photo_bytes(), "a.png"), "fake")
    session.claim(run.folder, owner, stepwise=False)
    name = run.folder.name
    with pytest.raises(UserError):
        session.folder(new_token(), name)
    first = session.share(owner, name)
    assert session.folder(first, name) == run.folder and first not in (run.folder / "page.json").read_text()
    seen = snapshot(session, first, name)
    assert seen["guest"] and not seen["mine"] and not seen["shared"] and seen["expires"] is not None
    own = snapshot(session, owner, name)
    assert own["mine"] and own["shared"] and not own["guest"]
    for forbidden in (session.own_folder, session.share, session.stop_sharing):
        with pytest.raises(UserError, match="shared with you to look at"):
            forbidden(first, name)
    second = session.share(owner, name)
    with pytest.raises(UserError):  # a new link ends the one before it
        session.folder(first, name)
    assert session.own_names(second) == [] and session.own_names(owner) == [name]
    session.stop_sharing(owner, name)
    assert not Page.load(run.folder).viewer
    for token in (second, ""):
        with pytest.raises(UserError):
            session.folder(token, name)
    assert session.folder(owner, name) == run.folder


def test_a_page_record_of_an_earlier_version_is_shared_with_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "page.json").write_text(json.dumps({"owner": "0" * 64, "expires": 1.0}))
    page = Page.load(folder)
    assert not page.shows_to("") and not page.shows_to(new_token())


@pytest.mark.browser
def test_in_the_browser(chromium: Any, server: Any, visitor: Visitor) -> None:
    visitor.open()
    visitor.upload(photo_bytes(188))
    folder = visitor.reconstruct()
    page = visitor.page
    assert page.is_hidden(".hs-sharing")
    page.click("button:has-text('Share')")
    page.wait_for_selector(".hs-sharing input:visible")
    link = page.input_value(".hs-sharing input")
    found = re.fullmatch(re.escape(server.url) + "#run/([0-9a-f]{32})/([0-9a-f]{32})", link)
    assert found and found[1] == folder.name
    before = (folder / "run.json").read_bytes()
    other = Visitor(chromium, server, url=link).open()
    try:
        other.page.wait_for_function("document.querySelectorAll('.hs-steps li').length === 4")
        assert set(other.states().values()) <= {"done", "reused"}
        assert "shared with you" in other.page.inner_text(".hs-status")
        other.choose("slow")
        for words in ("Run from here", "Delete now", "Share"):
            assert not other.page.is_visible(f"button:has-text('{words}')"), words
        other.choose("matte")
        other.page.wait_for_function("document.querySelector('.hs-over-picture').naturalWidth > 0")
        # Whatever a page could send in spite of that is refused.
        other.page.evaluate(
            "import('./style/hub.js').then((m) => m.hub.act({ type: 'run_from', step: 'slow', settings: {} }))"
        )
        other.page.wait_for_selector(".hs-banner:has-text('shared with you to look at')")
        assert (folder / "run.json").read_bytes() == before
        page.click("button:has-text('Stop sharing')")
        page.wait_for_selector(".hs-sharing", state="hidden")
        other.page.reload()
        other.page.wait_for_selector(".hs-banner:visible")
        assert other.states() == {}
        key = found[2]
        assert other.page.request.get(f"{server.url}files/{key}/{folder.name}/photo/photo.webp").status == 404
        assert set(step_states(folder).values()) <= {"done", "reused"} and read_run(folder)["state"] == "done"
        assert not other.errors and not visitor.errors
    finally:
        other.leave()
