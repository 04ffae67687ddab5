"""The people of an evaluation: each one's scores, one person after another or several in processes side by side."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from typing import Any, Protocol

from PIL import Image

from pipelines.evaluate.lpips import find_lpips
from pipelines.evaluate.made import Made
from pipelines.evaluate.oracle import ESTIMATED
from pipelines.evaluate.protocols import PROTOCOLS
from pipelines.evaluate.scorecard import Scorecard, blank, score
from pipelines.evaluate.sheet import person_row
from pipelines.evaluate.subject import Subject
from pipelines.geometry.splat_threads import thread_count
from pipelines.step import Cancelled
from pipelines.store import Store
from pipelines.systems import find_system

THREADS = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
CANCELLED = "The evaluation was cancelled; what was made so far is in the store and is reused."


@dataclass
class PersonScores:
    """One person. blank: the score of an empty picture. cards, rows: by system and variant; rows only where asked for."""

    blank: Scorecard
    cards: dict[tuple[str, str], Scorecard] = field(default_factory=dict)
    rows: dict[tuple[str, str], Image.Image] = field(default_factory=dict)


class Sitting(Protocol):
    """What is needed of `evaluate_session.Session`."""

    arguments: argparse.Namespace
    systems: list[str]
    variants: dict[str, list[str]]
    seeds: range | None
    store: Store
    stop_sign: Any

    @classmethod
    def prepare(cls, arguments: argparse.Namespace) -> Sitting:
        """From the words of a call."""

    @property
    def stopped(self) -> bool:
        """Whether it was asked to end."""

    def subject(self, seed: int, system: str = "") -> Subject:
        """A person."""

    def make(self, subject: Subject, system: str, variants: list[str], surface: bool) -> dict[str, Made]:
        """The runs of a person."""


def person_scores(session: Sitting, seed: int, drawn: bool) -> PersonScores:
    """Every system and variant on one person. drawn: also the rows of the contact sheets. Raises Cancelled."""
    lpips, _ = find_lpips()
    subject = session.subject(seed)
    scores = PersonScores(without_pictures(blank(subject, lpips=lpips)))
    surface = not session.arguments.no_surface
    for system in session.systems:
        seen = subject if find_system(system).pack is None else session.subject(seed, system)
        made = session.make(seen, system, session.variants[system], surface)
        for variant in session.variants[system]:
            card = score(seen, made[variant], lpips=lpips, surface=surface)
            scores.cards[system, variant] = without_pictures(card)
            if drawn:
                scores.rows[system, variant] = person_row(seen, card, caption(card))
    session.store.evict()
    return scores


def all_scores(session: Sitting, rows: int) -> Iterator[PersonScores]:
    """The session's people in the order of their seeds; contact-sheet rows for the first few. Raises Cancelled."""
    assert session.seeds is not None
    jobs = min(session.arguments.jobs, len(session.seeds))
    work = [(seed, number < rows) for number, seed in enumerate(session.seeds)]
    if jobs == 1:
        yield from (person_scores(session, seed, drawn) for seed, drawn in work)
        return
    context = get_context("spawn")
    stop = context.Event()
    with (
        shared_cores(jobs),
        ProcessPoolExecutor(jobs, context, _open, (session.prepare, session.arguments, stop)) as pool,
    ):
        try:
            # A few ahead and no more: a hundred people's rows would lie in memory, and a stop would find them queued.
            waiting = iter(work)
            ahead: list[Future[PersonScores]] = [pool.submit(_scores, *w) for w in islice(waiting, 2 * jobs)]
            while ahead:
                yield _wait(ahead.pop(0), lambda: session.stopped)
                ahead += [pool.submit(_scores, *w) for w in islice(waiting, 1)]
        finally:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)


def _wait(future: Future[PersonScores], is_stopped: Callable[[], bool]) -> PersonScores:
    """The result, or Cancelled within a second of being asked to stop."""
    while not is_stopped():
        if wait([future], timeout=1.0).done:
            return future.result()
    raise Cancelled(CANCELLED)


@contextmanager
def shared_cores(jobs: int) -> Iterator[None]:
    """Processes that are started within have each their share of this one's threads."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(max(1, thread_count() // jobs))))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


_session: Sitting | None = None


def _open(prepare: Callable[[argparse.Namespace], Sitting], arguments: argparse.Namespace, stop: Any) -> None:
    """In a fresh process: the same call, without its folder, whose end the first process decides."""
    global _session
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _session = prepare(argparse.Namespace(**{**vars(arguments), "out": None}))
    _session.stop_sign = stop


def _scores(seed: int, drawn: bool) -> PersonScores:
    assert _session is not None
    return person_scores(_session, seed, drawn)


def without_pictures(card: Scorecard) -> Scorecard:
    """The card without its pictures, which a hundred people would not fit in memory with."""
    return Scorecard(card.seed, card.numbers, card.by_azimuth, card.before, (), card.facts, card.error)


def line(card: Scorecard, system: str, variant: str) -> str:
    """One person's progress line."""
    if card.error:
        return f"{card.seed}  {system}, {variant}: failed: {card.error}"
    shown = [(n, PROTOCOLS[n]) for n in ("psnr", "iou", "chamfer_cm", "mpjpe_mm", "seconds") if n in card.numbers]
    numbers = "  ".join(f"{p.title} {card.numbers[n]:.{p.digits}f}" for n, p in shown)
    return f"{card.seed}  {system}{'' if variant == ESTIMATED else f', {variant}'}  {numbers}"


def caption(card: Scorecard) -> str:
    """The caption of one person on a sheet."""
    if card.error:
        return f"{card.seed}  failed"
    n = card.numbers
    parts = [f"PSNR {n['psnr']:.1f}", f"IoU {n['iou']:.2f}"]
    parts += [f"Ch {n['chamfer_cm']:.1f} cm"] if "chamfer_cm" in n else []
    parts += [f"MPJPE {n['mpjpe_mm']:.0f}"] if "mpjpe_mm" in n else []
    return f"{card.seed}  {'  '.join(parts)}"
