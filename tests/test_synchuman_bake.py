"""The optimised texture of SyncHuman against formulas, finite differences and textures that are known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from pipelines.geometry.unwrap import unwrap, uv_image  # noqa: E402
from pipelines.run import Run  # noqa: E402
from pipelines.step import Cancelled, Context, Event, UserError  # noqa: E402
from pipelines.store import Store  # noqa: E402
from pipelines.synchuman import mip_pyramid, optimise_texture  # noqa: E402
from pipelines.synchuman.bake_cameras import bake_angles, extrinsics, perspective_camera  # noqa: E402
from pipelines.synchuman.display import place  # noqa: E402
from pipelines.synchuman.observations import Observation, observations, on_face_canvas  # noqa: E402
from pipelines.synchuman.optimise_texture import Schedule, State, Target  # noqa: E402
from pipelines.synchuman.view_texels import UnwrappedMesh, texels_in_view  # noqa: E402
from tests.synchuman_run import content, made, work  # noqa: E402
from tests.torch_threads import one_thread  # noqa: E402, F401

pytest_plugins = ("tests.synchuman_run",)
SIZE = 32


def painted_texture(size: int, seed: int = 0) -> np.ndarray:
    """(size, size, 3) 0.1..0.9: smooth waves, a sharp chequer and a little noise."""
    y, x = np.mgrid[:size, :size] / size
    waves = np.stack([np.sin(9 * x + 3), np.cos(7 * y), np.sin(5 * (x + y))], -1) * 0.25
    chequer = (np.floor(x * 8) + np.floor(y * 8)) % 2 * 0.2 - 0.1
    noise = np.random.default_rng(seed).uniform(-0.05, 0.05, (size, size, 3))
    return (0.5 + waves + chequer[..., None] + noise).astype(np.float32)


@pytest.fixture(scope="module")
def mesh() -> UnwrappedMesh:
    """A box in the cube, unwrapped."""
    import trimesh

    box = trimesh.creation.box((0.5, 0.4, 0.8)).subdivide().subdivide()
    atlas = unwrap(box.vertices, box.faces, np.eye(3), size=256)
    return UnwrappedMesh(box.vertices[atlas.vertex], atlas.faces, atlas.uv)


def plain_sample(texture: np.ndarray, uv: np.ndarray, level: float) -> np.ndarray:
    """One trilinear sample by the definition, in double precision, for a side that is a power of two."""
    top = int(math.log2(len(texture)))
    level = min(max(level, 0.0), top)
    values = []
    for k in (math.floor(level), min(math.floor(level) + 1, top)):
        side = len(texture) >> k
        grid = texture.astype(np.float64).reshape(side, 1 << k, side, 1 << k, 3).mean((1, 3))
        x, y = uv * side - 0.5
        x0, y0 = math.floor(x), math.floor(y)
        value = 0.0
        for dy in (0, 1):
            for dx in (0, 1):
                share = (1 - abs(x - x0 - dx)) * (1 - abs(y - y0 - dy))
                value = value + share * grid[(y0 + dy) % side, (x0 + dx) % side]
        values.append(value)
    part = level - math.floor(level)
    return (1 - part) * values[0] + part * values[1]


def test_samples_are_trilinear_and_wrap() -> None:
    texture, generator = painted_texture(SIZE), np.random.default_rng(1)
    uv = np.concatenate([generator.uniform(-0.5, 1.5, (60, 2)), [[0, 0], [1, 1], [0.5, 0.999]]])
    level = np.concatenate([generator.uniform(-2, 8, 60), [0, 0, 5]])
    rows = mip_pyramid.pyramid(torch.from_numpy(texture))
    assert mip_pyramid.sides(SIZE) == [32, 16, 8, 4, 2, 1] and len(rows) == 1365
    assert mip_pyramid.sides(100) == [100, 50, 25], "an odd side is not halved"
    at = mip_pyramid.taps(torch.from_numpy(uv), torch.from_numpy(level), SIZE)
    got = mip_pyramid.sample(rows.double(), at).numpy()
    wanted = np.stack([plain_sample(texture, u, k) for u, k in zip(uv, level, strict=True)])
    assert np.abs(got - wanted).max() < 1e-6
    assert np.allclose(at.weights.sum(0), 1)


def test_the_level_is_that_of_a_pixels_longer_axis() -> None:
    """Against the singular values of random derivatives, and against differences between neighbouring pixels."""
    jacobian = np.random.default_rng(2).normal(size=(200, 2, 2)) / 50
    wanted = np.log2(np.linalg.svd(jacobian, compute_uv=False)[:, 0])
    assert np.abs(mip_pyramid.footprint(jacobian) - wanted).max() < 1e-9


@pytest.mark.parametrize("parallel", [True, False])
def test_derivatives_are_those_of_the_picture(parallel: bool) -> None:
    """One large tilted triangle: a pixel's width on the texture, from the texture coordinates of its neighbours."""
    vertices = np.array([[-0.4, -0.3, -0.4], [0.4, 0.3, -0.3], [0.0, -0.1, 0.45]])
    uv = np.array([[0.1, 0.2], [0.9, 0.3], [0.4, 0.95]])
    mesh, side = UnwrappedMesh(vertices, np.array([[0, 1, 2]]), uv), 128
    view = texels_in_view(mesh, 2.5, 0.3, side, parallel)
    image = np.full((side * side, 2), np.nan)
    image[view.pixel] = view.uv
    image = image.reshape(side, side, 2)
    along = np.stack([image[1:-1, 2:] - image[1:-1, :-2], image[2:, 1:-1] - image[:-2, 1:-1]], -1) / 2
    width = np.full(side * side, np.nan)
    width[view.pixel] = view.width
    width = width.reshape(side, side)[1:-1, 1:-1]
    inner = np.isfinite(along).all((2, 3)) & np.isfinite(width)
    assert inner.sum() > 500
    wanted = np.log2(np.linalg.svd(along[inner], compute_uv=False)[:, 0])
    assert np.abs(width[inner] - wanted).max() < 0.02
    # A pixel's texture coordinates are those of the place that the camera sees there.
    k = len(view.pixel) // 2
    share = np.linalg.solve(np.vstack([uv.T, np.ones(3)]), np.append(view.uv[k], 1.0))
    place_seen = share @ vertices
    if parallel:
        local = extrinsics(2.5, 0.3)[:3] @ np.append(place_seen, 1)
        pixel = (local[:2] + 0.5) * side
    else:
        pixel = perspective_camera(2.5, 0.3, side).project(place_seen[None])[0][0]
    assert np.abs(pixel - (view.pixel[k] % side + 0.5, view.pixel[k] // side + 0.5)).max() < 1e-3


def test_the_gradient_is_that_of_the_formula() -> None:
    """Against torch's own differentiation of the loss written out with plain bilinear reading of every level."""
    generator = torch.Generator().manual_seed(3)
    texture = torch.rand(16, 16, 3, generator=generator, dtype=torch.float64).requires_grad_(True)
    uv, level = torch.rand(90, 2, generator=generator).double(), 5 * torch.rand(90, generator=generator).double()
    colour = (255 * torch.rand(90, 3, generator=generator)).to(torch.uint8)
    view = Target(uv, level, colour, 10, np.arange(90, dtype=np.int32))
    at = mip_pyramid.taps(uv, level, 16)
    drawn = (mip_pyramid.pyramid(texture)[at.rows] * at.weights[..., None]).sum(0)
    smooth = sum((texture.narrow(a, 1, 15) - texture.narrow(a, 0, 15)).abs().mean() for a in (0, 1))
    loss = (drawn - colour / 255).abs().mean() + 0.3 * smooth
    loss.backward()
    found, gradient = optimise_texture.loss_and_gradient(texture.detach(), view, 0.3)
    assert found == pytest.approx(float(loss.detach()), abs=1e-7)
    assert texture.grad is not None and (gradient - texture.grad).abs().max() < 1e-9


def test_the_schedule_is_the_released_one() -> None:
    schedule = Schedule()
    rates = [schedule.rate(k) for k in range(1000)]
    assert rates[0] == rates[1] == 1e-2 and rates == sorted(rates, reverse=True)
    assert rates[501] == pytest.approx((1e-2 + 3e-5) / 2) and rates[-1] == pytest.approx(3e-5, rel=0.01)
    order = schedule.order(100, 7)
    assert np.array_equal(order, schedule.order(100, 7)) and not np.array_equal(order, schedule.order(100, 8))
    assert set(order[931:]) == {0, 2} and len(set(order[:931])) == 100
    assert order[930] not in (0, 2) or set(order[925:931]) - {0, 2}
    assert np.bincount(order[:931], minlength=100).max() < 30, "evenly drawn"


def test_adam_is_torchs() -> None:
    generator = torch.Generator().manual_seed(4)
    first = torch.rand(5, 5, 3, generator=generator)
    ours = State(first.clone(), torch.zeros_like(first), torch.zeros_like(first), np.zeros(20, np.float32))
    theirs = first.clone().requires_grad_(True)
    adam = torch.optim.Adam([theirs], 1e-2, (0.5, 0.9), eps=1e-8)
    for step in range(20):
        gradient = torch.randn(5, 5, 3, generator=generator) * 10.0 ** (-step / 4)
        adam.param_groups[0]["lr"] = Schedule(steps=20).rate(step)
        theirs.grad = gradient
        adam.step()
        optimise_texture.adam(ours, gradient, Schedule(steps=20).rate(step), (0.5, 0.9))
    assert ours.done == 20 and (ours.texture - theirs.detach()).abs().max() < 1e-6


def seen(mesh: UnwrappedMesh, texture: np.ndarray, views: int, side: int) -> list[Observation]:
    """Pictures of a texture (row 0 is v = 0) on the mesh, by the plain sampler's rule at every pixel."""
    rows, made = mip_pyramid.pyramid(torch.from_numpy(texture)), []
    for i, (yaw, pitch) in enumerate(bake_angles(views)):
        width = 2 * side if i == 4 else side
        view = texels_in_view(mesh, float(yaw), float(pitch), width, i < 5)
        at = mip_pyramid.taps(
            torch.from_numpy(view.uv), torch.from_numpy(view.width) + math.log2(len(texture)), len(texture)
        )
        picture, mask = np.zeros((width * width, 3), np.uint8), np.zeros(width * width, bool)
        picture[view.pixel] = np.round(mip_pyramid.sample(rows, at).numpy() * 255).astype(np.uint8)
        mask[view.pixel] = True
        made.append(Observation(picture.reshape(width, width, 3), mask.reshape(width, width), yaw, pitch, i < 5))
    return made


@pytest.mark.parametrize("size", [64, 48])
def test_a_known_texture_is_found_again(mesh: UnwrappedMesh, size: int) -> None:
    known = painted_texture(size)
    schedule = Schedule(size, 400)
    views = optimise_texture.targets(mesh, seen(mesh, known, 25, 96), schedule, "cpu", lambda n: None)
    said: list[str] = []
    texture, losses = optimise_texture.optimise(
        views, schedule, Context("x", seed=1), lambda part, text, shown: said.append(text)
    )
    touched = np.zeros((size * size), bool)
    for view in views:
        fine = mip_pyramid.taps(view.uv, view.level, size)
        # Where a view reads the finest level with some weight.
        rows = fine.rows[(fine.weights > 0.1) & (fine.rows < size * size)]
        touched[rows.numpy()] = True
    error = (texture.numpy() - known).reshape(-1, 3)[touched]
    assert touched.mean() > 0.4 and -10 * math.log10((error**2).mean()) > 34
    assert losses[:20].mean() > 0.2 and losses[-20:].mean() < 0.012, "what is left is the total variation's share"
    assert len(said) == 20
    covered = uv_image(mesh.uv, mesh.faces, size).mask
    whole = optimise_texture.finish(texture, covered)
    plain = np.floor(np.clip(texture.numpy()[::-1], 0, 1) * 255)
    assert (
        np.array_equal(np.round(whole * 255)[covered], plain[covered]) and (whole[~covered].max(-1) > 0.05).mean() > 0.9
    )


def test_what_the_mesh_does_not_cover_counts_only_as_released(mesh: UnwrappedMesh) -> None:
    (front,) = seen(mesh, painted_texture(32), 25, 48)[:1]
    wide = replace(front, mask=np.ones_like(front.mask), picture=np.full_like(front.picture, 9))
    counts = []
    for whole_mask in (False, True):
        (target,) = optimise_texture.targets(mesh, [wide], Schedule(32, whole_mask=whole_mask), "cpu", lambda n: None)
        counts.append(len(target.pixel))
    assert counts == [int(front.mask.sum()), front.mask.size]


def test_observations_are_what_cameras_there_see(whole: tuple[Run, Store, list[Event]]) -> None:
    """Back and left turned back, the close-up in its place, splats on black where the cube's own cameras stand."""
    pictures, splats = made(whole, "synchuman.views"), made(whole, "synchuman.splats")
    placement = place(made(whole, "synchuman.frame"), made(whole, "body.fit"))
    found = list(observations(pictures, splats, placement, 3, 64))
    assert len(found) == 8 and [o.parallel for o in found] == [True] * 5 + [False] * 3
    for v, turned in enumerate((False, False, True, True)):
        stored = pictures.colours[v][:, ::-1] if turned else pictures.colours[v]
        assert np.array_equal(found[v].picture, stored)
        normal = pictures.normals[v][:, ::-1] if turned else pictures.normals[v]
        assert np.array_equal(found[v].mask, (normal < 230).any(-1))
    side = pictures.colours.shape[1]
    face, tile = found[4], 2 * side // 3
    assert face.picture.shape == (2 * side, 2 * side, 3) and (face.picture[tile:] == 255).all()
    assert not face.mask[tile:].any() and (face.picture[:tile, :tile] == 255).all()
    assert np.array_equal(face.picture, on_face_canvas(pictures.colours[4]))
    cube = placement.to_cube(splats.means[splats.opacities > 0.05])
    for o in found[5:]:
        pixels, _ = perspective_camera(o.yaw, o.pitch, 64).project(cube)
        inside = pixels[((pixels >= 0) & (pixels < 64)).all(1)].astype(int)
        shown = np.zeros((64, 64), bool)
        shown[inside[:, 1], inside[:, 0]] = True
        assert o.mask.any() and (o.mask & shown).sum() > 0.8 * shown.sum()


def test_the_step_makes_it_stops_and_goes_on(whole: tuple[Run, Store, list[Event]], tmp_path: Path) -> None:
    """Cancelled after some steps and taken up again: the same bytes as in one go, nothing done twice."""
    step = "synchuman.texture"
    settings = {"way": "optimised", "steps": 50, "bake_renders": 2, "bake_size": 64}
    events: list[Event] = []
    straight = work(whole, step, settings=settings, listen=events.append)
    shown = [e for e in events if e.image is not None]
    assert len(shown) == 3 and "step 50 of 50" in shown[-1].message and shown[0].image.shape == (256, 512, 3)  # type: ignore[union-attr]
    fractions = [e.fraction for e in events if e.fraction is not None]
    assert fractions == sorted(fractions)
    projected = made(whole, step)
    assert len(straight.facts["losses"]) == 50 and not projected.facts
    for name in ("vertices", "faces", "normals", "seen"):
        assert len(getattr(straight, name)) and getattr(straight, name).dtype == getattr(projected, name).dtype
    asked = [0]

    def stop() -> bool:
        asked[0] += bool(events and "step 20 of" in events[-1].message)
        return asked[0] > 5

    events.clear()
    scratch = tmp_path / "scratch"
    with pytest.raises(Cancelled):
        work(whole, step, settings=settings, listen=events.append, is_cancelled=stop, scratch=scratch)
    with np.load(scratch / "bake.npz") as kept:
        assert 20 < int(kept["done"]) < 50
    events.clear()
    again = work(whole, step, settings=settings, listen=events.append, scratch=scratch)
    assert any("going on after step" in e.message for e in events) and not any(
        "step 20 of" in e.message for e in events
    )
    assert content(again, tmp_path / "again") == content(straight, tmp_path / "straight")
    # Another number of steps is another texture, and half a file is not gone on with.
    (scratch / "bake.npz").write_bytes(b"PK half a file")
    anew = work(whole, step, settings=settings, scratch=scratch)
    assert content(anew, tmp_path / "anew") == content(straight, tmp_path / "straight2")
    # A surface of noise has too many pieces for the smallest texture: a sentence, not a fault.
    with pytest.raises(UserError, match="larger texture"):
        work(whole, step, settings={**settings, "texture": 128})
