"""The SyncHuman networks and geometry against recorded values of the published ones."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from benchmarks.parity import Case, read_golden, show  # noqa: E402
from benchmarks.parity_synchuman import CASES  # noqa: E402

GOLDEN = Path(__file__).resolve().parent / "golden" / "synchuman"
HERE = [case for case in CASES if (GOLDEN / f"{case.file}.safetensors").exists()]


def test_every_recorded_file_of_the_folder_has_a_case() -> None:
    names = {path.relative_to(GOLDEN).with_suffix("").as_posix() for path in GOLDEN.rglob("*.safetensors")}
    assert names == {case.file for case in HERE} and len(names) >= 13
    assert len({case.file for case in CASES}) == len(CASES) == 36


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.file)
def test_recorded_values_are_met(case: Case) -> None:
    torch.set_num_threads(1)
    with torch.inference_mode():
        lines = list(case.compare(read_golden(GOLDEN / f"{case.file}.safetensors")))
    beyond = [show(line) for line in lines if not line.passed]
    assert lines and not beyond, "\n".join(beyond)
