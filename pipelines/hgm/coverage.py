"""What a weight file covers of a network, and what its values look like: the report before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from pipelines.hgm.weight_file import IGNORED, Entry, WeightSource

# In the released file, called by nothing.
UNUSED = ("unet.norm_out_2.", "unet.conv_out_2.", "xyzc_attn.layer_norm.")
NORM_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
LISTED = 20
FLOATING = ("float64", "float32", "float16", "bfloat16")
REWRITE = "python -m pipelines.hgm.rewrite_weights"
COMPLETE, WARNINGS, REFUSED = "complete", "usable with warnings", "refused"


@dataclass(frozen=True)
class ModuleCoverage:
    """One top-level module: numbers of keys, and parameters found of expected."""

    name: str
    expected: int
    found: int
    missing: int
    wrong_shape: int
    unexpected: int
    parameters: int
    parameters_found: int


@dataclass(frozen=True)
class Coverage:
    """The whole report. verdict: 'complete', 'usable with warnings' or 'refused'.

    findings: sentences on the variant; warnings: what to know; refusals: why it cannot be loaded. mapping: proposed
    renamings {group in the file: group expected}.
    """

    path: str
    size: int
    container: str
    stripped: tuple[str, ...]
    ignored: dict[str, int]
    variant: dict[str, Any]
    modules: list[ModuleCoverage]
    missing: list[str]
    wrong_shape: list[str]
    unexpected: list[str]
    unused_missing: list[str]
    findings: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    mapping: dict[str, str] = field(default_factory=dict)
    digest: str = ""

    @property
    def verdict(self) -> str:
        """complete: every key (the unused ones may be absent). usable: norm counters absent or warnings. Else refused."""
        serious = [k for k in self.missing if not _is_counter(k)]
        if self.refusals or serious or self.wrong_shape:
            return REFUSED
        return WARNINGS if self.missing or self.unexpected or self.warnings else COMPLETE

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers, verdict included."""
        return {**asdict(self), "verdict": self.verdict}

    def text(self) -> str:
        """The report as printed."""
        head = f"{self.path}  {self.size / 1e6:.1f} MB  {self.container}"
        lines = [head + (f"  sha256 {self.digest[:16]}" if self.digest else "")]
        if self.stripped:
            lines.append(f"prefixes taken off: {', '.join(self.stripped)}")
        lines.append("variant: " + ", ".join(f"{k} {v}" for k, v in self.variant.items()))
        lines.append(f"{'module':<10} {'keys':>5} {'found':>6} {'missing':>8} {'shape':>6} {'extra':>6}   parameters")
        expected = found = 0
        for m in self.modules:
            share = 100.0 * m.parameters_found / m.parameters if m.parameters else 0.0
            lines.append(
                f"{m.name:<10} {m.expected:>5} {m.found:>6} {m.missing:>8} {m.wrong_shape:>6} {m.unexpected:>6}   "
                f"{m.parameters_found:>11,} of {m.parameters:>11,} ({share:.1f} %)"
            )
            expected, found = expected + m.parameters, found + m.parameters_found
        keys, have = (sum(getattr(m, n) for m in self.modules) for n in ("expected", "found"))
        lines.append(f"in all     {have} of {keys} keys, {found:,} of {expected:,} parameters")
        if self.unused_missing:
            lines.append(f"not in the file, and called by nothing: {', '.join(self.unused_missing)}")
        for title, keys_of in (
            ("missing", self.missing),
            ("wrong shape", self.wrong_shape),
            ("extra", self.unexpected),
        ):
            lines += [f"{title}: {k}" for k in keys_of[:LISTED]]
            if len(keys_of) > LISTED:
                lines.append(f"{title}: and {len(keys_of) - LISTED} more")
        lines += [f"left alone: {g}* ({n} tensors, {IGNORED[g]})" for g, n in self.ignored.items()]
        lines += self.findings
        lines += [f"the group '{a}*' has exactly the shapes of '{b}*': '{REWRITE} FILE NEW.safetensors --rename "
                  f"{a.rstrip('.')}={b.rstrip('.')}' writes it so" for a, b in self.mapping.items()]  # fmt: skip
        lines += [f"! {w}" for w in self.warnings] + [f"✕ {r}" for r in self.refusals]
        return "\n".join([*lines, f"verdict: {self.verdict}"])


def compare(entries: Mapping[str, Entry], wanted: nn.Module) -> dict[str, Any]:
    """Keys and shapes of a file against a network (which may be on the meta device): the tables of a `Coverage`."""
    state = wanted.state_dict()
    parameters = {k for k, _ in wanted.named_parameters()}
    missing = [k for k in state if k not in entries]
    wrong = [k for k in state if k in entries and entries[k].shape != tuple(state[k].shape)]
    extra = [k for k in entries if k not in state]
    good = set(state) - set(missing) - set(wrong)
    unused = [k for k in missing if k.startswith(UNUSED)]
    modules = []
    for name, _ in wanted.named_children():
        inside = [k for k in state if k.startswith(name + ".")]
        modules.append(
            ModuleCoverage(
                name, len(inside), sum(k in good for k in inside), sum(k in missing for k in inside),
                sum(k in wrong for k in inside), sum(k.startswith(name + ".") for k in extra),
                sum(state[k].numel() for k in inside if k in parameters),
                sum(state[k].numel() for k in inside if k in parameters and k in good),
            )
        )  # fmt: skip
    return {
        "modules": modules,
        "missing": [k for k in missing if k not in unused],
        "wrong_shape": [f"{k}: {list(entries[k].shape)}, needs {list(state[k].shape)}" for k in wrong],
        "unexpected": extra,
        "unused_missing": unused,
    }


def propose_mapping(entries: Mapping[str, Entry], wanted: nn.Module) -> dict[str, str]:
    """Groups of a file that have exactly the keys and shapes of a module that is missing altogether."""
    state = wanted.state_dict()
    known = {name for name, _ in wanted.named_children()}
    groups = {k.split(".", 1)[0] for k in entries if "." in k} - known
    proposed = {}
    for name in sorted(known):
        shapes = {k.removeprefix(name + "."): tuple(v.shape) for k, v in state.items() if k.startswith(name + ".")}
        if any(k.startswith(name + ".") for k in entries):
            continue
        for group in sorted(groups):
            held = {k.removeprefix(group + "."): e.shape for k, e in entries.items() if k.startswith(group + ".")}
            if held == shapes:
                proposed[f"{group}."] = f"{name}."
    return proposed


def value_findings(source: WeightSource) -> tuple[list[str], list[str]]:
    """Warnings and refusals from the values: types, NaN, constants, counters of the norms. Reads every tensor once."""
    warnings, refusals = [], []
    kinds: dict[str, int] = {}
    broken, constant, never = [], [], []
    for key, entry in source.entries.items():
        kinds[entry.dtype] = kinds.get(entry.dtype, 0) + 1
        value = entry.read()
        if key.endswith("num_batches_tracked"):
            never += [key] * (int(value) <= 0)
            continue
        if entry.dtype not in FLOATING:
            refusals.append(f"'{key}' is {entry.dtype}; weights are floating point numbers.")
            continue
        usable = torch.isfinite(value) & ((value > 0) if key.endswith("running_var") else True)
        if not bool(usable.all()):
            broken.append(key)
        elif value.numel() > 1 and not key.startswith(UNUSED) and float(value.min()) == float(value.max()):
            constant.append(key)
    halves = {k: n for k, n in kinds.items() if k in ("float16", "bfloat16", "float64")}
    if halves:
        warnings.append(f"{' and '.join(f'{n} tensors of {k}' for k, n in halves.items())} are converted to float32.")
    if broken:
        refusals.append(f"{len(broken)} tensors hold NaN, infinity or a variance of zero, first '{broken[0]}'.")
    if constant:
        warnings.append(f"{len(constant)} tensors are constant, as if never trained, first '{constant[0]}'.")
    if never:
        warnings.append(f"{len(never)} norm counters are zero: those norms have seen no training, first '{never[0]}'.")
    return warnings, refusals


def _is_counter(key: str) -> bool:
    return key.endswith(NORM_BUFFERS)
