"""Depth maps -> one closed solid: a truncated signed distance field in blocks of 8^3 samples.

Curless & Levoy 1996 average signed distances along the rays; this keeps the average near observed surfaces and adds
a rule for all the rest, so that the zero level is always closed: *space that enough views see as empty is outside,
everything else is solid*. A voxel that no view sees is therefore inside, and a seen hole is never a hole in the
surface.

Per view and voxel the signed distance s (metres, positive outside) is measured to the tangent plane of the depth map,
or, where the pixel shows background, to the outline. Three cases: s >= truncation is a vote for empty space; s in
between is averaged, with weights that fall almost to zero `BEHIND` voxels behind the surface, so that the two sides
of a thin part do not push one another outwards; anything deeper says nothing. A few views may be wrong: `forgiven`
votes for empty space are ignored, and a voxel that no more than so many views know of is taken as solid.

Only blocks near a surface are computed. Blocks are first touched by the back-projected depth maps and then added
wherever the field at a block's rim is not plainly of one sign (surface continuation), until nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.volume_blocks import (
    BLOCK,
    TRUNCATION,
    fill_blocks,
    meet,
    middle_signs,
    paint,
    slopes,
    spread,
    touch,
)

MAX_SAMPLES = 64_000_000  # 256 MB of float32


@dataclass(frozen=True)
class DepthView:
    """One depth map as evidence.

    depth: (H, W) z in metres on the camera's grid, 0 where the ray meets nothing. weight: votes that this view has.
    last: the map holds the last surface along each ray, and the space beyond it is empty.
    """

    depth: NDArray[np.floating]
    camera: Camera
    weight: float = 1.0
    last: bool = False

    def __post_init__(self) -> None:
        if self.depth.shape != (self.camera.height, self.camera.width):
            raise ValueError(
                f"A depth map came with shape {self.depth.shape}; its camera needs "
                f"({self.camera.height}, {self.camera.width})."
            )


@dataclass(frozen=True)
class Volume:
    """A signed distance field on a grid.

    values: (X, Y, Z) float32, metres, positive outside, clipped to +-truncation; the outermost samples are outside.
    origin: (3,) world position of sample (0, 0, 0). voxel: metres between samples. active: (X, Y, Z) bool, samples
    that were computed one by one; elsewhere only the sign is meaningful.
    """

    values: NDArray[np.float32]
    origin: NDArray[np.float64]
    voxel: float
    active: NDArray[np.bool_]


def fuse(
    views: Sequence[DepthView],
    low: NDArray[np.floating],
    high: NDArray[np.floating],
    voxel: float,
    *,
    forgiven: float = 2.0,
) -> Volume:
    """Depth maps -> the solid inside the box low..high ((3,) world metres each), block by block.

    voxel: metres. forgiven: votes for empty space that are ignored. Raises ValueError without views, for an empty
    box, or for a grid of more than `MAX_SAMPLES`.
    """
    origin, blocks = grid_of(views, low, high, voxel)
    evidence = Evidence.of(views)
    state = np.zeros(blocks, np.int8)  # 0 not computed, 1 wanted, 2 computed
    touch(evidence.data, evidence.meta, evidence.inverse, state, origin, voxel)
    values = np.zeros(tuple(n * BLOCK for n in blocks), np.float32)
    while True:
        wanted = np.argwhere(state == 1).astype(np.int32)
        while len(wanted):
            fill_blocks(*evidence, wanted, values, origin, voxel, forgiven)
            state[state == 1] = 2
            spread(values, state, wanted, np.float32(TRUNCATION * voxel))
            wanted = np.argwhere(state == 1).astype(np.int32)
        # The rest is of one sign per block, told by its middle; where signs meet, a surface was missed.
        rest = np.argwhere(state == 0).astype(np.int32)
        signs = middle_signs(*evidence, rest, origin, voxel, forgiven)
        paint(values, rest, signs, np.float32(TRUNCATION * voxel))
        if not meet(values, state):
            break
    active = np.repeat(np.repeat(np.repeat(state == 2, BLOCK, 0), BLOCK, 1), BLOCK, 2)
    return closed(values, origin, voxel, active)


def bounds_of(views: Sequence[DepthView], margin: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest corner, each (3,) world metres, of all back-projected depths, widened by `margin` metres."""
    corners = []
    for view in views:
        row, column = np.nonzero(view.depth > 0)
        if len(row):
            points = view.camera.unproject(np.stack([column, row], 1) + 0.5, view.depth[row, column])
            corners += [points.min(0), points.max(0)]
    if not corners:
        raise ValueError("No depth map shows anything; there is nothing to fuse.")
    return np.min(corners, 0) - margin, np.max(corners, 0) + margin


class Evidence(NamedTuple):
    """What the kernels read. data: (P, 4), all pixels of all views as `prepare` makes them. meta: (M, 3) first pixel,
    height, width. projection: (M, 3, 4) world -> pixels. inverse: (M, 3, 4) pixels times depth -> world. facts: (M, 3)
    weight, whether last surface, focal length in pixels."""

    data: NDArray[np.float32]
    meta: NDArray[np.int64]
    projection: NDArray[np.float64]
    inverse: NDArray[np.float64]
    facts: NDArray[np.float64]

    @classmethod
    def of(cls, views: Sequence[DepthView]) -> Evidence:
        maps, meta, projection, inverse, facts = [], [], [], [], []
        offset = 0
        for view in views:
            camera = view.camera
            maps.append(prepare(view.depth, camera).reshape(-1, 4))
            meta.append((offset, camera.height, camera.width))
            offset += camera.height * camera.width
            rotation, shift = camera.world_to_camera[:3, :3], camera.world_to_camera[:3, 3]
            projection.append(camera.K @ camera.world_to_camera[:3])
            inverse.append(np.c_[rotation.T @ np.linalg.inv(camera.K), -rotation.T @ shift])
            facts.append((view.weight, float(view.last), focal_of(camera)[0]))
        data = np.concatenate(maps)
        return cls(data, np.array(meta, np.int64), np.array(projection), np.array(inverse), np.array(facts))


def focal_of(camera: Camera) -> tuple[float, float]:
    return float(camera.K[0, 0]), float(camera.K[1, 1])


def grid_of(
    views: Sequence[DepthView], low: NDArray[np.floating], high: NDArray[np.floating], voxel: float
) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """Origin and number of blocks along each axis."""
    low, high = np.asarray(low, np.float64).copy(), np.asarray(high, np.float64)
    if not views or not (high > low).all() or not voxel > 0:
        raise ValueError(f"Fusing needs views, a box and a voxel; {len(views)} views, {low}..{high}, {voxel} came.")
    blocks = np.maximum(np.ceil((high - low) / (voxel * BLOCK)).astype(int), 1)
    if np.prod(blocks.astype(float)) * BLOCK**3 > MAX_SAMPLES:
        raise ValueError(
            f"A box of {np.round(high - low, 2)} m at {voxel * 1000:.1f} mm needs more than {MAX_SAMPLES} samples; "
            "use a larger voxel."
        )
    return low, (int(blocks[0]), int(blocks[1]), int(blocks[2]))


def closed(values: NDArray[np.float32], origin: NDArray[np.float64], voxel: float, active: NDArray[np.bool_]) -> Volume:
    """The outermost samples become empty, and no sample lies exactly on the level (that would pinch the surface)."""
    limit = np.float32(TRUNCATION * voxel)
    for axis in range(3):
        for end in (0, -1):
            index: list[slice | int] = [slice(None)] * 3
            index[axis] = end
            values[tuple(index)] = limit
    tiny = np.float32(1e-3 * voxel)
    np.copyto(values, np.where(values < 0, -tiny, tiny), where=np.abs(values) < tiny)
    return Volume(values, origin, voxel, active)


def prepare(depth: NDArray[np.floating], camera: Camera) -> NDArray[np.float32]:
    """(H, W, 4): depth (or minus the distance to the outline, px), slopes in metres per px, cosine of the facing."""
    depth = np.ascontiguousarray(depth, np.float32)
    if (depth > 0).any():
        outside = cv2.distanceTransform((depth <= 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        distance = np.asarray(outside, np.float32)
    else:
        distance = np.full(depth.shape, 1e6, np.float32)
    maps: NDArray[np.float32] = slopes(depth, distance, *focal_of(camera))
    return maps
