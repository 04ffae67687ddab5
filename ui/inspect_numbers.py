"""Curves and tables for the page; and any step's artefact as it lies in the store."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np

from pipelines.records import Curve, Table
from pipelines.step import UserError
from ui.run_reader import RunReader

Facts = list[tuple[str, str]]


def to_json(data: Any) -> bytes:
    """Plain data -> JSON bytes; what is not a finite number becomes null."""
    return json.dumps(_clean(data), separators=(",", ":")).encode()


def curve(reader: RunReader, step: str, argument: str) -> bytes:
    """{'names': [T], 'values': [[T] x I]}."""
    record = reader.record(step)
    assert isinstance(record, Curve)
    return to_json({"names": list(record.names), "values": record.values.tolist()})


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """How many iterations, and where each curve ended."""
    record = reader.record(step)
    assert isinstance(record, Curve)
    rows = [("Iterations", f"{len(record.values)}")]
    if len(record.values):
        rows += [(f"Last {name}", f"{v:.4g}") for name, v in zip(record.names, record.values[-1], strict=True)]
    return to_json(rows)


def table_facts(reader: RunReader, step: str, argument: str) -> bytes:
    """The table's rows as pairs; of the consistency meter, what it found."""
    from ui.inspect_agreement import facts_of, is_about_views

    record = reader.record(step)
    assert isinstance(record, Table)
    if is_about_views(record.rows):
        return to_json(facts_of(record.rows))
    rows = []
    for row in record.rows[:40]:
        first, *rest = row.items()
        rows.append((str(first[1]), ", ".join(f"{k} {v}" for k, v in rest)))
    return to_json(rows)


def artefact_zip(reader: RunReader, step: str, argument: str) -> bytes:
    """The artefact's open files, packed."""
    place = reader.place(step)
    if place is None:
        raise UserError(f"'{step}' has no result here yet.")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in place.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(place).as_posix())
    return buffer.getvalue()


def _clean(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(k): _clean(v) for k, v in data.items()}
    if isinstance(data, (list, tuple)):
        return [_clean(v) for v in data]
    if isinstance(data, np.generic):
        data = data.item()
    if isinstance(data, float) and not np.isfinite(data):
        return None
    return data
