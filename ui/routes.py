"""The page's own addresses, beside Gradio's: photo upload, files of a run, systems, style, the 3D player.

    POST photo/TOKEN                          one dropped photo, or with ?kind=archive a ZIP -> {"upload": number}
    GET  files/TOKEN/RUN/STEP/VIEW            a picture, recording or table for the page (whitelist in ui.step_plates)
    GET  files/TOKEN/RUN/export/FORMAT        a file to keep; with ?prepare=1 only its size and what it holds
    GET  runs/TOKEN                           this visitor's runs and the prepared ones, to put side by side
    GET  systems/NAME.json                    steps and knobs of a system
    GET  style/NAME                           our scripts and style sheet
    GET  examples/NAME                        an example photo, or a folder of example views as a ZIP
    GET  examples/FOLDER/NAME                 a picture of it
    GET  play/                                viser's own player, for recordings
    GET  health                               {"ready": true} as soon as the worker is there

No folder is handed to Gradio as `allowed_paths`: that would open it to everybody. An address with a wrong token, of a
run that does not exist, or with a name outside the list gets the same 404.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from pipelines.step import UserError
from pipelines.systems import SYSTEMS
from pipelines.views.archive import pack
from ui import desk_jobs
from ui.actions import Actions
from ui.compare import comparable
from ui.downloads import FORMATS, file_name
from ui.run_reader import RunReader
from ui.session import EXAMPLE, PUBLIC, TOKEN, folder_bytes
from ui.step_plates import view_of

STYLE = Path(__file__).resolve().parent.parent / "assets" / "style"
STYLE_NAME = re.compile(r"[a-z0-9_]+\.(js|css|svg|png)")
PREVIEW = re.compile(r"preview_[A-Za-z0-9._-]+\.webp")
MEDIA = {
    ".webp": "image/webp", ".json": "application/json", ".viser": "application/octet-stream", ".js": "text/javascript",
    ".zip": "application/zip", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png",
}  # fmt: skip
EXAMPLE_PHOTO = re.compile(r"[A-Za-z0-9_-]{1,64}\.(png|jpg|webp)")
NO_SUCH = {"detail": "There is no such file here."}


def player_page() -> Path:
    """viser's player: one HTML file with everything inside, of the version that writes the recordings."""
    spec = importlib.util.find_spec("viser")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("The package 'viser' is not installed; install the requirements again.")
    return Path(spec.submodule_search_locations[0]) / "client" / "build" / "index.html"


def example_views(folder: Path) -> dict[str, str]:
    """{folder of example views: its first picture}, for those whose files a system could begin with."""
    found = {}
    for place in sorted(folder.glob("*")) if folder.is_dir() and archives_are_taken() else ():
        pictures = (
            sorted(p.name for p in place.glob("*.*") if EXAMPLE_PHOTO.fullmatch(p.name)) if place.is_dir() else []
        )
        if len(pictures) >= 2 and EXAMPLE.fullmatch(place.name):
            found[place.name] = pictures[0]
    return found


def archives_are_taken() -> bool:
    """Whether there is the system that begins with an archive of views."""
    return any(module.startswith("pipelines.views") for module in SYSTEMS.values())


def add_routes(app: FastAPI, actions: Actions) -> None:
    """Put our routes on the app, before Gradio is mounted."""
    _add_plain(app, actions)
    _add_upload(app, actions)
    _add_files(app, actions)


def _add_plain(app: FastAPI, actions: Actions) -> None:
    @app.get("/health")
    async def health() -> dict[str, bool]:
        return {"ready": actions.worker_is_up.is_set()}

    @app.get("/systems/{name}.json")
    async def system(name: str) -> Response:
        try:
            return JSONResponse(await actions.card(name), headers={"Cache-Control": "no-cache"})
        except UserError as error:
            return JSONResponse({"detail": str(error)}, 404)

    @app.get("/runs/{token}")
    async def runs(token: str) -> Response:
        if not TOKEN.fullmatch(token):
            return JSONResponse(NO_SUCH, 404)
        return JSONResponse(await asyncio.to_thread(comparable, actions.session, token), headers=_private(False))

    @app.get("/style/{name}")
    async def style(name: str) -> Response:
        path = STYLE / name
        if not STYLE_NAME.fullmatch(name) or not path.is_file():
            return JSONResponse(NO_SUCH, 404)
        return FileResponse(path, media_type=MEDIA[path.suffix], headers={"Cache-Control": "no-cache"})

    @app.get("/examples/{name}")
    async def example(name: str) -> Response:
        folder = actions.session.examples.parent
        if name.removesuffix(".zip") in example_views(folder) and name.endswith(".zip"):
            packed = await asyncio.to_thread(lambda: pack(folder / name.removesuffix(".zip")).data)
            return Response(packed, media_type=MEDIA[".zip"], headers={"Cache-Control": "max-age=3600"})
        path = folder / name
        if not EXAMPLE_PHOTO.fullmatch(name) or not path.is_file():
            return JSONResponse(NO_SUCH, 404)
        return FileResponse(path, headers={"Cache-Control": "max-age=3600"})

    @app.get("/examples/{views}/{name}")
    async def example_view(views: str, name: str) -> Response:
        folder = actions.session.examples.parent
        if (
            views not in example_views(folder)
            or not EXAMPLE_PHOTO.fullmatch(name)
            or not (folder / views / name).is_file()
        ):
            return JSONResponse(NO_SUCH, 404)
        return FileResponse(folder / views / name, headers={"Cache-Control": "max-age=3600"})

    @app.get("/play/")
    async def play() -> Response:
        return FileResponse(player_page(), media_type="text/html", headers={"Cache-Control": "max-age=86400"})


def _add_upload(app: FastAPI, actions: Actions) -> None:
    limits = actions.session.limits

    @app.post("/photo/{token}")
    async def photo(token: str, request: Request, kind: str = "photo") -> Response:
        if not TOKEN.fullmatch(token) or kind not in ("photo", "archive"):
            return JSONResponse(NO_SUCH, 404)
        what, limit = ("photo", limits.upload_bytes) if kind == "photo" else ("ZIP", limits.archive_bytes)
        too_large = JSONResponse(
            {"detail": f"The {what} is larger than {limit // 2**20} MB; send a smaller one."}, 413
        )  # fmt: skip
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > limit:
            return too_large
        data = bytearray()
        async for piece in request.stream():
            data += piece
            if len(data) > limit:
                return too_large
        if not data:
            return JSONResponse({"detail": f"The {what} is empty; choose another file."}, 400)
        if folder_bytes(actions.session.uploads) > 20 * limits.upload_bytes:
            return JSONResponse({"detail": "Too many photos are waiting here; try again in a few minutes."}, 429)
        name = request.query_params.get("name", what)
        number = await asyncio.to_thread(actions.session.keep_upload, token, bytes(data), name)
        return JSONResponse({"upload": number})


def _add_files(app: FastAPI, actions: Actions) -> None:
    session, desk = actions.session, actions.desk

    @app.get("/files/{token}/{run}/export/{format}")
    async def export(token: str, run: str, format: str, prepare: bool = False) -> Response:
        try:
            folder = session.folder(token, run)
            if format not in FORMATS:
                return JSONResponse(NO_SUCH, 404)
            reader = RunReader(folder, session.store)
        except UserError:
            return JSONResponse(NO_SUCH, 404)
        name = file_name(format)
        out = _view_folder(actions, token, run) / f"{_state_of(reader)}-{name}"
        try:
            if not out.exists():
                arguments = (str(folder), str(session.store.root), format, str(out))
                await desk.once(out, lambda: desk.ask("slow", desk_jobs.write_file, *arguments))
        except UserError as error:
            return JSONResponse({"detail": str(error)}, 409)
        if prepare:
            return JSONResponse({"bytes": out.stat().st_size, "name": name})
        return FileResponse(out, media_type="application/octet-stream", filename=name, headers=_private(False))

    @app.get("/files/{token}/{run}/{step}/{view}")
    async def view(token: str, run: str, step: str, view: str, c: str = "", prepare: bool = False) -> Response:
        try:
            folder = session.folder(token, run)
            reader = RunReader(folder, session.store)
            if PREVIEW.fullmatch(view) and view.startswith(f"preview_{step}_"):
                path = folder / view
                if path.is_file():
                    return FileResponse(path, media_type=MEDIA[".webp"], headers=_private(False))
            known = view_of(step, reader.kind(step), view)
        except UserError:
            return JSONResponse(NO_SUCH, 404)
        if known is None:
            return JSONResponse(NO_SUCH, 404)
        content = (reader.state(step).content or "made")[:12]
        packed = folder / "page" / f"{step}-{view}"  # a prepared run may bring its pictures along
        out = packed if packed.is_file() else _view_folder(actions, token, run) / f"{step}-{content}-{view}"
        try:
            if not out.exists():
                arguments = (str(folder), str(session.store.root), step, known.maker, known.argument, str(out))
                await desk.once(out, lambda: desk.ask(known.lane, desk_jobs.draw, *arguments))
        except UserError as error:
            return JSONResponse({"detail": str(error)}, 409)
        if prepare:
            return JSONResponse({"bytes": out.stat().st_size})
        return FileResponse(out, media_type=MEDIA[out.suffix], headers=_private(c == content))


def _view_folder(actions: Actions, token: str, run: str) -> Path:
    """Where views of a run lie: in the run's own folder, or for a prepared one (read only) beside the runs."""
    store = actions.session.store.root
    return store / "example_views" / run if token == PUBLIC else store / "runs" / run / "view"


def _state_of(reader: RunReader) -> str:
    """A name for the present results of a run, so that a file of earlier results is never handed out."""
    from pipelines.store import hash_json

    return hash_json([[s.name, s.content, s.state == "stale"] for s in reader.run.steps])[:12]


def _private(keep: bool) -> dict[str, str]:
    return {"Cache-Control": "private, max-age=86400, immutable" if keep else "private, no-store"}
