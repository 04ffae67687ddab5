"""A recorded viser scene (.viser): splats, mesh and body for viser's own viewer, in the browser and offline.

Source: viser 1.1.1, `get_scene_serializer`; the version that wrote a recording must be the one that shows it.
Layers are baked in: the page that shows a recording cannot switch them, so there is one recording per choice.
The splats are a display copy (see `display_copy`), never the data.
Frame: `bundle.FRAME`, up +y; the view starts at the photo's camera, with the person filling the window.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.export.bundle import Bundle
from pipelines.export.scene_layers import Filled, default_layers, described, fill

if TYPE_CHECKING:
    import viser

SPIN_SECONDS, SPIN_FRAMES = 16.0, 384


def write(bundle: Bundle, path: Path, *, layers: Sequence[str] | None = None) -> str:
    """Write the recording; without `layers` the splats, or the mesh where there are none. Returns one
    sentence.
    """
    layers = layers or default_layers(bundle)
    with scene_server(bundle, layers) as (server, filled):
        Path(path).write_bytes(server.get_scene_serializer().serialize())
    return f"Wrote a viser recording: {described(bundle, layers, filled.thickened)}"


def scene_bytes(bundle: Bundle, layers: Sequence[str] = ("splats",), spin: bool = False) -> bytes:
    """The recording as bytes. layers: names in `LAYERS`. spin: the person turns once in 16 seconds, again and
    again.

    UserError when a layer is not known or the run lacks what it shows.
    """
    with scene_server(bundle, layers) as (server, filled):
        recording = server.get_scene_serializer()
        if spin:
            _turn(filled.person, recording)
        return recording.serialize()


@contextlib.contextmanager
def scene_server(bundle: Bundle, layers: Sequence[str]) -> Iterator[tuple[viser.ViserServer, Filled]]:
    """A server on the loopback for as long as the block lasts, with the scene in it."""
    with quiet_console():
        server = local_server()
        try:
            yield server, fill(server, bundle, layers)
        finally:
            server.stop()


@contextlib.contextmanager
def quiet_console() -> Iterator[None]:
    """viser prints tables of addresses and farewells whatever one asks; not within this block."""
    import rich

    console = rich.get_console()
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


def local_server() -> viser.ViserServer:
    """A ViserServer on 127.0.0.1 and a free port that no client can make public."""
    import viser

    class LocalServer(viser.ViserServer):
        def request_share_url(self, verbose: bool = True) -> str | None:
            return None  # any client may ask for a public tunnel; nobody gets one

    os.environ.pop("_VISER_PORT_OVERRIDE", None)  # it would put every server on one port
    return LocalServer(host="127.0.0.1", port=0, verbose=False)


def _turn(person: Any, recording: Any) -> None:
    """Record one slow turn about the vertical axis through the person; the player repeats it."""
    for i in range(1, SPIN_FRAMES + 1):
        recording.insert_sleep(SPIN_SECONDS / SPIN_FRAMES)
        half = np.pi * i / SPIN_FRAMES
        person.wxyz = (np.cos(half), 0.0, np.sin(half), 0.0)
