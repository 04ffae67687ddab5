"""HGM's networks: recorded values, keys, behaviour, switches, and the anchored decoder at its start."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks import parity
from pipelines.hgm.blocks import nearest_index
from pipelines.hgm.cameras import intrinsics, network_pictures, opencv_view, orbit_pose
from pipelines.hgm.configuration import (
    COMPACT,
    PRESETS,
    RELEASED,
    SOUND,
    TINY,
    HgmConfig,
    Quirks,
    UNetShape,
    find_preset,
    quirk_names,
)
from pipelines.hgm.network import HgmInput, HgmNetwork, HgmOutput
from pipelines.hgm.stand_in import fill, stand_in_body, stand_in_pictures
from pipelines.step import UserError

# SHA-256 of "key shape dtype" lines, sorted, of the released network's published table of 1,241 keys.
RELEASED_KEYS = "b969934acbfc94cd7813d388de6ae322e7cbd72bbb9f91dae5c78df9d9e19d57"

# Widths that answer quickly; what they prove does not depend on widths.
LINE = UNetShape((32, 32, 32), (False, False, True), (32, 32, 32), (True, False, False), heads=4)
SMALL = replace(
    TINY,
    unet=UNetShape((32, 32, 32), (False, False, True), (32, 32), (True, False), heads=4),
    body_net=LINE,
    mix_net=LINE,
    encoder=(32, 32, 32),
    encoder_blocks=(1, 1, 1),
)


def key_lines(network: torch.nn.Module) -> list[str]:
    state = network.state_dict()
    return sorted(f"{k} {list(v.shape)} {str(v.dtype).removeprefix('torch.')}" for k, v in state.items())


def given(config: HgmConfig = SMALL, views: int = 1) -> HgmInput:
    poses = np.stack([orbit_pose(180.0 * i) for i in range(views)])
    rgb = torch.from_numpy(stand_in_pictures(1, views, config.input_size))
    pictures = torch.cat([rgb, network_pictures(rgb, poses)[:, 3:]], 1)
    body = torch.from_numpy(stand_in_body(config.tokens, (0.055, 0.15, 0.04)))
    K = torch.from_numpy(intrinsics(config.input_size)).float().expand(views, 3, 3)
    view = torch.from_numpy(np.stack([opencv_view(p) for p in poses])).float()
    return HgmInput(pictures, body, K, view)


def run(network: HgmNetwork, views: int = 1, **changes: Tensor) -> HgmOutput:
    with torch.inference_mode():
        return network(replace(given(network.config, views), **changes))


@pytest.fixture(scope="module")
def tiny() -> HgmNetwork:
    network = fill(HgmNetwork(SMALL))
    assert isinstance(network, HgmNetwork)
    return network


@pytest.fixture
def changed(tiny: HgmNetwork) -> HgmNetwork:
    """A copy of the tiny network that a test may change."""
    copy = HgmNetwork(SMALL)
    copy.load_state_dict(tiny.state_dict())
    return copy.eval()


def test_the_small_recorded_values_are_met() -> None:
    lines, absent = parity.run("hgm", parity.GOLDEN / "hgm", full=False)
    assert [parity.show(line) for line in lines if not line.passed] == []
    assert {line.file for line in lines} >= {"weights_check", "forward_v1", "forward_v2", "mixnet", "voxelise"}
    assert len(lines) > 100 and set(absent) <= {"sparse_conv", "unet_blocks", "unet_small", "resunet"}


def test_parity_fails_when_a_value_is_off(tmp_path, capsys) -> None:
    from safetensors.numpy import load_file, save_file

    source = parity.GOLDEN / "hgm" / "activations.safetensors"
    arrays = load_file(source)
    arrays["body_set"][3, 5] += 1e-4
    save_file(arrays, tmp_path / "activations.safetensors", {"config": "{}"})
    assert parity.main(["hgm", "--golden", str(tmp_path), "--only", "activations"]) == 1
    printed = capsys.readouterr().out
    assert "BEYOND" in printed and "2 beyond" in printed
    save_file(load_file(source), tmp_path / "activations.safetensors", {"config": "{}"})
    assert parity.main(["hgm", "--golden", str(tmp_path), "--only", "activations"]) == 0
    assert parity.main(["hgm", "--golden", str(tmp_path)]) == 1, "files that are missing in a given folder count"


def test_a_wrong_shape_or_nan_is_beyond_every_tolerance() -> None:
    assert parity.largest_error(np.zeros(3), np.zeros((3, 1))) == np.inf
    assert parity.largest_error(np.array([np.nan]), np.zeros(1)) == np.inf


def test_released_keys_and_shapes_are_the_published_ones() -> None:
    with torch.device("meta"):
        network = HgmNetwork(RELEASED)
    lines = key_lines(network)
    assert len(lines) == 1241
    assert sum(p.numel() for p in network.parameters()) == 641_540_586
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == RELEASED_KEYS


def test_tokens_are_idle_with_one_view_and_not_with_two(changed: HgmNetwork, tiny: HgmNetwork) -> None:
    with torch.no_grad():
        changed.c.weight.mul_(-3)
        changed.xyzc_attn.w_qs.weight.add_(0.5)
        changed.xyzc_attn.w_ks.weight.neg_()
    before, after = run(tiny), run(changed)
    assert torch.equal(before.fused, after.fused) and torch.equal(before.body, after.body)
    before, after = run(tiny, 2), run(changed, 2)
    assert torch.equal(before.image, after.image)
    assert float((before.body - after.body).abs().max()) > 1e-3
    assert float((before.fused - after.fused).abs().max()) > 1e-3


def test_permuted_vertices_permute_their_first_reading_only(changed: HgmNetwork, tiny: HgmNetwork) -> None:
    order = torch.randperm(TINY.tokens, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        changed.c.weight.copy_(tiny.c.weight[order])
    seen: list[dict[str, Tensor]] = [{}, {}]
    straight = given(views=2)
    with torch.inference_mode():
        tiny(straight, watch=seen[0].__setitem__)
        changed(replace(straight, vertices=straight.vertices[order]), watch=seen[1].__setitem__)
    assert torch.allclose(seen[1]["tokens_1"], seen[0]["tokens_1"][order], atol=1e-5)
    assert float((seen[1]["body_raw"] - seen[0]["body_raw"][order]).abs().max()) > 0.05


def test_exchanging_the_views_is_no_symmetry(tiny: HgmNetwork) -> None:
    straight = given(views=2)
    swapped = replace(straight, pictures=straight.pictures.flip(0), view=straight.view.flip(0))
    with torch.inference_mode():
        one, two = tiny(straight).fused, tiny(swapped).fused
    half = len(one) // 2
    assert float((one - torch.cat([two[half:], two[:half]])).abs().max()) > 1e-2


def test_the_image_set_does_not_see_the_body(tiny: HgmNetwork) -> None:
    before = run(tiny)
    after = run(tiny, vertices=given().vertices * 1.4)
    assert torch.equal(before.image, after.image)
    assert float((before.fused - after.fused).abs().max()) > 1e-2


@pytest.mark.parametrize("views", [1, 2])
def test_values_are_in_their_ranges(tiny: HgmNetwork, views: int) -> None:
    out = run(tiny, views)
    assert len(out.image) == len(out.fused) == views * 32 * 32 and len(out.body) == TINY.tokens
    for splats in (out.image, out.body, out.fused):
        assert torch.allclose(splats[:, 7:11].norm(dim=1), torch.ones(len(splats)), atol=1e-5)
        assert bool(((splats[:, 3] > 0) & (splats[:, 3] < 1)).all() and (splats[:, 4:7] > 0).all())
        assert bool(((splats[:, 11:] >= 0) & (splats[:, 11:] <= 1)).all())
    assert float(out.image[:, :3].abs().max()) <= 1 and float(out.body[:, :3].abs().max()) <= 1


def test_same_input_gives_the_same_bytes(tiny: HgmNetwork) -> None:
    assert torch.equal(run(tiny, 2).fused, run(tiny, 2).fused)


FUSED = {
    "reinterpret_sequence": 1, "interleave_views": 2, "full_resolution_grid": 1, "half_pixel_samples": 1,
    "attend_views_only": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FUSED))
def test_every_switch_changes_what_it_says(tiny: HgmNetwork, name: str) -> None:
    config = replace(SMALL, quirks=replace(Quirks(), **{name: False}))
    sound = fill(HgmNetwork(config))
    views = FUSED[name]
    before, after = run(tiny, views), run(sound, views)
    assert torch.equal(before.image, after.image)
    assert float((before.fused - after.fused).abs().max()) > 1e-4
    if name == "interleave_views":
        one = fill(HgmNetwork(config))
        assert torch.equal(run(tiny).fused, run(one).fused), "with one view nothing is interleaved"


def test_switches_without_a_trace_in_a_small_pass() -> None:
    from pipelines.hgm.cameras import footprint_factor
    from pipelines.hgm.voxelise import voxelise

    odd = np.flatnonzero(nearest_index(5238, 10475, True) != nearest_index(5238, 10475, False))
    assert odd.tolist() == [10469, 10471, 10473]
    tall = torch.tensor([[0.0, -1.1, 0.0], [0.0, 1.1, 0.0]])
    assert int(voxelise(tall, 0.005, clamp=True)[0].coords[:, 1].max()) == 400
    assert int(voxelise(tall, 0.005, clamp=False)[0].coords[:, 1].max()) == 450
    assert footprint_factor("reference_49.1") == pytest.approx(1.3703, abs=1e-4)
    assert footprint_factor("consistent") == 1.0


def test_every_switch_has_its_reason() -> None:
    """One line each, under its name, in the class body."""
    import inspect

    source = inspect.getsource(Quirks)
    for name in quirk_names():
        line = source.split(f"    {name}: ")[1].split("\n")[1].strip()
        assert line.startswith('"""') and line.endswith('."""') and len(line) > 60, name
    assert all(getattr(SOUND, n) != getattr(Quirks(), n) for n in quirk_names())


def test_presets_are_found_by_name() -> None:
    assert find_preset("compact") is COMPACT and set(PRESETS) == {"released", "compact", "tiny"}
    with pytest.raises(UserError, match="no HGM preset 'big'"):
        find_preset("big")


def test_wrong_input_is_named(tiny: HgmNetwork) -> None:
    with pytest.raises(ValueError, match="it needs \\(V, 9, S, S\\)"):
        run(tiny, pictures=given().pictures[:, :3])
    with pytest.raises(ValueError, match="its tokens need \\(560, 3\\)"):
        run(tiny, vertices=given().vertices[:-1])


def test_progress_reaches_the_end(tiny: HgmNetwork) -> None:
    told: list[float] = []
    with torch.inference_mode():
        tiny(given(), progress=lambda fraction, message: told.append(fraction))
    assert told == sorted(told) and told[0] == 0.0 and told[-1] == 1.0 and len(told) > 5
