"""Shared fixtures: the stand-in system, a fresh store, the example photo and one finished run of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("HUMANSCOPE_SYSTEMS", "fake=tests.fake_system")

import pytest

from pipelines.store import Store

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def example_photo() -> Path:
    """A rendered person that the project ships."""
    return sorted((ROOT / "assets" / "examples").glob("*.jpg"))[0]


@pytest.fixture(scope="session")
def finished_out(example_photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `run --out` made of the example photo; not to be changed."""
    home = tmp_path_factory.mktemp("home")
    words = [
        sys.executable,
        "app.py",
        "run",
        str(example_photo),
        "--out",
        str(home / "out"),
        "--runs",
        str(home / "store"),
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return home / "out"
