"""From the decoder's cubes to a mesh: corners averaged, the rim closed, the surface extracted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipelines.synchuman.flexicubes import Cubes, Extracted, extract
from pipelines.synchuman.flexicubes_tables import CORNERS
from pipelines.synchuman.slat_surface import split_head

OUTSIDE = 1.0  # signed distance at corners that no cube touches
ATTRIBUTES = 10  # sdf, deformation 3, colour and normal 6

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Corners:
    """Distinct corners of the active cubes, in ascending order of their dense number.

    place (V, 3) grid coordinates, attributes (V, 4 or 10): the plain mean over the cubes that touch the corner.
    """

    place: NDArray[np.int64]
    attributes: Floats


def corner_means(cubes: NDArray[np.int64], sdf: Floats, deform: Floats, colour: Floats | None, side: int) -> Corners:
    """cubes (N, 3), sdf (N, 8), deform (N, 8, 3), colour (N, 8, 6) -> each corner's mean."""
    place = (cubes[:, None] + CORNERS).reshape(-1, 3)
    keys, rows = np.unique(_number(place, side + 1), return_inverse=True)
    parts = [sdf[..., None], deform] + ([] if colour is None else [colour])
    values = np.concatenate(parts, -1).reshape(len(place), -1).astype(np.float64)
    count = np.bincount(rows, minlength=len(keys))
    means = np.stack([np.bincount(rows, column, len(keys)) for column in values.T], 1) / count[:, None]
    n = side + 1
    return Corners(np.stack([keys // n**2, keys // n % n, keys % n], 1), means.astype(np.float32))


def surface(head: Tensor, coords: Tensor, side: int) -> Extracted:
    """The decoder's raw values (N, 53 or 101) on cubes (N, 3) of a grid of `side` -> mesh.

    Vertices in -0.5 .. 0.5, z up; faces counter-clockwise seen from outside; colours (M, 6): three of colour, three
    of the normal, 0..1, or none. Cubes that were not decoded have neutral weights and take part where a negative
    corner touches them, so the rim of the active set is closed.
    """
    parts = {name: value.detach().float().cpu().numpy() for name, value in split_head(head).items()}
    cubes = coords.cpu().numpy().astype(np.int64)
    # The bias pulls the surface in by one cell over the grid, as trained.
    corners = corner_means(cubes, parts["sdf"] - np.float32(1 / side), parts["deform"], parts.get("colour"), side)
    return extract(_complete(cubes, parts["weights"], corners, side))


def _complete(cubes: NDArray[np.int64], weights: Floats, corners: Corners, side: int) -> Cubes:
    """The cubes that touch a negative corner, decoded or not, with every corner's values."""
    negative = corners.place[corners.attributes[:, 0] < 0]
    around = (negative[:, None] - CORNERS).reshape(-1, 3)
    around = around[((around >= 0) & (around < side)).all(1)]
    keys = np.unique(_number(around, side))
    needed = np.stack([keys // side**2, keys // side % side, keys % side], 1)
    place = (needed[:, None] + CORNERS).reshape(-1, 3)
    corner_keys, rows = np.unique(_number(place, side + 1), return_inverse=True)
    known = _number(corners.place, side + 1)
    values = np.zeros((len(corner_keys), corners.attributes.shape[1]), np.float32)
    values[:, 0] = OUTSIDE
    at = np.searchsorted(known, corner_keys)
    hit = known[np.minimum(at, len(known) - 1)] == corner_keys if len(known) else np.zeros(len(corner_keys), bool)
    values[hit] = corners.attributes[at[hit]]
    active = _number(cubes, side)
    order = np.argsort(active, kind="stable")
    at = np.minimum(np.searchsorted(active[order], keys), max(len(active) - 1, 0))
    mine = active[order][at] == keys if len(active) else np.zeros(len(keys), bool)
    given = np.zeros((len(keys), 21), np.float32)
    given[mine] = weights[order[at[mine]]]
    n = side + 1
    grid = np.stack([corner_keys // n**2, corner_keys // n % n, corner_keys % n], 1).astype(np.float32)
    position = grid / side - 0.5 + np.float32((1 - 1e-8) / (2 * side)) * np.tanh(values[:, 1:4])
    return Cubes(
        side, needed, rows.reshape(len(needed), 8), values[:, 0], position.astype(np.float32), values[:, 4:],
        given[:, 12:20], given[:, :12], given[:, 20],
    )  # fmt: skip


def _number(place: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    return (place[..., 0] * side + place[..., 1]) * side + place[..., 2]
