"""Results of the command `evaluate` as the page takes them: checked JSON, from the project's own folder or a researcher.

Nothing is computed here and nothing is believed: a file from outside is bounded in size, its numbers must be finite,
its texts are cut, and what does not fit is refused with a sentence. `pipelines.evaluate.report` writes the documents,
`pipelines.evaluate_session` those of a failure search.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.step import UserError

PEOPLE, PHOTOS, SEARCH = "humanscope.evaluate/1", "humanscope.evaluate_photos/1", "humanscope.failure_search/1"
LARGEST = 8 * 2**20  # bytes of one file
MOST = 120  # entries of any list or table that is shown
LONGEST = 600  # characters of any text
RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results"


@dataclass(frozen=True)
class Mean:
    """A mean over n people with its 95 % interval (None for fewer than two)."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Metric:
    """What a number is: the protocol as the document states it."""

    name: str
    id: str
    title: str
    unit: str
    better: str
    digits: int
    sentence: str

    @property
    def head(self) -> str:
        """'PSNR (dB)'."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


@dataclass(frozen=True)
class Column:
    """One system in one variant. azimuths: {degrees from the photo: {metric: Mean}}. failed: people it failed on."""

    system: str
    variant: str
    means: dict[str, Mean]
    azimuths: dict[float, dict[str, Mean]]
    failed: int

    @property
    def title(self) -> str:
        """'projection, estimated'; the baseline by its one name."""
        return self.system if self.system == self.variant else f"{self.system}, {self.variant}"


@dataclass(frozen=True)
class Result:
    """One document. Every part is empty where the document has none.

    span: first and last seed plus one. gaps: {system: {metric: {share: Mean}}}; worth: the same by row of an ablation.
    photos: {system: {photo: {what: number or text}}}. search: the document of a failure search. written: seconds since
    1970, 0 when it was sent.
    """

    name: str
    schema: str
    settings: dict[str, Any]
    machine: dict[str, Any]
    span: tuple[int, int] | None = None
    columns: tuple[Column, ...] = ()
    gaps: dict[str, dict[str, dict[str, Mean]]] = field(default_factory=dict)
    worth: dict[str, dict[str, dict[str, Mean]]] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    interval: str = ""
    photos: dict[str, dict[str, dict[str, float | str]]] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    written: float = 0.0

    @property
    def group(self) -> str:
        """Results of the same people, seen by the same cameras, stand in one table."""
        first, end = self.span or (0, 0)
        return f"{first}-{end}-{self.settings.get('views')}-{self.settings.get('view_px')}"


def stored(folder: Path | None = None) -> list[Result]:
    """The project's own results, the newest first; a file that does not fit is left out. folder: RESULTS, or what
    HUMANSCOPE_RESULTS names."""
    folder = folder or Path(os.environ.get("HUMANSCOPE_RESULTS") or RESULTS)
    found = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        with contextlib.suppress(UserError, OSError):
            if path.stat().st_size <= LARGEST:
                found.append(read_result(path.read_bytes(), path.name, path.stat().st_mtime))
    return sorted(found, key=lambda r: (-r.written, r.name))


def read_result(data: bytes, name: str, written: float = 0.0) -> Result:
    """A document; UserError with a sentence when it is no result of `evaluate` or does not hold together."""
    name = name[-80:]
    if len(data) > LARGEST:
        raise UserError(f"'{name}' is larger than {LARGEST >> 20} MB; the evaluate.json of an evaluation is smaller.")
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise UserError(f"'{name}' is not JSON; choose the evaluate.json that an evaluation left.") from None
    if not isinstance(document, dict):
        raise UserError(f"'{name}' holds no result; choose the evaluate.json that an evaluation left.")
    schema = document.get("schema") or (PHOTOS if "rows" in document and "cores" in document else None)
    if schema not in (PEOPLE, PHOTOS, SEARCH):
        came = f"the schema '{_text(schema)}'" if schema else "no schema"
        raise UserError(f"'{name}' came with {came}; this page reads {PEOPLE}, {PHOTOS} and {SEARCH}.")
    try:
        return _result(document, schema, name, written)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        what = str(error)[:120] or type(error).__name__
        raise UserError(f"'{name}' is no whole result of an evaluation ({what}); write it again.") from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _result(document: dict[str, Any], schema: str, name: str, written: float) -> Result:
    common: dict[str, Any] = {
        "name": name, "schema": schema, "settings": _plain(document.get("settings") or {}),
        "machine": _plain(document.get("machine") or {k: document[k] for k in ("cores", "load") if k in document}),
        "written": written,
    }  # fmt: skip
    if schema == SEARCH:
        return Result(**common, span=_span(document["people"]), search=_search(document))
    if schema == PHOTOS and "rows" in document:
        return Result(**common, photos=_photos({"systems": {str(document.get("system", "")): document["rows"]}}))
    photos = _photos(document["photos"]) if "photos" in document else {}
    if schema == PHOTOS:
        return Result(**common, photos=photos, metrics=_metrics(document["photos"].get("protocols") or {}))
    columns, gaps, worth = [], {}, {}
    for system, values in _some(document["systems"]).items():
        for variant, column in _some(values["variants"]).items():
            azimuths = {float(a): _means(row) for a, row in _some(column.get("by_azimuth") or {}).items()}
            failed = column.get("failed") or []
            columns.append(Column(_text(system), _text(variant), _means(column["metrics"]), azimuths, len(failed)))
        gaps[_text(system)] = {_text(m): _means(row) for m, row in _some(values.get("gap") or {}).items()}
        worth[_text(system)] = {_text(m): _means(row) for m, row in _some(values.get("ablation") or {}).items()}
    if not columns:
        raise ValueError("it has no system")
    return Result(
        **common, span=_span(document["people"]), columns=tuple(columns), gaps={s: g for s, g in gaps.items() if g},
        worth={s: w for s, w in worth.items() if w},
        metrics=_metrics(document["protocols"]), photos=photos, interval=_text(document.get("interval", "")),
        notes=tuple(_text(n) for n in list(document.get("notes") or [])[:MOST]),
    )  # fmt: skip


def _search(document: dict[str, Any]) -> dict[str, Any]:
    metric = _text(document["metric"])
    regions = [
        {"where": _text(r["where"]), "tried": int(r["tried"]), "mean": _number(r["mean"]), "rest": _number(r["rest"]),
         "chance": _number(r["chance"])} for r in document["regions"][:MOST]
    ]  # fmt: skip
    worst = [
        {"seed": int(w["seed"]), "value": _number(w[metric]), "error": _text(w.get("error") or ""),
         "facts": _plain(w.get("facts") or {}), "again": _text(w.get("again") or "")} for w in document["worst"][:16]
    ]  # fmt: skip
    return {
        "system": _text(document["system"]), "variant": _text(document["variant"]), "metric": metric,
        "protocol": _metric(metric, document["protocol"]), "tried": int(document["evaluations"]), "regions": regions,
        "worst": worst, "planted": _text(document["control"]["planted"]), "found": document["control"]["found"] is True,
    }  # fmt: skip


def _photos(part: dict[str, Any]) -> dict[str, dict[str, dict[str, float | str]]]:
    table: dict[str, dict[str, dict[str, float | str]]] = {}
    for system, rows in _some(part["systems"]).items():
        for photo, row in _some(rows).items():
            kept: dict[str, float | str] = {}
            for what, value in _some(row).items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    kept[_text(what)] = _number(value)
                elif what == "error" and value:
                    kept["error"] = _text(value)
            table.setdefault(_text(system), {})[_text(photo)] = kept
    return table


def _metrics(protocols: dict[str, Any]) -> dict[str, Metric]:
    return {_text(name): _metric(_text(name), row) for name, row in _some(protocols).items()}


def _metric(name: str, row: dict[str, Any]) -> Metric:
    better = row["better"] if row["better"] in ("higher", "lower") else ""
    digits = min(max(int(row["digits"]), 0), 6)
    return Metric(name, _text(row["id"]), _text(row["title"]), _text(row["unit"]), better, digits,
                  _text(row["sentence"]))  # fmt: skip


def _means(row: dict[str, Any]) -> dict[str, Mean]:
    return {_text(name): _mean(value) for name, value in _some(row).items()}


def _mean(row: dict[str, Any]) -> Mean:
    low, high = row["low"], row["high"]
    if low is None or high is None:
        return Mean(_number(row["mean"]), None, None, int(row["n"]))
    return Mean(_number(row["mean"]), _number(low), _number(high), int(row["n"]))


def _span(people: Sequence[Any]) -> tuple[int, int]:
    first, end = (int(v) for v in people)
    if not 0 <= first < end <= 10**9:
        raise ValueError(f"its people are {first} to {end}")
    return first, end


def _some(table: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(table, dict) or len(table) > MOST:
        raise ValueError(f"a table of more than {MOST} rows, or none")
    return table


def _plain(table: dict[str, Any]) -> dict[str, Any]:
    """Numbers, truth values, texts and lists of texts; the rest is dropped."""
    kept: dict[str, Any] = {}
    for name, value in list(table.items())[:MOST]:
        if isinstance(value, (bool, str)):
            kept[_text(name)] = value if isinstance(value, bool) else _text(value)
        elif isinstance(value, (int, float)):
            kept[_text(name)] = _number(value)
        elif isinstance(value, list) and all(isinstance(v, str) for v in value):
            kept[_text(name)] = [_text(v) for v in value[:MOST]]
    return kept


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > 1e12:
        raise ValueError(f"'{str(value)[:40]}' stands where a number is needed")
    return value


def _text(value: Any) -> str:
    return str(value)[:LONGEST]
