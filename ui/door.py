"""What the page asks of the server: to do something (`act`), and to say what is to be seen now (`look`).

Both are single questions with single answers, over plain requests (`ui.door_routes`), so that nothing is lost with a
connection: a page that got no answer asks again. An act carries a number that the page drew for it, and is done once
however often it arrives. Gradio's own event stream is not used for this: when its last event ends while the next one
joins, the client waits for ever on a stream that the server has closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from pipelines.step import UserError
from ui import edit
from ui.actions import Actions
from ui.follow import PAUSE, Logs, look, mark_of
from ui.session import PUBLIC, TOKEN, Page, new_token

# The browser's note: visitor's token, own run, prepared run that is shown, run and key of one that was shared.
Note = dict[str, str]
NOTE: Note = {"token": "", "mine": "", "example": "", "guest": ""}
ANSWER_SECONDS = 8.0  # no question stays open longer: proxies and sleeping laptops cut long ones
REMEMBERED = 512  # acts whose outcome is kept for a page that asks again
NOBODY = "The page does not know yet who you are; reload it and try again."
VIEWERS_ONLY = "This run was shared with you to look at; drop a photo to make your own."

Outcome = tuple[Note, dict[str, Any]]  # the note after an act, and what its answer says beside the snapshot


class Acts:
    """Each numbered piece of work is done once, however often it is asked for."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], asyncio.Task[Outcome]] = OrderedDict()

    def once(self, key: tuple[str, str], work: Callable[[], Coroutine[Any, Any, Outcome]]) -> asyncio.Task[Outcome]:
        """The task that does the work; the same one for the same key. What broke down may be tried again."""
        task = self._known.get(key)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._known[key] = asyncio.ensure_future(work())
        self._known.move_to_end(key)
        for old in list(self._known)[: max(0, len(self._known) - REMEMBERED)]:
            if self._known[old].done():
                del self._known[old]
        return task


class Door:
    """The page's acts and looks. A snapshot is a plain dictionary (see `ui.rail.snapshot`)."""

    def __init__(self, actions: Actions) -> None:
        self.actions, self.session = actions, actions.session
        self._acts, self._logs = Acts(), Logs()

    async def act(self, number: str, note: Any, data: dict[str, Any]) -> dict[str, Any]:
        """Do what was pressed. number: of this act, drawn by the page. note: the page's. data: 'type' and what it needs.

        Answers {'note', 'view', 'seen'}, with 'link' after sharing; {'error': sentence} when it cannot be done; and
        {'wait': True} when it takes longer, upon which the page asks again with the same number.
        """
        note = read_note(note)
        if not TOKEN.fullmatch(note["token"]):
            return {"error": NOBODY}
        task = self._acts.once((note["token"], number), lambda: self._outcome(note, data))
        done, _ = await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if not done:
            return {"wait": True}
        after, said = task.result()
        if "error" in said:
            return said
        return {**await asyncio.to_thread(self.now, after), **said}

    async def look(
        self, note: Any, seen: str = "", gone: Callable[[], Awaitable[bool]] | None = None
    ) -> dict[str, Any]:  # fmt: skip
        """What is to be seen: at once when it is not what was seen last, or the run rests, else as soon as it changes.

        seen: the last answer's. gone: whether nobody waits any more. Answers {'note', 'view', 'seen'}, where 'view' is
        None when nothing has changed.
        """
        note, end = read_note(note), time.monotonic() + ANSWER_SECONDS
        while True:
            found = await asyncio.to_thread(self.now, note)
            if found["seen"] != seen:
                return found
            if not found["view"]["busy"] or time.monotonic() > end or (gone is not None and await gone()):
                return {**found, "view": None}
            await asyncio.sleep(PAUSE)

    def now(self, note: Note) -> dict[str, Any]:
        """{'note', 'view', 'seen'}, and 'notice' when what the note points to is no longer there."""
        note, notice = self._valid(note)
        try:
            view = self.show(note)
        except (UserError, OSError):  # deleted since the line before
            note, notice = self._valid(note)
            view = self.show(note)
        found: dict[str, Any] = {"note": note, "view": view, "seen": mark_of(view)}
        return {**found, "notice": notice} if notice else found

    def _valid(self, note: Note) -> tuple[Note, str]:
        """The note without what is gone, and a sentence about that; a new visitor gets a token."""
        note = dict(note)
        if not TOKEN.fullmatch(note["token"]):
            return {**NOTE, "token": new_token()}, ""
        notice = ""
        if note["mine"]:
            try:
                self.session.folder(note["token"], note["mine"])
            except UserError:
                note["mine"] = ""
                notice = "Your last run has been deleted; runs are kept for a limited time only."
        if note["guest"] and self._guest(note) is None:
            note["guest"] = ""
            notice = "The run that was shared with you is no longer there."
        return note, notice

    def show(self, note: Note) -> dict[str, Any]:
        """The snapshot of what the note points to: the visitor's run, else a prepared one, else an empty page."""
        examples = self.session.example_names()
        shown: dict[str, Any] = {"state": "empty", "steps": [], "busy": False}
        name = note["example"] if note["example"] in examples else ""
        guest = self._guest(note)
        if guest:
            shown = look(self.session, self.actions.worker, self._logs, guest[1], guest[0])
        elif name or not note["mine"]:
            name = name or (examples[0] if examples else "")
            if name:
                shown = look(self.session, None, self._logs, PUBLIC, name)
        else:
            shown = look(self.session, self.actions.worker, self._logs, note["token"], note["mine"])
        limits = self.session.limits
        return {
            **shown, "visitor": note["token"], "has_mine": bool(note["mine"]), "keep_hours": limits.keep_hours,
            "upload_bytes": limits.upload_bytes, "archive_bytes": limits.archive_bytes,
        }  # fmt: skip

    def _guest(self, note: Note) -> tuple[str, str] | None:
        """Name and key of the shared run that the note points to, if it is still shared."""
        name, _, key = note.get("guest", "").partition("/")
        with contextlib.suppress(UserError):
            if name and key != PUBLIC:
                self.session.folder(key, name)
                return name, key
        return None

    async def _outcome(self, note: Note, data: dict[str, Any]) -> Outcome:
        try:
            if data.get("type") == "share":
                key = self.session.share(note["token"], note["mine"])
                return note, {"link": f"#run/{note['mine']}/{key}"}
            return await self._do(note, data), {}
        except UserError as error:
            return note, {"error": str(error)}

    async def _do(self, note: Note, data: dict[str, Any]) -> Note:
        """The note after the act."""
        kind, token = str(data.get("type")), note["token"]
        if kind == "start":
            return await self._start(note, data)
        if kind == "example":
            return {**note, "example": str(data.get("name")), "guest": ""}
        if kind == "mine":
            return {**note, "example": "", "guest": ""}
        if kind == "open":
            name, key = str(data.get("run")), str(data.get("key"))
            # One's own link shows the run as one's own.
            own = Page.load(self.session.folder(key, name)).belongs_to(token)
            return {**note, "mine": name, "example": "", "guest": ""} if own else {**note, "guest": f"{name}/{key}"}
        if kind == "unshare":
            self.session.stop_sharing(token, note["mine"])
            return note
        if note["guest"] and kind not in ("stop", "delete"):
            raise UserError(VIEWERS_ONLY)
        if kind == "stop":
            await self.actions.stop(token, note["mine"])
            return note
        if kind == "delete":
            await self.actions.delete(token, note["mine"])
            return {**note, "mine": "", "example": ""}
        return {**note, "mine": await self._change(note, kind, data), "example": "", "guest": ""}

    async def _start(self, note: Note, data: dict[str, Any]) -> Note:
        """'Reconstruct'."""
        upload, system = data.get("upload"), str(data.get("system"))
        if not upload:
            what = "a photo of a person" if await self.actions.entry(system) == "photo" else "views of a person"
            raise UserError(f"Choose {what} first, or one of the examples.")
        name = await self.actions.start(
            note["token"], str(upload), system, whole(data.get("seed")) or 0, bool(data.get("stepwise"))
        )
        return {**note, "mine": name, "example": "", "guest": ""}

    async def _change(self, note: Note, kind: str, data: dict[str, Any]) -> str:
        """What makes or changes a run; returns the run's name."""
        token, stepwise, step = note["token"], bool(data.get("stepwise")), str(data.get("step") or "")
        run = note["example"] or note["mine"] or next(iter(self.session.example_names()), "")
        if kind == "run_from":
            return await self.actions.run_from(
                token, run, step, settings_of(data), stepwise=stepwise, seed=whole(data.get("seed"))
            )
        if kind == "beside":
            base, system = str(data.get("run") or run), str(data.get("system") or "")
            return await self.actions.beside(token, base, settings_of(data), system)
        if kind == "continue":
            return await self.actions.go_on(token, run, stepwise=stepwise)
        if kind == "keypoints":
            return await edit.move_keypoints(self.actions, token, run, step, data, stepwise)
        if kind == "matte":
            return await edit.paint_matte(self.actions, token, run, step, data, stepwise)
        if kind == "view":
            return await edit.replace_view(self.actions, token, run, step, data, stepwise)
        if kind == "back":
            return await edit.replace_back(self.actions, token, run, step, data, stepwise)
        if kind == "take_back":
            return await self.actions.replace(token, run, step, None, stepwise=stepwise)
        raise UserError("The page asked for something that this version does not know; reload it.")


def read_note(note: Any) -> Note:
    """A note of which every entry is a text, whatever the page sent."""
    given = note if isinstance(note, dict) else {}
    return {**NOTE, **{k: v for k, v in given.items() if k in NOTE and isinstance(v, str)}}


def settings_of(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """{step: {knob: value}} of an act; UserError when it is something else."""
    given = data.get("settings") or {}
    if not isinstance(given, dict) or not all(isinstance(v, dict) for v in given.values()):
        raise UserError("The changed knobs did not arrive; reload the page and change them again.")
    return {str(step): dict(values) for step, values in given.items()}


def whole(value: Any) -> int | None:
    """A whole number, or None where none is given; UserError when it is not one."""
    if value is None or value == "":
        return None
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"'{value}' is not a whole number; choose another seed.") from None
