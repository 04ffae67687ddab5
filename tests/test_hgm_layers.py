"""The compact layer network: what it sees, what its answer does, and that nothing answered changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipelines.geometry.cameras import Camera, intrinsics
from pipelines.hgm.configuration import COMPACT, UNetShape
from pipelines.hgm.correct import outwards
from pipelines.hgm.layer_input import (
    ASPECT,
    CHANNELS,
    KEEP,
    THIN,
    Crop,
    find_crop,
    improved,
    in_units,
    least_thickness,
    place_of,
    rays,
    resized,
    spread,
)
from pipelines.hgm.layer_network import LayerAnswer, LayerNetwork, kept_apart, load_layer_network
from pipelines.records import Layers
from pipelines.step import UserError

CAMERA = Camera(intrinsics(300, 400, 40.0), 300, 400, np.eye(4))
NONE = np.zeros((64, 48), np.float32)
SMALL = replace(
    COMPACT,
    unet=UNetShape((32, 32), (False, True), (32, 32), (True, False), layers=1, heads=4),
)  # fmt: skip


def person(camera: Camera = CAMERA) -> Layers:
    """An upright box of 2.8 to 3.2 m depth with a limb before it in a band: front, leave, enter, back."""
    mask = np.zeros((camera.height, camera.width), bool)
    mask[60:360, 110:190] = True
    two = np.zeros_like(mask)
    two[200:240, 130:170] = True
    front = np.where(two, 2.7, 2.8) * mask
    back = 3.2 * mask
    leave, enter = np.where(two, 2.76, back) * mask, np.where(two, 2.85, front) * mask
    rgb = np.linspace(0, 1, mask.size * 3).reshape(*mask.shape, 3)
    depths = {
        n: v.astype(np.float32)
        for n, v in zip(("front", "back", "leave", "enter"), (front, back, leave, enter), strict=True)
    }
    none = np.zeros(mask.shape, np.uint8)
    return Layers(
        {"mask": mask, "alpha": mask.astype(np.float32), "two": two, "front_rgb": rgb.astype(np.float32),
         "back_rgb": rgb[::-1].astype(np.float32), "back_made": none > 0, "front_part": none, "back_part": none,
         "part_names": np.array(["torso"]), **depths}, camera,
    )  # fmt: skip


def crop_of(layers: Layers) -> Crop:
    return find_crop(layers.arrays["mask"], layers.camera, 3.0, 128)


def test_the_crop_holds_the_person_and_keeps_its_shape() -> None:
    layers = person()
    crop = crop_of(layers)
    left, top, width, height = crop.window
    assert (crop.camera.height, crop.camera.width) == (128, 96) and width == ASPECT * height
    assert left <= 110 and left + width >= 190 and top <= 60 and top + height >= 360
    assert resized(layers.arrays["mask"], crop, nearest=True).mean() > 0.25
    # The same point of the world lies at the same place of both pictures.
    point = np.array([[0.1, -0.2, 3.0]])
    whole, there = CAMERA.project(point)[0][0], crop.camera.project(point)[0][0]
    assert np.allclose((whole - (left, top)) * 128 / height, there)


def test_a_crop_may_reach_outside_the_picture() -> None:
    mask = np.zeros((400, 300), bool)
    mask[0:400, 0:40] = True
    crop = find_crop(mask, CAMERA, 3.0, 128)
    assert crop.window[0] < 0 and crop.window[1] < 0
    seen = resized(np.full((400, 300), 7, np.uint8), crop, nearest=True, outside=3)
    assert set(np.unique(seen)) == {3, 7}
    back = spread(np.ones((128, 96), np.float32), crop, mask.shape)
    assert back[mask].min() == 1.0 and back[:, 250:].max() == 0.0


def test_depth_is_counted_from_the_pelvis_in_crop_heights_whatever_the_lens_and_the_size() -> None:
    near = crop_of(person())
    # The same picture of a person twice as large and twice as far.
    far = find_crop(person().arrays["mask"], CAMERA, 6.0, 128)
    mask = np.ones((2, 2), bool)
    first = in_units(np.full((2, 2), 3.3, np.float32), mask, near)
    assert np.allclose(first, in_units(np.full((2, 2), 6.6, np.float32), mask, far), atol=1e-6)
    tall = near.window[3] * 3.0 / CAMERA.K[1, 1]
    assert np.allclose(first, 0.3 / tall, atol=1e-6)


def test_a_ray_passes_through_its_own_points() -> None:
    crop = crop_of(person())
    moment, direction = rays(crop)[:3], rays(crop)[3:]
    pixels = np.array([[10.5, 20.5], [70.5, 100.5]])
    points = crop.camera.unproject(pixels, np.array([2.5, 3.5])) - (0, 0, crop.depth)
    for (x, y), point in zip(pixels.astype(int), points / crop.unit, strict=True):
        assert np.allclose(np.cross(point, direction[:, y, x]), moment[:, y, x], atol=1e-5)


def test_an_answer_of_nothing_changes_nothing() -> None:
    layers = person()
    after = improved(
        layers, crop_of(layers), np.zeros((2, 128, 96), np.float32), NONE, np.zeros((3, 128, 96), np.float32)
    )
    for name, value in layers.arrays.items():
        assert np.array_equal(after.arrays[name], value), name
    torch.manual_seed(0)
    channels = torch.rand(2, COMPACT.in_channels, 64, 48)
    answer = LayerNetwork(SMALL)(channels)
    assert all(float(a.abs().max()) == 0.0 for a in (answer.moves, answer.photo, answer.tint))


def test_inner_surfaces_move_with_their_limb_and_end_where_they_would_cross() -> None:
    layers = person()
    crop = crop_of(layers)
    moves, tint = np.zeros((2, 128, 96), np.float32), np.zeros((3, 128, 96), np.float32)
    moves[0] = -0.02
    after = improved(layers, crop, moves, NONE, tint).arrays
    two = layers.arrays["two"]
    step = np.float32(-0.02) * crop.unit
    assert np.allclose(after["front"][two] - layers.arrays["front"][two], step, atol=1e-5)
    assert np.allclose(after["leave"][two] - layers.arrays["leave"][two], step, atol=1e-5)
    assert np.array_equal(after["enter"][two], layers.arrays["enter"][two]) and after["two"][two].all()
    # The limb in front pushed into the one behind: one limb is left, without inner surfaces.
    moves[0] = 0.2 / crop.unit
    after = improved(layers, crop, moves, NONE, tint).arrays
    assert not after["two"].any()
    assert np.array_equal(after["leave"][two], after["back"][two]) and np.array_equal(
        after["enter"][two], after["front"][two]
    )


def test_what_sticks_out_keeps_a_share_of_its_thickness() -> None:
    layers = person()
    crop, inside = crop_of(layers), layers.arrays["mask"]
    moves, tint = np.zeros((2, 128, 96), np.float32), np.zeros((3, 128, 96), np.float32)
    for front, back in ((0.5, 0.0), (0.04, -0.04), (-0.04, 0.04)):
        moves[0], moves[1] = front / crop.unit, back / crop.unit
        after = improved(layers, crop, moves, NONE, tint).arrays
        given, left = ((a["back"] - a["front"])[inside] for a in (layers.arrays, after))
        assert (left >= np.minimum(KEEP * given, THIN * crop.unit) - 1e-5).all()
        middle = (layers.arrays["front"] + layers.arrays["back"])[inside] / 2 + (front + back) / 2
        assert np.allclose((after["front"] + after["back"])[inside] / 2, middle, atol=1e-5)
    # As far apart as they were moved, where that is enough.
    assert np.allclose(left - given, 0.08, atol=1e-5)


def test_the_network_is_held_to_the_thickness_that_its_answer_will_keep() -> None:
    torch.manual_seed(1)
    channels = torch.rand(1, COMPACT.in_channels, 8, 8) * 2 - 1
    front, back = channels[:, place_of("front")][:, 0], channels[:, place_of("back")][:, 0]
    moves = 0.2 * torch.randn(1, 2, 8, 8)
    kept = kept_apart(moves, channels)
    left = (back + kept[:, 1] - front - kept[:, 0]).numpy()
    given = (back - front).numpy()
    wanted = np.maximum(given + (moves[:, 1] - moves[:, 0]).numpy(), least_thickness(np.maximum(given, 0)))
    assert np.allclose(left[given >= 0], wanted[given >= 0], atol=1e-6) and (given >= 0).sum() > 10
    assert torch.allclose(kept.sum(1), moves.sum(1), atol=1e-6)
    assert torch.equal(kept_apart(torch.zeros_like(moves), channels), torch.zeros_like(moves))


def test_the_photo_s_own_pixels_come_back_as_sharp_as_they_were() -> None:
    layers = person()
    nothing = np.zeros((2, 64, 48), np.float32), np.zeros((3, 64, 48), np.float32)
    whole = improved(layers, crop_of(layers), nothing[0], np.ones((64, 48), np.float32), nothing[1]).arrays
    inside = layers.arrays["mask"]
    assert not np.allclose(layers.arrays["front_rgb"][inside], layers.arrays["back_rgb"][inside], atol=0.1)
    assert np.allclose(whole["back_rgb"][inside], layers.arrays["front_rgb"][inside], atol=1e-5)
    half = improved(layers, crop_of(layers), nothing[0], np.full((64, 48), 0.5, np.float32), nothing[1]).arrays
    middle = 0.5 * (layers.arrays["front_rgb"] + layers.arrays["back_rgb"])[inside]
    assert np.allclose(half["back_rgb"][inside], middle, atol=1e-5)
    torch.manual_seed(0)
    channels, share = torch.rand(1, COMPACT.in_channels, 8, 8) * 2 - 1, torch.full((1, 1, 8, 8), 1.0)
    answer = LayerAnswer(share, share, share, torch.zeros(1, 3, 8, 8), share)
    assert torch.allclose(answer.back_rgb(channels), (channels[:, place_of("rgb")] + 1) / 2)


def test_a_tint_is_added_to_the_back_alone() -> None:
    layers = person()
    tint = np.zeros((3, 64, 48), np.float32)
    tint[1] = 0.1
    after = improved(layers, crop_of(layers), np.zeros((2, 64, 48), np.float32), NONE, tint).arrays
    inside = layers.arrays["mask"]
    wanted = np.clip(layers.arrays["back_rgb"][inside] + (0, 0.1, 0), 0, 1)
    assert np.allclose(after["back_rgb"][inside], wanted, atol=1e-5)
    assert np.array_equal(after["front_rgb"], layers.arrays["front_rgb"])


def test_what_the_network_says_beside_the_person_does_not_reach_the_person() -> None:
    mask = np.zeros((6, 8), bool)
    mask[1:5, 2:6] = True
    said = np.where(mask, np.arange(48, dtype=np.float32).reshape(6, 8), np.nan)[None]
    out = outwards(said, mask)[0]
    assert np.array_equal(out[mask], said[0][mask]) and np.isfinite(out).all()
    assert (out[0, 2:6] == said[0, 1, 2:6]).all() and (out[1:5, 7] == said[0, 1:5, 5]).all()


def test_channels_have_their_places() -> None:
    assert place_of("rgb") == slice(0, 3) and place_of("ray") == slice(3, 9)
    assert sum(count for _, count in CHANNELS) == COMPACT.in_channels
    with pytest.raises(ValueError, match="no channel 'depth'"):
        place_of("depth")


def test_a_file_of_another_network_is_refused_with_a_sentence(tmp_path: Path) -> None:
    save_file({"unet.conv_in.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"other.safetensors' does not hold the weights"):
        load_layer_network(tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="does not hold"):
        load_layer_network(tmp_path / "broken.safetensors")
