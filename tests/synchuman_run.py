"""One run of SyncHuman on the stand-in networks, made once for all tests of its steps, and ways to work on it.

A test module asks for the run by `pytest_plugins = ("tests.synchuman_run",)` and the fixture `whole`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from pipelines.photo import read_upload  # noqa: E402
from pipelines.run import Executor, Run, create_run  # noqa: E402
from pipelines.step import Context, Event  # noqa: E402
from pipelines.store import Store, hash_folder  # noqa: E402
from pipelines.systems import find_system  # noqa: E402

RECIPE = find_system("synchuman-tiny")
STEPS = {step.name: step for step in RECIPE.steps}


@pytest.fixture(scope="session")
def whole(example_photo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Store, list[Event]]:
    """One run from the photo to the mesh."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("synchuman")
    store, events = Store(folder / "store"), []  # type: ignore[var-annotated]
    upload = read_upload(example_photo)
    run = create_run(folder / "run", upload, "synchuman-tiny", seed=5)
    return Executor(run, store, upload, events.append).execute(), store, events


def inputs(whole: tuple[Run, Store, list[Event]], step: str) -> dict[str, Any]:
    """What the step was given in the run, by the names of its inputs."""
    run, store, _ = whole
    return {n: store.load(run.step(s).content or "") for n, s in RECIPE.sources(STEPS[step]).items()}


def made(whole: tuple[Run, Store, list[Event]], step: str) -> Any:
    """What the step made in the run."""
    return whole[1].load(whole[0].step(step).content or "")


def content(record: Any, folder: Path) -> str:
    """The content hash that a store would give the record; folder: a new one to write it into."""
    folder.mkdir()
    record.save(folder)
    (folder / "kind.txt").write_text(record.kind + "\n")
    return hash_folder(record.kind, folder)


def work(whole: tuple[Run, Store, list[Event]], step: str, seed: int = 5, **more: Any) -> Any:
    """The step done again on the run's own inputs. settings: its knobs; the rest of `more` goes to the context."""
    params = STEPS[step].make_params(more.pop("settings", {}))
    return STEPS[step].run(inputs(whole, step), params, Context(step, seed=seed, **more))
