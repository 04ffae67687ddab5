"""What the decoders are given of the pictures, coloured along its principal axes: as maps, and on the voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Floats
from pipelines.step import UserError
from pipelines.synchuman.records import MIRRORED, VIEW_NAMES, RawSurface, VoxelSet
from ui.cube_mesh import cubes_of
from ui.inspect_numbers import Facts, to_json
from ui.inspect_posed_views import CELL, cells_sheet
from ui.run_reader import RunReader

KINDS = ("colour", "normal")  # what the first and the second set of maps are made of


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """The grid of four maps."""
    maps = maps_of(reader, step)
    note = f"{maps.shape[2]} x {maps.shape[3]} cells"
    return to_json({"cells": [{"label": VIEW_NAMES[v], "note": note, "normal": True} for v in range(maps.shape[1])]})


def sheet_of(reader: RunReader, step: str, kind: str) -> bytes:
    """The maps of one of KINDS, turned back as the pictures are, every cell a square."""
    return cells_sheet([enlarged(turned_back(m, v)) for v, m in enumerate(maps_of(reader, step)[KINDS.index(kind)])])


def frames(reader: RunReader, step: str, style: str) -> bytes:
    """One turn around the voxels. style: 'injected-colour' or 'injected-normal'."""
    from ui.coloured_surface import coloured_frames

    voxels = reader.need(VoxelSet)
    return coloured_frames(*cubes_of(voxels.coords, given_to(voxels, maps_of(reader, step), style), voxels.side))


def scene(reader: RunReader, step: str, style: str) -> bytes:
    """The voxels as a recorded scene."""
    from ui.coloured_surface import coloured_scene

    voxels = reader.need(VoxelSet)
    return coloured_scene(*cubes_of(voxels.coords, given_to(voxels, maps_of(reader, step), style), voxels.side))


def given_to(voxels: VoxelSet, maps: NDArray[np.uint8], style: str) -> Floats:
    """(N, 3) the mean over the four views of what each voxel is given, as `slat_transformer.lift` finds it."""
    own, side = maps[KINDS.index(style.removeprefix("injected-"))], maps.shape[2]
    if side != voxels.side:
        raise UserError(f"The maps have {side} cells and the voxels {voxels.side}; run the step 'Surface' again.")
    x, y, row = voxels.coords[:, 0], voxels.coords[:, 1], side - 1 - voxels.coords[:, 2]
    seen = [own[view, row, (x, y)[view % 2]] for view in range(len(own))]
    return (np.mean(seen, 0) / 255).astype(np.float32)


def explained_facts(record: RawSurface) -> Facts:
    """How much of the maps three colours can show."""
    shares = record.facts.get("injected_explained") or []
    names = ("Injected colours", "Injected normals")
    return [(name, f"{100 * share:.0f} % shown") for name, share in zip(names, shares, strict=False)]


def turned_back(picture: NDArray[np.uint8], view: int) -> NDArray[np.uint8]:
    """(M, M, 3) as a camera around the person sees it."""
    return picture[:, ::-1] if view in MIRRORED else picture


def enlarged(picture: NDArray[np.uint8]) -> Floats:
    """(M, M, 3) bytes -> (n M, n M, 4) 0..1, n so that it fills a cell of the sheet without blur."""
    times = max(1, CELL // len(picture))
    large = picture.repeat(times, 0).repeat(times, 1).astype(np.float32) / 255
    return np.dstack([large, np.ones(large.shape[:2], np.float32)])


def maps_of(reader: RunReader, step: str) -> NDArray[np.uint8]:
    """The step's maps; UserError for a decoder that looks at no picture."""
    record = reader.record(step)
    assert isinstance(record, RawSurface)
    if not record.injected.size:
        raise UserError("This decoder is given nothing of the pictures.")
    return record.injected
