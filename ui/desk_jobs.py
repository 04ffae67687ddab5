"""What the desk's processes do. Every function takes and returns plain data and can be called anywhere."""

from __future__ import annotations

import importlib
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.hgm.records import BackView
from pipelines.recipe import Recipe
from pipelines.records import Keypoints, Photo, Record, Upload
from pipelines.run import (
    Run,
    branch_run,
    change_settings,
    create_run,
    import_records,
    replace_artefact,
)  # fmt: skip
from pipelines.step import UserError
from pipelines.store import Store
from pipelines.synchuman.records import TenPictures
from pipelines.views.records import Views
from ui.edit_back_view import BackEdit, given_back
from ui.edit_ten_pictures import exchanged
from ui.edit_views import ViewEdit, edited
from ui.run_reader import RunReader

UPLOAD = "upload.bin"  # the photo's bytes, for the worker


def describe(system: str) -> dict[str, Any]:
    """A system as plain data: its steps, what depends on them, and their knobs, for the page to draw."""
    from pipelines.systems import find_system

    recipe = find_system(system)
    steps = [
        {
            "name": step.name, "title": step.title, "summary": step.summary, "kind": step.kind,
            "record": step.output.kind, "seeded": step.seeded, "after": sorted(recipe.after(step.name)),
            "knobs": [
                {
                    "name": k.name, "type": k.type.__name__, "default": k.default, "help": k.help, "low": k.low,
                    "high": k.high, "unit": k.unit, "choices": list(k.choices),
                }
                for k in step.knobs
            ],
        }
        for step in recipe.steps
    ]  # fmt: skip
    return {
        "name": system, "title": recipe.title, "summary": recipe.summary, "preset": recipe.preset, "steps": steps,
        "entry": entry_of(recipe), "ablation": recipe.ablation,
    }  # fmt: skip


def entry_of(recipe: Recipe) -> str:
    """What a run of the system begins with: 'photo', or 'archive', a ZIP of files, where the step that takes the upload
    makes no photo of it."""
    first = next((step for step in recipe.steps if "upload" in step.inputs), None)
    return "photo" if first is None or first.output is Photo else "archive"


def create(folder: str, name: str, data: bytes, system: str, seed: int) -> None:
    """A new run folder with the upload beside it."""
    upload = Upload(data, name)
    create_run(Path(folder), upload, system, seed=seed)
    (Path(folder) / UPLOAD).write_bytes(data)


def adopt(
    base: str, folder: str, store: str, settings: dict[str, dict[str, Any]] | None = None, system: str = ""
) -> None:  # fmt: skip
    """A run of one's own that goes on from a prepared one, or beside another of one's own. What a prepared run does not
    keep, and what it made with steps of an earlier version, is made anew from its photo. settings, system: where the
    new run differs."""
    kept = Store(Path(store))
    run = Run.load(Path(base))
    with kept.hold() as hold:
        import_records(run, kept, hold)
        contents = []
        for state in run.steps:
            entry = kept.lookup(state.key, hold) if state.key else None
            contents += [entry.content] if entry else []
        other = {"settings": settings} if settings else {}
        branch = branch_run(Path(folder), run, **other, **({"system": system} if system else {}))
        kept.pin(branch.id, contents)
    if (run.folder / UPLOAD).is_file():
        shutil.copyfile(run.folder / UPLOAD, branch.folder / UPLOAD)


def change(folder: str, settings: dict[str, dict[str, Any]], seed: int | None) -> list[str]:
    """Change knobs and seed of a run that is not under way; returns the steps that turned stale."""
    run = Run.load(Path(folder))
    if seed is not None:
        run.seed = seed
    return change_settings(run, settings)


def replace(
    folder: str, store: str, step: str, edit: Keypoints | ViewEdit | BackEdit | NDArray[np.float32] | None
) -> str | None:  # fmt: skip
    """Put a hand-made record in a step's place; returns its content. edit: keypoints, a matte (H, W), what to do to one
    of the views, a picture from behind (the step may have no result yet), or None, which takes the earlier edit back."""
    kept, run = Store(Path(store)), Run.load(Path(folder))
    if edit is None:
        replace_artefact(run, step, None)
        return None
    record: Record
    if isinstance(edit, Keypoints):
        record = edit
    elif isinstance(edit, BackEdit):
        if run.recipe.step(step).output is not BackView:
            raise UserError(f"'{step}' has no picture from behind to replace.")
        record = given_back(edit)
    elif isinstance(edit, ViewEdit):
        earlier = run.replaced.get(step)
        views = kept.load(earlier) if earlier else RunReader(Path(folder), kept).record(step)
        if isinstance(views, Views):
            record = edited(views, edit)
        elif isinstance(views, TenPictures):
            record = exchanged(views, edit)
        else:
            raise UserError(f"'{step}' has no views to replace.")
    else:
        from pipelines.matte import cutout_by_hand

        record = cutout_by_hand(RunReader(Path(folder), kept).need(Photo), edit)
    with kept.hold() as hold:
        content = kept.add(record, hold)
        kept.pin(run.id, [content, *(s.content for s in run.steps if s.content)])
        replace_artefact(run, step, content)
    return content


def warm() -> None:
    """Load and compile what draws splats, so that the first ones of a run are seen as soon as they are there."""
    from pipelines.export.picture import splat_picture
    from pipelines.geometry.cameras import Camera, intrinsics, look_at
    from pipelines.records import Splats

    one = np.ones(1, np.float32)
    dot = Splats(np.zeros((1, 3), np.float32), np.eye(1, 4, dtype=np.float32), np.full((1, 3), 0.1, np.float32), one,
                 np.ones((1, 3), np.float32), np.zeros(1, np.uint8), np.zeros(1, np.uint8))  # fmt: skip
    splat_picture(dot, Camera(intrinsics(32, 32, 40.0), 32, 32, look_at(np.zeros(3), 2.0, 0.0, 0.0)))


def draw(folder: str, store: str, step: str, maker: str, argument: str, out: str) -> None:
    """Make one file for the inspector. maker: 'module:function', called with (reader, step, argument) -> bytes."""
    module, name = maker.split(":")
    function = getattr(importlib.import_module(module), name)
    data = function(RunReader(Path(folder), Store(Path(store))), step, argument)
    _write(Path(out), data)


def write_file(folder: str, store: str, format: str, out: str) -> str:
    """Write one export format; returns its sentence. OBJ leaves as a ZIP with its material and texture."""
    import tempfile
    import zipfile

    from pipelines.export.table import EXPORTS, export

    bundle = RunReader(Path(folder), Store(Path(store))).bundle()
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        path = Path(scratch) / f"person{EXPORTS[format].suffix}"
        sentence = export(bundle, format, path)
        if format == "obj":
            parts, packed = sorted(Path(scratch).iterdir()), Path(scratch) / "packed"
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for part in parts:
                    archive.write(part, part.name)
            path = packed
        os.replace(path, target)
    return str(sentence)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
