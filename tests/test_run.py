"""Runs: reuse, stale marks, cancelling, failing, and going on after a kill."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.records import Cutout, Upload
from pipelines.run import Executor, Run, branch_run, change_settings, create_run, import_records, replace_artefact
from pipelines.step import Cancelled, Event, UserError
from pipelines.store import Store
from pipelines.systems import SYSTEMS, find_system
from pipelines.worker import Worker, read_events

ROOT = Path(__file__).resolve().parent.parent


def upload(seed: int = 0) -> Upload:
    pixels = (np.random.default_rng(seed).random((40, 30, 3)) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return Upload(buffer.getvalue(), "test.png")


def execute(run: Run, store: Store, **options: object) -> dict[str, str]:
    Executor(run, store, upload(), **options).execute()  # type: ignore[arg-type]
    return {s.name: s.state for s in run.steps}


def test_a_second_run_reuses_everything_and_gives_the_same_content(store: Store, tmp_path: Path) -> None:
    first = create_run(tmp_path / "a", upload(), "fake")
    assert set(execute(first, store).values()) == {"done"}
    second = create_run(tmp_path / "b", upload(), "fake")
    assert set(execute(second, store).values()) == {"reused"}
    assert [s.content for s in first.steps] == [s.content for s in second.steps]
    assert [s.key for s in Run.load(tmp_path / "b").steps] == [s.key for s in first.steps]


def test_a_result_is_read_once_and_let_go_after_its_last_reader(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = find_system("fake")
    again = plain.step("slow").renamed("slow.again")
    module = types.ModuleType("twice")
    module.RECIPE = dataclasses.replace(plain, name="twice", steps=(*plain.steps, again))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "twice", module)
    monkeypatch.setitem(SYSTEMS, "twice", "twice")
    read: list[str] = []
    load = Store.load
    monkeypatch.setattr(Store, "load", lambda self, content: read.append(content) or load(self, content))
    run = create_run(tmp_path / "a", upload(), "twice")
    executor = Executor(run, store, upload())
    executor.execute()
    readers = [source for step in run.recipe.steps for source in run.recipe.sources(step).values()]
    assert sorted(readers) == ["matte", "matte", "photo", "slow"] and len(read) == 3
    assert not executor._read


def test_a_knob_makes_only_later_steps_run(store: Store, tmp_path: Path) -> None:
    run = create_run(tmp_path / "a", upload(), "fake")
    execute(run, store)
    assert change_settings(run, {"slow": {"iterations": 5}}) == ["slow", "last.step"]
    assert [s.state for s in run.steps] == ["done", "done", "stale", "stale"]
    assert list(execute(run, store).values()) == ["reused", "reused", "done", "done"]
    assert change_settings(run, {"slow": {"iterations": "5"}}) == [], "the same value makes nothing stale"


def test_what_does_not_affect_the_result_is_not_in_the_key(store: Store, tmp_path: Path) -> None:
    execute(create_run(tmp_path / "a", upload(), "fake"), store)
    run = create_run(tmp_path / "b", upload(), "fake", settings={"slow": {"seconds": "0"}})
    assert set(execute(run, store).values()) == {"reused"}


def test_the_seed_only_touches_seeded_steps(store: Store, tmp_path: Path) -> None:
    execute(create_run(tmp_path / "a", upload(), "fake"), store)
    run = create_run(tmp_path / "b", upload(), "fake", seed=1)
    assert list(execute(run, store).values()) == ["reused", "reused", "done", "done"]


def test_an_artefact_edited_by_hand_goes_on_from_there(store: Store, tmp_path: Path) -> None:
    run = create_run(tmp_path / "a", upload(), "fake")
    execute(run, store)
    old = store.load(run.step("matte").content or "")
    assert isinstance(old, Cutout)
    rgba = old.rgba.copy()
    rgba[..., 3] = 1.0
    with store.hold() as hold:
        content = store.add(Cutout(rgba, {"source": "hand"}), hold)
    assert replace_artefact(run, "matte", content) == ["matte", "slow", "last.step"]
    before = run.step("last.step").content
    assert list(execute(run, store).values()) == ["reused", "done", "done", "done"]
    assert run.step("matte").replaced and run.step("last.step").content != before
    replace_artefact(run, "matte", None)
    execute(run, store)
    assert not run.step("matte").replaced and run.step("last.step").content == before


def test_cancelling_takes_effect_between_iterations(store: Store, tmp_path: Path) -> None:
    run = create_run(tmp_path / "a", upload(), "fake")
    seen: list[Event] = []

    def stop() -> bool:
        return sum(e.step == "slow" and "iteration" in e.message for e in seen) >= 3

    with pytest.raises(Cancelled):
        execute(run, store, listen=seen.append, is_cancelled=stop)
    assert [s.state for s in run.steps] == ["done", "done", "cancelled", "waiting"]
    assert sum(e.step == "slow" and "iteration" in e.message for e in seen) == 3
    assert list(execute(run, store).values()) == ["reused", "reused", "done", "done"]


def test_a_fault_is_recorded_with_its_traceback_and_the_run_can_go_on(store: Store, tmp_path: Path) -> None:
    run = create_run(tmp_path / "a", upload(), "fake", settings={"slow": {"fail_at": "3"}})
    with pytest.raises(RuntimeError):
        execute(run, store)
    again = Run.load(tmp_path / "a")
    assert again.state == "failed" and "planted fault" in again.step("slow").message
    assert "Traceback" in (tmp_path / "a" / "log.txt").read_text()
    change_settings(again, {"slow": {"fail_at": -1}})
    assert list(execute(again, store).values()) == ["reused", "reused", "done", "done"]


def test_until_stops_there_and_a_branch_goes_on(store: Store, tmp_path: Path) -> None:
    run = create_run(tmp_path / "a", upload(), "fake")
    Executor(run, store, upload()).execute("matte")
    assert [s.state for s in run.steps] == ["done", "done", "waiting", "waiting"] and run.state == "waiting"
    branch = branch_run(tmp_path / "b", run, settings={"last.step": {"factor": "3"}})
    Executor(branch, store).execute()
    assert [s.state for s in branch.steps] == ["reused", "reused", "done", "done"]


def test_a_run_folder_carries_its_artefacts_to_another_store(store: Store, tmp_path: Path) -> None:
    import shutil

    run = create_run(tmp_path / "a", upload(), "fake")
    execute(run, store)
    for state in run.steps:
        shutil.copytree(store.folder(state.content or ""), run.folder / "steps" / state.name)
    elsewhere = Store(tmp_path / "elsewhere")
    with elsewhere.hold() as hold:
        import_records(run, elsewhere, hold)
    branch = branch_run(tmp_path / "b", run)
    Executor(branch, elsewhere).execute()
    assert {s.state for s in branch.steps} == {"reused"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"nothing": {"x": 1}}, "no step 'nothing'"),
        ({"slow": {"x": 1}}, "no parameter 'x'"),
        ({"slow": {"iterations": "many"}}, "whole number between 1 and 10000"),
        ({"slow": {"iterations": "0"}}, "whole number between 1 and 10000"),
        ({"matte": {"threshold": "nan"}}, "a number between 0 and 1"),
    ],
)
def test_wrong_parameters_are_sentences_before_any_work(tmp_path: Path, settings: dict, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        create_run(tmp_path / "a", upload(), "fake", settings=settings)
    assert not (tmp_path / "a").exists()


_KILLED = """
import os, sys
from pathlib import Path
from pipelines.records import Upload
from pipelines.run import Executor, create_run
from pipelines.store import Store
root, target = Path(sys.argv[1]), sys.argv[2]
upload = Upload((root / "photo.png").read_bytes(), "test.png")
def listen(event):
    if event.step == target and event.state == "running":
        os.kill(os.getpid(), 9)
run = create_run(root / f"killed-{target}", upload, "fake", settings={"slow": {"seconds": "0"}})
Executor(run, Store(root / "store"), upload, listen).execute()
"""


def test_kill_minus_9_in_every_step_loses_nothing_that_had_finished(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(upload().data)
    names = ["photo", "matte", "slow", "last.step"]
    for index, name in enumerate(names):
        done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path), name], cwd=ROOT, check=False)
        assert done.returncode == -signal.SIGKILL
        store = Store(tmp_path / "store")
        assert list((store.root / "tmp").iterdir()) == []
        run = Run.load(tmp_path / f"killed-{name}")
        assert [s.finished for s in run.steps] == [i < index for i in range(4)]
        Executor(run, store, upload()).execute(name)
        assert [s.state for s in run.steps][: index + 1] == ["reused"] * index + ["done"]


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the worker did not get there in time"
        time.sleep(0.05)


@pytest.fixture
def worker(tmp_path: Path):
    made = Worker(tmp_path / "store", system="fake")
    yield made
    made.close()


def queued(worker: Worker, folder: Path, **settings: str) -> Run:
    run = create_run(folder, upload(), "fake", settings={"slow": settings} if settings else None)
    (folder / "upload.bin").write_bytes(upload().data)
    worker.submit(run)
    return run


def test_the_worker_owns_the_run_and_forgets_the_upload(worker: Worker, tmp_path: Path) -> None:
    run = queued(worker, tmp_path / "a")
    wait_for(lambda: worker.check(run).state == "done")
    assert not (tmp_path / "a" / "upload.bin").exists()
    events, offset = read_events(tmp_path / "a")
    assert events[-1]["state"] == "done" and any(e.get("preview") for e in events)
    assert read_events(tmp_path / "a", offset) == ([], offset)
    assert all((tmp_path / "a" / e["preview"]).exists() for e in events if e.get("preview"))


def test_cancel_reaches_the_worker_and_the_next_job_runs(worker: Worker, tmp_path: Path) -> None:
    first = queued(worker, tmp_path / "a", iterations="10000", seconds="0.01")
    second = queued(worker, tmp_path / "b")
    assert worker.position(second) == 1
    wait_for(lambda: Run.load(tmp_path / "a").step("slow").state == "running")
    worker.cancel(first)
    wait_for(lambda: worker.check(first).state == "cancelled")
    wait_for(lambda: worker.check(second).state == "done")


def test_a_killed_worker_marks_the_run_and_a_new_one_resumes_it(worker: Worker, tmp_path: Path) -> None:
    run = queued(worker, tmp_path / "a", iterations="300", seconds="0.01")
    wait_for(lambda: Run.load(tmp_path / "a").step("slow").state == "running")
    assert worker._process is not None and worker._process.pid is not None
    os.kill(worker._process.pid, signal.SIGKILL)
    wait_for(lambda: worker.check(run).state == "failed")
    run = worker.check(run)
    assert "Resume" in run.message and run.step("slow").state == "failed"
    worker.submit(run)
    wait_for(lambda: worker.check(run).state == "done")
    assert [s.state for s in worker.check(run).steps] == ["reused", "reused", "done", "done"]


def test_run_json_is_plain_and_complete(store: Store, tmp_path: Path) -> None:
    run = create_run(tmp_path / "a", upload(), "fake")
    execute(run, store)
    data = json.loads((tmp_path / "a" / "run.json").read_text())
    assert {"system", "preset", "seed", "warnings", "steps", "camera"} <= set(data)
    assert all({"name", "state", "seconds", "peak_rss_mb", "key"} <= set(s) for s in data["steps"])
    assert all(s["peak_rss_mb"] > 1 for s in data["steps"])
