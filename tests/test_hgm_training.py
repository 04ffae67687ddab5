"""Training of the layer network: it learns, it resumes to the same network, and its variations are right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipelines.body.rig import default_rig
from pipelines.hgm.back_network import BackAnswer, load_back_network
from pipelines.hgm.layer_input import part_places, place_of
from pipelines.hgm.layer_network import USUAL, LayerAnswer, LayerNetwork
from training.hgm import course, train_back, train_layers
from training.hgm.batches import People, _mirrored, read_people, varied
from training.hgm.losses import Truth, Weights, direct_losses, is_foot, is_head, masked_mean, true_back
from training.hgm.side_views import SideViews, draw, gaussians, side_losses

HIGH, WIDE = 32, 24


def made_people(first: int, count: int) -> dict[str, np.ndarray]:
    """People whose true depth is the given one plus what their red says: something that can be learned."""
    random = np.random.default_rng(first)
    channels = random.uniform(-1, 1, (count, 32, HIGH, WIDE)).astype(np.float32)
    channels[:, place_of("alpha")] = 1.0
    red = np.repeat(np.sign(random.uniform(-1, 1, (count, 1, 1))), WIDE, 2) * np.ones((1, HIGH, 1))
    channels[:, 0] = red
    front, back = channels[:, place_of("front").start], channels[:, place_of("back").start]
    depth = np.stack([front + 0.05 * red, back], 1)
    known = np.ones((count, HIGH, WIDE), bool)
    lens = np.array([[40.0, 0, WIDE / 2], [0, 40.0, HIGH / 2], [0, 0, 1]], np.float32)
    return {"seeds": np.arange(first, first + count), "channels": channels.astype(np.float16), "mask": known, "known": known,
            "depth": depth.astype(np.float16), "back_rgb": np.full((count, 3, HIGH, WIDE), 128, np.uint8),
            "view_rgba": np.full((count, 1, 24, 24, 4), 200, np.uint8), "view_K": np.tile(lens, (count, 1, 1, 1)),
            "view_pose": np.tile(np.eye(4, dtype=np.float32), (count, 1, 1, 1)), "crop_K": np.tile(lens, (count, 1, 1)),
            "pelvis": np.full(count, 1.3, np.float32)}  # fmt: skip


def in_memory(made: dict[str, np.ndarray]) -> People:
    return People(**{name: torch.from_numpy(values) for name, values in made.items()})


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    for name, first, count in (("train", 0, 16), ("held", 100, 4)):
        (folder / name).mkdir()
        np.savez(folder / name / f"{first:04d}.npz", **made_people(first, count))
    return folder


def train(shards: Path, out: Path, steps: int, minutes: float = 60.0) -> None:
    words = ["--shards", shards / "train", "--held", shards / "held", "--out", out, "--steps", steps, "--batch", 2,
             "--minutes", minutes]  # fmt: skip
    assert train_layers.main([str(w) for w in words]) == 0


def test_it_learns_and_resumes_to_the_same_network(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "EVERY", 4)
    monkeypatch.setattr(course, "WARM", 2)
    train(shards, tmp_path / "whole", 8)
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 4, 8]
    assert lines[0]["front"] == lines[0]["front_given"], "an untrained network leaves the layers as they are"
    assert lines[-1]["front_given"] == lines[0]["front_given"]
    # The same again, stopped after four steps and called anew.
    one_step = train_layers.Training.one_step

    def tired(self: train_layers.Training) -> dict[str, float]:
        found = one_step(self)
        if self.step == 4:
            self.seconds += 1e6
        return found

    monkeypatch.setattr(train_layers.Training, "one_step", tired)
    train(shards, tmp_path / "parts", 8)
    monkeypatch.setattr(train_layers.Training, "one_step", one_step)
    train(shards, tmp_path / "parts", 8)
    for name in ("whole", "parts"):
        assert (tmp_path / name / "held.png").stat().st_size > 0
    files = [(tmp_path / name / "hgm_layers.safetensors") for name in ("whole", "parts")]
    first, second = (load_file(f) for f in files)
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_the_back_refiner_learns_and_resumes_to_the_same_network(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "EVERY", 5)
    monkeypatch.setattr(course, "WARM", 2)
    layers = tmp_path / "layers.safetensors"
    save_file({k: v.contiguous() for k, v in LayerNetwork().state_dict().items()}, layers)
    words = ["--shards", shards / "train", "--held", shards / "held", "--layers", layers, "--steps", 10, "--batch", 4]
    train_all = [str(w) for w in [*words, "--out", tmp_path / "whole"]]
    assert train_back.main(train_all) == 0
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 5, 10]
    assert lines[0]["refined"] == lines[0]["coarse"] == lines[0]["best"], "an untrained one leaves the back as it is"
    assert lines[-1]["refined"] < lines[0]["refined"] and lines[-1]["coarse"] == lines[0]["coarse"]
    assert lines[-1]["best"] <= lines[-1]["refined"] and lines[-1]["apart"] > 0
    one_step = course.Course.one_step

    def tired(self: course.Course) -> dict[str, float]:
        found = one_step(self)
        self.seconds += 1e6 if self.step == 5 else 0.0
        return found

    monkeypatch.setattr(course.Course, "one_step", tired)
    in_parts = [str(w) for w in [*words, "--out", tmp_path / "parts"]]
    assert train_back.main(in_parts) == 0
    monkeypatch.setattr(course.Course, "one_step", one_step)
    assert train_back.main(in_parts) == 0
    first, second = (load_file(tmp_path / n / "hgm_back.safetensors") for n in ("whole", "parts"))
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert load_back_network(tmp_path / "whole" / "hgm_back.safetensors").training is False


def test_of_several_choices_the_nearest_is_taught() -> None:
    class Brightness(torch.nn.Module):
        """A back as bright as the first number says."""

        def forward(self, channels: Tensor, moves: Tensor, coarse: Tensor, choice: Tensor) -> BackAnswer:
            one = torch.ones_like(coarse[:, :1])
            return BackAnswer(0 * one, one, choice[:, :1, None, None].sigmoid().expand_as(coarse), 0 * one)

    grey = torch.rand(3, 1, 1, 1).expand(-1, 3, 8, 8)
    mask = torch.ones(3, 8, 8)
    given = train_back.Seen(torch.zeros(3, 32, 8, 8), grey[:, :2], grey, 0 * grey, grey, mask, mask)
    random = torch.Generator().manual_seed(4)
    best = train_back.nearest_choice(Brightness(), given, random)  # type: ignore[arg-type]
    drawn = torch.randn(train_back.DRAWN * 3, 8, generator=torch.Generator().manual_seed(4))
    error = (drawn[:, 0].sigmoid().reshape(train_back.DRAWN, 3) - grey[:, 0, 0, 0]).abs()
    wanted = drawn.reshape(train_back.DRAWN, 3, 8)[error.argmin(0), torch.arange(3)]
    assert torch.equal(best, wanted)


def test_edges_count_at_every_size_and_levels_of_brightness_do_not() -> None:
    known = torch.ones(1, 32, 32)
    dark, light = torch.full((1, 3, 32, 32), 0.3), torch.full((1, 3, 32, 32), 0.6)
    assert float(train_back.edge_error(dark, light, known)) < 1e-6
    striped = dark + 0.2 * (torch.arange(32) % 2)
    assert float(train_back.edge_error(dark, striped, known)) > 0.05


def test_the_losses_go_down_on_what_can_be_learned() -> None:
    torch.manual_seed(0)
    people = in_memory(made_people(0, 4))
    network = LayerNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    channels, truth = people.take(torch.arange(4))
    history = []
    for _ in range(16):
        losses = direct_losses(channels, network(channels), truth, Weights())
        history.append(float(losses["depth"].detach()))
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    assert history[-1] < 0.7 * history[0], history


def test_a_perfect_answer_has_no_loss_but_calm() -> None:
    channels = torch.zeros(1, 32, HIGH, WIDE)
    moves = 0.02 * torch.randn(1, 2, HIGH, WIDE)
    tint = torch.zeros(1, 3, HIGH, WIDE)
    truth = Truth(moves.clone(), torch.ones(1, HIGH, WIDE, dtype=torch.bool), torch.full((1, 3, HIGH, WIDE), 0.5))
    losses = direct_losses(
        channels, LayerAnswer(moves, moves, tint[:, :1], tint, torch.full_like(moves, USUAL)), truth, Weights()
    )
    assert {k for k, v in losses.items() if abs(float(v)) > 1e-7} == {"calm"}
    assert float(masked_mean(torch.ones(3), torch.zeros(3))) == 0.0


def test_a_mirrored_person_is_the_person_in_a_mirror() -> None:
    channels = torch.randn(2, 32, HIGH, WIDE)
    truth = Truth(torch.randn(2, 2, HIGH, WIDE), torch.rand(2, HIGH, WIDE) > 0.5, torch.rand(2, 3, HIGH, WIDE))
    once = _mirrored(channels, truth, torch.tensor([True, False]))
    assert torch.equal(once[0][1], channels[1]) and not torch.equal(once[0][0], channels[0])
    twice = _mirrored(*once, torch.tensor([True, False]))
    assert torch.equal(twice[0], channels) and torch.equal(twice[1].depth, truth.depth)
    # Moment = eye x direction stays true: the eye lies on the axis, which the mirror leaves alone.
    eye = torch.tensor([0.0, 0.0, -2.0])
    direction = torch.nn.functional.normalize(torch.randn(1, 3, HIGH, WIDE), dim=1)
    rays = torch.zeros(1, 32, HIGH, WIDE)
    rays[:, 6:9] = direction
    rays[:, 3:6] = torch.cross(eye[None, :, None, None].expand_as(direction), direction, dim=1)
    single = Truth(*(v[:1] for v in (truth.depth, truth.known, truth.back_rgb)))
    seen = _mirrored(rays, single, torch.tensor([True]))[0]
    wanted = torch.cross(eye[None, :, None, None].expand_as(direction), seen[:, 6:9], dim=1)
    assert torch.allclose(seen[:, 3:6], wanted, atol=1e-6)
    assert torch.allclose(seen[:, 6], -direction.flip(3)[:, 0])


def test_variation_is_repeatable_and_leaves_the_truth_of_depth_alone() -> None:
    people = in_memory(made_people(3, 4))
    channels, truth = people.take(torch.arange(4))
    first = varied(channels, truth, torch.Generator().manual_seed(5))
    second = varied(channels, truth, torch.Generator().manual_seed(5))
    assert torch.equal(first[0], second[0]) and torch.equal(first[1].back_rgb, second[1].back_rgb)
    assert torch.equal(first[1].depth.sort(3).values, truth.depth.sort(3).values)
    assert not torch.equal(first[0][:, place_of("front")].sort(3).values, channels[:, place_of("front")].sort(3).values)


SIDE = torch.tensor([[[0.0, 0.0, -1.0, 1.3], [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.3], [0.0, 0.0, 0.0, 1.0]]])


def slab(offset: float, thickness: float = 0.2) -> tuple[torch.Tensor, SideViews]:
    """Channels (1, 32, H, W) of an upright block left of the middle, and its true picture from the side."""
    people = in_memory(made_people(0, 1))
    channels = torch.zeros(1, 32, HIGH, WIDE)
    channels[:, place_of("front")], channels[:, place_of("back")] = -thickness / 2 + offset, thickness / 2 + offset
    channels[:, place_of("rgb")], channels[:, place_of("back_rgb")] = 0.6, -0.6
    sides = people.sides(torch.arange(1))
    return channels, SideViews(sides.rgba, sides.K, SIDE[None], sides.crop_K, sides.pelvis)


def block() -> torch.Tensor:
    known = torch.zeros(1, HIGH, WIDE, dtype=torch.bool)
    known[:, 6:26, 4:14] = True
    return known


def seen_from_the_side(channels: torch.Tensor, sides: SideViews) -> torch.Tensor:
    depth = torch.cat([channels[0, place_of("front")], channels[0, place_of("back")]])
    colours = [(channels[0, place_of(n)] + 1) / 2 for n in ("rgb", "back_rgb")]
    person = gaussians(depth, colours[0], colours[1], block()[0], sides.crop_K[0], sides.pelvis[0])
    return draw(person, sides.K[0, 0], sides.pose[0, 0], 24, 24)


def test_the_view_from_the_side_says_where_the_depth_belongs() -> None:
    channels, sides = slab(0.0)
    picture = seen_from_the_side(channels, sides)
    # The block's near side lies 8 pixels left of the middle, 8 / 40 * 1.3 = 0.26 nearer than the pelvis to this camera:
    # its 0.2 crop heights are 40 * 0.2 / 1.04 = 7.7 pixels wide, and closed.
    assert float(picture[12, :, 3].sum()) == pytest.approx(7.7, abs=0.8)
    assert float(picture[12, 10:14, 3].min()) > 0.8
    true = torch.cat(
        [(picture[..., :3] + picture[..., 3:] - 1) / picture[..., 3:].clamp(min=1e-3), picture[..., 3:]], -1
    )
    sides = SideViews(true[None, None], sides.K, sides.pose, sides.crop_K, sides.pelvis)
    found = {}
    for offset in (-0.06, 0.0, 0.06):
        moved, _ = slab(offset)
        moves, none = torch.zeros(1, 2, HIGH, WIDE, requires_grad=True), torch.zeros(1, 3, HIGH, WIDE)
        losses = side_losses(moved, LayerAnswer(moves, moves, none[:, :1], none, moves), block(), sides, Weights())
        total = losses["outline"] + losses["look"]
        total.backward()
        assert moves.grad is not None and torch.isfinite(moves.grad).all()
        found[offset] = (float(total.detach()), float(moves.grad.sum()))
    assert found[0.0][0] < 1e-6 < 0.1 * found[-0.06][0]
    assert found[-0.06][1] < 0 < found[0.06][1], "too near is drawn farther, too far is drawn nearer"


def test_a_mirrored_batch_is_drawn_as_the_mirrored_picture() -> None:
    channels, sides = slab(0.05)
    picture = seen_from_the_side(channels, sides)
    other = sides.mirrored(torch.tensor([True]), WIDE)
    depth = torch.cat([channels[0, place_of("front")], channels[0, place_of("back")]]).flip(2)
    colours = [((channels[0, place_of(n)] + 1) / 2).flip(2) for n in ("rgb", "back_rgb")]
    person = gaussians(depth, colours[0], colours[1], block()[0].flip(1), other.crop_K[0], other.pelvis[0])
    seen = draw(person, other.K[0, 0], other.pose[0, 0], 24, 24)
    assert torch.allclose(seen, picture.flip(1), atol=2e-3)
    assert torch.equal(other.rgba, sides.rgba.flip(3))
    back = other.mirrored(torch.tensor([True]), WIDE)
    assert torch.allclose(back.pose, sides.pose) and torch.allclose(back.K, sides.K)


def test_heads_are_heads_and_feet_keep_their_colour() -> None:
    rig = default_rig()
    places = torch.from_numpy(part_places())
    channels = torch.zeros(1, 32, 1, len(rig.part_names))
    channels[0, place_of("back_place"), 0] = places[: len(rig.part_names)].T
    heads = {rig.part_names[int(k)] for k in torch.nonzero(is_head(channels)[0, 0])}
    feet = {rig.part_names[int(k)] for k in torch.nonzero(is_foot(channels)[0, 0])}
    assert heads == {"neck", "head", "face", "scalp"} and feet == {"foot_left", "foot_right"}
    truth = Truth(torch.zeros(1, 2, 1, 17), torch.ones(1, 1, 17, dtype=torch.bool), torch.ones(1, 3, 1, 17))
    wanted = true_back(channels, truth)[0, 0, 0]
    assert {rig.part_names[int(k)] for k in torch.nonzero(wanted == 0.5)} == feet and set(wanted.tolist()) == {0.5, 1.0}


def test_no_shard_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"training\.hgm\.shards"):
        read_people(tmp_path)
