""".splat: 32 bytes per splat without a header, for web viewers.

Source: A. Kwok's WebGL viewer (github.com/antimatter15/splat, `convert.py`): position 3 x float32, standard
deviations 3 x float32 (linear), colour and opacity 4 x uint8, quaternion wxyz 4 x uint8 as q * 128 + 128;
little endian. The rows stand in descending order of opacity x volume, so that a viewer can show the first
part of a download.
Frame: `bundle.FRAME`; the format has no place to say so. Colours and quaternions are quantised to 8 bits.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.export.bundle import Bundle, need
from pipelines.export.finite import finite_splats, left_out
from pipelines.records import GENERATED, ORIGIN_NAMES, Splats
from pipelines.records import to_bytes as eight_bits
from pipelines.step import UserError

ROW = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])


def write(bundle: Bundle, path: Path) -> str:
    """Write the splats; returns one sentence."""
    splats, dropped = finite_splats(need(bundle, "splats"))
    order = np.argsort(-splats.opacities * np.prod(splats.scales.astype(np.float64), axis=1), kind="stable")
    splats = splats.select(order)
    rows = np.zeros(len(splats), ROW)
    rows["mean"], rows["scale"] = splats.means, splats.scales
    rows["rgba"] = eight_bits(np.concatenate([splats.colours, splats.opacities[:, None]], axis=1))
    quats = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    rows["quat"] = np.clip(np.round(quats * 128.0 + 128.0), 0, 255)
    Path(path).write_bytes(rows.tobytes())
    return f"Wrote {len(splats):,} splats of 32 bytes, the largest first{left_out(dropped, 'splats')}."


def read(path: Path) -> Splats:
    """A .splat file -> Splats in the file's own frame, counted as generated and imported."""
    data = Path(path).read_bytes()
    if not data or len(data) % ROW.itemsize:
        raise UserError(f"{Path(path).name} has {len(data):,} bytes; a .splat file needs a multiple of 32.")
    rows = np.frombuffer(data, ROW)
    quats = (rows["quat"].astype(np.float32) - 128.0) / 128.0
    length = np.linalg.norm(quats, axis=1, keepdims=True)
    splats = Splats(
        means=rows["mean"].astype(np.float32),
        quats=np.divide(quats, length, out=np.zeros_like(quats), where=length > 0),
        scales=rows["scale"].astype(np.float32),
        opacities=rows["rgba"][:, 3].astype(np.float32) / 255.0,
        colours=rows["rgba"][:, :3].astype(np.float32) / 255.0,
        seen=np.full(len(rows), GENERATED, np.uint8),
        origin=np.full(len(rows), ORIGIN_NAMES.index("imported"), np.uint8),
    )
    return finite_splats(splats)[0]
