"""Body refinement: exact derivatives, the pull of silhouettes and layers, what is kept and what is said."""

from __future__ import annotations

import dataclasses
from functools import cache

import cv2
import numpy as np
import pytest

from pipelines.body.body_numbers import pa_mpjpe
from pipelines.body.read_body import make_body, vertices_cam, with_pose
from pipelines.body.rig import default_rig
from pipelines.evaluate.bodies import mpjpe
from pipelines.geometry.cameras import intrinsics
from pipelines.geometry.rotations import matrix_from_rotation_vector
from pipelines.hgm.refine import RefineParams, refine
from pipelines.hgm.refine_body import MovingBody, shape_steps
from pipelines.hgm.refine_depth import depth_rows, read_depths, shown_points
from pipelines.hgm.refine_limbs import mirrored
from pipelines.hgm.refine_loop import TERM_NAMES
from pipelines.hgm.refine_masks import SIZE, VIEWS, mask_loss, orbit, photo_mask, solid_masks
from pipelines.hgm.refine_terms import Rows
from pipelines.projection.body_maps import BodyMapsParams
from pipelines.projection.body_surfaces import draw_body_maps
from pipelines.records import Body, Cutout, Keypoints, Layers
from pipelines.step import Context

WIDTH, HEIGHT = 192, 288
TURNS = {"lowerarm01.L": (-0.6, 0.0, 0.0), "upperarm01.R": (0.4, 0.0, 0.3), "upperleg01.L": (-0.35, 0.0, 0.0),
         "lowerleg01.L": (0.5, 0.0, 0.0)}  # fmt: skip
# What the estimate has wrong: depth of limbs and trunk, which a picture from the front hardly shows.
ERRORS = {"upperarm01.L": (0.5, 0.0, 0.0), "upperleg01.R": (-0.35, 0.0, 0.0), "lowerleg01.R": (0.4, 0.0, 0.0),
          "spine02": (0.2, 0.0, 0.0)}  # fmt: skip


def body_with(turns: dict[str, tuple[float, float, float]]) -> Body:
    """A standing person three metres away."""
    rig = default_rig()
    rotations = rig.identity_pose().astype(np.float64)
    for name, vector in turns.items():
        rotations[rig.bone(name)] = matrix_from_rotation_vector(np.array(vector))
    return make_body(
        rotations=rotations, root_translation=np.array([0.05, 0.0, 3.0]), phenotypes=rig.default_phenotypes(),
        length_scales=np.zeros(9), K=intrinsics(WIDTH, HEIGHT, 40.0), image_size=(WIDTH, HEIGHT), pitch=0.0,
        texts={"source": "test", "source_version": "1"},
    )  # fmt: skip


def person_of(body: Body) -> tuple[Layers, Cutout, Keypoints]:
    """A coarse person that is exactly this body, its cut-out and its landmarks."""
    empty = Cutout(np.zeros((HEIGHT, WIDTH, 4), np.float32))
    maps = draw_body_maps(body, empty, BodyMapsParams(resolution=HEIGHT), Context())
    a = maps.arrays
    mask = a["full_front"] > 0
    two = mask & (a["full_exit"] < a["full_entry"]) & (a["full_exit"] < a["full_back"])
    arrays = {
        "mask": mask, "front": a["full_front"], "back": a["full_back"], "two": two,
        "leave": np.where(two, a["full_exit"], a["full_back"]).astype(np.float32),
        "enter": np.where(two, a["full_entry"], a["full_front"]).astype(np.float32),
        "alpha": mask.astype(np.float32), "front_rgb": np.zeros((*mask.shape, 3), np.float32),
        "back_rgb": np.zeros((*mask.shape, 3), np.float32), "arm": np.zeros(mask.shape, np.uint8),
        "back_made": np.zeros(mask.shape, bool), "front_part": a["full_front_part"],
        "back_part": a["full_back_part"], "seen": np.zeros(mask.shape, np.uint8), "part_names": a["part_names"],
    }  # fmt: skip
    rgba = np.dstack([np.full((HEIGHT, WIDTH, 3), 0.5), mask]).astype(np.float32)
    moving = MovingBody(body)
    landmarks = moving.moved(moving.start()).landmarks
    px = landmarks @ body["K"].T
    seen = np.concatenate([px[:, :2] / px[:, 2:], np.ones((33, 2))], 1).astype(np.float32)
    world = (landmarks - landmarks[[23, 24]].mean(0)).astype(np.float32)
    return Layers(arrays, maps.camera), Cutout(rgba), Keypoints(seen, world, np.zeros(33, bool))


@cache
def scene() -> tuple[Body, Body, Layers, Cutout, Keypoints]:
    """True body, wrong body, and what the truth looks like."""
    true = body_with(TURNS)
    return true, body_with({**TURNS, **ERRORS}), *person_of(true)


@cache
def refined(sides: float = 1.0, depth: float = 1.0) -> tuple[Body, tuple[str, ...]]:
    """The wrong body after the step, and its warnings."""
    _, wrong, layers, matte, keypoints = scene()
    ctx = Context("hgm.refine")
    params = RefineParams(enabled=True, again=False, sides=sides, depth=depth)
    inputs = {"body_fit": wrong, "matte": matte, "keypoints": keypoints, "hgm_coarse": layers}
    result = refine.run(inputs, params, ctx)
    assert isinstance(result, Body)
    return result, tuple(ctx.warnings)


def miss(body: Body) -> float:
    return mpjpe(body["body22_cam"], scene()[0]["body22_cam"])


def test_a_moved_body_is_the_rigs_own_forward_pass() -> None:
    moving = MovingBody(scene()[1])
    step = np.random.default_rng(1).normal(0, 0.1, moving.columns)
    step[-15:] = 0
    moved = moving.moved(moving.start().stepped(step))
    assert np.abs(vertices_cam(moving.record(moved))[moving.ids] - moved.skin).max() < 1e-5
    # Shape is linear on one side of the phenotypes' kinks: a small step there is the rig's to its square.
    step[-15:] = 0.5 * shape_steps(moving.phenotypes, moving.lengths)
    moved = moving.moved(moving.start().stepped(step))
    assert np.abs(vertices_cam(moving.record(moved))[moving.ids] - moved.skin).max() < 2e-3


def test_a_silhouettes_gradient_is_its_difference() -> None:
    true, wrong, layers, _, _ = scene()
    views = orbit(true, layers.arrays["mask"], 10.0, 1.0)
    targets = solid_masks(layers, views)
    moving = MovingBody(wrong)
    core = moving.moved(moving.start()).core
    found = mask_loss(core, 0.012, targets, views)
    rng = np.random.default_rng(2)
    for _ in range(3):
        # A smooth push: the loss is the rasteriser's, in single precision, so short differences are mostly noise.
        push = np.sin(core * rng.uniform(1, 3, 3) + rng.uniform(0, 6, 3))
        slopes = []
        for step in (2e-3, 3e-3, 5e-3):
            here = [
                float(views.weight @ mask_loss(core + sign * push, 0.012, targets, views, need_gradient=False).losses)
                for sign in (step, -step)
            ]
            slopes.append((here[0] - here[1]) / (2 * step))
        slope = float(np.mean(slopes))
        assert float((found.gradient * push).sum()) == pytest.approx(slope, rel=0.12, abs=0.1)


def test_masks_of_both_kinds_lie_on_one_another() -> None:
    true, _, layers, matte, _ = scene()
    views = orbit(true, layers.arrays["mask"], 1.0, 1.0)
    moving = MovingBody(true)
    masks = mask_loss(moving.moved(moving.start()).core, 0.012, np.zeros((VIEWS, SIZE, SIZE), np.float32), views).masks
    targets = solid_masks(layers, views)
    for i in range(VIEWS):
        both, either = np.minimum(masks[i], targets[i]).sum(), np.maximum(masks[i], targets[i]).sum()
        assert both / either > 0.8, i
    front = photo_mask(matte.alpha, true.camera, views)
    assert np.minimum(front, targets[0]).sum() / np.maximum(front, targets[0]).sum() > 0.9


def test_a_body_before_the_front_layer_costs_more_than_one_behind() -> None:
    true, _, layers, _, _ = scene()
    depths, moving = read_depths(layers), MovingBody(true)
    shown = shown_points(true, moving, depths)
    assert min(map(len, shown)) > 50
    costs = []
    for shift in (-0.02, 0.02):
        near = dataclasses.replace(moving.start(), translation=np.array([0.0, 0.0, shift]))
        rows = Rows()
        depth_rows(rows, moving, moving.moved(near), depths, (shown[0], shown[1][:0]), 1.0)
        costs.append(rows.cost)
    assert costs[0] > 2 * costs[1]


def test_limbs_go_where_the_coarse_person_has_them() -> None:
    body, warnings = refined()
    true, wrong = scene()[:2]
    assert not warnings
    assert miss(body) < 0.5 * miss(wrong)
    assert pa_mpjpe(body["body22_cam"], true["body22_cam"]) < 0.6 * pa_mpjpe(wrong["body22_cam"], true["body22_cam"])
    assert body["phenotypes"] == pytest.approx(wrong["phenotypes"], abs=0.15)


def test_silhouettes_from_the_sides_alone_help_and_the_front_alone_helps_less() -> None:
    whole, sides, front = (miss(refined(*knobs)[0]) for knobs in ((1.0, 1.0), (1.0, 0.0), (0.0, 0.0)))
    assert sides < 0.9 * front
    assert whole < sides


def test_a_limb_on_the_wrong_side_of_the_trunk_is_found_mirrored() -> None:
    true, _, layers, matte, keypoints = scene()
    moving = MovingBody(true)
    change = mirrored(moving, moving.start(), "arm.L")
    wrong = moving.record(moving.moved(change))
    elbow, wrist = 18, 20
    depth = (true["body22_cam"] - wrong["body22_cam"])[:, 2]
    assert abs(depth[wrist]) > 0.1 and abs(depth[elbow - 1]) < 1e-5
    px = [b["body22_cam"] @ b["K"].T for b in (true, wrong)]
    assert np.linalg.norm(px[0][wrist, :2] / px[0][wrist, 2] - px[1][wrist, :2] / px[1][wrist, 2]) < 0.05 * HEIGHT
    inputs = {"body_fit": wrong, "matte": matte, "keypoints": keypoints, "hgm_coarse": layers}
    body = refine.run(inputs, RefineParams(enabled=True, again=False), Context())
    assert isinstance(body, Body)
    reach = [np.linalg.norm((b["body22_cam"] - true["body22_cam"])[wrist]) for b in (wrong, body)]
    assert reach[1] < 0.35 * reach[0]


def test_every_iteration_is_kept_and_the_last_costs_less() -> None:
    body, _ = refined()
    history = body.history
    count = len(history["terms"])
    assert 5 < count <= 45
    assert tuple(history["term_names"]) == TERM_NAMES
    assert history["masks"].shape == history["target_masks"].shape == (count, 4, SIZE, SIZE)
    assert history["masks"].dtype == np.uint8 and history["masks"][:, 0].max() > 200
    # The sides are unknown in the first stage, known in the last.
    assert history["target_masks"][0, 1].max() == 0 and history["target_masks"][-1, 1].max() == 255
    start, end = body["refine_costs"][:4].sum(0)
    assert end < 0.5 * start
    last = with_pose(body, history["rotations"][-1], history["root_translation"][-1])
    assert mpjpe(last["body22_cam"], body["body22_cam"]) < 30


def test_a_record_survives_its_files_and_repeats_byte_for_byte(tmp_path) -> None:  # type: ignore[no-untyped-def]
    body, _ = refined(1.0, 0.0)
    refined.cache_clear()
    again, _ = refined(1.0, 0.0)
    for name in body.arrays:
        assert np.array_equal(body[name], again[name]), name
    (tmp_path / "a").mkdir()
    body.save(tmp_path / "a")
    back = Body.load(tmp_path / "a")
    assert np.array_equal(back.history["masks"], body.history["masks"])


def test_a_body_that_is_right_already_stays_and_a_warning_says_so() -> None:
    true, _, layers, matte, keypoints = scene()
    ctx = Context("hgm.refine")
    inputs = {"body_fit": true, "matte": matte, "keypoints": keypoints, "hgm_coarse": layers}
    body = refine.run(inputs, RefineParams(enabled=True, again=False), ctx)
    assert isinstance(body, Body)
    assert miss(body) < 10
    if not bool(body["refine_helped"]):
        assert np.array_equal(body["rotations"], true["rotations"])
        assert "did not help" in " ".join(ctx.warnings)


def test_switched_off_it_is_the_fit() -> None:
    _, wrong, layers, matte, keypoints = scene()
    inputs = {"body_fit": wrong, "matte": matte, "keypoints": keypoints, "hgm_coarse": layers}
    body = refine.run(inputs, RefineParams(enabled=False), Context())
    assert isinstance(body, Body)
    assert all(np.array_equal(body[name], wrong[name]) for name in wrong.arrays)


def test_the_photos_mask_is_the_mattes_on_the_orbits_first_camera() -> None:
    true, _, layers, matte, _ = scene()
    views = orbit(true, layers.arrays["mask"], 1.0, 1.0)
    small = photo_mask(matte.alpha, true.camera, views)
    # A pixel of the small mask is where its camera's ray meets the photo.
    camera = views.cameras[0]
    rows, columns = np.nonzero(small > 0.99)
    rays = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))], 1) @ np.linalg.inv(camera.K).T
    px = rays @ true["K"].T
    at = cv2.remap(matte.alpha, px[:, 0].astype(np.float32) - 0.5, px[:, 1].astype(np.float32) - 0.5, cv2.INTER_LINEAR)
    assert at.min() > 0.4
