# ruff: noqa: E402 - what gradio reads at import is set before it
"""The server: our routes, Gradio at '/', one port, and the worker beside it.

The page's process imports nothing heavy; the worker starts when the page is up. uvicorn's own compression of
websockets is off and its message limit raised, as 3D scenes need it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

# Before gradio is imported: it reads them at import.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ.pop("_VISER_PORT_OVERRIDE", None)

# The many small objects of gradio's import are all kept: looking through them for rubbish costs half a second.
gc.disable()
import gradio as gr
import uvicorn
from fastapi import FastAPI

from pipelines.store import Store
from pipelines.worker import Worker
from ui.actions import Actions
from ui.desk import Desk
from ui.door import Door
from ui.door_routes import add_door
from ui.evaluation_routes import add_evaluation
from ui.layout import build
from ui.routes import add_routes
from ui.session import Limits, Session
from ui.theme import theme

gc.freeze()
gc.enable()

ASSETS = Path(__file__).resolve().parent.parent / "assets"
SWEEP_SECONDS = 300.0
STYLE_SHEETS = ("humanscope.css", "evaluation.css")
# The browser itself refuses every other host. Gradio's templates are compiled in the page, hence 'unsafe-eval'.
CONTENT_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob: mediastream:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob: ws: wss:",
        "worker-src 'self' blob: data:",
        "frame-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space",
    ]
)
HEADERS = [
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class SafeHeaders:
    """Adds our headers to every answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """ASGI."""

        async def with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in HEADERS}
                kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in own]
                message = {**message, "headers": [*kept, *HEADERS]}
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class Prefix:
    """Lets the app answer below a path also where the proxy in front does not strip it."""

    def __init__(self, app: Any, root_path: str) -> None:
        self.app, self.root_path = app, root_path

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """ASGI."""
        path = scope.get("path", "")
        if scope["type"] in ("http", "websocket") and path.startswith(self.root_path + "/"):
            raw = scope.get("raw_path") or path.encode()
            scope = {**scope, "path": path[len(self.root_path) :], "raw_path": raw[len(self.root_path) :]}
        await self.app(scope, receive, send)


def limits_from_environment() -> Limits:
    """HUMANSCOPE_KEEP_HOURS, HUMANSCOPE_QUEUE, HUMANSCOPE_UPLOAD_MB and HUMANSCOPE_ARCHIVE_MB change the limits."""
    plain = Limits()
    return Limits(
        queue=int(os.environ.get("HUMANSCOPE_QUEUE", plain.queue)),
        upload_bytes=int(float(os.environ.get("HUMANSCOPE_UPLOAD_MB", plain.upload_bytes / 2**20)) * 2**20),
        archive_bytes=int(float(os.environ.get("HUMANSCOPE_ARCHIVE_MB", plain.archive_bytes / 2**20)) * 2**20),
        keep_hours=float(os.environ.get("HUMANSCOPE_KEEP_HOURS", plain.keep_hours)),
    )


def create_app(
    runs: Path, *, root_path: str = "", system: str = "projection", examples: Path | None = None,
    limits: Limits | None = None,
) -> FastAPI:  # fmt: skip
    """The whole application. runs: root of the store. An app that mounts this one must forward its lifespan, or no
    click is ever answered."""
    os.environ["GRADIO_TEMP_DIR"] = str(Path(runs).resolve() / "gradio")
    store = Store(Path(runs).resolve())
    session = Session(
        store,
        examples or Path(os.environ.get("HUMANSCOPE_EXAMPLES") or ASSETS / "examples" / "runs"),
        limits or limits_from_environment(),
    )
    actions = Actions(session, Desk())

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_begin(actions, system)), asyncio.create_task(_sweep(session))]
        yield
        for task in tasks:
            task.cancel()
        actions.desk.close()
        if actions.worker is not None:
            actions.worker.close()

    app = FastAPI(title="Humanscope", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SafeHeaders)
    if root_path:
        app.add_middleware(Prefix, root_path=root_path)
    add_routes(app, actions)
    add_door(app, Door(actions))
    add_evaluation(app)
    css = "\n".join((ASSETS / "style" / name).read_text() for name in STYLE_SHEETS)
    return gr.mount_gradio_app(
        app, build(actions, system), path="/", root_path=root_path or None, theme=theme(), css=css,
        head='<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">',
        footer_links=["api", "settings"], run_history=False, show_error=False, ssr_mode=False,
        enable_monitoring=False, mcp_server=False, max_file_size=max(session.limits.upload_bytes, session.limits.archive_bytes),
        favicon_path=str(ASSETS / "style" / "humanscope.svg"),
    )  # fmt: skip


async def _begin(actions: Actions, system: str) -> None:
    """Start the worker, then read the recipe and load what draws, so that the first page is answered before either."""
    await asyncio.sleep(0.5)
    await asyncio.to_thread(actions.session.end_left_over)
    root, limit = actions.session.store.root, actions.session.store.limit_bytes
    actions.worker = await asyncio.to_thread(Worker, root, limit, system)
    actions.worker_is_up.set()
    await actions.warm(system)


async def _sweep(session: Session) -> None:
    """The janitor: expired runs and forgotten uploads go."""
    while True:
        await asyncio.to_thread(session.sweep)
        await asyncio.sleep(SWEEP_SECONDS)


def serve(
    host: str, port: int, runs: Path, offline: bool, root_path: str = "", system: str = "projection"
) -> None:  # fmt: skip
    """Serve the page until interrupted. runs: root of the store. offline: promise to ask no other host, also for
    packages that would."""
    if offline:
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    root_path = "/" + root_path.strip("/") if root_path.strip("/") else ""
    app = create_app(Path(runs), root_path=root_path, system=system)
    config = uvicorn.Config(
        app, host=host, port=port, ws_per_message_deflate=False, ws_max_size=64 * 2**20, ws_ping_interval=30,
        log_level="warning", timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = uvicorn.Server(config)
    shown = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else host
    print(f"Humanscope is on http://{shown}:{port}{root_path}/ (press Ctrl-C to stop)", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    sys.stdout.flush()
