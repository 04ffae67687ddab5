"""The table of formats and the ZIP: all or nothing, with a sentence when it is nothing."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.export import bundle as bundles
from pipelines.export import licences, ply, table
from pipelines.export.bundle import Bundle
from pipelines.export.table import EXPORTS, export, format_of
from pipelines.step import UserError
from tests.asymmetric import person_bundle, stands_right

START = {
    ".ply": b"ply\n", ".spz": b"\x1f\x8b", ".glb": b"glTF", ".obj": b"# Humanscope", ".npz": b"PK", ".zip": b"PK",
    ".png": b"\x89PNG", ".html": b"<!doctype html>", ".webp": b"RIFF",
}  # fmt: skip


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return person_bundle(4)


@pytest.mark.parametrize("name", [n for n in EXPORTS if n != "zip"])
def test_every_format_writes_one_file(name: str, bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / f"person{EXPORTS[name].suffix}"
    sentence = export(bundle, name, path)
    assert sentence.startswith("Wrote") and sentence.endswith(".") and path.stat().st_size > 100
    assert path.read_bytes().startswith(START.get(path.suffix, b""))
    beside = {p.name for p in tmp_path.iterdir()} - {path.name}
    assert beside == ({"person.mtl", "person_texture.png"} if name == "obj" else set())
    assert format_of(path) == name and EXPORTS[name].help.endswith(".")
    with pytest.raises(UserError, match="yet; run it"):
        export(Bundle(), name, tmp_path / f"none{path.suffix}")
    assert {p.stem.removesuffix("_texture") for p in tmp_path.iterdir()} == {"person"}


def test_wrong_requests_are_sentences(bundle: Bundle, tmp_path: Path) -> None:
    cases = [
        ("fbx", tmp_path / "a.fbx", "no export format 'fbx'"),
        ("glb", tmp_path / "a.ply", "needs the suffix .glb"),
        ("glb", tmp_path / "nowhere" / "a.glb", "is not there"),
    ]
    for format, path, words in cases:
        with pytest.raises(UserError, match=words):
            export(bundle, format, path)
    (tmp_path / "folder.ply").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        export(bundle, "ply", tmp_path / "folder.ply")
    with pytest.raises(UserError, match="no suffix that names"):
        format_of(Path("a.fbx"))


@pytest.mark.parametrize(
    "code, words", [(errno.ENOSPC, "is full"), (errno.EACCES, "cannot be written to"), (errno.EIO, "another place")]
)
def test_a_disk_that_fails_leaves_the_old_file(
    code: int, words: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "person.ply"
    path.write_bytes(b"the old one")

    def fails(bundle: Bundle, place: Path) -> str:
        place.write_bytes(b"half")
        raise OSError(code, os.strerror(code))

    monkeypatch.setitem(EXPORTS, "ply", EXPORTS["ply"]._replace(writer=fails))
    with pytest.raises(UserError, match=words):
        export(bundle, "ply", path)
    assert path.read_bytes() == b"the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["person.ply"], "something half-written was left"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(bundle: Bundle, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match="cannot be written to"):
            export(bundle, "ply", tmp_path / "person.ply")
    finally:
        tmp_path.chmod(0o700)


def test_a_writer_that_breaks_leaves_nothing(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(bundle: Bundle, place: Path) -> str:
        place.write_bytes(b"half")
        raise RuntimeError("a bug")

    monkeypatch.setitem(EXPORTS, "ply", EXPORTS["ply"]._replace(writer=breaks))
    with pytest.raises(RuntimeError):
        export(bundle, "ply", tmp_path / "person.ply")
    assert not list(tmp_path.iterdir())


def test_obj_siblings_arrive_before_the_obj(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real = os.replace
    monkeypatch.setattr(table.os, "replace", lambda a, b: (order.append(Path(b).name), real(a, b))[1])
    export(bundle, "obj", tmp_path / "person.obj")
    assert order == ["person.mtl", "person_texture.png", "person.obj"]


def test_zip_holds_everything(bundle: Bundle, tmp_path: Path) -> None:
    sentence = export(bundle, "zip", tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    assert f"{len(files)} files" in sentence
    wanted = {
        "person.ply", "person.splat", "person.spz", "person.glb", "obj/person.obj", "obj/person.mtl", "obj/person_texture.png",
        "arrays.npz", "scene.viser", "person.html", "turntable.mp4", "turntable.webp", "preview.png", "run.json",
        "README.txt", "inputs/photo.png", "inputs/cutout.png", "inputs/keypoints.json", "inputs/body.npz",
    }  # fmt: skip
    assert wanted <= set(files)
    assert {n for n in files if n.startswith("LICENSES/")} == set(licences.licence_files()) != set()
    assert json.loads(files["run.json"]) == bundle.run
    readme = files["README.txt"].decode()
    assert bundle.command in readme and bundles.FRAME in readme and "person.ply: Wrote" in readme
    (tmp_path / "p.ply").write_bytes(files["person.ply"])
    splats = ply.read(tmp_path / "p.ply")
    stands_right(splats.means, splats.colours)
    assert np.asarray(Image.open(io.BytesIO(files["preview.png"]))).ndim == 3
    assert {entry.date_time for entry in zipfile.ZipFile(tmp_path / "run.zip").infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_zip_of_a_run_that_stopped_early(bundle: Bundle, tmp_path: Path) -> None:
    early = dataclasses.replace(bundle, splats=None, mesh=None, turntable=None, body=None)
    export(early, "zip", tmp_path / "early.zip")
    names = set(zipfile.ZipFile(tmp_path / "early.zip").namelist())
    assert {"inputs/photo.png", "run.json", "README.txt"} <= names and "person.ply" not in names
    with pytest.raises(UserError, match="nothing to pack"):
        export(Bundle(), "zip", tmp_path / "none.zip")


def test_zip_is_the_same_every_time(bundle: Bundle, tmp_path: Path) -> None:
    small = dataclasses.replace(bundle, turntable=None, mesh=None)
    for name in ("a", "b"):
        export(small, "zip", tmp_path / f"{name}.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_licences_are_found_where_the_program_lies(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        licences.licence_files(tmp_path)
    (tmp_path / "assets" / "body").mkdir(parents=True)
    (tmp_path / "LICENSE").write_text("mine")
    (tmp_path / "assets" / "body" / "LICENSE-CC0.md").write_text("theirs")
    assert licences.licence_files(tmp_path) == {
        "LICENSES/LICENSE": b"mine", "LICENSES/assets/body/LICENSE-CC0.md": b"theirs",
    }  # fmt: skip


def test_an_obj_never_takes_the_place_of_somebody_elses_file(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "me.mtl").write_text("mine")
    with pytest.raises(UserError, match=r"me\.mtl beside it"):
        export(bundle, "obj", tmp_path / "me.obj")
    assert (tmp_path / "me.mtl").read_text() == "mine" and not (tmp_path / "me.obj").exists()
    export(bundle, "obj", tmp_path / "you.obj")
    export(bundle, "obj", tmp_path / "you.obj")
