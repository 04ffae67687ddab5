"""Body maps and the two layers as pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.records import BodyMaps, Layers, Record
from pipelines.step import UserError
from ui.inspect_numbers import Facts, to_json
from ui.inspect_photo import webp
from ui.run_reader import RunReader


def depth(reader: RunReader, step: str, name: str) -> bytes:
    """A depth map (h, w) in metres, 0 or not finite where nothing is -> light is near, transparent is nothing."""
    from pipelines.export.palette import ramp

    z = np.asarray(_array(reader.record(step), name), np.float32)
    there = np.isfinite(z) & (z > 0)
    if not there.any():
        return webp(np.zeros((*z.shape, 4), np.float32))
    near, far = np.percentile(z[there], [1, 99])
    values = np.where(there, (far - np.where(there, z, far)) / max(far - near, 1e-6), 0)
    colours = ramp(values.reshape(-1)).reshape(*z.shape, 3)
    return webp(np.dstack([colours, there.astype(np.float32)]))


def normals(reader: RunReader, step: str, name: str) -> bytes:
    """A normal map (h, w, 3) in the display frame: x to red, y to green, z to blue."""
    n = np.asarray(_array(reader.record(step), name), np.float32)
    there = (np.abs(n).sum(-1) > 1e-3).astype(np.float32)
    return webp(np.dstack([0.5 + 0.5 * n, there]))


def colours(reader: RunReader, step: str, name: str) -> bytes:
    """The colours of one layer (h, w, 3), cut out by its mask."""
    record = reader.record(step)
    mask = np.asarray(_array(record, "mask"), np.float32)
    return webp(np.dstack([np.asarray(_array(record, name), np.float32), mask]))


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """Grid, thickness of the person along the rays."""
    record = reader.record(step)
    prefix = "full_" if isinstance(record, BodyMaps) else ""
    front, back = _array(record, f"{prefix}front"), _array(record, f"{prefix}back")
    inside = np.isfinite(front) & np.isfinite(back) & (front > 0) & (back > 0)
    rows: Facts = [("Grid", f"{front.shape[1]} x {front.shape[0]}"), ("Pixels of the person", f"{int(inside.sum()):,}")]
    if inside.any():
        thick = np.median((back - front)[inside])
        rows.append(("Thickness, median", f"{100 * thick:.1f} cm"))
    return to_json(rows)


def _array(record: Record, name: str) -> NDArray:
    assert isinstance(record, (BodyMaps, Layers))
    if name not in record.arrays:
        raise UserError(f"This {record.kind} has no '{name}'.")
    return record.arrays[name]
