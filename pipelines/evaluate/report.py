"""The result of an evaluation as JSON, as text, and as the table of the README."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.evaluate import protocols
from pipelines.evaluate.intervals import by_azimuth, gap, summarise, worth
from pipelines.evaluate.oracle import CHAIN
from pipelines.evaluate.protocols import ALIGNMENTS, PROTOCOLS, TABLE
from pipelines.evaluate.scorecard import Scorecard

SCHEMA = "humanscope.evaluate/1"
BEGIN, END = (
    "<!-- evaluation table: begin (python -m benchmarks.evaluation_table README.md) -->",
    "<!-- evaluation table: end -->",
)
BLANK = "blank white"


def machine() -> dict[str, Any]:
    """Processor, cores, system, Python, commit of the code ('' outside a checkout; '+' when files differ from it)."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]

    def git(*words: str) -> str:
        try:
            done = subprocess.run(
                ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
            )
        except OSError:
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "HEAD")
    changed = "+" if commit and git("status", "--porcelain", "--untracked-files=no") else ""
    return {
        "processor": names[0] if names else platform.processor(), "cores": os.cpu_count(), "system": platform.system(),
        "python": platform.python_version(), "commit": commit + changed, "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def people_report(
    columns: Mapping[str, Mapping[str, Sequence[Scorecard]]],
    first: int,
    end: int,
    settings: Mapping[str, Any],
    notes: Sequence[str],
) -> dict[str, Any]:
    """The JSON document. columns: {system: {variant: cards}}; the blank baseline is the system BLANK with one variant.

    settings: JSON-ready facts of the run (view size, seeds, knobs). notes: sentences for the reader.
    """
    used = {m for variants in columns.values() for cards in variants.values() for c in cards for m in c.numbers}
    systems = {}
    for system, variants in columns.items():
        systems[system] = {
            "variants": {
                name: {
                    "metrics": summarise(cards), "by_azimuth": by_azimuth(cards), "before": before_and_after(cards),
                    "failed": [{"seed": c.seed, "error": c.error} for c in cards if c.error],
                }
                for name, cards in variants.items()
            },
            "gap": gap(variants), "ablation": worth(variants, [n for n in variants if n not in (*CHAIN, BLANK)]),
        }  # fmt: skip
    facts = {str(c.seed): c.facts for variants in columns.values() for cards in variants.values() for c in cards}
    subjects = [
        {"seed": c.seed, "system": system, "variant": name, "error": c.error,
         "numbers": {n: float(f"{v:.6g}") for n, v in c.numbers.items()}}
        for system, variants in columns.items() for name, cards in variants.items() for c in cards
    ]  # fmt: skip
    return {
        "schema": SCHEMA, "people": [first, end], "machine": machine(), "settings": dict(settings), "notes": list(notes),
        "alignment": ALIGNMENTS,
        "interval": f"95 %, percentile bootstrap over people, {protocols.RESAMPLES} resamples, seed {protocols.RESAMPLE_SEED}",
        "protocols": {n: vars(p) for n, p in PROTOCOLS.items() if n in used}, "systems": systems, "facts": facts,
        "subjects": subjects,
    }  # fmt: skip


def before_and_after(cards: Sequence[Scorecard]) -> dict[str, Any]:
    """{metric: {before, after}} of the people whose body or Gaussians a later step refined."""
    found = {}
    for name in PROTOCOLS:
        # Somebody whose back of the head no view shows has no number for it, before or after.
        pairs = [(c.seed, c.before[name], c.numbers[name]) for c in cards if name in c.before and name in c.numbers]
        if pairs:
            found[name] = {
                "before": summarise([Scorecard(seed, {name: before}) for seed, before, _ in pairs])[name],
                "after": summarise([Scorecard(seed, {name: after}) for seed, _, after in pairs])[name],
            }
    return found


def cell(metric: str, row: Mapping[str, Any] | None) -> str:
    """'21.30 (20.9 to 21.7)', or a dash."""
    if row is None:
        return "–"
    digits = PROTOCOLS[metric].digits
    text = f"{row['mean']:.{digits}f}"
    return text if row["low"] is None else f"{text} ({row['low']:.{digits}f} to {row['high']:.{digits}f})"


def text_table(report: Mapping[str, Any]) -> str:
    """The report for a terminal: one line per metric, one column per system and variant."""
    columns = [(s, v, data["metrics"]) for s, d in report["systems"].items() for v, data in d["variants"].items()]
    names = [n for n in PROTOCOLS if any(n in metrics for _, _, metrics in columns)]
    heads = [s if s == BLANK else f"{s}, {v}" for s, v, _ in columns]
    lines = [["", *heads]]
    for name in names:
        p = PROTOCOLS[name]
        lines.append(
            [f"{p.title}{f' [{p.unit}]' if p.unit else ''}", *(cell(name, m.get(name)) for _, _, m in columns)]
        )
    widths = [max(len(line[k]) for line in lines) for k in range(len(heads) + 1)]
    return "\n".join("  ".join(t.ljust(w) for t, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def markdown_table(reports: Sequence[Mapping[str, Any]]) -> str:
    """The README's table: a row per system and variant, the metrics of TABLE that any has, their protocols below.

    Reports over the same people only; ValueError otherwise. Every row names the commit that made it; of two reports with
    the same row the later one's stands.
    """
    spans = {tuple(r["people"]) for r in reports}
    if len(spans) != 1:
        raise ValueError(f"The reports are about people {sorted(spans)}; one table needs the same people in all.")
    rows: dict[tuple[str, str], Mapping[str, Any]] = {}
    made: dict[tuple[str, str], Mapping[str, Any]] = {}
    for report in reports:
        for system, data in report["systems"].items():
            for variant, values in data["variants"].items():
                rows[(system, variant)] = values["metrics"]
                made[(system, variant)] = report["machine"]
    names = [n for n in TABLE if any(n in metrics for metrics in rows.values())]
    heads = [f"{PROTOCOLS[n].title}{f' ({PROTOCOLS[n].unit})' if PROTOCOLS[n].unit else ''}" for n in names]
    lines = ["| | " + " | ".join(heads) + " | commit |", "|---|" + "---:|" * len(names) + "---|"]
    for (system, variant), metrics in sorted(rows.items(), key=lambda item: item[0][0] == BLANK):
        title = system if system == BLANK else f"`{system}`, {variant}"
        cells = [*(_short(n, metrics.get(n)) for n in names), commit_of(made[(system, variant)])]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    first, end = next(iter(spans))
    lines += ["", f"People {first} to {end - 1} of the synthetic test set; mean and half width of the 95 % interval "
              f"over people. {machines(made.values())}."]  # fmt: skip
    lines += [""] + [f"- {h} – `{PROTOCOLS[n].id}`: {PROTOCOLS[n].sentence}" for n, h in zip(names, heads, strict=True)]
    return "\n".join(lines)


def commit_of(machine: Mapping[str, Any]) -> str:
    """A machine's commit as the table shows it."""
    return machine["commit"][:7] or "none"


def machines(made: Iterable[Mapping[str, Any]]) -> str:
    """What rows were made on and how busy it was, as on a busy machine seconds are longer; once for each commit."""
    return "; ".join(
        dict.fromkeys(f"{m['processor']}, {m['cores']} cores, load {m['load']:.1f} ({commit_of(m)})" for m in made)
    )


def _short(metric: str, row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    digits = PROTOCOLS[metric].digits
    text = f"{row['mean']:.{digits}f}"
    return text if row["low"] is None else f"{text} ± {(row['high'] - row['low']) / 2:.{digits}f}"


def write_between_markers(document: str, table: str) -> str:
    """A document with the table in place of what stands between BEGIN and END. ValueError when a marker is missing."""
    start, stop = document.find(BEGIN), document.find(END)
    if start < 0 or stop < start:
        raise ValueError(f"The document lacks the two markers; put these lines where the table goes:\n{BEGIN}\n{END}")
    return f"{document[: start + len(BEGIN)]}\n{table}\n{document[stop:]}"
