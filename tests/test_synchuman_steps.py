"""The steps of SyncHuman as a user meets them, on the stand-in preset: labels, files, edits, missing weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from pipelines.export.bundle import STAND_IN  # noqa: E402
from pipelines.export.table import EXPORTS, export  # noqa: E402
from pipelines.output import open_bundle  # noqa: E402
from pipelines.photo import read_upload  # noqa: E402
from pipelines.records import Mesh, Splats  # noqa: E402
from pipelines.run import Executor, Run, create_run  # noqa: E402
from pipelines.step import Event, MissingNeed  # noqa: E402
from pipelines.store import Store, load_record  # noqa: E402
from pipelines.synchuman.records import TenPictures  # noqa: E402
from pipelines.systems import SYSTEMS, find_system, offered, with_preset  # noqa: E402
from tests.synchuman_run import RECIPE, STEPS, made  # noqa: E402

pytest_plugins = ("tests.synchuman_run",)
ROOT = Path(__file__).resolve().parent.parent


def test_the_run_is_whole_labelled_and_of_the_persons_size(whole: tuple[Run, Store, list[Event]]) -> None:
    run, _, events = whole
    assert run.state == "done" and run.preset == "tiny"
    spoken = {w["step"] for w in run.warnings if "stand-in" in w["text"]}
    assert spoken == {f"synchuman.{n}" for n in ("joint", "views", "voxels", "slat", "splats", "surface")}
    for name in ("joint", "views", "voxels", "slat", "surface", "clean"):
        assert made(whole, f"synchuman.{name}").facts["stand_in"] is True
    for name in ("joint", "slat"):
        shown = [e for e in events if e.step == f"synchuman.{name}" and e.image is not None]
        assert len(shown) == STEPS[f"synchuman.{name}"].params().steps, "one picture of the estimate for every step"
    body, mesh, splats = (made(whole, n) for n in ("body.fit", "synchuman.texture", "synchuman.splats"))
    assert isinstance(mesh, Mesh) and isinstance(splats, Splats)
    tall = np.ptp(body["joints_cam"][:, 1]) / np.ptp(mesh.vertices[:, 1])
    assert 0.8 < tall < 1.0, "joints lie inside a mesh of the same height"
    assert abs(mesh.vertices[:, 1].min()) < 0.08, "on the ground, but for half a coarse voxel"
    assert (np.unique(splats.seen) == [0, 2]).all()


def test_exports_say_that_a_stand_in_made_them(whole: tuple[Run, Store, list[Event]], tmp_path: Path) -> None:
    run, store, _ = whole
    bundle = open_bundle(run, store)
    for form in ("ply", "glb", "obj", "npz", "splat", "spz", "html", "viser"):
        path = tmp_path / f"person{EXPORTS[form].suffix}"
        assert STAND_IN in export(bundle, form, path) and path.stat().st_size > 1000
        if form in ("ply", "glb", "obj"):
            assert STAND_IN.encode() in path.read_bytes()[:2_000_000]
    assert "--system synchuman-tiny" in bundle.command


def test_the_pictures_open_as_views_made_elsewhere(whole: tuple[Run, Store, list[Event]]) -> None:
    from pipelines.views.readers import READERS

    folder = whole[1].folder(whole[0].step("synchuman.views").content or "")
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert READERS["synchuman"].recognises(files)
    record = load_record(folder)
    assert isinstance(record, TenPictures) and record.colours.dtype == np.uint8


def test_only_the_released_system_is_offered() -> None:
    assert "synchuman" in offered() and "synchuman-tiny" not in offered()
    assert with_preset("synchuman", "tiny") == "synchuman-tiny" and "synchuman-tiny" in SYSTEMS
    released = find_system("synchuman")
    first = {"body.maps", "layers", "splats.first"}  # something to look at until the networks are done
    names = [s.name for s in released.steps]
    assert released.preset == "released" and first <= set(names)
    assert [n for n in names if n not in first] == [s.name for s in RECIPE.steps]
    roles = {role for step in released.steps for role in step.weights if role.startswith("synchuman")}
    assert roles == {"synchuman.stage1", "synchuman.stage2", "synchuman.tokens", "synchuman.prompts"}
    assert not any(role.startswith("synchuman") for step in RECIPE.steps for role in step.weights)


SENTENCE = ("5.0 GB", "none stated", "Apache-2.0", "weights fetch synchuman", "--system views")


def test_without_weights_the_command_line_says_what_is_missing(example_photo: Path, tmp_path: Path) -> None:
    env = {**os.environ, "HUMANSCOPE_HOME": str(tmp_path / "home")}
    words = [
        sys.executable,
        "app.py",
        "run",
        str(example_photo),
        "--system",
        "synchuman",
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run([*words, "--json"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert all(part in json.loads(done.stdout)["error"] for part in SENTENCE)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*")), "nothing half written"


def test_without_weights_the_page_says_the_same(
    example_photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker ends such a run as 'missing' with the sentence; what needs no weights is done."""
    monkeypatch.setenv("HUMANSCOPE_HOME", str(tmp_path / "home"))
    from pipelines.worker import Job, work_on

    store, upload = Store(tmp_path / "store"), read_upload(example_photo)
    run = create_run(store.root / "runs" / "a", upload, "synchuman")
    (run.folder / "upload.bin").write_bytes(upload.data)
    work_on(Job(str(run.folder)), store)
    after = Run.load(run.folder)
    assert after.state == "missing" and all(part in after.message for part in SENTENCE)
    assert after.step("synchuman.joint").state == "missing" and after.step("synchuman.frame").state == "done"
    with pytest.raises(MissingNeed):
        Executor(after, store, upload).execute()


def test_a_run_that_ends_early_is_delivered(
    whole: tuple[Run, Store, list[Event]], example_photo: Path, tmp_path: Path
) -> None:
    from pipelines.output import OutFolder, deliver

    upload = read_upload(example_photo)
    run = create_run(tmp_path / "run", upload, "synchuman-tiny", seed=5)
    Executor(run, whole[1], upload).execute("synchuman.frame")
    assert {s.state for s in run.steps if s.name.startswith("synchuman")} == {"reused", "waiting"}
    out = OutFolder(tmp_path / "out")
    assert "body.npz" in deliver(run, whole[1], out), "the photo's body, the one in the surface is not made yet"
    out.finish()
    assert (tmp_path / "out" / "steps" / "synchuman.frame" / "canvas.png").is_file()


def test_a_view_replaced_by_hand_is_gone_on_with(
    whole: tuple[Run, Store, list[Event]], example_photo: Path, tmp_path: Path
) -> None:
    _, store, _ = whole
    pictures: TenPictures = made(whole, "synchuman.views")
    colours = pictures.colours.copy()
    colours[2] = 255 - colours[2]
    with store.hold() as hold:
        content = store.add(replace(pictures, colours=colours), hold)
        upload = read_upload(example_photo)
        run = create_run(tmp_path / "run", upload, "synchuman-tiny", seed=5, replaced={"synchuman.views": content})
        Executor(run, store, upload).execute("synchuman.splats")
    assert run.step("synchuman.joint").state == "reused" and run.step("synchuman.views").replaced
    before, after = made(whole, "synchuman.splats"), store.load(run.step("synchuman.splats").content or "")
    assert isinstance(after, Splats)
    # The latents are told by the photo alone; the decoders look at the pictures.
    assert run.step("synchuman.slat").content == whole[0].step("synchuman.slat").content
    assert len(before) != len(after) or np.abs(before.colours - after.colours).max() > 0.05
