"""The command `evaluate`: systems on synthetic people with truth, failure search, and real photos."""

from __future__ import annotations

import argparse
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_evaluate(commands: Any, people: Callable[[], Any]) -> None:
    """Declare the sub-command on an argparse sub-parsers object. people: gives the source of people
    (`evaluate.subject.People`) when it is needed; may raise ImportError; for --jobs, it has to survive pickling."""
    parser = commands.add_parser("evaluate", help="scores of a system on synthetic people and on photos")
    parser.add_argument(
        "--system", action="append", default=None, metavar="NAME", help="default: projection; may repeat"
    )
    parser.add_argument("--people", metavar="A:B", help="seeds A up to but not B of the test people (9000 to 9999)")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="a folder of photos: front scores and four sides")
    parser.add_argument("--body", choices=("true", "estimated", "both"), default="estimated", help="default: estimated")
    parser.add_argument(
        "--oracle", action="store_true", help="also true cut-out, surfaces and colours: whose the gap is"
    )
    parser.add_argument(
        "--ablation", action="store_true", help="also every row of the system's ablation: one part left out at a time"
    )
    parser.add_argument(
        "--search", type=int, metavar="RUNS", help="look for the worst people among A:B with so many runs"
    )
    parser.add_argument(
        "--metric", default="psnr_inside", metavar="NAME", help="what the search looks at; default psnr_inside"
    )
    parser.add_argument("--views", type=int, default=12, help="pictures around each person; default 12")
    parser.add_argument("--size", type=int, default=256, help="pixels of a view; default 256")
    parser.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="people at the same time, each in its process; default 1"
    )
    parser.add_argument("--no-surface", action="store_true", help="leave out what needs the mesh (quicker)")
    parser.add_argument("--set", action="append", default=[], metavar="step.param=value", dest="settings")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", action="append", default=[], metavar="ROLE=PATH")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--out", type=Path, metavar="DIR", help="evaluate.json and contact sheets go there")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.add_argument("--runs", type=Path, default=None, metavar="DIR", help="the store (default: HUMANSCOPE_HOME)")
    parser.set_defaults(handler=evaluate_command, source=people)


def evaluate_command(arguments: argparse.Namespace) -> int:
    """`evaluate`: see the module; everything that can be checked is checked before the first run."""
    from pipelines.evaluate.report import machine
    from pipelines.evaluate_session import Session

    session = Session.prepare(arguments)
    old = signal.signal(signal.SIGINT, lambda *_: session.stop())
    start = time.perf_counter()
    try:
        report: dict[str, Any] = {}
        if session.seeds is not None:
            report |= session.people() if arguments.search is None else session.search()
        if session.photos:
            report = {
                "schema": "humanscope.evaluate_photos/1",
                "machine": machine(),
                "settings": session.settings(),
            } | report
            report["photos"] = session.real_photos()
        report["total_seconds"] = round(time.perf_counter() - start, 1)
        session.finish(report)
    except BaseException:
        session.abandon()
        raise
    finally:
        signal.signal(signal.SIGINT, old)
    print(json.dumps(report, indent=1, allow_nan=False) if arguments.json else session.text(report))
    return 0
