"""The door's two addresses.

    POST door/act    {"number", "note", "act"}  -> {"note", "view", "seen"} | {"error"} | {"wait": true}
    POST door/look   {"note", "seen"}           -> {"note", "view" or null, "seen"}

The note stands in the body and not in the address: whoever holds its token owns the visitor's runs.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from ui.door import Door
from ui.edit_matte import STROKES_CHARACTERS
from ui.session import TOKEN

MOST_BYTES = STROKES_CHARACTERS + 2**18  # a painted cut-out is the largest thing that an act carries
NOT_READ = {"detail": "The page sent something that could not be read; reload it."}
NO_STORE = {"Cache-Control": "private, no-store"}


def add_door(app: FastAPI, door: Door) -> None:
    """Put both on the app, before Gradio is mounted."""

    @app.post("/door/act")
    async def act(request: Request) -> Response:
        asked = await _read(request)
        number, data = asked.get("number"), asked.get("act")
        if not isinstance(number, str) or not TOKEN.fullmatch(number) or not isinstance(data, dict):
            return JSONResponse(NOT_READ, 400)
        return JSONResponse(await door.act(number, asked.get("note"), data), headers=NO_STORE)

    @app.post("/door/look")
    async def look(request: Request) -> Response:
        asked = await _read(request)
        if not asked:
            return JSONResponse(NOT_READ, 400)
        seen = str(asked.get("seen") or "")
        return JSONResponse(await door.look(asked.get("note"), seen, request.is_disconnected), headers=NO_STORE)


async def _read(request: Request) -> dict[str, Any]:
    """The body's JSON object; an empty one when it is too long or something else."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MOST_BYTES:
            return {}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
