"""The command line as a stranger meets it: files, exit codes, sentences."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app import main
from pipelines.geometry.cameras import Camera
from tests.test_photo import REFUSED

ROOT = Path(__file__).resolve().parent.parent
FILES = {"run.json", "photo.png", "cutout.png", "body.npz", "splats.ply", "mesh.glb", "preview.png", "turntable.mp4"}


def humanscope(*words: object, store: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run app.py with a store of its own."""
    line = [sys.executable, "app.py", *map(str, words)]
    env = {**os.environ, "HUMANSCOPE_HOME": str(store), **environment}
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, env=env)


def test_the_output_folder_holds_everything(finished_out: Path) -> None:
    assert {p.name for p in finished_out.iterdir()} == FILES | {"steps"}
    run = json.loads((finished_out / "run.json").read_text())
    assert run["system"] == "projection" and run["state"] == "done"
    assert all(s["state"] in ("done", "warning") and s["peak_rss_mb"] for s in run["steps"])
    photo, cutout = (Image.open(finished_out / n) for n in ("photo.png", "cutout.png"))
    assert photo.size == cutout.size == (run["camera"]["width"], run["camera"]["height"]) and cutout.mode == "RGBA"
    assert not list(finished_out.parent.glob(".*part"))


def test_the_cameras_frame_is_that_of_the_exported_files(finished_out: Path) -> None:
    """Splats of the PLY, projected by run.json's camera, fall on the cut-out."""
    from pipelines.export.ply import read

    camera = Camera.from_json(json.loads((finished_out / "run.json").read_text())["camera"])
    alpha = np.asarray(Image.open(finished_out / "cutout.png"))[..., 3] > 127
    splats = read(finished_out / "splats.ply")
    pixels = np.floor(camera.project(splats.means)[0]).astype(int)
    inside = ((pixels >= 0) & (pixels < [camera.width, camera.height])).all(1)
    hits = alpha[pixels[inside, 1], pixels[inside, 0]]
    assert inside.mean() > 0.98 and hits.mean() > 0.95
    assert splats.means[:, 1].min() > -0.15, "the ground is at y = 0"


@pytest.mark.parametrize("what", ["splats", "mesh", "body"])
def test_render_lies_over_the_photo(finished_out: Path, tmp_path: Path, what: str) -> None:
    size = max(Image.open(finished_out / "photo.png").size)
    out = tmp_path / "view.png"
    done = humanscope("render", finished_out, "--what", what, "--view", "photo", "--size", size, "--out", out,
                      store=tmp_path / "s")  # fmt: skip
    assert done.returncode == 0, done.stderr
    view, cutout = (
        np.asarray(Image.open(p).convert("RGBA"), np.float32) / 255 for p in (out, finished_out / "cutout.png")
    )
    assert view.shape == cutout.shape
    a, b = view[..., 3] > 0.5, cutout[..., 3] > 0.5
    overlap = (a & b).sum() / (a | b).sum()
    assert overlap > {"splats": 0.95, "mesh": 0.93, "body": 0.6}[what]


def test_azimuth_0_is_the_photos_view_and_90_is_not(finished_out: Path, tmp_path: Path) -> None:
    pictures = []
    for azimuth in (0, 90, 360):
        out = tmp_path / f"{azimuth}.png"
        done = humanscope("render", finished_out, "--azimuth", azimuth, "--size", 200, "--out", out, "--json",
                          store=tmp_path / "s")  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["camera"]["width"] == 200
        pictures.append(np.asarray(Image.open(out), np.float32))
    assert pictures[0].shape == (200, 200, 4)
    assert np.abs(pictures[0] - pictures[2]).mean() < 0.5 < np.abs(pictures[0] - pictures[1]).mean()


def test_inspect_says_what_happened(finished_out: Path, tmp_path: Path) -> None:
    text = humanscope("inspect", finished_out, store=tmp_path).stdout
    assert "body.fit" in text and "projection" in text
    data = json.loads(humanscope("inspect", finished_out, "--json", store=tmp_path).stdout)
    assert len(data["steps"]) == 10


def test_going_on_from_a_moved_folder_reuses_what_is_before_the_change(finished_out: Path, tmp_path: Path) -> None:
    done = humanscope("run", "--from", finished_out, "--set", "splats.count=30000", "--until", "splats",
                      "--out", tmp_path / "o", "--json", store=tmp_path / "elsewhere")  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    states = [s["state"] for s in data["steps"]]
    assert states[:7] == ["reused"] * 7 and states[7] in ("done", "warning") and set(states[8:]) == {"waiting"}
    assert "mesh.glb" not in data["files"] and "splats.ply" in data["files"]


def test_a_mask_by_hand_replaces_the_cut_out(finished_out: Path, example_photo: Path, tmp_path: Path) -> None:
    alpha = np.asarray(Image.open(finished_out / "cutout.png"))[..., 3].copy()
    rows = np.flatnonzero((alpha > 127).any(1))
    alpha[: rows[0] + (rows[-1] - rows[0]) // 12] = 0
    Image.fromarray(alpha).save(tmp_path / "mask.png")
    done = humanscope("run", example_photo, "--replace", f"matte={tmp_path / 'mask.png'}", "--until", "matte",
                      "--out", tmp_path / "o", store=tmp_path / "s")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert np.array_equal(np.asarray(Image.open(tmp_path / "o" / "cutout.png"))[..., 3], alpha)
    Image.fromarray(alpha[:50]).save(tmp_path / "small.png")
    done = humanscope("run", example_photo, "--replace", f"matte={tmp_path / 'small.png'}", "--until", "matte",
                      "--out", tmp_path / "p", store=tmp_path / "s")  # fmt: skip
    assert done.returncode == 2 and "same size" in done.stderr and not (tmp_path / "p").exists()


def test_an_artefact_edited_in_the_folder_counts_as_edited_and_poisons_no_store(
    finished_out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished_out, tmp_path / "hand")
    place = tmp_path / "hand" / "steps" / "keypoints" / "keypoints.json"
    data = json.loads(place.read_text())
    before = data["body"][15][0]
    data["body"][15][0] = before + 20.0
    place.write_text(json.dumps(data))
    for name, source in (("hand", tmp_path / "hand"), ("plain", finished_out)):
        words = [
            "run",
            "--from",
            source,
            "--until",
            "keypoints",
            "--out",
            tmp_path / f"{name}-out",
            "--runs",
            tmp_path / "s",
        ]
        assert main([str(w) for w in words]) == 0, capsys.readouterr().err
        came = json.loads((tmp_path / f"{name}-out" / "steps" / "keypoints" / "keypoints.json").read_text())
        assert came["body"][15][0] == pytest.approx(before + (20.0 if name == "hand" else 0.0))
        run = json.loads((tmp_path / f"{name}-out" / "run.json").read_text())
        assert [s["replaced"] for s in run["steps"] if s["name"] == "keypoints"] == [name == "hand"]


def test_a_second_run_into_a_folder_leaves_nothing_of_the_first_and_all_that_is_not_a_runs(
    finished_out: Path, example_photo: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished_out, tmp_path / "o")
    (tmp_path / "o" / "notes.txt").write_text("mine")
    words = ["run", example_photo, "--until", "matte", "--out", tmp_path / "o", "--runs", tmp_path / "s"]
    assert main([str(w) for w in words]) == 0
    assert {p.name for p in (tmp_path / "o").iterdir()} == {"run.json", "photo.png", "cutout.png", "steps", "notes.txt"}


@pytest.mark.parametrize(("name", "sentence"), [("rotations", "20 bones"), ("root_translation", "not finite")])
def test_a_body_that_no_step_can_use_is_refused(
    finished_out: Path,
    example_photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    sentence: str,
) -> None:
    with np.load(finished_out / "body.npz", allow_pickle=False) as file:
        body = dict(file)
    body[name] = body[name][:20] if name == "rotations" else body[name] * np.nan
    np.savez(tmp_path / "body.npz", **body)
    words = ["run", example_photo, "--replace", f"body.fit={tmp_path / 'body.npz'}", "--out", tmp_path / "o"]
    assert main([str(w) for w in [*words, "--runs", tmp_path / "s"]]) == 2
    assert sentence in capsys.readouterr().err and not (tmp_path / "o").exists()


@pytest.mark.parametrize("form", ["opaque RGBA", "16 bit", "float", "transparency"])
def test_a_mask_is_read_in_whatever_way_an_editor_saves_it(form: str) -> None:
    from pipelines.replace import mask_of

    wanted = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (8, 1))
    grey = np.round(wanted * 255).astype(np.uint8)
    image = {
        "opaque RGBA": lambda: Image.fromarray(np.dstack([grey] * 3 + [np.full_like(grey, 255)])),
        "16 bit": lambda: Image.fromarray(np.round(wanted * 65535).astype(np.uint16)),
        "float": lambda: Image.fromarray(wanted),
        "transparency": lambda: Image.fromarray(np.dstack([np.zeros_like(grey)] * 3 + [grey])),
    }[form]()
    assert np.abs(mask_of(image) - wanted).max() < 0.005


def bad_lines(photo: Path, folder: Path) -> dict[str, tuple[list[object], int, str]]:
    """Command line, exit code, words of the sentence."""
    text = folder / "text.jpg"
    text.write_text("I am a text")
    empty = folder / "empty-room.png"
    Image.fromarray((np.random.default_rng(0).random((300, 200, 3)) * 40 + 100).astype(np.uint8)).save(empty)
    (folder / "file").write_text("x")
    bad = folder / "weights.npz"
    bad.write_bytes(b"no")
    strange, damaged = folder / "strange", folder / "damaged"
    strange.mkdir()
    (strange / "photo.png").write_bytes(b"mine")
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    out = folder / "out"
    return {
        "no photo": (["run"], 2, "No photo came"),
        "no file": (["run", folder / "x.jpg", "--out", out], 2, "There is no file"),
        "not an image": (["run", text, "--out", out], 2, "not a picture"),
        "nobody": (["run", empty, "--out", out], 2, "Nobody was found"),
        "unknown parameter": (["run", photo, "--out", out, "--set", "matte.x=1"], 2, "no parameter 'x'"),
        "unknown step": (["run", photo, "--out", out, "--set", "x.y=1"], 2, "no step 'x'"),
        "out of range": (["run", photo, "--out", out, "--set", "matte.threshold=7"], 2, "between 0.05 and 0.95"),
        "no equals": (["run", photo, "--out", out, "--set", "matte.threshold"], 2, "step.param=value"),
        "until nothing": (["run", photo, "--out", out, "--until", "x"], 2, "no step 'x'"),
        "output is a file": (["run", photo, "--out", folder / "file"], 2, "which is a file"),
        "output below a file": (["run", photo, "--out", folder / "file" / "o"], 2, "a file of that name is in the way"),
        "unknown role": (["run", photo, "--out", out, "--weights", "x=y"], 2, "no weight role 'x'"),
        "missing weights": (["run", photo, "--out", out, "--weights", "landmarks=nowhere"], 2, "no such file"),
        "wrong weights": (["run", photo, "--out", out, "--weights", f"landmarks={bad}"], 2, "needs a folder"),
        "unused weights": (
            ["run", photo, "--out", out, "--weights", f"smplx={bad}"],
            2,
            "no step of this system uses it",
        ),
        "one body model": (["run", photo, "--out", out, "--weights", f"body={bad}"], 2, "--replace body.fit"),
        "wrong role": (["run", photo, "--out", out, "--weights", "body"], 2, "ROLE=PATH"),
        "replace nothing": (["run", photo, "--out", out, "--replace", "matte=nowhere.png"], 2, "no such file"),
        "replace with text": (["run", photo, "--out", out, "--replace", f"keypoints={text}"], 2, "keypoints.json"),
        "which person": (["run", photo, "--out", out, "--set", "person.which=5"], 2, "choose 0 to 0"),
        "strange folder": (["run", photo, "--out", strange], 2, "holds files that are no run"),
        "negative seed": (["run", photo, "--out", out, "--seed", "-1"], 2, "whole number from 0"),
        "damaged run": (["inspect", damaged], 2, "is damaged"),
        "picture as jpeg": (["render", damaged, "--out", folder / "a.jpg"], 2, "written as .png"),
        "azimuth nan": (["render", damaged, "--azimuth", "nan", "--out", folder / "a.png"], 2, "needs degrees"),
        "two views": (
            ["render", damaged, "--view", "photo", "--azimuth", "9", "--out", folder / "a.png"],
            2,
            "give one of them",
        ),
        "not a run": (["render", folder, "--out", folder / "a.png"], 2, "is not a run"),
        "unknown run": (["inspect", "abc"], 2, "is not a run"),
        "check nothing": (["weights", "check", "nowhere"], 2, "no file"),
        "check text": (["weights", "check", text], 2, "fits no known role"),
    }


def test_bad_input_is_one_sentence_an_exit_code_and_nothing_half_written(
    example_photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pytest -s` prints the table."""
    monkeypatch.setenv("HUMANSCOPE_HOME", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    table = bad_lines(example_photo, tmp_path)
    for name, (data, words) in REFUSED.items():
        (tmp_path / name).write_bytes(data)
        table[f"photo: {name}"] = (["run", tmp_path / name, "--out", tmp_path / "out"], 2, words)
    rows = []
    for name, (words, code, sentence) in table.items():
        before = sorted(p.name for p in tmp_path.iterdir() if p.name != "store")
        came = main([str(w) for w in words])
        output = capsys.readouterr()
        assert came == code, f"{name}: {output.err}"
        last = output.err.strip().splitlines()[-1]
        assert sentence in last and last.startswith("humanscope: "), f"{name}: {last}"
        assert "Traceback" not in output.err
        assert sorted(p.name for p in tmp_path.iterdir() if p.name != "store") == before, name
        rows.append(f"| {name} | {came} | {last.removeprefix('humanscope: ').replace(str(tmp_path), 'FOLDER')} |")
    assert list((tmp_path / "store" / "tmp").iterdir()) == []
    print("\n".join(["", "| input | exit | sentence |", *rows]))


def test_a_bad_photo_ends_the_process_with_code_2(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("I am a text")
    done = humanscope("run", tmp_path / "text.jpg", "--out", tmp_path / "out", store=tmp_path / "store")
    assert done.returncode == 2 and "not a picture" in done.stderr and "Traceback" not in done.stderr


def test_a_missing_gpu_is_said(example_photo: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    done = humanscope("run", example_photo, "--out", tmp_path / "o", "--device", "cuda", store=tmp_path / "s")
    assert done.returncode == 3 and "--device cpu" in done.stderr


def test_json_mode_is_one_document_also_for_errors(example_photo: Path, tmp_path: Path) -> None:
    done = humanscope("run", tmp_path / "x.jpg", "--json", store=tmp_path / "s")
    assert done.returncode == 2 and "no file" in json.loads(done.stdout)["error"]
    done = humanscope("run", example_photo, "--until", "photo", "--json", store=tmp_path / "s")
    assert json.loads(done.stdout)["steps"][0]["state"] == "done"


def test_doctor_and_weights_answer(tmp_path: Path) -> None:
    done = humanscope("doctor", "--json", store=tmp_path)
    findings = {f["name"]: f["state"] for f in json.loads(done.stdout)}
    assert done.returncode == 0 and findings["landmarks"] == findings["body"] == "ok"
    rows = {r["role"]: r for r in json.loads(humanscope("weights", "list", "--json", store=tmp_path).stdout)}
    assert rows["landmarks"]["here"] and rows["landmarks"]["licence"] == "Apache-2.0"
    assert not rows["smplx"]["here"] and "Register" in rows["smplx"]["how_to_get"]
    assert "nothing was fetched" in humanscope("weights", "fetch", store=tmp_path).stdout


def test_ctrl_c_cancels_and_leaves_nothing(example_photo: Path, tmp_path: Path) -> None:
    import signal

    env = {**os.environ, "HUMANSCOPE_HOME": str(tmp_path / "s")}
    line = [sys.executable, "app.py", "run", str(example_photo), "--out", str(tmp_path / "o")]
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=env)
    assert process.stderr is not None
    for text in process.stderr:
        if "keypoints" in text:
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    assert process.wait(60) == 130 and "cancelled" in rest
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
