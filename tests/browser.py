"""A real server and a real browser for tests of the page.

    from tests.browser import *     # fixtures: server, chromium, visitor

The server runs in its own process, on a free port, with a temporary store and the stand-in systems. Chromium is the
one on PATH (HUMANSCOPE_CHROMIUM names another); without one the tests are skipped, or fail where
HUMANSCOPE_REQUIRE_BROWSER=1.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SYSTEMS = "fake=tests.fake_system,show=tests.page_system"
QUIET = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
SOFTWARE_3D = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
NO_3D = ["--disable-gpu", "--disable-3d-apis"]
PATIENCE = (
    240.0  # s until a wait of a test gives up: a machine under load may be slow, and only a failure waits so long
)
SERVE = (
    "import sys; from pathlib import Path; from ui.server import serve; "
    "serve('127.0.0.1', int(sys.argv[1]), Path(sys.argv[2]), True, sys.argv[3], sys.argv[4])"
)

PREPARE = """
import os, sys
from pathlib import Path
from pipelines.output import OutFolder, deliver
from pipelines.records import Upload
from pipelines.run import Executor, create_run
from pipelines.store import Store
out, work = Path(sys.argv[1]), Path(sys.argv[2])
data = Path(sys.argv[3]).read_bytes()
store = Store(work / "store")
run = create_run(work / "run", Upload(data, "box.png"), "show")
Executor(run, store, Upload(data, "box.png")).execute()
folder = OutFolder(out)
deliver(run, store, folder)
folder.finish()
"""


class Server:
    """One running server. `url` ends in a slash; `store` is its folder."""

    def __init__(
        self, store: Path, *, root_path: str = "", system: str = "fake", port: int = 0, **environment: str
    ) -> None:  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = port or probe.getsockname()[1]
        self.store, self.url = store, f"http://127.0.0.1:{self.port}/"
        self.log = store.parent / f"server-{self.port}.log"
        settings = {
            **os.environ, "HUMANSCOPE_SYSTEMS": SYSTEMS, "HUMANSCOPE_EXAMPLES": str(store / "no examples"),
            "HUMANSCOPE_FRAMES": "12", **environment,
        }  # fmt: skip
        self.began = time.monotonic()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE, str(self.port), str(store), root_path, system],
                cwd=ROOT, env=settings, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def wait(self, path: str = "health", seconds: float = PATIENCE) -> Any:
        """The answer of the first request that is answered; for 'health', the first that says it is ready."""
        while time.monotonic() - self.began < seconds:
            if self.process.poll() is not None:
                raise RuntimeError(f"The server ended: {self.log.read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                    body = answer.read()
                if path != "health" or json.loads(body)["ready"]:
                    return body
            except OSError:
                pass
            time.sleep(0.1)
        raise TimeoutError(f"The server did not answer in {seconds} s: {self.log.read_text()[-2000:]}")

    def runs(self) -> list[Path]:
        """Run folders, the oldest first."""
        return sorted((p for p in (self.store / "runs").iterdir() if (p / "run.json").exists()), key=_age)

    def kill(self) -> None:
        """End the server and its processes at once, as a crash would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(8)

    def stop(self) -> None:
        """End the server and its processes."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(8)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)


def wait_for(true: Callable[[], bool]) -> None:
    """Until something is true; an assertion fails when it does not come."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"it did not come in {PATIENCE:.0f} s"
        time.sleep(0.1)


def _age(folder: Path) -> float:
    return (folder / "page.json").stat().st_ctime if (folder / "page.json").exists() else 0.0


def read_run(folder: Path) -> dict[str, Any]:
    """run.json, also while it is being replaced."""
    return json.loads((folder / "run.json").read_text())


def step_states(folder: Path) -> dict[str, str]:
    """{step: state} from run.json."""
    return {s["name"]: s["state"] for s in read_run(folder)["steps"]}


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The run's event log."""
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def prepare_runs(home: Path) -> Path:
    """A folder of prepared runs with `box_person` in it, as `run --out` writes it."""
    (home / "photo.png").write_bytes(photo_bytes(200))
    words = [sys.executable, "-c", PREPARE, str(home / "runs" / "box_person"), str(home), str(home / "photo.png")]
    settings = {**os.environ, "HUMANSCOPE_SYSTEMS": SYSTEMS}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, env=settings)
    assert done.returncode == 0, done.stderr
    return home / "runs"


def chromium_path() -> str:
    """The browser; skips, or fails where it is required."""
    found = os.environ.get("HUMANSCOPE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    reason = ""
    if not found:
        reason = "There is no Chromium on PATH; install it, or name it in HUMANSCOPE_CHROMIUM."
    else:
        try:
            import playwright  # noqa: F401
        except ImportError:
            reason = "The package 'playwright' is not installed."
    if reason:
        if os.environ.get("HUMANSCOPE_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    assert found
    return found


def served(home: Path, **environment: str) -> Iterator[Server]:
    """A server that is ready, with its store below `home`; stopped at the end."""
    running = Server(home / "store", **environment)
    try:
        running.wait()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for one test module."""
    yield from served(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def playwright_engine() -> Iterator[Any]:
    """Playwright, started once per module."""
    chromium_path()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        yield engine


@pytest.fixture(scope="module")
def chromium(playwright_engine: Any) -> Iterator[Any]:
    """A browser with software WebGL."""
    browser = playwright_engine.chromium.launch(executable_path=chromium_path(), args=[*QUIET, *SOFTWARE_3D])
    yield browser
    browser.close()


@pytest.fixture
def visitor(chromium: Any, server: Server) -> Iterator[Visitor]:
    """A new visitor on the page."""
    guest = Visitor(chromium, server)
    yield guest
    guest.leave()


def photo_bytes(shade: int = 230, width: int = 120, height: int = 160) -> bytes:
    """A PNG that the stand-in matte can cut: a light upright bar on dark ground."""
    pixels = np.full((height, width, 3), 30, np.uint8)
    pixels[height // 8 : -height // 16, width // 3 : -width // 3] = (shade, shade - 20, shade - 40)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Visitor:
    """One browser context on the page, with the few things that a person does there."""

    def __init__(self, browser: Any, server: Server, *, url: str | None = None, **context: Any) -> None:
        self.server, self.url = server, url or server.url
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        self.sockets: list[str] = []
        self.page.on(
            "request", lambda request: self.hosts.add(request.url.split("/")[2] if "//" in request.url else "")
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("websocket", lambda socket: self.sockets.append(socket.url))

    def leave(self) -> None:
        """Close the context."""
        self.context.close()

    def open(self) -> Visitor:
        """Load the page and wait until it has heard from the server."""
        self.page.goto(self.url)
        self.page.wait_for_function("document.body.dataset.hsState")
        return self

    def upload(self, data: bytes | None = None, name: str = "someone.png") -> None:
        """Drop a photo."""
        self.page.set_input_files(
            "#hs-file", {"name": name, "mimeType": "image/png", "buffer": photo_bytes() if data is None else data}
        )
        self.page.wait_for_function("document.body.dataset.hsPhoto === 'yes'")

    def put_in(self, button: str, name: str, data: bytes) -> None:
        """Press a button that asks for a file, and give it one."""
        with self.page.expect_file_chooser() as chooser:
            self.page.click(f"button:has-text('{button}')")
        chooser.value.set_files({"name": name, "mimeType": "image/png", "buffer": data})

    def choose_system(self, name: str) -> None:
        """Pick a method under Settings."""
        self.page.click("#hs-settings > button")
        self.page.click("#hs-system input")
        self.page.get_by_role("option", name=name, exact=True).click()

    def reconstruct(self, *, wait: bool = True) -> Path:
        """Press the button; returns the folder of the new run."""
        before = set(self.server.runs())
        self.page.click("#hs-reconstruct")
        end = time.monotonic() + PATIENCE
        while not set(self.server.runs()) - before:
            assert time.monotonic() < end, "no run began"
            self.page.wait_for_timeout(50)
        if wait:
            self.rest()
        return (set(self.server.runs()) - before).pop()

    def rest(self, seconds: float = PATIENCE) -> None:
        """Wait until the page shows a run of one's own that is at rest."""
        self.page.wait_for_function(
            "document.body.dataset.hsMine === 'yes' && document.body.dataset.hsState !== 'busy'", timeout=1000 * seconds
        )

    def states(self) -> dict[str, str]:
        """{step: state} as the rail shows it."""
        items = self.page.eval_on_selector_all(".hs-steps li", "all => all.map(e => [e.dataset.step, e.dataset.state])")
        return dict(items)

    def wait_state(self, step: str, state: str, seconds: float = PATIENCE) -> None:
        """Wait until the rail shows a step in a state."""
        self.page.wait_for_selector(f'.hs-steps li[data-step="{step}"][data-state="{state}"]', timeout=1000 * seconds)

    def choose(self, step: str, plate: str = "") -> None:
        """Select a step on the rail, and a plate on the stage."""
        self.page.click(f'.hs-steps li[data-step="{step}"] button')
        if plate:
            self.page.click(f'.hs-tabs button[data-plate="{plate}"]')

    def set_number(self, knob: str, value: float) -> None:
        """Type a knob's value."""
        field = f'.hs-knob[data-knob="{knob}"] input[type=number]'
        self.page.fill(field, str(value))
        self.page.press(field, "Enter")

    def turn(self, step: str, knob: str, value: float) -> None:
        """Select a step and type the value of one of its knobs."""
        self.choose(step)
        self.page.wait_for_selector(f'.hs-knob[data-knob="{knob}"]')
        self.set_number(knob, value)

    def picture(self, selector: str = ".hs-stage-body") -> np.ndarray:
        """(H, W, 3) what an element looks like now."""
        data = self.page.locator(selector).first.screenshot()
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def colours_in(picture: np.ndarray) -> int:
    """How many clearly different colours a picture has (16 levels a channel)."""
    return len(np.unique((picture // 16).reshape(-1, 3), axis=0))
