"""The joint sample on the way: what both branches believed the end to be after each kept step, and the latent grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.synchuman.principal_axes import principal_axes
from pipelines.synchuman.records import MIRRORED, VIEWS, JointSample
from ui.inspect_numbers import Facts, to_json
from ui.inspect_strip import SMOOTH_FROM, distances, network_facts, sampler_facts, strip_data, strip_sheet
from ui.run_reader import RunReader

SLICES_ACROSS = 8  # slices of the latent grid in a row
GAP = 1  # empty cells between two slices


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """The strip: a cell a kept step, both branches, and how far each estimate is from the result."""
    joint = joint_of(reader, step)
    last, side = int(joint.strip_steps[-1]), joint.latents.shape[-1]
    words = [f"step {s} of {last}, time {t:.2f}" for s, t in zip(joint.strip_steps, joint.strip_times, strict=True)]
    tracks = [
        {"sheet": "pictures", "label": "Pictures: normals above colours; front, right, back, left, face",
         "smooth": side >= SMOOTH_FROM},
        {"sheet": "grid", "label": f"Latent grid: {joint.grid.shape[-1]} slices from front to back", "smooth": False},
    ]  # fmt: skip
    values = zip(
        distances(joint.strip_latents, joint.latents), distances(joint.strip_grids, joint.grid[0]), strict=True
    )
    curves = {
        "title": "Distance of an estimate from the result, percent of the result's spread",
        "names": ["pictures", "grid"], "values": [list(v) for v in values],
    }  # fmt: skip
    return strip_data([{"label": "", "words": words, "start": len(words) - 1, "tracks": tracks}], curves)


def pictures(reader: RunReader, step: str, argument: str) -> bytes:
    """Sheet of the picture branch's estimates: normals above colours, back and left turned back for people."""
    joint = joint_of(reader, step)
    return strip_sheet([turned_back(p.astype(np.float32) / 255) for p in joint.previews])


def grid(reader: RunReader, step: str, argument: str) -> bytes:
    """Sheet of the grid branch's estimates: slices from front to back, coloured along the result's principal axes."""
    joint = joint_of(reader, step)
    axes = principal_axes(channels_last(joint.grid[0]).reshape(-1, joint.grid.shape[1]))
    return strip_sheet([slices_of(axes.colours(channels_last(g))) for g in joint.strip_grids])


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """Sizes and the sampler's settings."""
    joint = joint_of(reader, step)
    items, depth, side, _ = joint.latents.shape
    cells = joint.grid.shape[-1]
    rows: Facts = [
        *network_facts(joint.facts),
        ("Picture latents", f"{items} x {depth} x {side} x {side}"),
        ("Grid latents", f"{joint.grid.shape[1]} x {cells} x {cells} x {cells}"),
        *sampler_facts(joint.facts),
        ("Estimates kept", str(len(joint.strip_steps))),
    ]
    return to_json(rows)


def turned_back(mosaic: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2 L, 5 L, 3): the columns of the mirrored views flipped."""
    side = mosaic.shape[1] // VIEWS
    out = mosaic.copy()
    for view in MIRRORED:
        out[:, view * side : (view + 1) * side] = mosaic[:, view * side : (view + 1) * side][:, ::-1]
    return out


def channels_last(grid: NDArray[np.floating]) -> NDArray[np.floating]:
    """(C, x, y, z) -> (x, y, z, C)."""
    return np.moveaxis(grid, 0, -1)


def slices_of(colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """(V, V, V, 3) by x, y, z -> the slices from front (y = 0) to back, each upright, side by side, in rows, (h, w, 4)."""
    side = len(colours)
    across = min(SLICES_ACROSS, side)
    down = -(-side // across)
    paper = np.zeros((down * (side + GAP) - GAP, across * (side + GAP) - GAP, 4), np.float32)
    for y in range(side):
        top, left = (n * (side + GAP) for n in divmod(y, across))
        upright = colours[:, y, ::-1].swapaxes(0, 1)  # rows from the highest z downwards, columns along x
        paper[top : top + side, left : left + side, :3] = upright
        paper[top : top + side, left : left + side, 3] = 1
    return paper


def joint_of(reader: RunReader, step: str) -> JointSample:
    """The step's record."""
    record = reader.record(step)
    assert isinstance(record, JointSample)
    return record
