"""The page as Gradio blocks, and the events between them.

Gradio carries the session, the queue and the native controls; the rail, the stage and the inspector are drawn by our
own scripts (assets/style) from one snapshot of the run. The snapshot goes through one hidden component, the *door*:
its value is the snapshot, its event `act` brings back what the visitor did.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from pipelines.step import UserError
from pipelines.systems import offered
from ui import edit, plates
from ui.actions import Actions
from ui.downloads import cards
from ui.follow import Followers, follow, look
from ui.run_reader import RunReader
from ui.session import PUBLIC, TOKEN, UNFINISHED, Page, new_token
from ui.texts import FOOTER, MASTHEAD

# The browser's note: visitor's token, own run, prepared run that is shown, run and key of one that was shared.
Note = dict[str, str]
NOTE: Note = {"token": "", "mine": "", "example": "", "guest": ""}
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def widget(name: str, **options: Any) -> gr.HTML:
    """A component drawn by the function `name` in assets/style/main.js. Its own markup never changes, so that an
    iframe in it is never loaded anew."""
    script = (
        "const events = ['act'];"
        "import(new URL('style/main.js', document.baseURI).href).then((main) => "
        f"main.{name}(element.querySelector('.hs-{name}'), {{props, trigger, watch, events}}));"
    )
    return gr.HTML(
        html_template=f"<div class='hs-{name}'></div>", js_on_load=script, elem_id=f"hs-{name}",
        apply_default_css=False, **options,
    )  # fmt: skip


# The photo's drop zone learns which method is chosen; nothing is asked of the server.
TELL_SYSTEM = "(name) => { window.dispatchEvent(new CustomEvent('hs-system', { detail: name })); }"


class Handlers:
    """The functions behind the page's events. door values: a snapshot, or {'error': sentence}."""

    def __init__(self, actions: Actions) -> None:
        self.actions, self.session, self.followers = actions, actions.session, Followers()

    def restore(self, note: Note | None) -> tuple[Note, dict[str, Any]]:
        """On every load: the visitor's run if it is still there, else a prepared one, else an empty page."""
        note = {**NOTE, **{k: v for k, v in (note or {}).items() if k in NOTE and isinstance(v, str)}}
        if not TOKEN.fullmatch(note["token"]):
            note = {**NOTE, "token": new_token()}
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
        return note, {**self.show(note), "notice": notice}

    def show(self, note: Note) -> dict[str, Any]:
        """The door's value for what the note points to."""
        examples = self.session.example_names()
        shown: dict[str, Any] = {"state": "empty", "steps": []}
        name = note["example"] if note["example"] in examples else ""
        guest = self._guest(note)
        if guest:
            shown = look(self.session, self.actions.worker, guest[1], guest[0])
        elif name or not note["mine"]:
            name = name or (examples[0] if examples else "")
            if name:
                shown = look(self.session, None, PUBLIC, name)
        else:
            shown = look(self.session, self.actions.worker, note["token"], note["mine"])
        limits = self.session.limits
        return {
            **shown, "visitor": note["token"], "has_mine": bool(note["mine"]), "keep_hours": limits.keep_hours,
            "upload_bytes": limits.upload_bytes, "archive_bytes": limits.archive_bytes, "at": time.time(),
        }  # fmt: skip

    def _guest(self, note: Note) -> tuple[str, str] | None:
        """Name and key of the shared run that the note points to, if it is still shared."""
        name, _, key = note.get("guest", "").partition("/")
        with contextlib.suppress(UserError):
            if name and key != PUBLIC:
                self.session.folder(key, name)
                return name, key
        return None

    async def start(
        self, note: Note, photo: Any, system: str, seed: float, stepwise: bool
    ) -> tuple[Any, dict[str, Any]]:  # fmt: skip
        """'Reconstruct'."""
        upload = (photo or {}).get("upload") if isinstance(photo, dict) else None
        try:
            if not upload:
                what = "a photo of a person" if await self.actions.entry(system) == "photo" else "a ZIP of views"
                return gr.skip(), problem(f"Choose {what} first, or one of the examples.")
            name = await self.actions.start(note["token"], upload, system, int(seed or 0), bool(stepwise))
        except UserError as error:
            return gr.skip(), problem(str(error))
        note = {**note, "mine": name, "example": "", "guest": ""}
        return note, self.show(note)

    async def act(self, note: Note, stepwise: bool, event: gr.EventData) -> tuple[Any, dict[str, Any]]:
        """Whatever was pressed in our own widgets."""
        data = event._data if isinstance(event._data, dict) else {}
        try:
            if data.get("type") == "share":
                key = self.session.share(note["token"], note["mine"])
                return note, {**self.show(note), "link": f"#run/{note['mine']}/{key}"}
            note = await self._act({**NOTE, **note}, data, bool(stepwise))
        except UserError as error:
            return gr.skip(), problem(str(error))
        return note, self.show(note)

    async def _act(self, note: Note, data: dict[str, Any], stepwise: bool) -> Note:
        kind, run = str(data.get("type")), note["example"] or note["mine"] or self._first_example()
        token = note["token"]
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
            raise UserError("This run was shared with you to look at; drop a photo to make your own.")
        if kind == "stop":
            await self.actions.stop(token, note["mine"])
            return note
        if kind == "delete":
            await self.actions.delete(token, note["mine"])
            return {**note, "mine": "", "example": ""}
        if kind == "run_from":
            seed = data.get("seed")
            settings = {str(s): dict(v) for s, v in dict(data.get("settings") or {}).items()}
            name = await self.actions.run_from(
                token, run, str(data.get("step") or ""), settings, stepwise=stepwise,
                seed=None if seed is None else int(seed),
            )  # fmt: skip
        elif kind == "beside":
            settings = {str(s): dict(v) for s, v in dict(data.get("settings") or {}).items()}
            name = await self.actions.beside(
                token, str(data.get("run") or run), settings, str(data.get("system") or "")
            )
        elif kind == "continue":
            name = await self.actions.go_on(token, run, stepwise=stepwise)
        elif kind == "keypoints":
            name = await edit.move_keypoints(self.actions, token, run, str(data.get("step")), data, stepwise)
        elif kind == "matte":
            name = await edit.paint_matte(self.actions, token, run, str(data.get("step")), data, stepwise)
        elif kind == "view":
            name = await edit.replace_view(self.actions, token, run, str(data.get("step")), data, stepwise)
        elif kind == "take_back":
            name = await self.actions.replace(token, run, str(data.get("step")), None, stepwise=stepwise)
        else:
            raise UserError("The page asked for something that this version does not know; reload it.")
        return {**note, "mine": name, "example": "", "guest": ""}

    def _first_example(self) -> str:
        return next(iter(self.session.example_names()), "")

    async def stop(self, note: Note) -> dict[str, Any]:
        """'Stop': waits until the run has stopped, and paints it so."""
        try:
            await self.actions.stop(note["token"], note["mine"])
        except UserError as error:
            return problem(str(error))
        return self.show(note)

    async def follow(self, note: Note, request: gr.Request) -> AsyncIterator[Any]:
        """Paints the run until it rests."""
        shown, guest = self.show(note), self._guest(note)
        name, key = guest or (note["mine"], note["token"])
        if (note["example"] and not guest) or not name or shown.get("state") not in UNFINISHED:
            yield shown  # a run of reused steps may have ended before its follower came
            return
        worker = await self.actions.ready()
        page = str(request.session_hash)
        async for view in follow(self.session, worker, self.followers, page, key, name):
            yield {**shown, **view, "at": time.time()}

    async def reconstruct(self, photo: gr.FileData, system: str = "projection", seed: int = 0) -> AsyncIterator[dict]:
        """For programs: one photo in, the run's record with addresses of its files out; yields while it works."""
        from pathlib import Path

        worker = await self.actions.ready()
        token = new_token()
        path = Path(photo["path"] if isinstance(photo, dict) else photo.path)
        try:
            if path.stat().st_size > await self.actions.limit(system):
                raise UserError("The file is too large; send a smaller copy.")
            upload = self.session.keep_upload(token, path.read_bytes(), path.name)
            name = await self.actions.start(token, upload, system, seed, False)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error
        async for view in follow(self.session, worker, self.followers, token, token, name):
            yield {**view, "files": {c["format"]: f"{view['base']}/export/{c['format']}" for c in cards()}}


def problem(sentence: str) -> dict[str, Any]:
    """A door value that only says what is wrong."""
    return {"error": sentence, "at": time.time()}


def build(actions: Actions, system: str) -> gr.Blocks:
    """The page. actions: of this server. system: the one chosen at first."""
    handlers = Handlers(actions)
    hours = actions.session.limits.keep_hours
    with gr.Blocks(title="Humanscope", fill_width=True, analytics_enabled=False, delete_cache=(3600, 7200)) as page:
        note = gr.BrowserState(NOTE, storage_key="humanscope", secret=actions.session.page_secret())
        gr.HTML(MASTHEAD, elem_id="hs-masthead", apply_default_css=False)
        with gr.Row(elem_id="hs-work"):
            with gr.Column(elem_id="hs-side"):
                photo = widget("photo", system=system)
                with gr.Row(elem_id="hs-go"):
                    go = gr.Button("Reconstruct", variant="primary", elem_id="hs-reconstruct")
                    stop = gr.Button("Stop", elem_id="hs-stop")
                stepwise = gr.Checkbox(
                    False, label="Step by step", info="Pause after each step.", elem_id="hs-stepwise"
                )
                with gr.Accordion("Settings", open=False, elem_id="hs-settings"):
                    chosen = gr.Dropdown(offered(), value=system, label="Method", elem_id="hs-system")
                    seed = gr.Number(0, precision=0, minimum=0, label="Seed", elem_id="hs-seed")
                widget("examples", examples=example_cards(actions))
            with gr.Column(elem_id="hs-top"):
                widget("rail")
            with gr.Column(elem_id="hs-main"):
                widget("stage", legend=plates.SEEN_LEGEND)
                widget("files", formats=cards())
            with gr.Column(elem_id="hs-inspect"):
                widget("panel")
        widget("compare", systems=offered())
        widget("evaluation")
        gr.HTML(FOOTER.replace("{hours}", f"{hours:g}"), elem_id="hs-footer", apply_default_css=False)
        door = widget("door", value={"state": "loading", "steps": []})

        seen = {"inputs": [note], "outputs": [door], "concurrency_limit": 64, **PRIVATE}
        go.click(
            handlers.start, [note, photo, chosen, seed, stepwise], [note, door], concurrency_limit=8, **PRIVATE
        ).then(handlers.follow, **seen)  # fmt: skip
        door.act(handlers.act, [note, stepwise], [note, door], concurrency_limit=8, **PRIVATE).then(
            handlers.follow, **seen
        )
        chosen.change(None, [chosen], None, js=TELL_SYSTEM, api_visibility="private")
        stop.click(handlers.stop, [note], [door], queue=False, **PRIVATE)
        page.load(handlers.restore, [note], [note, door], **PRIVATE).then(handlers.follow, **seen)
        gr.api(handlers.reconstruct, api_name="reconstruct", concurrency_limit=4)
    page.queue(default_concurrency_limit=8, max_size=256)
    return page


def example_cards(actions: Actions) -> list[dict[str, str]]:
    """Prepared runs and example photos, for the script that lists them."""
    from ui.routes import EXAMPLE_PHOTO, example_views

    found = []
    for name in actions.session.example_names():
        poster = poster_of(actions, name)
        found.append({"kind": "run", "name": name, "label": in_words(name), "poster": poster})
    folder = actions.session.examples.parent
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if EXAMPLE_PHOTO.fullmatch(path.name):
            poster = f"examples/{path.name}"
            found.append({"kind": "photo", "name": path.name, "label": in_words(path.stem), "poster": poster})
    for name, poster in example_views(folder).items():
        found.append(
            {"kind": "views", "name": f"{name}.zip", "label": in_words(name), "poster": f"examples/{name}/{poster}"}
        )
    return found


def poster_of(actions: Actions, name: str) -> str:
    """Address of the picture that stands for a prepared run: its cut-out, else its photo."""
    reader = RunReader(actions.session.folder(PUBLIC, name), actions.session.store)
    for kind, view in (("cutout", "cutout.webp"), ("photo", "photo.webp")):
        for state in reader.run.steps:
            if reader.kind(state.name) == kind:
                return f"files/{PUBLIC}/{name}/{state.name}/{view}?c={(state.content or '')[:12]}"
    return ""


def in_words(name: str) -> str:
    """A file name without its number, in words."""
    return name.replace("_", " ").replace("-", " ").strip("0123456789 ").capitalize() or name
