"""The released folders on disk: where each network's files lie, and what their configuration files say.

synchuman.stage1    OneStage: joint network, autoencoder, picture encoder, occupancy decoder, one folder each
synchuman.stage2    SecondStage: pipeline.json, which names the folders of the latent flow and the two decoders
synchuman.tokens    DINOv2 ViT-L/14 with registers, in the format of `transformers`
synchuman.prompts   normal_embeds.pt and clr_embeds.pt: the fixed prompt features, (7, 77, 1024) each
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pipelines.records import read_json
from pipelines.step import UserError
from pipelines.synchuman import released_files
from pipelines.synchuman.conditioning import prompt_rows
from pipelines.synchuman.configuration import RELEASED, SyncHumanConfig
from pipelines.synchuman.networks import Coverage, compare_keys, without_memory

Find = Callable[[str], Path]

STAGE_1 = {
    "joint_network": "SyncHuman_2D3DCrossSpaceDiffusion", "sparse_structure_decoder": "sparse_structure_decoder",
    "vae": "vae", "image_encoder": "image_encoder",
}  # fmt: skip
STAGE_2 = ("slat_flow_model", "slat_decoder_gs", "slat_decoder_mesh")
# SHA-256 of the (7, 77, 1024) float16 values.
PROMPTS = {
    "normal_embeds.pt": "d92c4319e16ada74c8741dac0fa325ecf4065fb343fc8323a4bce00937131286",
    "clr_embeds.pt": "3d87a1884e223f5ec5f29d753f8bfe668bdda246f73ab84bb994ce3d29e8fc2a",
}


def role_of(name: str) -> str:
    """The weight role whose folder holds a network."""
    if name in STAGE_1:
        return "synchuman.stage1"
    return "synchuman.stage2" if name in STAGE_2 else "synchuman.tokens"


def files_of(name: str, find: Find) -> tuple[list[Path], Path | None]:
    """The .safetensors files of a network, and its configuration file if there is one. UserError when there are none."""
    root = find(role_of(name))
    if name in STAGE_2:
        stem = root / str(_pipeline(root)["args"]["models"][name])
        if stem.with_suffix(".safetensors").is_file():  # the parent project's layout: two files with one stem
            return [stem.with_suffix(".safetensors")], _if_there(stem.with_suffix(".json"))
        folder = stem
    else:
        folder = root / STAGE_1[name] if name in STAGE_1 else root
    files = [folder] if folder.suffix == ".safetensors" else sorted(folder.glob("*.safetensors"))
    plain = [p for p in files if ".fp16." not in p.name]  # two precisions may lie side by side
    if not files:
        raise UserError(
            f"'{folder}' holds no .safetensors file; {name} is read from there. Get the folder complete with "
            "'python app.py weights fetch synchuman'. (.bin and .ckpt files are not opened.)"
        )
    return plain or files, _if_there(folder / "config.json")


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _pipeline(root: Path) -> dict[str, Any]:
    path = root / "pipeline.json"
    if not path.is_file():
        raise UserError(f"'{root}' holds no pipeline.json; give the folder SecondStage of the released files.")
    data: dict[str, Any] = read_json(path)
    return data


def read_config(find: Find, names: tuple[str, ...] | None = None) -> SyncHumanConfig:
    """The configuration of a released folder: what its files say, where they say nothing the known values.

    names: only these networks' files are read.
    """
    config = RELEASED
    wanted = names or (*STAGE_1, *STAGE_2)
    changes: dict[str, Any] = {}
    for name in wanted:
        if name not in ("joint_network", "sparse_structure_decoder", *STAGE_2):
            continue
        files, settings = files_of(name, find)
        given = read_json(settings) if settings else None
        if name == "joint_network" and given:
            changes["joint"] = released_files.joint_config(given)
        elif name == "sparse_structure_decoder" and given and "args" in given:
            changes["occupancy"] = released_files.occupancy_config(given)
        elif name == "slat_flow_model" and given:
            changes["flow"] = released_files.flow_config(given)
        elif name.startswith("slat_decoder") and given:
            changes["decoder"] = released_files.decoder_config(given, _shape(files, "blocks.0.mv_condition.0.weight"))
    if set(wanted) & set(STAGE_2):
        changes["sampling"] = released_files.sampling_config(_pipeline(find("synchuman.stage2")))
    return dataclasses.replace(config, **changes)


def _shape(files: list[Path], key: str) -> tuple[int, ...] | None:
    for path in files:
        with safe_open(str(path), "pt") as file:
            if key in file.keys():  # noqa: SIM118 (not a mapping)
                return tuple(file.get_slice(key).get_shape())
    return None


def read_prompts(find: Find) -> Tensor:
    """(10, 77, 1024): the prompt features of the ten items. UserError when the files are other ones."""
    folder, tables = find("synchuman.prompts"), []
    for name, digest in PROMPTS.items():
        path = folder / name
        try:
            value = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, ValueError, EOFError) as error:
            raise UserError(f"'{path}' could not be read ({error}); get a complete copy of it.") from error
        table = value.detach().to(torch.float16).contiguous() if isinstance(value, Tensor) else None
        if table is None or hashlib.sha256(table.numpy().tobytes()).hexdigest() != digest:
            raise UserError(
                f"'{path}' holds other prompt features than SyncHuman was trained with; get PSHuman's file."
            )
        tables.append(table.float())
    return prompt_rows(*tables)


def examine_folders(places: dict[str, Path]) -> dict[str, tuple[bool, str]]:
    """{network: whether it is whole, and how its keys meet its files or why they cannot}; no value is read.

    places: {role: folder}. Networks of absent roles are reported as such, the prompts by their hash.
    """

    def find(role: str) -> Path:
        if role not in places:
            raise UserError(f"the folder for '{role}' is not there")
        return places[role]

    report: dict[str, tuple[bool, str]] = {}
    for name in (*STAGE_1, *STAGE_2, "dinov2"):
        try:
            covered = coverage(name, find)
            report[name] = covered.complete, str(covered)
        except (UserError, SafetensorError, OSError, KeyError) as error:
            report[name] = False, str(error)
    try:
        report["prompts"] = True, f"{tuple(read_prompts(find).shape)} features, the right ones"
    except UserError as error:
        report["prompts"] = False, str(error)
    return report


def coverage(name: str, find: Find) -> Coverage:
    """How a network's keys and shapes meet those of its files; no value is read."""
    files, _ = files_of(name, find)
    network = without_memory(read_config(find, (name,)))[name]
    known: dict[str, tuple[int, ...]] = {}
    for path in files:
        with safe_open(str(path), "pt") as file:
            known |= {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    return compare_keys(network, without_extras(known, name))


def without_extras(known: dict[str, tuple[int, ...]], name: str) -> dict[str, tuple[int, ...]]:
    """Keys as `networks.load` reads them: old names renamed, indices left out, computed buffers that a file may lack."""
    from pipelines.synchuman.networks import renamed

    kept = {renamed(key): shape for key, shape in known.items() if not key.endswith("position_ids")}
    if name == "joint_network" and "pos_emb" not in kept:
        kept["pos_emb"] = tuple(without_memory(RELEASED)[name].get_buffer("pos_emb").shape)
    if name == "slat_decoder_gs" and "offset_perturbation" not in kept:
        kept["offset_perturbation"] = (32, 3)
    return kept
