"""Small files of released weights that lie in a public code repository, at one commit, and not on the Hub."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from pipelines.step import UserError

HOST = "https://raw.githubusercontent.com"
SECONDS, LARGEST = 30, 16 << 20  # a file is waited for so long at a time, and is at most so many bytes


@dataclass(frozen=True)
class Code:
    """names in `folder` of a repository on GitHub, as they were at `commit`."""

    repo: str
    commit: str
    folder: str
    names: tuple[str, ...]


def opened(address: str) -> bytes:
    """What lies at an address; OSError when nobody answers, ValueError when it is larger than LARGEST."""
    with urlopen(address, timeout=SECONDS) as answer:
        data: bytes = answer.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"more than {LARGEST >> 20} MB came")
    return data


def fetch_code(code: Code, folder: Path, say: Callable[[str], None]) -> Path:
    """The files in `folder`, each whole or not at all; those that are there are not asked for again. Returns it.

    UserError when one does not come. That they are the right ones is for the reader to compare.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in code.names:
        if (folder / name).is_file():
            continue
        say(f"  {name} of the code of {code.repo}")
        try:
            data = opened(f"{HOST}/{code.repo}/{code.commit}/{code.folder}/{name}")
        except (OSError, ValueError) as error:
            raise UserError(f"{name} of the code repository {code.repo} did not come ({error}).") from error
        part = folder / f".{name}.part"
        part.write_bytes(data)
        os.replace(part, folder / name)
    return folder
