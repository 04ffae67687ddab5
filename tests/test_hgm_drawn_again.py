"""Does a network draw again what it was shown: the last test of an imported file, and `weights check` with all of them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import pipelines.weights_drawn as weights_drawn
from app import main
from pipelines.hgm import released_weights
from pipelines.hgm.cameras import FOCAL_AT_512, IMAGE_MEAN, IMAGE_STD, RADIUS
from pipelines.hgm.front_view import FrontView, front_view
from pipelines.hgm.network import HgmNetwork
from pipelines.hgm.stand_in import fill
from pipelines.step import UserError
from pipelines.store import Store
from pipelines.weights import check_file, guess_role
from tests.test_hgm_released_files import SMALL, network_file

SIZE = 64


class Copier(nn.Module):
    """What a trained image branch does at its simplest: a splat of the pixel's colour on the pixel's ray. One for a single
    view knows the front camera alone; one for two reads the rays."""

    def __init__(self, views: int) -> None:
        super().__init__()
        self.views, self.conv = views, nn.Identity()
        self.scale = nn.Parameter(torch.tensor(0.65 * RADIUS / FOCAL_AT_512 * 512 / SIZE))
        self.solid = 6.0

    def unet(self, pictures: Tensor, views: int) -> tuple[Tensor, None]:
        moment, way = pictures[:, 3:6], pictures[:, 6:]
        if self.views == 1:
            moment, way = moment[:1].expand_as(moment), way[:1].expand_as(way)
        centre = torch.cross(way, moment, dim=1)  # of the ray's points the nearest to the origin
        # To the plane through the origin, a little before it on the camera's side.
        side = -torch.sign(way[:, 2:])
        place = centre + way * (0.02 * side - centre[:, 2:]) / way[:, 2:]
        rgb = pictures[:, :3] * torch.tensor(IMAGE_STD)[:, None, None] + torch.tensor(IMAGE_MEAN)[:, None, None]
        solid = torch.where(rgb.amin(1, keepdim=True) < 0.95, self.solid, -9.0)
        size = torch.log(torch.expm1(0.5 * self.scale / 0.1)).expand(*solid.shape)
        turn = torch.cat([torch.ones_like(solid), *[torch.zeros_like(solid)] * 3], 1)
        colour = torch.atanh((2 * rgb - 1).clamp(-0.99, 0.99))
        return torch.cat([place, solid, size, size, size, turn, colour], 1), None


def pictures() -> tuple[Tensor, Tensor]:
    """Two sides of something with neither symmetry (3, S, S)."""
    y, x = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    shape = (((x - 26) / 13) ** 2 + ((y - 32) / 22) ** 2 < 1) | (((x - 45) / 9) ** 2 + ((y - 20) / 5) ** 2 < 1)
    front = torch.stack([0.4 + 0.3 * (x / SIZE), 0.5 + 0.3 * torch.sin(y / 9), 0.2 + 0.5 * (y / SIZE)])
    back = torch.stack([0.6 - 0.3 * (x / SIZE), 0.3 + 0.2 * torch.cos(x / 7), 0.7 - 0.5 * (y / SIZE)])
    return torch.where(shape, front, torch.ones(())), torch.where(shape, back, torch.ones(())).flip(-1)


@pytest.mark.parametrize("views", [1, 2])
def test_a_network_is_told_by_what_it_makes_of_a_second_picture(views: int) -> None:
    front, back = pictures()
    network: Any = Copier(views)
    alone, seen = front_view(network, front), front_view(network, front, back)
    assert alone.both is None and alone.views is None and alone.views_sentence() == ""
    assert seen.psnr == alone.psnr and seen.psnr[seen.better] > 20 and seen.finite and 0.1 < seen.opaque < 0.4
    assert seen.better == "consistent", "its sizes are true"
    assert seen.views == views and seen.both is not None
    assert ("two-view" if views == 2 else "one-view") in seen.views_sentence() and "guess" in seen.views_sentence()
    assert (min(seen.both) > 20) == (views == 2)
    said = json.loads(json.dumps(seen.to_json()))
    assert said["views"] == views and said["better"] == "consistent"


def test_a_network_made_for_the_larger_footprint_is_told_by_it() -> None:
    network: Any = Copier(1)
    network.solid = -2.0  # faint: only where neighbours overlap enough is a pixel covered
    assert front_view(network, pictures()[0]).better == "reference_49.1"


def test_numbers_that_say_nothing_are_no_guess() -> None:
    def seen(one: float, two: float, finite: bool = True, white: float = 9.0) -> FrontView:
        return FrontView(finite, 0.3, {"consistent": one, "reference_49.1": one - 1}, (two + 1, two), white)

    assert [seen(*n).views for n in ((22, 21), (12, 21), (22, 12), (16, 9), (16, 16), (22, 18), (9, 2))] == [
        2, 2, 1, None, None, None, None,
    ]  # fmt: skip
    assert seen(22, 21, finite=False).views is None and seen(22, 21, finite=False).views_sentence() == ""
    assert "does not tell" in seen(12, 12).views_sentence()
    # A small dark person on white: whoever draws nothing has as much.
    for one, two in ((15.5, 15.4), (18.3, 18.3), (18, 10)):
        assert seen(one, two, white=15.4).views is None and "Too little" in seen(one, two, white=15.4).sentence()
    assert seen(23, 22, white=15.4).views == 2 and "genuine" in seen(23, 22, white=15.4).sentence()
    network = fill(HgmNetwork(SMALL))
    assert isinstance(network, HgmNetwork)
    assert front_view(network, *pictures()).views is None, "random weights draw neither"
    front = pictures()[0]
    assert front_view(network, front).white == pytest.approx(-10 * np.log10(float(((1 - front) ** 2).mean())), abs=1e-3)


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A whole file of the small structure, for commands that expect the released size."""
    monkeypatch.setenv("HUMANSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(released_weights, "examine", functools.partial(released_weights.examine, base=SMALL))
    monkeypatch.setattr(weights_drawn, "draw_again", functools.partial(weights_drawn.draw_again, base=SMALL))
    return network_file(tmp_path)


def test_the_command_draws_a_photo_and_says_both_footprints(
    small_files: Path, example_photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["weights", "check", str(small_files), "--draw", str(example_photo)]
    assert main(words) == 0
    came = capsys.readouterr()
    for wanted in ("verdict:", "footprint consistent:", "footprint reference_49.1:", "of splats visible", "Too little",
                   "does not tell"):  # fmt: skip
        assert wanted in came.out, wanted
    assert "minutes on a CPU" in came.err and "body.fit" in came.err
    runs = tmp_path / "home" / "runs"
    assert not runs.exists() or not list(runs.iterdir()), "no run stays behind"
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] != "refused" and set(said["drawn"]["psnr"]) == {"consistent", "reference_49.1"}
    # The very crop that a run of the person gives to the network.
    matte, body = weights_drawn.person_of(example_photo, Store(tmp_path / "home"), lambda event: None)
    from pipelines.hgm.body_points import stand_in_points
    from pipelines.hgm.whole_person import front_picture

    picture = torch.from_numpy(front_picture(matte, body, stand_in_points(body, 5), SMALL.input_size)).permute(2, 0, 1)
    network, _ = released_weights.load_released(small_files, 1, base=SMALL)
    mine = front_view(network, picture, picture.flip(-1))
    assert said["drawn"]["psnr"] == pytest.approx(mine.psnr, abs=1e-4) and said["drawn"]["opaque"] == mine.opaque


def test_what_cannot_draw_is_refused_before_any_work(
    small_files: Path, example_photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: object) -> str:
        assert main([str(w) for w in words]) == 2
        return capsys.readouterr().err

    assert "goes with 'weights check FILE'" in refused("weights", "list", "--draw", example_photo)
    assert "no such photo" in refused("weights", "check", small_files, "--draw", tmp_path / "none.jpg")
    save_file({"a": torch.ones(2)}, tmp_path / "other.safetensors")
    assert "no network of HGM's" in refused("weights", "check", tmp_path / "other.safetensors", "--draw", example_photo)
    broken = tmp_path / "broken.safetensors"
    save_file({"unet.conv_in.weight": torch.ones(32, 9, 3, 3), "conv.bias": torch.ones(14),
               "unet.down_blocks.0.nets.0.conv1.weight": torch.ones(32, 32, 3, 3)}, broken)  # fmt: skip
    assert "is not run; nothing was drawn" in refused("weights", "check", broken, "--draw", example_photo)
    (tmp_path / "text.jpg").write_text("no picture")
    refused("weights", "check", small_files, "--draw", tmp_path / "text.jpg")
    assert not list((tmp_path / "home").rglob("run.json"))


def test_a_foreign_torch_file_is_not_taken_for_hgms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUMANSCOPE_HOME", str(tmp_path / "home"))
    foreign, own = tmp_path / "x.pt", tmp_path / "hgm.pt"
    torch.save({"layer.weight": torch.ones(3)}, foreign)
    torch.save({"unet.conv_in.weight": torch.ones(2), "unet.down_blocks.0.nets.0.conv1.weight": torch.ones(2)}, own)
    assert main(["weights", "check", str(foreign)]) == 2
    assert "fits no known role" in (said := capsys.readouterr()).err and "can be read" not in said.out
    assert main(["weights", "keep", f"hgm.one_view={foreign}"]) == 2
    assert "no tensors of that network" in capsys.readouterr().err
    run = ["run", "photo.jpg", "--system", "hgm-released", "--weights", f"hgm.two_view={foreign}"]
    assert main(run) == 2 and "no tensors of that network" in capsys.readouterr().err
    assert main(["weights", "keep", f"hgm.one_view={own}"]) == 0
    capsys.readouterr()
    assert main(["weights", "check", str(own)]) == 2, "HGM's, and not whole"
    assert "verdict: refused" in capsys.readouterr().out
    # Without anyone who looks inside, an ending is no guess; the steps read such a file key by key.
    with pytest.raises(UserError, match="fits no known role"):
        guess_role(own)
    assert guess_role(own, {"hgm.two_view": lambda path: True}) == "hgm.two_view"
    assert "can be read" in check_file(own, "hgm.one_view")


def test_a_photo_of_nobody_is_refused(small_files: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.full((200, 150, 3), 120, np.uint8)).save(tmp_path / "wall.png")
    with pytest.raises(UserError):
        weights_drawn.draw_again(small_files, tmp_path / "wall.png", Store(tmp_path / "s"), print, lambda event: None)
