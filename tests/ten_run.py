"""One run of `tests.synchuman_system`, made once for all tests of how the page shows SyncHuman's own steps.

A test module asks for it by `pytest_plugins = ("tests.ten_run",)` and the fixtures `ten_home` and `ten`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from pipelines.records import Upload  # noqa: E402
from pipelines.run import Executor, create_run  # noqa: E402
from pipelines.store import Store  # noqa: E402
from pipelines.systems import SYSTEMS  # noqa: E402
from tests.browser import photo_bytes  # noqa: E402
from ui.run_reader import RunReader  # noqa: E402

PHOTO = photo_bytes(200)
SIDE = 192  # of the stand-in's pictures


@pytest.fixture(scope="session")
def ten_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose `store` holds the run's artefacts, for a server to work on as well."""
    return tmp_path_factory.mktemp("ten")


@pytest.fixture(scope="session")
def ten(ten_home: Path) -> RunReader:
    """The run, at rest; not to be changed."""
    torch.set_num_threads(1)
    SYSTEMS["ten"] = "tests.synchuman_system"
    store, upload = Store(ten_home / "store"), Upload(PHOTO, "box.png")
    made = create_run(ten_home / "run", upload, "ten")
    Executor(made, store, upload).execute()
    assert made.state == "done", made.message
    return RunReader(ten_home / "run", store)
