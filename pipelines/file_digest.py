"""The digest of a file's bytes, remembered between runs: released networks are gigabytes, and reading them takes longer
than many a step.

A file whose path, size and time of change (ns) are as they were is taken for the same file. Only large files are noted;
the note lies beside the fetched weights, and a note that cannot be read or written costs time, nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path

LARGE = 64 << 20  # bytes from which a digest is noted
BLOCK = 4 << 20


def file_digest(path: Path, notes: Path) -> str:
    """SHA-256 of the file's bytes, hex. notes: JSON file of what is known of large ones. OSError for no such file."""
    stat = path.stat()
    return _digest_of(str(path.resolve()), stat.st_size, stat.st_mtime_ns, str(notes))


@lru_cache(maxsize=256)
def _digest_of(path: str, size: int, modified: int, notes: str) -> str:
    name = f"{size}:{modified}:{path}"
    if size >= LARGE and (known := _read(Path(notes)).get(name)):
        return known
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    found = digest.hexdigest()
    if size >= LARGE:
        _note(Path(notes), name, found)
    return found


def _read(notes: Path) -> dict[str, str]:
    try:
        known = json.loads(notes.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {k: v for k, v in known.items() if isinstance(v, str) and len(v) == 64}


def _note(notes: Path, name: str, digest: str) -> None:
    """Add a line, whole or not at all; older lines of the same path go."""
    path = name.split(":", 2)[2]
    known = {k: v for k, v in _read(notes).items() if k.split(":", 2)[-1] != path}
    part = notes.with_name(f".{notes.name}.{os.getpid()}")
    try:
        notes.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({**known, name: digest}, indent=1, sort_keys=True))
        os.replace(part, notes)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
