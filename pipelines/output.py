"""What `run --out DIR` ends with, and how a finished run is opened again."""

from __future__ import annotations

import os
import shlex
import shutil
import uuid
from pathlib import Path
from typing import Any

from pipelines.export.bundle import Bundle
from pipelines.records import Body, Cutout, Keypoints, Mesh, Photo, Record, Splats, ViewSet
from pipelines.run import Run
from pipelines.step import UserError
from pipelines.store import Store, writing

# Part of the bundle -> the record it must be; the newest finished step of that type answers.
PARTS: dict[str, type[Record]] = {
    "photo": Photo, "cutout": Cutout, "keypoints": Keypoints, "body": Body, "splats": Splats, "mesh": Mesh,
    "turntable": ViewSet,
}  # fmt: skip
# Names of what `deliver` writes.
WRITTEN = (
    "run.json", "photo.png", "cutout.png", "body.npz", "splats.ply", "mesh.glb", "turntable.mp4", "preview.png", "steps",
)  # fmt: skip


def open_bundle(run: Run, store: Store | None) -> Bundle:
    """The records of a run that are there, for pictures and exports."""
    parts: dict[str, Any] = {}
    recipe = run.recipe
    for part, kind in PARTS.items():
        for step in reversed(recipe.steps):
            state = run.step(step.name)
            if step.output is kind and state.content and (state.finished or state.state == "stale"):
                parts[part] = run.record(step.name, store)
                break
    return Bundle(**parts, run=run.to_json(), command=command_of(run))


def command_of(run: Run) -> str:
    """The command line that makes this run again."""
    source = ["--from", run.photo_name] if starts_from_archive(run) else [run.photo_name]
    words = ["python", "app.py", "run", *source, "--system", run.system, "--seed", str(run.seed)]
    for step, values in sorted(run.settings.items()):
        for name, value in sorted(values.items()):
            words += ["--set", f"{step}.{name}={value}"]
    for step in sorted(run.replaced):
        words += ["--replace", f"{step}=steps/{step}"]
    return shlex.join([*words, "--out", "DIR"])


def starts_from_archive(run: Run) -> bool:
    """Whether the run was made from a folder of pictures; a run of a system that is not here counts as of a photo."""
    try:
        return run.recipe.pack is not None
    except UserError:
        return False


def find_run(reference: str, store_root: Path) -> Run:
    """A run by its folder or by its id in the store."""
    folder = Path(reference)
    if not (folder / "run.json").is_file() and (store_root / "runs" / reference / "run.json").is_file():
        folder = store_root / "runs" / reference
    return Run.load(folder)


class OutFolder:
    """Collects files under a temporary name beside DIR; `finish` puts them in place, `abandon` leaves nothing."""

    def __init__(self, target: Path) -> None:
        self.target = Path(os.path.abspath(target))
        if self.target.exists() and not self.target.is_dir():
            raise UserError(f"--out came as '{target}', which is a file; give a folder.")
        if self.target.is_dir() and any(self.target.iterdir()):
            try:
                Run.load(self.target)
            except UserError as error:
                raise UserError(
                    f"--out came as '{target}', which holds files that are no run; choose an empty or a new folder."
                ) from error
        self.work = self.target.with_name(f".{self.target.name}.{uuid.uuid4().hex[:8]}.part")
        with writing(f"The output folder '{target}'"):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            self.work.mkdir()
            if self.target.exists() and not os.access(self.target, os.W_OK):
                shutil.rmtree(self.work, ignore_errors=True)
                raise UserError(f"--out came as '{target}', and writing there is not allowed; choose another folder.")

    def finish(self) -> None:
        """Move everything into DIR. What an earlier run left there goes; files that are not a run's stay."""
        with writing(f"The output folder '{self.target}'"):
            if not self.target.exists():
                os.rename(self.work, self.target)
                return
            for name in WRITTEN:
                old = self.target / name
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink(missing_ok=True)
            for item in sorted(self.work.iterdir()):
                place = self.target / item.name
                if place.is_dir() and not place.is_symlink():
                    shutil.rmtree(place)
                os.replace(item, place)
            self.work.rmdir()

    def abandon(self) -> None:
        """Remove what was collected."""
        shutil.rmtree(self.work, ignore_errors=True)


def deliver(run: Run, store: Store, out: OutFolder) -> list[str]:
    """Fill the folder: run.json, photo.png, cutout.png, body.npz, splats.ply, mesh.glb, preview.png, turntable.mp4
    and the open artefacts of every step. What the run has not reached is left out. Returns the file names."""
    from pipelines.export.table import export

    folder = out.work
    with writing(f"The output folder '{out.target}'"):
        for state in run.steps:
            if state.content and state.finished:
                shutil.copytree(store.folder(state.content), folder / "steps" / state.name)
        bundle = open_bundle(run, store)
        for part, name, source in (("photo", "photo.png", "photo.png"), ("cutout", "cutout.png", "cutout.png"),
                                   ("body", "body.npz", "body.npz")):  # fmt: skip
            done = (s.name for s in reversed(run.recipe.steps) if s.output is PARTS[part])
            step = next((n for n in done if (folder / "steps" / n).is_dir()), None)
            if step is not None and bundle.has(part):
                shutil.copyfile(folder / "steps" / step / source, folder / name)
        for part, form, name in (("splats", "ply", "splats.ply"), ("mesh", "glb", "mesh.glb"),
                                 ("turntable", "mp4", "turntable.mp4")):  # fmt: skip
            if bundle.has(part):
                export(bundle, form, folder / name)
        if bundle.has("body") and (bundle.has("splats") or bundle.has("mesh")):
            from pipelines.export import preview

            preview.write(bundle, folder / "preview.png")
        shutil.copyfile(run.folder / "run.json", folder / "run.json")
    return sorted(p.name for p in folder.iterdir())
