"""Following a run: a generator that yields a snapshot whenever something changed, until the run rests.

The run belongs to the worker. A reload or a closed tab ends the follower and nothing else; the page's load event
starts a new one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from pipelines.run import Run
from pipelines.step import UserError
from pipelines.worker import Worker
from ui.rail import Progress, snapshot
from ui.session import PUBLIC, UNFINISHED, Session

PAUSE = 0.2  # seconds between two looks


class Followers:
    """One follower per open page: a newer one makes the older one leave."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}

    def enter(self, page: str) -> int:
        """The number of a new follower of this page."""
        self._newest[page] = self._newest.get(page, 0) + 1
        return self._newest[page]

    def is_newest(self, page: str, number: int) -> bool:
        """Whether no later follower came."""
        return self._newest.get(page) == number

    def leave(self, page: str, number: int) -> None:
        """Forget a page whose last follower ended."""
        if self.is_newest(page, number):
            del self._newest[page]


def look(
    session: Session, worker: Worker | None, token: str, name: str, progress: Progress | None = None
) -> dict[str, Any]:
    """The snapshot of now. A run whose worker died is marked failed on the way."""
    position = 0
    if worker is not None and token != PUBLIC:
        run = Run.load(session.folder(token, name))
        if run.state in UNFINISHED:
            run = worker.check(run)
            position = worker.position(run) if run.state == "queued" else 0
    return snapshot(session, token, name, position=position, progress=progress)


async def follow(
    session: Session, worker: Worker, followers: Followers, page: str, token: str, name: str
) -> AsyncIterator[dict[str, Any]]:
    """Snapshots of a run until it is at rest, was deleted, or the page has a newer follower."""
    number = followers.enter(page)
    shown = ""
    try:
        progress = Progress(session.folder(token, name))
        while followers.is_newest(page, number):
            view = await asyncio.to_thread(look, session, worker, token, name, progress)
            text = json.dumps(view, sort_keys=True)
            if text != shown:
                shown = text
                yield view
            if not view["busy"]:
                return
            await asyncio.sleep(PAUSE)
    except UserError:
        return  # deleted while it was followed; the page that deleted it has drawn that already
    finally:
        followers.leave(page, number)
