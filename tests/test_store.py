"""The store: whole artefacts or none, across processes, deaths and full disks."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipelines.records import Curve, Photo, read_arrays, write_arrays
from pipelines.step import UserError
from pipelines.store import Store, hash_folder, hash_json


def curve(value: float, size: int = 10) -> Curve:
    return Curve(("a",), np.full((size, 1), value, np.float32))


def test_what_is_put_is_found_again_with_its_facts(store: Store) -> None:
    with store.hold() as hold:
        entry = store.put("k1", curve(1), {"step": "s", "seconds": 2.0}, hold)
        found = store.lookup("k1", hold)
        assert found is not None and found.content == entry.content and found.facts["seconds"] == 2.0
        loaded = store.load(entry.content)
        assert isinstance(loaded, Curve) and np.array_equal(loaded.values, curve(1).values)
        assert store.lookup("k2", hold) is None


def test_two_keys_with_the_same_answer_share_one_content(store: Store) -> None:
    with store.hold() as hold:
        first = store.put("k1", curve(1), {}, hold)
        second = store.put("k2", curve(1), {}, hold)
        other = store.put("k3", curve(2), {}, hold)
    assert first.content == second.content != other.content
    assert len(list((store.root / "objects").iterdir())) == 2


def test_the_content_hash_sees_every_byte_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text("same")
    (tmp_path / "c" / "x.txt").write_text("sane")
    (tmp_path / "d" / "x.txt").rename(tmp_path / "d" / "y.txt")
    os.utime(tmp_path / "b" / "x.txt", (1, 1))
    a, b, c, d = (hash_folder("k", tmp_path / n) for n in "abcd")
    assert a == b and len({a, c, d, hash_folder("other", tmp_path / "a")}) == 4


@pytest.mark.parametrize("compress", [False, True])
def test_arrays_are_stored_with_a_fixed_date_and_read_back(tmp_path: Path, compress: bool) -> None:
    arrays = {"map": np.zeros((64, 64), np.float32), "names": np.array(["a", "bc"])}
    write_arrays(tmp_path / "a.npz", arrays, compress)
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        entries = archive.infolist()
    assert {e.date_time for e in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert (entries[0].compress_size < 1000) == compress
    found = read_arrays(tmp_path / "a.npz")
    assert list(found) == list(arrays) and all(np.array_equal(found[n], arrays[n]) for n in arrays)


def test_what_cannot_be_hashed_is_an_error() -> None:
    with pytest.raises(TypeError):
        hash_json({"x": object()})
    with pytest.raises(ValueError):
        hash_json({"x": float("nan")})


def test_eviction_takes_large_quick_results_first_and_spares_held_and_pinned_ones(store: Store) -> None:
    with store.hold() as writer:
        big_quick = store.put("k1", curve(1, 50_000), {"seconds": 0.1}, writer).content
        big_slow = store.put("k2", curve(2, 50_000), {"seconds": 100.0}, writer).content
        pinned = store.put("k3", curve(3, 50_000), {"seconds": 0.1}, writer).content
        held = store.put("k4", curve(4, 50_000), {"seconds": 0.1}, writer).content
    store.pin("run", [pinned])
    with store.hold() as hold:
        assert store.lookup("k4", hold) is not None
        assert store.evict(store.size() - 1) == [big_quick]
        assert store.evict(0) == [big_slow]
        assert store.has(pinned) and store.has(held)
    assert store.evict(0) == [held]
    store.unpin("run")
    assert store.evict(0) == [pinned]
    with store.hold() as hold:
        assert store.lookup("k1", hold) is None


def test_a_full_disk_is_a_sentence_and_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with store.hold() as hold, pytest.raises(UserError, match="disk is full"):
        store.put("k", curve(1), {}, hold)
    assert list((store.root / "objects").iterdir()) == [] and list((store.root / "tmp").iterdir()) == []
    assert list((store.root / "keys").iterdir()) == []


def test_a_store_on_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="could not be written"):
        Store(tmp_path / "file" / "store")


def test_a_missing_or_damaged_artefact_is_a_sentence(store: Store) -> None:
    with pytest.raises(UserError, match="no longer in the store"):
        store.load("0" * 40)
    with store.hold() as hold:
        content = store.put("k", Photo(np.zeros((4, 4, 3), np.float32)), {}, hold).content
    (store.folder(content) / "photo.png").write_bytes(b"broken")
    with pytest.raises(UserError, match="could not be read"):
        store.load(content)


def _make_slowly(root: str, log: str) -> None:
    store = Store(Path(root))
    with store.hold() as hold, store.making("shared"):
        if store.lookup("shared", hold) is None:
            time.sleep(0.3)
            store.put("shared", curve(7), {}, hold)
            with open(log, "a") as file:
                file.write("made\n")


def test_two_processes_make_one_answer_once(store: Store, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    workers = [context.Process(target=_make_slowly, args=(str(store.root), str(log))) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert log.read_text() == "made\n"


def test_what_a_dead_process_left_is_swept(store: Store) -> None:
    dead = store.root / "tmp" / "999999999-abc"
    dead.mkdir()
    hold = store.root / "holds" / "old"
    hold.mkdir()
    (hold / "lock").touch()
    os.utime(hold, (1, 1))
    alive = store.root / "tmp" / f"{os.getpid()}-abc"
    alive.mkdir()
    Store(store.root)
    assert not dead.exists() and not hold.exists() and alive.exists()
