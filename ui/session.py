"""Who owns which run, and how much anybody may have.

A visitor is a random 128-bit token, kept in the visitor's browser; the server keeps only its hash. A run is a folder
`runs/<name>` of the store, with a random 128-bit name; its `page.json` says whose it is, until when it stays, and how
the page drives it. Whoever does not hold the token gets the same answer as for a run that does not exist.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import re
import secrets
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.records import read_json, write_json
from pipelines.run import Run
from pipelines.step import UserError
from pipelines.store import Store, write_atomically
from pipelines.worker import mark_interrupted

TOKEN = re.compile(r"[0-9a-f]{32}")
EXAMPLE = re.compile(r"[A-Za-z0-9_-]{1,64}")
PUBLIC = "example"  # the token of prepared runs, which everybody may look at
UNFINISHED = ("queued", "running")


def new_token() -> str:
    """128 random bits as 32 hexadecimal digits: a visitor, or the name of a run."""
    return secrets.token_hex(16)


def hash_token(token: str) -> str:
    """What is stored instead of a token."""
    return hashlib.sha256(b"humanscope visitor " + token.encode()).hexdigest()


@dataclass
class Page:
    """`page.json`: what the page, and not the pipeline, knows of a run.

    owner: hash of the visitor's token. expires: seconds since 1970. stepwise: pause after each step. until: the step
    after which the present job stops, or None. made_by_hand: contents that the visitor drew. viewer: hash of the token
    that may look and nothing else, '' while the run is not shared.
    """

    owner: str
    expires: float
    stepwise: bool = False
    until: str | None = None
    made_by_hand: list[str] = field(default_factory=list)
    viewer: str = ""

    def belongs_to(self, token: str) -> bool:
        """Whether this is the owner's token."""
        return hmac.compare_digest(self.owner, hash_token(token))

    def shows_to(self, token: str) -> bool:
        """Whether the token may look: the owner's, or while it is shared the viewers'."""
        shared = bool(self.viewer) and hmac.compare_digest(self.viewer, hash_token(token))
        return self.belongs_to(token) or shared

    def save(self, folder: Path) -> None:
        """Write it beside run.json."""
        import json

        write_atomically(folder / "page.json", json.dumps(asdict(self)) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Page:
        """Read it."""
        return cls(**read_json(folder / "page.json"))


@dataclass(frozen=True)
class Limits:
    """What one visitor and all of them together may use.

    queue: runs waiting or running in all; queue_each: by one visitor. upload_bytes: one photo. archive_bytes: one ZIP
    of views. runs_bytes: all run folders (pictures and files made for the page; artefacts are the store's own
    business). keep_hours: until a run is deleted.
    """

    queue: int = 12
    queue_each: int = 2
    upload_bytes: int = 20 * 2**20
    archive_bytes: int = 64 * 2**20
    runs_bytes: int = 4 * 2**30
    keep_hours: float = 24.0


class Session:
    """All visitors' runs under one store. examples: folder of prepared runs, or one that does not exist."""

    def __init__(self, store: Store, examples: Path, limits: Limits = Limits()) -> None:
        self.store, self.examples, self.limits = store, Path(examples), limits
        self.runs = store.root / "runs"
        self.uploads = store.root / "uploads"
        self.uploads.mkdir(exist_ok=True)

    def example_names(self) -> list[str]:
        """The prepared runs, in the order of their names."""
        found = []
        for path in sorted(self.examples.glob("*/run.json")):
            with contextlib.suppress(UserError, OSError, ValueError, TypeError):  # made by another version
                Run.load(path.parent)
                found.append(path.parent.name)
        return [n for n in found if EXAMPLE.fullmatch(n)]

    def own_names(self, token: str) -> list[str]:
        """The runs of this visitor, the newest first."""
        mine = [(run.created, folder.name) for folder, page, run in self._all() if page.belongs_to(token)]
        return [name for _, name in sorted(mine, reverse=True)]

    def folder(self, token: str, name: str) -> Path:
        """The folder of a run that this token may see; UserError otherwise, whatever the reason."""
        if token == PUBLIC and EXAMPLE.fullmatch(name or "") and (self.examples / name / "run.json").is_file():
            return self.examples / name
        if TOKEN.fullmatch(token or "") and TOKEN.fullmatch(name or ""):
            folder = self.runs / name
            with contextlib.suppress(OSError, ValueError, TypeError):
                if Page.load(folder).shows_to(token):
                    return folder
        raise UserError("There is no such run here. It may have expired; drop the photo again.")

    def own_folder(self, token: str, name: str) -> Path:
        """The same, for what only the owner may do: prepared runs are nobody's."""
        if token == PUBLIC:
            raise UserError("This is a prepared run; it cannot be changed in place.")
        folder = self.folder(token, name)
        if not Page.load(folder).belongs_to(token):
            raise UserError("This run was shared with you to look at; drop a photo to make your own.")
        return folder

    def share(self, token: str, name: str) -> str:
        """A new token with which anybody may look at the run and take its files; the one before it ends."""
        folder, key = self.own_folder(token, name), new_token()
        page = Page.load(folder)
        page.viewer = hash_token(key)
        page.save(folder)
        return key

    def stop_sharing(self, token: str, name: str) -> None:
        """No token but the owner's shows the run from here on."""
        folder = self.own_folder(token, name)
        page = Page.load(folder)
        page.viewer = ""
        page.save(folder)

    def claim(self, folder: Path, token: str, *, stepwise: bool) -> Page:
        """Make a new run folder this visitor's."""
        page = Page(hash_token(token), time.time() + 3600 * self.limits.keep_hours, stepwise)
        page.save(folder)
        return page

    def check_room(self, token: str) -> None:
        """UserError when the queue or the disk is full, or this visitor has enough under way."""
        mine, everybody = 0, 0
        for folder, page, run in self._all():
            if run.state in UNFINISHED:
                everybody += 1
                mine += page.owner == hash_token(token)
            del folder
        if mine >= self.limits.queue_each:
            raise UserError(f"You have {mine} runs under way; wait for one to end, or stop it.")
        if everybody >= self.limits.queue:
            raise UserError(f"{everybody} runs are waiting, which is the limit here; try again in a few minutes.")
        if folder_bytes(self.runs) > self.limits.runs_bytes:
            raise UserError("The disk space for runs is used up; try again later, or delete a run.")

    def end_left_over(self) -> list[str]:
        """Runs that an earlier page left under way when it was stopped: failed, ready to resume; returns their names.

        Nothing happens while another page lives on this store: its runs are its own.
        """
        self._only_page = open(self.store.root / "page.lock", "w")  # noqa: SIM115 - held as long as the page lives
        try:
            fcntl.flock(self._only_page, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return []
        left = [(folder, run) for folder, _, run in self._all() if run.state in UNFINISHED]
        for _, run in left:
            mark_interrupted(run)
        return [folder.name for folder, _ in left]

    def forget(self, folder: Path) -> None:
        """Delete a run with every artefact made from its photo, finished or not, except what another run also uses."""
        contents = contents_of(folder, self.store)
        with contextlib.suppress(UserError):
            run = Run.load(folder)
            self.store.unpin(run.id)
            for state in run.steps:
                if state.key and not state.content:
                    self.store.forget_scratch(state.key)
        shutil.rmtree(folder, ignore_errors=True)
        doomed = contents - self.store.protected()
        for path in (self.store.root / "keys").glob("*.json"):
            with contextlib.suppress(OSError, ValueError):
                if read_json(path)["content"] in doomed:
                    path.unlink(missing_ok=True)
        for content in doomed:
            shutil.rmtree(self.store.folder(content), ignore_errors=True)

    def sweep(self, now: float | None = None) -> list[str]:
        """Delete expired runs and old uploads; returns the names of the runs."""
        now = time.time() if now is None else now
        gone = []
        for folder, page, run in self._all():
            if page.expires < now and run.state not in UNFINISHED:
                self.forget(folder)
                gone.append(folder.name)
        for upload in self.uploads.iterdir():
            with contextlib.suppress(OSError):
                if now - upload.stat().st_mtime > 3600:
                    upload.unlink()
        return gone

    def keep_upload(self, token: str, data: bytes, name: str) -> str:
        """Park a dropped photo until 'Reconstruct' (an hour at most); returns its number."""
        number = new_token()
        (self.uploads / number).write_bytes(data)
        write_json(self.uploads / f"{number}.json", {"owner": hash_token(token), "name": Path(name).name[:120]})
        return number

    def take_upload(self, token: str, number: str) -> tuple[bytes, str]:
        """The bytes and the file name of a parked photo; UserError when it is not this visitor's or gone."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            if TOKEN.fullmatch(number or ""):
                facts: dict[str, Any] = read_json(self.uploads / f"{number}.json")
                if hmac.compare_digest(facts["owner"], hash_token(token)):
                    return (self.uploads / number).read_bytes(), facts["name"]
        raise UserError("The photo is no longer here; drop it again.")

    def _all(self) -> list[tuple[Path, Page, Run]]:
        found = []
        for folder in self.runs.iterdir() if self.runs.is_dir() else ():
            with contextlib.suppress(OSError, ValueError, TypeError, UserError):
                found.append((folder, Page.load(folder), Run.load(folder)))
        return found


def contents_of(folder: Path, store: Store) -> set[str]:
    """Every content that was ever made from a run's photo: its own, those drawn by hand, and all that follow."""
    found: set[str] = set()
    with contextlib.suppress(UserError, OSError, ValueError):
        run = Run.load(folder)
        found |= {s.content for s in run.steps if s.content} | set(run.replaced.values())
    with contextlib.suppress(OSError, ValueError, TypeError):
        found |= set(Page.load(folder).made_by_hand)
    known = []
    for path in (store.root / "keys").glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            known.append(read_json(path))
    grown = True
    while grown:
        more = {
            facts["content"] for facts in known if found & set((facts.get("inputs") or {}).values())
        } - found  # fmt: skip
        found |= more
        grown = bool(more)
    return found


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total
