"""The worker: one process beside the page that owns all runs.

The page never runs a step. It drops a job into the worker's queue and follows `runs/ID/events.jsonl`, so that a
reload, a closed tab or a second page changes nothing about the run. Cancelling is a file (`runs/ID/cancel`) that the
worker looks for between iterations.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import queue
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.records import Upload, to_bytes
from pipelines.run import Executor, Run, create_run
from pipelines.step import Cancelled, Event, UserError
from pipelines.store import Store
from pipelines.systems import find_system

PREVIEW_PIXELS = 360
EXAMPLES = Path(__file__).resolve().parent.parent / "assets" / "examples"


class EventLog:
    """Appends a run's events to `events.jsonl`, with small preview pictures beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        now = time.time()
        ends = event.state != "running" or event.fraction in (0.0, 1.0)
        if not ends and event.image is None and now - self._last < 0.1:
            return
        self._last = now
        line: dict[str, Any] = {
            "time": now, "step": event.step, "state": event.state, "fraction": event.fraction,
            "message": event.message, "seconds": event.seconds,
        }  # fmt: skip
        if event.image is not None:
            line["preview"] = self._write_preview(event)
        with open(self.folder / "events.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")

    def _write_preview(self, event: Event) -> str:
        assert event.image is not None
        image = Image.fromarray(to_bytes(np.asarray(event.image)))
        image.thumbnail((PREVIEW_PIXELS, PREVIEW_PIXELS))
        name = f"preview_{event.step}_{self.count % 4}.webp"
        self.count += 1
        temporary = self.folder / f".{name}.part"
        image.save(temporary, format="WEBP", quality=80)
        os.replace(temporary, self.folder / name)
        return name


def read_events(folder: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Whole lines of `events.jsonl` from byte `offset`; returns them and the next offset."""
    path = folder / "events.jsonl"
    if not path.exists():
        return [], offset
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    return [json.loads(line) for line in data[:end].splitlines()], offset + end


@dataclass(frozen=True)
class Job:
    """One request: execute the run in `folder` up to `until`."""

    folder: str
    until: str | None = None


def work_on(job: Job, store: Store) -> None:
    """Execute one job in this process; every outcome ends in run.json and in the event log."""
    folder = Path(job.folder)
    run = Run.load(folder)
    log = EventLog(folder)
    cancel = folder / "cancel"
    upload_file = folder / "upload.bin"
    upload = Upload(upload_file.read_bytes(), run.photo_name) if upload_file.exists() else None

    def listen(event: Event) -> None:
        log(event)
        # A photo may hold a place and a name; it goes as soon as it has been read. An archive of views is read again.
        if run.recipe.pack is None and event.step == "photo" and event.state in ("done", "reused", "warning"):
            upload_file.unlink(missing_ok=True)

    with contextlib.suppress(Cancelled, UserError):
        try:
            Executor(run, store, upload, listen, cancel.exists).execute(job.until)
        except (Cancelled, UserError):
            raise
        except Exception:
            pass  # The executor has written the traceback into log.txt and the sentence into run.json.
    cancel.unlink(missing_ok=True)
    store.pin(run.id, [s.content for s in run.steps if s.content])
    log(Event("", run.state, None, run.message))
    with contextlib.suppress(OSError):
        store.evict()


def _main(root: str, limit_bytes: int, jobs: multiprocessing.Queue[Job | None], system: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", "4294967296")
    store = Store(Path(root), limit_bytes)
    threading.Thread(target=_leave_with_parent, args=(os.getppid(),), daemon=True).start()
    warm(system, lambda: not jobs.empty())
    while (job := jobs.get()) is not None:
        work_on(job, store)


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(0)


def warm(system: str, wanted: Callable[[], bool]) -> None:
    """Run the system once on a small example, in a store that is thrown away, so that the first visitor does not wait
    for imports, networks and compilers. Ends early when `wanted()`; what failed here fails again, and is said, in a
    visitor's run."""
    recipe = find_system(system)
    example = min(EXAMPLES.glob("*.jpg"), default=None) if recipe.pack is None else EXAMPLES / "views"
    if recipe.warm is None or example is None:
        return
    with tempfile.TemporaryDirectory(prefix="humanscope-warm-") as scratch, contextlib.suppress(Exception):
        upload = recipe.pack(example) if recipe.pack else Upload(example.read_bytes(), example.name)
        run = create_run(Path(scratch) / "run", upload, system, settings=recipe.warm)
        Executor(run, Store(Path(scratch) / "store"), upload, is_cancelled=wanted).execute()


class Worker:
    """The page's handle on the worker process; restarts it when it died.

    Jobs run one after another in the order they came.
    """

    def __init__(self, root: Path, limit_bytes: int = 20 * 2**30, system: str = "projection") -> None:
        self.root, self.limit_bytes, self.system = Path(root), limit_bytes, system
        self.waiting: list[str] = []
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._jobs: Any = None
        self._start()

    def submit(self, run: Run, until: str | None = None) -> None:
        """Queue a run; its state is 'queued' until the worker takes it."""
        with self._lock:
            self._revive()
            (run.folder / "cancel").unlink(missing_ok=True)
            run.state, run.message = "queued", ""
            for state in run.steps:
                if not state.finished:
                    state.state, state.message = ("queued" if state.state != "stale" else "stale"), ""
            run.save()
            self.waiting.append(str(run.folder))
            self._jobs.put(Job(str(run.folder), until))

    def position(self, run: Run) -> int:
        """How many jobs are before this one (0: it runs or is next)."""
        with self._lock:
            self._forget_finished()
            return self.waiting.index(str(run.folder)) if str(run.folder) in self.waiting else 0

    def cancel(self, run: Run) -> None:
        """Ask the run to stop; it does so between iterations, or before it begins."""
        (run.folder / "cancel").touch()

    def check(self, run: Run) -> Run:
        """The run as it is on disk; a run whose worker died is marked failed with a sentence."""
        run = Run.load(run.folder)
        with self._lock:
            alive = self._process is not None and self._process.is_alive()
            if run.state in ("running", "queued") and (not alive or str(run.folder) not in self.waiting):
                fresh = Run.load(run.folder)
                if fresh.state in ("running", "queued"):
                    mark_interrupted(fresh)
                if not alive:
                    self._revive()
                return fresh
        return run

    def close(self) -> None:
        """Stop the process."""
        with self._lock:
            if self._process is not None and self._process.is_alive():
                self._process.terminate()
                self._process.join(5)

    def _forget_finished(self) -> None:
        for folder in list(self.waiting):
            try:
                over = Run.load(Path(folder)).state not in ("queued", "running")
            except UserError:
                over = True
            if over:
                self.waiting.remove(folder)

    def _start(self) -> None:
        self._jobs = self._context.Queue()
        self._process = self._context.Process(
            target=_main, args=(str(self.root), self.limit_bytes, self._jobs, self.system), daemon=True
        )
        self._process.start()

    def _revive(self) -> None:
        self._forget_finished()
        if self._process is not None and self._process.is_alive():
            return
        for folder in self.waiting:
            with contextlib.suppress(UserError):
                mark_interrupted(Run.load(Path(folder)))
        self.waiting.clear()
        with contextlib.suppress(queue.Empty, OSError):
            self._jobs.close()
        self._start()


def mark_interrupted(run: Run) -> None:
    """A run that was under way when its worker died: failed, with the step and what to do."""
    for state in run.steps:
        if state.state in ("running", "queued"):
            was_running = state.state == "running"
            state.state = "failed" if was_running else "waiting"
            if was_running:
                state.message = "The worker stopped here; press Resume to go on (finished steps are kept)."
    run.state, run.message = "failed", "The worker stopped; press Resume to go on (finished steps are kept)."
    run.save()
