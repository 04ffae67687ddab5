"""HGM's released steps on files as a user has them: networks, diffusion folders, bodies given or corrected by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.body.read_body import with_pose
from pipelines.hgm import body_points, preset_network
from pipelines.hgm.body_points import stand_in_points
from pipelines.hgm.configuration import RELEASED, TINY, UNetShape
from pipelines.hgm.gaussians_step import fused_step, gaussians_step
from pipelines.hgm.network import HgmNetwork
from pipelines.hgm.painter import NEGATIVE, PNDM, PROMPT, released_painter
from pipelines.hgm.preset_network import predict
from pipelines.hgm.prompt_words import FILES, byte_pairs, encoded, read_tensors, tokens_of, words_of
from pipelines.hgm.records import FITTED, GIVEN, BackView, BodyPoints
from pipelines.hgm.smplx_step import points_step
from pipelines.hgm.stand_in import fill, stand_in_tensor
from pipelines.records import Body, Cutout, Record, Splats
from pipelines.step import Cancelled, Context, Event, MissingNeed, NoParams, UserError
from pipelines.weights import Weights
from tests.test_hgm_refine import scene

PLAIN = UNetShape((32, 32), (False, False), (32, 32), (False, False), mid_attention=False)
# The released structure, small: its files have the names and are read by the loader of the released ones.
SMALL = replace(
    TINY, name="released", unet=UNetShape((32, 32), (False, True), (32,), (True,), unused_head=32), body_net=PLAIN,
    mix_net=PLAIN, encoder=(32, 32, 32), encoder_blocks=(1, 1, 1), tokens=10_475, input_size=64,
)  # fmt: skip


def network_file(folder: Path, name: str = "one", prefix: str = "", tokens: int = SMALL.tokens) -> Path:
    """A whole file of the small structure."""
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in HgmNetwork(replace(SMALL, tokens=tokens)).state_dict().items()}
    path = folder / f"{name}.safetensors"
    save_file({f"{prefix}{k}": torch.from_numpy(np.asarray(stand_in_tensor(k, s)))
               for k, s in shapes.items()}, path)  # fmt: skip
    return path


def given_points(body: Body, count: int = SMALL.tokens) -> BodyPoints:
    """Points of our own body as if another estimator had given them."""
    return replace(stand_in_points(body, count), facts={"source": GIVEN})


@pytest.fixture(scope="module")
def person() -> tuple[Body, Cutout]:
    body, _, _, matte, _ = scene()
    return body, matte


def test_the_steps_read_released_files_and_agree_with_one_another(person: tuple[Body, Cutout], tmp_path: Path) -> None:
    body, matte = person
    chosen = {"hgm.one_view": network_file(tmp_path), "hgm.two_view": network_file(tmp_path, "two", "module.")}
    weights = Weights({role: str(path) for role, path in chosen.items()})
    heard: list[Event] = []
    ctx = Context("hgm.gaussians", weights=weights.path, listen=heard.append)
    inputs: dict[str, Record] = {"matte": matte, "hgm_refine": body, "hgm_points": given_points(body)}
    coarse, fused = gaussians_step(SMALL), fused_step(SMALL)
    first = coarse.run(inputs, coarse.make_params({}), ctx)
    assert isinstance(first, Splats) and 0 < len(first) <= 64 * 64
    assert any("a genuine file reaches 20" in w for w in ctx.warnings), "random weights do not draw the photo"
    shares = [e.fraction for e in heard if e.state == "running" and e.fraction is not None]
    assert shares == sorted(shares) and len(set(shares)) > 20, "a pass of minutes tells how far it is"
    back = BackView(np.zeros((64, 64, 4), np.float32), np.ones((1, 64, 64, 3), np.float32))
    inputs |= {"hgm_gaussians": first, "hgm_pick": back}
    second = fused.run(inputs, fused.make_params({}), Context("hgm.fused", weights=weights.path))
    assert isinstance(second, Splats) and len(second) > len(first)
    same = Context("hgm.fused", weights=Weights({**weights.chosen, "hgm.one_view": str(chosen["hgm.two_view"])}).path)
    fused.run(inputs, fused.make_params({}), same)
    assert any("named for one view and for two" in w for w in same.warnings)
    assert not any("named for one view" in w for w in ctx.warnings)


def test_a_network_for_another_body_model_takes_vertices_that_are_given(
    person: tuple[Body, Cutout], tmp_path: Path
) -> None:
    body, matte = person
    path = network_file(tmp_path, tokens=6_890)
    step = gaussians_step(SMALL)

    def made(points: BodyPoints) -> Record:
        inputs: dict[str, Record] = {"matte": matte, "hgm_refine": body, "hgm_points": points}
        return step.run(inputs, step.make_params({}), Context("hgm.gaussians", weights=lambda role: path))

    assert isinstance(made(given_points(body, 6_890)), Splats)
    with pytest.raises(MissingNeed, match="6890 tokens, which are not the 10475 vertices"):
        made(replace(given_points(body), facts={"source": FITTED}))
    with pytest.raises(UserError, match="came with 10475 points; this network's tokens need 6890"):
        made(given_points(body))


@pytest.fixture
def tiny() -> HgmNetwork:
    network = fill(HgmNetwork(TINY)).requires_grad_(False)
    assert isinstance(network, HgmNetwork)
    return network


def test_a_pass_is_exact_and_can_be_stopped_inside_its_long_parts(
    person: tuple[Body, Cutout], tiny: HgmNetwork
) -> None:
    points, picture = stand_in_points(person[0], TINY.tokens), np.ones((64, 64, 3), np.float32)
    rough: list[bool] = []
    tiny.conv.register_forward_hook(lambda *_: rough.append(torch.backends.cudnn.allow_tf32))
    before = torch.backends.cudnn.allow_tf32
    predict(tiny, [picture], points, Context())
    assert rough == [False] and torch.backends.cudnn.allow_tf32 == before

    for part in ("unet", "net", "res"):
        blocks = getattr(tiny, part).up_blocks
        begun: list[bool] = []
        watch = blocks[0].register_forward_pre_hook(lambda *_, begun=begun: begun.append(True))
        ended: list[bool] = []
        last = blocks[-1].register_forward_hook(lambda *_, ended=ended: ended.append(True))
        with pytest.raises(Cancelled):
            predict(tiny, [picture], points, Context(is_cancelled=lambda begun=begun: bool(begun)))
        assert begun and not ended, part
        watch.remove()
        last.remove()
    assert not any(m._forward_hooks for m in tiny.modules() if m is not tiny.conv), "nothing is left behind"


def test_points_follow_a_body_that_was_corrected_by_hand(
    person: tuple[Body, Cutout], monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = person[0]
    asked: list[Body] = []

    def fit(body: Body, *_: Any) -> BodyPoints:
        asked.append(body)
        return stand_in_points(body, TINY.tokens)

    monkeypatch.setattr(body_points, "points_of", fit)
    before = replace(stand_in_points(fitted, TINY.tokens), facts={"source": FITTED})
    step = points_step(RELEASED)

    def points(body: Body, smplx: BodyPoints = before, ctx: Context | None = None) -> Record:
        inputs: dict[str, Record] = {"body_fit": fitted, "hgm_refine": body, "hgm_smplx": smplx}
        return step.run(inputs, NoParams(), ctx or Context())

    assert points(fitted) is before and not asked
    # Neither words nor numbers that the surface does not depend on make another body of it.
    assert points(Body({**fitted.arrays, "refine_helped": np.array(False)}, fitted.texts)) is before and not asked
    turns = fitted["rotations"].copy()
    turns[5] = turns[5] @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    by_hand = with_pose(fitted, turns, fitted["root_translation"])
    moved = points(by_hand)
    assert isinstance(moved, BodyPoints) and asked == [by_hand]
    assert np.abs(moved.points - before.points).max() > 0.01
    ctx = Context()
    given = replace(before, facts={"source": GIVEN})
    assert points(by_hand, given, ctx) is given and "are not moved with the body" in ctx.warnings[0]


# --- the diffusion networks' folders -------------------------------------------------------------------------------

WORDS = 32
SHAPE: dict[str, Any] = {
    "block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": WORDS, "attention_head_dim": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
}  # fmt: skip
MERGES = ["b e", "s t</w>", "be st</w>", "u a", "q ua", "l i", "t y</w>", "li ty</w>"]
ENCODER = {"hidden_size": WORDS, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
           "max_position_embeddings": 77, "vocab_size": 300, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
           "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}  # fmt: skip


def text_tensors() -> dict[str, torch.Tensor]:
    """Of a text encoder of two layers, by its published names."""
    shapes: dict[str, tuple[int, ...]] = {"embeddings.token_embedding.weight": (300, WORDS),
                                          "embeddings.position_embedding.weight": (77, WORDS)}  # fmt: skip
    for name in ("final_layer_norm", *(f"encoder.layers.{i}.layer_norm{k}" for i in (0, 1) for k in (1, 2))):
        shapes |= {f"{name}.weight": (WORDS,), f"{name}.bias": (WORDS,)}
    for i in (0, 1):
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes[f"encoder.layers.{i}.self_attn.{name}.weight"] = (WORDS, WORDS)
            shapes[f"encoder.layers.{i}.self_attn.{name}.bias"] = (WORDS,)
        for name, out, into in (("fc1", 64, WORDS), ("fc2", WORDS, 64)):
            shapes[f"encoder.layers.{i}.mlp.{name}.weight"] = (out, into)
            shapes[f"encoder.layers.{i}.mlp.{name}.bias"] = (out,)
    return {f"text_model.{k}": torch.from_numpy(np.asarray(stand_in_tensor(k, s))) for k, s in shapes.items()}


@pytest.fixture(scope="module")
def diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small networks in the published layout of Stable Diffusion 1.5; not to be changed."""
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel

    folder = tmp_path_factory.mktemp("sd")
    torch.manual_seed(0)
    UNet2DConditionModel(sample_size=16, up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **SHAPE).save_pretrained(
        folder / "unet"
    )
    AutoencoderKL(
        block_out_channels=(16, 32, 32), latent_channels=4, down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, norm_num_groups=16, scaling_factor=0.18215,
    ).save_pretrained(folder / "vae")  # fmt: skip
    PNDMScheduler(**PNDM).save_pretrained(folder / "scheduler")
    for name in ("tokenizer", "text_encoder"):
        (folder / name).mkdir()
    letters = [chr(c) for c in range(33, 127)]
    vocabulary = [*letters, *(c + "</w>" for c in letters), *("".join(m.split()) for m in MERGES)]
    numbers = {piece: i for i, piece in enumerate([*vocabulary, "<|startoftext|>", "<|endoftext|>"])}
    (folder / "tokenizer/vocab.json").write_text(json.dumps(numbers))
    (folder / "tokenizer/merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]))
    (folder / "text_encoder/config.json").write_text(json.dumps(ENCODER))
    save_file(text_tensors(), folder / "text_encoder/model.safetensors")
    return folder


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Any]:
    """A ControlNet for them; `save(folder, ...)` as its library does."""
    from diffusers import ControlNetModel

    torch.manual_seed(1)
    yield ControlNetModel(conditioning_embedding_out_channels=(16, 32, 32), **SHAPE)


def test_the_painter_reads_the_files_as_they_are_published(diffusion: Path, control: Any, tmp_path: Path) -> None:
    picture = np.random.default_rng(1).random((64, 64, 3)).astype(np.float32)
    painted = {}
    # The published tile ControlNet comes as a .bin alone; others as .safetensors, or in half precision.
    for name, options in (("bin", {"safe_serialization": False}), ("safe", {}), ("half", {"variant": "fp16"})):
        control.save_pretrained(tmp_path / name, **options)
        painter = released_painter(diffusion, tmp_path / name, "cpu")
        generator = torch.Generator().manual_seed(22)
        painted[name] = painter.paint(picture, 0.4, 10, 5.0, 1.0, generator, lambda share: None)
    assert [p.name for p in (tmp_path / "bin").iterdir() if "model" in p.name] == ["diffusion_pytorch_model.bin"]
    assert np.array_equal(painted["bin"], painted["safe"]) and np.array_equal(painted["half"], painted["safe"])
    assert painted["safe"].shape == picture.shape and np.ptp(painted["safe"]) > 0.1


def test_networks_that_are_not_whole_or_no_tensors_are_refused(diffusion: Path, control: Any, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    control.save_pretrained(tmp_path / "cn")
    file = tmp_path / "cn/diffusion_pytorch_model.safetensors"
    state = load_file(file)
    dropped = sorted(state)[0]
    save_file({k: v for k, v in state.items() if k != dropped}, file)
    # The library would go on with random numbers in its place.
    with pytest.raises(UserError, match=rf"lacks 1 of the network's tensors, first {dropped}"):
        released_painter(diffusion, tmp_path / "cn", "cpu")
    file.unlink()
    with pytest.raises(UserError, match="'cn' holds no diffusion_pytorch_model with the ending safetensors or bin"):
        released_painter(diffusion, tmp_path / "cn", "cpu")
    torch.save({**state, "trap": Trap()}, tmp_path / "cn/diffusion_pytorch_model.bin")
    with pytest.raises(UserError, match="could not be read"):
        released_painter(diffusion, tmp_path / "cn", "cpu")
    assert not (tmp_path / "ran").exists()


def test_older_names_of_the_picture_codec_are_read(diffusion: Path, tmp_path: Path) -> None:
    """The published autoencoder has its attention under the names of an older library."""
    from diffusers import AutoencoderKL

    from pipelines.hgm.painter import read_network

    state = load_file(diffusion / "vae/diffusion_pytorch_model.safetensors")
    older = (("to_q.", "query."), ("to_k.", "key."), ("to_v.", "value."), ("to_out.0.", "proj_attn."))

    def named(key: str) -> str:
        for new, old in older if "attentions" in key else ():
            key = key.replace(new, old)
        return key

    renamed = {named(key): value for key, value in state.items()}
    assert len(set(renamed) - set(state)) == 16
    save_file(renamed, tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text((diffusion / "vae/config.json").read_text())
    network = read_network(AutoencoderKL, tmp_path, torch.float32)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_words_become_the_byte_pairs_that_were_learned_first(diffusion: Path) -> None:
    ranks = {tuple(m.split()): i for i, m in enumerate(MERGES)}
    assert byte_pairs("best", ranks) == ["best</w>"]
    assert byte_pairs("quality", ranks) == ["qua", "lity</w>"]
    assert byte_pairs("x", ranks) == ["x</w>"]
    numbers = json.loads((diffusion / "tokenizer/vocab.json").read_text())
    found = tokens_of("Best quality,", diffusion / "tokenizer", 10)
    wanted = ["<|startoftext|>", "best</w>", "qua", "lity</w>", ",</w>", *["<|endoftext|>"] * 5]
    assert found == [numbers[w] for w in wanted]
    assert len(tokens_of("best " * 99, diffusion / "tokenizer", 77)) == 77
    with pytest.raises(ValueError, match="not plain ASCII"):
        tokens_of("größe", diffusion / "tokenizer", 77)


def test_the_text_encoder_looks_back_only_and_reads_every_form_of_its_file(diffusion: Path, tmp_path: Path) -> None:
    tensors = read_tensors(diffusion / "text_encoder")
    tokens = torch.tensor([[5, 9, 11, 7]])
    whole, changed = (encoded(t, tensors, ENCODER) for t in (tokens, torch.tensor([[5, 9, 11, 8]])))
    assert torch.allclose(whole[:, :3], changed[:, :3], atol=1e-6) and not torch.allclose(whole[:, 3], changed[:, 3])
    assert whole[0, 0].std() == pytest.approx(1.0, abs=0.2), "a norm is last"
    for name in FILES:
        folder = tmp_path / name
        folder.mkdir()
        if name.endswith(".bin"):
            torch.save(tensors, folder / name)
        else:
            save_file({k.removeprefix("text_model."): v for k, v in tensors.items()}, folder / name)
        assert torch.equal(encoded(tokens, read_tensors(folder), ENCODER), whole)
    with pytest.raises(ValueError, match=r"holds none of model\.safetensors"):
        read_tensors(tmp_path)


def test_the_words_are_those_of_the_text_encoders_own_package(diffusion: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the text encoder's own package is not needed by us")
    from transformers.models.clip.modeling_clip import CLIPTextModel

    model = CLIPTextModel(transformers.CLIPTextConfig(**ENCODER)).eval()
    prefix = "text_model." if any(k.startswith("text_model.") for k in model.state_dict()) else ""
    own = {k.removeprefix("text_model."): v for k, v in text_tensors().items()}
    model.load_state_dict({f"{prefix}{k}": v for k, v in own.items()}, strict=False)
    tokenizer = transformers.CLIPTokenizer(
        str(diffusion / "tokenizer/vocab.json"), str(diffusion / "tokenizer/merges.txt")
    )
    ids = tokenizer(
        [NEGATIVE, PROMPT], padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    ).input_ids
    assert ids.tolist() == [tokens_of(t, diffusion / "tokenizer", 77) for t in (NEGATIVE, PROMPT)]
    with torch.inference_mode():
        theirs = model(ids)[0]
    assert (words_of(diffusion, [NEGATIVE, PROMPT]) - theirs).abs().max() < 1e-5


def test_a_missing_one_view_file_is_no_reason_to_doubt_the_two_view_one(tmp_path: Path) -> None:
    def only_two(role: str) -> Path:
        if role != "hgm.two_view":
            raise MissingNeed("There is none.")
        return tmp_path

    assert preset_network.same_file(Context(weights=only_two), tmp_path) is False
    assert preset_network.same_file(Context(weights=lambda role: tmp_path), tmp_path) is True
