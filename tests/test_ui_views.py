"""Inspecting and editing views on the page: sheets, cameras, where views disagree, one replaced, in and out of a browser."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.geometry.cameras import Camera, intrinsics, look_at
from pipelines.geometry.mesh_picture import render_mesh
from pipelines.records import Table, Upload
from pipelines.run import Executor, Run, create_run
from pipelines.step import UserError
from pipelines.store import Store
from pipelines.systems import find_system
from pipelines.views.archive import unpack
from pipelines.views.readers import Wishes, read_views
from pipelines.views.records import Shape, Views
from tests.browser import SYSTEMS, Server, Visitor, colours_in, read_run, served, step_states, wait_for
from tests.sides_system import RECIPE, archive, boxes, drawn, png
from ui import desk_jobs, inspect_agreement, inspect_posed_views, inspect_shape
from ui.camera_ring import cameras_of, draw_ring, pictures_mesh, ring_of
from ui.edit_views import ViewEdit, edited
from ui.inspect_numbers import table_facts
from ui.plates import plates, view_of

pytest_plugins = ("tests.browser",)
CELL = inspect_posed_views.CELL


@pytest.fixture(scope="module")
def views() -> Views:
    return drawn(128)


class Reader:
    """A run with these records, as the inspectors ask for them."""

    def __init__(self, *records: Any) -> None:
        self.records = {type(r): r for r in records}

    def record(self, step: str) -> Any:
        return next(r for r in self.records.values() if r.kind == step)

    def find(self, kind: type) -> Any:
        return self.records.get(kind)

    def need(self, kind: type) -> Any:
        return self.records[kind]


def picture_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), np.float32) / 255


def test_every_view_stands_in_its_own_cell_of_the_sheet(views: Views) -> None:
    turned_face = dataclasses.replace(views.views[0], label="face", close_up=True)
    five = Views((*views.views, turned_face, *views.views[:3]), views.facts)  # eight: the second row is not full
    sheet = picture_of(inspect_posed_views.sheet_of(Reader(five), "posed_views", "colour"))  # type: ignore[arg-type]
    assert sheet.shape == (2 * CELL, 6 * CELL, 4)
    # Front red, the person's left green, back blue, right yellow: by their own colours.
    hues = {"front": (0.9, 0.1, 0.1), "right": (0.1, 0.8, 0.1), "back": (0.1, 0.1, 0.9), "left": (0.9, 0.8, 0.1)}
    for i, view in enumerate(five.views):
        cell = sheet[CELL * (i // 6) : CELL * (i // 6 + 1), CELL * (i % 6) : CELL * (i % 6 + 1)]
        solid = cell[..., 3] > 0.9
        assert (cell[..., 3] > 0.5).mean() == pytest.approx(view.mask.mean(), abs=0.005)
        if view.label in hues:
            assert np.abs(np.median(cell[solid][:, :3], 0) - hues[view.label]).max() < 0.1, view.label
    assert sheet[CELL:, 2 * CELL :, 3].max() == 0.0


def test_directions_and_cameras_for_the_page(views: Views) -> None:
    data = json.loads(inspect_posed_views.data(Reader(views), "posed_views", ""))  # type: ignore[arg-type]
    assert [c["label"] for c in data["cells"]] == ["front", "right", "back", "left"]
    assert [c["note"] for c in data["cells"]] == ["0°", "90°", "180°", "270°"]
    assert all(c["normal"] and not c["mirrored"] for c in data["cells"])
    points = np.random.default_rng(0).normal(size=(20, 3)) * 0.5 + (0, 1, 0)
    high = Camera(intrinsics(128, 96, 40.0), 128, 96, look_at(np.array([0.0, 1.0, 0.0]), 3.0, 350.0, 30.0))
    posed = dataclasses.replace(views.views[0], rgba=np.ones((96, 128, 4), np.float32), camera=high, normal=None)
    both = Views((*views.views, posed), views.facts)
    data = json.loads(inspect_posed_views.data(Reader(both), "posed_views", ""))  # type: ignore[arg-type]
    assert data["cells"][-1]["note"] == "350°, +30° up" and not data["cells"][-1]["normal"]
    for camera, view in zip(data["cameras"], both.views, strict=True):
        local = points @ np.array(camera["matrix"])[:, :3].T + np.array(camera["matrix"])[:, 3]
        if "scale" in camera:
            pixels = local[:, :2] * camera["scale"] + camera["centre"]
        else:
            pixels = (local @ np.array(camera["K"]).T)[:, :2] / local[:, 2:]
        assert np.abs(pixels - view.camera.project(points)[0]).max() < 0.02


def test_only_listed_names_with_three_digits_can_be_asked_for(views: Views) -> None:
    view = view_of("posed_views", "normal-003.webp")
    assert view is not None and view.argument == "normal 003"
    for name in ("normal-3.webp", "normal-0003.webp", "depth-003.webp", "colour-###.webp3", "../normal-003.webp"):
        assert view_of("posed_views", name) is None, name
    assert view_of("shape", "normal-003.webp") is None and view_of("nothing", "facts.json") is None
    large = picture_of(inspect_posed_views.one(Reader(views), "posed_views", "colour 002"))  # type: ignore[arg-type]
    assert large.shape == (128, 128, 4) and np.abs(large - views.views[2].rgba)[views.views[2].mask].mean() < 0.05
    with pytest.raises(UserError, match="no view number 9"):
        inspect_posed_views.one(Reader(views), "posed_views", "colour 009")  # type: ignore[arg-type]


def test_plates_of_views_and_shapes_go_together() -> None:
    here = "here/{}".format
    alone = plates("posed_views", here, lambda kind, view: None)
    assert [p["id"] for p in alone] == ["views"]
    both = plates("posed_views", here, lambda kind, view: f"{kind}/{view}")
    assert both[1]["scene"] == "shape/scene-cameras.viser"
    assert [p["id"] for p in plates("shape", here, lambda kind, view: None)] == ["clay", "normals", "wireframe"]
    assert plates("table", here, lambda kind, view: None) == []
    assert [p["id"] for p in plates("table", here, lambda kind, view: "there")] == ["agreement", "pairs"]


def test_a_surface_in_the_wrong_place_is_marked_where_it_is_wrong(views: Views) -> None:
    front, shape = views.views[0], boxes()
    right = inspect_agreement.marked(front, shape.vertices, shape.faces)

    def share(picture: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
        return (np.abs(picture[..., :3] - colour).max(-1) < 0.02) & (picture[..., 3] > 0.5)

    for colour in (inspect_agreement.MISSING, inspect_agreement.EXCESS, inspect_agreement.TURNED):
        assert share(right, colour).sum() < 0.02 * front.mask.sum()
    moved = shape.vertices + np.float32([0.15, 0, 0])  # towards the person's left, the right of the front view
    wrong = inspect_agreement.marked(front, moved, shape.faces)
    missing, excess = share(wrong, inspect_agreement.MISSING), share(wrong, inspect_agreement.EXCESS)
    assert missing.sum() > 0.1 * front.mask.sum() and excess.sum() > 0.1 * front.mask.sum()
    assert np.nonzero(missing)[1].mean() < np.nonzero(excess)[1].mean()
    turned = dataclasses.replace(front, normal=np.where(front.normal.any(-1, keepdims=True), np.float32([1, 0, 0]), 0))
    assert share(inspect_agreement.marked(turned, shape.vertices, shape.faces), inspect_agreement.TURNED).sum() > 1000


def test_the_meters_numbers_name_the_worst_view(views: Views) -> None:
    back = {"view": "back", "iou": 0.8, "normal_deg": 30.0, "worst_height": 0.95, "worst_side": "left", "blame": 0.9}
    front = {
        "view": "front",
        "iou": 0.99,
        "normal_deg": 4.0,
        "worst_height": 0.05,
        "worst_side": "middle",
        "blame": 0.1,
    }
    rows = (back, front)
    assert inspect_agreement.stands_out(back) and not inspect_agreement.stands_out(front)
    calm = dict(inspect_agreement.facts_of([{**back, "blame": 0.12}, front]))
    assert calm["Stands out"] == "no view" and calm["Worst view"] == "back"
    assert "Stands out" not in dict(inspect_agreement.facts_of([{**front, "blame": None}]))
    facts = dict(json.loads(table_facts(Reader(Table(rows)), "table", "")))  # type: ignore[arg-type]
    assert (
        facts["Stands out"] == facts["Worst view"] == "back"
        and facts["Outline there"] == "80.0 %"
        and facts["Its blame"] == "0.90, next 0.10"
    )
    assert facts["Where"] == "at the head, left in the picture" and facts["Normals, mean"] == "17.0° off"
    cells = json.loads(inspect_agreement.data(Reader(views, Table(rows)), "table", ""))["cells"]  # type: ignore[arg-type]
    assert [(c["label"], c["worst"]) for c in cells] == [("back", True), ("front", False)]
    other = Table(({"name": "a", "value": 3},))
    assert json.loads(table_facts(Reader(other), "table", "")) == [["a", "value 3"]]  # type: ignore[arg-type]
    with pytest.raises(UserError, match="not about views"):
        inspect_agreement.picture(Reader(views, boxes(), other), "table", "")  # type: ignore[arg-type]


def test_pictures_stand_where_their_cameras_look_from(views: Views) -> None:
    shape = boxes()
    ring = ring_of(views, shape.vertices)
    middle = inspect_posed_views.middle_of(shape.vertices)
    for place, view in zip(ring, views.views, strict=True):
        out = place.corners.mean(0) - middle
        assert out @ view.camera.towards > 0.99 * np.linalg.norm(out)
    # From the front view's own side its picture looks as the view itself does: not mirrored, not upside down.
    mesh = pictures_mesh(ring[:1])
    camera = Camera(intrinsics(128, 128, 30.0), 128, 128, look_at(ring[0].corners.mean(0), 1.8, 0.0, 0.0))
    seen = render_mesh(mesh.vertices, mesh.faces, camera, "textured", uv=mesh.uv, texture=mesh.texture)
    where = camera.project(ring[0].corners)[0]
    (x0, y0), (x1, y1) = np.rint(where[0]).astype(int), np.rint(where[2]).astype(int)
    cut = np.asarray(Image.fromarray((255 * seen[y0:y1, x0:x1, :3]).astype(np.uint8)).resize((64, 64)), np.float32)
    own = views.views[0].rgba
    flat = own[..., :3] * own[..., 3:] + 0.92 * (1 - own[..., 3:])
    wanted = np.asarray(Image.fromarray((255 * flat).astype(np.uint8)).resize((64, 64)), np.float32)
    assert np.abs(cut - wanted).mean() < 0.4 * np.abs(cut[:, ::-1] - wanted).mean()
    assert np.abs(cut - wanted).mean() < 0.4 * np.abs(cut[::-1] - wanted).mean()
    # The frames hold the whole ring, and the person covers the picture behind.
    cameras = cameras_of(ring, shape.vertices, 4)
    ends = np.concatenate([p.lines.reshape(-1, 3) for p in ring])
    for frame in cameras:
        pixels = frame.project(ends)[0]
        assert pixels.min() > 0 and pixels.max() < frame.width
    person = render_mesh(shape.vertices, shape.faces, cameras[0], "clay")
    drawn_frame = draw_ring(person, cameras[0], ring)
    assert (drawn_frame[..., 3] > 0.5).sum() > (person[..., 3] > 0.5).sum() + 1000


def test_a_recorded_scene_and_frames_of_a_surface(views: Views) -> None:
    reader: Any = Reader(views, boxes())
    scenes = {
        style: inspect_shape.scene(reader, "shape", style) for style in ("clay", "normals", "wireframe", "cameras")
    }
    assert len(set(scenes.values())) == 4 and all(len(s) > 500 for s in scenes.values())
    facts = dict(json.loads(inspect_shape.facts(reader, "shape", "")))
    assert facts["Triangles"] == "72" and float(facts["Height"].split()[0]) == pytest.approx(1.98, abs=0.02)
    volume = 8 * sum(np.prod(half) for half in ((0.22, 0.30, 0.12), (0.10, 0.13, 0.11), (0.09, 0.43, 0.09),
                     (0.09, 0.43, 0.09), (0.06, 0.30, 0.06), (0.06, 0.29, 0.06)))  # fmt: skip
    assert float(facts["Volume"].split()[0]) == pytest.approx(1000 * volume, abs=1)


def test_replacing_a_picture_a_normal_map_or_leaving_a_view_out(views: Views) -> None:
    size = views.views[1].camera.width
    disc = np.zeros((2 * size, 2 * size, 4), np.float32)
    disc[size // 2 : -size // 2, size // 2 : -size // 2] = (0.2, 0.4, 0.8, 1.0)
    new = edited(views, ViewEdit(1, "colour", png(disc), "a.png"))
    assert new.views[1].mask.mean() == pytest.approx(0.25, abs=0.02) and not new.views[1].photo
    assert np.abs(new.views[1].rgba[size // 2, size // 2, :3] - (0.2, 0.4, 0.8)).max() < 0.01
    assert new.facts["by_hand"] == ["right"] and new.views[0] is views.views[0]
    plain = np.ones((size, size, 3), np.float32)
    plain[20:90, 30:60] = (0.1, 0.5, 0.1)
    assert edited(new, ViewEdit(1, "colour", png(plain), "b.png")).views[1].mask.sum() == 70 * 30  # on its own ground
    normals = np.ones((size, size, 3), np.float32)
    normals[20:90, 30:60] = (0.5, 1.0, 0.5)
    upwards = edited(views, ViewEdit(0, "normal", png(normals), "n.png")).views[0]
    assert upwards.normal is not None and np.abs(upwards.normal[50, 45] - (0, 1, 0)).max() < 0.01
    assert not upwards.normal[5, 5].any() and upwards.mask.sum() == views.views[0].mask.sum()
    three = edited(views, ViewEdit(2, "drop"))
    assert [v.label for v in three.views] == ["front", "right", "left"] and three.facts["left_out"] == ["back"]
    two = edited(three, ViewEdit(0, "drop"))
    with pytest.raises(UserError, match="At least two views"):
        edited(two, ViewEdit(0, "drop"))


def test_an_edit_that_cannot_be_made_is_refused_with_a_sentence(views: Views) -> None:
    empty = np.ones((128, 128, 3), np.float32)
    wide = np.full((64, 128, 3), 0.5, np.float32)
    for edit, words in (
        (ViewEdit(7, "colour", png(empty), "a.png"), "no view number 7"), (ViewEdit(-1, "drop"), "no view number"),
        (ViewEdit(0, "colour", b"%PDF", "a.pdf"), "not a picture"), (ViewEdit(0, "colour", png(empty), "a.png"), "nobody"),
        (ViewEdit(0, "colour", png(wide), "a.png"), "same proportions"), (ViewEdit(0, "depth"), "reload"),
        (ViewEdit(0, "normal", png(empty), "n.png"), "no normals"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            edited(views, edit)


def test_what_a_system_begins_with() -> None:
    assert desk_jobs.entry_of(RECIPE) == "archive"
    assert desk_jobs.entry_of(find_system("projection")) == "photo"


def test_the_desk_replaces_a_view_and_edits_add_up(
    views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines import systems

    monkeypatch.setitem(systems.SYSTEMS, "sides", "tests.sides_system")
    upload, store = Upload(archive(views), "sides.zip"), Store(tmp_path / "store")
    assert len(read_views(unpack(upload), Wishes()).views) == 4
    run = create_run(tmp_path / "run", upload, "sides")
    Executor(run, store, upload).execute()
    place = str(run.folder), str(store.root), "views.read"
    desk_jobs.replace(*place, ViewEdit(2, "drop"))
    content = desk_jobs.replace(*place, ViewEdit(0, "drop"))  # on top of the first, which has not been run
    assert content is not None
    kept = store.load(content)
    assert isinstance(kept, Views) and [v.label for v in kept.views] == ["right", "left"]
    again = Run.load(run.folder)
    Executor(again, store, upload).execute()
    table = again.record("consistency", store)
    assert isinstance(table, Table) and {row["view"] for row in table.rows} == {"right", "left"}
    assert desk_jobs.replace(*place, None) is None and Run.load(run.folder).replaced == {}
    with pytest.raises(UserError, match="no views"):
        desk_jobs.replace(place[0], place[1], "surface", ViewEdit(0, "drop"))


# ---- in the browser ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    systems = f"{SYSTEMS},sides=tests.sides_system"
    yield from served(tmp_path_factory.mktemp("sides"), HUMANSCOPE_SYSTEMS=systems)


@pytest.mark.browser
def test_in_the_browser(chromium: Any, server: Server, views: Views) -> None:
    guest = Visitor(chromium, server).open()
    page = guest.page
    try:
        guest.choose_system("sides")
        page.wait_for_selector(".hs-drop-words:has-text('Drop the views')")
        page.click("#hs-reconstruct")
        page.wait_for_selector(".hs-banner:has-text('Choose views of a person first')")
        guest.upload(archive(views), "sides.zip")
        folder = guest.reconstruct()
        assert step_states(folder) == {"views.read": "done", "surface": "done", "consistency": "done"}
        guest.choose("views.read", "views")
        page.wait_for_selector(".hs-plate-grid[data-ready]")
        assert [t.split("\n")[0] for t in page.locator(".hs-cell-name").all_inner_texts()] == [
            "front",
            "right",
            "back",
            "left",
        ]
        # A stand-in looks like one in every step, also in those that only measure.
        badge = page.locator(".hs-panel .hs-badge").first
        assert (badge.inner_text(), badge.get_attribute("data-kind")) == ("stand-in", "generated")
        assert colours_in(guest.picture(".hs-grid-cells")) >= 6
        # A pixel of the front view lies at the same height in all level views, on a line across.
        box = page.locator(".hs-cell-frame").nth(0).bounding_box()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.3 * box["height"])
        page.wait_for_selector(".hs-cell-frame line", state="attached")
        lines = page.eval_on_selector_all(
            ".hs-cell-frame line", "all => all.map(e => ['y1', 'y2', 'x1', 'x2'].map(n => +e.getAttribute(n)))"
        )
        across = [line for line in lines if abs(line[2] - line[3]) > 10]
        assert len(across) == 2 and all(line[:2] == pytest.approx([30, 30], abs=1.5) for line in across)
        guest.choose("surface", "cameras")
        page.wait_for_selector(".hs-plate-solid canvas[data-ready*='frames-cameras']")
        guest.choose("consistency")
        page.wait_for_selector(".hs-plate-grid[data-ready*='agreement']")
        assert "Worst view" in page.inner_text(".hs-numbers")
        _replace_and_leave_out(guest, folder)
        assert not guest.errors
    finally:
        guest.leave()


def dropped(guest: Visitor, files: dict[str, bytes]) -> None:
    """Drop files on the page, as from a file manager."""
    held = guest.page.evaluate_handle("() => new DataTransfer()")
    add = """([held, name, text]) => held.items.add(new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name,
             { type: name.endsWith('.png') ? 'image/png' : '' }))"""
    for name, data in files.items():
        guest.page.evaluate(add, [held, name, base64.b64encode(data).decode()])
    guest.page.dispatch_event("body", "drop", {"dataTransfer": held})


@pytest.mark.browser
def test_pictures_dropped_together_are_views_whatever_method_is_chosen(
    chromium: Any, server: Server, views: Views, tmp_path: Path
) -> None:
    guest = Visitor(chromium, server).open()
    page = guest.page
    files = unpack(Upload(archive(views), "sides.zip"))
    pictures = sum(name.endswith(".png") for name in files)
    try:
        dropped(guest, {**files, "notes.md": b"not a view", "._c0.png": b"a shadow"})
        page.wait_for_function("document.body.dataset.hsPhoto === 'yes'")
        page.wait_for_selector(f".hs-file-name:has-text('{pictures} pictures, views.zip')")
        page.wait_for_selector(".hs-banner:has-text(\"the method is now 'views'\")")
        page.wait_for_selector(".hs-drop img:visible")  # the front view: red, as no other side is
        picture = guest.picture(".hs-drop img").reshape(-1, 3).astype(int)
        assert (picture[:, 0] - picture[:, 1:].max(1) > 80).sum() > 100
        taken = max((p for p in (server.store / "uploads").iterdir() if not p.suffix), key=lambda p: p.stat().st_mtime)
        assert unpack(Upload(taken.read_bytes(), "views.zip")) == files  # packed by the page, read by Python
        # A folder that was chosen gives its name, a ZIP of it (compressed) the same picture; one picture is refused.
        folder = tmp_path / "someone"
        (folder / "deeper").mkdir(parents=True)
        for name, data in {**files, "deeper/c0.png": files["c0.png"]}.items():
            (folder / name).write_bytes(data)
        page.set_input_files("#hs-folder", str(folder))
        page.wait_for_selector(f".hs-file-name:has-text('{pictures} pictures, someone.zip')")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as together:
            for name, data in files.items():
                together.writestr(f"run/{name}", data)
        dropped(guest, {"packed.zip": packed.getvalue()})
        page.wait_for_selector(f".hs-file-name:has-text('{pictures} pictures, packed.zip')")
        page.wait_for_function("document.querySelector('.hs-drop img').naturalWidth === 128")
        dropped(guest, {"alone.png": files["c0.png"]})
        page.wait_for_selector(".hs-banner:has-text('One picture came')")
        run = guest.reconstruct(wait=False)
        assert read_run(run)["system"] == "views"
        page.click("#hs-stop")
        guest.rest()
        assert not guest.errors
    finally:
        guest.leave()


@pytest.mark.browser
def test_on_a_phone_the_players_buttons_cover_no_name(chromium: Any, server: Server, views: Views) -> None:
    guest = Visitor(chromium, server, viewport={"width": 390, "height": 844}).open()
    page = guest.page
    try:
        guest.choose_system("sides")
        page.wait_for_selector(".hs-drop-words:has-text('Drop the views')")
        guest.upload(archive(views), "sides.zip")
        guest.reconstruct()
        guest.choose("surface", "clay")
        page.wait_for_selector(".hs-tools button:visible")
        size = "all => all.map(e => e.getBoundingClientRect()).map(r => [r.left, r.right, r.top, r.bottom])"
        strip = page.eval_on_selector_all(".hs-tabs", size)[0]
        tools = [t for t in page.eval_on_selector_all(".hs-tools button", size) if t[1] > t[0]]
        names = page.eval_on_selector_all(".hs-tabs button", size)
        assert tools and all(t[2] >= strip[3] or t[0] >= strip[1] for t in tools)
        assert sum(n[0] >= strip[0] and n[1] <= strip[1] + 1 for n in names) >= 3  # the rest is a swipe away
        assert not guest.errors
    finally:
        guest.leave()


@pytest.mark.browser
def test_a_few_views_fill_the_stage(chromium: Any, server: Server, views: Views) -> None:
    guest = Visitor(chromium, server, viewport={"width": 1400, "height": 900}).open()
    page = guest.page
    try:
        guest.choose_system("sides")
        page.wait_for_selector(".hs-drop-words:has-text('Drop the views')")
        guest.upload(archive(views), "sides.zip")
        guest.reconstruct()
        guest.choose("views.read", "views")
        page.wait_for_selector(".hs-plate-grid[data-ready]")
        cells = page.eval_on_selector_all(
            ".hs-grid-cells li",
            "all => all.map(e => e.getBoundingClientRect()).map(r => [r.left, r.right, r.top, r.bottom])",
        )
        box = page.locator(".hs-grid-cells").bounding_box()
        assert len(cells) == 4 and all(c[1] - c[0] > 200 for c in cells)
        assert all(
            box["x"] <= c[0] and c[1] <= box["x"] + box["width"] and c[3] <= box["y"] + box["height"] for c in cells
        )
        assert not guest.errors
    finally:
        guest.leave()


def _kept(guest: Visitor, folder: Path) -> Path:
    return guest.server.store / "objects" / read_run(folder)["replaced"]["views.read"]


def wait_replaced(folder: Path, names: set[str]) -> None:
    """Until the run is done with exactly these steps made by hand."""
    wait_for(lambda: (run := read_run(folder))["state"] == "done" and set(run["replaced"]) == names)


def _replace_and_leave_out(guest: Visitor, folder: Path) -> None:
    page = guest.page
    guest.choose("views.read", "views")
    page.wait_for_selector(".hs-plate-grid[data-ready*='colours']")
    page.click(".hs-grid-cells button >> nth=1")
    other = np.ones((64, 64, 4), np.float32) * (0.9, 0.2, 0.7, 0.0)
    other[8:56, 24:40, 3] = 1.0
    with page.expect_file_chooser() as chooser:
        page.click("button:has-text('Replace the picture')")
    chooser.value.set_files({"name": "pink.png", "mimeType": "image/png", "buffer": png(other)})
    wait_replaced(folder, {"views.read"})
    guest.rest()
    guest.choose("views.read", "views")
    page.wait_for_selector(".hs-badge:has-text('edited by hand')")
    kept = Views.load(_kept(guest, folder))
    assert kept.facts["by_hand"] == ["right"] and kept.views[1].mask.mean() == pytest.approx(0.1875, abs=0.02)
    page.wait_for_selector(".hs-cell-name:has-text('by hand')")
    guest.choose("consistency")
    page.wait_for_selector(".hs-numbers:has-text('Worst view') dd:has-text('right')")  # the odd one is found
    guest.choose("views.read", "views")
    page.wait_for_selector(".hs-grid-cells button >> nth=3")
    page.click(".hs-grid-cells button >> nth=3")
    page.click("button:has-text('Leave this view out')")
    wait_for(lambda: Views.load(_kept(guest, folder)).facts.get("left_out") == ["left"])
    guest.rest()
    guest.choose("views.read", "views")
    page.wait_for_function("document.querySelectorAll('.hs-grid-cells li').length === 3")
    guest.choose("views.read", "views")
    page.click(".hs-panel button:has-text('Take back the edit')")
    wait_replaced(folder, set())
    guest.rest()
    guest.choose("views.read", "views")
    page.wait_for_function("document.querySelectorAll('.hs-grid-cells li').length === 4")


def test_the_stand_in_is_the_asymmetric_person(views: Views) -> None:
    shape = boxes()
    assert isinstance(shape, Shape)
    hand = shape.vertices[shape.vertices[:, 1] > 1.9]
    assert len(hand) and (hand[:, 0] > 0).all()  # the left hand is raised
    assert (
        views.views[0].mask[:10].any() and np.nonzero(views.views[0].mask[:10])[1].mean() > 64
    )  # right in the picture
