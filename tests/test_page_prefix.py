"""The page under a path, behind a proxy that strips it and one that does not; and the prepared run on first paint."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.browser import Server, Visitor, prepare_runs, step_states

pytest_plugins = ("tests.browser",)
pytestmark = pytest.mark.browser
PREFIX = "/x/humans"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that believes to be at PREFIX and knows one prepared run."""
    examples = prepare_runs(tmp_path_factory.mktemp("prepared"))
    store = tmp_path_factory.mktemp("prefix") / "store"
    running = Server(store, root_path=PREFIX, HUMANSCOPE_EXAMPLES=str(examples))
    try:
        running.wait()
        yield running
    finally:
        running.stop()


@contextlib.contextmanager
def behind_proxy(server: Server, *, strips: bool) -> Iterator[str]:
    """The page's address behind a proxy on a port of its own."""
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), proxy_to(server.port, strips=strips))
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{proxy.server_address[1]}{PREFIX}/"
    proxy.shutdown()
    proxy.server_close()


def proxy_to(port: int, *, strips: bool) -> type[BaseHTTPRequestHandler]:
    """A handler that passes requests under PREFIX on, and nothing else."""

    class Proxy(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            if not self.path.startswith(PREFIX + "/"):
                self.send_error(404)
                return
            path = self.path[len(PREFIX) :] if strips else self.path
            length = int(self.headers.get("content-length") or 0)
            behind = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "accept-encoding")}
            behind.request(self.command, path, self.rfile.read(length) if length else None, headers)
            answer = behind.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "server", "date"):
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                while piece := answer.read1(65536):
                    self.wfile.write(piece)
                    self.wfile.flush()
            except OSError:
                pass  # the browser left
            finally:
                behind.close()

        do_POST = do_HEAD = do_GET

    return Proxy


@pytest.mark.parametrize(("proxy", "iterations"), [("strips", 5), ("leaves", 6)])
def test_a_prepared_run_turns_at_once_and_a_knob_makes_it_ones_own(
    chromium: Any, server: Server, proxy: str, iterations: int
) -> None:
    with behind_proxy(server, strips=proxy == "strips") as address:
        guest = Visitor(chromium, server, url=address)
        try:
            guest.open()
            page = guest.page
            assert page.evaluate("document.body.dataset.hsMine") == "no"
            page.wait_for_selector(".hs-plate-solid canvas[data-ready]")
            for _ in range(3):  # it turns by itself
                at = page.get_attribute(".hs-turn", "data-frame")
                page.wait_for_function("at => document.querySelector('.hs-turn').dataset.frame !== at", arg=at)
            assert "prepared run" in page.inner_text(".hs-status")
            assert not page.is_visible("button:has-text('Delete now')")
            before = set(server.runs())
            guest.turn("body.fit", "iterations", iterations)
            page.click(".hs-again")
            guest.rest()
            (mine,) = set(server.runs()) - before
            states = step_states(mine)
            # The body has another history, so the splats are made anew; they come out the same, and serve the rest.
            assert states == {**dict.fromkeys(states, "reused"), "body.fit": "done", "splats": "done"}
            assert guest.states() == states
            assert not guest.errors
            assert {h for h in guest.hosts if h} == {address.split("/")[2]}
        finally:
            guest.leave()


def test_calm_motion_does_not_spin(chromium: Any, server: Server) -> None:
    guest = Visitor(chromium, server, reduced_motion="reduce")
    try:
        guest.open()
        guest.page.wait_for_selector(".hs-plate-solid canvas[data-ready]")
        guest.page.wait_for_timeout(1200)
        assert guest.page.get_attribute(".hs-turn", "data-frame") == "0"
    finally:
        guest.leave()
