"""Shapes, weights and switches of the SyncHuman networks."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from safetensors.torch import save_file  # noqa: E402

from pipelines.step import UserError  # noqa: E402
from pipelines.synchuman import joint_sampling, slat_sampling  # noqa: E402
from pipelines.synchuman.conditioning import Conditions, both_halves, class_labels  # noqa: E402
from pipelines.synchuman.configuration import (  # noqa: E402
    COMPACT,
    RELEASED,
    TINY,
    AutoencoderConfig,
    JointConfig,
    Quirks,
    TokenConfig,
    preset,
)
from pipelines.synchuman.image_tokens import ImageTokens  # noqa: E402
from pipelines.synchuman.joint_network import COUPLINGS, JointNetwork  # noqa: E402
from pipelines.synchuman.networks import (  # noqa: E402
    autoencoder,
    compare_keys,
    decode_latents,
    encode_picture,
    load,
    stand_in,
    without_memory,
)
from pipelines.synchuman.stand_in import fill, normals_of  # noqa: E402
from pipelines.synchuman.voxels import Voxels  # noqa: E402
from tests.torch_threads import one_thread  # noqa: E402, F401

# Smaller than `tiny`: tests ask whether parts are joined rightly, which size does not change.
MINI = JointConfig(
    "mini", side=24, channels=(32, 32, 32, 32), heads=(1, 1, 1, 1), layers=1, text=16, label=16, grid=4, width=32, depth=3,
    grid_heads=2, context=48, block_groups=(1, 2, 3), sync_heads=2, sync_head_width=16,
)  # fmt: skip
SMALL = replace(
    TINY,
    name="small",
    joint=MINI,
    embedding=replace(TINY.embedding, projection=MINI.label // 2),
)

# Name: keys, values, and the start of the SHA-256 of the sorted lines "key shape" of the released state dicts.
RELEASED_KEYS = {
    "joint_network": (1397, 1_703_663_884, "7b8acf5677d353b6"),
    "sparse_structure_decoder": (74, 73_671_201, "69703d5984e0c278"),
    "slat_flow_model": (526, 600_432_520, "509f93ad2e656bff"),
    "slat_decoder_gs": (153, 452_418_848, "8ff5ff025c96cbf1"),
    "slat_decoder_mesh": (172, 457_976_421, "f9adff0516366c16"),
}


def some(name: str, *shape: int) -> Any:
    return torch.from_numpy(normals_of(f"test.{name}", shape))


@pytest.fixture(scope="module")
def network() -> Any:
    return stand_in("joint_network", SMALL)


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    labels = class_labels(some("clip", 10, MINI.label // 2))
    image = some("image", 10, 4, MINI.side, MINI.side)
    return Conditions(some("text", 10, 7, MINI.text), labels, image, some("dino", 1, 5, MINI.context))


def digest(shapes: dict[str, tuple[int, ...]]) -> str:
    lines = "\n".join(f"{key} {list(shape)}" for key, shape in sorted(shapes.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def test_released_networks_have_the_released_keys() -> None:
    networks = without_memory(RELEASED)
    for name, (keys, values, known) in RELEASED_KEYS.items():
        shapes = {key: tuple(value.shape) for key, value in networks[name].state_dict().items()}
        assert len(shapes) == keys, name
        assert sum(value.numel() for value in networks[name].state_dict().values()) == values, name
        assert digest(shapes) == known, name


def test_coverage_names_what_does_not_fit() -> None:
    decoder = without_memory(TINY)["sparse_structure_decoder"]
    shapes = {key: tuple(value.shape) for key, value in decoder.state_dict().items()}
    assert compare_keys(decoder, shapes).complete
    shapes["input_layer.bias"] = (3,)
    shapes["extra"] = shapes.pop("out_layer.2.bias")
    coverage = compare_keys(decoder, shapes)
    assert not coverage.complete
    assert (coverage.missing, coverage.unknown, coverage.reshaped) == (
        ["extra"],
        ["out_layer.2.bias"],
        ["input_layer.bias"],
    )


def test_presets_build_and_unknown_ones_are_refused() -> None:
    sizes = {
        c.name: sum(v.numel() for v in without_memory(c)["joint_network"].state_dict().values())
        for c in (TINY, COMPACT)
    }
    assert sizes["tiny"] < 1e7 < sizes["compact"] < 2e8
    with pytest.raises(UserError, match="compact"):
        preset("large")
    with pytest.raises(ValueError, match="twice the embedding"):
        replace(TINY, joint=replace(TINY.joint, label=32))


def test_the_compact_networks_fit_one_another() -> None:
    """Shapes from pictures to voxels, on the meta device: what each network gives is what the next one takes."""
    networks, joint = without_memory(COMPACT), COMPACT.joint
    canvas = torch.zeros(2, 3, 8 * joint.side, 8 * joint.side, device="meta")
    latents = encode_picture(networks["vae"], canvas)
    assert latents.shape == (2, joint.latent_channels, joint.side, joint.side)
    assert decode_latents(networks["vae"], latents, latents).shape == canvas.shape
    embedding, tokens = COMPACT.embedding, COMPACT.tokens
    seen = networks["image_encoder"](torch.zeros(2, 3, embedding.side, embedding.side, device="meta"))
    labels = torch.cat([seen, seen], 1)[:1].expand(20, -1)
    side = tokens.patch * tokens.trained_side
    context = networks["dinov2"](torch.zeros(1, 3, side, side, device="meta")).expand(2, -1, -1)
    grid = torch.zeros(2, joint.grid_channels, *3 * (joint.grid,), device="meta")
    noisy, text = (
        torch.cat([latents, latents], 1)[:1].expand(20, -1, -1, -1),
        torch.zeros(20, 7, joint.text, device="meta"),
    )
    moment = torch.zeros(1, device="meta")
    v2d, v3d = networks["joint_network"](noisy, grid, moment, moment, text, labels, context)
    assert v2d.shape == (20, joint.latent_channels, joint.side, joint.side) and v3d.shape == grid.shape
    filled = networks["sparse_structure_decoder"](v3d)
    assert filled.shape[-3:] == 3 * (COMPACT.flow.resolution,) and COMPACT.decoder.resolution == COMPACT.flow.resolution


@pytest.mark.parametrize("kind", ["kl", "tiny"])
def test_both_autoencoders_are_read_in_the_joint_networks_scale(kind: Any) -> None:
    """Stable Diffusion's latents are scaled by 0.18215, its distillation is made for the scaled ones."""
    config = AutoencoderConfig(kind, (8, 8, 16, 16) if kind == "kl" else (8, 8, 8, 8), 1, 4)
    vae: Any = fill(autoencoder(config)).eval()
    with torch.inference_mode():
        pictures = some("pictures", 1, 3, 64, 64).sigmoid()
        latents = encode_picture(vae, pictures)
        raw = vae.encode(2 * pictures - 1)
        wanted = raw.latent_dist.mean * 0.18215 if kind == "kl" else raw.latents
        assert latents.shape == (1, 4, 8, 8) and torch.equal(latents, wanted)
        given = latents / (0.18215 if kind == "kl" else 1)
        shown = (vae.decode(given).sample / 2 + 0.5).clamp(0, 1)
        assert torch.equal(decode_latents(vae, latents, latents), shown)


def test_weights_load_from_files_in_their_own_type_or_another(tmp_path: Path, network: Any) -> None:
    values = {key: value.contiguous() for key, value in network.state_dict().items() if key != "pos_emb"}
    first = dict(list(values.items())[:100])
    save_file(first, tmp_path / "a.safetensors")
    save_file({k: v for k, v in values.items() if k not in first}, tmp_path / "b.safetensors")
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    loaded = load("joint_network", SMALL, files)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in network.state_dict().items())
    half = load("joint_network", SMALL, files, dtype=torch.float16)
    assert {value.dtype for value in half.state_dict().values()} == {torch.float16}
    with pytest.raises(UserError, match="unknown"):
        load("joint_network", SMALL, files[:1])


def test_halves_apart_and_together_agree(network: Any, conditions: Conditions) -> None:
    latents, grid = joint_sampling.draw_noise(network, 43)
    moments = joint_sampling.network_times(0.7, True)
    with torch.inference_mode():
        together = joint_sampling.guided_velocities(network, conditions, latents, grid, moments)
        apart = joint_sampling.guided_velocities(network, conditions, latents, grid, moments, halves_apart=True)
    for a, b in zip(together, apart, strict=True):
        for x, y in zip(a, b, strict=True):
            assert (x - y).abs().max() < 3e-5
    assert (together[0][0] - together[0][1]).abs().max() > 0.05


def test_sampling_resumes_where_it_stopped(network: Any, conditions: Conditions) -> None:
    noise = joint_sampling.draw_noise(network, 1)
    whole = list(joint_sampling.sample_joint(network, conditions, noise, steps=2))
    rest = list(joint_sampling.sample_joint(network, conditions, noise, steps=2, start=whole[0]))
    assert [state.step for state in whole] == [1, 2] and len(rest) == 1
    assert torch.equal(whole[1].latents, rest[0].latents) and torch.equal(whole[1].grid, rest[0].grid)
    assert torch.allclose(whole[1].latents, whole[1].latents_end, atol=1e-5)  # the last estimate is the result


def test_guidance_used_twice_is_the_plain_formula(network: Any, conditions: Conditions) -> None:
    """Step 2 with the difference of step 1, written out."""
    noise = joint_sampling.draw_noise(network, 43)
    with torch.inference_mode():
        first, second = list(joint_sampling.sample_joint(network, conditions, noise, steps=2, guidance=3.0, reuse=True))
        t = joint_sampling.times(2)
        raw = joint_sampling.guided_velocities(network, conditions, *noise, joint_sampling.network_times(1.0, True))
        moments = joint_sampling.network_times(float(t[1]), True)
        cond = joint_sampling.conditional_velocities(network, conditions, first.latents, first.grid, moments)
        for before, after, part, velocity in zip(
            (first.latents, first.grid), (second.latents, second.grid), raw, cond, strict=True
        ):
            wanted = before - float(t[1]) * (velocity + 2 * (part[1] - part[0]))
            assert (after - wanted).abs().max() < 1e-5
    plain = list(joint_sampling.sample_joint(network, conditions, noise, steps=2, guidance=3.0))
    assert torch.equal(plain[0].latents, first.latents) and plain[0].differences is None
    assert (plain[1].latents - second.latents).abs().max() > 1e-3


def test_first_noise_of_the_grid_is_the_released_one() -> None:
    with torch.device("meta"):
        released = JointNetwork(RELEASED.joint)
    grid = joint_sampling.draw_noise(released, 43)[1].flatten()
    known = torch.tensor([-0.016604, -0.466795, 2.090898, 0.614903, -0.562096, -0.414251])
    assert torch.allclose(grid[:6], known, atol=1e-6)
    assert float(grid[-1]) == pytest.approx(-0.756857, abs=1e-5)


def test_face_blend_and_the_voxels_matter(network: Any, conditions: Conditions) -> None:
    """Without the blend the pictures change; other voxels change the pictures, other normal maps the voxels."""
    plain = fill(JointNetwork(replace(MINI, quirks=Quirks(face_blend=0.0))))
    latents, grid = joint_sampling.draw_noise(network, 5)
    moments = joint_sampling.network_times(0.5, True)

    def run(module: Any, pictures: Any, voxels: Any) -> Any:
        c = conditions
        with torch.inference_mode():
            return module(torch.cat([pictures, c.image_latents], 1), voxels, *moments, c.text, c.labels, c.context)

    v2d, v3d = run(network, latents, grid)
    assert (run(plain, latents, grid)[0] - v2d).abs().max() > 0.1
    assert (run(network, latents, -grid)[0] - v2d).abs().max() > 1e-3
    others = latents.clone()
    others[1] = -others[1]  # one normal map
    assert (run(network, others, grid)[1] - v3d).abs().max() > 1e-2


def test_each_coupling_can_be_left_out(network: Any, conditions: Conditions) -> None:
    """One towards the voxels changes the grid, one towards the pictures changes them; without all, branches part."""
    latents, grid = joint_sampling.draw_noise(network, 5)
    c, moments = conditions, joint_sampling.network_times(0.5, True)
    pictures = torch.cat([latents, c.image_latents], 1)

    def run(*without: str, voxels: Any = grid) -> Any:
        with torch.inference_mode():
            return network(pictures, voxels, *moments, c.text, c.labels, c.context, without=without)

    v2d, v3d = run()
    for name in COUPLINGS:
        branch = 0 if name.startswith("3d") else 1
        assert (run(name)[branch] - (v2d, v3d)[branch]).abs().max() > 1e-4, name
    alone = run(*COUPLINGS)
    assert torch.equal(run(*COUPLINGS, voxels=-grid)[0], alone[0])
    with pytest.raises(ValueError, match="no coupling"):
        run("sideways")


def test_half_precision_follows_single(conditions: Conditions, network: Any) -> None:
    half = stand_in("joint_network", SMALL).half()
    latents, grid = joint_sampling.draw_noise(network, 2)
    moments = joint_sampling.network_times(0.4, True)
    with torch.inference_mode():
        single = joint_sampling.guided_velocities(network, conditions, latents, grid, moments)
        coarse = joint_sampling.guided_velocities(half, conditions, latents, grid, moments)
    for a, b in zip(single, coarse, strict=True):
        for x, y in zip(a, b, strict=True):
            assert y.dtype == torch.float16
            assert float((x - y.float()).norm() / x.norm()) < 0.02
    state = next(joint_sampling.sample_joint(half, conditions, (latents, grid), steps=1))
    assert state.latents.dtype == state.grid.dtype == torch.float32  # the state keeps single precision


def test_layout_of_the_guidance_halves() -> None:
    items = torch.arange(10.0)[:, None]
    assert both_halves(items)[:, 0].tolist() == [0] * 5 + [0, 1, 2, 3, 4] + [0] * 5 + [5, 6, 7, 8, 9]
    assert both_halves(items, items)[:5, 0].tolist() == [0, 1, 2, 3, 4]


def test_structured_latents_resume_and_drop_guidance_outside_the_interval() -> None:
    flow: Any = stand_in("slat_flow_model")
    voxels = Voxels(torch.tensor([[1, 2, 3], [1, 2, 4], [7, 7, 7], [8, 7, 7]]), TINY.flow.resolution)
    context, noise = some("context", 1, 5, TINY.flow.context), slat_sampling.draw_noise(voxels, 8, 3)
    calls: list[int] = []
    flow.register_forward_hook(lambda module, given, made: calls.append(len(given[0])))
    states = list(slat_sampling.sample_slat(flow, voxels, context, noise, TINY.sampling))
    # Four steps at t = 1, 0.9, 0.75, 0.5: the last lies on the interval's end and is still guided.
    assert [state.time for state in states] == pytest.approx([0.9, 0.75, 0.5, 0.0]) and calls == [2, 2, 2, 2]
    narrow = replace(TINY.sampling, interval=(0.8, 1.0))
    calls.clear()
    list(slat_sampling.sample_slat(flow, voxels, context, noise, narrow))
    assert calls == [2, 2, 1, 1]
    again = list(slat_sampling.sample_slat(flow, voxels, context, noise, TINY.sampling, start=states[1]))
    assert torch.equal(again[-1].latents, states[-1].latents)


def test_token_maps_are_the_blocks_outputs_after_the_last_norm() -> None:
    config = TokenConfig(width=48, depth=3, heads=4, trained_side=3)
    encoder: Any = fill(ImageTokens(config))
    with torch.inference_mode():
        pictures = some("pictures", 2, 3, 56, 70)
        tokens, maps = encoder(pictures), encoder.maps(pictures, (0, 2))
        assert tokens.shape == (2, 1 + 4 + 20, 48) and maps.shape == (2, 4, 5, 96)
        assert torch.equal(maps[..., 48:], encoder.layernorm(tokens)[:, 5:].unflatten(1, (4, 5)))
        sharp: Any = fill(ImageTokens(replace(config, antialias=False)))
        assert (sharp(pictures) - tokens).abs().max() > 1e-3
