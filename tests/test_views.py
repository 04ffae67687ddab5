"""The system `views`: readers, cameras, hull, depth from normals, surface, colours, and the meter; analytic shapes."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.geometry.cameras import Camera, intrinsics, look_at
from pipelines.geometry.manifold import is_closed_manifold
from pipelines.geometry.mesh_raster import rasterise_mesh
from pipelines.geometry.orthographic import OrthographicCamera, around
from pipelines.geometry.surface import extract
from pipelines.records import Upload
from pipelines.step import Context, UserError
from pipelines.views.agreement import agreement, overlap
from pipelines.views.archive import pack, unpack
from pipelines.views.carve import Outline, box_of, carve, carve_twin, middle_of, signed_distance
from pipelines.views.colour import vertex_colours, without_background
from pipelines.views.drawn_views import SIX, draw_view, draw_views, turned
from pipelines.views.evidence import Clue, clues_of
from pipelines.views.fusion import fuse
from pipelines.views.left_out import blames
from pipelines.views.read import LAYOUTS, views_read
from pipelines.views.readers import READERS, Wishes, is_mirrored, read_views
from pipelines.views.recipe import RECIPE
from pipelines.views.records import PosedView, Shape, Views
from pipelines.views.refine import face_pairs, refine
from pipelines.views.relief import Bounds, Sheet, integrate
from pipelines.views.stereo import stereo
from pipelines.views.surface import surface
from pipelines.views.triangle_splats import flat_gaussians, quarters


def ball(
    rings: int = 40, radii: tuple[float, float, float] = (0.25, 0.5, 0.2), at: tuple[float, float, float] = (0, 0.5, 0)
):
    """An ellipsoid: vertices (V, 3), faces (F, 3) counter-clockwise from outside."""
    t, p = np.linspace(0, np.pi, rings + 1)[1:-1], np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    side = np.stack(
        [np.outer(np.sin(t), np.sin(p)), np.outer(np.cos(t), np.ones(2 * rings)), np.outer(np.sin(t), np.cos(p))], -1
    )
    points = np.concatenate([[[0, 1, 0]], side.reshape(-1, 3), [[0, -1, 0]]])
    n, faces = 2 * rings, []
    for k in range(n):
        faces.append((0, 1 + k, 1 + (k + 1) % n))
        last = 1 + (rings - 2) * n
        faces.append((len(points) - 1, last + (k + 1) % n, last + k))
        for r in range(rings - 2):
            a, b = 1 + r * n + k, 1 + r * n + (k + 1) % n
            faces += [(a, a + n, b), (b, a + n, b + n)]
    return points * radii + at, np.array(faces, np.int32)


def figure():
    """A lop-sided figure of three balls: a trunk, a head to the person's left and a hand before the right side."""
    parts = [ball(24, (0.22, 0.45, 0.15), (0, 0.45, 0)), ball(16, (0.12, 0.15, 0.14), (0.06, 1.0, 0.02)),
             ball(12, (0.07, 0.08, 0.09), (-0.24, 0.5, 0.14))]  # fmt: skip
    vertices, faces, start = [], [], 0
    for v, f in parts:
        vertices.append(v)
        faces.append(f + start)
        start += len(v)
    points = np.concatenate(vertices)
    return points, np.concatenate(faces), 0.5 + 0.5 * np.sin(7 * points + np.arange(3))


@pytest.fixture(scope="module")
def drawn() -> Views:
    return draw_views(*figure(), size=192)


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def on_white(view: PosedView) -> np.ndarray:
    return view.rgba[..., :3] * view.rgba[..., 3:] + 1.0 - view.rgba[..., 3:]


def normal_picture(view: PosedView) -> np.ndarray:
    return np.where(view.mask[..., None], view.normal * 0.5 + 0.5, 1.0)


def synchuman_folder(views: Views) -> dict[str, bytes]:
    files = {}
    for i, view in enumerate(views.views):
        step = -1 if i in (2, 3) else 1
        files[f"color_{i}.png"] = png(on_white(view)[:, ::step])
        files[f"normal_{i}.png"] = png(normal_picture(view)[:, ::step])
    return files


# -- cameras --------------------------------------------------------------------------------------------------------


def test_orthographic_camera_and_its_distant_pinhole_agree() -> None:
    camera = around(70.0, 12.0, 800, 400.0, np.array([0.1, 0.9, -0.2])).cropped(30, -10, 700, 820)
    points = np.random.default_rng(0).uniform(-0.6, 0.6, (200, 3)) + np.array([0.1, 0.9, -0.2])
    pixels, depth = camera.project(points)
    np.testing.assert_allclose(camera.unproject(pixels, depth), points, atol=1e-12)
    far, _ = camera.distant().project(points)
    assert np.abs(far - pixels).max() < 0.2
    again = OrthographicCamera.from_json(camera.to_json())
    np.testing.assert_allclose(again.project(points)[0], pixels, atol=1e-9)
    half = camera.resized(350, 410)
    np.testing.assert_allclose(half.project(points)[0], pixels / 2, atol=1e-9)
    np.testing.assert_allclose(camera.distant().resized(350, 410).project(points)[0], far / 2, atol=1e-6)
    with pytest.raises(ValueError, match="stretching"):
        camera.resized(350, 820)


def test_azimuth_90_stands_at_the_persons_left_and_sees_the_front_on_its_left() -> None:
    camera = around(90.0, 0.0, 100, 50.0, np.zeros(3))
    np.testing.assert_allclose(camera.towards, (1, 0, 0), atol=1e-12)
    front, up = camera.project(np.array([[0, 0, 0.5], [0, 0.5, 0]]))[0]
    assert front[0] < 50 and up[1] < 50


# -- readers --------------------------------------------------------------------------------------------------------


def test_a_synchuman_folder_is_read_as_it_was_drawn(drawn: Views) -> None:
    tall = float(np.ptp(figure()[0][:, 1]))
    files = synchuman_folder(drawn) | {"color_4.png": png(np.ones((192, 192, 3))), "normal_4.png": png(
        np.full((192, 192, 3), (0.5, 0.5, 1.0)))}  # fmt: skip
    views = read_views(files, Wishes(height=tall))
    assert [v.label for v in views.views] == ["front", "right", "back", "left", "face"]
    assert views.facts["source"] == "synchuman" and views.views[0].photo and views.views[4].close_up
    for wanted, got in zip(drawn.views, views.views, strict=False):
        assert overlap(got.mask, wanted.mask) > 0.99
        both = got.mask & wanted.mask
        angle = (got.normal * wanted.normal).sum(-1)[both]
        assert np.degrees(np.arccos(np.clip(angle, -1, 1))).max() < 1.0
        point = figure()[0][:50]
        np.testing.assert_allclose(got.camera.project(point)[0], wanted.camera.project(point)[0], atol=1.5)
    face = views.views[4].camera
    corner = face.unproject(np.array([[0.0, 0.0]]), np.zeros(1))
    np.testing.assert_allclose(views.views[0].camera.project(corner)[0], [[64.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize("mirrored", [False, True])
def test_pshuman_views_are_turned_back_only_if_they_were_mirrored(mirrored: bool) -> None:
    views = draw_views(*figure(), sides=SIX, size=128)
    files = {}
    for view in views.views:
        step = -1 if mirrored and view.label in ("back", "left") else 1
        name = view.label.replace(" ", "_")
        files[f"color_{name}_masked.png"] = png(view.rgba[:, ::step])
        rgba = np.dstack([normal_picture(view), view.rgba[..., 3]])
        files[f"normals_{name}_masked.png"] = png(rgba[:, ::step])
    read = read_views(files, Wishes())
    assert read.facts["source"] == "pshuman" and read.facts["mirrored"] == (["back", "left"] if mirrored else [])
    for wanted in views.views:
        got = next(v for v in read.views if v.label == wanted.label)
        assert overlap(got.mask, wanted.mask) > 0.99


def test_a_turntable_takes_azimuths_from_names_or_goes_evenly_around() -> None:
    sides = [(f"az {a}", float(a)) for a in (0, 60, 120, 180, 240, 300)]
    views = draw_views(*figure(), sides=sides, size=96, with_normals=False)
    stated = read_views({f"az{v.label[3:]}.png": png(v.rgba) for v in views.views}, Wishes())
    frames = read_views({f"frame_{i}.png": png(v.rgba) for i, v in enumerate(views.views)}, Wishes())
    back = read_views({f"frame_{i}.png": png(v.rgba) for i, v in enumerate(views.views)}, Wishes(clockwise=True))
    assert {v.label for v in stated.views} == {v.label for v in frames.views} == {v.label for v in back.views}
    for a, b in zip(sorted(stated.views, key=lambda v: float(v.label[8:])), frames.views, strict=True):
        np.testing.assert_allclose(a.camera.world_to_camera, b.camera.world_to_camera)
    np.testing.assert_allclose(back.views[1].camera.towards, frames.views[5].camera.towards, atol=1e-12)


def test_pictures_with_cameras_keep_them(drawn: Views, tmp_path: Path) -> None:
    import json

    pinhole = Camera(intrinsics(96, 96, 40.0), 96, 96, look_at(np.array([0, 0.5, 0]), 3.0, 30.0, 10.0))
    rows = [{"colour": "a.png", "camera": pinhole.to_json(), "photo": True},
            {"colour": "b.png", "normal": "n.png", "camera": drawn.views[1].camera.to_json()}]  # fmt: skip
    first = np.dstack([np.full((96, 96, 3), 0.4), np.eye(96)])
    files = {"cameras.json": json.dumps({"views": rows}).encode(), "a.png": png(first), "b.png": png(drawn.views[1].rgba),
             "n.png": png(normal_picture(drawn.views[1]))}  # fmt: skip
    views = read_views(files, Wishes())
    assert views.views[0].photo and isinstance(views.views[0].camera, Camera)
    assert isinstance(views.views[1].camera, OrthographicCamera) and views.views[1].normal is not None
    views.save(tmp_path)
    again = Views.load(tmp_path)
    assert again.views[1].camera.to_json() == views.views[1].camera.to_json()
    cosine = (again.views[1].normal * views.views[1].normal).sum(-1)[views.views[1].mask]
    assert cosine.min() > np.cos(np.radians(1.0))
    (tmp_path / "again").mkdir()
    again.save(tmp_path / "again")
    for name in ("normal_001.png", "colour_000.png", "colour_001.png"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes(), name
    with pytest.raises(UserError, match="not there"):
        read_views({k: v for k, v in files.items() if k != "n.png"}, Wishes())


def test_bad_sets_are_refused_with_a_sentence(drawn: Views, tmp_path: Path) -> None:
    files = synchuman_folder(drawn)
    with pytest.raises(UserError, match="Known are"):
        read_views({"notes.json": b"{}"}, Wishes())
    with pytest.raises(UserError, match="normal_2"):
        read_views({k: v for k, v in files.items() if k != "normal_2.png"}, Wishes(), "synchuman")
    with pytest.raises(UserError, match="not a picture"):
        read_views(files | {"color_1.png": b"\x89PNG broken"}, Wishes())
    with pytest.raises(UserError, match="shows nobody"):
        read_views(files | {"normal_1.png": png(np.ones((192, 192, 3)))}, Wishes())
    with pytest.raises(UserError, match="ZIP"):
        unpack(Upload(b"no zip", "x.zip"))
    with pytest.raises(UserError, match="no folder"):
        pack(tmp_path / "missing")
    with pytest.raises(UserError, match="holds no"):
        pack(tmp_path)
    assert set(LAYOUTS) == {"auto", *READERS}


def test_a_folder_becomes_the_same_bytes_and_back(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(b"two")
    (tmp_path / "a.png").write_bytes(b"one")
    (tmp_path / "notes.txt").write_bytes(b"left out")
    upload = pack(tmp_path)
    assert pack(tmp_path).data == upload.data and unpack(upload) == {"a.png": b"one", "b.png": b"two"}
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(401):
            archive.writestr(f"{i}.png", bytes(8))
    # What macOS puts beside every file is left out; two sets of views in one archive are refused, not mixed.
    two, mac = io.BytesIO(), io.BytesIO()
    for buffer, names in ((two, ("one/a.png", "other/a.png")), (mac, ("v/a.png", "__MACOSX/v/._a.png"))):
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, name)
    with pytest.raises(UserError, match=r"'a\.png' in two folders"):
        unpack(Upload(two.getvalue(), "two.zip"))
    assert unpack(Upload(mac.getvalue(), "mac.zip")) == {"a.png": b"v/a.png"}
    with pytest.raises(UserError, match="unpacks to more"):
        unpack(Upload(bomb.getvalue(), "bomb.zip"))


def test_the_example_is_a_whole_set_and_small() -> None:
    folder = Path(__file__).resolve().parent.parent / "assets" / "examples" / "views"
    views = read_views(unpack(pack(folder)), Wishes())
    assert [v.label for v in views.views] == ["front", "right", "back", "left", "face"]
    front, right, back, left = (v.mask for v in views.whole)
    assert overlap(front, back[:, ::-1]) > 0.97 and overlap(right, left[:, ::-1]) > 0.97
    assert sum(p.stat().st_size for p in folder.iterdir()) < 400_000


def test_the_mirror_test_knows_a_mirror_image(drawn: Views) -> None:
    front, back = drawn.views[0].rgba[..., 3], drawn.views[2].rgba[..., 3]
    assert not is_mirrored(front, back) and is_mirrored(front, back[:, ::-1])


# -- hull -----------------------------------------------------------------------------------------------------------


def test_the_field_equals_its_twin_and_holds_the_solid(drawn: Views) -> None:
    outlines = [Outline(v.mask, v.pinhole) for v in drawn.whole]
    centre, reach = middle_of([v.camera for v in drawn.whole])
    low, high = box_of(outlines, centre - reach, centre + reach, 0.01)
    points, _, _ = figure()
    assert (low < points.min(0)).all() and (high > points.max(0)).all()
    assert (high - low < np.ptp(points, axis=0) + 0.2).all()
    volume = carve(outlines, low, high, 0.03)
    inner = np.indices(volume.values.shape)[:, 1:-1, 1:-1, 1:-1].reshape(3, -1).T
    place = volume.origin + inner * volume.voxel
    fast, slow = volume.values[tuple(inner.T)], carve_twin(outlines, place)
    plain = np.abs(slow) > 1e-3
    np.testing.assert_allclose(fast[plain], slow[plain], atol=2e-5)
    assert carve_twin(outlines, points).max() < 0.01  # half a pixel


def test_signed_distance_is_zero_on_the_outline() -> None:
    mask = np.zeros((21, 12), bool)
    mask[:, :6] = True
    # The picture's own border is an outline as well: beyond it nothing is.
    np.testing.assert_allclose(
        signed_distance(mask)[10], [-0.5, -1.5, -2.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    )


# -- depth from normals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("perspective", [False, True])
def test_an_ellipsoid_comes_back_from_its_normals(perspective: bool) -> None:
    vertices, faces = ball()
    view = draw_view(vertices, faces, np.ones_like(vertices), "front", 0.0, 160, 1.1)
    camera = view.pinhole
    normal, mask = view.normal, view.mask
    if perspective:
        camera = Camera(intrinsics(160, 160, 30.0), 160, 160, look_at(np.array([0, 0.5, 0]), 2.4, 0.0, 0.0))
        image = rasterise_mesh(vertices, faces, camera)
        point = camera.unproject(np.stack(np.nonzero(image.mask)[::-1], 1) + 0.5, image.depth[image.mask])
        unit = (point - (0, 0.5, 0)) / np.square((0.25, 0.5, 0.2))
        normal, mask = np.zeros((160, 160, 3), np.float32), image.mask
        normal[mask] = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    truth = rasterise_mesh(vertices, faces, camera).depth
    flat = np.where(mask, truth[mask].min(), 0.0)
    depth = integrate([Sheet(normal, mask, camera, Bounds(flat, flat + 0.5 * mask))], pull=1e-6)[0]
    wrong = (depth - truth)[mask & (truth < truth[mask].min() + 0.12)]
    assert np.abs(wrong - np.median(wrong)).max() < 0.006  # the shape
    assert abs(np.median(wrong)) < 0.01  # it touches the nearest bound
    assert (depth[~mask] == 0).all()


def test_front_and_back_meet_at_the_outline() -> None:
    vertices, faces = ball()
    views = [draw_view(vertices, faces, np.ones_like(vertices), "", a, 160, 1.1) for a in (0.0, 180.0)]
    far = [np.where(v.mask, rasterise_mesh(vertices, faces, v.pinhole).depth[v.mask].min() - 0.3, 0.0) for v in views]
    sheets = [Sheet(v.normal, v.mask, v.pinhole, Bounds(f, f + v.mask)) for v, f in zip(views, far, strict=True)]
    front, back = integrate(sheets, pull=1e-6)
    thick = 4000.0 - front[80, 80] - back[80, 80]
    assert thick == pytest.approx(0.4, abs=0.05)


def test_front_and_back_of_a_sheet_do_not_meet_at_its_hem() -> None:
    # A box from the front and from behind: its outline is an edge, not a limb, and its thickness is the bounds'.
    masks = np.zeros((80, 80), bool)
    masks[10:70, 20:60] = True
    sheets = []
    for azimuth in (0.0, 180.0):
        camera = around(azimuth, 0.0, 80, 80.0, np.array([0, 0.5, 0]))
        normal = np.where(masks[..., None], camera.towards, 0.0).astype(np.float32)
        near = np.where(masks, 1999.8 + camera.world_to_camera[2, 3] + 0.5 * camera.towards[1], 0.0)
        sheets.append(Sheet(normal, masks, camera.distant(), Bounds(near, near + 0.4 * masks)))
    front, back = integrate(sheets, pull=1e-4)
    thick = 4000.0 + sum(s.camera.world_to_camera[2, 3] - 2000.0 for s in sheets) - front - back
    assert np.abs(thick[masks] - 0.4).max() < 0.02


def test_a_step_in_depth_stays_a_step() -> None:
    # Two planes, tilted alike, one 0.2 m before the other: their normals alone do not tell, the bounds do.
    camera = around(0.0, 0.0, 80, 80.0, np.array([0, 0.5, 0])).distant()
    near = np.full((80, 80), 2000.0)
    near[:, 40:] = 2000.2
    x = np.arange(80)
    truth = near + np.where(x < 40, 0.1 * np.abs(x - 20) / 20, 0.1 * np.abs(x - 60) / 20)[None]
    normal = np.zeros((80, 80, 3), np.float32)
    slope = np.where((x < 20) | ((x >= 40) & (x < 60)), -0.4, 0.4)
    normal[..., 0], normal[..., 2] = slope[None], 1.0
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    start = truth.astype(np.float32)
    depth = integrate(
        [Sheet(normal, np.ones((80, 80), bool), camera, Bounds(near, near + 1.0), start=start)], pull=1e-4
    )[0]
    assert depth[40, 45] - depth[40, 35] == pytest.approx(truth[40, 45] - truth[40, 35], abs=0.03)


# -- surface, colours, splats ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def carved(drawn: Views) -> Shape:
    hull = RECIPE.step("hull").run(
        {"views_read": drawn}, RECIPE.step("hull").make_params({"voxel": 16}), Context("hull")
    )
    values = {"resolution": 128, "voxel": 12, "faces": 6000, "rounds": 3, "smoothing": 6}
    made = surface.run({"views_read": drawn, "hull": hull}, surface.make_params(values), Context("surface"))
    assert isinstance(made, Shape)
    return made


def test_the_carved_surface_is_closed_and_fits_outlines_and_normals(drawn: Views, carved: Shape) -> None:
    assert is_closed_manifold(carved.faces, len(carved.vertices))
    for row in agreement(carved.vertices, carved.faces, drawn.views):
        assert row["iou"] > 0.96 and row["normal_deg"] < 10.0, row
    from scipy.spatial import cKDTree

    distance = cKDTree(carved.vertices).query(figure()[0])[0]
    assert np.median(distance) < 0.012


def test_a_piece_apart_is_kept_when_triangles_become_fewer() -> None:
    from pipelines.views.sculpted_surface import fewer, head_of

    large, small = ball(60, (0.25, 0.5, 0.2)), ball(30, (0.05, 0.06, 0.07), (0.5, 0.5, 0.0))
    vertices = np.concatenate([large[0], small[0]])
    faces = np.concatenate([large[1], small[1] + len(large[0])])
    made, triangles = fewer(vertices, faces, 3000, head_of(vertices, 2.0))
    assert is_closed_manifold(triangles, len(made)) and len(triangles) < 4000
    for points in (made[made[:, 0] < 0.4], made[made[:, 0] > 0.4]):
        assert len(points) > 50
    np.testing.assert_allclose(made.max(0), vertices.max(0), atol=0.01)


def test_the_same_views_give_the_same_bytes(drawn: Views) -> None:
    clue = clues_of(drawn.whole[:1], 96)[0]
    near = np.where(clue.mask, 1999.5, 0.0)
    sheet = Sheet(clue.normal, clue.mask, clue.camera, Bounds(near, near + clue.mask))
    assert integrate([sheet])[0].tobytes() == integrate([sheet])[0].tobytes()


def test_bending_recovers_normals_and_outlines(drawn: Views) -> None:
    vertices, faces = ball()
    views = draw_views(vertices, faces, np.ones_like(vertices), size=160)
    noise = np.random.default_rng(1).normal(0, 0.004, vertices.shape)
    rough = vertices * (0.97, 1.0, 0.97) + noise
    before = agreement(rough, faces, views.views)
    after = agreement(refine(rough, faces, views.views, 3), faces, views.views)
    for a, b in zip(before, after, strict=True):
        assert b["normal_deg"] < 0.6 * a["normal_deg"] and b["iou"] > a["iou"] and b["iou"] > 0.975


def test_a_hem_keeps_its_edge_when_it_is_bent() -> None:
    # Half of a ball, closed by a flat underside that level views do not show.
    vertices, faces = ball(32)
    half = np.column_stack([vertices[:, 0], np.maximum(vertices[:, 1], 0.5), vertices[:, 2]])
    views = draw_views(half, faces, np.ones_like(half), size=192)
    bent = refine(half, faces, views.views, 4)
    rim = np.isclose(vertices[:, 1], 0.5)
    assert rim.sum() > 30
    assert np.linalg.norm(bent - half, axis=1)[rim].max() < 0.004
    assert np.ptp(bent[half[:, 1] == 0.5][:, 1]) < 0.003


def test_every_edge_has_its_two_faces() -> None:
    i, j = face_pairs(np.array([[0, 1, 2], [2, 1, 3], [3, 1, 0], [0, 2, 3]], np.int32))
    pairs = np.sort(np.stack([i, j], 1), 1).tolist()
    assert sorted(map(tuple, pairs)) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_colours_come_from_the_view_that_sees_and_spread_to_what_none_sees(drawn: Views) -> None:
    from pipelines.views.colour import pictures

    vertices, faces, colours = figure()
    found = vertex_colours(vertices, faces, pictures(drawn.views, 4.0))
    wrong = np.abs(found - colours).max(1)
    assert np.median(wrong) < 0.03 and np.isfinite(found).all()
    assert found.min() >= 0 and found.max() <= 1


def test_a_white_rim_is_not_taken_for_the_person() -> None:
    rgba = np.ones((40, 40, 4), np.float32)
    rgba[..., 3] = 0
    rgba[8:32, 8:32] = (0.2, 0.3, 0.4, 1.0)
    rgba[8:32, 8:10, :3] = 1.0
    rgba[18:22, 18:22, :3] = 1.0  # a white button inside stays
    alpha = without_background(rgba)
    assert (alpha[8:32, 8:10] == 0).all() and (alpha[8:32, 10:32] == 1).all()


def test_a_triangle_becomes_a_gaussian_of_its_own_spread() -> None:
    corners = np.array([[[0, 0, 0], [0.6, 0, 0], [0, 0.3, 0]]], float)
    splat = flat_gaussians(corners, np.full((1, 3), 0.5), np.zeros(1, np.uint8), 1.0)
    generator = np.random.default_rng(2)
    u, v = generator.random((2, 200000))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    points = np.stack([0.6 * u, 0.3 * v], 1)
    values = np.linalg.eigvalsh(np.cov(points.T))[::-1]
    np.testing.assert_allclose(np.square(splat.scales[0, :2]), values, rtol=0.02)
    np.testing.assert_allclose(splat.means[0], [0.2, 0.1, 0], atol=1e-6)
    four = quarters(corners)
    np.testing.assert_allclose(
        np.linalg.norm(np.cross(four[:, 1] - four[:, 0], four[:, 2] - four[:, 0]), axis=1), 0.045
    )


# -- two views of one place, and what few views show ------------------------------------------------------------------


def true_depths(clues: list[Clue], vertices: np.ndarray, faces: np.ndarray) -> list[np.ndarray]:
    """What every view would show of a mesh."""
    found = [rasterise_mesh(vertices, faces, c.camera).depth for c in clues]
    return [np.where(c.mask, d, 0.0).astype(np.float32) for c, d in zip(clues, found, strict=True)]


@pytest.mark.parametrize("off", [0.08, -0.08])
def test_other_views_tell_how_deep_a_view_lies(drawn: Views, off: float) -> None:
    vertices, faces, _ = figure()
    clues = clues_of(drawn.views, 96)
    true = true_depths(clues, vertices, faces)
    wrong = [np.where((d > 0) & (i % 2 == 0), d + np.float32(off), d).astype(np.float32) for i, d in enumerate(true)]
    limits = [Bounds(np.where(d > 0, d - 0.5, 0.0), np.where(d > 0, d + 0.5, 0.0)) for d in true]
    told = stereo(clues, wrong, limits, 0.3, 0.03, 1.0)
    for clue, known, depth in zip(clues, told, true, strict=True):
        assert known is not None
        sure = (known.weight > 0.1) & (depth > 0)
        assert sure.sum() > 0.3 * clue.mask.sum()
        error = np.abs(known.depth - depth)[sure]
        assert np.median(error) < 0.012 and (error > 0.05).mean() < 0.05


def test_views_without_normals_tell_no_depth(drawn: Views) -> None:
    clues = [replace(c, normal=None) for c in clues_of(drawn.views, 48)]
    empty = np.zeros(clues[0].mask.shape, np.float32)
    assert stereo(clues, [None] * 4, [Bounds(empty, empty)] * 4, 0.3, 0.03, 1.0) == [None] * 4


def test_a_sheet_that_other_views_do_not_show_is_kept() -> None:
    trunk, sheet = ball(24, (0.22, 0.45, 0.15), (0, 0.45, 0)), ball(24, (0.12, 0.12, 0.008), (-0.26, 0.5, 0.05))
    vertices = np.concatenate([trunk[0], sheet[0]])
    faces = np.concatenate([trunk[1], sheet[1] + len(trunk[0])])
    colours = np.full(vertices.shape, 0.5)
    # One height of the picture for both, or the two sets would not be of one scale.
    whole, bare = (clues_of(draw_views(vertices, f, colours, size=192).views, 160) for f in (faces, trunk[1]))
    clues = [whole[0], bare[1], whole[2], bare[3]]
    with_it, without = true_depths(whole, vertices, faces), true_depths(bare, vertices, trunk[1])
    depths = [with_it[0], without[1], with_it[2], without[3]]
    low, high = vertices.min(0) - 0.05, vertices.max(0) + 0.05
    solid = fuse(clues, depths, [Outline(c.mask, c.camera) for c in clues], low, high, 0.008)
    for i in (0, 2):
        assert overlap(rasterise_mesh(*extract(solid), clues[i].camera).mask, clues[i].mask) > 0.98


# -- the meter ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", range(4))
def test_the_meter_names_the_turned_view(wrong: int) -> None:
    vertices, faces, colours = figure()
    views = draw_views(vertices, faces, colours, size=200).views
    other = draw_views(turned(vertices, 35.0), faces, colours, size=200).views
    mixed = [other[i] if i == wrong else v for i, v in enumerate(views)]
    margin = 0.05
    found = blames(mixed, vertices.min(0) - margin, vertices.max(0) + margin, rows=64)
    assert int(np.argmax(found)) == wrong, found


def test_an_agreeing_set_has_no_odd_view_out(drawn: Views) -> None:
    vertices, faces, _ = figure()
    rows = agreement(vertices, faces, drawn.views)
    assert min(r["iou"] for r in rows) > 0.99 and max(r["normal_deg"] for r in rows) < 2.0
    half = agreement(vertices, faces, draw_views(*figure(), size=96).views)
    assert max(abs(a["iou"] - b["iou"]) for a, b in zip(rows, half, strict=True)) < 0.01


# -- the whole ------------------------------------------------------------------------------------------------------


def test_the_recipe_runs_from_a_folder_through_the_executor(
    drawn: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.records import Mesh, Splats
    from pipelines.run import Executor, create_run
    from pipelines.store import Store

    for name, data in synchuman_folder(drawn).items():
        (tmp_path / name).write_bytes(data)
    upload = pack(tmp_path)
    settings = {
        "hull": {"voxel": 24}, "surface": {"resolution": 96, "voxel": 24, "faces": 2000, "rounds": 1},
        "consistency": {"leave_out": False}, "mesh": {"texture": 256}, "splats": {"count": 4000},
        "turntable": {"frames": 2, "size": 64},
    }  # fmt: skip
    store = Store(tmp_path / "store")
    run = create_run(tmp_path / "run", upload, "views", settings=settings)
    Executor(run, store, upload).execute("turntable")
    mesh, splats = run.record("mesh", store), run.record("splats", store)
    assert isinstance(mesh, Mesh) and isinstance(splats, Splats)
    assert np.ptp(mesh.vertices[:, 1]) == pytest.approx(1.7, abs=0.05) and abs(mesh.vertices[:, 1].min()) < 0.03
    assert is_closed_manifold(mesh.weld[mesh.faces], len(mesh.vertices))
    hand = splats.means[splats.means[:, 2] > 0.32 * 1.7 / 1.15]
    assert len(hand) == 0 or (hand[:, 0] < 0).all()  # the hand is before the person's right side
    assert set(np.unique(mesh.seen)) >= {0, 2}

    def nobody(*given: object) -> None:
        raise UserError("Nobody was found.")

    monkeypatch.setattr("pipelines.person.looked_at", nobody)
    again = create_run(tmp_path / "again", upload, "views", settings=settings)
    with pytest.raises(UserError, match=r"Nobody was found.*--until turntable"):
        Executor(again, store, upload).execute()
    assert [s.state for s in again.steps[:8]] == ["reused"] * 8 and again.step("person").state == "failed"


def test_views_without_normals_are_carved_with_a_warning() -> None:
    sides = [(f"az {a}", float(a)) for a in range(0, 360, 45)]
    views = draw_views(*figure(), sides=sides, size=96, with_normals=False)
    context = Context("views.read")
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for view in views.views:
            archive.writestr(f"az{view.label[3:]}.png", png(view.rgba))
    read = views_read.run({"upload": Upload(data.getvalue(), "t.zip")}, views_read.make_params({}), context)
    assert len(context.warnings) == 1 and "outlines alone" in context.warnings[0]
    hull = RECIPE.step("hull").run(
        {"views_read": read}, RECIPE.step("hull").make_params({"voxel": 24}), Context("hull")
    )
    made = surface.run(
        {"views_read": read, "hull": hull}, surface.make_params({"voxel": 24, "resolution": 96}), Context("s")
    )
    assert isinstance(made, Shape) and isinstance(read, Views)
    assert min(r["iou"] for r in agreement(made.vertices, made.faces, read.views)) > 0.93


# -- the judge ------------------------------------------------------------------------------------------------------


def test_the_judge_measures_what_was_done_to_a_shape() -> None:
    from benchmarks.seen_surface import Side, cameras_around, compared, mesh_sides

    vertices, faces = ball(48, (0.3, 0.5, 0.3))
    empty = np.zeros((400, 400))
    cameras = cameras_around(vertices.min(0) - 0.05, vertices.max(0) + 0.05, size=400)
    like = [Side(camera, empty, np.zeros((400, 400, 3))) for camera in cameras]
    truth = mesh_sides(vertices, faces, like)
    same = compared(truth, truth, 1.0)
    assert same["chamfer_pct"] == 0.0 and same["normal_deg"] < 0.1 and same["iou"] == 1.0
    normals = vertices - (0.0, 0.5, 0.0)
    normals /= np.square((0.3, 0.5, 0.3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    grown = compared(mesh_sides(vertices + 0.02 * normals, faces, like), truth, 1.0)
    assert grown["chamfer_pct"] == pytest.approx(2.0, abs=0.1) and grown["iou"] < 0.95
    ripples = 0.008 * np.sin(20.0 * vertices[:, 1:2])
    rough = compared(mesh_sides(vertices + ripples * normals, faces, like), truth, 1.0)
    slope = np.degrees(np.arctan(20.0 * 0.008)) * 2.0 / np.pi
    assert rough["normal_deg"] == pytest.approx(slope, rel=0.3) and rough["normal_between_deg"] > 0.5 * slope
