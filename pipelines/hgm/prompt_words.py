"""What Stable Diffusion's text encoder makes of a few words, from the files of its folder alone.

The encoder is CLIP's text transformer (Radford et al. 2021) and its byte-pair tokenizer. The back view's two prompts
never change, so that this stands in the place of a package that is larger than all others together; a test compares both
where that package is installed.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

END_OF_WORD = "</w>"
START, END = "<|startoftext|>", "<|endoftext|>"  # the second one also fills up
FILES = ("model.safetensors", "model.fp16.safetensors", "pytorch_model.bin")


def words_of(diffusion: Path, texts: list[str]) -> Tensor:
    """(len(texts), 77, C) single precision, on the CPU: the encoder's last hidden state.

    diffusion: a folder with `tokenizer` and `text_encoder`. OSError, KeyError or ValueError for files that are not there or
    are others.
    """
    tokenizer, encoder = diffusion / "tokenizer", diffusion / "text_encoder"
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    length = int(config["max_position_embeddings"])
    rows = [tokens_of(text, tokenizer, length) for text in texts]
    with torch.inference_mode():
        return encoded(torch.tensor(rows), read_tensors(encoder), config).clone()


def tokens_of(text: str, tokenizer: Path, length: int) -> list[int]:
    """`length` numbers: start, byte pairs of the words, end, and the end's again to the full length.

    text: plain ASCII. ValueError for another one.
    """
    if not text.isascii():
        raise ValueError(f"the text '{text}' is not plain ASCII")
    numbers = json.loads((tokenizer / "vocab.json").read_text(encoding="utf-8"))
    lines = (tokenizer / "merges.txt").read_text(encoding="utf-8").split("\n")[1:]
    ranks = {tuple(line.split()): i for i, line in enumerate(lines) if line}
    pieces = [p for word in re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", text.lower()) for p in byte_pairs(word, ranks)]
    tokens = [numbers[START], *(numbers[p] for p in pieces)][: length - 1]
    return tokens + [numbers[END]] * (length - len(tokens))


def byte_pairs(word: str, ranks: Mapping[tuple[str, ...], int]) -> list[str]:
    """The word's letters, the pair that was learned first joined first, until no pair was learned."""
    parts = [*word[:-1], word[-1] + END_OF_WORD]
    while len(parts) > 1:
        best = min(itertools.pairwise(parts), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        joined, i = [], 0
        while i < len(parts):
            pair = tuple(parts[i : i + 2]) == best
            joined.append("".join(best) if pair else parts[i])
            i += 2 if pair else 1
        parts = joined
    return parts


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The encoder's tensors by their names without the model's own; nothing is unpickled but tensors."""
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        raise ValueError(f"'{folder.name}' holds none of {', '.join(FILES)}")
    found: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    return {name.removeprefix("text_model."): tensor.float() for name, tensor in found.items()}


def encoded(tokens: Tensor, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Tensor:
    """tokens (B, T) -> (B, T, C): attention to what came before, norms first, a last norm at the end."""
    heads, eps = int(config["num_attention_heads"]), float(config.get("layer_norm_eps", 1e-5))
    quick = config.get("hidden_act", "quick_gelu") == "quick_gelu"

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], tensors[f"{name}.weight"], tensors[f"{name}.bias"], eps)

    x = tensors["embeddings.token_embedding.weight"][tokens]
    x = x + tensors["embeddings.position_embedding.weight"][: tokens.shape[1]]
    for i in range(int(config["num_hidden_layers"])):
        layer = f"encoder.layers.{i}"
        seen = norm(x, f"{layer}.layer_norm1")
        q, k, v = (
            linear(seen, f"{layer}.self_attn.{n}_proj").unflatten(-1, (heads, -1)).transpose(1, 2) for n in "qkv"
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + linear(mixed, f"{layer}.self_attn.out_proj")
        wide = linear(norm(x, f"{layer}.layer_norm2"), f"{layer}.mlp.fc1")
        x = x + linear(wide * torch.sigmoid(1.702 * wide) if quick else F.gelu(wide), f"{layer}.mlp.fc2")
    return norm(x, "final_layer_norm")
