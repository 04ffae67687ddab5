"""The compact preset's view from behind: its frame, what a picture from elsewhere becomes, the refiner and its choices."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.ndimage import binary_erosion
from torch import nn

from pipelines.hgm.back_frame import back_frame, coarse_back, laid_over, overlap, worn
from pipelines.hgm.back_network import CHOICES, FINE, SHAPE, BackAnswer, BackNetwork, fine_structure, load_back_network
from pipelines.hgm.back_of_layers import structure_of
from pipelines.hgm.layer_back import LayerBackParams, layer_back
from pipelines.hgm.layer_fused import LayerFusedParams, layer_fused
from pipelines.hgm.records import BackView
from pipelines.projection.body_maps import BodyMapsParams
from pipelines.projection.body_surfaces import draw_body_maps
from pipelines.records import Body, BodyMaps, Cutout, Layers, on_white
from pipelines.step import Context, UserError
from tests.test_hgm_refine import HEIGHT, WIDTH, scene


@cache
def coloured() -> tuple[Layers, Body, BodyMaps]:
    """A body whose front is red and whose back is blue on its left half, green on its right, and its maps."""
    body, _, layers, _, _ = scene()
    a = dict(layers.arrays)
    left = np.arange(a["mask"].shape[1])[None, :, None] < a["mask"].shape[1] / 2
    a["back_rgb"] = np.where(left, (0.1, 0.2, 0.8), (0.1, 0.7, 0.2)) * np.ones((*a["mask"].shape, 1))
    a["back_rgb"] = a["back_rgb"].astype(np.float32)
    a["front_rgb"] = np.broadcast_to(np.float32((0.8, 0.1, 0.1)), a["back_rgb"].shape).copy()
    maps = draw_body_maps(body, Cutout(np.zeros((HEIGHT, WIDTH, 4), np.float32)), BodyMapsParams(HEIGHT), Context())
    return Layers(a, layers.camera), body, maps


def weights(folder: Path, change: bool) -> Path:
    """A refiner that answers zero, or one whose last layer is random."""
    torch.manual_seed(1)
    network = BackNetwork()
    if change:
        nn.init.normal_(network.conv.weight, std=0.2)
    path = folder / "hgm_back.safetensors"
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    return path


def behind(file: Path, seed: int = 0, layers: Layers | None = None, **knobs: object) -> BackView:
    usual, body, maps = coloured()
    layers = layers or usual
    inputs = {"hgm_again": layers, "hgm_layers": layers, "hgm_refine": body, "hgm_maps": maps}
    ctx = Context("hgm.back", seed=seed, weights=lambda role: file)
    made = layer_back.run(inputs, layer_back.make_params(dict(knobs)), ctx)
    assert isinstance(made, BackView)
    return made


def test_the_picture_from_behind_is_mirrored_and_goes_back_to_its_own_pixels() -> None:
    layers, body, _ = coloured()
    frame = back_frame(layers, body)
    picture = coarse_back(layers, frame)
    side = frame.window[2]
    assert picture.shape == (side, side, 4)
    # From behind, the person's parts on the photo's left are on the right: blue there.
    rows, columns = np.nonzero(picture[..., 3] > 0.5)
    blue = picture[rows, columns, 2] > 0.5
    assert columns[blue].mean() > columns[~blue].mean()
    again = frame.onto_grid(picture[..., :3])
    mask = layers.arrays["mask"]
    assert np.array_equal(again[mask], layers.arrays["back_rgb"][mask])
    back = BackView(picture, on_white(picture)[None])
    made, said = worn(layers, frame, back)
    assert np.abs(made.arrays["back_rgb"] - layers.arrays["back_rgb"]).max() < 1e-5 and said == ""


def test_rims_that_are_mixed_with_white_do_not_become_white_cloth() -> None:
    layers, body, _ = coloured()
    a = dict(layers.arrays)
    inner = np.pad(a["mask"], 1)
    inner = inner[1:-1, 1:-1] & inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
    a["alpha"] = np.where(inner, 1.0, np.where(a["mask"], 0.55, 0.0)).astype(np.float32)
    soft = Layers(a, layers.camera)
    frame = back_frame(soft, body)
    picture = np.round(coarse_back(soft, frame) * 255) / 255
    made, _ = worn(soft, frame, BackView(picture.astype(np.float32), np.round(on_white(picture) * 255)[None] / 255))
    assert np.abs(made.arrays["back_rgb"] - a["back_rgb"])[a["mask"]].max() < 0.02


def test_a_picture_from_elsewhere_is_worn_whatever_its_size_and_place() -> None:
    layers, body, _ = coloured()
    frame = back_frame(layers, body)
    outline = frame.behind(layers.arrays["mask"].astype(np.float32)) > 0.5
    theirs = np.where(outline[..., None], np.float32((0.9, 0.8, 0.1)), np.float32(1.0))
    # A white belt is cloth, not a hole: it is surrounded by cloth.
    middle = int(np.median(np.nonzero(outline)[0]))
    belt = outline & (np.abs(np.arange(len(outline))[:, None] - middle) < 3)
    theirs[belt & binary_erosion(outline, iterations=8)] = 1.0
    given = BackView(np.zeros((*theirs.shape[:2], 4), np.float32), theirs[None], {"refiner": "given"})
    made, said = worn(layers, frame, given)
    mask = layers.arrays["mask"]
    yellow = np.abs(made.arrays["back_rgb"] - (0.9, 0.8, 0.1)).max(-1) < 0.02
    white = (made.arrays["back_rgb"] > 0.97).all(-1)
    assert said == "" and (yellow | white)[mask].mean() > 0.99 and 0 < white[mask].mean() < 0.1
    # Half as large and in a corner, it is brought onto the outline, and that is said.
    small = np.ones_like(theirs)
    half = theirs[::2, ::2]
    small[: len(half), : len(half)] = half
    moved, said = worn(layers, frame, BackView(given.coarse, small[None], given.facts))
    assert "scaled by 2.0" in said
    assert (np.abs(moved.arrays["back_rgb"] - made.arrays["back_rgb"]).max(-1) < 0.1)[mask].mean() > 0.95
    # What fits as it came is left where it is.
    image, person, said = laid_over(theirs, outline)
    assert said == "" and overlap(person, outline) > 0.98
    assert np.abs(image[~outline] - (0.9, 0.8, 0.1)).max() < 0.01, "no paper is left beside the person"


def test_a_silent_refiner_leaves_the_coarse_back(tmp_path: Path) -> None:
    plain = behind(weights(tmp_path, change=False), refiner="none")
    silent = behind(weights(tmp_path, change=False), variants=2)
    assert len(plain.images) == 1 and len(silent.images) == 2
    assert np.abs(silent.images - plain.images).max() < 1e-6 and np.array_equal(silent.coarse, plain.coarse)
    assert plain.facts["refiner"] == "none" and silent.facts["refiner"] == "network"


def test_variants_are_other_choices_and_the_seed_decides_them(tmp_path: Path) -> None:
    file = weights(tmp_path, change=True)
    first, again, other = behind(file, 0, variants=3), behind(file, 0, variants=3), behind(file, 1, variants=3)
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.images[0], other.images[0]), "the likeliest back does not depend on the seed"
    assert not np.array_equal(first.images[1], other.images[1]) and not np.array_equal(first.images[0], first.images[1])
    assert np.array_equal(behind(file, 0, variants=2).images, first.images[:2])
    assert np.array_equal(behind(file, 0, variants=3, variety=0.0).images[2], first.images[0])
    assert (
        np.abs(behind(file, 0, variants=1, strength=0.0).images[0] - behind(file, refiner="none").images[0]).max()
        < 1e-6
    )
    outside = first.coarse[..., 3] == 0
    assert (first.images[:, outside] == 1).all(), "nothing is painted beside the person"


def test_a_bag_before_a_made_back_changes_nothing_behind_it(tmp_path: Path) -> None:
    """The network does not see it either; copied cloth of its colour does change the back."""
    file, plain = weights(tmp_path, change=True), coloured()[0]
    mask = plain.arrays["mask"]
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    middle, half = (rows[0] + rows[-1]) // 2, (columns[0] + columns[-1]) // 2
    bag = np.zeros_like(mask)
    bag[middle - 24 : middle, half - 12 : half + 12] = True
    bag &= mask
    assert bag.sum() > 100

    def carrying(colour: tuple[float, ...], replaced: bool) -> np.ndarray:
        photo = np.where(bag[..., None], np.float32(colour), plain.arrays["front_rgb"])
        arrays = {**plain.arrays, "front_rgb": photo, "back_made": bag & replaced}
        return behind(file, layers=Layers(arrays, plain.camera)).images[0]

    dark, light = (0.05, 0.05, 0.1), (0.9, 0.9, 0.8)
    made, copied = (np.abs(carrying(dark, m) - carrying(light, m)) for m in (True, False))
    assert made.sum() < 0.2 * copied.sum()


def test_the_fused_person_wears_the_picked_back_or_none(tmp_path: Path) -> None:
    layers, body, _ = coloured()
    back = behind(weights(tmp_path, change=True), variants=1)
    inputs = {"hgm_again": layers, "hgm_pick": back, "hgm_refine": body}
    made = layer_fused.run(inputs, LayerFusedParams(), Context())
    assert isinstance(made, Layers)
    mask = layers.arrays["mask"]
    assert np.abs(made.arrays["back_rgb"] - layers.arrays["back_rgb"])[mask].max() > 0.05
    for name in ("front_rgb", "front", "back", "alpha"):
        assert np.array_equal(made.arrays[name], layers.arrays[name]), name
    assert layer_fused.run(inputs, LayerFusedParams(views=1), Context()) is layers


def test_fine_structure_has_folds_and_no_large_print() -> None:
    high, wide = 128, 96
    alpha = torch.zeros(1, 1, high, wide)
    alpha[..., 8:-8, 16:-16] = 1
    flat = torch.full((1, 3, high, wide), 0.6)
    assert float(fine_structure(flat, alpha).abs().max()) < 1e-5, "no rim at the outline"
    stripes = flat + 0.2 * torch.sin(torch.arange(wide) * 2 * torch.pi / 3)
    wave = flat + 0.2 * torch.sin(torch.arange(wide) * 2 * torch.pi / 96)
    inside = (slice(None), slice(None), slice(40, 88), slice(36, 60))
    assert float((fine_structure(stripes, alpha) - stripes + flat)[inside].abs().max()) < 0.02
    assert float(fine_structure(wave, alpha)[inside].abs().max()) < 0.02
    # The same on a grid twice as fine.
    double = torch.nn.functional.interpolate(stripes, scale_factor=2)
    finer = fine_structure(double, torch.nn.functional.interpolate(alpha, scale_factor=2))
    back = torch.nn.functional.avg_pool2d(finer, 2)
    assert float((back - fine_structure(stripes, alpha))[inside].abs().max()) < 0.01 and FINE * high == 2


def test_fine_structure_by_opencv_is_that_of_the_convolution() -> None:
    rng = np.random.default_rng(3)
    for height, width in ((64, 48), (193, 150)):
        front = rng.random((height, width, 3)).astype(np.float32)
        alpha = np.zeros((height, width), np.float32)
        alpha[height // 8 :, width // 4 : -3] = 0.9
        slow = fine_structure(torch.from_numpy(front).permute(2, 0, 1)[None], torch.from_numpy(alpha)[None, None])
        assert np.abs(structure_of(front, alpha) - slow[0].permute(1, 2, 0).numpy()).max() < 1e-5
        assert float(slow.abs().max()) > 0.3


def test_an_answers_strength_goes_from_the_coarse_back_to_the_painted_one() -> None:
    shape = (1, 1, 4, 4)
    answer = BackAnswer(torch.zeros(shape), torch.full(shape, 0.5), torch.full((1, 3, 4, 4), 0.9), torch.ones(shape))
    coarse, front, fine = torch.full((1, 3, 4, 4), 0.1), torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.05)
    assert float(answer.painted(front, fine, coarse).mean()) == pytest.approx(0.1 + 0.5 * 0.8 + 0.05)
    assert torch.equal(answer.times(0.0).painted(front, fine, coarse), coarse)


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    save_file({"conv.weight": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="does not hold the weights of the compact back refiner"):
        load_back_network(tmp_path / "x.safetensors")
    network = BackNetwork()
    count = sum(p.numel() for p in network.parameters())
    assert 2e6 < count < 4e6 and len(SHAPE.down) == 4
    zeros = torch.zeros(1, 32, 64, 48)
    assert not network(zeros, zeros[:, :2], zeros[:, :3], torch.ones(1, CHOICES)).gate.any()


def test_every_knob_is_declared_for_the_page() -> None:
    assert [k.name for k in layer_back.knobs] == ["refiner", "strength", "variety", "variants"]
    assert layer_back.seeded and layer_back.roles(LayerBackParams(refiner="none")) == ()
    assert layer_back.roles(LayerBackParams()) == ("hgm.back",)
