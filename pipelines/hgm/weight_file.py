"""Reading a file of network weights without unpickling: safetensors, shards of them, or torch files (tensors only)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pipelines.step import UserError

SUFFIXES = (".safetensors", ".json", ".pt", ".pth", ".ckpt", ".bin")
WRAPPERS = ("state_dict", "model", "ema", "module")
PREFIXES = ("module.", "_orig_mod.", "model.")
# Groups that released files may carry beside the network: they are named and left alone.
IGNORED = {
    "lpips_loss.": "weights of the perceptual loss",
    "m_smplx.": "body model (its own licence; not read)",
    "smpl_model.": "body model (its own licence; not read)",
    "smpler.": "body-pose network of the reference's own photo path",
}
_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32"}


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: its shape and type by name, and how to read it."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Tensor]


@dataclass(frozen=True)
class WeightSource:
    """What a file holds under clean names. container: 'safetensors', 'sharded safetensors' or 'torch'.

    stripped: prefixes that were taken off; ignored: {group: number of tensors} that are no part of the network.
    """

    path: Path
    container: str
    entries: Mapping[str, Entry]
    stripped: tuple[str, ...]
    ignored: Mapping[str, int]

    def files(self) -> list[Path]:
        """The file or its shards."""
        if self.path.suffix == ".json":
            return sorted({self.path.parent / n for n in json.loads(self.path.read_text())["weight_map"].values()})
        return [self.path]

    def digest(self) -> str:
        """SHA-256 of the bytes of the file, or of all shards in order."""
        total = hashlib.sha256()
        for file in self.files():
            with file.open("rb") as stream:
                while block := stream.read(1 << 22):
                    total.update(block)
        return total.hexdigest()


def open_weights(path: Path) -> WeightSource:
    """The tensors of a file by clean name; nothing is read yet but the table of contents.

    path: .safetensors, a .safetensors.index.json with its shards, or a torch file, which is loaded with
    `weights_only=True`: tensors and containers, no code. UserError when it is none of these or holds no tensors.
    """
    if path.suffix not in SUFFIXES or not path.is_file():
        raise UserError(f"'{path.name}' came as network weights; it needs a file ending in {', '.join(SUFFIXES)}.")
    if path.suffix == ".json":
        container, raw = "sharded safetensors", _sharded(path)
    elif path.suffix == ".safetensors":
        container, raw = "safetensors", _safetensors(path)
    else:
        container, raw = "torch", _torch(path)
    if not raw:
        raise UserError(f"'{path.name}' holds no tensors; give the file that the training script saved.")
    return _cleaned(path, container, raw)


def strip_prefixes(key: str) -> tuple[str, list[str]]:
    """A key without wrappers' prefixes, taken off repeatedly, and the prefixes."""
    taken = []
    while found := next((p for p in PREFIXES if key.startswith(p)), None):
        key = key.removeprefix(found)
        taken.append(found)
    return key, taken


def _cleaned(path: Path, container: str, raw: Mapping[str, Entry]) -> WeightSource:
    entries: dict[str, Entry] = {}
    stripped: set[str] = set()
    ignored: dict[str, int] = {}
    for key, entry in raw.items():
        name, taken = strip_prefixes(key)
        group = next((g for g in IGNORED if name.startswith(g)), None)
        if group is not None:
            ignored[group] = ignored.get(group, 0) + 1
            continue
        if name in entries:
            raise UserError(
                f"'{path.name}' holds '{name}' twice (under different prefixes); save one set of weights per file."
            )
        stripped.update(taken)
        entries[name] = entry
    return WeightSource(path, container, entries, tuple(sorted(stripped)), ignored)


def _safetensors(path: Path) -> dict[str, Entry]:
    try:
        # Left open: every entry reads through this one handle, and the header is parsed once.
        file = safe_open(str(path), "pt")
        found = {}
        for key in file.keys():  # noqa: SIM118 (not a mapping)
            part = file.get_slice(key)
            dtype = _TYPES.get(part.get_dtype(), part.get_dtype())
            found[key] = Entry(tuple(part.get_shape()), dtype, partial(file.get_tensor, key))
        return found
    except (SafetensorError, OSError) as error:
        raise UserError(f"'{path.name}' is not a readable safetensors file ({error}); get a complete copy.") from error


def _sharded(path: Path) -> dict[str, Entry]:
    try:
        listed = json.loads(path.read_text())["weight_map"]
        names = {str(n) for n in listed.values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"'{path.name}' is not an index of safetensors shards; give the index or the file.") from error
    found: dict[str, Entry] = {}
    for name in sorted(names):
        shard = path.parent / name
        # A name with folders in it could point anywhere on the disk.
        if Path(name).name != name or not shard.is_file():
            raise UserError(f"'{path.name}' names the shard '{name}', which is not beside it; get all the shards.")
        found |= _safetensors(shard)
    if set(listed) - set(found):
        raise UserError(
            f"'{path.name}' lists {len(set(listed) - set(found))} tensors that no shard holds; get them all."
        )
    return found


def _torch(path: Path) -> dict[str, Entry]:
    loaded: Any
    try:
        # Memory-mapped where the format allows it; the old format has to be read whole.
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises many kinds; none of them may run or pass
        raise UserError(
            f"'{path.name}' could not be read as tensors alone ({type(error).__name__}); "
            "save its state_dict as .safetensors where it was trained."
        ) from error
    # A training checkpoint: the weights in a table of their own, beside numbers and tensors of the training.
    if isinstance(loaded, Mapping):
        loaded = next((loaded[w] for w in WRAPPERS if isinstance(loaded.get(w), Mapping)), loaded)
    if not isinstance(loaded, Mapping):
        raise UserError(f"'{path.name}' holds a {type(loaded).__name__}; it needs a table of named tensors.")
    tensors = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)}
    return {
        k: Entry(tuple(v.shape), str(v.dtype).removeprefix("torch."), partial(_given, v)) for k, v in tensors.items()
    }


def _given(tensor: Tensor) -> Tensor:
    return tensor
