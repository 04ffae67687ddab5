"""The desk: two helper processes of the page for everything that needs the heavy packages.

The page's own process answers requests and must stay light and quick, so it imports no torch, numba or OpenCV.
Reading a recipe, changing a run and drawing inspector pictures go to the lane 'quick'; recordings, turntables and
files go to the lane 'slow', so that a film being written does not hold up a click. A lane's process starts with its
first job and is replaced when it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Lane = Literal["quick", "slow"]


class Desk:
    """`await desk.ask(lane, function, *arguments)`; functions and arguments are sent to another process."""

    def __init__(self) -> None:
        self._lanes: dict[str, ProcessPoolExecutor] = {}
        self._lock = threading.Lock()
        self._under_way: dict[Any, asyncio.Future[Any]] = {}

    async def ask(self, lane: Lane, function: Callable[..., T], *arguments: Any) -> T:
        """The function's result; its exception is raised here. A lane whose process died is started anew, once."""
        for attempt in (1, 2):
            pool = self._pool(lane)
            try:
                return await asyncio.wrap_future(pool.submit(function, *arguments))
            except (BrokenProcessPool, RuntimeError) as error:
                if attempt == 2 or not isinstance(error, BrokenProcessPool):
                    raise
                self._drop(lane, pool)
        raise AssertionError("unreachable")

    async def once(self, key: Any, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work, or wait for the same work that somebody else has asked for already."""
        if key not in self._under_way:
            task = asyncio.ensure_future(work())
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(self._under_way[key])

    def close(self) -> None:
        """Stop both processes."""
        for lane, pool in list(self._lanes.items()):
            for process in list((pool._processes or {}).values()):
                with contextlib.suppress(OSError):
                    process.terminate()
            self._drop(lane, pool)

    def _pool(self, lane: str) -> ProcessPoolExecutor:
        with self._lock:
            if lane not in self._lanes:
                context = multiprocessing.get_context("spawn")
                self._lanes[lane] = ProcessPoolExecutor(1, context, _begin, (os.getpid(),))
            return self._lanes[lane]

    def _drop(self, lane: str, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._lanes.get(lane) is pool:
                del self._lanes[lane]
        pool.shutdown(wait=False, cancel_futures=True)


def _begin(parent: int) -> None:
    """In the new process: leave Ctrl-C to the parent, and leave with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)  # the worker's steps and the page come first

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
