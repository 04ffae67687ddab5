"""What a visitor can do to a run. Each method checks that the run is the visitor's own and leaves it whole."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

from pipelines.run import Run, check_seed
from pipelines.step import UserError
from pipelines.systems import SYSTEMS
from pipelines.worker import Worker
from ui import desk_jobs
from ui.desk import Desk
from ui.rail import next_step
from ui.session import PUBLIC, UNFINISHED, Page, Session, new_token

STOPPING_SECONDS = 60.0


class Actions:
    """session, desk and worker of one server. The worker comes a moment after the page is up."""

    def __init__(self, session: Session, desk: Desk) -> None:
        self.session, self.desk = session, desk
        self.worker: Worker | None = None
        self.worker_is_up = asyncio.Event()
        self._cards: dict[str, dict[str, Any]] = {}
        self._warming: asyncio.Future[None] | None = None

    async def ready(self) -> Worker:
        """The worker, as soon as it is there."""
        await self.worker_is_up.wait()
        assert self.worker is not None
        return self.worker

    async def card(self, system: str) -> dict[str, Any]:
        """A system's steps and knobs as plain data (see `desk_jobs.describe`)."""
        if system not in SYSTEMS:
            raise UserError(f"There is no system '{system}'; there is {', '.join(SYSTEMS)}.")
        if system not in self._cards:
            self._cards[system] = await self.desk.once(
                ("card", system), lambda: self.desk.ask("quick", desk_jobs.describe, system)
            )
        return self._cards[system]

    async def entry(self, system: str) -> str:
        """What a run of the system begins with: 'photo' or 'archive'."""
        return str((await self.card(system))["entry"])

    async def limit(self, system: str) -> int:
        """Bytes of what a run of the system begins with."""
        limits = self.session.limits
        return limits.upload_bytes if await self.entry(system) == "photo" else limits.archive_bytes

    async def start(self, token: str, upload: str, system: str, seed: int, stepwise: bool) -> str:
        """A new run from a parked photo; returns its name."""
        worker = await self.ready()
        check_seed(seed)
        self.session.check_room(token)
        data, name = self.session.take_upload(token, upload)
        if len(data) > await self.limit(system):
            raise UserError(f"'{name}' is too large for a photo; choose the method that takes an archive of views.")
        folder = self.session.runs / new_token()
        await self.desk.ask("quick", desk_jobs.create, str(folder), name, data, system, int(seed))
        page = self.session.claim(folder, token, stepwise=stepwise)
        self._submit(worker, folder, page)
        await self.warm(system)
        return folder.name

    async def warm(self, system: str) -> None:
        """Begin to load what draws the splats of a system, so that the first ones of a run are seen at once; once for
        all, and nobody waits for it."""
        if self._warming is None and any(step["record"] == "splats" for step in (await self.card(system))["steps"]):
            self._warming = asyncio.ensure_future(self.desk.ask("slow", desk_jobs.warm))
            self._warming.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # it is only a head start

    async def run_from(
        self, token: str, name: str, step: str, settings: dict[str, dict[str, Any]], *,
        seed: int | None = None, stepwise: bool = False,
    ) -> str:  # fmt: skip
        """Apply changed knobs and go on. A prepared run is first made one's own. Returns the run's name."""
        name, folder = await self._own(token, name, stepwise)
        await self._rest(folder)
        await self.desk.ask("quick", desk_jobs.change, str(folder), settings, seed)
        page = Page.load(folder)
        page.stepwise = stepwise
        self._submit(await self.ready(), folder, page, at=step or None)
        return name

    async def beside(self, token: str, name: str, settings: dict[str, dict[str, Any]], system: str = "") -> str:
        """A second run of the same photo with changed knobs or another method; the first one stays. Returns its name."""
        worker = await self.ready()
        base = self._seen(token, name)
        self.session.check_room(token)
        if system:
            await self.card(system)
        folder = self.session.runs / new_token()
        await self.desk.ask(
            "quick", desk_jobs.adopt, str(base), str(folder), str(self.session.store.root), settings, system
        )  # fmt: skip
        self._submit(worker, folder, self.session.claim(folder, token, stepwise=False))
        return folder.name

    async def go_on(self, token: str, name: str, *, stepwise: bool) -> str:
        """Continue after a pause, a stop or a failure."""
        name, folder = await self._own(token, name, stepwise)
        await self._rest(folder)
        page = Page.load(folder)
        page.stepwise = stepwise
        self._submit(await self.ready(), folder, page)
        return name

    async def replace(self, token: str, name: str, step: str, record: Any, *, stepwise: bool) -> str:
        """Put a hand-made record in a step's place and go on from there (None: take it back)."""
        name, folder = await self._own(token, name, stepwise)
        await self._rest(folder)
        content = await self.desk.ask(
            "quick", desk_jobs.replace, str(folder), str(self.session.store.root), step, record
        )  # fmt: skip
        page = Page.load(folder)
        page.stepwise = stepwise
        if content is not None:
            page.made_by_hand.append(content)
        self._submit(await self.ready(), folder, page, at=step if record is None else None)
        return name

    async def stop(self, token: str, name: str) -> None:
        """Ask the run to stop, and wait until it has (it stops between iterations)."""
        folder = self.session.own_folder(token, name)
        run = Run.load(folder)
        if run.state in UNFINISHED:
            (await self.ready()).cancel(run)
            await self._until_rest(folder, 10.0)

    async def delete(self, token: str, name: str) -> None:
        """Delete the run and everything made from its photo."""
        folder = self.session.own_folder(token, name)
        await self._rest(folder)
        await asyncio.to_thread(self.session.forget, folder)

    def _submit(self, worker: Worker, folder: Path, page: Page, at: str | None = None) -> None:
        run = Run.load(folder)
        page.until = (at or next_step(run)) if page.stepwise else None
        page.expires = time.time() + 3600 * self.session.limits.keep_hours
        page.save(folder)
        worker.submit(run, page.until)

    def _seen(self, token: str, name: str) -> Path:
        with contextlib.suppress(UserError):
            return self.session.own_folder(token, name)
        return self.session.folder(PUBLIC, name)

    async def _own(self, token: str, name: str, stepwise: bool) -> tuple[str, Path]:
        with contextlib.suppress(UserError):
            return name, self.session.own_folder(token, name)
        base = self.session.folder(PUBLIC, name)
        self.session.check_room(token)
        folder = self.session.runs / new_token()
        await self.desk.ask("quick", desk_jobs.adopt, str(base), str(folder), str(self.session.store.root))
        self.session.claim(folder, token, stepwise=stepwise)
        return folder.name, folder

    async def _rest(self, folder: Path) -> None:
        """Stop the run if it is under way: nobody changes what the worker is writing."""
        run = Run.load(folder)
        if run.state in UNFINISHED:
            (await self.ready()).cancel(run)
            if not await self._until_rest(folder, STOPPING_SECONDS):
                raise UserError("The run has not stopped yet; try again in a moment.")

    async def _until_rest(self, folder: Path, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            worker = await self.ready()
            if (await asyncio.to_thread(worker.check, Run.load(folder))).state not in UNFINISHED:
                return True
            await asyncio.sleep(0.1)
        return False
