"""SyncHuman's voxels: as cubes by how sure the decoder is, in slices, and as they became what they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.synchuman.records import VoxelSet
from ui.cube_mesh import cubes_of
from ui.inspect_numbers import Facts, to_json
from ui.inspect_slices import slices_data, slices_sheet
from ui.inspect_strip import network_facts, strip_data, strip_sheet
from ui.run_reader import RunReader

NEAR, FAR = (0.49, 0.79, 0.73), (0.16, 0.30, 0.42)  # of the first voxel on a line of sight, by its depth


def frames(reader: RunReader, step: str, style: str) -> bytes:
    """One turn around the cubes."""
    from ui.coloured_surface import coloured_frames

    voxels = voxels_of(reader, step)
    return coloured_frames(*cubes_of(voxels.coords, certainty(voxels), voxels.side))


def scene(reader: RunReader, step: str, style: str) -> bytes:
    """The cubes as a recorded scene."""
    from ui.coloured_surface import coloured_scene

    voxels = voxels_of(reader, step)
    return coloured_scene(*cubes_of(voxels.coords, certainty(voxels), voxels.side))


def slices(reader: RunReader, step: str, way: str) -> bytes:
    """The sheet of slices in one direction, or without one their data."""
    voxels = voxels_of(reader, step)
    if not way:
        return slices_data(voxels.coords, voxels.side)
    return slices_sheet(voxels.coords, certainty(voxels), voxels.side, way)


def growth(reader: RunReader, step: str, argument: str) -> bytes:
    """The strip of what the joint step's estimates filled."""
    voxels = voxels_of(reader, step)
    words = [f"after step {number}: {count:,} voxels" for number, count in voxels.growth]
    tracks = [
        {"sheet": "estimates", "label": "From the front, and from the person's left; light is near", "smooth": False}
    ]
    curves = {
        "title": "What an estimate and the last one have in common, percent of what either fills", "names": ["voxels"],
        "values": [[round(100 * share, 2)] for share in common(voxels)],
    }  # fmt: skip
    return strip_data([{"label": "", "words": words, "start": len(words) - 1, "tracks": tracks}], curves)


def estimates(reader: RunReader, step: str, argument: str) -> bytes:
    """The sheet of that strip."""
    voxels = voxels_of(reader, step)
    return strip_sheet([front_and_left(voxels.estimate(k), voxels.side) for k in range(len(voxels.growth))])


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """Count, connected parts, certainty, and how well the outlines fit the pictures."""
    voxels = voxels_of(reader, step)
    parts = part_sizes(voxels.coords, voxels.side)
    sure = voxels.logits.astype(np.float64)
    rows: Facts = [
        *network_facts(voxels.facts),
        ("Voxels", f"{len(voxels.coords):,} of {voxels.side}³"),
        ("Connected parts", str(len(parts))),
        ("Largest part", f"{100 * parts[0] / len(voxels.coords):.1f} %"),
        ("Height", f"{np.ptp(voxels.coords[:, 2]) + 1} of {voxels.side} cells"),
        ("Logit, middle half", f"{np.percentile(sure, 25):.1f} to {np.percentile(sure, 75):.1f}"),
    ]
    for name, label in (("front", "Front outline"), ("side", "Side outline")):
        if name in voxels.facts:
            rows.append((label, f"{100 * voxels.facts[name]:.1f} % in common"))
    return to_json(rows)


def certainty(voxels: VoxelSet) -> NDArray[np.float32]:
    """(N, 3) along the ramp from dark, hardly filled, to light, as sure as the surest twentieth."""
    from pipelines.export.palette import ramp

    sure = voxels.logits.astype(np.float64)
    return ramp(sure / max(float(np.percentile(sure, 95)), 1e-6))


def part_sizes(coords: NDArray[np.integer], side: int) -> list[int]:
    """Sizes of the parts that hang together by faces, edges or corners, the largest first."""
    from scipy import ndimage

    filled = np.zeros((side,) * 3, bool)
    filled[tuple(coords.T)] = True
    labels, _ = ndimage.label(filled, np.ones((3, 3, 3), int))
    return sorted(np.bincount(labels[filled])[1:].tolist(), reverse=True)


def common(voxels: VoxelSet) -> list[float]:
    """For every kept estimate, the voxels that it and the last one fill, as a share of those that either fills."""
    bits = [np.unpackbits(row).astype(bool) for row in voxels.estimates]
    return [float((b & bits[-1]).sum() / max(int((b | bits[-1]).sum()), 1)) for b in bits]


def front_and_left(coords: NDArray[np.integer], side: int) -> NDArray[np.float32]:
    """(side, 2 side + 1, 4): the first voxel along y beside the first along x from the person's left, by its depth."""
    if not len(coords):
        return np.zeros((side, 2 * side + 1, 4), np.float32)
    views = []
    for across, depth in ((coords[:, 0], coords[:, 1]), (coords[:, 1], side - 1 - coords[:, 0])):
        order = np.argsort(-depth, kind="stable")  # the nearest is painted last
        share = ((depth[order] - depth.min()) / max(np.ptp(depth), 1))[:, None]
        picture = np.zeros((side, side, 4), np.float32)
        colour = np.array(NEAR) * (1 - share) + np.array(FAR) * share
        picture[side - 1 - coords[order, 2], across[order]] = np.column_stack([colour, np.ones(len(order))])
        views.append(picture)
    return np.concatenate([views[0], np.zeros((side, 1, 4), np.float32), views[1]], 1)


def voxels_of(reader: RunReader, step: str) -> VoxelSet:
    """The step's record."""
    record = reader.record(step)
    assert isinstance(record, VoxelSet)
    return record
