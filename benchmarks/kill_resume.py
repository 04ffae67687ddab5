"""kill -9 in the middle of every step of a system, then resume; and two processes on one store.

    python -m benchmarks.kill_resume PHOTO [--system projection]

For each step a process runs the system and kills itself with SIGKILL between two of that step's progress reports (at
its end, before the result is stored, where it reports none). The run is resumed in a fresh process; the row says how
many finished steps were reused and which were computed again. Then two processes run the same photo on one empty store
at the same time; both must end with the same contents. Exits with 1 when a row is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipelines.photo import read_upload
from pipelines.records import Record
from pipelines.run import Executor, Run, create_run
from pipelines.step import Event
from pipelines.store import Hold, Store
from pipelines.systems import find_system


def work(root: Path, name: str, photo: Path, system: str, target: str) -> None:
    """In a child process: go on with the run of that name, and die in the middle of `target` ('' for never)."""
    upload = read_upload(photo)
    folder = root / name
    run = Run.load(folder) if folder.exists() else create_run(folder, upload, system)

    def listen(event: Event) -> None:
        if event.step == target and event.state == "running" and event.fraction not in (None, 0.0):
            os.kill(os.getpid(), signal.SIGKILL)

    class Deadly(Store):
        """Dies where a step that reports nothing on its way has its result, before that is stored."""

        def put(self, key: str, record: Record, facts: dict[str, Any], hold: Hold) -> Any:
            if facts["step"] == target:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().put(key, record, facts, hold)

    Executor(run, Deadly(root / "store"), upload, listen).execute()


def child(*words: str) -> subprocess.Popen:
    """Another process of this module."""
    return subprocess.Popen([sys.executable, "-m", "benchmarks.kill_resume", "--child", *words])


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--system", default="projection")
    parser.add_argument("--child", nargs=3, metavar=("ROOT", "NAME", "TARGET"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        root, name, target = arguments.child
        work(Path(root), name, arguments.photo, arguments.system, target)
        return 0
    photo, failed = str(arguments.photo), False
    steps = [s.name for s in find_system(arguments.system).steps]
    with tempfile.TemporaryDirectory() as scratch:
        print("| killed in | exit | finished before | reused on resume | computed on resume | left half written |")
        for index, name in enumerate(steps):
            # One run all along: each life dies one step later than the one before.
            died = child(scratch, "run", name, photo, "--system", arguments.system).wait()
            before = [s.name for s in Run.load(Path(scratch) / "run").steps if s.finished]
            half = len(list((Path(scratch) / "store" / "tmp").glob("*")))
            Store(Path(scratch) / "store")  # what a restart does: sweeps what the dead left behind
            swept = len(list((Path(scratch) / "store" / "tmp").glob("*")))
            branch = create_run(Path(scratch) / f"resume{index}", read_upload(arguments.photo), arguments.system)
            Executor(branch, Store(Path(scratch) / "store"), read_upload(arguments.photo)).execute(name)
            reused = [s.name for s in branch.steps if s.state == "reused"]
            computed = [s.name for s in branch.steps if s.finished and s.state != "reused"]
            good = died == -signal.SIGKILL and before == steps[:index] == reused and computed == [name] and swept == 0
            failed |= not good
            print(f"| {name} | {died} | {len(before)} | {len(reused)} | {', '.join(computed)} | {half} -> {swept} |"
                  f"{'' if good else '  <- wrong'}", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        pair = [child(scratch, name, "", photo, "--system", arguments.system) for name in ("left", "right")]
        codes = [process.wait() for process in pair]
        runs = [Run.load(Path(scratch) / name) for name in ("left", "right")]
        contents = [[s.content for s in run.steps] for run in runs]
        same = codes == [0, 0] and contents[0] == contents[1] and None not in contents[0]
        failed |= not same
        states = [", ".join(f"{s.name} {s.state}" for s in run.steps) for run in runs]
        print(f"two processes, one store: exits {codes}, same contents: {same}\n  {states[0]}\n  {states[1]}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
