"""Pictures under a slider: the estimates of a sampler step by step, or a volume slice by slice.

A strip is one sheet, its cells value for value, and plain data that says what each cell is; assets/style/strip.js reads
both, so that scrubbing asks the server for nothing.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.records import to_bytes
from ui.inspect_numbers import Facts, to_json

ACROSS = 8  # cells in a row of the sheet, or as many as there are; strip.js counts on it
STAND_IN = ("Networks", "stand-in, so noise")
ROUNDING = 0.1  # percent of the spread that half precision, in which estimates are kept, may be off
SMOOTH_FROM = 64  # pixels of a picture from which it is enlarged smoothly; below, every cell stays a square


def strip_sheet(frames: Sequence[NDArray[np.floating]]) -> bytes:
    """Pictures (h, w, 3 or 4) 0..1 of one size -> WEBP sheet, lossless. ValueError without any."""
    if not frames:
        raise ValueError("A strip came without pictures; it needs one at least.")
    cells = [to_bytes(opaque(frame)) for frame in frames]
    high, wide = cells[0].shape[:2]
    across = min(ACROSS, len(cells))
    paper = np.zeros((-(-len(cells) // across) * high, across * wide, 4), np.uint8)
    for i, cell in enumerate(cells):
        row, column = divmod(i, across)
        paper[row * high : (row + 1) * high, column * wide : (column + 1) * wide] = cell
    buffer = io.BytesIO()
    Image.fromarray(paper).save(buffer, "WEBP", lossless=True, exact=True, method=2)
    return buffer.getvalue()


def strip_data(groups: Sequence[dict[str, Any]], curves: dict[str, Any] | None = None) -> bytes:
    """The data beside the sheets.

    groups: what can be chosen, each {'label', 'words' (one sentence a cell), 'start' (the first cell shown), 'tracks'
    [{'sheet' (a name of the plate's sheets), 'label', 'smooth'}]}; the tracks of a group move together. curves: {'title',
    'names' [T], 'values' [cells x T], None where there is none}.
    """
    return to_json({"across": ACROSS, "groups": list(groups), "curves": curves})


def opaque(picture: NDArray[np.floating]) -> NDArray[np.float32]:
    """(h, w, 3 or 4) -> (h, w, 4), opaque where nothing is said."""
    if picture.shape[-1] == 4:
        return np.asarray(picture, np.float32)
    return np.dstack([picture, np.ones(picture.shape[:2], np.float32)]).astype(np.float32)


def network_facts(facts: dict[str, Any]) -> Facts:
    """The row that says that stand-ins were at work, where they were."""
    return [STAND_IN] if facts.get("stand_in") else []


def sampler_facts(facts: dict[str, Any]) -> Facts:
    """How a sampler was set."""
    names = {"steps": "Steps", "guidance": "Guidance", "strength": "Guidance", "seed": "Seed"}
    rows: Facts = [(label, f"{facts[name]:g}") for name, label in names.items() if name in facts]
    if facts.get("interval"):
        rows.append(("Guided at times", " to ".join(f"{t:g}" for t in facts["interval"])))
    return [*rows, *([("Fast mode", "on")] if facts.get("fast") else [])]


def distances(estimates: NDArray[np.floating], result: NDArray[np.floating]) -> list[float | None]:
    """Estimates (K, ...), result (...) -> how far each is from the result, percent of the result's spread (root mean
    square); None for the result itself, but for the rounding of what is kept."""
    spread = max(float(np.std(np.asarray(result, np.float64))), 1e-9)
    found: list[float | None] = []
    for estimate in estimates:
        rms = float(np.sqrt(np.mean((np.asarray(estimate, np.float64) - result) ** 2)))
        percent = 100 * rms / spread
        found.append(round(percent, 3) if percent > ROUNDING else None)
    return found
