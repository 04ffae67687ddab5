"""The body of the system `views`: the front view as a photo, joints at their depth, and a body inside a surface."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import pipelines.person as people
from pipelines.body.body_in_surface import (
    Room,
    Wear,
    body_in_surface,
    cloth_of,
    reference_normals,
    skin_at,
    state_of,
)
from pipelines.body.fit_points import LANDMARK_NAMES, default_fit_body
from pipelines.body.fit_terms import Rows, Scene, State, Term, scene
from pipelines.body.fit_twist import full_rotations
from pipelines.body.landmark_depth import crossings, landmark_depths
from pipelines.body.misread import exchanged, other_readings, with_legs_exchanged
from pipelines.body.read_body import make_body, vertices_world
from pipelines.body.rig import default_rig
from pipelines.body.surface_terms import covering, inside_surface, joints_at_depth
from pipelines.geometry.cameras import DISPLAY_TO_OPENCV, intrinsics
from pipelines.geometry.mesh_raster import rasterise_mesh, vertex_normals
from pipelines.geometry.orthographic import around
from pipelines.geometry.rotations import matrix_from_rotation_vector
from pipelines.landmarks.pose import PoseReading, Square
from pipelines.records import Body, Keypoints, Photo
from pipelines.step import Context
from pipelines.views.drawn_views import draw_views
from pipelines.views.front import front_view, ordinary_camera, picture_size, reduced
from pipelines.views.photo import photo
from pipelines.views.records import PosedView, Views
from tests.test_views import ball, figure

SIZE = 400


def somebody(seed: int) -> tuple[Body, np.ndarray]:
    """A posed body whose record has an identity camera in the display frame, and its skin (V, 3), display frame."""
    body = default_fit_body()
    rng = np.random.default_rng(seed)
    phenotypes = np.array([0.4, 0.6, 0.5, 0.45, 0.45, 0.5]) + rng.uniform(-0.1, 0.1, 6)
    lengths = rng.uniform(-0.04, 0.04, 9)
    near = body.linearised(phenotypes, lengths)
    theta = np.zeros((len(body.fold.bones), 3))
    for name, turn in (
        ("upperarm01.L", (-0.5, 0.0, 0.4)), ("lowerarm01.L", (-0.9, 0.0, 0.0)), ("upperarm01.R", (0.2, 0.0, -0.3)),
        ("upperleg01.R", (-0.6, 0.0, 0.0)), ("lowerleg01.R", (0.8, 0.0, 0.0)), ("spine02", (0.0, 0.15, 0.0)),
    ):  # fmt: skip
        theta[body.fold[name]] = np.array(turn) + rng.normal(0, 0.05, 3)
    root = matrix_from_rotation_vector(rng.normal(0, 0.08, 3))
    place = np.zeros(3)
    rotations = full_rotations(body, near, root, theta)
    made = make_body(rotations=rotations, root_translation=place, phenotypes=phenotypes, length_scales=lengths,
                     K=intrinsics(SIZE, SIZE, 8.0), image_size=(SIZE, SIZE), pitch=0.0,
                     texts={"source": "test", "source_version": "1"})  # fmt: skip
    return made, vertices_world(made).astype(np.float64)


def looked_at(record: Body, skin: np.ndarray) -> tuple[Room, Keypoints, np.ndarray]:
    """The room of the body's own skin, and the keypoints and outline that a network would read without error."""
    rig = default_rig()
    camera = around(0.0, 0.0, SIZE, SIZE / 2.1, np.array([0.0, 0.85, 0.0]))
    hidden = np.zeros(rig.vertex_count, bool)
    hidden[rig.vertices_of("inside", "eyes")] = True
    faces = rig.faces[~hidden[rig.faces].any(1)].astype(np.int32)
    view = PosedView("front", np.zeros((SIZE, SIZE, 4), np.float32), camera)
    room = Room(skin, faces, camera.distant(), ordinary_camera(view, (SIZE, SIZE)))
    body = default_fit_body()
    state = state_of(body, record)
    near = body.linearised(state.phenotypes, state.lengths)
    at = scene(body, near, state).at[:33]
    matrix = np.asarray(record["world_from_camera"], np.float64)
    world = at @ matrix[:3, :3].T + matrix[:3, 3]
    px = camera.project(world)[0]
    points = np.concatenate([px, np.ones((33, 2))], 1).astype(np.float32)
    hips = (at[23] + at[24]) / 2
    keypoints = Keypoints(points, (at - hips).astype(np.float32), np.zeros(33, bool))
    return room, keypoints, rasterise_mesh(skin, faces, room.camera).mask.astype(np.float32)


def disturbed(record: Body, amount: float) -> Body:
    """The same body in a wrong pose and size, as a fit to one picture would leave it."""
    body = default_fit_body()
    state, rng = state_of(body, record), np.random.default_rng(7)
    theta = state.theta + rng.normal(0, amount, state.theta.shape)
    theta[0] = 0
    near = body.linearised(state.phenotypes, state.lengths - 0.06)
    return make_body(rotations=full_rotations(body, near, state.root, theta), root_translation=np.array([0.1, 0.0, 12.0]),
                     phenotypes=state.phenotypes + 0.05, length_scales=state.lengths - 0.06, K=intrinsics(SIZE, SIZE, 8.0),
                     image_size=(SIZE, SIZE), pitch=0.05, texts={"source": "test", "source_version": "1"})  # fmt: skip


# -- the front view ---------------------------------------------------------------------------------------------------


def test_a_cut_out_that_is_lost_on_white_is_looked_at_on_other_grounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """White trousers: the legs are seen on a dark ground alone. What is seen on white is not looked at again."""
    asked: list[float] = []
    seen_on = {1.0: 0.1, 0.25: 0.95, 0.5: 0.6, 0.0: 0.9}

    def reading(ground: float) -> PoseReading:
        sight = np.full(33, 0.97, np.float32)
        sight[25:] = seen_on[ground]
        square = Square(50.0, 50.0, 100.0, 0.0)
        return PoseReading(np.full((33, 3), ground, np.float32), sight, sight, np.zeros((33, 3), np.float32),
                           np.zeros((4, 4), np.float32), np.eye(2, 3), 1.0, square, square)  # fmt: skip

    def look(photo: Photo, ground: float, params: people.PersonParams) -> people.Look:
        asked.append(ground)
        box = np.array([0, 0, 100, 100], np.float32)
        boxes = [box, box] if ground == 0.0 else [box]  # on black two people seem to be there
        return people.Look(people.visible(photo, ground), boxes, [0.9] * len(boxes), reading(ground))

    monkeypatch.setattr(people, "looked_at", look)
    rgb = np.full((100, 100, 3), 0.9, np.float32)
    cut, whole = Photo(rgb, np.pad(np.ones((60, 60), np.float32), 20)), Photo(rgb, None)
    context = Context("person", weights=lambda role: Path("elsewhere"))
    found = people.person.function(photo=cut, params=people.PersonParams(), ctx=context)
    assert asked == [1.0, 0.25, 0.5, 0.0] and found.landmarks[25, 0] == 0.25
    assert people.visible(cut, 0.25)[0, 0, 0] == 0.25 and people.visible(cut)[0, 0, 0] == 1.0
    asked.clear()
    people.person.function(photo=whole, params=people.PersonParams(), ctx=context)
    seen_on[1.0] = 0.6
    assert people.person.function(photo=cut, params=people.PersonParams(), ctx=context).landmarks[25, 0] == 1.0
    assert asked == [1.0, 1.0]  # no cut-out, or all of it was seen: one look


def test_the_front_view_is_a_photo_with_room_around_the_person() -> None:
    views = Views(draw_views(*figure(), size=160).views[::-1])  # the front comes last
    view = front_view(views)
    assert view.label == "front" and not view.mask[0].any() and not view.mask[:, 0].any()
    source = next(v for v in views.views if v.label == "front")
    point = figure()[0][:40]
    margin = (view.camera.width - source.camera.width) / 2
    np.testing.assert_allclose(view.camera.project(point)[0], source.camera.project(point)[0] + margin, atol=1e-9)
    made = photo.run({"views_read": views}, photo.make_params({"longest_side": 256}), Context("photo"))
    assert made.alpha is not None and made.rgb.shape[:2] == made.alpha.shape
    assert made.rgb.shape[:2] == view.rgba.shape[:2], "a small view is not enlarged"


def test_a_reduced_cut_out_keeps_its_colours() -> None:
    rgba = np.zeros((64, 64, 4), np.float32)
    rgba[16:49, 16:49] = (0.2, 0.4, 0.6, 1.0)
    rgba[..., :3][rgba[..., 3] == 0] = 1.0
    small = reduced(rgba, (20, 20))
    solid = small[..., 3] > 0.05
    np.testing.assert_allclose(small[solid][:, :3], np.tile((0.2, 0.4, 0.6), (solid.sum(), 1)), atol=0.02)
    assert small[..., 3].sum() * 3.2**2 == pytest.approx(rgba[..., 3].sum(), rel=0.02)


def test_an_ordinary_lens_shows_the_same_as_parallel_rays() -> None:
    camera = around(12.0, 8.0, 600, 350.0, np.array([0, 0.8, 0])).cropped(100, 10, 400, 590)
    view = PosedView("front", np.ones((590, 400, 4), np.float32), camera)
    size = picture_size(view, 333)
    lens, far = ordinary_camera(view, size), camera.distant().resized(*size)
    axis = np.array([[0.0, 0.8, 0.0]])
    np.testing.assert_allclose(lens.project(axis)[0], far.project(axis)[0], atol=0.01)
    near = np.random.default_rng(0).uniform((-0.3, 0.1, -0.15), (0.3, 1.6, 0.15), (50, 3))
    pixels, depth = lens.project(near)
    share = np.abs(depth - lens.project(axis)[1]) / depth  # of the distance from the picture's axis
    reach = np.linalg.norm(far.project(near)[0] - lens.K[:2, 2], axis=1)
    assert (np.linalg.norm(pixels - far.project(near)[0], axis=1) < share * reach + 0.1).all() and share.max() < 0.04
    np.testing.assert_allclose(lens.world_to_camera[:3, :3], far.world_to_camera[:3, :3])
    np.testing.assert_allclose(lens.world_to_camera[:2, 3], far.world_to_camera[:2, 3])
    assert 5.0 < lens.world_to_camera[2, 3] < 30.0


# -- joints at their depth ----------------------------------------------------------------------------------------------


def test_a_ray_meets_a_ball_twice_where_it_should() -> None:
    vertices, faces = ball(60, (0.3, 0.3, 0.3), (0, 0.5, 0))
    camera = around(0.0, 0.0, 200, 200.0, np.array([0, 0.5, 0])).distant()
    point = np.array([[0.0, 0.5, 0.0], [0.15, 0.5, 0.0], [0.4, 0.5, 0.0]])
    met = crossings(vertices, faces, camera, camera.project(point)[0])
    assert [len(m) for m in met] == [2, 2, 0]
    depth = camera.project(point)[1]
    for k, half in ((0, 0.3), (1, np.sqrt(0.3**2 - 0.15**2))):
        np.testing.assert_allclose(met[k] - depth[k], (-half, half), atol=0.004)


def test_joints_lie_in_the_middle_of_their_limbs() -> None:
    record, skin = somebody(1)
    room, keypoints, _ = looked_at(record, skin)
    px = keypoints.body[:, :2].astype(np.float64)
    depth, sure = landmark_depths(skin, room.faces, room.camera, px, float(np.ptp(skin[:, 1])))
    body = default_fit_body()
    state = state_of(body, record)
    at = scene(body, body.linearised(state.phenotypes, state.lengths), state).at[:33]
    truth = room.camera.to_camera(at * DISPLAY_TO_OPENCV.diagonal() + np.array([0, 0, 0]))[:, 2]
    truth = truth - np.median(truth - depth * (sure > 0))  # only differences: the place is another matter
    names = [n for n in LANDMARK_NAMES if n.split("_")[-1] in ("elbow", "wrist", "knee", "shoulder", "ankle")]
    rows = [LANDMARK_NAMES.index(n) for n in names]
    assert (sure[rows] > 0).all()
    wrong = (depth - truth)[rows]
    assert np.abs(wrong - np.median(wrong)).max() < 0.06


# -- terms ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["depth", "skin", "cover"])
def test_every_term_has_the_slope_of_its_differences(which: str) -> None:
    body = default_fit_body()
    record, skin = somebody(2)
    room, _, _ = looked_at(record, skin)
    cloth = cloth_of(room)
    state = state_of(body, disturbed(record, 0.15))
    matrix = room.camera.world_to_camera
    state = dataclasses.replace(state, translation=matrix[:3, :3] @ np.array([0, 0.9, 0.0]) + matrix[:3, 3])
    near = body.linearised(state.phenotypes, state.lengths)
    here = scene(body, near, state)
    points, turned = skin_at(here, reference_normals())
    partner, found = cloth.partners(points, turned)
    use = np.flatnonzero(found)
    terms: dict[str, Term] = {
        "depth": joints_at_depth(np.full(33, 2000.0), np.ones(33)),
        "skin": inside_surface(cloth, partner[use], use, np.full(len(use), 0.01)),
        "cover": covering(here, cloth.spread(0.1)),
    }

    def residual(s: State) -> tuple[np.ndarray, np.ndarray]:
        rows, at = Rows(), scene(body, near, s)
        plain(terms[which], at, rows)
        return np.concatenate(rows.residuals), np.concatenate(rows.jacobians)

    value, slope = residual(state)
    assert len(value) > 10
    for column in np.random.default_rng(3).choice(slope.shape[1] - 1, 10, replace=False):
        step = np.zeros(slope.shape[1])
        step[column] = 1e-6
        ahead, behind = residual(state.stepped(step))[0], residual(state.stepped(-step))[0]
        if len(ahead) == len(behind) == len(value):
            difference = (ahead - behind) / 2e-6
            smooth = np.abs(value) > 1e-2
            np.testing.assert_allclose(slope[smooth, column], difference[smooth], atol=2e-2, rtol=1e-3)


def test_terms_without_a_single_point_add_nothing_or_only_hands() -> None:
    record, skin = somebody(2)
    room, _, _ = looked_at(record, skin)
    body, cloth = default_fit_body(), cloth_of(room)
    state = state_of(body, record)
    here = scene(body, body.linearised(state.phenotypes, state.lengths), state)
    none = np.zeros(0, np.int64)
    rows = Rows()
    inside_surface(cloth, none, none, np.zeros(0))(here, rows)
    covering(here, here.at[:3])(here, rows)
    assert not rows.residuals
    index = here.at[19]
    beyond = index + 0.3 * (index - here.at[15]) / np.linalg.norm(index - here.at[15])
    covering(here, beyond[None])(here, rows)
    assert len(rows.residuals) == 1 and rows.residuals[0][0] > 0


def plain(term: Term, at: Scene, rows: Rows) -> None:
    """The term without its robust weights, whose own slope a Gauss-Newton step leaves out."""
    add = rows.add
    rows.add = lambda name, residual, jacobian, robust=None, group=1: add(name, residual, jacobian)  # type: ignore
    term(at, rows)


# -- the whole --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 4])
def test_a_body_is_found_again_in_its_own_skin_with_noise_and_holes(seed: int) -> None:
    record, skin = somebody(seed)
    room, keypoints, alpha = looked_at(record, skin)
    rng = np.random.default_rng(seed)
    kept = rng.random(len(room.faces)) > 0.2
    noisy = skin + vertex_normals(skin, room.faces) * rng.normal(0, 0.005, (len(skin), 1))
    rough = dataclasses.replace(room, vertices=noisy, faces=room.faces[kept])
    start = disturbed(record, 0.2)
    fit = body_in_surface(start, keypoints, alpha, rough, Wear(clothes=0.0))
    found = vertices_world(fit.body).astype(np.float64)
    outside = np.setdiff1d(np.arange(len(skin)), default_rig().vertices_of("inside", "hands"))
    error = np.linalg.norm(found - skin, axis=1)[outside]
    assert np.median(error) < 0.010, np.median(error)
    assert fit.far < 0.1 and fit.bare < 0.05
    assert fit.body.texts["source"] == "anny-surface-fit"
    np.testing.assert_allclose(np.linalg.inv(fit.body["world_from_camera"]), room.lens.world_to_camera, atol=1e-9)
    again = body_in_surface(start, keypoints, alpha, rough, Wear(clothes=0.0))
    assert all(fit.body.arrays[k].tobytes() == again.body.arrays[k].tobytes() for k in fit.body.arrays)


def test_a_surface_that_the_body_does_not_fit_is_told() -> None:
    record, skin = somebody(1)
    room, keypoints, alpha = looked_at(record, skin)
    turned = skin @ matrix_from_rotation_vector(np.array([0.0, 0.0, np.pi / 2])).T + (0.9, 0.9, 0.0)
    fit = body_in_surface(disturbed(record, 0.1), keypoints, alpha, dataclasses.replace(room, vertices=turned))
    assert fit.far > 0.2


def test_legs_taken_for_each_other_are_put_right() -> None:
    record, skin = somebody(3)
    room, keypoints, alpha = looked_at(record, skin)
    start = with_legs_exchanged(disturbed(record, 0.05))
    wrong = exchanged(keypoints)
    assert (exchanged(wrong).body == keypoints.body).all() and not (wrong.body == keypoints.body).all()
    assert len(other_readings(start, keypoints)) == 3
    back = with_legs_exchanged(with_legs_exchanged(start))
    np.testing.assert_allclose(back["rotations"], start["rotations"], atol=1e-6)
    fit = body_in_surface(start, wrong, alpha, room)
    knee = default_rig().bone("lowerleg01.R")
    truth = (
        np.asarray(record["world_from_camera"])[:3, :3] @ record["joints_cam"][knee]
        + record["world_from_camera"][:3, 3]
    )
    found = fit.body["world_from_camera"][:3, :3] @ fit.body["joints_cam"][knee] + fit.body["world_from_camera"][:3, 3]
    assert np.linalg.norm(truth - found) < 0.05
