"""The projection on painted bodies with exact truth: maps, layers, splats, turntable, and what they are made of."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import cv2
import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve
from scipy.spatial import cKDTree

from pipelines.evaluate.photo_scores import photo_scores
from pipelines.geometry.cameras import Camera
from pipelines.geometry.manifold import is_closed_manifold
from pipelines.geometry.mesh_raster import rasterise_mesh
from pipelines.geometry.surface import signed_volume
from pipelines.projection import colour_fit, gaussians
from pipelines.projection.anchor import Anchor, choose_anchor
from pipelines.projection.back_colours import back_colours
from pipelines.projection.body_maps import BodyMapsParams, body_maps
from pipelines.projection.body_mesh import part_labels
from pipelines.projection.colour_fit import Drawing, fit_colours
from pipelines.projection.columns import solid_surface
from pipelines.projection.hull import inside_hull
from pipelines.projection.layers import LayersParams, layers
from pipelines.projection.membrane import fill
from pipelines.projection.nape import Heads
from pipelines.projection.outline import depth_inside, half_width, nearest, rounded
from pipelines.projection.quadtree import LEVELS, blocks, cells, missed
from pipelines.projection.sampling import Grid
from pipelines.projection.solid import without_webs
from pipelines.projection.splats import SplatsParams, splats
from pipelines.projection.turntable import TurntableParams, picture, pivot, turntable
from pipelines.records import GENERATED, ORIGIN_NAMES, SEEN, BodyMaps, Cutout, Layers, Splats
from pipelines.step import Context, UserError
from tests.painted_person import COLOURS, POSES, no_keypoints, painted_person, view


@lru_cache(maxsize=8)
def made(pose: str = "standing", turn: float = 0.0) -> tuple[dict, BodyMaps, Layers, Splats]:
    person = painted_person(pose, turn)
    inputs = {"body_fit": person["body"], "matte": person["cutout"], "keypoints": no_keypoints()}
    inputs["body_maps"] = body_maps.run(inputs, BodyMapsParams(), Context())
    inputs["layers"] = layers.run(inputs, LayersParams(), Context())
    return person, inputs["body_maps"], inputs["layers"], splats.run(inputs, SplatsParams(), Context())


def on_white(image: np.ndarray) -> np.ndarray:
    return image[..., :3] * image[..., 3:] + 1 - image[..., 3:]


# -- tools --------------------------------------------------------------------------------------------------------


def test_membrane_is_exact_on_a_ramp_and_keeps_cuts_apart() -> None:
    mask = np.ones((40, 61), bool)
    ramp = np.tile(np.linspace(0, 1, 61, dtype=np.float32), (40, 1))
    edge = np.zeros_like(ramp)
    edge[:, [0, -1]] = 50.0
    np.testing.assert_allclose(fill(ramp, edge, mask, sweeps=150), ramp, atol=0.02)
    cut = np.zeros((2, 40, 61), bool)
    cut[0, :, 30] = True
    halves = fill(ramp, edge, mask, cut=cut, sweeps=60)
    assert halves[:, :31].max() < 0.05 and halves[:, 31:].min() > 0.95
    with pytest.raises(ValueError, match="value to start from"):
        fill(ramp, np.zeros_like(ramp), mask)


def test_two_legs_four_metres_away_do_not_lean_towards_one_another_beside_their_cut() -> None:
    """Wide cloth that no body holds, between a leg at 4.0 and one at 4.4 m; judged by solving the same sums directly."""
    height, width = 90, 110
    mask = np.ones((height, width), bool)
    mask[:8, :30] = False
    values, weight = np.zeros((2, height, width), np.float32)
    for columns, depth in ((slice(0, 25), 4.0), (slice(85, 110), 4.4)):
        values[:, columns], weight[:, columns] = depth, 50.0
    rows, across = np.indices((height, width))
    side = across > 50 + rows // 4
    cut = np.zeros((2, height, width), bool)
    cut[0, :, :-1] = side[:, 1:] != side[:, :-1]
    cut[1, :-1] = side[1:] != side[:-1]
    filled = fill(values, weight, mask, cut=cut)
    number = np.arange(height * width).reshape(height, width)
    matrix = sparse.diags((weight * mask + 1e-7).ravel().astype(float)).tolil()
    for axis, here, there in ((0, np.s_[:, :-1], np.s_[:, 1:]), (1, np.s_[:-1], np.s_[1:])):
        both = mask[here] & mask[there]
        one, two = number[here][both], number[there][both]
        strength = np.where(cut[axis][here][both], 1e-4, 1.0)
        pull = sparse.coo_matrix((strength, (one, two)), matrix.shape)
        pull = pull + pull.T
        matrix = matrix + sparse.diags(np.asarray(pull.sum(1)).ravel()) - pull
    mean = (values * weight * mask).sum() / (weight * mask).sum()
    right = (weight * values * mask + 1e-7 * np.where(weight > 0, values, mean)).ravel().astype(float)
    exact = spsolve(matrix.tocsc(), right).reshape(height, width)
    assert np.abs(filled - exact)[mask].max() < 0.05 and np.abs(filled - exact)[mask].mean() < 0.008
    assert np.abs(filled - np.where(side, 4.4, 4.0))[mask].max() < 0.05


def test_membrane_stays_between_the_given_values_and_inside_the_mask() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((50, 50)) > 0.2
    values, weight = rng.random((50, 50, 2)), (rng.random((50, 50)) > 0.9) * 5.0
    filled = fill(values, weight, mask)
    assert (filled[~mask] == 0).all()
    used = values[mask & (weight > 0)]
    assert (filled[mask] >= used.min(0) - 1e-4).all() and (filled[mask] <= used.max(0) + 1e-4).all()


def test_outline_measures_of_a_disc_and_a_bar() -> None:
    y, x = np.indices((121, 121))
    disc = np.hypot(x - 60, y - 60) < 40
    width = half_width(depth_inside(disc))
    assert 33 < np.median(width[disc]) <= 40.5
    bar = np.zeros((60, 200), bool)
    bar[20:41] = True
    inside = depth_inside(bar)
    assert 8 < np.median(half_width(inside)[bar]) <= 10.5
    # The picture's border is no outline: the bar goes on beyond it.
    assert (inside[30] == inside[30, 100]).all()
    assert rounded(np.float32(0.0), np.float32(5.0)) == 0 and rounded(np.float32(9.0), np.float32(5.0)) == 5


def test_nearest_pixel_is_nearest() -> None:
    rng = np.random.default_rng(3)
    mask = rng.random((40, 30)) > 0.97
    rows, columns = nearest(mask)
    y, x = np.indices(mask.shape)
    found = np.hypot(rows - y, columns - x)
    points = np.argwhere(mask)
    true = np.min(np.hypot(points[:, 0] - y[..., None], points[:, 1] - x[..., None]), -1)
    assert mask[rows, columns].all() and (found <= true * 1.1 + 0.5).all()


# -- body maps ----------------------------------------------------------------------------------------------------


def test_body_maps_have_the_surfaces_in_order_and_the_right_parts() -> None:
    person, maps, _, _ = made("walking")
    a = maps.arrays
    full, bare = a["full_front"] > 0, a["armless_front"] > 0
    matte = person["cutout"].alpha
    assert ((matte > 0.5) == full).mean() > 0.995
    assert not (bare & ~full).any() and (full & ~bare).sum() > 200
    assert (a["full_back"] >= a["full_front"])[full].all()
    assert (a["full_exit"] >= a["full_front"])[full].all() and (a["full_entry"] <= a["full_back"])[full].all()
    arms = part_labels(a["part_names"], "forearm", "hand")
    assert np.isin(a["full_front_part"], arms).any()
    assert not np.isin(a["armless_front_part"], arms).any() and not np.isin(a["armless_back_part"], arms).any()
    assert (a["full_front_part"][~full] == 255).all()
    # Front normals face the camera, which stands at +z; the person's left hand is on the picture's right.
    assert (a["full_front_normal"][full][:, 2] > -0.2).mean() > 0.99
    left = part_labels(a["part_names"], "hand_left")
    right = part_labels(a["part_names"], "hand_right")
    column = np.indices(full.shape)[1]
    assert column[np.isin(a["full_front_part"], left)].mean() > column[np.isin(a["full_front_part"], right)].mean()


def test_body_maps_refuse_another_photo_and_a_body_outside() -> None:
    person = painted_person()
    small = Cutout(person["cutout"].rgba[::2, ::2])
    with pytest.raises(UserError, match="fit the body to this photo again"):
        body_maps.run({"body_fit": person["body"], "matte": small}, BodyMapsParams(), Context())
    moved = dict(person["body"].arrays)
    moved["root_translation"] = np.array([9.0, 0.0, 4.2], np.float32)
    away = dataclasses.replace(person["body"], arrays=moved)
    with pytest.raises(UserError, match="outside the photo"):
        body_maps.run({"body_fit": away, "matte": person["cutout"]}, BodyMapsParams(), Context())


# -- layers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pose", ["standing", "walking"])
def test_layers_keep_the_body_where_the_matte_is_the_body(pose: str) -> None:
    _, maps, result, _ = made(pose)
    a, mask = result.arrays, result.arrays["mask"]
    both = mask & (maps.arrays["full_front"] > 0)
    for side in ("front", "back"):
        error = np.abs(a[side] - maps.arrays[f"full_{side}"])[both]
        assert error.mean() < 0.006 and np.quantile(error, 0.95) < 0.02
    assert (a["back"] >= a["front"])[mask].all() and (a["front"][mask] > 1.0).all()
    assert np.isfinite(a["front"]).all() and (a["front"][~mask] == 0).all()


def test_loose_clothes_are_carried_out_closed_at_the_rim_and_thicker() -> None:
    person, maps, tight, _ = made()
    rgba = person["cutout"].rgba.copy()
    grown = cv2.dilate((rgba[..., 3] > 0.5).astype(np.uint8), np.ones((15, 15), np.uint8))
    rgba = np.dstack([np.full_like(rgba[..., :3], 0.5), grown.astype(np.float32)])
    inputs = {
        "body_fit": person["body"],
        "matte": Cutout(rgba),
        "body_maps": maps,
        "keypoints": no_keypoints(),
    }
    a = layers.run(inputs, LayersParams(), Context()).arrays
    assert (a["mask"] == (grown > 0)).mean() > 0.999
    half = (a["back"] - a["front"]) / 2
    assert (half[a["mask"]] >= 0).all()
    inside = depth_inside(a["mask"])
    rim, core = a["mask"] & (inside < 1.0), tight.arrays["mask"] & (inside > 12)
    assert np.median(half[rim]) < 0.4 * np.median(half[core])
    thicker = (a["back"] - a["front"] - tight.arrays["back"] + tight.arrays["front"])[core]
    assert np.median(thicker) > 0.01
    # Nothing tears: neighbours beyond the body differ by less than the rim's own slope.
    outside = a["mask"] & ~tight.arrays["mask"] & (inside > 3)
    assert np.abs(np.diff(a["front"], axis=1))[outside[:, 1:] & outside[:, :-1]].max() < 0.2


def test_back_of_the_head_is_hair_and_the_rest_is_mirrored() -> None:
    _, _, result, _ = made()
    a = result.arrays
    head = part_labels(a["part_names"], "face", "head", "scalp")
    face = np.isin(a["front_part"], part_labels(a["part_names"], "face")) & np.isin(a["back_part"], head)
    skin, hair = np.array(COLOURS["face"]), np.array(COLOURS["scalp"])
    back = a["back_rgb"][face]
    nearer_hair = np.linalg.norm(back - hair, axis=1) < np.linalg.norm(back - skin, axis=1)
    assert nearer_hair.mean() > 0.9 and a["back_made"][face].mean() > 0.9
    cloth = np.isin(a["front_part"], part_labels(a["part_names"], "torso", "thigh", "shin")) & ~a["back_made"]
    assert cloth.sum() > 0.7 * np.isin(a["front_part"], part_labels(a["part_names"], "torso", "thigh", "shin")).sum()
    difference = np.abs(a["back_rgb"][cloth] - a["front_rgb"][cloth]).max(-1)
    assert np.quantile(difference, 0.95) < 0.02


def test_seen_from_behind_the_made_face_is_plain_skin() -> None:
    _, _, result, _ = made("standing", 180.0)
    a = result.arrays
    face = np.isin(a["back_part"], part_labels(a["part_names"], "face")) & (depth_inside(a["mask"]) > 3)
    assert face.sum() > 50
    colour = a["back_rgb"][face]
    # Neither the hair that the front shows, nor eyes and a mouth: one even skin colour.
    nearer_hair = [np.linalg.norm(colour - np.array(COLOURS[name]) * 0.8, axis=1) for name in ("face", "scalp")]
    assert (nearer_hair[0] < nearer_hair[1]).mean() > 0.8
    lower = np.indices(face.shape)[0][face] > np.median(np.indices(face.shape)[0][face])
    assert colour[lower].std(0).max() < 0.04


def test_trousers_beside_hanging_arms_meet_the_shirt_in_a_sharp_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the seat no trousers stand at the outline, hands do: the back still has them, without a smear above."""
    lowered = {f"upperarm01.{side}": (0.0, 0.0, sign * 0.62) for side, sign in (("L", 1), ("R", -1))}
    monkeypatch.setitem(POSES, "arms_hanging", lowered)
    a = made("arms_hanging")[2].arrays
    worn = [np.isin(a[side], part_labels(a["part_names"], "torso", "thigh")) for side in ("front_part", "back_part")]
    cloth = worn[0] & worn[1]
    thigh = cloth & np.isin(a["front_part"], part_labels(a["part_names"], "thigh"))
    shirt, trousers = (np.array(COLOURS[name]) / np.linalg.norm(COLOURS[name]) for name in ("torso", "thigh"))
    back = a["back_rgb"] / np.maximum(np.linalg.norm(a["back_rgb"], axis=-1, keepdims=True), 1e-6)
    # 0 is the hue of the trousers, 1 that of the shirt.
    share = (back - trousers) @ (shirt - trousers) / ((shirt - trousers) ** 2).sum()
    smeared = cloth & (share > 0.25) & (share < 0.75)
    assert (share[thigh] < 0.25).mean() > 0.95
    assert smeared.sum() < 2.5 * cloth.any(0).sum()  # px of belt line, whose own edge is about one px soft


def test_what_hangs_beside_the_body_has_its_own_colour_from_behind() -> None:
    """A jacket's flap beside two legs: most of the outline there is trousers', the flap is no trousers all the same."""
    names = np.array(["torso", "thigh_left", "thigh_right"])
    body, flap = np.zeros((140, 110), bool), np.zeros((140, 110), bool)
    body[10:60, 30:70], body[60:130, 30:46], body[60:130, 54:70] = True, True, True
    flap[85:115, 70:90] = True
    mask = body | flap
    jacket, trousers = np.float32([0.1, 0.5, 0.3]), np.float32([0.7, 0.3, 0.15])
    rows, columns = np.indices(mask.shape)
    rgb = np.where(((rows < 60) | flap)[..., None], jacket, trousers).astype(np.float32)
    part = np.where(rows < 60, 0, np.where(columns < 50, 1, 2)).astype(np.uint8)
    none = np.zeros_like(mask)
    inside = depth_inside(mask)

    def behind(covered: np.ndarray) -> np.ndarray:
        heads = Heads(none, none, none)
        return back_colours(rgb, mask, inside, (part, part), names, heads, none, covered, none, 20.0, 0.01)[0]

    outer, legs = flap & (columns > 74), body & (rows > 62)
    assert np.abs(behind(body)[outer] - jacket).max() < 0.02
    assert np.abs(behind(body)[legs] - trousers).mean() < 0.02
    # As if the flap were a part of the body: the outline at that height is mostly trousers'.
    assert np.abs(behind(mask)[outer] - jacket).max() > 0.3


def anchor_scene(trusted: bool, shown_shift: int) -> np.ndarray:
    """Front depth of a torso with a fitted arm 30 cm before it; in the photo the arm is `shown_shift` px aside."""
    names = np.array(["torso", "forearm_left", "hand_left", "forearm_right", "hand_right"])
    shape = (80, 80)
    torso = np.zeros(shape, bool)
    torso[5:75, 15:65] = True
    arm = np.zeros(shape, bool)
    arm[30:46, 24:56] = True
    maps: dict[str, np.ndarray] = {"part_names": names}
    for name, has_arm in (("full", arm), ("armless", np.zeros(shape, bool))):
        maps[f"{name}_front"] = np.where(torso, np.where(has_arm, 2.7, 3.0), 0).astype(np.float32)
        maps[f"{name}_back"] = np.where(torso, 3.2, 0).astype(np.float32)
        maps[f"{name}_exit"] = np.where(has_arm, 2.78, maps[f"{name}_back"]).astype(np.float32)
        maps[f"{name}_entry"] = np.where(torso, 3.0, 0).astype(np.float32)
        maps[f"{name}_front_part"] = np.where(torso, np.where(has_arm, 1, 0), 255).astype(np.uint8)
        maps[f"{name}_back_part"] = np.where(torso, 0, 255).astype(np.uint8)
    rgb = np.where(np.roll(arm, shown_shift, 0)[..., None], [0.8, 0.6, 0.5], [0.1, 0.2, 0.6]).astype(np.float32)
    anchor = choose_anchor(maps, rgb, torso, 0.06, 4, {"left": trusted, "right": trusted})
    return np.where(anchor.known[0], anchor.depth[0], np.nan)


def test_an_arm_that_misses_makes_no_shelf() -> None:
    dropped = anchor_scene(trusted=False, shown_shift=0)
    assert np.nanmin(dropped) == pytest.approx(3.0)
    right = anchor_scene(trusted=True, shown_shift=0)
    assert (right[34:42, 28:52] == np.float32(2.7)).all() and (right[50:70, 20:60] == np.float32(3.0)).all()
    # Three pixels too high: the strip of shirt that the fitted arm covers stays on the torso.
    moved = anchor_scene(trusted=True, shown_shift=3)
    assert (moved[30:32, 28:52] == np.float32(3.0)).all() and (moved[36:42, 28:52] == np.float32(2.7)).all()


# -- splats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pose", ["standing", "arm_up", "walking"])
def test_novel_views_come_near_the_truth(pose: str) -> None:
    person, _, _, cloud = made(pose)
    camera, centre = person["body"].camera, pivot(person["body"])
    scores, overlaps = [], []
    for azimuth in range(0, 360, 30):
        turned = camera.orbited(azimuth, None, centre)
        truth, found = view(person, turned), picture(cloud, turned)
        scores.append(-10 * np.log10(np.mean((on_white(truth) - on_white(found)) ** 2)))
        a, b = truth[..., 3] > 0.5, found[..., 3] > 0.5
        overlaps.append((a & b).sum() / (a | b).sum())
        holes = (truth[..., 3] > 0.99) & (found[..., 3] < 0.5)
        assert holes.sum() < 0.02 * a.sum()
    assert np.mean(scores) > 23.0 and min(scores) > 21.0
    assert np.mean(overlaps) > 0.88


def test_front_is_the_photo() -> None:
    person, _, _, cloud = made()
    found, truth = picture(cloud, person["body"].camera), person["cutout"].rgba
    solid = truth[..., 3] > 0.95
    assert -10 * np.log10(np.mean((found[..., :3] - truth[..., :3])[solid] ** 2)) > 30.0
    plain = splats.function(made()[2], person["body"], person["cutout"], params=SplatsParams(refine=0), ctx=Context())
    unrefined = picture(plain, person["body"].camera)
    error = [np.mean((p[..., :3] - truth[..., :3])[solid] ** 2) for p in (found, unrefined)]
    assert error[0] < error[1]


@pytest.mark.parametrize(("azimuth", "near_side", "far_side"), [(0, "front", "back"), (180, "back", "front")])
def test_from_near_by_the_far_side_does_not_show_through(azimuth: int, near_side: str, far_side: str) -> None:
    """Drawn three times as large as the photo there are pixels between the splats' middles."""
    person, _, _, cloud = made()
    near, far = (cloud.origin == ORIGIN_NAMES.index(side) for side in (near_side, far_side))
    marked = dataclasses.replace(cloud, colours=np.stack([far, near, near], 1).astype(np.float32))
    camera = person["body"].camera.orbited(azimuth, None, pivot(person["body"]))
    drawn = picture(marked, camera.resized(3 * camera.width, 3 * camera.height))
    ours = cv2.erode((drawn[..., 3] > 0.5).astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    ours &= cv2.GaussianBlur(drawn[..., 1], (0, 0), 4.0) > 0.5
    assert ours.sum() > 20000
    assert drawn[..., 0][ours].mean() < 0.03 and np.percentile(drawn[..., 0][ours], 99) < 0.1


@pytest.mark.parametrize("pose", ["standing", "arm_in_front"])
def test_every_splat_is_inside_the_hull_sound_and_labelled(pose: str) -> None:
    _, _, result, cloud = made(pose)
    assert 20000 < len(cloud) < 90000
    assert inside_hull(cloud.means, result.camera, result.arrays["mask"]).all()
    for name in ("means", "scales", "quats", "opacities", "colours"):
        assert np.isfinite(getattr(cloud, name)).all()
    assert (cloud.scales > 0).all() and cloud.scales.max() < 0.15
    np.testing.assert_allclose(np.linalg.norm(cloud.quats, axis=1), 1, atol=1e-4)
    assert (cloud.opacities > 0).all() and (cloud.opacities < 1).all()
    present = {ORIGIN_NAMES[i] for i in np.unique(cloud.origin)}
    assert present == {"front", "back", "wall", "body"}
    # What is called seen lies on the surface that the photo's camera really sees.
    pixels, depth = result.camera.project(cloud.means)
    at = pixels[:, 1].astype(int), pixels[:, 0].astype(int)
    first = made(pose)[1].arrays["full_front"][at]
    seen = cloud.seen == SEEN
    assert (cloud.origin[seen] == ORIGIN_NAMES.index("front")).all() and seen.sum() > 8000
    known = seen & (first > 0)
    assert (np.abs(depth - first)[known] < 0.03).mean() > 0.97
    behind = (depth > first + 0.06) & (first > 0)
    assert (cloud.seen[behind] == GENERATED).mean() > 0.99


@pytest.mark.parametrize("pose", ["standing", "walking", "arm_in_front"])
def test_no_holes_from_anywhere_and_many_without_sides(pose: str) -> None:
    person, _, result, cloud = made(pose)
    bare = splats.function(result, person["body"], person["cutout"], params=SplatsParams(sides=False), ctx=Context())
    vertices, faces = solid_surface(result.arrays, result.camera, 0.006, 4)
    open_, without = [], []
    for azimuth in range(0, 360, 30):
        turned = person["body"].camera.orbited(azimuth, None, pivot(person["body"]))
        solid = cv2.erode(rasterise_mesh(vertices, faces, turned).mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        for cloud_, shares in ((cloud, open_), (bare, without)):
            shares.append((picture(cloud_, turned)[..., 3][solid] < 0.5).mean())
    assert max(open_) < 0.002 and max(without) > 0.02 and len(bare) < len(cloud)


@pytest.mark.parametrize("pose", ["standing", "walking"])
def test_the_outline_from_the_side_is_as_smooth_as_the_body(pose: str) -> None:
    """Spikes and combs: pixels by which a morphological opening and closing with a 7 px disc change the outline."""
    person, _, _, cloud = made(pose)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))

    def ragged(alpha: np.ndarray) -> float:
        mask = (alpha > 0.5).astype(np.uint8)
        changed = sum((cv2.morphologyEx(mask, how, disc) != mask).sum() for how in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE))
        rim = (mask - cv2.erode(mask, np.ones((3, 3), np.uint8))).sum()
        return float(changed / rim)

    for azimuth in (60, 90, 240, 300):
        turned = person["body"].camera.orbited(azimuth, None, pivot(person["body"]))
        turned = turned.resized(2 * turned.width, 2 * turned.height)
        truth, found = view(person, turned, samples=1)[..., 3], picture(cloud, turned)[..., 3]
        assert ragged(found) < 1.3 * ragged(truth) + 0.1, azimuth


@pytest.mark.parametrize("pose", ["standing", "walking"])
def test_background_in_the_outermost_pixels_makes_no_streaks(pose: str) -> None:
    person = painted_person(pose)
    rgba = person["cutout"].rgba.copy()
    mask = (rgba[..., 3] > 0.5).astype(np.uint8)
    rim = (mask > 0) & (cv2.erode(mask, np.ones((3, 3), np.uint8)) == 0)
    rgba[rim, :3] = 0.35 * rgba[rim, :3] + 0.65 * np.array([0.1, 0.9, 0.2], np.float32)
    inputs = {"body_fit": person["body"], "matte": Cutout(rgba), "keypoints": no_keypoints()}
    inputs["body_maps"] = made(pose)[1]
    inputs["layers"] = layers.run(inputs, LayersParams(), Context())
    cloud = splats.run(inputs, SplatsParams(), Context())
    for azimuth in (60, 90, 240, 300):
        found = picture(cloud, person["body"].camera.orbited(azimuth, None, pivot(person["body"])))
        red, green, blue, alpha = np.moveaxis(found, -1, 0)
        solid = alpha > 0.9
        assert ((green > red + 0.08) & (green > blue + 0.08))[solid].mean() < 0.08, azimuth


def test_the_solid_is_closed_wound_outwards_and_on_the_layers() -> None:
    _, _, result, _ = made("walking")
    vertices, faces = solid_surface(result.arrays, result.camera, 0.006, 4)
    assert is_closed_manifold(faces, len(vertices)) and signed_volume(vertices, faces) > 0.03
    # Between two limbs and in the middle of one.
    mask = depth_inside(result.arrays["mask"]) > 6
    rows, columns = np.nonzero(mask)
    front = result.camera.unproject(np.stack([columns, rows], 1) + 0.5, result.arrays["front"][mask])
    distance = cKDTree(vertices).query(front[::7])[0]
    assert np.quantile(distance, 0.95) < 0.008


def test_a_hand_before_the_hip_makes_no_web() -> None:
    """A hand 25 cm before the trunk whose fitted arm is two pixels off: columns in between are two limbs."""
    shape = (40, 60)
    mask = np.zeros(shape, bool)
    mask[5:35, 5:55] = True
    hand = np.zeros(shape, bool)
    hand[15:25, 20:40] = True
    front = np.where(hand, 2.75, 3.0).astype(np.float32)
    known = np.stack([mask, mask])
    known[0, 25:27, 20:40] = False  # just below the fitted hand
    part = np.stack([np.where(hand, 1, 0), np.zeros(shape)]).astype(np.uint8)
    part[0, 25:27, 20:40] = 255
    depth = np.where(np.indices(shape)[0] < 27, front, 3.0).astype(np.float32)
    depth[25:27, 20:40] = 2.75
    back = np.full(shape, 3.2, np.float32)
    two = hand.copy()
    leave, enter = np.where(two, 2.8, back).astype(np.float32), np.where(two, 3.0, depth).astype(np.float32)
    anchor = Anchor(np.stack([front, back]), np.stack([leave, enter]), two, known, part, hand.astype(np.uint8), mask)
    limb = np.zeros(256, np.uint8)
    limb[1] = 2
    # The nearest known front of the upper of the two rows is the hand.
    leave, enter, split = without_webs(anchor, mask, (depth, back, leave, enter), two, limb, 0.015)
    web = np.zeros(shape, bool)
    web[25, 21:39] = True
    assert split[web].all()
    np.testing.assert_allclose(leave[web], 2.8, atol=1e-4)
    np.testing.assert_allclose(enter[web], 3.0, atol=1e-4)
    assert (split & ~hand)[known.all(0)].sum() == 0


def test_an_open_jacket_a_strap_and_the_neck() -> None:
    """What the trunk's outline does not show stays in front; the nape is hair above and skin below, not shirt."""
    person, maps, result, _ = made()
    names = result.arrays["part_names"]
    rgba = person["cutout"].rgba.copy()
    torso = np.isin(maps.arrays["full_front_part"], part_labels(names, "torso"))
    column = np.indices(torso.shape)[1]
    middle = np.median(column[torso])
    stripe = torso & (np.abs(column - middle) < 12)
    rgba[stripe, :3] = (0.2, 0.6, 0.9)
    inputs = {"body_fit": person["body"], "matte": Cutout(rgba), "body_maps": maps, "keypoints": no_keypoints()}
    a = layers.run(inputs, LayersParams(), Context()).arrays
    core = stripe & np.isin(a["back_part"], part_labels(names, "torso")) & (np.abs(column - middle) < 9)
    jacket, shirt = np.array(COLOURS["torso"]), np.array((0.2, 0.6, 0.9))
    apart = [np.linalg.norm(a["back_rgb"][core] - colour, axis=1) for colour in (jacket, shirt)]
    assert core.sum() > 300 and (apart[0] < apart[1]).mean() > 0.97
    nape = np.isin(a["back_part"], part_labels(names, "neck")) & (depth_inside(a["mask"]) > 3)
    level = np.indices(nape.shape)[0]
    low, high = (level > np.quantile(level[nape], 0.75)) & nape, (level < np.quantile(level[nape], 0.25)) & nape
    for part, own in ((low, np.array(COLOURS["neck"]) * 0.8), (high, np.array(COLOURS["scalp"]) * 0.8)):
        apart = [np.linalg.norm(a["back_rgb"][part] - colour, axis=1) for colour in (own, jacket)]
        assert part.sum() > 20 and (apart[0] < apart[1]).mean() > 0.8


def test_a_strap_across_the_trunk_is_not_on_the_back() -> None:
    """As thin as a camera's: it is no piece of cloth of its own, and a mean over a weave's grain nearly hides it."""
    person, maps, _, _ = made()
    rgba = person["cutout"].rgba.copy()
    part = maps.arrays["full_front_part"]
    torso = np.isin(part, part_labels(maps.arrays["part_names"], "torso"))
    rows, column = np.flatnonzero(torso.any(1)), np.indices(torso.shape)[1]
    middle = np.median(column[torso])
    strap = torso & (np.abs(column - middle) < 1)
    strap[: rows[len(rows) // 5]] = strap[rows[-len(rows) // 5] :] = False
    rgba[torso, :3], rgba[strap, :3] = (0.7, 0.85, 0.9), 0.45
    inputs = {"body_fit": person["body"], "matte": Cutout(rgba), "body_maps": maps, "keypoints": no_keypoints()}
    a = layers.run(inputs, LayersParams(), Context()).arrays
    assert strap.sum() > 60 and np.abs(a["front_rgb"][strap] - 0.45).max() < 0.1
    beside = torso & (np.abs(np.abs(column - middle) - 8) < 2) & np.roll(strap, 8, 1).any(1)[:, None]
    assert a["back_made"][strap].mean() > 0.95 and a["back_made"][beside].mean() < 0.2
    assert np.abs(a["back_rgb"][strap] - (0.7, 0.85, 0.9)).max() < 0.1


# -- the front's cells --------------------------------------------------------------------------------------------


def test_cells_cover_the_mask_once_and_are_small_where_there_is_detail() -> None:
    """A disc, even on the left and chequered on the right: every pixel in one cell, the count kept, detail fine."""
    rng = np.random.default_rng(5)
    y, x = np.indices((128, 96))
    mask = np.hypot(x - 47.5, y - 63.5) < 44
    picture_ = np.full((128, 96, 3), 0.5, np.float32)
    picture_[:, 48:] += rng.uniform(-0.3, 0.3, (128, 48, 1)).astype(np.float32)
    costs = missed(picture_, mask.astype(np.float32))
    whole = [blocks(mask, 2**level).all(2) for level in range(1, LEVELS)]
    for count in (1000, 1500, 2500):
        chosen = cells(mask, costs, whole, count)
        covered = sum(np.kron(level, np.ones((2**i, 2**i), int)) for i, level in enumerate(chosen))
        np.testing.assert_array_equal(covered, mask.astype(int))
        assert 0.85 * count < sum(level.sum() for level in chosen) <= count
    left, right = (sum(level[:, side].sum() for level, side in zip(chosen, sides, strict=True)) for sides in (
        [slice(0, 40 >> i) for i in range(LEVELS)], [slice(56 >> i, None) for i in range(LEVELS)]))  # fmt: skip
    assert right > 4 * left
    with pytest.raises(ValueError, match="multiples of"):
        cells(mask[:-1], costs, whole, 100)


def textured() -> tuple[dict, Layers, Cutout]:
    """The standing person in a shirt with fine checks that leave the legs plain."""
    person, maps, _, _ = made()
    rgba = person["cutout"].rgba.copy()
    torso = np.isin(maps.arrays["full_front_part"], part_labels(maps.arrays["part_names"], "torso"))
    y, x = np.indices(torso.shape)
    rgba[..., :3] = np.where((torso & ((x // 2 + y // 2) % 2 == 0))[..., None], 0.6 * rgba[..., :3], rgba[..., :3])
    inputs = {"body_fit": person["body"], "matte": Cutout(rgba), "body_maps": maps, "keypoints": no_keypoints()}
    return person, layers.run(inputs, LayersParams(), Context()), inputs["matte"]


def test_cells_by_detail_show_more_than_even_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the same count: a checked shirt is nearer to the photo than with cells of one size."""
    person, result, matte = textured()
    camera, few = person["body"].camera, SplatsParams(count=16000)
    adaptive = splats.function(result, person["body"], matte, params=few, ctx=Context())
    count = int((adaptive.origin == ORIGIN_NAMES.index("front")).sum())

    def even(grid: Grid, photo: np.ndarray, names: np.ndarray, count: int, usual: float) -> list[np.ndarray]:
        return [grid.mask, *(np.zeros([n >> i for n in grid.mask.shape], bool) for i in range(1, LEVELS))]

    monkeypatch.setattr(gaussians, "front_cells", even)
    monkeypatch.setattr(gaussians, "DETAIL", 1.0)
    uniform = splats.function(result, person["body"], matte, params=few, ctx=Context())
    assert (uniform.origin == ORIGIN_NAMES.index("front")).sum() > 0.95 * count
    scores = [photo_scores(person["body"], matte, picture(cloud, camera)) for cloud in (adaptive, uniform)]
    assert abs(len(adaptive) - 16000) < 1600
    assert scores[0]["psnr_inside"] > scores[1]["psnr_inside"] + 1.0
    assert scores[0]["iou"] > max(0.93, scores[1]["iou"] - 0.02)
    # Its front splats are smaller on the shirt than on the plain trousers.
    front = adaptive.select(adaptive.origin == ORIGIN_NAMES.index("front"))
    at = result.camera.project(front.means)[0].astype(int)
    part = result.arrays["front_part"][at[:, 1], at[:, 0]]
    inner = depth_inside(result.arrays["mask"])[at[:, 1], at[:, 0]] > 6
    size = [np.median(front.scales[inner & np.isin(part, part_labels(result.arrays["part_names"], *stems))].max(1))
            for stems in (("torso",), ("thigh", "shin"))]  # fmt: skip
    assert size[0] < size[1]


def test_fitted_colours_are_the_least_squares_ones_within_their_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the colours that made the picture; the map and its transpose against columns drawn alone."""
    monkeypatch.setattr(colour_fit, "DAMPING", 0.0)
    rng = np.random.default_rng(2)
    count, camera = 30, Camera(np.array([[40.0, 0, 12], [0, 40.0, 12], [0, 0, 1]]), 24, 24, np.eye(4))
    means = np.column_stack([rng.uniform(-0.28, 0.28, (count, 2)), rng.uniform(0.98, 1.02, count)])
    cloud = Splats(
        means.astype(np.float32), np.tile(np.float32([1, 0, 0, 0]), (count, 1)),
        rng.uniform(0.02, 0.06, (count, 3)).astype(np.float32), np.full(count, 0.9, np.float32),
        np.full((count, 3), 0.5, np.float32), np.zeros(count, np.uint8), np.zeros(count, np.uint8),
    )  # fmt: skip
    drawing = Drawing(cloud, camera)
    columns = np.stack([drawing.draw(np.repeat(np.eye(count, dtype=np.float32)[i][:, None], 3, 1))[..., 0].ravel()
                        for i in range(count)], 1)  # fmt: skip
    truth = rng.uniform(0.2, 0.8, (count, 3)).astype(np.float32)
    photo = drawing.draw(truth)
    image = rng.normal(size=photo.shape).astype(np.float32)
    np.testing.assert_allclose(drawing.gather(image), columns.T @ image.reshape(-1, 3), atol=1e-3)
    free, sure = (drawing.visibility > 0.2).astype(np.float32), np.ones((24, 24), np.float32)
    start = dataclasses.replace(cloud, colours=np.where(free[:, None] > 0, cloud.colours, truth).astype(np.float32))
    found = fit_colours(start, free, camera, photo, sure, 60, 1.0)
    assert np.abs(found - truth).max() < 0.02 < np.abs(start.colours - truth).max()
    near = fit_colours(start, free, camera, photo, sure, 12, 0.1)
    assert np.abs(near - start.colours).max() <= 0.1 + 1e-6 and (near[free == 0] == start.colours[free == 0]).all()
    error = [np.square(drawing.draw(colours) - photo).sum() for colours in (start.colours, near, found)]
    assert error[2] < error[1] < error[0]


def test_same_input_gives_the_same_bytes() -> None:
    person, maps, result, cloud = made()
    inputs = {
        "body_fit": person["body"],
        "matte": person["cutout"],
        "keypoints": no_keypoints(),
        "body_maps": maps,
    }
    again = layers.run(inputs, LayersParams(), Context())
    for name, array in result.arrays.items():
        assert array.tobytes() == again.arrays[name].tobytes(), name
    repeated = splats.run({**inputs, "layers": again}, SplatsParams(), Context())
    assert all(getattr(cloud, f.name).tobytes() == getattr(repeated, f.name).tobytes()
               for f in dataclasses.fields(cloud))  # fmt: skip


def test_count_is_a_knob() -> None:
    person, _, result, _ = made()
    few = splats.function(result, person["body"], person["cutout"], params=SplatsParams(count=8000), ctx=Context())
    assert 4000 < len(few) < 12000


def test_turntable_goes_once_around() -> None:
    person, _, _, cloud = made()
    heard = []
    views = turntable.run(
        {"splats": cloud, "body_fit": person["body"]},
        TurntableParams(frames=4, size=192),
        Context(listen=heard.append),
    )
    assert views.images.shape == (4, 192, 192, 4) and views.labels == (
        "azimuth 0",
        "azimuth 90",
        "azimuth 180",
        "azimuth 270",
    )
    assert len(heard) == 4 and all(e.image is not None for e in heard)
    truth = view(person, person["body"].camera.square(192))
    assert np.abs(on_white(views.images[0]) - on_white(truth)).mean() < 0.03
    # Narrower from the side, the same height all around.
    widths = [(v[..., 3] > 0.5).any(0).sum() for v in views.images]
    heights = [(v[..., 3] > 0.5).any(1).sum() for v in views.images]
    assert widths[1] < 0.6 * widths[0] and max(heights) - min(heights) < 20
