"""The page's routes, limits and edits, without a browser: tokens, whitelist, headers, deletion, hand-made records."""

from __future__ import annotations

import base64
import importlib
import io
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.export.table import EXPORTS
from pipelines.records import RECORDS, Cutout, Keypoints, Photo, Upload
from pipelines.run import Executor, Run, create_run, hash_bytes
from pipelines.step import UserError
from pipelines.store import Store
from pipelines.systems import SYSTEMS, find_system
from tests.browser import ROOT, Server, photo_bytes, prepare_runs, read_run
from ui import desk_jobs
from ui.downloads import FORMATS
from ui.edit_keypoints import moved
from ui.edit_matte import painted, read_strokes
from ui.plates import COMMON, VIEWS, plates
from ui.run_reader import RunReader
from ui.session import PUBLIC, Limits, Session, new_token


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of prepared runs with one in it."""
    return prepare_runs(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[Server]:
    """A server that knows one prepared run; small uploads only."""
    store = tmp_path_factory.mktemp("routes") / "store"
    running = Server(store, HUMANSCOPE_EXAMPLES=str(prepared), HUMANSCOPE_UPLOAD_MB="0.25")
    try:
        running.wait()
        yield running
    finally:
        running.stop()


def ask(server: Server, path: str, data: bytes | None = None) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of one request."""
    request = urllib.request.Request(server.url + path, data=data, method="POST" if data is not None else "GET")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read(), {k.lower(): v for k, v in answer.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, error.read(), {k.lower(): v for k, v in error.headers.items()}


@pytest.fixture(scope="module")
def finished(server: Server) -> tuple[str, str]:
    """Token and name of a run made through the public API."""
    from gradio_client import Client, handle_file

    client = Client(server.url, verbose=False)
    photo = server.store.parent / "api photo.png"
    photo.write_bytes(photo_bytes(201))
    answer = client.predict(photo=handle_file(str(photo)), system="fake", seed=3, api_name="/reconstruct")
    assert answer["state"] == "done" and answer["seed"] == 3
    assert all(s["state"] in ("done", "reused") for s in answer["steps"])
    return answer["token"], answer["run"]


def test_only_one_function_is_public(server: Server) -> None:
    status, body, _ = ask(server, "gradio_api/info")
    assert status == 200
    assert list(json.loads(body)["named_endpoints"]) == ["/reconstruct"]


def test_files_need_the_token_and_a_listed_name(server: Server, finished: tuple[str, str]) -> None:
    token, run = finished
    good = f"files/{token}/{run}/photo/photo.webp"
    status, body, headers = ask(server, good)
    assert status == 200 and body[8:12] == b"WEBP" and "no-store" in headers["cache-control"]
    content = next(s["content"] for s in read_run(server.store / "runs" / run)["steps"] if s["name"] == "photo")[:12]
    assert "immutable" in ask(server, f"{good}?c={content}")[2]["cache-control"]
    other = new_token()
    refused = [
        good.replace(token, other), good.replace(token, PUBLIC), good.replace(run, other), good.replace(token, "x"),
        good.replace("photo.webp", "photo.png"), good.replace("photo.webp", "run.json"),
        f"files/{token}/{run}/photo/..%2F..%2Frun.json", f"files/{token}/{run}/nothing/photo.webp",
        f"files/{token}/..%2F..%2Fruns/photo/photo.webp", f"files/{token}/{run}/matte/photo.webp",
        f"files/{token}/{run}/export/pkl", f"files/{other}/{run}/export/zip", f"files/{token}/{run}/run.json",
    ]  # fmt: skip
    answers = {path: ask(server, path) for path in refused}
    assert {path: a[0] for path, a in answers.items() if a[0] != 404} == {}
    # Whether the run exists must not show.
    assert answers[refused[0]][1] == answers[refused[2]][1]


def test_gradio_hands_out_no_file_of_a_run(server: Server, finished: tuple[str, str]) -> None:
    path = server.store / "runs" / finished[1] / "run.json"
    assert path.exists()
    assert ask(server, f"gradio_api/file={path}")[0] in (403, 404)
    assert ask(server, f"gradio_api/file={ROOT / 'pyproject.toml'}")[0] in (403, 404)


def test_step_files_and_missing_export_parts(server: Server, finished: tuple[str, str]) -> None:
    token, run = finished
    status, body, _ = ask(server, f"files/{token}/{run}/matte/artefact.zip")
    assert status == 200 and body.startswith(b"PK")
    status, body, _ = ask(server, f"files/{token}/{run}/export/glb?prepare=1")
    assert status == 409 and "no mesh" in json.loads(body)["detail"]


def test_every_format_leaves_from_a_prepared_run(server: Server, prepared: Path) -> None:
    starts = {"glb": b"glTF", "ply": b"ply\n", "obj": b"PK", "zip": b"PK", "npz": b"PK", "html": b"<", "preview": b"\x89PNG",
              "webp": b"RIFF"}  # fmt: skip
    for name in FORMATS:
        status, body, headers = ask(server, f"files/{PUBLIC}/box_person/export/{name}")
        assert status == 200 and len(body) > 200, name
        assert body.startswith(starts.get(name, b"")), name
        assert "attachment" in headers["content-disposition"]
        if name == "obj":  # whole: what the object names is in the archive
            archive = zipfile.ZipFile(io.BytesIO(body))
            material = archive.read(next(n for n in archive.namelist() if n.endswith(".mtl"))).decode()
            assert material.split("map_Kd ")[1].strip() in archive.namelist() and len(archive.namelist()) == 3
    assert ask(server, f"files/{PUBLIC}/box_person/turntable/frames.webp")[0] == 200
    # The prepared folder itself is only read.
    assert not (prepared / "box_person" / "view").exists()


def test_uploads_are_limited(server: Server) -> None:
    token = new_token()
    assert ask(server, f"photo/{token}", b"x" * 300_000)[0] == 413
    assert ask(server, f"photo/{token}", b"")[0] == 400
    assert ask(server, "photo/nobody", b"abc")[0] == 404
    status, body, _ = ask(server, f"photo/{token}?name=..%2Fa.png", b"abc")
    number = json.loads(body)["upload"]
    assert status == 200 and (server.store / "uploads" / number).read_bytes() == b"abc"


def test_headers_keep_other_hosts_out(server: Server) -> None:
    for path in ("", "play/", "style/main.js"):
        status, _, headers = ask(server, path)
        assert status == 200, path
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'self'" in policy
        assert headers["referrer-policy"] == "no-referrer" and headers["x-content-type-options"] == "nosniff"
    assert ask(server, "style/..%2F..%2Fapp.py")[0] == 404
    assert ask(server, "docs")[0] == 404


def test_page_names_no_other_host_and_keeps_no_history(server: Server) -> None:
    body = ask(server, "")[1].decode()
    assert "fonts.googleapis" not in body and "cdnjs" not in body
    config = json.loads(ask(server, "config")[1])
    assert config["analytics_enabled"] is False
    assert config.get("run_history") in (False, None)
    assert ask(server, "gradio_api/runs")[0] != 200


def test_system_cards(server: Server) -> None:
    card = json.loads(ask(server, "systems/fake.json")[1])
    slow = next(s for s in card["steps"] if s["name"] == "slow")
    assert slow["after"] == ["last.step"] and slow["knobs"][0]["name"] == "iterations"
    assert ask(server, "systems/nothing.json")[0] == 404


def test_the_pages_process_stays_light() -> None:
    code = (
        "import sys, tempfile; from pathlib import Path; from ui.server import create_app; "
        "create_app(Path(tempfile.mkdtemp()) / 'store'); "
        "print([m for m in ('torch', 'numba', 'cv2', 'viser', 'trimesh', 'scipy', 'skimage') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr


def test_an_old_prepared_run_is_shown_and_one_that_cannot_be_read_is_left_out(store: Store, tmp_path: Path) -> None:
    from ui.rail import snapshot

    home = tmp_path / "examples"
    made = make_run(Session(store, home), new_token(), photo_bytes(200))
    data = read_run(made)
    for step in data["steps"]:
        shutil.copytree(store.folder(step["content"]), home / "older" / "steps" / step["name"])
        step["key"] = "0" * 40  # as of steps of another version
    (home / "older" / "run.json").write_text(json.dumps(data))
    (home / "older" / desk_jobs.UPLOAD).write_bytes(photo_bytes(200))
    for name, text in {"newer": json.dumps({**data, "schema": "humanscope.run/99"}), "broken": "{"}.items():
        (home / name).mkdir()
        (home / name / "run.json").write_text(text)
    other = Store(tmp_path / "other")
    session = Session(other, home)
    assert session.example_names() == ["older"]
    assert all(s["state"] == "done" and s["plates"] for s in snapshot(session, PUBLIC, "older")["steps"])
    # Going on from it makes all anew, from the photo that it carries.
    folder = session.runs / new_token()
    desk_jobs.adopt(str(home / "older"), str(folder), str(other.root))
    desk_jobs.change(str(folder), {"slow": {"iterations": 3}}, None)
    upload = Upload((folder / desk_jobs.UPLOAD).read_bytes(), "box.png")
    run = Executor(Run.load(folder), other, upload).execute()
    assert [s.state for s in run.steps] == ["done"] * 4
    assert hash_bytes(upload.data) == run.upload_sha256


def test_a_step_kept_as_pictures_only_says_so(
    prepared: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    from pipelines import systems
    from ui.rail import snapshot

    monkeypatch.setitem(systems.SYSTEMS, "show", "tests.page_system")
    home = store.root / "examples"
    folder = home / "slim"
    shutil.copytree(prepared / "box_person", folder)
    shutil.rmtree(folder / "steps" / "turntable")
    (folder / "page").mkdir()
    (folder / "page" / "kinds.json").write_text(json.dumps({"turntable": "views"}))
    session = Session(store, home)
    shown = {s["name"]: s for s in snapshot(session, PUBLIC, "slim")["steps"]}
    assert shown["turntable"]["record"] == "views" and not shown["turntable"]["kept"] and shown["mesh"]["kept"]
    reader = RunReader(folder, store)
    with pytest.raises(UserError, match="keeps only pictures of 'turntable'"):
        reader.record("turntable")
    assert reader.bundle().turntable is None and reader.bundle().mesh is not None


def test_the_shipped_prepared_run_is_small_and_whole(store: Store) -> None:
    from ui.server import ASSETS

    found = sorted((ASSETS / "examples" / "runs").glob("*/run.json"))
    assert found
    for path in found:
        folder = path.parent
        assert sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) < 6e6
        run = Run.load(folder)
        reader = RunReader(folder, store)
        assert hash_bytes((folder / desk_jobs.UPLOAD).read_bytes()) == run.upload_sha256
        for state in run.steps:
            kind = reader.kind(state.name)
            assert kind is not None, state.name
            if reader.place(state.name) is not None:
                reader.record(state.name)
                continue
            for name in VIEWS[kind]:
                assert (folder / "page" / f"{state.name}-{name}").stat().st_size > 0


def test_first_answer_comes_before_the_worker(tmp_path: Path) -> None:
    running = Server(tmp_path / "store")
    try:
        running.wait("", 30)
        assert json.loads(running.wait("health", 90))["ready"]
    finally:
        running.stop()
    assert running.process.returncode is not None


# ---- without a server --------------------------------------------------------------------------------------------


def test_every_listed_view_has_its_function() -> None:
    for system in SYSTEMS:
        find_system(system)  # kinds of records are known once the system that makes them is
    for kind, views in VIEWS.items():
        assert kind in RECORDS
        for name, view in {**views, **COMMON}.items():
            module, function = view.maker.split(":")
            assert callable(getattr(importlib.import_module(module), function)), (kind, name)
    for kind in VIEWS:
        for plate in plates(kind, lambda name: f"here/{name}", lambda k, name: f"there/{k}/{name}"):
            for value in (
                plate.get("src"),
                plate.get("frames"),
                plate.get("scene"),
                plate.get("data"),
                plate.get("sheet"),
                *(src for _, src in plate.get("sheets", ())),
            ):
                if value and value.startswith("here/"):
                    assert value.removeprefix("here/") in VIEWS[kind], (kind, value)


def test_every_export_has_words() -> None:
    assert set(FORMATS) == set(EXPORTS)


def make_run(session: Session, token: str, data: bytes, system: str = "fake") -> Path:
    """A finished run of a visitor, made in this process."""
    from pipelines.records import Upload

    folder = session.runs / new_token()
    run = create_run(folder, Upload(data, "a.png"), system)
    Executor(run, session.store, Upload(data, "a.png")).execute()
    session.store.pin(run.id, [s.content for s in run.steps if s.content])
    session.claim(folder, token, stepwise=False)
    return folder


def test_deleting_a_run_spares_what_another_uses(store: Store, tmp_path: Path) -> None:
    session = Session(store, tmp_path / "none")
    mine, theirs = new_token(), new_token()
    first, second = make_run(session, mine, photo_bytes(150)), make_run(session, theirs, photo_bytes(150))
    alone = make_run(session, mine, photo_bytes(90))
    kept = {s["content"] for s in read_run(second)["steps"]}
    session.forget(first)
    assert not first.exists() and all(store.has(c) for c in kept)
    session.forget(second)
    assert not any(store.has(c) for c in kept)
    session.forget(alone)
    assert list((store.root / "objects").iterdir()) == [] and list((store.root / "keys").iterdir()) == []


def test_deleting_a_run_deletes_its_unfinished_work(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.records import Upload
    from pipelines.step import Cancelled, Context, Step

    session, token = Session(store, tmp_path / "none"), new_token()
    upload = Upload(photo_bytes(77), "a.png")
    folder = session.runs / new_token()
    run = create_run(folder, upload, "fake")

    def stopped(self: Step, inputs: object, params: object, ctx: Context) -> None:
        ctx.keep("half", {"face": np.zeros(4)})
        raise Cancelled

    with monkeypatch.context() as patch:
        patch.setattr(Step, "run", stopped)
        with pytest.raises(Cancelled):
            Executor(run, store, upload).execute()
    session.claim(folder, token, stepwise=False)
    assert len(list((store.root / "scratch").iterdir())) == 1
    session.forget(folder)
    assert list((store.root / "scratch").iterdir()) == []


def test_expired_runs_and_old_uploads_go(store: Store, tmp_path: Path) -> None:
    session = Session(store, tmp_path / "none", Limits(keep_hours=1))
    folder = make_run(session, new_token(), photo_bytes(150))
    number = session.keep_upload(new_token(), b"abc", "a.png")
    assert session.sweep() == []
    assert session.sweep(time.time() + 3700) == [folder.name]
    assert not folder.exists() and not (session.uploads / number).exists()


def test_limits_on_the_queue(store: Store, tmp_path: Path) -> None:
    session = Session(store, tmp_path / "none", Limits(queue=2, queue_each=1))
    token = new_token()
    folder = make_run(session, token, photo_bytes(150))
    session.check_room(token)
    data = read_run(folder)
    (folder / "run.json").write_text(json.dumps({**data, "state": "queued"}))
    with pytest.raises(UserError, match="under way"):
        session.check_room(token)
    session.check_room(new_token())
    (make_run(session, new_token(), photo_bytes(151)) / "run.json").write_text(json.dumps({**data, "state": "running"}))
    with pytest.raises(UserError, match="limit"):
        session.check_room(new_token())


def test_an_upload_belongs_to_its_visitor(store: Store, tmp_path: Path) -> None:
    session = Session(store, tmp_path / "none")
    token = new_token()
    number = session.keep_upload(token, b"abc", "/home/me/a.png")
    assert session.take_upload(token, number) == (b"abc", "a.png")
    for wrong in (lambda: session.take_upload(new_token(), number), lambda: session.take_upload(token, "../x")):
        with pytest.raises(UserError, match="drop it again"):
            wrong()


def a_photo() -> tuple[Photo, Cutout]:
    """A grey photo, its left half cut out."""
    rgb = np.full((40, 60, 3), 0.5, np.float32)
    alpha = np.zeros((40, 60), np.float32)
    alpha[:, :30] = 1
    return Photo(rgb), Cutout(np.dstack([rgb, alpha]))


def stroke(colour: tuple[int, int, int], box: tuple[int, int, int, int]) -> Image.Image:
    """An RGBA layer with one painted box."""
    layer = Image.new("RGBA", (60, 40))
    layer.paste((*colour, 255), box)
    return layer


def test_painting_adds_and_takes_away() -> None:
    photo, cutout = a_photo()
    more = painted(photo, cutout, stroke((18, 160, 92), (40, 10, 50, 30)))
    assert more[20, 45] == 1 and more[20, 10] == 1 and more[5, 45] == 0
    less = painted(photo, cutout, stroke((214, 58, 47), (0, 0, 10, 40)))
    assert less[20, 5] == 0 and less[20, 20] == 1
    with pytest.raises(UserError, match="Nothing was painted"):
        painted(photo, cutout, Image.new("RGBA", (60, 40)))
    with pytest.raises(UserError, match="Nothing of the person"):
        painted(photo, cutout, stroke((214, 58, 47), (0, 0, 60, 40)))


def test_strokes_are_a_small_png_or_refused() -> None:
    def packed(image: Image.Image, kind: str = "PNG") -> str:
        buffer = io.BytesIO()
        image.save(buffer, kind)
        return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

    good = stroke((18, 160, 92), (40, 10, 50, 30))
    assert np.array_equal(np.asarray(read_strokes(packed(good))), np.asarray(good))
    wrong = [None, 3, "", "data:image/png;base64,####", packed(good)[:-40], packed(good.convert("RGB"), "BMP"),
             packed(Image.new("RGBA", (2000, 10))), "data:image/png;base64," + "A" * 2**23]  # fmt: skip
    for text in wrong:
        with pytest.raises(UserError, match="painting did not arrive"):
            read_strokes(text)


def test_moved_keypoints_are_marked() -> None:
    points = Keypoints(np.zeros((33, 4), np.float32), np.zeros((33, 3), np.float32), np.zeros(33, bool))
    new = moved(points, {"5": [10, 20.5]})
    assert new.body[5].tolist() == [10, 20.5, 1, 1] and new.edited.sum() == 1 and new.edited[5]
    bad: list[dict[str, Any]] = [{}, {"33": [1, 2]}, {"x": [1, 2]}, {"1": [float("nan"), 2]}, {"1": [1]}]
    for changes in bad:
        with pytest.raises(UserError):
            moved(points, changes)


def test_runs_left_under_way_by_a_stopped_page_are_ended_and_free_their_place(tmp_path: Path) -> None:
    """Also while a second page lives on the same store, whose runs are its own."""
    store = Store(tmp_path / "store")
    session = Session(store, tmp_path / "none", Limits(queue=1))
    token = new_token()
    name = make_run(session, token, photo_bytes(200)).name
    run = Run.load(session.runs / name)
    run.state, run.steps[1].state = "running", "running"
    run.save()
    with pytest.raises(UserError, match="limit"):
        session.check_room(new_token())
    assert session.end_left_over() == [name]
    ended = Run.load(session.runs / name)
    assert ended.state == "failed" and "Resume" in ended.message and ended.steps[1].state == "failed"
    session.check_room(new_token())
    ended.state = "running"
    ended.save()
    assert Session(store, tmp_path / "none").end_left_over() == []
    assert Run.load(session.runs / name).state == "running"
