"""The structured latents as colours: eight numbers a voxel along the three axes in which they differ most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.step import UserError
from pipelines.synchuman.principal_axes import PrincipalAxes, principal_axes
from pipelines.synchuman.records import SlatSample, VoxelSet
from pipelines.synchuman.voxel_picture import voxel_picture
from ui.cube_mesh import cubes_of
from ui.inspect_numbers import Facts, to_json
from ui.inspect_slices import slices_data, slices_sheet
from ui.inspect_strip import distances, network_facts, opaque, sampler_facts, strip_data, strip_sheet
from ui.run_reader import RunReader


def frames(reader: RunReader, step: str, style: str) -> bytes:
    """One turn around the coloured cubes. style: 'pca'."""
    from ui.coloured_surface import coloured_frames

    slat, voxels = latents_of(reader, step)
    return coloured_frames(*cubes_of(voxels.coords, axes_of(slat).colours(slat.latents), voxels.side))


def scene(reader: RunReader, step: str, style: str) -> bytes:
    """The coloured cubes as a recorded scene."""
    from ui.coloured_surface import coloured_scene

    slat, voxels = latents_of(reader, step)
    return coloured_scene(*cubes_of(voxels.coords, axes_of(slat).colours(slat.latents), voxels.side))


def slices(reader: RunReader, step: str, way: str) -> bytes:
    """The sheet of slices in one direction, or without one their data."""
    slat, voxels = latents_of(reader, step)
    if not way:
        return slices_data(voxels.coords, voxels.side)
    return slices_sheet(voxels.coords, axes_of(slat).colours(slat.latents), voxels.side, way)


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """The strip of the sampler's estimates, and how far each is from the result."""
    slat, _ = latents_of(reader, step)
    last = int(slat.strip_steps[-1])
    words = [f"step {s} of {last}, time {t:.2f}" for s, t in zip(slat.strip_steps, slat.strip_times, strict=True)]
    tracks = [{"sheet": "estimates", "label": "From the front, and from the person's left", "smooth": False}]
    curves = {
        "title": "Distance of an estimate from the result, percent of the result's spread", "names": ["latents"],
        "values": [[v] for v in distances(slat.strip, slat.latents)],
    }  # fmt: skip
    return strip_data([{"label": "", "words": words, "start": len(words) - 1, "tracks": tracks}], curves)


def estimates(reader: RunReader, step: str, argument: str) -> bytes:
    """The sheet of that strip; all estimates along the result's axes, so that equal numbers have equal colours."""
    slat, voxels = latents_of(reader, step)
    axes = axes_of(slat)
    return strip_sheet([cells_of(voxels, axes.colours(estimate)) for estimate in slat.strip])


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """How many, what three colours can show of them, their lengths, and the sampler's settings."""
    slat, _ = latents_of(reader, step)
    axes, lengths = axes_of(slat), np.linalg.norm(slat.latents, axis=1)
    rows: Facts = [
        *network_facts(slat.facts), ("Latents", f"{slat.latents.shape[0]:,} x {slat.latents.shape[1]}"),
        ("Variance shown", f"{100 * axes.explained.sum():.0f} %"),
        ("Red, green, blue", ", ".join(f"{100 * e:.0f} %" for e in axes.explained)),
        ("Length, middle half", f"{np.percentile(lengths, 25):.2f} to {np.percentile(lengths, 75):.2f}"),
        *sampler_facts(slat.facts),
    ]  # fmt: skip
    return to_json(rows)


def axes_of(slat: SlatSample) -> PrincipalAxes:
    """The axes of the result."""
    return principal_axes(slat.latents)


def cells_of(voxels: VoxelSet, colours: NDArray[np.float32]) -> NDArray[np.float32]:
    """(side, 2 side, 4): the nearest voxels from the front and from the person's left, transparent beside them."""
    picture = voxel_picture(voxels.coords, colours, voxels.side, voxels.side)
    there = voxel_picture(voxels.coords, np.zeros((len(voxels.coords), 3), np.float32), voxels.side, voxels.side)
    out = opaque(picture)
    out[..., 3] = there[..., 0] < 0.5
    return out


def latents_of(reader: RunReader, step: str) -> tuple[SlatSample, VoxelSet]:
    """The step's record and the voxels that it belongs to; UserError when they are of different runs of the steps."""
    record, voxels = reader.record(step), reader.need(VoxelSet)
    assert isinstance(record, SlatSample)
    if len(record.latents) != len(voxels.coords):
        raise UserError(f"'{step}' was made on other voxels than those of this run; run it again from there.")
    return record, voxels
