"""The evaluation part's own addresses.

    GET  evaluation/?table=GROUP     the stored results as a piece of HTML
    POST evaluation/?name=FILE       a researcher's own JSON as the same; checked, shown, not kept

An evaluation is never run from here: it is minutes of work, and the page says what to type instead.
"""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from pipelines.step import UserError
from ui.evaluation_page import stored_page, uploaded_page
from ui.evaluation_result import LARGEST, read_result, stored

FRESH = {"Cache-Control": "private, no-store"}


def add_evaluation(app: FastAPI) -> None:
    """Put the two addresses on the app."""

    @app.get("/evaluation/")
    async def results(table: str = "") -> Response:
        html = await asyncio.to_thread(lambda: stored_page(stored(), table))
        return HTMLResponse(html, headers=FRESH)

    @app.post("/evaluation/")
    async def own(request: Request, name: str = "evaluate.json") -> Response:
        too_large = f"The file is larger than {LARGEST >> 20} MB; the evaluate.json of an evaluation is smaller."
        announced = request.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > LARGEST:
            return JSONResponse({"detail": too_large}, 413)
        data = bytearray()
        async for piece in request.stream():
            data += piece
            if len(data) > LARGEST:
                return JSONResponse({"detail": too_large}, 413)
        try:
            html = await asyncio.to_thread(lambda: uploaded_page(read_result(bytes(data), name)))
        except UserError as error:
            return JSONResponse({"detail": str(error)}, 400)
        return HTMLResponse(html, headers=FRESH)
