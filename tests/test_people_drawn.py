"""Pictures and truth of synthetic people: one renderer against a slow twin, cameras, conventions, the same bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from pipelines.body.read_body import make_body, posed, to_world, vertices_cam, vertices_world
from pipelines.body.rig import default_rig
from pipelines.geometry.cameras import Camera, intrinsics, look_at
from pipelines.geometry.mesh_raster import rasterise_mesh, vertex_normals
from pipelines.geometry.mesh_raster_twin import rasterise_layers_twin
from pipelines.geometry.rotations import matrix_from_rotation_vector
from pipelines.projection.body_mesh import body_mesh
from pipelines.records import Upload
from training.people.background import KINDS, behind, composed
from training.people.decals import Frame, borders, decals_of, painted
from training.people.draw import photographed, view_of
from training.people.fabric import PATTERNS, drawn, encoded, linear
from training.people.figure import Figure, Material, Part
from training.people.lens import developed, jpeg
from training.people.light import lights_of
from training.people.ortho import as_picture, ortho_views
from training.people.outer_surface import occupancy, outer_surface
from training.people.raster import alpha_at
from training.people.scene import Scene, cover, scene_of
from training.people.subjects import portrait
from training.people.texture import pyramid
from training.people.truth import seen_by
from training.people.views import orbit, shot

ROOT = Path(__file__).resolve().parent.parent


def plain_figure(seed: int = 0) -> Figure:
    """A bald person in a striped shirt, the LEFT arm raised: no pack is needed, and no mirror image is equal to it."""
    rig = default_rig()
    rotations = np.tile(np.eye(3), (rig.bone_count, 1, 1))
    rotations[rig.bone("upperarm01.L")] = matrix_from_rotation_vector(np.array([0.0, 0.0, -1.6]))
    body = make_body(
        rotations=rotations, root_translation=np.array([0.0, 0.0, 3.0]), phenotypes=rig.default_phenotypes(),
        length_scales=np.zeros(9), K=intrinsics(512, 512, 40), image_size=(512, 512), pitch=0.0,
        texts={"source": "test", "source_version": "1"}, rig=rig,
    )  # fmt: skip
    vertices = vertices_world(body)
    hidden = np.zeros(rig.vertex_count, bool)
    hidden[rig.vertices_of("inside")] = True
    keep = ~hidden[rig.faces].any(1)
    uv, faces, uv_faces = rig.uv.astype(np.float32), rig.faces.astype(np.int32), rig.uv_faces.astype(np.int32)
    skin = Part("skin", vertices, faces[keep], uv, uv_faces[keep], Material("skin"))
    covered = np.isin(rig.part, [rig.part_names.index(n) for n in ("torso", "upper_arm_left", "upper_arm_right")])
    shirt_faces = covered[rig.faces].all(1) & keep
    outwards = (vertices + 0.015 * vertex_normals(vertices, rig.faces)).astype(np.float32)
    pattern = {"name": "stripes", "colours": [(0.2, 0.3, 0.6), (0.9, 0.9, 0.85)], "period_m": 0.06}
    shirt = Part("top", outwards, faces[shirt_faces], uv, uv_faces[shirt_faces],
                 Material("cloth", pattern=pattern, metres_per_uv=1.8), two_sided=True)  # fmt: skip
    return Figure(seed, (skin, shirt), body, {"height_m": 1.7})


@pytest.fixture(scope="module")
def figure() -> Figure:
    return plain_figure()


@pytest.fixture(scope="module")
def scene(figure: Figure) -> Scene:
    return scene_of(figure, None, lights_of(np.random.default_rng(1), 0.0), halved=True)


def camera_of(size: int, azimuth: float = 25.0, elevation: float = 6.0) -> Camera:
    return Camera(intrinsics(size, size, 42), size, size, look_at(np.array([0.0, 0.9, 0.0]), 2.7, azimuth, elevation))


def test_truth_equals_the_slow_twin(scene: Scene) -> None:
    """Depths of both layers, normals and labels at pixel centres, where a plain raster sees the same face."""
    keep = np.random.default_rng(0).permutation(len(scene.faces))[:2500]
    small = dataclasses.replace(
        scene, faces=scene.faces[keep], uv=scene.uv[keep], owner=scene.owner[keep], label=scene.label[keep],
        areas=scene.areas[keep],
    )  # fmt: skip
    camera = camera_of(48)
    first, last = rasterise_layers_twin(small.points, small.faces, camera)
    view = view_of(small, camera)
    # The twin snaps to 1/1024 px, the renderer to 1/512: a few pixels at edges may differ.
    assert ((view.first > 0) != first.mask).mean() < 0.003
    both = (view.first > 0) & first.mask & (np.abs(view.first - first.depth) < 0.005)
    assert both.sum() > 0.98 * first.mask.sum()
    assert np.abs(view.first - first.depth)[both].max() < 5e-4
    near = both & (np.abs(view.last - last.depth) < 0.005)
    assert near.sum() > 0.97 * both.sum()
    face = first.face_id[both]
    assert (view.label[both] == small.label[face]).mean() > 0.99
    weights = first.barycentric[both][..., None]
    expected = (small.normals[small.faces[face]] * weights).sum(1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert (np.abs((expected * view.normal[both]).sum(1)) > 0.999).mean() > 0.98
    place = (small.uv[face] * weights).sum(1)
    assert (np.abs(place - view.uv[both]).max(1) < 2e-3).mean() > 0.98


def test_a_view_is_consistent(scene: Scene) -> None:
    view = view_of(scene, camera_of(160))
    inside = view.first > 0
    assert inside.sum() > 1500
    assert (view.last[inside] >= view.first[inside] - 1e-4).all() and ((view.last > 0) == inside).all()
    assert (view.label == 255).sum() == (~inside).sum()
    assert np.allclose(np.linalg.norm(view.normal[inside], axis=1), 1, atol=1e-4)
    row, column = np.nonzero(inside)
    points = view.camera.unproject(np.stack([column, row], 1) + 0.5, view.first[inside])
    towards = view.camera.position - points
    facing = (view.normal[inside] * towards).sum(1) / np.linalg.norm(towards, axis=1)
    # Interpolated normals may lean a little away at the rim.
    assert (facing > -0.2).mean() > 0.995
    nearest = trimesh.proximity.ProximityQuery(trimesh.Trimesh(scene.points, scene.faces, process=False))
    chosen = np.random.default_rng(0).permutation(len(points))[:200]
    assert nearest.vertex(points[chosen])[0].max() < 0.05
    names = {scene.label_names[v] for v in np.unique(view.label[inside])}
    assert {"top", "face", "thigh_left", "thigh_right", "hand_left"} <= names


def test_alpha_is_straight(scene: Scene) -> None:
    """Colours at the rim are the person's own: not darker than inside, whatever alpha is."""
    bright = dataclasses.replace(
        scene, light=np.ones_like(scene.light) * np.float32(1.0), look=np.zeros_like(scene.look),
        texels=np.full_like(scene.texels, 200),
    )  # fmt: skip
    view = view_of(bright, camera_of(96))
    some = view.rgba[..., 3] > 0
    rim = some & (view.rgba[..., 3] < 0.9)
    assert rim.sum() > 100
    assert np.abs(view.rgba[some][:, :3] - 200 / 255).max() < 2e-3
    assert (view.rgba[~some] == 0).all() and view.rgba[..., 3].max() == 1.0


def test_alpha_follows_a_finer_picture(scene: Scene) -> None:
    """Coverage of a pixel is that of an eight times finer picture under the same tent."""
    camera = camera_of(64)
    fine = photographed(scene, camera.resized(512, 512)).first > 0
    tent = np.minimum(np.arange(1, 17), np.arange(16, 0, -1)).astype(np.float64)
    padded = np.pad(fine.astype(np.float64), 4)
    wide = np.stack([padded[:, 8 * i : 8 * i + 16] @ tent for i in range(64)], 1)
    expected = np.stack([tent @ wide[8 * i : 8 * i + 16] for i in range(64)]) / tent.sum() ** 2
    found = view_of(scene, camera).rgba[..., 3]
    assert np.abs(found - expected).mean() < 0.01
    assert abs(found.sum() / expected.sum() - 1) < 0.01


def test_hair_cards_have_holes() -> None:
    """A card whose texture is half transparent covers half; hashed thresholds give soft tips."""
    corners = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0.5, 1, 0], [-0.5, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    base = plain_figure()
    card = Part("hair", corners, faces, uv, faces, Material("hair", cutout=0.45), True)
    made = scene_of(dataclasses.replace(base, parts=(card,)), None, lights_of(np.random.default_rng(0), 0.0))
    image = np.full((64, 64, 4), 128, np.uint8)
    image[:32, :, 3], image[32:, :, 3] = 0, 255
    texels, levels = pyramid([image])
    camera = Camera(intrinsics(64, 64, 40), 64, 64, look_at(np.array([0.0, 0.5, 0.0]), 1.6, 0, 0))
    half = view_of(dataclasses.replace(made, texels=texels, pyramid=levels), camera).first
    whole = view_of(dataclasses.replace(made, cut=np.zeros(1, np.float32)), camera).first
    assert 0.45 < (half > 0).sum() / (whole > 0).sum() < 0.55
    assert (half[36:48, 32] > 0).all() and (half[18:30, 32] == 0).all()  # the lower half is opaque
    image[..., 3] = 115
    texels, levels = pyramid([image])
    soft = view_of(dataclasses.replace(made, texels=texels, pyramid=levels), camera).first
    assert 0.3 < (soft > 0).sum() / (whole > 0).sum() < 0.7
    assert alpha_at(texels, 0, 64, 64, 0.5, 0.5) == pytest.approx(115 / 255)


def test_cameras_are_hgms() -> None:
    """409 px at 512, two metres from the pelvis, elevation 0; the first on the photo's side, the fourth 90 degrees on."""
    pelvis = np.array([0.1, 0.95, -0.2])
    cameras = orbit(pelvis, 30.0, 12, 256)
    assert len(cameras) == 12
    for k, camera in enumerate(cameras):
        heading = np.radians(30.0 + 30.0 * k)
        assert np.allclose(camera.position, pelvis + 2.0 * np.array([np.sin(heading), 0, np.cos(heading)]))
        pixel, depth = camera.project(pelvis[None])
        assert np.allclose(pixel, 128) and np.allclose(depth, 2.0)
        above, _ = camera.project(pelvis[None] + [[0, 1.0, 0]])
        assert np.allclose(above[0], [128, 128 - 204.5 / 2])


def test_the_shot_is_as_asked(figure: Figure) -> None:
    points = figure.parts[0].vertices.astype(np.float64)
    cut = 0
    for seed in range(40):
        taken = shot(np.random.default_rng(seed), points, None)
        camera = taken.camera
        assert 25 <= taken.fov <= 65 and 768 <= max(camera.width, camera.height) <= 1280
        pixels, depth = camera.project(points)
        low, high = pixels.min(0), pixels.max(0)
        assert (depth > 0.3).all() and (taken.cut or (low[0] >= -2 and high[0] <= camera.width + 2))
        assert taken.fov == pytest.approx(
            2 * np.degrees(np.arctan(max(camera.width, camera.height) / 2 / camera.K[0, 0]))
        )
        if taken.cut:
            cut += 1
            assert high[1] > camera.height
        else:
            assert low[1] >= -2 and high[1] <= camera.height + 2
            # Wide people in tall pictures are limited by the width.
            filled = (high[1] - low[1]) / camera.height, (high[0] - low[0]) / camera.width
            assert abs(filled[0] - taken.fill) < 0.04 or abs(filled[1] - 0.92) < 0.04
    assert 0 < cut < 12


def test_the_true_body_is_the_photos(figure: Figure, scene: Scene) -> None:
    """The record in the photo's camera has the same vertices, joints that project onto the picture, and its camera."""
    camera = shot(np.random.default_rng(3), scene.points.astype(np.float64), 40.0, 256).camera
    body = seen_by(figure.body, camera)
    assert np.allclose(body.camera.world_to_camera, camera.world_to_camera) and np.allclose(body["K"], camera.K)
    assert np.abs(vertices_world(body) - vertices_world(figure.body)).max() < 2e-5
    assert np.abs(to_world(body, body["body22_cam"]) - to_world(figure.body, figure.body["body22_cam"])).max() < 2e-5
    seen, _ = camera.project(to_world(figure.body, figure.body["joints_cam"]))
    assert np.abs(seen - body["joints_px"]).max() < 0.05
    assert np.abs(posed(body).vertices - camera.to_camera(vertices_world(figure.body))).max() < 2e-5
    assert vertices_cam(body)[:, 2].min() > 0


@pytest.mark.parametrize("seed", [3, 40])
def test_the_true_body_lies_in_the_rendered_person(seed: int) -> None:
    """Body and parts share one frame: no limb of the body shows outside the person's silhouette."""
    made = portrait(seed, long_side=256)
    body = seen_by(made.figure.body, made.shot.camera)
    pixels, _ = body.camera.project(to_world(body, body["body22_cam"]))
    inside = (pixels > 0).all(1) & (pixels < (body.camera.width, body.camera.height)).all(1)
    x, y = pixels[inside].astype(int).T
    assert (made.photo.first[y, x] > 0).all()
    mesh = body_mesh(body)
    drawn = rasterise_mesh(mesh.vertices, mesh.faces, body.camera)
    outside = drawn.mask & ~(made.photo.first > 0)
    assert outside.sum() < 0.01 * drawn.mask.sum(), outside.sum() / drawn.mask.sum()


def test_outer_surface_is_watertight(scene: Scene) -> None:
    surface = outer_surface(scene, voxel=0.02)
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent and 0.05 < mesh.volume < 0.12
    shirt = scene.points[np.unique(scene.faces[scene.owner == 1])]
    on_surface = cKDTree(cover(surface.vertices, surface.faces, 0.004))
    distance = on_surface.query(shirt[::20])[0]
    # Where the shirt is outermost it lies on the surface; within armpits and under hems it is inside.
    assert np.median(distance) < 0.008 and np.percentile(distance, 90) < 0.02


def test_orthographic_views_are_synchumans(scene: Scene) -> None:
    """Silhouettes of 0 and 2, and of 1 and 3, coincide because 2 and 3 are mirrored; normals keep the front's frame."""
    views = ortho_views(scene, 0.0, 96)
    mask = views.colour[..., 3] > 0.5

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        return float((a & b).sum() / (a | b).sum())

    assert overlap(mask[0], mask[2]) > 0.97 and overlap(mask[1], mask[3]) > 0.97
    assert overlap(mask[0], mask[2][:, ::-1]) < 0.85
    rows = np.flatnonzero(mask[0].any(1))
    assert rows[0] <= 1 and rows[-1] >= 94
    # The raised left hand is on the right of the front picture, above the head's middle.
    high = np.argwhere(mask[0][:20])
    assert high[:, 1].max() > 70 and high[:, 1].min() > 25
    # View 1 shows the person's left side: she faces the left border, so toes point there.
    feet = np.argwhere(mask[1][88:94])[:, 1]
    legs = np.argwhere(mask[1][70:78])[:, 1]
    assert feet.min() < legs.min() - 3
    n = views.normal
    assert n[0][mask[0]][:, 2].mean() > 0.5 and n[2][mask[2]][:, 2].mean() < -0.5  # front and back, one frame
    assert n[1][mask[1]][:, 0].mean() > 0.5 and n[3][mask[3]][:, 0].mean() < -0.5  # the left side's normals go to +x
    picture = as_picture(n)
    assert (picture[0][~mask[0] & (np.abs(n[0]).sum(-1) == 0)] == 1).all()
    # The person turned by 90 degrees: the view from there is the front.
    turned = ortho_views(scene, 90.0, 96)
    assert overlap(turned.colour[0, ..., 3] > 0.5, mask[1]) > 0.9
    assert turned.normal[0][turned.colour[0, ..., 3] > 0.5][:, 2].mean() > 0.5
    with pytest.raises(ValueError, match="divisible by 3"):
        ortho_views(scene, 0.0, 100)


def test_occupancy_projects_onto_the_views(scene: Scene) -> None:
    views = ortho_views(scene, 20.0, 192)
    filled = occupancy(outer_surface(scene, voxel=0.02), views.to_cube)
    assert filled.shape == (64, 64, 64) and 1500 < filled.sum() < 12000
    front = filled.any(1)[:, ::-1].T  # rows = top to bottom, columns = x
    seen = views.colour[0, ..., 3].reshape(64, 3, 64, 3).mean((1, 3)) > 0.3
    assert (front & seen).sum() / (front | seen).sum() > 0.8


def test_light_is_soft_and_even(scene: Scene) -> None:
    """Armpits and the inside of the legs are darker than shoulders; the back is as bright as the front."""
    light = scene.light[:, 1]
    assert np.isfinite(scene.light).all() and light.min() >= 0 and 0.9 < np.percentile(light, 80) < 1.1
    facing = scene.normals[:, 2]
    front, back = light[facing > 0.7].mean(), light[facing < -0.7].mean()
    assert 0.8 < back / front < 1.25
    rig = default_rig()
    shoulders = light[: rig.vertex_count][(scene.normals[: rig.vertex_count, 1] > 0.8)]
    under = light[: rig.vertex_count][(scene.normals[: rig.vertex_count, 1] < -0.6)]
    assert under.mean() < 0.8 * shoulders.mean()


def test_points_cover_faces() -> None:
    points = np.array([[0, 0, 0], [0.3, 0, 0], [0, 0.2, 0]], np.float32)
    spread = cover(points, np.array([[0, 1, 2]], np.int32), 0.015)
    rng = np.random.default_rng(0)
    s, t = rng.random(500), rng.random(500)
    s, t = np.where(s + t > 1, 1 - s, s), np.where(s + t > 1, 1 - t, t)
    inside = points[0] + s[:, None] * (points[1] - points[0]) + t[:, None] * (points[2] - points[0])
    assert cKDTree(spread).query(inside)[0].max() < 0.016


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_are_drawn(name: str) -> None:
    recipe = {"name": name, "colours": [(0.8, 0.1, 0.1), (0.1, 0.1, 0.8), (0.1, 0.7, 0.2), (0.9, 0.9, 0.9)]}
    image = drawn(recipe, None, 1.5, 96)
    assert image.shape == (96, 96, 3) and np.isfinite(image).all() and image.min() >= 0
    assert np.array_equal(image, drawn(recipe, None, 1.5, 96))
    ratio = image[..., 2] / image[..., 0]  # the grain scales all channels, only the drawing changes the hue
    assert np.ptp(ratio) < 1e-3 if name == "plain" else np.ptp(ratio) > 0.1


def test_stripes_have_their_true_size() -> None:
    image = drawn({"name": "stripes", "colours": [(1, 1, 1), (0, 0, 0)], "period_m": 0.1}, None, 1.0, 500)
    column = image[:, 250, 1] > 0.5
    assert 9 <= (np.diff(column.astype(int)) == 1).sum() <= 11  # ten repeats in a metre, level
    assert (image[:, :, 1] > 0.5).mean(1).round().sum() == pytest.approx(250, abs=30)
    turned = drawn(
        {"name": "stripes", "colours": [(1, 1, 1), (0, 0, 0)], "period_m": 0.1, "turned": True}, None, 1.0, 500
    )
    assert np.abs(turned[..., 1].mean(1) - turned[..., 1].mean()).max() < 0.1
    for wrong in ({"name": "tweed"}, {"weave": "steel"}):
        with pytest.raises(ValueError, match="needs one of"):
            drawn(wrong, None, 1.0, 8)


def test_encoding_is_srgb() -> None:
    values = np.linspace(0, 1, 4001).astype(np.float32)
    assert np.abs(encoded(linear(values)) - values).max() < 2e-5


def test_seams_and_prints_are_sewn(figure: Figure) -> None:
    shirt = figure.parts[1]
    _, hems = borders(shirt)
    assert len(hems) > 40 and shirt.uv[hems].shape[1:] == (2, 2)
    plain = dataclasses.replace(shirt, material=Material("cloth", pattern={"decals": ["logo_chest", "pockets_back"]}))
    found = decals_of(plain, figure)
    assert [d.shape for d in found][1:] == ["pocket", "pocket"]
    white = np.full((512, 512, 4), 255, np.uint8)
    ink = dataclasses.replace(found[0], shape="box", colour=(0.0, 0.0, 0.0))
    assert painted(white, shirt, ink)
    inked = np.argwhere(white[..., 0] < 128)
    assert len(inked) > 20
    # The logo sits on the person's left breast, in front.
    at = (inked.mean(0) + 0.5) / 512
    near = np.linalg.norm(shirt.uv[shirt.uv_faces].mean(1) - (at[1], 1 - at[0]), axis=1).argmin()
    place = shirt.vertices[shirt.faces[near]].mean(0) - Frame.of(figure).chest
    assert place[0] > 0.03 and place[2] > 0.05 and abs(place[1]) < 0.1


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_backgrounds_and_camera(scene: Scene, kind: str) -> None:
    camera = shot(np.random.default_rng(2), scene.points.astype(np.float64), 0.0, 160).camera
    picture = photographed(scene, camera)
    images = [behind(kind, camera, scene.occluders, scene.lights.keys[0], np.random.default_rng(4)) for _ in range(2)]
    assert np.array_equal(*images) and images[0].shape == (camera.height, camera.width, 3)
    assert np.isfinite(images[0]).all() and images[0].min() >= 0 and images[0].mean() > 0.01
    pixels = developed(composed(picture.linear, images[0]), np.random.default_rng(5))
    assert pixels.dtype == np.uint8 and pixels.shape == images[0].shape
    again = jpeg(pixels, np.random.default_rng(6))
    assert again == jpeg(pixels, np.random.default_rng(6)) and again[:2] == b"\xff\xd8"
    if kind == "studio":
        # A contact shadow: the floor is darker beside the soles than two metres away from them.
        empty = behind(kind, camera, scene.occluders[:1] + 50.0, scene.lights.keys[0], np.random.default_rng(4))
        assert (images[0] / empty).min() < 0.75 and np.median(images[0] / empty) > 0.97


SCRIPT = """
import hashlib, sys
import numpy as np
from training.people.payload import payload
made = payload(int(sys.argv[1]), views=3, size=96, photo_side=160)
digest = hashlib.sha256(made.pixels.tobytes())
for stack in (made.photo, made.views):
    for name in ("rgba", "first", "last", "normal", "label", "uv"):
        digest.update(np.ascontiguousarray(getattr(stack, name)).tobytes())
digest.update(made.body["rotations"].tobytes())
print(digest.hexdigest())
"""


def test_two_processes_make_the_same_bytes() -> None:
    environment = {**os.environ, "HUMANSCOPE_MAKEHUMAN": "", "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    running = [subprocess.Popen([sys.executable, "-c", SCRIPT, "7"], cwd=ROOT, env={**environment, "PYTHONHASHSEED": h},
                                stdout=subprocess.PIPE, text=True) for h in ("1", "2")]  # fmt: skip
    answers = [p.communicate()[0].strip() for p in running]
    assert answers[0] == answers[1] and len(answers[0]) == len(hashlib.sha256().hexdigest())


def test_subject_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol of an evaluation, without the pack; seeds that do not exist are refused."""
    import training.people
    from pipelines.photo import decode

    monkeypatch.setenv("HUMANSCOPE_MAKEHUMAN", "")
    made = training.people.subject(9001, views=2, size=64)
    rgb, alpha, _ = decode(made.upload.data, 4096)
    height, width = made.photo.first.shape
    assert rgb.shape == (height, width, 3) and alpha is None and made.photo.camera.width == width
    assert len(made.views) == 2 and made.views[0].rgba.shape == (64, 64, 4)
    assert np.allclose(made.body.camera.world_to_camera, made.photo.camera.world_to_camera)
    assert trimesh.Trimesh(made.surface.vertices, made.surface.faces, process=False).is_watertight
    assert made.facts["seed"] == 9001 and made.facts["split"] == "test" and made.facts["azimuth"] is not None
    known = training.people.facts(9001)
    assert known.items() <= made.facts.items() and json.loads(json.dumps(known)) == known
    with pytest.raises(ValueError, match="no person"):
        training.people.subject(10000)


def test_an_estimate_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Figure) -> None:
    """A second question is answered from the folder, a refusal too, and new code asks anew."""
    from training.people import estimate

    monkeypatch.setenv("HUMANSCOPE_MAKEHUMAN", "")
    asked: list[bytes] = []

    def answer(upload: Upload) -> estimate.Estimate:
        asked.append(upload.data)
        return estimate.Estimate(figure.body, "") if len(asked) == 1 else estimate.Estimate(None, "Nobody was found.")

    monkeypatch.setattr(estimate, "estimated", answer)
    first, again = estimate.estimate_of(4, tmp_path), estimate.estimate_of(4, tmp_path)
    assert len(asked) == 1 and asked[0][:2] == b"\xff\xd8" and first.body is not None and again.body is not None
    assert np.array_equal(first.body["rotations"], again.body["rotations"])
    monkeypatch.setattr(estimate, "code_version", lambda pack: "other")
    assert estimate.estimate_of(4, tmp_path).refusal == estimate.estimate_of(4, tmp_path).refusal == "Nobody was found."
    assert len(asked) == 2 and not list(tmp_path.glob(".making-*"))
