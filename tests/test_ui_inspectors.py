"""What the inspectors tell of splats, back view and mesh: histograms, the display floor, the body's lines over the splats,
outlines, normals of the coarse person, triangles that pass through others."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.export.body_wires import COLOUR, body_net, wires_over
from pipelines.export.bundle import Bundle
from pipelines.export.display_copy import display_copy
from pipelines.export.scene_layers import FARTHER, WINDOW, first_view
from pipelines.geometry.cameras import Camera, intrinsics, look_at
from pipelines.hgm.records import BackView, BodyPoints
from pipelines.records import Cutout, Mesh, Splats
from pipelines.step import UserError
from tests import browser
from tests.asymmetric import person_bundle, person_mesh, person_splats, rigged_body
from tests.browser import Server, Visitor, colours_in, photo_bytes, served
from ui import inspect_back_view, inspect_behind, inspect_histograms, inspect_mesh, inspect_splats
from ui.back_outline import outline_overlap
from ui.plates import view_of
from ui.splats_body import body_of
from ui.step_plates import plates

pytest_plugins = ("tests.browser",)


class Reader:
    """A run of these steps in their order, as the inspectors ask for them."""

    def __init__(self, **records: Any) -> None:
        self.records = {name.replace("_", "."): r for name, r in records.items()}
        self.run = SimpleNamespace(steps=[SimpleNamespace(name=name) for name in self.records])

    def record(self, step: str) -> Any:
        if step not in self.records:
            raise UserError(f"The run has no step '{step}'.")
        return self.records[step]

    def kind(self, step: str) -> str:
        return str(self.records[step].kind)

    def place(self, step: str) -> Path:
        return Path(step)

    def find(self, kind: type) -> Any:
        return next((r for r in reversed(self.records.values()) if isinstance(r, kind)), None)

    def need(self, kind: type) -> Any:
        return self.find(kind)


def picture_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), np.float32) / 255


def flecks(sizes_mm: list[float], opacities: list[float]) -> Splats:
    """Splats on a line as tall as a person, round, each of its own size."""
    count = len(sizes_mm)
    means = np.zeros((count, 3), np.float32)
    means[:, 1] = np.linspace(0, 1.7, count)
    sizes = np.repeat(np.float32(sizes_mm)[:, None] / 1000, 3, 1)
    return Splats(means, np.eye(1, 4, dtype=np.float32).repeat(count, 0), sizes, np.float32(opacities),
                  np.full((count, 3), 0.5, np.float32), np.uint8([i % 3 for i in range(count)]),
                  np.zeros(count, np.uint8))  # fmt: skip


def facts_of(reader: Any, maker: Any, step: str) -> dict[str, str]:
    return dict(json.loads(maker(reader, step, "")))


# --- splats ---


def test_the_display_floor_is_that_of_the_recorded_scene() -> None:
    """The share is what `display_copy` widens, and the told millimetres part opaque splats that it does from others."""
    splats = person_bundle(1).splats
    assert splats is not None
    body = rigged_body()
    view = first_view(Bundle(splats=splats, body=body), splats.means)
    copy = display_copy(splats, WINDOW / (2 * np.tan(view.fov / 2)), FARTHER * view.distance)
    floor = inspect_histograms.under_floor(splats, body)
    assert floor.share == pytest.approx(copy.thickened, abs=1e-9)
    for factor, share in ((0.98, 1.0), (1.02, 0.0)):
        same = dataclasses.replace(
            splats, scales=np.full_like(splats.scales, factor * floor.opaque_mm / 1000),
            opacities=np.ones_like(splats.opacities),
        )  # fmt: skip
        assert inspect_histograms.under_floor(same, body).share == share
    facts = facts_of(Reader(splats=splats, body=body), inspect_splats.facts, "splats")
    assert facts["Under the display floor"] == f"{100 * floor.share:.0f} %"
    none = flecks([], [])
    assert inspect_histograms.under_floor(none, None) == (0.0, 0.0)


def test_histograms_count_every_splat_once_in_its_bin() -> None:
    sizes = [1.0] * 6 + [3.0] * 3 + [9.0] * 3
    splats = flecks(sizes, [0.001, 0.002, 0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    reader: Any = Reader(splats=splats)
    found = json.loads(inspect_histograms.data(reader, "splats", ""))
    size, opacity = found["charts"]
    for chart, values in ((size, 1000 * splats.scales[:, 0]), (opacity, splats.opacities)):
        edges, counts = np.array(chart["edges"]), np.array(chart["counts"])
        assert counts.shape == (3, len(edges) - 1) and counts.sum() == 12 and (np.diff(edges) > 0).all()
        assert counts.sum(1).tolist() == [4, 4, 4]
        for value in np.unique(values):
            here = (edges[:-1] <= value * 1.001) & (edges[1:] >= value * 0.999)
            assert counts[:, here].sum() >= (values == value).sum()
    assert (
        size["log"]
        and {2, 3, 5, 7} <= set(size["ticks"]) <= {1, 2, 3, 5, 7}
        and "Half of them between 1.0 and 4.5 mm" in size["words"]
    )
    assert "16.7 % are fainter than 1/255" in opacity["words"]
    assert facts_of(reader, inspect_splats.facts, "splats")["Opacity under 1/255"] == "16.7 %"
    # One outlier does not squeeze all others into a bin; it is counted at the end.
    wild = flecks([1.0 + 0.01 * i for i in range(400)] + [4000.0], [1.0] * 401)
    chart = inspect_histograms.size_chart(wild, inspect_histograms.Floor(0, 2.0))
    assert chart["edges"][-1] < 10 and np.sum(chart["counts"]) == 401
    assert chart["marks"] == [[2.0, "floor of opaque ones"]]
    one = inspect_histograms.size_chart(flecks([2.0] * 5, [1.0] * 5), inspect_histograms.Floor(0, 50.0))
    assert np.sum(one["counts"]) == 5 and one["marks"] == [] and one["edges"][0] < 2 < one["edges"][-1]
    with pytest.raises(UserError, match="made no splats"):
        inspect_histograms.data(Reader(splats=flecks([], [])), "splats", "")  # type: ignore[arg-type]


def test_splats_that_are_replaced_later_keep_the_body_they_were_made_from() -> None:
    first, refined = rigged_body(), dataclasses.replace(rigged_body(), texts={"which": "refined"})
    splats = person_splats(0.1)
    reader: Any = Reader(body_fit=first, splats_first=splats, hgm_refine=refined, splats=splats)
    assert body_of(reader, "splats.first") is first and body_of(reader, "splats") is refined
    # Where the body comes after the splats, it is theirs.
    late: Any = Reader(splats=splats, body_fit=first)
    assert body_of(late, "splats") is first and body_of(Reader(splats=splats), "splats") is None  # type: ignore[arg-type]


def test_the_bodys_lines_lie_on_the_body_and_hide_their_own_back() -> None:
    body = rigged_body()
    vertices, faces = body_net(body)
    assert 400 < len(faces) < 4000 and faces.max() < len(vertices)
    edges = np.linalg.norm(vertices[faces] - vertices[np.roll(faces, 1, 1)], axis=-1)
    assert np.percentile(edges, 95) < 0.12, "one size of triangle everywhere"
    camera = Camera(intrinsics(200, 200, 40.0), 200, 200, look_at(vertices.mean(0), 3.0, 0.0, 0.0))
    grey = np.full((200, 200, 4), 0.5, np.float32)
    drawn = wires_over(grey, (vertices, faces), camera)
    lines = np.abs(drawn[..., :3] - 0.5).max(-1) > 0.1
    pixels = np.floor(camera.project(vertices)[0]).astype(int)
    assert lines[pixels[:, 1], pixels[:, 0]].mean() > 0.3  # the front half of its corners
    outside = np.ones((200, 200), bool)
    for column, row in pixels:
        outside[max(row - 16, 0) : row + 17, max(column - 16, 0) : column + 17] = False
    assert not lines[outside].any() and outside.mean() > 0.3
    # A plate before another hides its lines.
    far = np.array([[-0.2, -0.2, 0], [0.2, -0.2, 0], [0, 0.25, 0]], np.float32)
    near = np.array([[-1, -1, 1], [1, -1, 1], [0, 1.5, 1]], np.float32)
    both = np.concatenate([far, near]), np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    ahead = Camera(intrinsics(200, 200, 40.0), 200, 200, look_at(np.zeros(3), 4.0, 0.0, 0.0))
    alone, hidden = wires_over(grey, (far, both[1][:1]), ahead), wires_over(grey, both, ahead)
    at = np.abs(alone - grey).max(-1) > 0.1
    assert at.sum() > 20 and np.abs(hidden - grey)[at].max() < 0.02
    assert np.abs(alone[at][:, :3].astype(float) - np.array(COLOUR) / 255).min() < 0.2


def test_the_toggles_are_there_where_a_run_has_both() -> None:
    def has(*kinds: str) -> Any:
        return lambda kind, view: f"x/{kind}/{view}" if kind in kinds else None

    here = "here/{}".format
    shown = plates("splats", "splats", here, has("body"))
    assert [p["id"] for p in shown] == ["colour", "seen", "opacity", "depth", "histograms"]
    assert shown[0]["over"] == {"label": "Body", "frames": "here/frames-colour-body.webp",
                                "scene": "here/scene-colour-body.viser"}  # fmt: skip
    assert not any("over" in p for p in plates("splats", "splats", here, has())) and "over" not in shown[1]
    for plate in plates("mesh", "mesh", here, has("splats")):
        for address in (plate["over"]["frames"], plate["over"]["scene"]):
            view = view_of("mesh", address.removeprefix("here/"))
            assert view is not None and view.argument == f"{plate['id']}-splats"
    assert not any("over" in p for p in plates("mesh", "mesh", here, has("body")))


def test_the_turn_with_the_body_and_the_mesh_with_faint_splats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.sheets.FRAMES", 6)
    monkeypatch.setattr(inspect_mesh, "FRAMES", 6)
    monkeypatch.setattr("ui.sheets.turned.__defaults__", (6,))
    bundle, body = person_bundle(1), rigged_body()
    splats = bundle.splats
    assert splats is not None
    red = dataclasses.replace(splats, colours=np.full_like(splats.colours, 0) + np.float32([1, 0, 0]))
    reader: Any = Reader(body_fit=body, splats=red, mesh=person_mesh())
    plain, wired = (picture_of(inspect_splats.frames(reader, "splats", s)) for s in ("colour", "colour-body"))
    blue = [(p[..., 2] > 0.5) & (p[..., 0] < 0.6) & (p[..., 3] > 0.5) for p in (plain, wired)]
    assert plain.shape == wired.shape and not blue[0].any() and blue[1].sum() > 2000
    clay, ghosted = (picture_of(inspect_mesh.frames(reader, "mesh", s)) for s in ("clay", "clay-splats"))
    reddish = [((p[..., 0] - p[..., 1]) > 0.15) & (p[..., 3] > 0.2) for p in (clay, ghosted)]
    assert not reddish[0].any() and reddish[1].sum() > 5000
    for maker, step, style, node in (
        (inspect_splats.scene, "splats", "colour-body", b"body_wires"),
        (inspect_mesh.scene, "mesh", "clay-splats", b"splats_faint"),
    ):
        assert node_in(maker(reader, step, style), node) and not node_in(maker(reader, step, style.split("-")[0]), node)
    with pytest.raises(UserError, match="no body"):
        inspect_splats.frames(Reader(splats=red), "splats", "colour-body")  # type: ignore[arg-type]


def node_in(recording: bytes, name: bytes) -> bool:
    import zstandard

    return name in zstandard.ZstdDecompressor().decompress(recording[8:], max_output_size=1 << 28)


# --- the back ---


def back_of_block(shift: int = 0, colour: tuple[float, float, float] = (0.2, 0.4, 0.6)) -> BackView:
    """A block of 32 x 16 on 64 x 64, coarse, and the same moved to the right."""
    coarse = np.zeros((64, 64, 4), np.float32)
    coarse[16:48, 24:40] = (*colour, 1)
    painted = np.ones((64, 64, 3), np.float32)
    painted[16:48, 24 + shift : 40 + shift] = colour
    return BackView(coarse, painted[None], {"refiner": "x"})


def test_outlines_agree_by_their_area() -> None:
    for shift, iou in ((0, 1.0), (4, 12 / 20), (16, 0.0)):
        back = back_of_block(shift)
        assert outline_overlap(back, back.images[0]) == pytest.approx(iou)
    facts = facts_of(Reader(hgm_back=back_of_block(4)), inspect_back_view.facts, "hgm.back")
    assert facts["Outline, IoU"] == "60.0 %"
    two = back_of_block(4)
    two = BackView(two.coarse, np.concatenate([back_of_block().images, two.images]), two.facts)
    assert facts_of(Reader(hgm_back=two), inspect_back_view.facts, "hgm.back")["Outline, IoU"] == "60.0 to 100.0 %"
    given = BackView(np.zeros((64, 64, 4), np.float32), two.images[:1], {"refiner": "given"})
    assert outline_overlap(given, given.images[0]) is None
    assert "Outline, IoU" not in facts_of(Reader(hgm_back=given), inspect_back_view.facts, "hgm.back")


def test_a_white_shirt_is_no_disagreement() -> None:
    """Where the coarse person has the colour of the paper, a painted fold is no new outline; all in white nothing is told."""
    back = back_of_block()
    coarse, painted = back.coarse.copy(), back.images[0].copy()
    coarse[20:30, 24:40, :3] = 1
    painted[20:30, 24:40] = 1
    painted[22:28, 26:36] = 0.8
    assert outline_overlap(BackView(coarse, painted[None]), painted) == pytest.approx(1.0)
    white = np.where(coarse[..., 3:] > 0, np.float32(1), coarse)
    assert outline_overlap(BackView(white.astype(np.float32), painted[None]), painted) is None


def test_the_photo_stands_beside_it_as_large() -> None:
    image = np.zeros((300, 200, 4), np.float32)
    image[30:270, 60:140] = (0.9, 0.1, 0.1, 1)
    image[..., :3] += 0.2 * (image[..., 3:] == 0)  # a dark room, cut away
    reader: Any = Reader(matte=Cutout(image), hgm_back=back_of_block())
    shown = picture_of(inspect_behind.in_front(reader, "hgm.back", ""))
    red = (shown[..., 0] - shown[..., 1]) > 0.4
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    scale = shown.shape[0] / 64
    assert abs(rows[0] - 16 * scale) < 5 and abs(rows[-1] + 1 - 48 * scale) < 5
    assert abs((columns[0] + columns[-1] + 1) / 2 - 32 * scale) < 3
    assert shown[~red][:, :3].mean() > 0.95
    # The coarse outline frames it where the painted picture has none.
    back = back_of_block()
    blank: Any = Reader(matte=Cutout(image), hgm_back=BackView(back.coarse, np.full_like(back.images, 0.4)))
    assert np.array_equal(picture_of(inspect_behind.in_front(blank, "hgm.back", "")), shown)
    nobody: Any = Reader(matte=Cutout(image * 0), hgm_back=back_of_block())
    with pytest.raises(UserError, match="shows nobody"):
        inspect_behind.in_front(nobody, "hgm.back", "")


def test_normals_of_a_sphere_and_of_a_plate_before_a_wall() -> None:
    size, K = 160, np.array([[300.0, 0, 80], [0, 300.0, 80], [0, 0, 1]])
    x, y = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    rays = np.stack([(x - 80) / 300, (y - 80) / 300, np.ones_like(x)], -1)
    # |t r - c|^2 = 0.5^2 with c three metres ahead.
    a, b, c = (rays**2).sum(-1), -2 * rays[..., 2] * 3, 9 - 0.25
    inside = b * b - 4 * a * c
    mask = inside > 0
    depth = np.where(mask, (-b - np.sqrt(np.maximum(inside, 0))) / (2 * a), 0)
    wanted = (rays * depth[..., None] - (0, 0, 3)) / 0.5
    found = inspect_behind.normals_of(depth.astype(np.float32), mask, K)
    front = mask & (wanted[..., 2] < -0.4)
    cosine = (found * wanted).sum(-1)[front]
    assert np.degrees(np.arccos(np.clip(np.percentile(cosine, 2), -1, 1))) < 8 and front.sum() > 4000
    assert not found[~mask].any()
    # The wall is tilted, the plate is not; beside the plate's rim both keep their own normal.
    wall = 3 / (1 + 0.5 * rays[..., 0])
    plate = (np.abs(x - 80) < 30) & (np.abs(y - 80) < 30)
    found = inspect_behind.normals_of(np.where(plate, 2.0, wall).astype(np.float32), np.ones_like(plate), K)
    tilted = -np.array([0.5, 0, 1]) / np.hypot(0.5, 1)
    rim = np.zeros_like(plate)
    rim[48:112, 48:112] = True
    # A slope across the rim would lie at right angles to both; the filter bends what is nearest to it a little.
    flat, steep = (found @ (0, 0, -1.0))[plate], (found @ tilted)[rim & ~plate]
    assert flat.min() > 0.999 and steep.min() > 0.98
    assert not inspect_behind.normals_of(depth.astype(np.float32) * 0, mask, K).any()


def test_normals_of_the_coarse_gaussians_seen_from_behind() -> None:
    body, splats = rigged_body(), person_splats(0.02)
    pelvis = np.asarray(body["root_translation"], np.float32)
    back = back_of_block()
    reader: Any = Reader(
        hgm_gaussians=splats, hgm_points=BodyPoints(pelvis[None], pelvis), hgm_refine=body, hgm_back=back
    )
    shown = picture_of(inspect_behind.normals(reader, "hgm.back", ""))
    there = shown[..., :3].min(-1) < 0.95
    assert shown.shape == (512, 512, 4) and 0.02 < there.mean() < 0.5
    # Boxes have flat backs: most of what is seen looks straight at the camera.
    middle = np.median(shown[there][:, :3], 0)
    assert abs(middle[0] - 0.5) < 0.1 and abs(middle[1] - 0.5) < 0.1 and middle[2] > 0.9
    # The person's raised left hand is on the left, seen from behind.
    columns = np.flatnonzero(there[: np.flatnonzero(there.any(1))[0] + 12].any(0))
    assert columns.mean() < np.flatnonzero(there.any(0)).mean()
    with pytest.raises(UserError, match=r"no step 'hgm\.points'"):
        inspect_behind.normals(Reader(hgm_gaussians=splats, hgm_back=back), "hgm.back", "")  # type: ignore[arg-type]


def test_the_plates_of_the_back_are_those_that_the_run_can_fill() -> None:
    def has(*kinds: str) -> Any:
        return lambda kind, view: f"x/{kind}/{view}" if kind in kinds else None

    def ids(*kinds: str) -> list[str]:
        return [p["id"] for p in plates("hgm.pick", "back_view", "here/{}".format, has(*kinds))]

    assert ids() == ["back"] and ids("cutout") == ["back", "beside"]
    assert ids("cutout", "body_points") == ["back", "beside", "normals"]
    shown = plates("hgm.pick", "back_view", "here/{}".format, has("cutout", "body_points"))
    asked = [p["src"] for p in shown[1]["pictures"]] + [shown[2]["after"]["src"]]
    for address in asked:
        assert view_of("back_view", address.removeprefix("here/")), address


# --- mesh ---


def test_triangles_through_others_are_told() -> None:
    mesh = person_mesh()
    apart = without_overlap(mesh)
    assert facts_of(Reader(mesh=apart), inspect_mesh.facts, "mesh")["Through others"] == "none"
    told = facts_of(Reader(mesh=mesh), inspect_mesh.facts, "mesh")["Through others"]
    assert told.endswith("%)") and 0 < int(told.split()[0]) < len(mesh.faces)
    holed = mesh.vertices.copy()
    holed[mesh.faces[0, 0]] = np.nan  # what is no number takes its triangles with it
    assert inspect_mesh.crossing(dataclasses.replace(mesh, vertices=holed)) != "none"


def without_overlap(mesh: Mesh) -> Mesh:
    """The boxes of the asymmetric person, each drawn in to its own middle."""
    vertices = mesh.vertices.copy()
    for start in range(0, len(vertices), 24):
        box = slice(start, start + 24)
        middle = vertices[box].mean(0)
        vertices[box] = middle + 0.8 * (vertices[box] - middle)
    return dataclasses.replace(mesh, vertices=vertices)


# --- in a browser ---


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    systems = f"{browser.SYSTEMS},behind=tests.behind_system"
    settings = {"HUMANSCOPE_SYSTEMS": systems, "HUMANSCOPE_FRAMES": "6", "OMP_NUM_THREADS": "1"}
    yield from served(tmp_path_factory.mktemp("inspectors"), **settings)


@pytest.mark.browser
def test_histograms_and_toggles_on_the_page(chromium: Any, server: Server) -> None:
    guest = Visitor(chromium, server, reduced_motion="reduce").open()
    page = guest.page
    try:
        guest.choose_system("show")
        guest.upload(photo_bytes(200))
        guest.reconstruct()
        guest.choose("splats", "histograms")
        page.wait_for_selector(".hs-plate-histograms[data-ready]")
        assert page.locator(".hs-histograms svg").count() == 2 and page.locator(".hs-histograms rect").count() > 3
        assert "display floor" in page.inner_text(".hs-histograms") and page.locator(".hs-tools").is_hidden()
        page.wait_for_selector(".hs-numbers:has-text('Under the display floor')")
        guest.choose("splats", "colour")
        page.wait_for_selector(".hs-turn[data-ready*='frames-colour.webp']")
        page.focus(".hs-turn")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("PageUp")
        frame = page.get_attribute(".hs-turn", "data-frame")
        page.click(".hs-tools button:has-text('Body')")
        page.wait_for_selector(".hs-turn[data-ready*='frames-colour-body.webp']")
        assert page.get_attribute(".hs-over-tool", "aria-pressed") == "true"
        assert page.get_attribute(".hs-turn", "data-frame") == frame != "0"  # the same side of the person
        guest.choose("splats", "seen")
        assert page.locator(".hs-over-tool").is_hidden()
        guest.choose("mesh", "clay")
        page.wait_for_selector(".hs-turn[data-ready*='frames-clay.webp']")
        page.wait_for_selector(".hs-numbers:has-text('Through others')")
        page.click(".hs-tools button:has-text('Splats')")
        page.wait_for_selector(".hs-turn[data-ready*='frames-clay-splats.webp']")
        guest.choose("splats", "colour")
        assert (
            page.get_attribute(".hs-over-tool", "aria-pressed") == "true" and page.inner_text(".hs-over-tool") == "Body"
        )
        page.set_viewport_size({"width": 390, "height": 844})
        guest.choose("splats", "histograms")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert not guest.errors
    finally:
        guest.leave()


@pytest.mark.browser
def test_the_back_beside_the_photo_on_the_page(chromium: Any, server: Server) -> None:
    guest = Visitor(chromium, server, reduced_motion="reduce").open()
    page = guest.page
    try:
        guest.choose_system("behind")
        guest.upload(photo_bytes(200))
        guest.reconstruct(wait=False)
        guest.wait_state("hgm.back", "missing")
        guest.choose("hgm.back")
        page.wait_for_selector('.hs-knob[data-knob="refiner"] select')
        page.select_option('.hs-knob[data-knob="refiner"] select', "none")
        page.click(".hs-again")
        guest.wait_state("hgm.pick", "done")
        guest.choose("hgm.pick", "beside")
        page.wait_for_function(
            "[...document.querySelectorAll('.hs-beside img')].filter(i => i.naturalWidth > 0).length === 3"
        )
        page.wait_for_selector(".hs-numbers:has-text('Outline, IoU')")
        assert page.locator(".hs-beside figcaption").all_inner_texts() == ["Photo", "Coarse", "In use"]
        guest.choose("hgm.pick", "normals")
        page.wait_for_function("document.querySelector('.hs-under').naturalWidth === 512")
        assert colours_in(guest.picture(".hs-pair")) > 3
        page.set_viewport_size({"width": 390, "height": 844})
        guest.choose("hgm.pick", "beside")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert not guest.errors
    finally:
        guest.leave()
