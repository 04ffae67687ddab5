"""The two picture encoders against the library that trained files are published for; needs `transformers`, which the
project itself does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from PIL import Image  # noqa: E402

from pipelines.synchuman.checkpoints import without_extras  # noqa: E402
from pipelines.synchuman.configuration import RELEASED, EmbeddingConfig, TokenConfig  # noqa: E402
from pipelines.synchuman.image_tokens import ImageTokens  # noqa: E402
from pipelines.synchuman.networks import without_memory  # noqa: E402
from pipelines.synchuman.picture_embedding import PictureEmbedding, prepare  # noqa: E402

# Inside the library the token encoder's attention has other names since version 5; files keep these.
FILE_NAMES = {
    "q_proj": "attention.query",
    "k_proj": "attention.key",
    "v_proj": "attention.value",
    "o_proj": "output.dense",
}


def as_in_files(values: dict[str, Any]) -> dict[str, Any]:
    """A state dict of the library's token encoder with the names of its files."""
    out = {}
    for key, value in values.items():
        for new, old in FILE_NAMES.items():
            key = key.replace(f".attention.{new}.", f".attention.{old}.")
        out[key] = value
    return out


def filled(network: Any, seed: int) -> Any:
    """Made-up numbers in which norms and scales matter."""
    generator = torch.Generator().manual_seed(seed)
    for value in network.parameters():
        drawn = torch.randn(value.shape, generator=generator)
        value.data = drawn * 0.5 / value.shape[-1] ** 0.5 if value.ndim > 1 else 0.5 + 0.3 * drawn
    return network.eval()


def tokens_of(width: int, depth: int, heads: int, side: int) -> Any:
    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads, image_size=14 * side, patch_size=14,
        num_register_tokens=4,
    )  # fmt: skip
    return transformers.Dinov2WithRegistersModel(config)


def embedding_of(width: int, inner: int, depth: int, heads: int, side: int, projection: int) -> Any:
    config = transformers.CLIPVisionConfig(
        hidden_size=width, intermediate_size=inner, num_hidden_layers=depth, num_attention_heads=heads, image_size=side,
        patch_size=14, projection_dim=projection, hidden_act="gelu",
    )  # fmt: skip
    return transformers.CLIPVisionModelWithProjection(config)


def test_released_encoders_have_the_librarys_keys() -> None:
    ours = without_memory(RELEASED)
    with torch.device("meta"):
        theirs = {"dinov2": tokens_of(1024, 24, 16, 37), "image_encoder": embedding_of(1280, 5120, 32, 16, 224, 1024)}
    for name, network in theirs.items():
        shapes = as_in_files({key: tuple(value.shape) for key, value in network.state_dict().items()})
        assert {k: tuple(v.shape) for k, v in ours[name].state_dict().items()} == without_extras(shapes, name)


def test_tokens_and_maps_are_the_librarys() -> None:
    theirs = filled(tokens_of(64, 4, 4, 7), 1)
    ours = ImageTokens(TokenConfig(width=64, depth=4, heads=4, trained_side=7)).eval()
    ours.load_state_dict(as_in_files(theirs.state_dict()))
    pictures = torch.randn(2, 3, 168, 168, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        hidden = theirs(pictures, output_hidden_states=True).hidden_states
        wanted = torch.cat([theirs.layernorm(hidden[i])[:, 5:] for i in (2, 4)], -1).unflatten(1, (12, 12))
        assert (ours(pictures) - hidden[-1]).abs().max() < 1e-5 < hidden[-1].abs().max()
        assert (ours.maps(pictures, (1, 3)) - wanted).abs().max() < 1e-5


def test_embeddings_and_their_pictures_are_the_librarys() -> None:
    theirs = filled(embedding_of(64, 128, 3, 4, 56, 32), 3)
    ours = PictureEmbedding(EmbeddingConfig(64, 3, 4, 128, 14, 56, 32)).eval()
    ours.load_state_dict({k: v for k, v in theirs.state_dict().items() if "position_ids" not in k})
    pictures = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        assert (ours(pictures) - theirs(pictures).image_embeds).abs().max() < 1e-5
    processor = transformers.CLIPImageProcessorPil(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224})
    picture = np.random.default_rng(5).integers(0, 256, (768, 768, 3), np.uint8)
    wanted = processor(images=Image.fromarray(picture), return_tensors="np")["pixel_values"][0]
    assert np.abs(prepare(picture) - wanted).max() < 1e-6
