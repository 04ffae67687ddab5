"""`--system views` as a stranger meets it: the example's files, the body in its surface, going on, and refusals."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app import main
from pipelines.body.read_body import body_vertices
from pipelines.export.ply import read as read_ply
from pipelines.geometry.mesh_raster import rasterise_mesh
from pipelines.records import Body
from pipelines.store import load_record
from pipelines.views.records import Shape

EXAMPLE = Path(__file__).resolve().parent.parent / "assets" / "examples" / "views"
SMALL = {
    "hull.voxel": 24, "surface.resolution": 128, "surface.voxel": 14, "surface.faces": 8000, "surface.rounds": 2,
    "consistency.leave_out": "no", "mesh.texture": 512, "splats.count": 9000, "turntable.frames": 2, "turntable.size": 64,
}  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a run of the example ended in; its store is beside it."""
    home = tmp_path_factory.mktemp("views")
    words = ["run", "--system", "views", "--from", str(EXAMPLE), "--out", str(home / "out"), "--runs", str(home / "s")]
    for name, value in SMALL.items():
        words += ["--set", f"{name}={value}"]
    assert main(words) == 0
    return home / "out"


def test_the_folder_holds_what_a_photo_would_give(done: Path) -> None:
    names = {p.name for p in done.iterdir()}
    assert names == {"run.json", "photo.png", "cutout.png", "body.npz", "splats.ply", "mesh.glb", "preview.png",
                     "turntable.mp4", "steps"}  # fmt: skip
    run = json.loads((done / "run.json").read_text())
    assert run["state"] == "done" and run["system"] == "views" and run["photo_name"] == "views"
    assert Image.open(done / "photo.png").size == (run["camera"]["width"], run["camera"]["height"])


def test_body_surface_splats_and_picture_lie_on_one_another(done: Path) -> None:
    body, shape = Body.load(done / "steps" / "views.body"), Shape.load(done / "steps" / "surface")
    assert (done / "body.npz").read_bytes() == (done / "steps" / "views.body" / "body.npz").read_bytes()
    vertices, faces = body_vertices(body)
    low, high = shape.vertices.min(0), shape.vertices.max(0)
    assert (vertices.min(0) > low - 0.05).all() and (vertices.max(0) < high + 0.05).all()
    assert np.ptp(vertices[:, 1]) > 0.9 * (high[1] - low[1])
    skin, cloth = (
        rasterise_mesh(vertices, faces, body.camera).mask,
        rasterise_mesh(shape.vertices, shape.faces, body.camera).mask,
    )
    assert (skin & cloth).sum() / skin.sum() > 0.97 and (skin & cloth).sum() / cloth.sum() > 0.6
    alpha = np.asarray(Image.open(done / "cutout.png"))[..., 3] > 127
    assert (alpha & cloth).sum() / (alpha | cloth).sum() > 0.93
    means = read_ply(done / "splats.ply").means
    assert abs(means[:, 1].min()) < 0.05 and 1.5 < np.ptp(means[:, 1]) < 1.8
    assert float(body["surface_mm"]) < 30.0 and float(body["outside_surface"]) < 0.1


def test_the_command_that_is_shown_makes_the_run_again(done: Path) -> None:
    from pipelines.output import command_of
    from pipelines.run import Run

    words = shlex.split(command_of(Run.load(done)))
    assert words[:7] == ["python", "app.py", "run", "--from", "views", "--system", "views"]
    assert "surface.voxel=14" in words


def test_going_on_reuses_the_surface_and_a_body_by_hand_takes_the_place(done: Path, tmp_path: Path) -> None:
    words = ["run", "--from", str(done), "--set", "views.body.rounds=3", "--out", str(tmp_path / "o"), "--json",
             "--runs", str(tmp_path / "elsewhere")]  # fmt: skip
    assert main(words) == 0
    states = {s["name"]: s["state"] for s in json.loads((tmp_path / "o" / "run.json").read_text())["steps"]}
    assert states.pop("views.body") in ("done", "warning") and set(states.values()) <= {"reused"}
    words = ["run", "--from", str(done), "--replace", f"views.body={done / 'steps' / 'body.fit' / 'body.npz'}", "--out",
             str(tmp_path / "p"), "--runs", str(tmp_path / "elsewhere")]  # fmt: skip
    assert main(words) == 0
    first, other = (load_record(p) for p in (done / "steps" / "body.fit", tmp_path / "p" / "steps" / "views.body"))
    assert isinstance(first, Body) and isinstance(other, Body)
    assert np.array_equal(first["rotations"], other["rotations"])


@pytest.mark.parametrize(
    ("format", "name"), [("glb", "a.glb"), ("npz", "a.npz"), ("viser", "a.viser"), ("zip", "a.zip")]
)
def test_every_kind_of_file_leaves(done: Path, tmp_path: Path, format: str, name: str) -> None:
    assert main(["export", str(done), "--format", format, "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / name).stat().st_size > 1000


def test_what_does_not_fit_is_refused_with_a_sentence(
    done: Path, example_photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: object) -> str:
        line = [str(w) for w in ("run", *words, "--out", tmp_path / "none", "--runs", tmp_path / "s")]
        assert main(line) == 2 and not (tmp_path / "none").exists()
        return capsys.readouterr().err

    assert "not from a photo" in refused(example_photo, "--system", "views")
    assert "needs --from" in refused("--system", "views")
    assert "need --system views" in refused("--from", EXAMPLE, "--system", "projection")
    assert "need --system views" in refused("--from", EXAMPLE)
    shutil.make_archive(str(tmp_path / "pictures"), "zip", EXAMPLE)
    assert "need --system views" in refused("--from", tmp_path / "pictures.zip")
    assert "no folder or ZIP" in refused("--from", tmp_path / "nowhere", "--system", "views")
    assert "no folder or ZIP" in refused("--from", example_photo, "--system", "views")
    (tmp_path / "empty").mkdir()
    assert "holds no" in refused("--from", tmp_path / "empty", "--system", "views")
