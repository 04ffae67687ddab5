"""Fetching released weights: from the Hugging Face Hub into the user's own folder, or from a folder at hand.

Nothing is fetched unless a person asks for it. What is half there is gone on with; every file's hash is compared with
the Hub's; the disk is looked at first. A folder that the user has is only noted, not copied.
"""

from __future__ import annotations

import fnmatch
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.fetch_code import Code, fetch_code
from pipelines.step import UserError
from pipelines.weights import KNOWN, check_file, fetched, note_fetched, weights_root

Say = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """Where a role's files come from. repo: on the Hub. within: the folder there, at any depth; '' for its top.

    wanted, left_out: patterns of file names. code: where they are taken from when the Hub has none of them.
    """

    repo: str
    within: str = ""
    wanted: tuple[str, ...] = ("*",)
    left_out: tuple[str, ...] = ()
    code: Code | None = None


@dataclass(frozen=True)
class RemoteFile:
    """A file on the Hub. sha256: of large files; None where the Hub states none."""

    name: str
    size: int
    sha256: str | None


SOURCES: dict[str, dict[str, Source]] = {
    "synchuman": {
        "synchuman.stage1": Source("xishushu/SyncHuman", "OneStage", left_out=("*text_encoder/*", "*feature_extractor/*")),
        "synchuman.stage2": Source("xishushu/SyncHuman", "SecondStage"),
        "synchuman.tokens": Source(
            "facebook/dinov2-with-registers-large", wanted=("model.safetensors", "config.json", "LICENSE*", "README.md")
        ),
        "synchuman.prompts": Source("xishushu/SyncHuman", wanted=("*normal_embeds.pt", "*clr_embeds.pt"), code=Code(
            "pengHTYX/PSHuman", "44352a0b285a1d55537138b3374d8c22bf055ebf", "mvdiffusion/data/fixed_prompt_embeds_7view",
            ("normal_embeds.pt", "clr_embeds.pt"))),
    }
}  # fmt: skip


def remote_files(repo: str) -> list[RemoteFile]:
    """What lies in a repository of the Hub."""
    from huggingface_hub import HfApi

    found = []
    for sibling in HfApi().model_info(repo, files_metadata=True).siblings or []:
        found.append(RemoteFile(sibling.rfilename, sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else None))
    return found


def download(repo: str, name: str, folder: Path, offline: bool) -> Path:
    """One file of a repository into `folder`, with a progress bar; goes on with what is half there."""
    from huggingface_hub import hf_hub_download

    if offline:
        return Path(hf_hub_download(repo, name, local_files_only=True))
    return Path(hf_hub_download(repo, name, local_dir=folder))


def cached_files(repo: str) -> list[RemoteFile]:
    """What the Hub's own cache on this machine holds of a repository; without hashes, they were compared back then."""
    from huggingface_hub import snapshot_download

    root = Path(snapshot_download(repo, local_files_only=True))
    return [RemoteFile(p.relative_to(root).as_posix(), p.stat().st_size, None) for p in root.rglob("*") if p.is_file()]


def fetch(system: str, say: Say, offline: bool = False) -> dict[str, Path]:
    """All roles of a system from the Hub -> {role: where it lies}, noted for every later run.

    offline: only what was fetched before, or lies in the Hub's cache on this machine. UserError when the Hub cannot be
    reached, the disk is too small, a file came damaged, or a role's files are not there; what was fetched stays, and
    the next call goes on.
    """
    if system not in SOURCES:
        raise UserError(f"Nothing can be fetched for '{system}'; there is {', '.join(SOURCES)}.")
    root = weights_root() / system
    places = find(system, root) if offline else {}
    note_fetched(places)
    wanted = {role: source for role, source in SOURCES[system].items() if role not in places}
    plan = _plan(wanted, offline)
    if not offline:
        _check_disk(root, plan)
    by_hand = {role: place for role in wanted if not plan[role] and (place := fetched(role))}
    places |= by_hand  # named by the user before
    absent: list[str] = []
    for role, source in wanted.items():  # said before gigabytes are waited for
        if not plan[role] and role not in by_hand:
            reason = "not on the Hub." if offline or source.code is None else _from_code(role, source.code, root, say)
            if reason:
                say(f"{role}: {reason} {_by_hand(role)}")
                absent.append(role)
            else:
                places[role] = root / role
    wrong: list[str] = []
    for role, source in wanted.items():
        files = plan[role]
        if not files:
            continue
        say(f"{role}: {len(files)} files, {_gigabytes(files):.2f} GB, licence: {KNOWN[role].licence}")
        kept = [_one(source.repo, file, root / Path(source.repo).name, offline, say) for file in files]
        places[role] = _top(kept, source)
        try:
            check_file(places[role], role)
        except UserError as error:
            wrong.append(f"{role} came to '{places.pop(role)}', but it is not what is needed: {error}")
            continue
        note_fetched({role: places[role]})
    if absent or wrong:
        raise UserError(f"Not everything came: {' '.join([*(_by_hand(role) for role in absent), *wrong])}")
    return places


def take(system: str, folder: Path, say: Say) -> dict[str, Path]:
    """Find the roles of a system in a folder of the user's and note where they lie; nothing is copied.

    UserError when none is found. Roles that are not there are said.
    """
    if system not in SOURCES:
        raise UserError(f"Nothing is known of '{system}'; there is {', '.join(SOURCES)}.")
    if not folder.is_dir():
        raise UserError(f"--from came as '{folder}', which is no folder; give the one with the released files.")
    places = find(system, folder.resolve())
    for role in SOURCES[system]:
        say(f"{role}: {places[role]}" if role in places else f"{role}: not found. {_by_hand(role)}")
    if not places:
        raise UserError(f"'{folder}' holds none of what {system} needs: {', '.join(SOURCES[system])}.")
    note_fetched(places)
    return places


def find(system: str, folder: Path) -> dict[str, Path]:
    """{role: the first folder at or up to three levels below `folder` that can answer it}, of a system's roles."""
    below = (p for depth in ("*", "*/*", "*/*/*") for p in sorted(folder.glob(depth)) if p.is_dir())
    candidates = [folder, *below] if folder.is_dir() else []
    places: dict[str, Path] = {}
    for role in SOURCES[system]:
        for candidate in candidates:
            try:
                check_file(candidate, role)
            except UserError:
                continue
            places[role] = candidate
            break
    return places


def _from_code(role: str, code: Code, root: Path, say: Say) -> str:
    """Fetch a role's files from a code repository into root/role and note them; '', or why they are not there."""
    try:
        say(f"{role}: not on the Hub; from the code of {code.repo}, licence: {KNOWN[role].licence}")
        place = fetch_code(code, root / role, say)
        check_file(place, role)
    except UserError as error:
        return str(error)
    note_fetched({role: place})
    return ""


def _by_hand(role: str) -> str:
    known = KNOWN[role]
    return (
        f"{role} ({known.title}) comes from: {known.source}; put it into a folder of your own and run 'python app.py weights "
        f"fetch {known.group} --from FOLDER'."
    )


def _plan(sources: dict[str, Source], offline: bool) -> dict[str, list[RemoteFile]]:
    """{role: its files}."""
    listed: dict[str, list[RemoteFile]] = {}
    for repo in dict.fromkeys(source.repo for source in sources.values()):
        listed[repo] = _ask(f"the list of {repo}", offline, cached_files if offline else remote_files, repo)
    return {role: [f for f in listed[s.repo] if _belongs(f.name, s)] for role, s in sources.items()}


def _belongs(name: str, source: Source) -> bool:
    inside = not source.within or f"/{source.within}/" in f"/{name}"
    wanted = any(fnmatch.fnmatch(name, pattern) for pattern in source.wanted)
    return inside and wanted and not any(fnmatch.fnmatch(name, pattern) for pattern in source.left_out)


def _ask(what: str, offline: bool, question: Callable[..., Any], *given: Any) -> Any:
    """What the Hub answers; its refusals become a sentence."""
    try:
        return question(*given)
    except Exception as error:  # the Hub's library lets through what its own libraries raise
        if _is_absent(error):
            raise UserError(
                f"The Hub has not {what}, or does not show it to you; it may have been renamed, moved or closed. Look for it "
                "there, put the files into a folder of your own and name that with --from FOLDER. What is asked for stands "
                "in SOURCES in pipelines/fetch.py."
            ) from error
        if offline:
            raise UserError(
                f"Without a network there is not {what}: it was not fetched before, and the Hub's cache on this machine does "
                "not hold it. Fetch it once with a network, or name a folder that has the files with --from FOLDER."
            ) from error
        reason = str(error).splitlines()[0] if str(error) else "no reason"
        raise UserError(
            f"The Hub did not give {what} ({type(error).__name__}: {reason}). What was fetched is kept: try "
            "again, or use --offline for files that were fetched before, or --from FOLDER."
        ) from error


def _is_absent(error: Exception) -> bool:
    """Whether the Hub was reached and knows no such repository or file."""
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

    unknown = isinstance(error, (RepositoryNotFoundError, EntryNotFoundError))
    return unknown and not isinstance(error, LocalEntryNotFoundError)  # that one says that nobody was reached


def _check_disk(root: Path, plan: dict[str, list[RemoteFile]]) -> None:
    root.mkdir(parents=True, exist_ok=True)
    here = {p.relative_to(root).as_posix(): p.stat().st_size for p in root.rglob("*") if p.is_file()}
    names = {path.split("/", 1)[-1]: size for path, size in here.items()}
    needed = sum(f.size for files in plan.values() for f in files if names.get(f.name) != f.size)
    free = shutil.disk_usage(root).free
    if needed * 1.02 > free:
        raise UserError(
            f"{needed / 1e9:.1f} GB are still to be fetched and '{root}' has {free / 1e9:.1f} GB free; make room, or set "
            "HUMANSCOPE_HOME to a folder on a larger disk."
        )


def _one(repo: str, file: RemoteFile, folder: Path, offline: bool, say: Say) -> Path:
    """A file, whole and with the right hash."""
    path = folder / file.name
    if not (not offline and path.is_file() and path.stat().st_size == file.size):
        say(f"  {file.name} ({file.size / 1e6:.0f} MB)")
        path = _ask(f"{file.name} of {repo}", offline, download, repo, file.name, folder, offline)
    if file.sha256 and _sha256(path) != file.sha256:
        path.unlink(missing_ok=True)
        raise UserError(
            f"{file.name} of {repo} came damaged (its hash is another one); it was removed, fetch it again."
        )
    return path


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _top(paths: list[Path], source: Source) -> Path:
    """The folder that answers the role: `within`, or the one that all its files lie in."""
    first = paths[0]
    if source.within:
        return next(p for p in first.parents if p.name == source.within)
    return first.parent


def _gigabytes(files: list[RemoteFile]) -> float:
    return sum(file.size for file in files) / 1e9
