"""The table of formats, and `export`, which writes one of them whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pipelines.export import glb, html, mp4, npz, obj, ply, preview, splat, spz, viser_scene, webp
from pipelines.export import zip as archive
from pipelines.export.bundle import STAND_IN, Bundle, Name, need
from pipelines.step import UserError

Writer = Callable[[Bundle, Path], str]


class Export(NamedTuple):
    """suffix: of the file, with its dot. needs: all of these parts. any_of: and at least one of these.
    writer: the module's `write`. help: one line.
    """

    suffix: str
    needs: tuple[Name, ...]
    writer: Writer
    help: str
    any_of: tuple[Name, ...] = ()

    def ready(self, bundle: Bundle) -> bool:
        """Whether the bundle has what this format needs."""
        return bundle.has(*self.needs) and (not self.any_of or any(bundle.has(name) for name in self.any_of))


def _pack(bundle: Bundle, path: Path) -> str:
    parts = [(name, EXPORTS[kind].writer) for kind, name in _PACKED.items() if EXPORTS[kind].ready(bundle)]
    return archive.write(bundle, path, parts)


EXPORTS: dict[str, Export] = {
    "ply": Export(".ply", ("splats",), ply.write, "Splats with the columns of 3D Gaussian splatting."),
    "splat": Export(".splat", ("splats",), splat.write, "Splats for web viewers, 32 bytes each."),
    "spz": Export(".spz", ("splats",), spz.write, "Splats, about a tenth of the size of PLY."),
    "glb": Export(".glb", ("mesh",), glb.write, "Textured mesh in one file, for Blender, Unity and the web."),
    "obj": Export(".obj", ("mesh",), obj.write, "Textured mesh with .mtl and .png beside it."),
    "npz": Export(".npz", ("body",), npz.write, "Body, cameras and all arrays by name, for numpy."),
    "viser": Export(".viser", (), viser_scene.write, "Recorded scene for viser.", ("splats", "mesh", "body")),
    "html": Export(".html", (), html.write, "One 3D page, opens without a network.", ("splats", "mesh", "body")),
    "mp4": Export(".mp4", ("turntable",), mp4.write, "The turntable as a film."),
    "webp": Export(".webp", ("turntable",), webp.write, "The turntable as an animation with transparency."),
    "preview": Export(".png", ("body",), preview.write, "Four views in one picture.", ("splats", "mesh")),
    "zip": Export(".zip", (), _pack, "Everything, with the run record, licences and the command."),
}

_PACKED = {
    "ply": "person.ply", "splat": "person.splat", "spz": "person.spz", "glb": "person.glb", "obj": "obj/person.obj",
    "npz": "arrays.npz", "viser": "scene.viser", "html": "person.html", "mp4": "turntable.mp4",
    "webp": "turntable.webp", "preview": "preview.png",
}  # fmt: skip


def format_of(path: Path) -> str:
    """The format that a file name asks for by its suffix; UserError when there is none."""
    suffix = Path(path).suffix.lower()
    for name, export_format in EXPORTS.items():
        if export_format.suffix == suffix:
            return name
    known = ", ".join(sorted(e.suffix for e in EXPORTS.values()))
    raise UserError(f"'{Path(path).name}' has no suffix that names a format; those are {known}.")


def export(bundle: Bundle, format: str, path: Path) -> str:
    """Write `bundle` as `format` to `path`; returns the writer's sentence.

    The file appears whole or not at all: it is written to a temporary folder beside its place and moved
    there. An older file of that name is replaced. UserError in one sentence: unknown format, another suffix,
    missing parts, a folder that is not there or cannot be written to, a full disk.
    """
    path = Path(path)
    if format not in EXPORTS:
        raise UserError(f"There is no export format '{format}'; there are {', '.join(EXPORTS)}.")
    chosen = EXPORTS[format]
    if path.suffix.lower() != chosen.suffix:
        raise UserError(f"'{path.name}' is no name for the format '{format}'; it needs the suffix {chosen.suffix}.")
    for name in chosen.needs:
        need(bundle, name)
    if not chosen.ready(bundle):
        raise UserError(f"This run has none of {', '.join(chosen.any_of)} yet; run it further, then export.")
    if not path.parent.is_dir():
        raise UserError(f"The folder '{path.parent}' is not there; make it first, or choose another.")
    if path.is_dir():
        raise UserError(f"'{path}' is a folder; the export needs a file name.")
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
            sentence = chosen.writer(bundle, Path(folder) / path.name)
            _move(Path(folder), path)
            return f"{sentence} {STAND_IN}" if bundle.run.get("preset") == "tiny" else sentence
    except OSError as error:
        raise UserError(_disk_sentence(error, path)) from error


def _move(folder: Path, path: Path) -> None:
    """All written files to their places, the one that was asked for last, so that it never names absent
    siblings.
    """
    written = sorted(p for p in folder.iterdir() if p.name != path.name)
    taken = [p.name for p in written if (path.parent / p.name).exists()]
    if taken and not path.exists():
        raise UserError(
            f"{path.name} needs {' and '.join(taken)} beside it, and there is one already; choose another name."
        )
    for part in [*written, folder / path.name]:
        os.replace(part, path.parent / part.name)


def _disk_sentence(error: OSError, path: Path) -> str:
    """What the disk said, for a person."""
    folder = str(path.parent)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"The folder '{folder}' cannot be written to; choose another folder for {path.name}."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(path.parent).free / 1e6
        return f"The disk of '{folder}' is full ({free:,.0f} MB free); make room, then export {path.name} again."
    return f"{path.name} could not be written to '{folder}' ({error.strerror or error}); choose another place."
