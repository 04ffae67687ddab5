"""The steps of SyncHuman on the stand-in preset: bytes, cancelling, going on, memory, labels, missing weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from pipelines.export.bundle import STAND_IN  # noqa: E402
from pipelines.export.table import EXPORTS, export  # noqa: E402
from pipelines.output import open_bundle  # noqa: E402
from pipelines.photo import read_upload  # noqa: E402
from pipelines.records import Cutout, Keypoints, Mesh, Splats  # noqa: E402
from pipelines.run import Executor, Run, create_run  # noqa: E402
from pipelines.step import Cancelled, Context, Event, MissingNeed  # noqa: E402
from pipelines.store import Store, hash_folder, load_record  # noqa: E402
from pipelines.synchuman import lending  # noqa: E402
from pipelines.synchuman.bake_cameras import bake_angles  # noqa: E402
from pipelines.synchuman.display import place  # noqa: E402
from pipelines.synchuman.framing import framed  # noqa: E402
from pipelines.synchuman.records import CleanedSurface, Framed, JointSample, SlatSample, TenPictures  # noqa: E402
from pipelines.synchuman.texture import textured  # noqa: E402
from pipelines.systems import SYSTEMS, find_system, offered, with_preset  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
RECIPE = find_system("synchuman-tiny")
STEPS = {step.name: step for step in RECIPE.steps}


@pytest.fixture(scope="module")
def whole(example_photo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Store, list[Event]]:
    """One run from the photo to the mesh."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("synchuman")
    store, events = Store(folder / "store"), []  # type: ignore[var-annotated]
    upload = read_upload(example_photo)
    run = create_run(folder / "run", upload, "synchuman-tiny", seed=5)
    return Executor(run, store, upload, events.append).execute(), store, events


def inputs(whole: tuple[Run, Store, list[Event]], step: str) -> dict[str, Any]:
    run, store, _ = whole
    return {n: store.load(run.step(s).content or "") for n, s in RECIPE.sources(STEPS[step]).items()}


def made(whole: tuple[Run, Store, list[Event]], step: str) -> Any:
    return whole[1].load(whole[0].step(step).content or "")


def content(record: Any, folder: Path) -> str:
    folder.mkdir()
    record.save(folder)
    (folder / "kind.txt").write_text(record.kind + "\n")
    return hash_folder(record.kind, folder)


def work(whole: tuple[Run, Store, list[Event]], step: str, seed: int = 5, **more: Any) -> Any:
    params = STEPS[step].make_params(more.pop("settings", {}))
    return STEPS[step].run(inputs(whole, step), params, Context(step, seed=seed, **more))


class Stop:
    """Asks to cancel at the n-th time it is asked."""

    def __init__(self, at: int) -> None:
        self.at, self.asked = at, 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked >= self.at


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


def test_equal_seeds_give_equal_bytes_and_others_do_not(whole: tuple[Run, Store, list[Event]], tmp_path: Path) -> None:
    # That the joint step gives the same bytes is part of going on, below.
    slat, one = "synchuman.slat", {"steps": 1}
    assert content(work(whole, slat), tmp_path / "a") == whole[0].step(slat).content
    assert content(work(whole, slat, seed=6), tmp_path / "b") != whole[0].step(slat).content
    first, other = (work(whole, "synchuman.joint", seed=seed, settings=one) for seed in (5, 6))
    assert np.abs(first.latents - other.latents).max() > 0.5 and np.abs(first.grid - other.grid).max() > 0.5


@pytest.mark.parametrize("step", ["synchuman.joint", "synchuman.slat"])
def test_a_stopped_sampler_goes_on_to_the_same_bytes(
    step: str, whole: tuple[Run, Store, list[Event]], tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    stop = Stop(4)  # networks, step 1, step 2, step 3: cancelled after the third step was kept
    with pytest.raises(Cancelled):
        work(whole, step, is_cancelled=stop, scratch=scratch)
    with np.load(scratch / "state.npz") as kept:
        assert int(kept["step"]) == 3
    events: list[Event] = []
    again = work(whole, step, scratch=scratch, listen=events.append)
    assert any("going on after step 3" in e.message for e in events)
    assert not any("step 2 of" in e.message for e in events), "nothing is done twice"
    assert content(again, tmp_path / "again") == whole[0].step(step).content
    # What is damaged is not gone on with.
    (scratch / "state.npz").write_bytes(b"PK half a file")
    assert content(work(whole, step, scratch=scratch), tmp_path / "anew") == whole[0].step(step).content


def test_a_run_killed_in_the_middle_of_sampling_goes_on(
    whole: tuple[Run, Store, list[Event]], example_photo: Path, tmp_path: Path
) -> None:
    """kill -9 of the whole program while it samples; the next run of the same photo goes on after the kept step."""
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom pipelines.photo import read_upload\n"
        "from pipelines.run import Executor, create_run\nfrom pipelines.store import Store\n"
        "photo, root = Path(sys.argv[1]), Path(sys.argv[2])\nupload = read_upload(photo)\n"
        "run = create_run(root / 'run', upload, 'synchuman-tiny', seed=5)\n"
        "def listen(event):\n    if event.step == 'synchuman.joint' and 'step 2 of' in event.message:\n"
        "        os.kill(os.getpid(), 9)\n"
        "Executor(run, Store(root / 'store'), upload, listen).execute('synchuman.joint')\n"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(example_photo), str(tmp_path)], cwd=ROOT, env=env, check=False
    )
    assert done.returncode == -9
    store, events = Store(tmp_path / "store"), []  # type: ignore[var-annotated]
    (scratch,) = (store.root / "scratch").iterdir()
    assert (scratch / "state.npz").is_file()
    upload = read_upload(example_photo)
    run = create_run(tmp_path / "second", upload, "synchuman-tiny", seed=5)
    Executor(run, store, upload, events.append).execute("synchuman.joint")
    assert any("going on after step 2" in e.message for e in events)
    assert run.step("synchuman.joint").content == whole[0].step("synchuman.joint").content
    assert not list((store.root / "scratch").iterdir()), "unfinished work goes when the step is done"


def test_unfinished_work_is_kept_for_its_own_key_and_for_a_week(
    whole: tuple[Run, Store, list[Event]], example_photo: Path, tmp_path: Path
) -> None:
    store, upload = Store(tmp_path / "store"), read_upload(example_photo)
    run = create_run(tmp_path / "run", upload, "synchuman-tiny", settings={"synchuman.joint": {"steps": 2}})
    seen: list[str] = []

    def listen(event: Event) -> None:
        seen.append(event.message)

    with pytest.raises(Cancelled):
        Executor(run, store, upload, listen, lambda: any(m.startswith("step 1 of 2") for m in seen)).execute()
    (kept,) = (store.root / "scratch").iterdir()
    assert run.step("synchuman.joint").state == "cancelled" and not store.has("nothing")
    other = create_run(tmp_path / "other", upload, "synchuman-tiny", seed=1, settings=run.settings)
    seen.clear()
    Executor(other, store, upload, listen).execute("synchuman.joint")
    assert not any("going on" in m for m in seen) and kept.is_dir(), "another seed is other work"
    Store(store.root)
    assert kept.is_dir()
    old = time.time() - 8 * 86400
    os.utime(kept, (old, old))
    Store(store.root)
    assert not kept.exists()


def test_short_memory_changes_nothing_but_rounding(
    whole: tuple[Run, Store, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    plain = lending.Lender._make

    def watched(self: lending.Lender, name: str) -> Any:
        calls.append((name, len(lending._kept)))
        return plain(self, name)

    monkeypatch.setattr(lending.Lender, "_make", watched)
    lending._kept.clear()
    short: JointSample = work(whole, "synchuman.joint", settings={"memory": "short", "steps": 1})
    assert {name for name, _ in calls} == {"vae", "image_encoder", "dinov2", "joint_network"}
    plenty: JointSample = work(whole, "synchuman.joint", settings={"memory": "plenty", "steps": 1})
    for name, allowed in (("latents", 2e-3), ("grid", 2e-3)):
        a, b = getattr(short, name), getattr(plenty, name)
        assert not np.array_equal(a, b) or name == "grid", "the halves did run apart"
        assert np.abs(a - b).max() < allowed * np.abs(a).max()
    assert short.facts == plenty.facts
    calls.clear()
    work(whole, "synchuman.views")
    assert not calls, "with plenty of memory networks stay"


def test_one_network_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The released preset's way with short memory, on small networks in its place."""
    monkeypatch.setattr(lending, "_kept", {})
    monkeypatch.setattr(lending.Lender, "_make", lambda self, name: torch.nn.Linear(2, 2))
    monkeypatch.setattr(lending.Lender, "_marks", lambda self, name: [])
    for short, held in ((True, 0), (False, 2)):
        lender = lending.Lender("released", Context("x"), short)
        for name in ("vae", "dinov2"):
            with lender.network(name) as network:
                assert isinstance(network, torch.nn.Linear)
        assert len(lending._kept) == held
    with lending.Lender("released", Context("x"), True).network("joint_network"):
        assert not lending._kept, "what an earlier run left is given back first"


def test_fast_mode_is_off_labelled_and_different(whole: tuple[Run, Store, list[Event]]) -> None:
    params = STEPS["synchuman.joint"].params()
    assert params.fast is False and find_system("synchuman").step("synchuman.joint").params().steps == 50
    ctx = Context("synchuman.joint", seed=5)
    fast = STEPS["synchuman.joint"].run(inputs(whole, "synchuman.joint"), replace(params, fast=True), ctx)
    assert isinstance(fast, JointSample) and fast.facts["fast"] is True
    assert any("Fast mode" in sentence for sentence in ctx.warnings)
    assert not np.array_equal(fast.latents, made(whole, "synchuman.joint").latents)


def test_slats_guidance_interval_matters(whole: tuple[Run, Store, list[Event]]) -> None:
    step, released = STEPS["synchuman.slat"], find_system("synchuman").step("synchuman.slat").params()
    assert (released.steps, released.strength, released.guided_from, released.guided_to) == (25, 5.0, 0.5, 1.0)
    plain: SlatSample = made(whole, "synchuman.slat")
    never: SlatSample = work(whole, step.name, settings={"guided_from": 0.0, "guided_to": 0.0})
    none: SlatSample = work(whole, step.name, settings={"strength": 0.0})
    assert np.abs(never.latents - none.latents).max() < 1e-3 * np.abs(none.latents).max()
    assert np.abs(plain.latents - none.latents).max() > 0.05


def standing(width: int = 60, height: int = 160) -> Cutout:
    """A person of 30 x 140 px, whose head (20 x 20) lies at the very right."""
    rgba = np.zeros((height, width, 4), np.float32)
    rgba[10:150, 10:40] = (0.5, 0.4, 0.3, 1)
    rgba[10:30, 35:55] = (0.9, 0.7, 0.6, 1)
    return Cutout(rgba)


def head_at(x: float, y: float) -> Keypoints:
    body = np.zeros((33, 4), np.float32)
    body[:11] = (x, y, 1, 1)
    body[:11, 0] += np.linspace(-5, 5, 11)
    return Keypoints(body, np.zeros((33, 3), np.float32), np.zeros(33, bool))


def test_the_canvas_can_follow_the_head() -> None:
    ctx = Context("synchuman.frame")
    raised = standing()
    raised.rgba[0:150, 0:10] = (1, 0, 0, 1)  # an arm at the left, up to the border
    low = head_at(45, 100)
    plain = framed(raised, low, False, "tiny", ctx)
    assert plain.facts["head_in_box"] is False and any("follow_head" in w for w in ctx.warnings)
    followed = framed(raised, low, True, "tiny", ctx)
    assert followed.facts == {**plain.facts, "head_in_box": True, "followed": True}
    left, top, side = followed.square
    assert left + side / 2 == pytest.approx(45, abs=1) and top == 0
    # The square holds the whole person: the red arm and the head are on the canvas.
    canvas = followed.canvas.astype(int)
    assert ((canvas[..., 0] > 200) & (canvas[..., 1] < 50)).sum() > 20
    assert (canvas[..., 3] > 127).sum() * (side / len(canvas)) ** 2 == pytest.approx(
        (raised.alpha > 0.5).sum(), rel=0.05
    )


def test_the_cube_stands_where_the_photo_shows_the_person(whole: tuple[Run, Store, list[Event]]) -> None:
    frame, body = made(whole, "synchuman.frame"), made(whole, "body.fit")
    placement = place(frame, body)
    points = np.array([[0.3, -0.1, 0.4], [-0.2, 0.2, -0.3], [0, 0, 0.5]])
    assert np.allclose(placement.to_cube(placement.to_display(points)), points, atol=1e-12)
    assert np.allclose(placement.axes @ placement.axes.T, np.eye(3)) and np.linalg.det(placement.axes) > 0.999
    # The front camera's picture of the cube is the canvas, and the photo's camera sees the same where the pelvis is.
    front = placement.orthographic(float(bake_angles()[0, 0]), 100)
    pixels, _ = front.project(placement.to_display(points))
    assert np.allclose(pixels, np.stack([points[:, 0] + 0.5, 0.5 - points[:, 2]], 1) * 100, atol=1e-6)
    side = placement.orthographic(float(bake_angles()[1, 0]), 100)
    assert np.allclose(side.project(placement.to_display(points))[0][:, 0], (points[:, 1] + 0.5) * 100, atol=1e-6)
    assert placement.to_display(np.array([[0.0, -0.5, 0]]))[0, 2] > placement.to_display(np.zeros((1, 3)))[0, 2]
    left, top, width = frame.square
    seen, _ = body.camera.project(placement.to_display(np.array([[0.1, 0, 0.0]])))
    assert np.abs(seen[0] - (left + 0.6 * width, top + 0.5 * width)).max() < 0.06 * width
    quats = np.array([[1.0, 0, 0, 0], [0.5, 0.5, -0.5, 0.5]])
    assert np.allclose(placement.turn(placement.turn(quats), back=True) * np.sign([[1], [1]]), quats)


def box() -> tuple[np.ndarray, np.ndarray]:
    """A closed box of 0.4 x 0.3 x 0.9 in the cube, finely cut."""
    import trimesh

    mesh = trimesh.creation.box((0.4, 0.3, 0.9)).subdivide().subdivide().subdivide()
    return np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32)


def test_every_side_takes_its_own_views_colours(whole: tuple[Run, Store, list[Event]]) -> None:
    vertices, faces = box()
    side, colours = 96, np.full((5, 96, 96, 3), 255, np.uint8)
    normals = colours.copy()
    rows, across, along = slice(5, 91), slice(29, 67), slice(34, 62)
    paint = {0: (200, 30, 30), 1: (30, 200, 30), 2: (30, 30, 200), 3: (200, 200, 30)}
    for v, rgb in paint.items():
        columns = across if v in (0, 2) else along
        colours[v, rows, columns], normals[v, rows, columns] = rgb, (128, 128, 128)
    # Stored mirrored: the left half of the stored back picture lies at the cube's negative x.
    colours[2, rows, 29:48] = (30, 200, 200)
    alpha = np.zeros((side, side, 4), np.uint8)
    alpha[rows, across] = 255
    frame: Framed = replace(made(whole, "synchuman.frame"), canvas=alpha, face=alpha)
    surface = CleanedSurface(vertices, faces, vertices, faces, np.ones(len(faces), np.float32), np.zeros(0, np.int32))
    placement = place(frame, made(whole, "body.fit"))
    params = replace(STEPS["synchuman.texture"].params(), renders=0)
    pictures = TenPictures(colours, normals, {"front_is_photo": True})
    mesh = textured(frame, pictures, surface, made(whole, "synchuman.splats"), placement, params, Context("x"))
    middle = placement.to_cube(mesh.vertices[mesh.faces].mean(1))
    uv = mesh.uv[mesh.faces].mean(1)
    size = mesh.texture.shape[0]
    texel = mesh.texture[((1 - uv[:, 1]) * size).astype(int).clip(0, size - 1), (uv[:, 0] * size).astype(int)] * 255
    inner = (np.abs(middle[:, 2]) < 0.4) & (np.abs(middle[:, 0]) > 0.03)
    for axis, sign, limit, rgb in ((1, -1, 0.149, paint[0]), (0, 1, 0.199, paint[1]), (0, -1, 0.199, paint[3])):
        on = inner & (sign * middle[:, axis] > limit) & (np.abs(middle[:, 1 - axis]) < 0.11)
        assert on.sum() > 20 and np.abs(np.median(texel[on], 0) - rgb).max() < 12
    for sign, rgb in ((1, paint[2]), (-1, (30, 200, 200))):
        on = inner & (middle[:, 1] > 0.149) & (sign * middle[:, 0] > 0.03) & (np.abs(middle[:, 0]) < 0.16)
        assert on.sum() > 10 and np.abs(np.median(texel[on], 0) - rgb).max() < 12
    seen = mesh.seen[mesh.faces].min(1)
    assert (seen[inner & (middle[:, 1] < -0.149)] == 0).mean() > 0.9 and (seen[middle[:, 1] > 0.149] == 2).all()


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


def test_a_number_that_is_not_finite_is_not_hidden(
    whole: tuple[Run, Store, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.step import UserError
    from pipelines.synchuman import draw_joint

    plain: Callable[..., Any] = draw_joint.sample_joint

    def broken(*given: Any, **named: Any) -> Any:
        for state in plain(*given, **named):
            yield replace(state, latents=state.latents * float("nan"))

    monkeypatch.setattr(draw_joint, "sample_joint", broken)
    with pytest.raises(UserError, match="not finite"):
        work(whole, "synchuman.joint")


def test_the_body_finds_into_a_surface_of_parallel_rays(whole: tuple[Run, Store, list[Event]]) -> None:
    """The photo's body as the networks would see it, seen with parallel rays: the fit must find back to it."""
    from scipy.spatial import cKDTree

    from pipelines.body.body_in_surface import Wear
    from pipelines.body.read_body import vertices_world
    from pipelines.body.rig import default_rig
    from pipelines.synchuman.fill_surface import fill_surface, front_on_photo

    frame, body, matte = made(whole, "synchuman.frame"), made(whole, "body.fit"), made(whole, "matte")
    placement = place(frame, body)
    camera = front_on_photo(frame, placement, (matte.alpha.shape[1], matte.alpha.shape[0]))
    pixels, depth = body.camera.project(vertices_world(body))
    middle = camera.project(placement.origin[None])[1][0]
    target = camera.unproject(pixels, depth - float(body["root_translation"][2]) + middle)
    assert abs(target[:, 1].min()) < 0.03, "the soles are on the ground"
    points, faces = placement.to_cube(target).astype(np.float32), default_rig().faces.astype(np.int32)
    surface = CleanedSurface(points, faces, points, faces, np.ones(len(faces), np.float32), np.zeros(0, np.int32))
    ctx = Context("synchuman.body")
    found = vertices_world(fill_surface(frame, surface, matte, made(whole, "keypoints"), body, Wear(4, 1.0, 0.0), ctx))
    assert not ctx.warnings
    assert np.median(np.linalg.norm(found - target, axis=1)) < 0.025
    assert np.median(cKDTree(target).query(found)[0]) < 0.010


def test_the_views_stand_around_the_person(whole: tuple[Run, Store, list[Event]]) -> None:
    from pipelines.synchuman.placed_views import placed_views

    frame, pictures, body = (made(whole, n) for n in ("synchuman.frame", "synchuman.views", "body.fit"))
    placement = place(frame, body)
    normals = np.full_like(pictures.normals, 128)
    normals[:, 60, 30] = (128, 128, 255)  # towards the front camera
    views = placed_views(frame, replace(pictures, normals=normals), placement)
    towards = placement.axes @ (0, -1, 0)
    assert [v.label for v in views] == ["front", "right", "back", "left", "face"]
    assert np.allclose(views[0].camera.towards, towards) and np.allclose(views[2].camera.towards, -towards)
    assert np.allclose(views[1].camera.towards, placement.axes[:, 0]), "'right' is taken from the person's own left"
    side = normals.shape[1]
    for view in views:
        mirrored = view.label in ("back", "left")
        normal = view.normal[60, side - 1 - 30 if mirrored else 30]
        if view.rgba[60, side - 1 - 30 if mirrored else 30, 3] > 0:
            assert np.allclose(normal, towards, atol=0.01)
    assert [v.photo for v in views] == [True, False, False, False, False] and views[4].close_up
    nose = placement.to_display(np.array([[0.0, -0.1, 0.4]]))
    third = (views[0].camera.project(nose)[0] - (side // 3, 0)) * 3
    assert np.allclose(views[4].camera.project(nose)[0], third, atol=1e-6)


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


def test_half_precision_as_on_a_card(whole: tuple[Run, Store, list[Event]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first stage in float16 with its state in float32, the second with a float16 torso, on the CPU."""
    from pipelines.synchuman.networks import half_torso

    plain = lending.Lender._make

    def halved(self: lending.Lender, name: str) -> Any:
        network = plain(self, name)
        if name in lending.STAGE_1:
            return network.half()
        return half_torso(network) if name in lending.STAGE_2 else network

    monkeypatch.setattr(lending, "_kept", {})
    monkeypatch.setattr(lending.Lender, "_make", halved)
    half: JointSample = work(whole, "synchuman.joint", settings={"steps": 1})
    monkeypatch.setattr(lending, "_kept", {})
    monkeypatch.setattr(lending.Lender, "_make", plain)
    single: JointSample = work(whole, "synchuman.joint", settings={"steps": 1})
    for name in ("latents", "grid"):
        a, b = getattr(half, name), getattr(single, name)
        assert a.dtype == np.float32 and 0 < np.abs(a - b).max() < 0.1 * np.abs(b).max()
    monkeypatch.setattr(lending, "_kept", {})
    monkeypatch.setattr(lending.Lender, "_make", halved)
    for name in ("synchuman.voxels", "synchuman.slat", "synchuman.splats", "synchuman.surface"):
        record = work(whole, name, settings={"steps": 1} if name == "synchuman.slat" else {})
        assert all(np.isfinite(v).all() for v in vars(record).values() if isinstance(v, np.ndarray)), name
    voxels = work(whole, "synchuman.voxels")
    before, after = ({tuple(c) for c in v.coords} for v in (made(whole, "synchuman.voxels"), voxels))
    assert len(before & after) > 0.9 * len(before | after)
    monkeypatch.setattr(lending, "_kept", {})
