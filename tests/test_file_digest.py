"""Digests of files: right, remembered for large ones, and never an old one for a changed file."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from pipelines import file_digest
from pipelines.file_digest import file_digest as digest_of


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digest, "LARGE", 8)
    file_digest._digest_of.cache_clear()


def anew() -> None:
    """As in another process."""
    file_digest._digest_of.cache_clear()


def test_a_large_file_is_read_once_and_a_changed_one_again(
    tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, notes = tmp_path / "weights", tmp_path / "deep" / "digests.json"
    file.write_bytes(b"0123456789")
    wanted = hashlib.sha256(b"0123456789").hexdigest()
    assert digest_of(file, notes) == wanted
    anew()
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", lambda *a, **k: pytest.fail("the file was read again"))
        assert digest_of(file, notes) == wanted
    stat = file.stat()
    file.write_bytes(b"9876543210")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    anew()
    assert digest_of(file, notes) == hashlib.sha256(b"9876543210").hexdigest()
    assert len(json.loads(notes.read_text())) == 1, "the line of the older file is gone"


def test_a_small_file_leaves_no_note(tmp_path: Path) -> None:
    file, notes = tmp_path / "weights", tmp_path / "digests.json"
    file.write_bytes(b"0123456789")
    assert digest_of(file, notes) == hashlib.sha256(b"0123456789").hexdigest() and not notes.exists()


@pytest.mark.parametrize("content", ["", "[1]", "not json", '{"10:1:x": 5}'])
def test_a_broken_note_costs_time_only(tmp_path: Path, large: None, content: str) -> None:
    file, notes = tmp_path / "weights", tmp_path / "digests.json"
    file.write_bytes(b"0123456789")
    notes.write_text(content)
    assert digest_of(file, notes) == hashlib.sha256(b"0123456789").hexdigest()


def test_a_note_that_cannot_be_written_costs_time_only(tmp_path: Path, large: None) -> None:
    file, notes = tmp_path / "weights", tmp_path / "weights" / "digests.json"
    file.write_bytes(b"0123456789")
    assert digest_of(file, notes) == hashlib.sha256(b"0123456789").hexdigest()
    with pytest.raises(OSError):
        digest_of(tmp_path / "none", notes)
