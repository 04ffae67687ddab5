"""The contract that every registered step keeps, checked on a real run of every system over our example photo."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipelines.photo import read_upload
from pipelines.records import RECORDS
from pipelines.run import Executor, Run, create_run
from pipelines.step import Cancelled, Context, Event, Step
from pipelines.store import Store, hash_folder, load_record
from pipelines.systems import SYSTEMS, find_system
from pipelines.weights import KNOWN

ROOT = Path(__file__).resolve().parent.parent
# What runs on published networks is declared everywhere and runs where they are; its steps run here on stand-ins.
HERE = [name for name in SYSTEMS if find_system(name).preset != "released"]
REAL = [name for name in HERE if name != "fake"]
DECLARED = [(system, step) for system in SYSTEMS for step in find_system(system).steps]
STEPS = [(system, step) for system, step in DECLARED if system in HERE]
# Carving at full size takes a quarter of a minute; the contract is the same at half the detail.
SETTINGS: dict[str, dict[str, dict[str, object]]] = {
    "views": {
        "hull": {"voxel": 24.0}, "surface": {"resolution": 128, "voxel": 14.0, "faces": 8000, "rounds": 2},
        "mesh": {"texture": 512}, "splats": {"count": 9000}, "turntable": {"frames": 4, "size": 96},
    },
    "hgm-tiny": find_system("hgm-tiny").warm or {},
}  # fmt: skip
NAMES = [f"{system}-{step.name}" for system, step in STEPS]


class Finished(dict[str, tuple[Run, Store]]):
    """{system: its run over the example photo}, made when it is first asked for."""

    def __init__(self, photo: Path, folders: pytest.TempPathFactory) -> None:
        super().__init__()
        self.photo, self.folders = photo, folders

    def __missing__(self, system: str) -> tuple[Run, Store]:
        folder = self.folders.mktemp(system)
        store = Store(folder / "store")
        pack = find_system(system).pack
        upload = pack(ROOT / "assets" / "examples" / "views") if pack else read_upload(self.photo)
        run = create_run(folder / "run", upload, system, settings=SETTINGS.get(system))
        self[system] = (Executor(run, store, upload).execute(), store)
        return self[system]


@pytest.fixture(scope="module")
def finished(example_photo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Run, Store]]:
    """One run of every system over the example photo."""
    return Finished(example_photo, tmp_path_factory)


@pytest.mark.parametrize(("system", "step"), DECLARED, ids=[f"{system}-{step.name}" for system, step in DECLARED])
def test_a_step_declares_everything(system: str, step: Step) -> None:
    assert step.summary.endswith(".") and len(step.summary) < 250, "one sentence for the page"
    assert step.title and step.version >= 1 and step.output.kind in RECORDS
    assert all(role in KNOWN for role in step.weights)
    assert dataclasses.is_dataclass(step.params) and step.params.__dataclass_params__.frozen  # type: ignore[attr-defined]
    for knob in step.knobs:
        assert knob.help.endswith(".") and len(knob.help) < 160, f"{knob.name} needs a one-line help"
        assert knob.type in (int, float, bool, str)
        assert knob.parse(str(knob.default), knob.name) == knob.default, "the default lies in its own range"
        assert knob.type is not str or knob.choices, "text is chosen from a list"


@pytest.mark.parametrize(("system", "step"), STEPS, ids=NAMES)
def test_every_parameter_that_matters_changes_the_key(
    system: str, step: Step, finished: dict[str, tuple[Run, Store]]
) -> None:
    run, store = finished[system]
    executor = Executor(run, store)
    contents = {s.name: s.content or "" for s in run.steps}
    before = executor._key(step, step.make_params({}), contents)[0]
    for knob in step.knobs:
        other = next(v for v in _others(knob) if v != knob.default)
        after = executor._key(step, step.make_params({knob.name: other}), contents)[0]
        assert (after != before) == knob.affects_result, knob.name
    for source in run.recipe.sources(step).values():
        changed = {**contents, source: "0" * 40}
        assert executor._key(step, step.make_params({}), changed)[0] != before


def _others(knob) -> list:  # type: ignore[no-untyped-def]
    if knob.type is bool:
        return [not knob.default]
    if knob.choices:
        return [c for c in knob.choices if c != knob.default] + ["-"]
    low = knob.low if knob.low is not None else knob.default - 1
    return [knob.type(low), knob.default + 1]


@pytest.mark.parametrize(("system", "step"), STEPS, ids=NAMES)
def test_a_result_survives_its_folder_byte_for_byte(
    system: str, step: Step, finished: dict[str, tuple[Run, Store]], tmp_path: Path
) -> None:
    run, store = finished[system]
    content = run.step(step.name).content
    assert content is not None
    folder = store.folder(content)
    assert not [p for p in folder.rglob("*") if p.suffix in (".pkl", ".pickle", ".pt", ".pth")]
    record = load_record(folder)
    assert isinstance(record, step.output)
    again = tmp_path / "again"
    again.mkdir()
    record.save(again)
    shutil.copy(folder / "kind.txt", again)
    assert hash_folder(record.kind, again) == content
    for name, value in vars(record).items():
        for array in value.values() if isinstance(value, dict) else [value]:
            if isinstance(array, np.ndarray) and array.dtype.kind == "f":
                assert np.isfinite(array).all(), f"{step.name}: {name} holds numbers that are not finite"


# The photo step reads bytes, not records; test_photo.py holds its cases.
LATER = [(system, step) for system, step in STEPS if "upload" not in step.inputs]


@pytest.mark.parametrize(("system", "step"), LATER, ids=[f"{system}-{step.name}" for system, step in LATER])
def test_a_step_gives_the_same_bytes_twice_and_stops_when_asked(
    system: str, step: Step, finished: dict[str, tuple[Run, Store]], tmp_path: Path
) -> None:
    run, store = finished[system]
    inputs = {n: store.load(run.step(s).content or "") for n, s in run.recipe.sources(step).items()}
    from pipelines.weights import Weights

    events: list[Event] = []
    ctx = Context(step.name, weights=Weights().path, listen=events.append)
    params = step.make_params(run.settings.get(step.name, {}))
    record = step.run(inputs, params, ctx)
    record.save(tmp_path)
    (tmp_path / "kind.txt").write_text(record.kind + "\n")
    assert hash_folder(record.kind, tmp_path) == run.step(step.name).content
    with store.hold() as hold:
        for name, source in run.recipe.sources(step).items():
            kept = store.add(inputs[name], hold)
            assert kept == run.step(source).content, f"{step.name} changed its input {name}, which later steps share"
    fractions = [e.fraction for e in events if e.state == "running" and e.fraction is not None]
    assert fractions == sorted(fractions) and all(0 <= f <= 1 for f in fractions)
    if fractions:
        with pytest.raises(Cancelled):
            stopped = Context(step.name, weights=Weights().path, is_cancelled=lambda: True)
            step.run(inputs, params, stopped)


@pytest.mark.parametrize("system", REAL)
def test_a_real_run_ends_with_everything(system: str, finished: dict[str, tuple[Run, Store]]) -> None:
    run, _ = finished[system]
    assert run.state == "done" and run.camera is not None
    assert all(s.seconds is not None and s.peak_rss_mb for s in run.steps)
