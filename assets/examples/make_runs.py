"""Makes the prepared runs that the page shows before anybody has dropped a photo.

    python -m assets.examples.make_runs [NAME ...]      # from the project's folder; default: all in RUNS

Each is the folder that `python app.py run` writes, made small: large maps are left out, and their pictures for the
page are put beside (`page/`); the photo's own bytes stay, so that a changed knob can go on from any step. Run it
again whenever a step changes; an older one is still shown, and a changed knob makes it anew from its photo.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shutil
import tempfile
import zipfile
from pathlib import Path

from pipelines.output import OutFolder, deliver
from pipelines.records import Upload
from pipelines.run import Executor, create_run
from pipelines.store import Store
from ui.desk_jobs import UPLOAD
from ui.run_reader import RunReader
from ui.step_plates import COMMON, views_of

HERE = Path(__file__).resolve().parent
RUNS = {"denim-jacket": "1-denim-jacket.jpg"}
SETTINGS = {"splats": {"count": 26000}}  # fewer than usual: every clone carries them
LARGE = ("body_maps", "layers", "views")  # kinds of record of which only pictures are kept
AT_ONCE = ("cutout.webp", "photo.webp")  # pictures that the first paint asks for


def make(name: str) -> Path:
    """Make one prepared run; returns its folder."""
    photo = HERE / RUNS[name]
    upload = Upload(photo.read_bytes(), photo.name)
    target = HERE / "runs" / name
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(Path(scratch) / "store")
        run = create_run(Path(scratch) / "run", upload, "projection", settings=SETTINGS)
        Executor(run, store, upload).execute()
        out = OutFolder(Path(scratch) / "out")
        deliver(run, store, out)
        out.finish()
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for part in ("run.json", "steps"):
            shutil.move(Path(scratch) / "out" / part, target / part)
    (target / UPLOAD).write_bytes(upload.data)
    slim(target)
    return target


def slim(folder: Path) -> None:
    """Pictures instead of large records; arrays deflated."""
    reader = RunReader(folder, Store(Path(tempfile.mkdtemp()) / "store"))
    pages, kinds = folder / "page", {}
    pages.mkdir()
    for state in reader.run.steps:
        kind = reader.kind(state.name)
        assert kind is not None
        for name, view in views_of(state.name, kind).items():
            if name in COMMON:
                continue
            if kind in LARGE or name in AT_ONCE or name == "facts.json":
                module, maker = view.maker.split(":")
                data = getattr(importlib.import_module(module), maker)(reader, state.name, view.argument)
                (pages / f"{state.name}-{name}").write_bytes(data)
        if kind in LARGE:
            kinds[state.name] = kind
    for step in kinds:
        shutil.rmtree(folder / "steps" / step)
    (pages / "kinds.json").write_text(json.dumps(kinds) + "\n")
    for path in folder.glob("steps/*/*.npz"):
        deflate(path)


def deflate(path: Path) -> None:
    """The same arrays, compressed."""
    with zipfile.ZipFile(path) as archive:
        parts = [(entry, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for entry, data in parts:
            archive.writestr(zipfile.ZipInfo(entry.filename, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*RUNS, []], help="which (default: all)")
    for each in parser.parse_args().names or RUNS:
        made = make(each)
        size = sum(p.stat().st_size for p in made.rglob("*") if p.is_file())
        print(f"{made.relative_to(HERE.parent.parent)}: {size / 1e6:.1f} MB")
