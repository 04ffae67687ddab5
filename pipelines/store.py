"""The content store: key -> content hash -> folder of open files.

    objects/<content>/...      the files of one artefact
    keys/<key>.json            what was asked (step, inputs, parameters) and which content answered it
    pins/<name>.json           contents that must stay
    holds/<id>/                contents in use by a living process (its lock dies with it)
    locks/<key>                one maker per key, across processes
    tmp/                       half-written things; swept when their process is gone
    scratch/<key>/             unfinished work that a step goes on from; swept when a week old

Everything is written under a temporary name and renamed, so that a reader, a second process, or a start after
kill -9 sees a whole artefact or none. A store that cannot write says so (UserError); it never goes on silently.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipelines.records import RECORDS, Record, read_json
from pipelines.step import UserError

R = TypeVar("R", bound=Record)

SCRATCH_SECONDS = 7 * 86400.0  # after which unfinished work that nobody went on with is thrown away


@dataclass(frozen=True)
class Entry:
    """A stored answer: its key, content hash, folder, and the facts recorded when it was made."""

    key: str
    content: str
    folder: Path
    facts: dict[str, Any]


def hash_folder(kind: str, folder: Path) -> str:
    """Hex digest of a record's kind and its files (names and bytes); equal files give equal content."""
    digest = hashlib.sha256(kind.encode())
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(b"\0" + path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:40]


def hash_json(data: Any) -> str:
    """Hex digest of plain data; TypeError for what cannot be hashed."""
    text = json.dumps(data, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:40]


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn the operating system's refusals to write into a sentence."""
    try:
        yield
    except OSError as error:
        reason = {
            errno.ENOSPC: "the disk is full; free some space or choose another folder",
            errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
            errno.EACCES: "writing there is not allowed; choose another folder",
            errno.EPERM: "writing there is not allowed; choose another folder",
            errno.EROFS: "that disk is read-only; choose another folder",
            errno.ENOTDIR: "a part of that path is a file; choose another folder",
            errno.ENOENT: "there is no such folder; make it or choose another one",
            errno.EISDIR: "a folder of that name is in the way; choose another name",
            errno.EEXIST: "a file of that name is in the way; choose another name",
        }.get(error.errno or 0)
        if reason is None:
            raise
        raise UserError(f"{what} could not be written: {reason}.") from error


def write_atomically(path: Path, text: str) -> None:
    """Write a text file under a temporary name beside it, then rename."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_text(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Hold:
    """Contents that this process uses now. Eviction skips them as long as the lock on `folder/lock` lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._lock = open(folder / "lock", "w")  # noqa: SIM115 - held until close
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def add(self, content: str) -> None:
        """Keep `content` until `close`."""
        (self.folder / content).touch()

    def close(self) -> None:
        """Let go of everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


class Store:
    """See the module. root: folder, made when missing. limit_bytes: size that `evict` brings the objects down to."""

    def __init__(self, root: Path, limit_bytes: int = 20 * 2**30) -> None:
        self.root = Path(root)
        self.limit_bytes = limit_bytes
        with writing(f"The store at '{self.root}'"):
            for name in ("objects", "keys", "pins", "holds", "locks", "tmp", "runs", "scratch"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
        self._sweep()

    def hold(self) -> contextlib.closing[Hold]:
        """`with store.hold() as hold:` keeps what is looked up or put under it."""
        with writing("A lock in the store"):
            return contextlib.closing(Hold(self.root / "holds" / uuid.uuid4().hex))

    def folder(self, content: str) -> Path:
        """Where a content's files lie."""
        return self.root / "objects" / content

    def has(self, content: str) -> bool:
        """Whether the content is here."""
        return self.folder(content).is_dir()

    def lookup(self, key: str, hold: Hold) -> Entry | None:
        """The stored answer for a key, or None; its use is noted for eviction."""
        path = self.root / "keys" / f"{key}.json"
        try:
            facts = read_json(path)
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        hold.add(facts["content"])
        if not self.has(facts["content"]):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return Entry(key, facts["content"], self.folder(facts["content"]), facts)

    def add(self, record: Record, hold: Hold) -> str:
        """Store a record without a key (an upload, a hand-edited artefact); returns its content hash."""
        temporary = self.root / "tmp" / f"{os.getpid()}-{uuid.uuid4().hex}"
        with writing(f"The result '{record.kind}'"):
            try:
                temporary.mkdir()
                record.save(temporary)
                (temporary / "kind.txt").write_text(record.kind + "\n")
                content = hash_folder(record.kind, temporary)
                hold.add(content)
                try:
                    os.rename(temporary, self.folder(content))
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return content

    def put(self, key: str, record: Record, facts: dict[str, Any], hold: Hold) -> Entry:
        """Store the answer to a key. facts: JSON data (step, inputs, seconds, peak memory, versions)."""
        content = self.add(record, hold)
        facts = {**facts, "key": key, "content": content, "kind": record.kind}
        with writing("The store's record of a step"):
            write_atomically(self.root / "keys" / f"{key}.json", json.dumps(facts, indent=1, sort_keys=True) + "\n")
        return Entry(key, content, self.folder(content), facts)

    def load(self, content: str) -> Record:
        """Read an artefact; UserError when it is no longer there or its files are damaged."""
        folder = self.folder(content)
        try:
            return load_record(folder)
        except FileNotFoundError:
            raise UserError(
                f"The artefact {content[:10]} is no longer in the store '{self.root}'; run its step again."
            ) from None

    @contextlib.contextmanager
    def making(self, key: str) -> Iterator[None]:
        """One maker per key: a second process waits here, and finds the answer when it gets in."""
        path = self.root / "locks" / key
        with writing("A lock in the store"), open(path, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def scratch(self, key: str) -> Path:
        """Where the unfinished work on a key lies (it may not exist); to be used inside `making(key)` only."""
        return self.root / "scratch" / key

    def forget_scratch(self, key: str) -> None:
        """Delete the unfinished work on a key."""
        shutil.rmtree(self.scratch(key), ignore_errors=True)

    def pin(self, name: str, contents: list[str]) -> None:
        """Keep these contents until `unpin(name)`."""
        with writing("A pin in the store"):
            write_atomically(self.root / "pins" / f"{name}.json", json.dumps(sorted(set(contents))))

    def unpin(self, name: str) -> None:
        """Let a pinned set go."""
        (self.root / "pins" / f"{name}.json").unlink(missing_ok=True)

    def protected(self) -> set[str]:
        """Contents that eviction must not touch: pinned ones and those a living process holds."""
        kept: set[str] = set()
        for pin in (self.root / "pins").glob("*.json"):
            kept.update(read_json(pin))
        for folder in (self.root / "holds").iterdir():
            if _lock_is_alive(folder / "lock"):
                kept.update(p.name for p in folder.iterdir())
        return kept

    def size(self) -> int:
        """Bytes of all artefacts."""
        return sum(_bytes_of(folder) for folder in (self.root / "objects").iterdir())

    def evict(self, limit_bytes: int | None = None) -> list[str]:
        """Delete what is large and quick to make again (bytes / seconds, then the longest unused) down to the limit."""
        limit = self.limit_bytes if limit_bytes is None else limit_bytes
        with self.making("evict"):
            seconds: dict[str, tuple[float, float]] = {}
            for path in (self.root / "keys").glob("*.json"):
                facts = read_json(path)
                old = seconds.get(facts["content"], (0.0, 0.0))
                used = max(old[1], path.stat().st_mtime)
                seconds[facts["content"]] = (max(old[0], facts.get("seconds") or 0.0), used)
            sizes = {p.name: _bytes_of(p) for p in (self.root / "objects").iterdir()}
            kept = self.protected()
            total = sum(sizes.values())
            order = sorted(
                (c for c in sizes if c not in kept),
                key=lambda c: (-sizes[c] / max(seconds.get(c, (0.0, 0.0))[0], 1e-3), seconds.get(c, (0, 0))[1]),
            )
            gone = []
            for content in order:
                if total <= limit:
                    break
                # Renamed first: a reader sees the whole artefact or none.
                doomed = self.root / "tmp" / f"{os.getpid()}-{uuid.uuid4().hex}"
                os.rename(self.folder(content), doomed)
                shutil.rmtree(doomed, ignore_errors=True)
                total -= sizes[content]
                gone.append(content)
        return gone

    def _sweep(self) -> None:
        """Remove what dead processes left: temporary folders, holds, and unfinished work that is a week old."""
        for folder in (self.root / "tmp").iterdir():
            owner = folder.name.split("-")[0]
            if owner.isdigit() and not Path(f"/proc/{owner}").exists() and not _process_lives(int(owner)):
                shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.root / "scratch").iterdir():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - folder.stat().st_mtime > SCRATCH_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.root / "holds").iterdir():
            fresh = time.time() - folder.stat().st_mtime < 5 if folder.exists() else True
            if not fresh and not _lock_is_alive(folder / "lock"):
                shutil.rmtree(folder, ignore_errors=True)


def load_record(folder: Path) -> Record:
    """Read the artefact in a folder, of the kind that the folder names."""
    kind = (folder / "kind.txt").read_text().strip()
    if kind not in RECORDS:
        raise UserError(f"'{folder}' holds a '{kind}', which this version does not know; update Humanscope.")
    try:
        return RECORDS[kind].load(folder)
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"The {kind} in '{folder}' could not be read ({error}); run its step again.") from error


def _bytes_of(folder: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    return 0


def _lock_is_alive(path: Path) -> bool:
    try:
        with open(path, "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _process_lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
