"""The run as the page draws it: one plain dictionary, from run.json, the event log and page.json.

States of a step on the rail: waiting, queued (with position), running (k of n, percent), done (seconds), reused,
needs-you (step by step), warning, failed, cancelled, stale, missing (needs something).
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from pipelines.run import Run, StepState
from pipelines.step import UserError
from pipelines.worker import read_events
from ui.run_reader import RunReader
from ui.session import PUBLIC, UNFINISHED, Page, Session
from ui.step_plates import EXCHANGED, exchange_plate, plates, view_of

WORDS = {
    "waiting": "waiting", "queued": "queued", "running": "running", "done": "done", "reused": "reused",
    "needs-you": "your turn", "warning": "warning", "failed": "failed", "cancelled": "stopped",
    "stale": "out of date", "missing": "needs something",
}  # fmt: skip


class Progress:
    """The last event of each step, read from the growing log a piece at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.offset = folder, 0
        self.last: dict[str, dict[str, Any]] = {}

    def read(self) -> None:
        """Take in what was appended since."""
        events, self.offset = read_events(self.folder, self.offset)
        for event in events:
            name = event["step"]
            if event["state"] == "running" and event.get("fraction") == 0.0 and not event.get("message"):
                self.last.pop(name, None)  # a new attempt at the step
            self.last[name] = {**self.last.get(name, {}), **{k: v for k, v in event.items() if v is not None}}


def snapshot(
    session: Session, token: str, name: str, *, position: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Everything the page shows of a run; UserError when the token may not see it."""
    folder = session.folder(token, name)
    reader = RunReader(folder, session.store)
    run = reader.run
    page = Page.load(folder) if token != PUBLIC else None
    mine = page is not None and page.belongs_to(token)
    if progress is None:
        progress = Progress(folder)
    progress.read()
    base = f"files/{token}/{name}"
    steps = [_step(run, state, reader, base, progress, position) for state in run.steps]
    pause = _pause_at(run, page)
    if pause is not None:
        steps[pause]["state"] = "needs-you"
        steps[pause]["word"] = WORDS["needs-you"]
    return {
        "token": token, "run": name, "mine": mine, "guest": page is not None and not mine,
        "shared": bool(mine and page and page.viewer), "system": run.system, "upload": run.upload_sha256[:12], "seed": run.seed,
        "state": run.state, "message": run.message, "photo_name": run.photo_name, "steps": steps, "position": position,
        "stepwise": bool(page and page.stepwise), "expires": page.expires if page else None, "base": base,
        "settings": run.settings, "replaced": sorted(run.replaced), "busy": run.state in UNFINISHED,
        "stand_in": run.preset == "tiny", "version": run.version,
    }  # fmt: skip


def next_step(run: Run) -> str | None:
    """The first step without a fitting result, or None."""
    return next((s.name for s in run.steps if not s.finished), None)


def _pause_at(run: Run, page: Page | None) -> int | None:
    """In step-by-step mode: the number of the step that waits to be looked at."""
    if page is None or not page.stepwise or run.state in (*UNFINISHED, "done", "failed", "cancelled", "missing"):
        return None
    finished = [i for i, s in enumerate(run.steps) if s.finished]
    return finished[-1] if finished and len(finished) < len(run.steps) else None


def _step(
    run: Run, state: StepState, reader: RunReader, base: str, progress: Progress, position: int
) -> dict[str, Any]:  # fmt: skip
    shown = state.state
    if run.state not in UNFINISHED and shown in ("queued", "running"):
        shown = "waiting"
    event = progress.last.get(state.name, {}) if shown == "running" else {}
    seconds = state.seconds
    found: dict[str, Any] = {
        "name": state.name, "title": state.title, "kind": state.kind, "state": shown, "word": WORDS[shown],
        "message": event.get("message", state.message) if shown == "running" else state.message,
        "fraction": event.get("fraction"), "seconds": seconds, "memory": state.peak_rss_mb,
        "content": (state.content or "")[:12], "replaced": state.replaced, "preview": None, "record": None, "plates": [],
        "kept": True,
    }  # fmt: skip
    if shown == "queued" and position:
        found["word"] = f"queued, {position} before you"
    if shown == "running" and found["fraction"] is not None:
        found["word"] = f"at {round(100 * found['fraction'])} %"
    if event.get("preview"):
        found["preview"] = f"{base}/{state.name}/{event['preview']}?t={event['time']:.2f}"
    with contextlib.suppress(UserError, OSError):
        kind = reader.kind(state.name)
        if kind is not None:
            found["record"] = kind
            found["kept"] = reader.place(state.name) is not None
            here, source = (lambda view: _address(base, state, view)), _sources(run, reader, base)
            found["plates"] = plates(state.name, kind, here, source)
    framings, view = EXCHANGED.get(state.name, ((), ""))
    settled = run.state not in UNFINISHED or bool(found["plates"])
    for framing in framings if settled else ():
        with contextlib.suppress(UserError, OSError):
            if view_of(framing, reader.kind(framing), view):
                given = exchange_plate(_address(base, reader.state(framing), view))
                found["plates"] = [*found["plates"], given]
    return found


def _address(base: str, state: StepState, view: str) -> str:
    return f"{base}/{state.name}/{view}?c={(state.content or '')[:12]}"


def _sources(run: Run, reader: RunReader, base: str) -> Any:
    def source(kind: str, view: str) -> str | None:
        for state in reversed(run.steps):
            if reader.kind(state.name) == kind:
                return _address(base, state, view)
        return None

    return source
