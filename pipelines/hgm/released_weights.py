"""Loading a released checkpoint: which variant it is, whether it is whole, and the network with it inside.

A file is loaded whole or refused: no tensor is skipped in silence. The released files were not at hand when this
was written; the variants are those that shapes can reveal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pipelines.hgm.configuration import RELEASED, HgmConfig
from pipelines.hgm.coverage import REFUSED, REWRITE, Coverage, compare, propose_mapping, value_findings
from pipelines.hgm.network import HgmNetwork
from pipelines.hgm.weight_file import Entry, WeightSource, open_weights
from pipelines.step import UserError

BODIES = {
    10_475: "SMPL-X",
    6_890: "SMPL",
    41_330: "SMPL with edge midpoints and face centroids",
}
SparseLayout = Literal["in_out", "out_in"]


def looks_like_hgm(path: Path) -> bool:
    """Whether a file has keys of an HGM network or of its parent project's U-Net; no tensor is read from safetensors."""
    try:
        keys = open_weights(path).entries
    except UserError:
        return False
    return "unet.conv_in.weight" in keys and "unet.down_blocks.0.nets.0.conv1.weight" in keys


def examine(
    path: Path, views: int | None = None, values: bool = True, rename: Mapping[str, str] | None = None,
    sparse_layout: SparseLayout | None = None, base: HgmConfig = RELEASED,
) -> Coverage:  # fmt: skip
    """The report on a file, without building the network.

    views: 1 or 2, what the user says it is (keys and shapes cannot tell); values: also read every tensor;
    rename: {group in the file: group expected}; sparse_layout: order of the last two axes of old sparse weights;
    base: the configuration that the file's shapes vary. UserError when it is no weight file.
    """
    source, _, report = _examine(path, views, values, rename, sparse_layout, base)
    return replace(report, digest=source.digest()) if values else report


def read_released(
    path: Path, rename: Mapping[str, str] | None, sparse_layout: SparseLayout | None, base: HgmConfig = RELEASED
) -> tuple[WeightSource, Coverage]:
    """The tensors of a file under the names and in the layout of the network, and the report on them."""
    source, _, report = _examine(path, None, True, rename, sparse_layout, base)
    return source, report


def load_released(
    path: Path, views: int, rename: Mapping[str, str] | None = None, sparse_layout: SparseLayout | None = None,
    base: HgmConfig = RELEASED,
) -> tuple[HgmNetwork, Coverage]:  # fmt: skip
    """The network of a released file in single precision, eval mode, on the CPU, and the report.

    UserError with the report's first refusals when the file is not whole.
    """
    source, config, report = _examine(path, views, True, rename, sparse_layout, base)
    if report.verdict == REFUSED:
        reasons = [*report.refusals, *(f"missing {k}" for k in report.missing[:3]), *report.wrong_shape[:3]]
        raise UserError(
            f"'{path.name}' came as HGM weights and is not used: {'; '.join(reasons[:4])}. "
            f"Run `weights check {path.name}` for the whole report."
        )
    with torch.device("meta"):
        network = HgmNetwork(config)
    state: dict[str, Tensor] = {}
    for key, wanted in network.state_dict().items():
        if key in source.entries:
            state[key] = source.entries[key].read().to(wanted.dtype).clone()
        else:
            # Unused heads and the norms' counters: values that change no output, or the framework's own start.
            state[key] = torch.full(wanted.shape, float(key.endswith(("weight", "running_var")))).to(wanted.dtype)
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval().requires_grad_(False), report


def _examine(
    path: Path, views: int | None, values: bool, rename: Mapping[str, str] | None, sparse_layout: SparseLayout | None,
    base: HgmConfig,
) -> tuple[WeightSource, HgmConfig, Coverage]:  # fmt: skip
    if views not in (None, 1, 2):
        raise UserError(f"views came as {views}; a released file is for 1 or 2 views.")
    source = open_weights(path)
    if rename:
        source = replace(source, entries=_renamed(source.entries, rename))
    variant: dict[str, Any] = {}
    findings: list[str] = []
    warnings: list[str] = []
    refusals: list[str] = []
    if _is_parent(source.entries):
        refusals.append(
            "Only unet.* and conv.* are here: a checkpoint of the parent project (LGM), the image branch alone; "
            "it can start a training, but it is no HGM network."
        )
    layout, entries = _sparse_entries(source.entries, sparse_layout)
    source = replace(source, entries=entries)
    if layout == "unknown":
        refusals.append(
            "The sparse weights are [3, 3, 3, ., .], the layout of spconv 1.x or of an early 2.x, which differ in the "
            f"order of the last two axes; '{REWRITE} {path.name} NEW.safetensors --sparse in_out' (1.x) or '--sparse "
            "out_in' (early 2.x) writes them anew."
        )
    config = _variant(source.entries, base, variant, warnings, refusals)
    variant["sparse layout"] = layout
    variant["views"] = views if views else "not said"
    if views is None:
        findings.append(
            "One-view and two-view files have the same keys and shapes; say which one this is. Drawing a "
            "photo again may tell: 'weights check FILE --draw PHOTO'."
        )
    with torch.device("meta"):
        wanted = HgmNetwork(config)
    tables = compare(source.entries, wanted)
    if any(k.endswith(("running_mean", "running_var")) for k in tables["missing"]):
        warnings.append("Statistics of the volume's norms are missing and start at 0 and 1: outputs will differ.")
    if values:
        more, worse = value_findings(source)
        warnings += more
        refusals += worse
    report = Coverage(
        path=str(path), size=sum(f.stat().st_size for f in source.files()), container=source.container,
        stripped=source.stripped, ignored=dict(source.ignored), variant=variant, findings=findings,
        warnings=warnings, refusals=refusals, mapping=propose_mapping(source.entries, wanted),
        **tables,
    )  # fmt: skip
    return source, config, report


def _variant(
    entries: Mapping[str, Entry], config: HgmConfig, variant: dict[str, Any], warnings: list[str], refusals: list[str]
) -> HgmConfig:
    """The configuration that the shapes reveal; what they contradict goes into `refusals`."""

    def shape(key: str, dims: int) -> tuple[int, ...] | None:
        """The shape of a tensor; a wrong number of axes is left to the table of wrong shapes."""
        return entries[key].shape if key in entries and len(entries[key].shape) == dims else None

    tokens = shape("c.weight", 2)
    if tokens is not None:
        body = BODIES.get(tokens[0])
        variant["tokens"] = f"{tokens[0]} ({body or 'unknown'})"
        variant["code width"] = tokens[1]
        if body is None:
            known = ", ".join(f"{n} ({b})" for n, b in BODIES.items())
            refusals.append(f"The file has {tokens[0]} tokens; known bodies have {known}.")
        elif tokens[0] == 41_330:
            warnings.append("Tokens on edge midpoints and face centroids: the vertices must be made in the same order.")
        if tokens[1] % config.code_heads:
            refusals.append(f"Tokens are {tokens[1]} wide, which {config.code_heads} heads cannot share.")
        elif body is not None:
            config = replace(config, tokens=tokens[0], code_dim=tokens[1])
    keys = shape("xyzc_attn.w_ks.weight", 2)
    if keys is not None:
        variant["key width"] = keys[1]
        config = replace(config, features=keys[1])
    first = shape("unet.conv_in.weight", 4)
    if first is not None and f"unet.up_blocks.{len(config.unet.up) - 1}.nets.0.conv1.weight" not in entries:
        refusals.append("The U-Net has a block up less: the small preset, which never fitted HGM's fusion network.")
    for name, wanted in (("res", config.mix_channels), ("net", config.body_channels)):
        width = shape(f"{name}.conv_in.weight", 3)
        if width is not None and width[1] != wanted:
            refusals.append(
                f"{name}.conv_in takes {width[1]} channels, not {wanted}: another concatenation of inputs, "
                "which shapes alone do not reveal."
            )
    return config


def _sparse_entries(entries: Mapping[str, Entry], told: SparseLayout | None) -> tuple[str, Mapping[str, Entry]]:
    """The layout of the sparse weights by name, and the entries with these turned to [out, kd, kh, kw, in]."""
    sparse = {k: e for k, e in entries.items() if k.startswith("xyzc_net.") and len(e.shape) == 5}
    old = {k: e for k, e in sparse.items() if e.shape[:3] == (3, 3, 3)}
    if not old:
        return ("[out, kd, kh, kw, in] (spconv 2.x)" if sparse else "none"), entries
    if told is None:
        return "unknown", entries
    order = (4, 0, 1, 2, 3) if told == "in_out" else (3, 0, 1, 2, 4)
    turned = dict(entries)
    for key, entry in old.items():
        turned[key] = Entry(tuple(entry.shape[i] for i in order), entry.dtype, _turning(entry, order))
    return f"[kd, kh, kw, {told.replace('_', ', ')}], converted", turned


def _turning(entry: Entry, order: tuple[int, ...]) -> Any:
    return lambda: entry.read().permute(order).contiguous()


def _renamed(entries: Mapping[str, Entry], rename: Mapping[str, str]) -> dict[str, Entry]:
    renamed = {}
    for key, entry in entries.items():
        old = next((o for o in rename if key.startswith(o)), "")
        renamed[rename.get(old, "") + key.removeprefix(old)] = entry
    return renamed


def _is_parent(entries: Mapping[str, Entry]) -> bool:
    groups = {k.split(".", 1)[0] for k in entries}
    return groups == {"unet", "conv"}
