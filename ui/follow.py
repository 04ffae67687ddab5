"""Following a run: a snapshot whenever something changed, until the run rests.

The run belongs to the worker, whoever looks. A page asks again and again for what it has not seen yet (`ui.door`); a
program is told by a generator (`follow`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pipelines.run import Run
from pipelines.worker import Worker
from ui.rail import Progress, snapshot
from ui.session import PUBLIC, UNFINISHED, Session

PAUSE = 0.2  # seconds between two looks
KEPT = 64  # event logs that are remembered


class Logs:
    """The event logs of the runs that are looked at, so that each log is read once and not at every look."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, tuple[Progress, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, folder: Path) -> tuple[Progress, threading.Lock]:
        """What was read of a run's log so far, and the lock under which it is read on."""
        with self._lock:
            found = self._kept.pop(folder, None) or (Progress(folder), threading.Lock())
            self._kept[folder] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return found


def look(session: Session, worker: Worker | None, logs: Logs, token: str, name: str) -> dict[str, Any]:
    """The snapshot of now. A run whose worker died is marked failed on the way. UserError: the token may not see it."""
    folder, position = session.folder(token, name), 0
    if worker is not None and token != PUBLIC:
        run = Run.load(folder)
        if run.state in UNFINISHED:
            run = worker.check(run)
            position = worker.position(run) if run.state == "queued" else 0
    progress, lock = logs.of(folder)
    with lock:
        return snapshot(session, token, name, position=position, progress=progress)


def mark_of(view: dict[str, Any]) -> str:
    """A short name for what a snapshot shows: two that show the same have the same."""
    return hashlib.sha256(json.dumps(view, sort_keys=True).encode()).hexdigest()[:16]


async def follow(session: Session, worker: Worker, logs: Logs, token: str, name: str) -> AsyncIterator[dict[str, Any]]:
    """Snapshots of a run until it is at rest."""
    shown = ""
    while True:
        view = await asyncio.to_thread(look, session, worker, logs, token, name)
        if mark_of(view) != shown:
            shown = mark_of(view)
            yield view
        if not view["busy"]:
            return
        await asyncio.sleep(PAUSE)
