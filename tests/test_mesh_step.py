"""The step `mesh` on a person of capsules whose every splat, layer and pixel is known."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import trimesh

from pipelines.geometry.cameras import Camera, intrinsics, look_at
from pipelines.geometry.mesh_picture import render_mesh
from pipelines.geometry.rotations import quaternion_from_matrix
from pipelines.projection.mesh import MeshParams, mesh
from pipelines.records import GENERATED, GRAZING, SEEN, Body, Cutout, Layers, Mesh, Splats
from pipelines.step import Cancelled, Context, UserError
from tests import capsule_person as person

PARAMS = MeshParams(faces=5000, texture=512, voxel=10.0)
WIDTH, HEIGHT = 300, 400


@cache
def photo_camera() -> Camera:
    return Camera(intrinsics(WIDTH, HEIGHT, 45.0), WIDTH, HEIGHT, look_at(np.array([0.0, 0.9, 0.0]), 2.6, 0.0, 3.0))


@cache
def inputs() -> tuple[Splats, Layers, Cutout, Body]:
    camera = photo_camera()
    (rgb, front), (back_rgb, back) = person.picture(camera), person.picture(camera, last=True)
    mask = front > 0
    plain = np.zeros(mask.shape, np.uint8)
    layers = Layers(
        {"mask": mask, "alpha": mask.astype(np.float32), "front": front, "back": back, "leave": back, "enter": front,
         "two": mask & False, "front_rgb": rgb.astype(np.float32), "back_rgb": back_rgb.astype(np.float32),
         "front_part": plain, "back_part": plain, "seen": plain, "arm": plain, "part_names": np.array(["torso"])}, camera,
    )  # fmt: skip
    points, normals = person.surface_points(24000, 3)
    side = np.cross(normals, [0.3, 0.8, 0.5])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    turn = np.stack([side, np.cross(normals, side), normals], -1)
    n = len(points)
    splats = Splats(
        points.astype(np.float32), quaternion_from_matrix(turn).astype(np.float32),
        np.tile(np.float32([0.006, 0.006, 0.001]), (n, 1)), np.full(n, 0.97, np.float32),
        person.colour(points).astype(np.float32), np.zeros(n, np.uint8), np.zeros(n, np.uint8),
    )  # fmt: skip
    joints = np.zeros((22, 3))
    joints[0], joints[15] = (0.0, 0.95, 0.0), (0.0, 1.5, 0.0)
    body = Body(
        {"K": camera.K, "image_size": np.array([WIDTH, HEIGHT]),
         "world_from_camera": np.linalg.inv(camera.world_to_camera), "rotations": np.eye(3)[None],
         "root_translation": camera.to_camera(joints[:1])[0],
         "joints_cam": camera.to_camera(joints), "body22_cam": camera.to_camera(joints)},
        {"schema": "humanscope.body/1"},
    )  # fmt: skip
    cutout = Cutout(np.dstack([rgb, mask]).astype(np.float32))
    return splats, layers, cutout, body


def run(params: MeshParams = PARAMS, **changed: object) -> Mesh:
    splats, layers, cutout, body = inputs()
    records = {"splats": splats, "layers": layers, "matte": cutout, "body_fit": body, **changed}
    result = mesh.run(records, params, Context(step="mesh"))
    assert isinstance(result, Mesh)
    return result


@cache
def result() -> Mesh:
    return run()


def welded(m: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(m.vertices, m.weld[m.faces], process=False)


def test_closed_one_piece_and_true_to_the_shape() -> None:
    m = result()
    body = welded(m)
    body.remove_unreferenced_vertices()
    assert body.is_watertight and body.is_winding_consistent and body.body_count == 1
    assert abs(len(m.faces) - PARAMS.faces) < 100
    distances = np.abs(person.distance(m.vertices.astype(float)))
    # The splats' own size, 6 mm, widens the outline as every camera sees it.
    assert distances.mean() < 0.004 and distances.max() < 0.02
    sample = np.random.default_rng(0).uniform(*body.bounds, (200_000, 3))
    truth = (person.distance(sample) < 0).mean() * np.prod(np.ptp(body.bounds, axis=0))
    assert body.volume == pytest.approx(truth, rel=0.08)
    outward = np.einsum("ij,ij->i", m.normals, person.gradient(m.vertices.astype(float)))
    assert np.mean(outward > 0.8) > 0.95
    assert np.allclose(np.linalg.norm(m.normals, axis=1), 1, atol=1e-5)


def test_left_is_left_and_up_is_up() -> None:
    m = result()
    highest = m.vertices[m.vertices[:, 0] > 0.35]
    assert highest[:, 1].max() > 1.65  # the raised left hand, at +x
    assert m.vertices[m.vertices[:, 0] < -0.3][:, 1].max() < 1.3
    assert abs(m.vertices[:, 1].min()) < 0.02


def test_the_photo_is_seen_again_from_its_camera() -> None:
    m, (_, _, cutout, _) = result(), inputs()
    picture = render_mesh(m.vertices, m.faces, photo_camera(), uv=m.uv, texture=m.texture)
    inner = (cutout.alpha > 0.5) & (picture[..., 3] > 0.99)
    assert inner.sum() > 0.97 * cutout.alpha.sum()
    assert -10 * np.log10(np.mean((picture[..., :3] - cutout.rgb)[inner] ** 2)) > 30
    outline = (picture[..., 3] > 0.5) != (cutout.alpha > 0.5)
    assert outline.sum() < 0.02 * cutout.alpha.sum()


@pytest.mark.parametrize("azimuth", [90.0, 180.0, 270.0])
def test_other_sides_have_the_splats_colours(azimuth: float) -> None:
    m = result()
    camera = photo_camera().orbited(azimuth, None, np.array([0.0, 0.9, 0.0]))
    picture = render_mesh(m.vertices, m.faces, camera, uv=m.uv, texture=m.texture)
    truth, depth = person.picture(camera)
    inner = (depth > 0) & (picture[..., 3] > 0.99)
    assert inner.sum() > 0.95 * (depth > 0).sum()
    assert -10 * np.log10(np.mean((picture[..., :3] - truth)[inner] ** 2)) > 25


def test_seen_says_where_colours_come_from() -> None:
    m = result()
    truth = person.gradient(m.vertices.astype(float))
    towards = photo_camera().position - m.vertices
    facing = np.einsum("ij,ij->i", truth, towards / np.linalg.norm(towards, axis=1, keepdims=True))
    assert np.mean(m.seen[facing < -0.2] == GENERATED) > 0.995
    assert np.mean(m.seen[facing > 0.6] == SEEN) > 0.97
    between = m.seen[(facing > 0.12) & (facing < 0.24)]
    assert np.mean(between == GRAZING) > 0.75


def test_copies_on_seams_agree() -> None:
    m = result()
    assert np.array_equal(m.vertices[m.weld], m.vertices) and np.array_equal(m.normals[m.weld], m.normals)
    assert np.array_equal(m.seen[m.weld], m.seen) and np.array_equal(m.weld[m.weld], m.weld)
    assert m.uv.min() >= 0 and m.uv.max() <= 1 and (m.uv[m.weld] != m.uv).any()


def test_same_input_same_bytes_and_through_the_store(tmp_path: Path) -> None:
    again = run()
    for name in ("vertices", "faces", "normals", "uv", "texture", "seen", "weld"):
        assert getattr(result(), name).tobytes() == getattr(again, name).tobytes(), name
    again.save(tmp_path)
    assert np.array_equal(Mesh.load(tmp_path).faces, again.faces)


def test_knobs_do_what_they_say() -> None:
    coarse = run(MeshParams(faces=1000, texture=256, voxel=20.0, smoothing=0, face_detail=1.0))
    assert abs(len(coarse.faces) - 1000) < 50 and coarse.texture.shape == (256, 256, 3)
    assert welded(coarse).is_watertight


def test_floaters_and_see_through_splats_do_no_harm() -> None:
    splats = inputs()[0]
    rng = np.random.default_rng(5)
    keep = rng.random(len(splats)) > 0.03  # gaps
    kept = splats.select(keep)
    stray = kept.select(np.arange(30))
    means = rng.uniform((-0.6, 0.3, -0.6), (0.6, 1.5, 0.6), (30, 3)).astype(np.float32)
    fields = {f: np.concatenate([getattr(kept, f), getattr(stray, f)]) for f in
              ("quats", "scales", "opacities", "colours", "seen", "origin")}  # fmt: skip
    m = run(splats=Splats(means=np.concatenate([kept.means, means]), **fields))
    assert welded(m).is_watertight
    assert np.percentile(np.abs(person.distance(m.vertices.astype(float))), 99) < 0.02


def test_no_splats_is_said() -> None:
    with pytest.raises(UserError, match="no splats"):
        run(splats=inputs()[0].select(np.zeros(0, int)))


def test_cancel_is_heard() -> None:
    splats, layers, cutout, body = inputs()
    records = {"splats": splats, "layers": layers, "matte": cutout, "body_fit": body}
    with pytest.raises(Cancelled):
        mesh.run(records, PARAMS, Context(step="mesh", is_cancelled=lambda: True))
