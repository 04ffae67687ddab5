"""SyncHuman's own records on the page: canvas, ten pictures, both branches step by step, voxels, latents, surfaces."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from pipelines.geometry.mesh_raster import rasterise_mesh  # noqa: E402
from pipelines.step import UserError  # noqa: E402
from pipelines.synchuman.display import place  # noqa: E402
from pipelines.synchuman.injected_colours import injected_colours  # noqa: E402
from pipelines.synchuman.networks import stand_in  # noqa: E402
from pipelines.synchuman.principal_axes import principal_axes  # noqa: E402
from pipelines.synchuman.records import (  # noqa: E402
    VIEW_NAMES,
    CleanedSurface,
    Framed,
    RawSurface,
    SlatSample,
    TenPictures,
    VoxelSet,
)
from pipelines.synchuman.slat_transformer import lift  # noqa: E402
from tests import browser  # noqa: E402
from tests.browser import Server, Visitor, colours_in, served, step_states  # noqa: E402
from tests.ten_run import PHOTO, SIDE  # noqa: E402
from ui import (  # noqa: E402
    coloured_surface,
    inspect_frame,
    inspect_injected,
    inspect_joint,
    inspect_latents,
    inspect_raw_surface,
    inspect_slices,
    inspect_strip,
    inspect_surface_views,
    inspect_ten_pictures,
    inspect_voxels,
)
from ui.cube_mesh import METRES, PLACE, cubes_of  # noqa: E402
from ui.inspect_posed_views import CELL  # noqa: E402
from ui.run_reader import RunReader  # noqa: E402
from ui.step_plates import plates, view_of, views_of  # noqa: E402
from ui.synchuman_plates import SYNCHUMAN_VIEWS  # noqa: E402

pytest_plugins = ("tests.browser", "tests.ten_run")
HERE = "here/{}".format


@pytest.fixture
def run(ten: RunReader) -> RunReader:
    return ten


class Reader:
    """A run with these records, as the inspectors ask for them."""

    def __init__(self, *records: Any) -> None:
        self.records = {r.kind: r for r in records}
        self.run = SimpleNamespace(steps=[SimpleNamespace(name=kind) for kind in self.records])

    def kind(self, step: str) -> str:
        return step

    def record(self, step: str) -> Any:
        return self.records[step]

    def need(self, kind: Any) -> Any:
        return self.records[kind.kind]


def picture_of(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"), np.float32) / 255


def rows_of(data: bytes) -> dict[str, str]:
    return dict(json.loads(data))


def cell(sheet: np.ndarray, k: int, across: int, high: int, wide: int) -> np.ndarray:
    row, column = divmod(k, across)
    return sheet[row * high : (row + 1) * high, column * wide : (column + 1) * wide]


# --- what is drawn of a real run ---


def test_the_canvas_shows_what_was_cut_and_where_the_face_is_looked_for(run: RunReader) -> None:
    frame = run.record("synchuman.frame")
    assert isinstance(frame, Framed)
    shown = picture_of(inspect_frame.canvas(run, "synchuman.frame", ""))
    third = SIDE // 3
    line = (np.abs(shown[..., :3] - inspect_frame.BOX).max(-1) < 0.2) & (shown[..., 3] > 0.9)
    rows, columns = np.nonzero(line)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, third - 1, third, 2 * third - 1)
    beside = shown[third + 4 :]
    assert np.abs((beside[..., 3] > 0.5) ^ (frame.canvas[third + 4 :, :, 3] > 127)).mean() < 0.01
    # The bar is 40 x 130 px, so the square is as high as the bar and reaches beyond the photo on no side.
    photo = picture_of(inspect_frame.square(run, "synchuman.frame", ""))
    left, top, side = frame.square
    assert photo.shape[:2] == (160, max(120, round(left + side)) - min(0, round(left)))
    x0 = -min(0, round(left))
    inside, above = photo[80, x0 + 60, :3], photo[max(0, round(top)) // 2, x0 + 60, :3]
    assert np.abs(inside - np.array([200, 180, 160]) / 255).max() < 0.04
    assert np.abs(above - inspect_frame.OUTSIDE * 30 / 255).max() < 0.04
    facts = rows_of(inspect_frame.facts(run, "synchuman.frame", ""))
    assert facts["Canvas"] == "192 x 192 px" and facts["Square in the photo"] == f"{side:.0f} px"
    assert facts["Person"] == f"{100 * (frame.canvas[..., 3] > 127).mean():.0f} % of the canvas"
    assert facts["Feet"] == "in the photo" and "Networks" not in facts


def test_both_branches_lie_in_the_strip_step_by_step(run: RunReader) -> None:
    joint = run.record("synchuman.joint")
    data = json.loads(inspect_joint.data(run, "synchuman.joint", ""))
    (group,) = data["groups"]
    count = len(joint.strip_steps)
    assert count == 4 and group["start"] == count - 1 and [t["sheet"] for t in group["tracks"]] == ["pictures", "grid"]
    assert group["words"][0].startswith("step 1 of 4, time 0.") and group["words"][-1] == "step 4 of 4, time 0.00"
    sheet = picture_of(inspect_joint.pictures(run, "synchuman.joint", ""))
    side = joint.latents.shape[-1]
    for k in range(count):
        shown = cell(sheet, k, count, 2 * side, 5 * side)
        kept = joint.previews[k].astype(np.float32) / 255
        for view in range(5):
            part = np.s_[:, view * side : (view + 1) * side]
            turn = -1 if view in (2, 3) else 1
            assert (shown[part][..., :3] == kept[part][:, ::turn]).all(), f"estimate {k}, view {VIEW_NAMES[view]}"
    grid = picture_of(inspect_joint.grid(run, "synchuman.joint", ""))
    cells = joint.grid.shape[-1]
    axes = principal_axes(np.moveaxis(joint.grid[0], 0, -1).reshape(-1, 8))
    colours = axes.colours(np.moveaxis(joint.strip_grids[1], 0, -1))
    shown = cell(grid, 1, count, cells, cells * cells + cells - 1)
    for x, y, z in ((0, 0, 0), (3, 1, 2), (2, 3, 0)):
        assert np.abs(shown[cells - 1 - z, y * (cells + 1) + x, :3] - colours[x, y, z]).max() < 0.003
    values = np.array(data["curves"]["values"], object)
    own = 100 * np.sqrt(np.mean((joint.strip_latents[0].astype(float) - joint.latents) ** 2)) / joint.latents.std()
    assert values[0, 0] == pytest.approx(own, rel=0.01) and (values[-1] == [None, None]).all(), "the last is the result"
    assert values[0, 1] > values[2, 1] > 0
    facts = rows_of(inspect_joint.facts(run, "synchuman.joint", ""))
    assert facts["Picture latents"] == "10 x 4 x 24 x 24" and facts["Grid latents"] == "8 x 4 x 4 x 4"
    assert facts["Guidance"] == "3" and facts["Estimates kept"] == "4"


def test_the_ten_pictures_are_turned_back_and_raw_on_request(run: RunReader) -> None:
    pictures = run.record("synchuman.views")
    side, step = CELL, "synchuman.views"
    assert isinstance(pictures, TenPictures)
    seen, raw = (
        picture_of(f(run, step, "colour")) for f in (inspect_ten_pictures.sheet_of, inspect_ten_pictures.raw_sheet)
    )
    assert seen.shape == raw.shape == (side, 6 * side, 4)
    for v in range(5):
        stored, shown = (cell(s, v, 6, side, side) for s in (raw, seen))
        own = np.asarray(Image.fromarray(pictures.colours[v]).resize((side, side), Image.Resampling.LANCZOS)) / 255
        assert np.abs(stored[..., :3] - own).mean() < 0.05 and stored[..., 3].min() == 1
        turned = own[:, ::-1] if v in (2, 3) else own
        solid = shown[..., 3] > 0.99
        right, wrong = (np.abs(shown[..., :3] - o)[solid].mean() for o in (turned, turned[:, ::-1]))
        assert right < 0.06 and (v == 0 or wrong > 2 * right), VIEW_NAMES[v]
    large = picture_of(inspect_ten_pictures.one(run, step, "normal 002"))
    coded = pictures.normals[2][:, ::-1].astype(float) / 255 * 2 - 1
    unit = coded / np.maximum(np.linalg.norm(coded, axis=-1, keepdims=True), 1e-6)
    solid = large[..., 3] > 0.99
    right, wrong = (np.abs(large[..., :3] - (0.5 + 0.5 * n))[solid].mean() for n in (unit, unit[:, ::-1]))
    assert solid.any() and right < 0.5 * wrong
    with pytest.raises(UserError, match="no view number 7"):
        inspect_ten_pictures.one(run, step, "colour 007")
    data = json.loads(inspect_ten_pictures.data(run, step, ""))
    assert [c["note"] for c in data["cells"]] == ["0°", "90°", "180°", "270°", "0°, close-up"]
    assert [c["photo"] for c in data["cells"]] == [True, False, False, False, False]
    notes = [c["note"] for c in json.loads(inspect_ten_pictures.raw_data(run, step, ""))["cells"]]
    assert [n == "stored mirrored" for n in notes] == [False, False, True, True, False]


def test_the_lines_of_sight_meet_at_the_same_place(run: RunReader) -> None:
    data = json.loads(inspect_ten_pictures.data(run, "synchuman.views", ""))
    cube = np.array([[-0.3, 0.1, 0.2], [0.45, -0.2, -0.4], [0.0, 0.0, 0.0]])
    display = PLACE.to_display(cube)
    assert np.allclose(display[0], [-0.3 * METRES, 0.7 * METRES, -0.1 * METRES])
    across = [cube[:, 0], cube[:, 1], -cube[:, 0], -cube[:, 1]]  # of front, right, back, left, turned back
    for camera, offset in zip(data["cameras"][:4], across, strict=True):
        local = display @ np.array(camera["matrix"])[:, :3].T + np.array(camera["matrix"])[:, 3]
        pixels = local[:, :2] * camera["scale"] + camera["centre"]
        assert np.allclose(pixels, np.stack([SIDE * (0.5 + offset), SIDE * (0.5 - cube[:, 2])], 1), atol=0.05)
    face = data["cameras"][4]
    assert face["scale"] == pytest.approx(3 * data["cameras"][0]["scale"])


def test_voxels_are_counted_sliced_and_shown_as_they_grew(run: RunReader) -> None:
    voxels, step = run.record("synchuman.voxels"), "synchuman.voxels"
    assert isinstance(voxels, VoxelSet)
    side, coords = voxels.side, voxels.coords
    # What is kept of the estimates is what the network says of them, and what is certain is above its border.
    decoder: Any = stand_in("sparse_structure_decoder")
    grid = torch.from_numpy(run.record("synchuman.joint").strip_grids[1].astype(np.float32))[None]
    with torch.inference_mode():
        filled = decoder(grid)[0, 0].numpy() > 0
    assert (voxels.estimate(1) == np.argwhere(filled)).all() and len(voxels.estimate(1)) == voxels.growth[1, 1]
    assert (voxels.logits > 0).all() and len(voxels.logits) == len(coords)
    data = json.loads(inspect_voxels.slices(run, step, ""))
    assert [g["label"] for g in data["groups"]] == ["From above", "From the front", "From the person's left"]
    for group, (axis, order) in zip(data["groups"], ((2, 1), (1, 1), (0, -1)), strict=True):
        sheet = picture_of(inspect_voxels.slices(run, step, group["tracks"][0]["sheet"]))
        counts = np.bincount(coords[:, axis], minlength=side)[::order]
        for k in range(side):
            solid = (cell(sheet, k, 8, sheet.shape[0] // (side // 8), sheet.shape[1] // 8)[..., 3] > 0.99).sum()
            assert solid == counts[k] and f"{counts[k]:,} voxels" in group["words"][k]
        assert group["start"] == counts.argmax() and len(group["words"]) == side
    grown = json.loads(inspect_voxels.growth(run, step, ""))
    assert grown["groups"][0]["words"][2] == f"after step 3: {voxels.growth[2, 1]:,} voxels"
    first, last = (set(map(tuple, voxels.estimate(k))) for k in (0, 3))
    assert grown["curves"]["values"][0][0] == pytest.approx(100 * len(first & last) / len(first | last), abs=0.01)
    assert grown["curves"]["values"][-1] == [100.0]
    strip = picture_of(inspect_voxels.estimates(run, step, ""))
    shown = cell(strip, 2, 4, side, 2 * side + 1)[..., 3] > 0.5
    shadow = np.zeros((side, side), bool)
    shadow[side - 1 - voxels.estimate(2)[:, 2], voxels.estimate(2)[:, 1]] = True
    assert (shown[:, side + 1 :] == shadow).all()
    facts = rows_of(inspect_voxels.facts(run, step, ""))
    assert facts["Voxels"] == f"{len(coords):,} of 16³" and facts["Networks"] == "stand-in, so noise"
    assert facts["Front outline"] == f"{100 * voxels.facts['front']:.1f} % in common"


def test_latents_have_the_colours_of_their_principal_axes(run: RunReader) -> None:
    slat, step = run.record("synchuman.slat"), "synchuman.slat"
    voxels = run.record("synchuman.voxels")
    assert isinstance(slat, SlatSample)
    # By the singular values of the latents themselves, in place of those of their covariance.
    x = slat.latents.astype(np.float64) - slat.latents.astype(np.float64).mean(0)
    _, values, rows = np.linalg.svd(x, full_matrices=False)
    axes = rows[:3] * np.sign(rows[:3][np.arange(3), np.abs(rows[:3]).argmax(1)])[:, None]
    colours = np.clip(0.5 + x @ axes.T / (4 * values[:3] / np.sqrt(len(x))), 0, 1)
    sheet = picture_of(inspect_latents.slices(run, step, "front"))
    low, high = np.maximum(voxels.coords.min(0) - 1, 0), np.minimum(voxels.coords.max(0) + 1, voxels.side - 1)
    wide, tall = high[0] - low[0] + 1, high[2] - low[2] + 1  # cut to what is filled, and a cell around it
    assert sheet.shape[:2] == (2 * tall, 8 * wide)
    for i in range(0, len(x), 37):
        cx, cy, cz = voxels.coords[i]
        shown = cell(sheet, cy, 8, tall, wide)[high[2] - cz, cx - low[0]]
        assert np.abs(shown - [*colours[i], 1]).max() < 0.005
    facts = rows_of(inspect_latents.facts(run, step, ""))
    share = values**2 / (values**2).sum()
    assert facts["Red, green, blue"] == ", ".join(f"{100 * s:.0f} %" for s in share[:3])
    assert facts["Variance shown"] == f"{100 * share[:3].sum():.0f} %" and facts["Guided at times"] == "0.5 to 1"
    strip = picture_of(inspect_latents.estimates(run, step, ""))
    last = cell(strip, len(slat.strip) - 1, len(slat.strip), voxels.side, 2 * voxels.side)
    front = voxels.coords[voxels.coords[:, 1] == voxels.coords[:, 1].min()]
    row = int(np.flatnonzero((voxels.coords == front[0]).all(1))[0])
    shown = last[voxels.side - 1 - front[0, 2], front[0, 0]]
    assert np.abs(shown[:3] - colours[row]).max() < 0.02 and shown[3] == 1
    values_ = json.loads(inspect_latents.data(run, step, ""))["curves"]["values"]
    assert values_[0][0] > values_[1][0] > 0 and values_[-1] == [None]
    fewer = VoxelSet(voxels.coords[:-1], voxels.side, voxels.logits[:-1], voxels.growth, voxels.estimates)
    with pytest.raises(UserError, match="made on other voxels"):
        inspect_latents.facts(Reader(slat, fewer), SlatSample.kind, "")  # type: ignore[arg-type]


def test_what_is_injected_is_shown_as_maps_and_where_it_is_injected(run: RunReader) -> None:
    surface, voxels, step = run.record("synchuman.surface"), run.record("synchuman.voxels"), "synchuman.surface"
    assert isinstance(surface, RawSurface) and surface.injected.shape == (2, 4, 16, 16, 3)
    side = CELL
    sheet = picture_of(inspect_injected.sheet_of(run, step, "normal"))
    for view in range(4):
        shown = cell(sheet, view, 6, side, side)
        own = surface.injected[1, view][:, ::-1] if view in (2, 3) else surface.injected[1, view]
        middles = shown[side // 32 :: side // 16, side // 32 :: side // 16, :3]
        assert np.abs(middles - own / 255).mean() < 0.05, VIEW_NAMES[view]
    given = inspect_injected.given_to(voxels, surface.injected, "injected-colour")
    lifted = lift(torch.from_numpy(surface.injected[0].astype(np.float32)), torch.from_numpy(voxels.coords).long())
    assert np.abs(given - lifted.numpy().reshape(-1, 4, 3).mean(1) / 255).max() < 1e-6
    facts = rows_of(inspect_raw_surface.facts(run, step, ""))
    assert facts["Injected colours"] == f"{100 * surface.facts['injected_explained'][0]:.0f} % shown"
    # A decoder that is told one number of the pictures shows one colour's channel.
    decoder: Any = stand_in("slat_decoder_mesh")
    maps = torch.zeros(4, 16, 16, decoder.input_layer_color.in_features)
    maps[:, :, 8:] = 1.0
    with torch.inference_mode():
        shown, explained = injected_colours(decoder, maps, maps, voxels.coords)
    assert len(np.unique(shown[0].reshape(-1, 3), axis=0)) == 2 and explained[0] == pytest.approx(1.0, abs=1e-3)
    empty = RawSurface(surface.vertices, surface.faces, surface.attributes, np.zeros((2, 4, 0, 0, 3), np.uint8))
    with pytest.raises(UserError, match="given nothing of the pictures"):
        inspect_injected.data(Reader(empty), RawSurface.kind, "")  # type: ignore[arg-type]


def test_surfaces_are_told_and_drawn_in_their_own_colours(run: RunReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coloured_surface, "FRAMES", 6)
    clean, step = run.record("synchuman.clean"), "synchuman.clean"
    assert isinstance(clean, CleanedSurface)
    facts = rows_of(inspect_raw_surface.facts(run, step, ""))
    assert facts["Triangles"] == f"{len(clean.faces):,}" and facts["Networks"] == "stand-in, so noise"
    share = 100 * len(clean.removed) / len(clean.light_faces)
    assert facts["Removed as hidden"] == f"{len(clean.removed):,} ({share:.0f} %)"
    vertices, faces, colours = inspect_raw_surface.coloured_of(run, step, "cut")
    red = (np.abs(colours[::3] - inspect_raw_surface.REMOVED).max(1) < 1e-6).nonzero()[0]
    assert set(red) == set(clean.removed) and len(faces) == len(clean.light_faces)
    assert np.allclose(vertices[3 * red[0]], PLACE.to_display(clean.light_vertices[clean.light_faces[red[0], :1]]))
    # A surface of cubes, its left half green and its right half blue, turned once: front, and from behind.
    coords = np.argwhere(np.ones((4, 4, 8), bool)) + np.array([2, 2, 0])
    points, quads, _ = cubes_of(coords, np.ones((len(coords), 3)), 8)
    cube = PLACE.to_cube(points).astype(np.float32)
    own = np.where(cube[:, :1] > 0, np.float32([0, 1, 0]), np.float32([0, 0, 1]))
    raw = RawSurface(cube, quads, np.concatenate([own, own], 1), np.zeros((2, 4, 0, 0, 3), np.uint8))
    sheet = picture_of(inspect_raw_surface.frames(Reader(raw), RawSurface.kind, "colour"))  # type: ignore[arg-type]
    high = sheet.shape[1] // 6
    assert sheet.shape[0] == high
    for k, left_is_right in ((0, True), (3, False)):  # the person's left lies on the right of the picture in front
        shown = cell(sheet, k, 6, high, high)
        green = (shown[..., 1] > 0.8) & (shown[..., 2] < 0.2) & (shown[..., 3] > 0.9)
        blue = (shown[..., 2] > 0.8) & (shown[..., 1] < 0.2) & (shown[..., 3] > 0.9)
        assert green.sum() > 2000 and blue.sum() > 2000
        assert (np.nonzero(green)[1].mean() > np.nonzero(blue)[1].mean()) == left_is_right
    with pytest.raises(UserError, match="without colours"):
        bare = RawSurface(cube, quads, np.zeros((len(cube), 0), np.float32), raw.injected)
        inspect_raw_surface.coloured_of(Reader(bare), RawSurface.kind, "colour")  # type: ignore[arg-type]


# --- one known body through pictures, voxels, surface and cameras ---


def solid() -> np.ndarray:
    """(N, 3) cells of a grid of 32: a body that is unlike itself turned or mirrored: the left arm is out, the right
    one bent forwards, the head to one side."""
    filled = np.zeros((32, 32, 32), bool)
    filled[11:21, 13:19, 0:24] = True  # trunk
    filled[21:28, 14:18, 18:22] = True  # the person's left is +x
    filled[11:15, 6:13, 12:16] = True  # the front is -y
    filled[13:18, 13:18, 24:32] = True
    return np.argwhere(filled)


@pytest.fixture(scope="module")
def known() -> Reader:
    """The records of that body: its exact pictures, stored as the system stores them, and its exact surface."""
    coords, scale = solid(), SIDE // 32
    colours, normals = (np.full((5, SIDE, SIDE, 3), 255, np.uint8) for _ in range(2))
    points, faces, _ = cubes_of(coords, np.ones((len(coords), 3)), 32)
    cube = PLACE.to_cube(points).astype(np.float32)
    for view, (across, depth) in enumerate(((0, 1), (1, 0), (0, 1), (1, 0))):
        shadow = np.zeros((32, 32), bool)
        shadow[31 - coords[:, 2], coords[:, across]] = True  # stored so that opposite views cover one another
        mask = shadow.repeat(scale, 0).repeat(scale, 1)
        colours[view][mask] = (40 * view, 90, 160)
        towards = np.zeros(3)  # in the front camera's frame: x right, y up, z towards it
        towards[{1: 2, 0: 0}[depth]] = 1 if view in (0, 1) else -1
        normals[view][mask] = np.round((towards + 1) / 2 * 255).astype(np.uint8)
    alpha = (normals[0] < 255).any(-1)
    canvas = np.dstack([colours[0], (255 * alpha).astype(np.uint8)])
    frame = Framed(canvas, canvas, np.zeros((84, 84, 3), np.uint8), np.array([0.0, 0.0, 192.0]))
    clean = CleanedSurface(
        cube, faces, cube, faces, np.ones(len(faces), np.float32), np.zeros(0, np.int32), {"open_loops": 0}
    )
    return Reader(frame, TenPictures(colours, normals, {"front_is_photo": True}), clean)


def test_cubes_are_closed_face_outwards_and_stand_where_the_cube_stands() -> None:
    coords = solid()
    colours = np.tile(np.float32([0.5, 0.25, 1.0]), (len(coords), 1))
    vertices, faces, shades = cubes_of(coords, colours, 32)
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    volume = float(np.einsum("ij,ij->", a, np.cross(b, c))) / 6
    assert volume == pytest.approx(len(coords) * (METRES / 32) ** 3, rel=1e-4), "closed, and outwards"
    assert vertices[:, 1].min() == pytest.approx(0, abs=1e-5) and vertices[:, 1].max() == pytest.approx(
        METRES, abs=1e-4
    )
    arm = vertices[:, 0] > METRES * (24 / 32 - 0.5)
    assert arm.any() and vertices[vertices[:, 2] > METRES * (0.5 - 10 / 32)][:, 0].max() < 0, "left out, right forwards"
    assert np.allclose(shades / shades[:, 2:], colours[0]), "light changes no hue"
    filled = {tuple(c) for c in coords}
    steps = [s * np.eye(3, dtype=int)[k] for k in range(3) for s in (1, -1)]
    open_sides = sum(tuple(c + s) not in filled for c in coords for s in steps)
    assert len(faces) == 2 * open_sides


def test_exact_pictures_of_a_body_agree_with_its_surface_and_each_other(known: Any) -> None:
    kind = CleanedSurface.kind
    cells = json.loads(inspect_surface_views.data(known, kind, ""))["cells"]
    assert {c["label"] for c in cells} == {"front", "right", "back", "left"} and cells[0]["worst"]
    for c in cells:
        outline, normals = c["note"].split(", ")
        assert float(outline.split()[1]) > 98.5 and float(normals.split()[1][:-1]) < 5.0, c
    data = json.loads(inspect_surface_views.pairs(known, kind, ""))
    assert data["views"] == ["front", "right", "back", "left"] and len(data["pairs"]) == 6
    assert all(p["outline_is"] == "good" for p in data["pairs"])
    # One view turned about by mistake is found as the worst, and in the pair with its opposite.
    pictures = known.need(TenPictures)
    wrong = TenPictures(pictures.colours.copy(), pictures.normals.copy(), pictures.facts)
    for stack in (wrong.colours, wrong.normals):
        stack[2] = stack[2][:, ::-1]
    turned: Any = Reader(known.need(Framed), wrong, known.need(CleanedSurface))
    cells = json.loads(inspect_surface_views.data(turned, kind, ""))["cells"]
    assert cells[0]["label"] == "back" and float(cells[0]["note"].split()[1]) < 95 < float(cells[1]["note"].split()[1])
    bad = {(p["a"], p["b"]) for p in json.loads(inspect_surface_views.pairs(turned, kind, ""))["pairs"]
           if p["outline_is"] != "good"}  # fmt: skip
    assert bad == {(0, 2)}
    sheet = picture_of(inspect_surface_views.picture(turned, kind, ""))
    high = CELL
    first, second = (cell(sheet, k, 6, high, high) for k in (0, 1))
    missing = [(np.abs(s[..., :3] - (0.84, 0.16, 0.12)).max(-1) < 0.1) & (s[..., 3] > 0.9) for s in (first, second)]
    assert missing[0].sum() > 10 * max(missing[1].sum(), 1)
    alone = TenPictures(*(np.full_like(pictures.colours, 255) for _ in range(2)), {"front_is_photo": True})
    with pytest.raises(UserError, match="none can be compared"):
        inspect_surface_views.pairs(Reader(known.need(Framed), alone, known.need(CleanedSurface)), kind, "")  # type: ignore[arg-type]


def test_the_hull_of_the_outlines_holds_the_body_and_no_more_than_they_allow(known: Any) -> None:
    hull = inspect_ten_pictures.hull(inspect_ten_pictures.placed(known, TenPictures.kind))
    fine = np.zeros((64, 64, 64), bool)
    coords = solid()
    for corner in np.argwhere(np.ones((2, 2, 2), bool)):
        fine[tuple((2 * coords + corner).T)] = True
    assert (hull | ~fine).all(), "the body lies inside"
    for axis in (0, 1):
        assert (hull.any(axis) == fine.any(axis)).all()
    facts = rows_of(inspect_ten_pictures.facts(known, TenPictures.kind, ""))
    assert [facts[f"In the hull, {v}"] for v in VIEW_NAMES[:4]] == ["100 %"] * 4 and facts["Front"] == "the photo"


def test_frusta_stand_where_their_cameras_look_from(known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coloured_surface, "FRAMES", 6)
    sheet = picture_of(inspect_ten_pictures.frames(known, TenPictures.kind, "cameras-normal"))
    side = sheet.shape[0]
    assert sheet.shape == (side, 6 * side, 4)
    shown = cell(sheet, 3, 6, side, side)  # from behind the person: the front's picture lies behind it
    views = inspect_ten_pictures.shown_as(inspect_ten_pictures.placed(known, TenPictures.kind), "cameras-normal")
    front = views.views[0]
    assert np.allclose(np.median(front.rgba[front.mask], 0)[:3], [0.5, 0.5, 1.0], atol=0.01)
    blue = (shown[..., 2] > 0.9) & (np.abs(shown[..., :2] - 0.5).max(-1) < 0.08) & (shown[..., 3] > 0.9)
    assert blue.sum() > 100
    scene = inspect_ten_pictures.scene(known, TenPictures.kind, "cameras-colour")
    plain = inspect_raw_surface.scene(known, CleanedSurface.kind, "clay")
    assert len(scene) > len(plain) > 2000


def test_a_surface_in_the_pages_place_covers_what_the_run_s_own_place_shows(known: Any) -> None:
    # The page's place differs from a run's by a scale and a shift only, so both show the same from the front.
    body = SimpleNamespace(camera=_level_camera())
    body_like: Any = type("B", (), {"camera": body.camera, "__getitem__": lambda s, n: np.array([0.0, 0.0, 4.0])})()
    own = place(known.need(Framed), body_like)
    assert np.allclose(own.axes, PLACE.axes, atol=1e-9)
    clean = known.need(CleanedSurface)
    masks = []
    for placement in (own, PLACE):
        camera = placement.orthographic(-np.pi, 96).distant()
        masks.append(rasterise_mesh(placement.to_display(clean.vertices), clean.faces, camera).mask)
    assert (masks[0] ^ masks[1]).mean() < 0.01 and masks[0].mean() > 0.1


def _level_camera() -> Any:
    from pipelines.geometry.cameras import Camera, intrinsics, look_at

    return Camera(intrinsics(192, 192, 40.0), 192, 192, look_at(np.array([0.0, 1.0, 0.0]), 4.0, 0.0, 0.0))


# --- small parts ---


def test_axes_do_not_depend_on_the_sign_or_the_count_of_channels() -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(200, 5)) * (1, 9, 3, 0.5, 0.1)
    axes = principal_axes(x)
    assert np.abs(axes.axes).argmax(0).tolist() == [1, 2, 0] and (axes.axes[[1, 2, 0], [0, 1, 2]] > 0.9).all()
    assert axes.explained.sum() == pytest.approx(x.var(0)[:3].sum() / x.var(0).sum(), abs=0.01)
    again = principal_axes(x[::-1])
    assert np.allclose(again.axes, axes.axes) and np.allclose(again.colours(x), axes.colours(x), atol=1e-6)
    colours = axes.colours(x)
    assert colours.min() >= 0 and colours.max() <= 1 and np.abs(colours.mean(0) - 0.5).max() < 0.02
    one = principal_axes(np.outer(random.normal(size=50), [0.0, -2.0]))
    shown = one.colours(np.array([[0.0, 1.0], [0.0, -1.0]]))
    assert one.axes.shape == (2, 1) and shown[0, 0] > 0.5 > shown[1, 0] and (shown[:, 1:] == 0.5).all()
    same = principal_axes(np.full((4, 3), 2.0))
    assert (same.colours(np.full((4, 3), 2.0)) == 0.5).all()


def test_slices_show_each_voxel_from_the_right_side() -> None:
    coords, colours = np.array([[1, 5, 6], [4, 2, 6]]), np.float32([[1, 0, 0], [0, 1, 0]])
    by = {way: inspect_slices.slice_pictures(coords, colours, 8, way) for way in inspect_slices.WAYS}
    assert [k for k, p in enumerate(by["above"]) if (p[..., 3] == 1).any()] == [6]
    # A cell of air is left around what is filled: rows from y = 6 down to 1, columns from x = 0 to 5.
    assert by["above"][6].shape == (6, 6, 4)
    assert by["above"][6][1, 1].tolist() == [1, 0, 0, 1] and by["above"][6][4, 4].tolist() == [0, 1, 0, 1]
    assert by["front"][5][1, 1].tolist() == [1, 0, 0, 1], "from the front, y counts from the face"
    assert by["left"][7 - 4][1, 1].tolist() == [0, 1, 0, 1], "from the left, x counts down and the face looks left"
    assert by["front"][0][1, 1].tolist() == pytest.approx(inspect_slices.SHADOW)
    near = inspect_voxels.front_and_left(coords, 8)
    assert near[1, 4].tolist() == pytest.approx([*inspect_voxels.NEAR, 1]), "y = 2 is nearer to the front than 5"
    assert near[1, 1].tolist() == pytest.approx([*inspect_voxels.FAR, 1])
    assert near[1, 9 + 2].tolist() == pytest.approx([*inspect_voxels.NEAR, 1]), "x = 4 is nearer to the left"
    assert not inspect_voxels.front_and_left(coords[:0], 8).any(), "an estimate may fill nothing"
    assert inspect_voxels.part_sizes(np.array([[0, 0, 0], [1, 1, 1], [7, 7, 7]]), 8) == [2, 1]


def test_a_strip_keeps_its_pictures_value_for_value() -> None:
    pictures = [np.random.default_rng(k).random((3, 5, 4)).astype(np.float32) for k in range(11)]
    sheet = picture_of(inspect_strip.strip_sheet(pictures))
    assert sheet.shape == (6, 40, 4)
    for k, picture in enumerate(pictures):
        assert np.abs(cell(sheet, k, 8, 3, 5) - picture).max() <= 0.5 / 255 + 1e-6
    with pytest.raises(ValueError, match="without pictures"):
        inspect_strip.strip_sheet([])


def test_every_plate_leads_to_views_and_nothing_else_can_be_asked_for(run: RunReader) -> None:
    for state in run.run.steps:
        kind = run.kind(state.name)
        if kind not in SYNCHUMAN_VIEWS:
            continue
        found = plates(state.name, kind, HERE, lambda kind, view: None)
        assert len(found) == len({p["id"] for p in found}) >= 1
        for address in _addresses(found):
            name = address.removeprefix("here/").replace("{part}", "normal").replace("{number}", "003")
            assert view_of(state.name, kind, name) is not None, f"{state.name}: {address}"
        assert {"facts.json", "artefact.zip"} <= set(views_of(state.name, kind))
        assert view_of(state.name, kind, "artefact.zip") is not None
        assert view_of(state.name, kind, "../facts.json") is None and view_of(state.name, kind, "fit.json") is None
        told = _facts(run, state.name, kind)
        assert (dict(told).get("Networks") == "stand-in, so noise") == (kind != "synchuman_frame")
    large = view_of("synchuman.views", "synchuman_pictures", "normal-003.webp")
    assert large is not None and large.argument == "normal 003"
    assert view_of("synchuman.voxels", "synchuman_voxels", "normal-003.webp") is None


def _addresses(found: Any) -> list[str]:
    if isinstance(found, str):
        return [found] if found.startswith("here/") else []
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, list) else []
    return [a for part in parts for a in _addresses(part)]


def _facts(run: RunReader, step: str, kind: str) -> list[list[str]]:
    import importlib

    view = SYNCHUMAN_VIEWS[kind]["facts.json"]
    module, name = view.maker.split(":")
    told: list[list[str]] = json.loads(getattr(importlib.import_module(module), name)(run, step, view.argument))
    return told


# --- in a browser ---


@pytest.fixture(scope="module")
def server(ten_home: Path, ten: RunReader) -> Iterator[Server]:
    yield from served(ten_home, HUMANSCOPE_SYSTEMS=f"{browser.SYSTEMS},ten=tests.synchuman_system", OMP_NUM_THREADS="1")


@pytest.mark.browser
def test_every_step_opens_and_scrubbing_asks_for_nothing(chromium: Any, server: Server) -> None:
    guest = Visitor(chromium, server, reduced_motion="reduce").open()
    page = guest.page
    try:
        guest.choose_system("ten")
        guest.upload(PHOTO)
        folder = guest.reconstruct()
        assert step_states(folder)["synchuman.joint"] == "reused"
        guest.choose("synchuman.joint", "strip")
        page.wait_for_selector(".hs-plate-strip[data-ready='strip-0'][data-frame='3']")
        assert "step 4 of 4" in page.inner_text(".hs-strip-words") and "Stand-in" in page.inner_text(".hs-caption")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        before = guest.picture(".hs-strip-room")
        page.locator(".hs-plate-strip input[type=range]").press("Home")
        page.wait_for_selector(".hs-plate-strip[data-frame='0']")
        assert "step 1 of 4" in page.inner_text(".hs-strip-words") and not [a for a in asked if "/files/" in a]
        assert np.abs(guest.picture(".hs-strip-room").astype(int) - before).max() > 60
        assert page.locator(".hs-plate-strip .hs-chart path.hs-path").count() == 2
        assert page.locator(".hs-plate-strip button:has-text('Play')").is_hidden()
        guest.choose("synchuman.views", "views")
        page.wait_for_selector(".hs-plate-grid[data-ready]")
        assert page.locator(".hs-grid-cells li").count() == 5 and colours_in(guest.picture(".hs-grid-cells")) > 20
        page.hover(".hs-grid-cells li:nth-child(1) .hs-cell-frame")
        page.wait_for_selector(".hs-grid-cells li:nth-child(2) line", state="attached")
        line = page.locator(".hs-grid-cells li:nth-child(3) line")
        assert abs(float(line.get_attribute("x1")) - 50) < 2 and abs(float(line.get_attribute("x2")) - 50) < 2
        guest.choose("synchuman.views", "raw")
        page.wait_for_selector(".hs-grid-cells li:nth-child(3):has-text('stored mirrored')")
        guest.choose("synchuman.voxels", "slices")
        page.wait_for_selector(".hs-plate-strip[data-ready='slices-0']")
        page.click(".hs-plate-strip button:has-text('From the front')")
        page.wait_for_selector(".hs-plate-strip[data-ready='slices-1']")
        assert "from the front" in page.inner_text(".hs-strip-words")
        guest.choose("synchuman.slat", "pca")
        page.wait_for_selector(".hs-turn[data-ready*='frames-pca']:not([aria-busy])")
        assert colours_in(guest.picture(".hs-turn")) > 30
        guest.choose("synchuman.clean", "pairs")
        page.wait_for_selector(".hs-pairs .hs-pair-badge")
        assert page.locator(".hs-pairs .hs-pair-badge").count() == 12
        page.set_viewport_size({"width": 390, "height": 844})
        for step, plate in (
            ("synchuman.joint", "strip"),
            ("synchuman.voxels", "slices"),
            ("synchuman.frame", "canvas"),
        ):
            guest.choose(step, plate)
            assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert not guest.errors
    finally:
        guest.leave()
