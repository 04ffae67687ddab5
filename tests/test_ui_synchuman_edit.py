"""One of SyncHuman's ten pictures replaced by hand: turned as it is stored, refused in a sentence, and gone on with."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from pipelines.records import Upload, to_bytes  # noqa: E402
from pipelines.run import Executor, Run  # noqa: E402
from pipelines.step import UserError  # noqa: E402
from pipelines.store import Store  # noqa: E402
from pipelines.synchuman.records import VIEW_NAMES, Framed, TenPictures  # noqa: E402
from pipelines.views.readers import Wishes, read_views  # noqa: E402
from tests import browser  # noqa: E402
from tests.browser import Server, Visitor, read_run, served, step_states, wait_for  # noqa: E402
from tests.sides_system import png  # noqa: E402
from tests.ten_run import PHOTO, SIDE  # noqa: E402
from ui import desk_jobs, inspect_ten_pictures  # noqa: E402
from ui.edit_ten_pictures import exchanged  # noqa: E402
from ui.edit_views import ViewEdit  # noqa: E402
from ui.run_reader import RunReader  # noqa: E402

pytest_plugins = ("tests.browser", "tests.ten_run")
STEP = "synchuman.views"
MIRRORED = ("back", "left")
UP, TOWARDS_LEFT = (0.5, 1.0, 0.5), (1.0, 0.5, 0.5)  # normals up, and to the person's left, as colours


def figure(side: int = 96, stem: Any = (0.8, 0.2, 0.1), foot: Any = (0.1, 0.2, 0.8)) -> np.ndarray:
    """(side, side, 4): an L, its stem left of the middle and its foot to the right; transparent around."""
    image = np.zeros((side, side, 4), np.float32)
    s = side // 12
    image[s : 11 * s, 2 * s : 5 * s] = (*stem, 1)
    image[9 * s : 11 * s, 5 * s : 10 * s] = (*foot, 1)
    return image


def on_white(image: np.ndarray) -> np.ndarray:
    return image[..., :3] * image[..., 3:] + 1 - image[..., 3:]


def encoded(image: np.ndarray, form: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(buffer, form, **({"quality": 95} if form == "JPEG" else {"lossless": True}))
    return buffer.getvalue()


@pytest.fixture
def pictures() -> TenPictures:
    """Ten pictures that all differ; the normals are a person's everywhere."""
    shades = np.arange(5, dtype=np.uint8)[:, None, None, None] * 20
    colours = np.broadcast_to(40 + shades, (5, 96, 96, 3)).copy()
    normals = np.broadcast_to(np.uint8([128, 128, 255]) - shades // 4, (5, 96, 96, 3)).copy()
    return TenPictures(colours, normals, {"front_is_photo": True, "stand_in": True})


def seen(pictures: TenPictures, argument: str) -> np.ndarray:
    """What the page shows large."""
    empty = np.zeros((96, 96, 4), np.uint8)
    frame = Framed(empty, empty, empty[..., :3], np.zeros(3))
    reader: Any = SimpleNamespace(record=lambda step: pictures, need=lambda kind: frame)
    shown = Image.open(io.BytesIO(inspect_ten_pictures.one(reader, STEP, argument))).convert("RGBA")
    return np.asarray(shown, np.float32) / 255


@pytest.mark.parametrize("view", range(5), ids=VIEW_NAMES)
def test_colours_are_given_as_they_are_seen_and_kept_as_the_networks_have_them(
    view: int, pictures: TenPictures, tmp_path: Path
) -> None:
    given = figure()
    after = exchanged(pictures, ViewEdit(view, "colour", png(given), "l.png"))
    kept, label = after.colours[view], VIEW_NAMES[view]
    wanted = to_bytes(on_white(given))
    turned = wanted[:, ::-1]
    assert (kept == (turned if label in MIRRORED else wanted)).all()
    assert (kept != (wanted if label in MIRRORED else turned)).any(), "the picture tells left from right"
    others = [v for v in range(5) if v != view]
    assert (after.colours[others] == pictures.colours[others]).all() and (after.normals == pictures.normals).all()
    assert (pictures.colours[view] == 40 + 20 * view).all(), "what is in the store does not change"
    assert after.facts["by_hand"] == [f"{label} colours"] and after.facts["stand_in"] is True
    assert after.facts["front_is_photo"] is (label != "front")
    # What the page shows is what was given, and so is what the reader of such folders finds in the files.
    if label != "front" or not after.facts["front_is_photo"]:
        assert np.abs(seen(after, f"colour {view:03d}")[..., :3] - on_white(given)).mean() < 0.01
    after.save(tmp_path)
    read = read_views({p.name: p.read_bytes() for p in tmp_path.iterdir()}, Wishes()).views
    (found,) = [v for v in read if v.label == label]
    assert np.abs(found.rgba[..., :3] - on_white(given)).max() < 0.003


@pytest.mark.parametrize("view", range(5), ids=VIEW_NAMES)
def test_normals_keep_their_values_and_only_their_places_are_turned(view: int, pictures: TenPictures) -> None:
    given, label = figure(96, UP, TOWARDS_LEFT), VIEW_NAMES[view]
    after = exchanged(pictures, ViewEdit(view, "normal", png(given), "n.png"))
    as_seen = after.normals[view][:, ::-1] if label in MIRRORED else after.normals[view]
    there = given[..., 3] > 0.5
    assert (as_seen[~there] == 255).all(), "outside the person it is white"
    assert np.abs(as_seen.astype(int) - to_bytes(on_white(given)))[there].max() <= 1
    assert (after.colours == pictures.colours).all() and after.facts["front_is_photo"] is True
    assert after.facts["by_hand"] == [f"{label} normals"]
    if label != "front":  # the front's outline is the photo's
        shown = seen(after, f"normal {view:03d}")
        assert ((shown[..., 3] > 0.5) == there).mean() > 0.99
        assert np.abs(shown[..., :3] - given[..., :3])[there].mean() < 0.02


def test_files_of_every_form_size_and_ground(pictures: TenPictures) -> None:
    wanted = on_white(figure()) * 255
    on_grey = np.where(figure()[..., 3:] > 0, figure()[..., :3], 0.4)
    for data, allowed in (
        (png(on_white(figure())), 0.1), (encoded(figure(), "WEBP"), 0.1), (png(on_grey), 0.1),
        (encoded(on_white(figure()), "JPEG"), 1.5), (png(figure(288)), 1.0), (png(figure(48)), 4.0),
    ):  # fmt: skip
        kept = exchanged(pictures, ViewEdit(1, "colour", data, "l")).colours[1]
        assert np.abs(kept - wanted).mean() < allowed and (kept[:3] == 255).all()
    half = figure()
    half[..., 3] *= 0.75
    kept = exchanged(pictures, ViewEdit(1, "colour", png(half), "l.png")).colours[1]
    assert np.abs(kept - to_bytes(on_white(half)).astype(int)).max() <= 1, "transparency shows the white below"
    grown = exchanged(pictures, ViewEdit(1, "normal", png(on_white(figure(288, UP, UP))), "n.png")).normals[1]
    there = (grown < 230).any(-1)
    assert there.mean() == pytest.approx((figure()[..., 3] > 0.5).mean(), abs=0.01)
    assert np.abs(grown[there] - np.array([127.5, 255, 127.5])).max() < 6, "no white of the ground at the rim"


def test_edits_add_up_and_are_told(pictures: TenPictures) -> None:
    after = exchanged(pictures, ViewEdit(2, "colour", png(figure()), "l.png"))
    after = exchanged(after, ViewEdit(0, "colour", png(figure()), "l.png"))
    after = exchanged(after, ViewEdit(2, "colour", png(figure()[:, ::-1]), "l.png"))
    assert after.facts["by_hand"] == ["back colours", "front colours"]
    assert (after.colours[2] == after.colours[0]).all(), "turned round twice"
    frame = Framed(*(np.zeros((96, 96, 4), np.uint8),) * 2, np.zeros((9, 9, 3), np.uint8), np.zeros(3))
    reader: Any = SimpleNamespace(record=lambda step: after, need=lambda kind: frame)
    for data in (inspect_ten_pictures.data, inspect_ten_pictures.raw_data):
        cells = json.loads(data(reader, STEP, ""))["cells"]
        assert [c["label"] for c in cells if c["by_hand"]] == ["front", "back"]
    assert not any(c.get("photo") for c in json.loads(inspect_ten_pictures.data(reader, STEP, ""))["cells"])
    facts = dict(json.loads(inspect_ten_pictures.facts(reader, STEP, "")))
    assert facts["Front"] == "replaced by hand" and facts["Replaced by hand"] == "back colours, front colours"


def test_what_cannot_be_put_in_is_refused_with_a_sentence(pictures: TenPictures) -> None:
    large = io.BytesIO()
    Image.new("1", (9000, 9000)).save(large, "PNG")
    frames = io.BytesIO()
    looks = [Image.fromarray(to_bytes(f)) for f in (figure(), figure()[:, ::-1])]
    looks[0].save(frames, "WEBP", save_all=True, append_images=looks[1:])
    for index, part, data, words in (
        (7, "colour", png(figure()), "no view number 7"), (-1, "normal", png(figure()), "no view number -1"),
        (2, "drop", b"", "all ten pictures"), (2, "depth", png(figure()), "reload"),
        (2, "colour", pickle.dumps(figure()), "not a picture"), (2, "normal", b"", "empty"),
        (2, "colour", png(figure())[:150], "damaged"), (2, "colour", large.getvalue(), "megapixels"),
        (2, "colour", frames.getvalue(), "animation"),
        (2, "colour", png(figure()[:48]), "96 x 48 px and the view 'back' 96 x 96"),
        (2, "colour", png(np.ones((96, 96, 3))), "shows nobody"), (2, "normal", png(np.ones((96, 96, 3))), "no normals"),
        (2, "colour", png(np.zeros((96, 96, 4))), "transparent"),
        (2, "normal", png(np.zeros((96, 96, 3))), "no background"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            exchanged(pictures, ViewEdit(index, part, data, "l.png"))


def test_the_desk_puts_it_in_and_the_run_goes_on_from_there(ten: RunReader, tmp_path: Path) -> None:
    store = Store(ten.store.root)
    desk_jobs.adopt(str(ten.folder), str(tmp_path / "run"), str(store.root))
    upload = Upload(PHOTO, "box.png")
    Executor(Run.load(tmp_path / "run"), store, upload).execute()
    place = str(tmp_path / "run"), str(store.root)
    desk_jobs.replace(*place, STEP, ViewEdit(2, "colour", png(figure(SIDE)), "l.png"))
    content = desk_jobs.replace(*place, STEP, ViewEdit(3, "normal", png(figure(SIDE, UP, UP)), "n.png"))
    kept, before = store.load(content or ""), ten.record(STEP)
    assert isinstance(kept, TenPictures) and isinstance(before, TenPictures)
    assert kept.facts["by_hand"] == ["back colours", "left normals"], "the second on top of the first"
    assert (kept.colours[2] == to_bytes(on_white(figure(SIDE)))[:, ::-1]).all()
    changed = [
        [v for v in range(5) if (getattr(kept, part)[v] != getattr(before, part)[v]).any()]
        for part in ("colours", "normals")
    ]
    assert changed == [[2], [3]]
    run = Run.load(tmp_path / "run")
    assert {s.name for s in run.steps if s.state == "stale"} >= {
        f"synchuman.{n}" for n in ("voxels", "surface", "clean")
    }
    assert run.step("synchuman.joint").state != "stale" and run.replaced == {STEP: content}
    Executor(run, store, upload).execute("synchuman.surface")
    assert run.step("synchuman.joint").content == ten.state("synchuman.joint").content
    assert run.step(STEP).content == content and run.step(STEP).replaced
    assert run.step("synchuman.surface").content != ten.state("synchuman.surface").content
    assert desk_jobs.replace(*place, STEP, None) is None and Run.load(tmp_path / "run").replaced == {}
    with pytest.raises(UserError, match="no views"):
        desk_jobs.replace(*place, "synchuman.voxels", ViewEdit(0, "colour", png(figure()), "l.png"))


# --- in a browser ---


@pytest.fixture(scope="module")
def server(ten_home: Path, ten: RunReader) -> Iterator[Server]:
    yield from served(ten_home, HUMANSCOPE_SYSTEMS=f"{browser.SYSTEMS},ten=tests.synchuman_system", OMP_NUM_THREADS="1")


def at_rest(folder: Path) -> bool:
    """Whether the run is done with nothing stale in it: between an edit and its work it is still called done."""
    return read_run(folder)["state"] == "done" and "stale" not in step_states(folder).values()


@pytest.mark.browser
def test_a_visitor_replaces_the_picture_of_the_back(chromium: Any, server: Server) -> None:
    guest = Visitor(chromium, server, reduced_motion="reduce").open()
    page = guest.page

    try:
        guest.choose_system("ten")
        guest.upload(PHOTO)
        folder = guest.reconstruct()
        first = read_run(folder)
        guest.choose(STEP, "views")
        page.wait_for_selector(".hs-plate-grid[data-ready]")
        page.click(".hs-grid-cells button >> nth=2")
        page.wait_for_selector("h3:has-text('back')")
        assert page.locator("button:has-text('Leave this view out')").count() == 0
        assert "as it is seen here" in page.inner_text(".hs-grid-large")
        guest.put_in("Replace the picture", "l.png", png(figure(SIDE)[: SIDE // 2]))
        page.wait_for_selector(".hs-banner:has-text('same proportions')")
        assert read_run(folder)["replaced"] == {} and step_states(folder)["synchuman.surface"] in ("done", "reused")
        guest.put_in("Replace the picture", "l.png", png(figure(2 * SIDE)))
        wait_for(lambda: STEP in read_run(folder)["replaced"] and at_rest(folder))
        guest.rest()
        kept = TenPictures.load(server.store / "objects" / read_run(folder)["replaced"][STEP])
        stem = np.abs(kept.colours[2].astype(int) - (204, 51, 26)).max(-1) < 8
        assert np.nonzero(stem)[1].mean() > SIDE / 2, "stored mirrored: the stem is to the right of the middle"
        done = {s["name"]: s["content"] for s in read_run(folder)["steps"]}
        earlier = {s["name"]: s["content"] for s in first["steps"]}
        assert done["synchuman.joint"] == earlier["synchuman.joint"]
        assert done["synchuman.surface"] != earlier["synchuman.surface"]
        guest.choose(STEP, "views")
        page.wait_for_selector(".hs-grid-cells li:nth-child(3):has-text('by hand')")
        page.wait_for_selector(".hs-badge:has-text('edited by hand')")
        page.click(".hs-grid-cells button >> nth=2")
        page.wait_for_function("document.querySelector('.hs-grid-pair img')?.complete")
        shown = guest.picture(".hs-grid-pair img").astype(int)
        red = (shown[..., 0] > 120) & (shown[..., 2] < 90) & (shown[..., 1] < 110)
        assert red.any() and np.nonzero(red)[1].mean() < shown.shape[1] / 2, "shown as it was given"
        page.click(".hs-panel button:has-text('Take back the edit')")
        wait_for(lambda: not read_run(folder)["replaced"] and at_rest(folder))
        assert {s["name"]: s["content"] for s in read_run(folder)["steps"]} == earlier
        assert not guest.errors
    finally:
        guest.leave()
