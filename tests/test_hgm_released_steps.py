"""HGM's whole networks as steps: a run on stand-ins, left and right of everything, what is missing, what runs again."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity

from pipelines.body.read_body import vertices_cam
from pipelines.body.rig import default_rig
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.rotations import covariance
from pipelines.hgm import refine_whole, whole_person
from pipelines.hgm.back import BackParams
from pipelines.hgm.back_view import back_view
from pipelines.hgm.body_points import stand_in_points
from pipelines.hgm.cameras import intrinsics, opencv_view, orbit_pose, project
from pipelines.hgm.configuration import RELEASED, TINY
from pipelines.hgm.frame import LEAST_OPACITY, camera_to_gaussians, gaussians_to_camera, moved, orbit_camera
from pipelines.hgm.front_view import draw
from pipelines.hgm.mesh_of_splats import mesh_of_splats
from pipelines.hgm.mesh_step import MeshParams
from pipelines.hgm.network import HgmInput, HgmNetwork, HgmOutput
from pipelines.hgm.painter import stand_in_painter
from pipelines.hgm.photo_lens import to_network
from pipelines.hgm.pick import PickParams, pick
from pipelines.hgm.records import GIVEN, BackView, BodyPoints
from pipelines.hgm.refine_released import RefineParams, refine_step
from pipelines.hgm.released_recipe import RELEASED_RECIPE, SMALL, TINY_RECIPE
from pipelines.output import OutFolder, deliver
from pipelines.photo import read_upload
from pipelines.records import SEEN, Body, Cutout, Mesh, Record, Splats
from pipelines.replace import read_replacement
from pipelines.run import Executor, Run, branch_run, create_run
from pipelines.step import Context, MissingNeed, UserError
from pipelines.store import Store
from pipelines.weights import Weights, guess_role
from tests.test_hgm_refine import miss, scene
from ui import inspect_front
from ui.run_reader import RunReader

ROLES = ("hgm.one_view", "hgm.two_view", "hgm.diffusion", "hgm.controlnet", "smplx")


@pytest.fixture(scope="module")
def done(example_photo: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Store]:
    """One run of the stand-in system over the example photo; not to be changed."""
    home = tmp_path_factory.mktemp("hgm")
    store, upload = Store(home / "store"), read_upload(example_photo)
    run = create_run(home / "run", upload, "hgm-tiny", settings=SMALL)
    return Executor(run, store, upload).execute(), store


def painted_person(body: Body, pelvis: np.ndarray) -> torch.Tensor:
    """(N, 14) Gaussians on the vertices of a body: its left side red, its right side blue, what faces away from the
    photo's camera green as well."""
    rig = default_rig()
    at = np.asarray(vertices_cam(body), np.float64)
    places = to_network(at, pelvis)
    left = rig.rest(rig.default_phenotypes()).vertices[:, 0] > 0
    colour = np.where(left[:, None], (0.9, 0.1, 0.1), (0.1, 0.1, 0.9))
    colour[vertex_normals(at, rig.faces)[:, 2] > 0, 1] = 0.8
    reach = np.zeros(len(at))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        length = np.linalg.norm(places[rig.faces[:, a]] - places[rig.faces[:, b]], axis=1)
        np.maximum.at(reach, rig.faces[:, a], length)
        np.maximum.at(reach, rig.faces[:, b], length)
    scale = np.repeat(0.5 * reach.clip(0.004, 0.05)[:, None], 3, 1)
    turn = np.tile([1.0, 0, 0, 0], (len(at), 1))
    return torch.from_numpy(np.concatenate([places, np.full((len(at), 1), 0.95), scale, turn, colour], 1)).float()


@pytest.fixture(scope="module")
def painted() -> tuple[Body, Cutout, BodyPoints, Splats]:
    """A body, its cut-out, its points, and the painted person as coarse Gaussians in the display frame."""
    body, _, _, matte, _ = scene()
    points = stand_in_points(body, TINY.tokens)
    made = painted_person(body, points.pelvis)
    front = whole_person.front_picture(matte, body, points, 64)
    return body, matte, points, whole_person.as_splats(made, front, "consistent", matte, body, points, TINY, Context())


def red_side(picture: np.ndarray, alpha: np.ndarray) -> float:
    """Mean column of the red pixels less that of the blue ones, as a share of the picture's width."""
    columns = np.broadcast_to(np.arange(picture.shape[1]), picture.shape[:2])
    red = (alpha > 0.5) & (picture[..., 0] > 0.6) & (picture[..., 2] < 0.4)
    blue = (alpha > 0.5) & (picture[..., 2] > 0.6) & (picture[..., 0] < 0.4)
    return float(columns[red].mean() - columns[blue].mean()) / picture.shape[1]


def test_a_run_on_stand_ins_ends_with_files_and_says_what_it_is(done: tuple[Run, Store], tmp_path: Path) -> None:
    run, store = done
    assert run.state == "done" and run.preset == "tiny"
    for name in ("hgm.refine", "hgm.gaussians", "hgm.back", "hgm.fused"):
        assert "stand-in networks" in run.step(name).message, name
    out = OutFolder(tmp_path / "out")
    files = deliver(run, store, out)
    out.finish()
    assert {"splats.ply", "mesh.glb", "turntable.mp4", "preview.png", "body.npz"} <= set(files)
    coarse, fused = run.record("hgm.gaussians", store), run.record("hgm.fused", store)
    assert isinstance(coarse, Splats) and isinstance(fused, Splats)
    assert len(coarse) <= 32 * 32 < len(fused) <= 2 * 32 * 32, "one view, two views"
    back = run.record("hgm.back", store)
    assert isinstance(back, BackView) and len(back.images) == 2 and back.facts["stand_in"] is True


def test_the_seed_paints_the_back_and_nothing_before_it(done: tuple[Run, Store], tmp_path: Path) -> None:
    run, store = done
    other = branch_run(tmp_path / "other", run, seed=5)
    Executor(other, store).execute("hgm.back")
    assert other.step("hgm.gaussians").state == "reused"
    assert other.step("hgm.back").content != run.step("hgm.back").content
    # The same seed gives the same bytes in a store that knows nothing of the first run but what came before the back.
    inputs: dict[str, Record] = {
        n.replace(".", "_"): run.record(n, store) for n in ("hgm.gaussians", "hgm.points", "hgm.refine")
    }
    step = TINY_RECIPE.step("hgm.back")
    again = step.run(inputs, step.make_params({}), Context("hgm.back", seed=run.seed))
    first = run.record("hgm.back", store)
    assert isinstance(again, BackView) and isinstance(first, BackView)
    assert np.abs(again.images - first.images).max() < 1e-6


def test_a_back_view_from_elsewhere_runs_only_what_comes_after(done: tuple[Run, Store], tmp_path: Path) -> None:
    run, store = done
    Image.new("RGBA", (128, 128), (200, 30, 30, 255)).save(tmp_path / "back.png")
    record = read_replacement(TINY_RECIPE.step("hgm.back"), tmp_path / "back.png", None)
    assert isinstance(record, BackView) and record.images.shape == (1, 512, 512, 3) and not record.coarse.any()
    with store.hold() as hold:
        other = branch_run(tmp_path / "other", run, replaced={"hgm.back": store.add(record, hold)})
        Executor(other, store).execute()
    states = {s.name: s.state for s in other.steps}
    assert all(states[n] == "reused" for n in ("person", "body.fit", "hgm.smplx", "hgm.refine", "hgm.gaussians"))
    assert all(states[n] in ("done", "warning") for n in ("hgm.pick", "hgm.fused", "mesh"))
    assert other.step("hgm.fused").content != run.step("hgm.fused").content


def test_parts_left_out_are_settings_that_run_only_what_they_change(
    done: tuple[Run, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, store = done
    passes: list[tuple[HgmNetwork, HgmInput, torch.Tensor]] = []
    forward = HgmNetwork.forward

    def hear(self: HgmNetwork, given: HgmInput, **rest: Any) -> HgmOutput:
        made = forward(self, given, **rest)
        passes.append((self, given, made.image))
        return made

    monkeypatch.setattr(HgmNetwork, "forward", hear)
    step = TINY_RECIPE.step("hgm.gaussians")
    names = {n.replace(".", "_"): n for n in ("matte", "hgm.refine", "hgm.points", "hgm.gaussians", "hgm.pick")}
    inputs = {name: run.record(step_name, store) for name, step_name in names.items()}
    whole = step.run(inputs, step.make_params({}), Context("hgm.gaussians"))
    coarse = run.record("hgm.gaussians", store)
    assert isinstance(coarse, Splats) and isinstance(whole, Splats) and np.array_equal(whole.means, coarse.means)
    ((network, given, image),) = passes
    assert torch.equal(network.image_alone(given), image), "the image set is that of the whole network"
    alone = step.run(inputs, step.make_params({"body": False}), Context("hgm.gaussians"))
    assert len(passes) == 1, "the body's part is not worked out"
    assert isinstance(alone, Splats) and not np.array_equal(alone.means, whole.means)
    kept = image[image[:, 3] >= LEAST_OPACITY].numpy()
    points, matrix = inputs["hgm_points"], np.asarray(inputs["hgm_refine"]["world_from_camera"], np.float64)
    wanted = moved(gaussians_to_camera(kept, points.pelvis), matrix)
    assert len(alone) == len(wanted) and np.abs(alone.means - wanted.means).max() < 1e-5
    assert np.array_equal(alone.colours, wanted.colours)

    rows = {
        "one view": {"hgm.fused"},
        "without the body branch": {"hgm.gaussians", "hgm.back", "hgm.pick", "hgm.fused"},
    }
    for row, again in rows.items():
        changes = TINY_RECIPE.ablation[row]
        assert changes == RELEASED_RECIPE.ablation[row]
        other = branch_run(tmp_path / row.replace(" ", "_"), run, settings=SMALL | changes)
        Executor(other, store).execute("hgm.fused")
        states = {s.name: s.state for s in other.steps}
        assert {name for name, state in states.items() if state not in ("reused", "waiting")} == again
        same = other.step("hgm.fused").content == run.step("hgm.gaussians").content
        assert same is (row == "one view")
    fused = RELEASED_RECIPE.step("hgm.fused")
    assert (
        fused.roles(fused.make_params({})) == ("hgm.two_view",) and fused.roles(fused.make_params({"views": 1})) == ()
    )


def test_files_that_cannot_stand_in_say_what_is_needed(tmp_path: Path) -> None:
    Image.new("RGB", (100, 80)).save(tmp_path / "wide.png")
    with pytest.raises(UserError, match="100 x 80 pixels; it needs a square"):
        read_replacement(RELEASED_RECIPE.step("hgm.back"), tmp_path / "wide.png", None)
    np.savez(tmp_path / "no_pelvis.npz", vertices=np.zeros((3, 3)))
    with pytest.raises(UserError, match="'vertices' \\(M, 3\\) and 'pelvis'"):
        read_replacement(RELEASED_RECIPE.step("hgm.smplx"), tmp_path / "no_pelvis.npz", None)
    np.savez(tmp_path / "good.npz", vertices=np.ones((10475, 3)), pelvis=np.array([0, 0, 3.0]))
    made = read_replacement(RELEASED_RECIPE.step("hgm.smplx"), tmp_path / "good.npz", None)
    assert isinstance(made, BodyPoints) and made.source == GIVEN


def test_every_file_that_is_missing_is_named_with_the_way_to_it() -> None:
    for role in ROLES:
        with pytest.raises(MissingNeed, match=f"--weights {role}=") as said:
            Weights().path(role)
        assert str(said.value).count(". ") <= 2
    for role in ("hgm.diffusion", "hgm.controlnet"):
        with pytest.raises(MissingNeed, match=r"hgm\.back\.refiner=none"):
            Weights().path(role)


def test_a_run_on_released_networks_stops_at_what_is_missing(done: tuple[Run, Store], tmp_path: Path) -> None:
    run, store = done

    small = {**SMALL, "body.maps": {"resolution": 96}, "splats.first": {"count": 2000, "refine": 0}}

    def stopped(name: str, replaced: dict[str, str]) -> Run:
        other = branch_run(tmp_path / name, run, system="hgm-released", settings=small, replaced=replaced)
        with pytest.raises(MissingNeed):
            Executor(other, store).execute()
        return other

    first = stopped("first", {})
    assert first.state == "missing" and first.step("body.fit").state == "reused"
    assert first.step("splats.first").finished, "there is something to look at"
    assert first.step("hgm.smplx").state == "missing" and "SMPLX_NEUTRAL.npz" in first.step("hgm.smplx").message
    given = BodyPoints(np.ones((10475, 3), np.float32), np.array([0, 0, 3], np.float32), {"source": GIVEN})
    with store.hold() as hold:
        body = store.add(run.record("body.fit", store), hold)
        second = stopped("second", {"hgm.smplx": store.add(given, hold), "hgm.refine": body})
    assert second.step("hgm.gaussians").state == "missing"
    assert "one-view" in second.step("hgm.gaussians").message
    back = RELEASED_RECIPE.step("hgm.back")
    assert back.roles(back.make_params({"refiner": "none"})) == ()
    assert back.roles(back.make_params({})) == back.every_role == ("hgm.diffusion", "hgm.controlnet")


def test_the_painter_is_asked_for_only_where_it_is_wanted(painted: tuple[Body, Cutout, BodyPoints, Splats]) -> None:
    body, _, points, splats = painted
    ctx = Context("hgm.back", weights=Weights().path)
    with pytest.raises(MissingNeed, match="Stable Diffusion"):
        back_view(splats, points, body, RELEASED, BackParams(), ctx)
    plain = back_view(splats, points, body, RELEASED, BackParams(refiner="none"), ctx)
    assert plain.images.shape == (1, 512, 512, 3) and "refiner=none" in " ".join(ctx.warnings)
    # The person's left side is on the left of a picture from behind, and what faces away from the photo is in it.
    assert red_side(plain.images[0], plain.coarse[..., 3]) < -0.05
    inside = plain.coarse[..., 3] > 0.9
    assert np.median(plain.images[0][inside][:, 1]) > 0.6
    rows = np.flatnonzero(inside.any(1))
    # 204.5 px a metre about the pelvis in the middle: a person of 1.7 m.
    assert 0 < rows[0] < 256 < rows[-1] < 511 and 300 < np.ptp(rows) < 400
    assert plain.images[0][0, 0].tolist() == [1, 1, 1]


def test_gaussians_go_to_the_display_frame_and_back(painted: tuple[Body, Cutout, BodyPoints, Splats]) -> None:
    body, _, points, _ = painted
    rng = np.random.default_rng(0)
    made = np.concatenate([rng.uniform(-0.5, 0.5, (20, 3)), rng.uniform(0.1, 0.9, (20, 1)), rng.uniform(0.01, 0.1, (20, 3)),
                           rng.normal(size=(20, 4)), rng.uniform(0, 1, (20, 3))], 1)  # fmt: skip
    made[:, 7:11] /= np.linalg.norm(made[:, 7:11], axis=1, keepdims=True) * np.sign(made[:, 7:8])
    matrix = np.asarray(body["world_from_camera"], np.float64)
    there = moved(gaussians_to_camera(made, points.pelvis), matrix)
    again = camera_to_gaussians(moved(there, np.linalg.inv(matrix)), points.pelvis)
    assert np.abs(again[:, :4] - made[:, :4]).max() < 1e-5 and np.abs(again[:, 11:] - made[:, 11:]).max() < 1e-6
    # The axes of a covariance may come back in another order.
    before, after = (covariance(g[:, 7:11].astype(float), g[:, 4:7].astype(float)) for g in (made, again))
    assert np.abs(after - before).max() < 1e-6
    wide = gaussians_to_camera(made, points.pelvis, "reference_49.1")
    assert wide.scales == pytest.approx(gaussians_to_camera(made, points.pelvis).scales * 1.3703, rel=1e-4)
    # A camera of HGM's orbit in the display frame shows a person as HGM's does who is not bent by the photo's lens.
    plain = np.asarray(points.pelvis + made[:, :3] * (1, -1, -1) / 0.75) @ matrix[:3, :3].T + matrix[:3, 3]
    for azimuth, elevation in ((0.0, 0.0), (180.0, 0.0), (75.0, -20.0)):
        camera = orbit_camera(azimuth, elevation, 512, points.pelvis, body.camera)
        view = torch.from_numpy(opencv_view(orbit_pose(azimuth, elevation))[None])
        wanted, depth = project(torch.from_numpy(made[:, :3]), torch.from_numpy(intrinsics(512)[None]), view)
        pixels, z = camera.project(plain)
        assert np.abs(pixels - wanted[0].numpy()).max() < 1e-2
        assert z == pytest.approx(depth[0].numpy() / 0.75, rel=1e-5)


def test_the_crop_of_the_photo_and_the_gaussians_lie_on_one_another(
    painted: tuple[Body, Cutout, BodyPoints, Splats],
) -> None:
    body, matte, points, _ = painted
    crop = whole_person.front_picture(matte, body, points, 128).min(-1) < 0.75
    drawn = draw(painted_person(body, points.pelvis), 0.0, 128).alpha.numpy() > 0.5
    # The painted splats reach a little over the body, evenly on all sides.
    assert (crop & drawn).sum() > 0.98 * crop.sum()
    boxes = [np.argwhere(mask) for mask in (crop, drawn)]
    low, high = (np.array([getattr(box, end)(0) for box in boxes]) for end in ("min", "max"))
    assert np.abs((low[0] + high[0]) - (low[1] + high[1])).max() / 2 < 1.5, "the middles of the boxes around them"
    assert np.abs((high[0] - low[0]) - (high[1] - low[1])).max() < 9


def test_the_person_stands_in_the_display_frame_with_its_own_left(
    painted: tuple[Body, Cutout, BodyPoints, Splats],
) -> None:
    body, _, _, splats = painted
    vertices = vertices_cam(body) @ np.asarray(body["world_from_camera"])[:3, :3].T + body["world_from_camera"][:3, 3]
    assert splats.means.min(0) == pytest.approx(vertices.min(0), abs=1e-3)
    red = splats.colours[:, 0] > 0.5
    assert splats.means[red, 0].mean() > 0.05 > -0.05 > splats.means[~red, 0].mean(), "the person's left is +x"
    away = splats.colours[:, 1] > 0.5
    assert splats.means[away, 2].mean() < splats.means[~away, 2].mean(), "the photo sees the side towards +z"
    assert (splats.seen[~away] == SEEN).mean() > 0.5 and (splats.seen[away] == SEEN).mean() < 0.1


def test_the_page_tells_how_well_the_photo_is_drawn_again(
    done: tuple[Run, Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, store = done
    heard: list[float] = []
    scores = whole_person.front_scores

    def hear(gaussians: torch.Tensor, front: np.ndarray) -> dict[Any, float]:
        heard.append(max((found := scores(gaussians, front)).values()))
        return found

    monkeypatch.setattr(whole_person, "front_scores", hear)
    step = TINY_RECIPE.step("hgm.gaussians")
    inputs = {n: run.record(n.replace("_", "."), store) for n in ("matte", "hgm_refine", "hgm_points")}
    step.run(inputs, step.make_params({}), Context("hgm.gaussians"))
    reader = RunReader(run.folder, store)
    rows = dict(json.loads(inspect_front.facts(reader, "hgm.gaussians", "")))
    # The run's own number, to choose the footprint by; the faintest splats are dropped after it.
    assert float(rows["Photo drawn again, PSNR"].removesuffix(" dB")) == pytest.approx(heard[0], abs=0.1)
    drawn, photo = inspect_front.front_pictures(reader, "hgm.gaussians")
    assert drawn.shape == photo.shape == (64, 64, 3) and float(rows["Splats"].replace(",", "")) > 0
    theirs = structural_similarity(photo, drawn, channel_axis=2, gaussian_weights=True, use_sample_covariance=False,
                                   data_range=1.0)  # fmt: skip
    assert float(rows["Photo drawn again, SSIM"]) == pytest.approx(theirs, abs=0.02)
    # Where the body's points are gone, the other numbers stay.
    bare = RunReader(run.folder, Store(tmp_path / "empty"))
    monkeypatch.setattr(bare, "record", lambda name: reader.record(name) if name == "hgm.fused" else empty(name))
    rows = dict(json.loads(inspect_front.facts(bare, "hgm.fused", "")))
    assert "Splats" in rows and "Photo drawn again, PSNR" not in rows


def empty(name: str) -> Record:
    raise UserError(f"'{name}' has no result here yet.")


def test_the_mesh_is_closed_and_wears_photo_and_back_view(painted: tuple[Body, Cutout, BodyPoints, Splats]) -> None:
    body, matte, points, splats = painted
    behind = back_view(splats, points, body, RELEASED, BackParams(refiner="none"), Context())
    green = dataclasses.replace(behind, images=np.broadcast_to(np.float32([0.1, 0.9, 0.1]), behind.images.shape).copy())
    params = MeshParams(faces=6000, texture=256, voxel=16.0, views=12, size=192)
    mesh = mesh_of_splats(splats, green, points, matte, body, params, Context())
    assert isinstance(mesh, Mesh)
    welded = mesh.weld[mesh.faces]
    edges = np.sort(np.concatenate([welded[:, [0, 1]], welded[:, [1, 2]], welded[:, [2, 0]]]), 1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all(), "closed"
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    assert low == pytest.approx(splats.means.min(0), abs=0.05) and high == pytest.approx(splats.means.max(0), abs=0.05)
    side = len(mesh.texture)
    column, row = (
        (mesh.uv[:, 0] * side).astype(int).clip(0, side - 1),
        ((1 - mesh.uv[:, 1]) * side).astype(int).clip(0, side - 1),
    )
    colour = mesh.texture[row, column]
    front, back = mesh.normals[:, 2] > 0.9, mesh.normals[:, 2] < -0.9
    assert np.median(np.abs(colour[front] - 0.5).max(1)) < 0.05, "the cut-out is grey"
    assert np.median(colour[back], 0) == pytest.approx([0.1, 0.9, 0.1], abs=0.1)
    assert (mesh.seen[front] == SEEN).mean() > 0.8 > 0.1 > (mesh.seen[back] == SEEN).mean()


def test_the_body_follows_the_silhouettes_of_gaussians(monkeypatch: pytest.MonkeyPatch) -> None:
    true, wrong, _, matte, keypoints = scene()
    asked: list[Body] = []

    def knows(network, pictures, points, ctx, *share):  # type: ignore[no-untyped-def]
        asked.append(points)
        return painted_person(true, points.pelvis)

    monkeypatch.setattr(refine_whole, "predict", knows)
    inputs: dict[str, Record] = {
        "body_fit": wrong, "matte": matte, "keypoints": keypoints, "hgm_smplx": stand_in_points(wrong, TINY.tokens),
    }  # fmt: skip
    step = refine_step(TINY)
    better = step.run(inputs, RefineParams(iterations=30), Context("hgm.refine"))
    assert isinstance(better, Body) and bool(better["refine_helped"])
    assert miss(better) < 0.75 * miss(wrong)
    assert len(asked) == 2, "after the first third and before the last"
    given = dataclasses.replace(stand_in_points(wrong, TINY.tokens), facts={"source": GIVEN})
    ctx = Context("hgm.refine")
    same = step.run({**inputs, "hgm_smplx": given}, RefineParams(), ctx)
    assert isinstance(same, Body) and np.array_equal(same["rotations"], wrong["rotations"])
    assert "were given" in ctx.warnings[0]


def test_the_painter_repeats_itself_and_takes_no_part_of_a_step() -> None:
    painter = stand_in_painter("cpu")
    picture = np.random.default_rng(1).random((64, 64, 3)).astype(np.float32)

    def paint(seed: int, strength: float = 0.3) -> np.ndarray:
        return painter.paint(picture, strength, 10, 5.0, 1.0, torch.Generator().manual_seed(seed), lambda share: None)

    first = paint(22)
    assert first.shape == picture.shape and np.array_equal(first, paint(22)) and not np.array_equal(first, paint(23))
    with pytest.raises(UserError, match="leaves none"):
        paint(22, 0.05)


def test_the_painter_paints_what_the_librarys_own_pipeline_paints() -> None:
    pytest.importorskip("transformers", reason="the pipeline's module needs the package of its text encoder")
    from diffusers import StableDiffusionControlNetImg2ImgPipeline

    painter = stand_in_painter("cpu")
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    pipeline = StableDiffusionControlNetImg2ImgPipeline(
        vae=painter.vae, text_encoder=None, tokenizer=None, unet=painter.unet, controlnet=painter.controlnet,
        scheduler=painter.scheduler, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    image = Image.fromarray(picture)
    for steps, strength in ((100, 0.2), (10, 1.0)):
        theirs = pipeline(
            image=image, control_image=image, prompt_embeds=painter.words[1:], negative_prompt_embeds=painter.words[:1],
            strength=strength, num_inference_steps=steps, guidance_scale=5.0, height=64, width=64,
            controlnet_conditioning_scale=1.0, generator=torch.Generator().manual_seed(22),
        ).images[0]  # fmt: skip
        generator = torch.Generator().manual_seed(22)
        ours = painter.paint(picture.astype(np.float32) / 255, strength, steps, 5.0, 1.0, generator, lambda share: None)
        # Rounding of the start picture's arithmetic may move a value across one grey level.
        assert np.abs(np.asarray(theirs).astype(int) - np.round(ours * 255).astype(int)).max() <= 1


def test_points_that_the_photo_does_not_show_are_refused(painted: tuple[Body, Cutout, BodyPoints, Splats]) -> None:
    body, matte, points, _ = painted
    for factor in (1000.0, 0.001):
        # Millimetres, or another camera's units.
        wrong = dataclasses.replace(points, pelvis=points.pelvis * np.float32(factor))
        with pytest.raises(UserError, match="metres in that camera's frame"):
            whole_person.front_picture(matte, body, wrong, 64)


def test_a_variant_that_is_not_there_is_refused() -> None:
    images = np.stack([np.full((8, 8, 3), v, np.float32) for v in (0.2, 0.8)])
    back = BackView(np.zeros((8, 8, 4), np.float32), images)
    chosen = pick.run({"hgm_back": back}, PickParams(variant=2), Context())
    assert isinstance(chosen, BackView) and chosen.images.shape[0] == 1 and chosen.images.mean() == pytest.approx(0.8)
    with pytest.raises(UserError, match="came as 3, and there are 2"):
        pick.run({"hgm_back": back}, PickParams(variant=3), Context())
    inside = np.zeros((8, 8, 4), np.float32)
    inside[2:4, 2:4] = 1.0
    cut = pick.run({"hgm_back": dataclasses.replace(back, coarse=inside)}, PickParams(remask=True), Context())
    assert isinstance(cut, BackView) and cut.images[0, 0, 0, 0] == 1.0 and cut.images[0, 2, 2, 0] == pytest.approx(0.2)


def test_a_folder_of_diffusion_networks_is_known_by_what_lies_in_it(tmp_path: Path) -> None:
    for name in ("unet", "vae", "scheduler", "text_encoder", "tokenizer"):
        (tmp_path / "sd" / name).mkdir(parents=True)
        (tmp_path / "sd" / name / "diffusion_pytorch_model.safetensors").touch()
    assert guess_role(tmp_path / "sd") == "hgm.diffusion"
    shutil.rmtree(tmp_path / "sd" / "vae")
    with pytest.raises(UserError, match="with vae"):
        Weights({"hgm.diffusion": str(tmp_path / "sd")}).path("hgm.diffusion")
