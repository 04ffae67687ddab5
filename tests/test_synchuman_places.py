"""Where things are in SyncHuman: canvas, cube, views, colours and body, each against what is known of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from pipelines.records import Cutout, Keypoints  # noqa: E402
from pipelines.run import Run  # noqa: E402
from pipelines.step import Context, Event  # noqa: E402
from pipelines.store import Store  # noqa: E402
from pipelines.synchuman.bake_cameras import bake_angles  # noqa: E402
from pipelines.synchuman.display import place  # noqa: E402
from pipelines.synchuman.framing import framed  # noqa: E402
from pipelines.synchuman.records import CleanedSurface, Framed, TenPictures  # noqa: E402
from pipelines.synchuman.texture import textured  # noqa: E402
from tests.synchuman_run import STEPS, made  # noqa: E402

pytest_plugins = ("tests.synchuman_run",)


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
    # A front that the network made, or that somebody gave, is not the photo.
    given = replace(pictures, facts={"front_is_photo": False})
    again = textured(frame, given, surface, made(whole, "synchuman.splats"), placement, params, Context("x"))
    assert (again.seen == 2).all() and np.array_equal(again.texture, mesh.texture)


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
