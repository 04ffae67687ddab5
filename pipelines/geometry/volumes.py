"""Depth maps -> one closed solid: a truncated signed distance field in blocks of 8^3 samples.

Curless & Levoy 1996 average signed distances along the rays; this keeps the average near observed surfaces and adds
a rule for all the rest, so that the zero level is always closed: *space that enough views see as empty is outside,
everything else is solid*. A voxel that no view sees is therefore inside, and a seen hole is never a hole in the
surface.

Per view and voxel the signed distance s (metres, positive outside) is measured to the tangent plane of the depth map,
or, where the pixel shows background, to the outline. Three cases: s >= truncation is a vote for empty space; s in
between is averaged, with weights that fall almost to zero `BEHIND` voxels behind the surface, so that the two sides of a thin
part do not push one another outwards; anything deeper says nothing. A few views may be wrong: `forgiven` votes for
empty space are ignored, and a voxel that no more than so many views know of is taken as solid.

Only blocks near a surface are computed. Blocks are first touched by the back-projected depth maps and then added
wherever the field at a block's rim is not plainly of one sign (surface continuation), until nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera

BLOCK = 8  # samples per block side
TRUNCATION = 2.5  # voxels in front of a surface
BEHIND = 1.25  # voxels behind a surface over which a view still counts
MAX_SAMPLES = 64_000_000  # 256 MB of float32
_MIN_FACING = 0.2
_DEEP = 0.05  # share of a view's weight further behind, down to the truncation
_PRIOR = 1e-3  # weight of 'solid' that remains where many views know of a voxel


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
    origin, blocks = _grid(views, low, high, voxel)
    evidence = _Evidence.of(views)
    state = np.zeros(blocks, np.int8)  # 0 not computed, 1 wanted, 2 computed
    _touch(evidence.data, evidence.meta, evidence.inverse, state, origin, voxel)
    values = np.zeros(tuple(n * BLOCK for n in blocks), np.float32)
    while True:
        wanted = np.argwhere(state == 1).astype(np.int32)
        while len(wanted):
            _fill_blocks(*evidence, wanted, values, origin, voxel, forgiven)
            state[state == 1] = 2
            _spread(values, state, wanted, np.float32(TRUNCATION * voxel))
            wanted = np.argwhere(state == 1).astype(np.int32)
        # The rest is of one sign per block, told by its middle; where signs meet, a surface was missed.
        rest = np.argwhere(state == 0).astype(np.int32)
        signs = _middle_signs(*evidence, rest, origin, voxel, forgiven)
        _paint(values, rest, signs, np.float32(TRUNCATION * voxel))
        if not _meet(values, state):
            break
    active = np.repeat(np.repeat(np.repeat(state == 2, BLOCK, 0), BLOCK, 1), BLOCK, 2)
    return _closed(values, origin, voxel, active)


def fuse_dense(
    views: Sequence[DepthView],
    low: NDArray[np.floating],
    high: NDArray[np.floating],
    voxel: float,
    *,
    forgiven: float = 2.0,
) -> Volume:
    """The plain twin that judges `fuse`: every sample of the grid, array expressions only."""
    origin, blocks = _grid(views, low, high, voxel)
    shape = tuple(n * BLOCK for n in blocks)
    points = origin + voxel * np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).reshape(-1, 3)
    total, weights, empty, informed = (np.zeros(len(points)) for _ in range(4))
    front, behind = TRUNCATION * voxel, BEHIND * voxel
    for view in views:
        maps = _prepare(view.depth, view.camera)
        pixels, z = view.camera.project(points)
        with np.errstate(invalid="ignore"):
            cell = np.floor(pixels)
        inside = (z > 1e-3) & (cell >= 0).all(1) & (cell < (view.camera.width, view.camera.height)).all(1)
        column, row = cell[inside].astype(int).T
        depth, slope_x, slope_y, facing = maps[row, column].astype(np.float64).T
        offset = pixels[inside] - (cell[inside] + 0.5)
        z = z[inside]
        plane = np.abs(depth) + slope_x * offset[:, 0] + slope_y * offset[:, 1]
        surface = (z - plane if view.last else plane - z) * facing
        s = np.where(depth > 0, surface, np.minimum(-depth * z / _focal(view.camera)[0], front))
        share = view.weight * np.where(s < 0, np.maximum(1 + s / behind, _DEEP), 1.0) * (s > -front)
        band = share * np.where(depth > 0, facing**2, 1.0) * (s < front)
        total[inside] += band * s
        weights[inside] += band
        empty[inside] += share * (s >= front)
        informed[inside] += share
    votes = np.maximum(empty - forgiven, 0.0)
    trust = np.clip(informed - forgiven, 0.0, 1.0)
    solid = 1.0 - trust + _PRIOR
    values = (trust * total + (votes - solid) * front) / (trust * weights + votes + solid)
    return _closed(values.reshape(shape).astype(np.float32), origin, voxel, np.ones(shape, bool))


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


class _Evidence(tuple):
    """What the kernels read: data (P, 4), meta (M, 3) offset/height/width, projection (M, 3, 4), inverse (M, 3, 4),
    and facts (M, 3) weight, last, focal length in pixels."""

    data = property(lambda self: self[0])
    meta = property(lambda self: self[1])
    inverse = property(lambda self: self[3])

    @classmethod
    def of(cls, views: Sequence[DepthView]) -> _Evidence:
        maps, meta, projection, inverse, facts = [], [], [], [], []
        offset = 0
        for view in views:
            camera = view.camera
            maps.append(_prepare(view.depth, camera).reshape(-1, 4))
            meta.append((offset, camera.height, camera.width))
            offset += camera.height * camera.width
            rotation, shift = camera.world_to_camera[:3, :3], camera.world_to_camera[:3, 3]
            projection.append(camera.K @ camera.world_to_camera[:3])
            inverse.append(np.c_[rotation.T @ np.linalg.inv(camera.K), -rotation.T @ shift])
            facts.append((view.weight, float(view.last), _focal(camera)[0]))
        arrays = (np.array(projection), np.array(inverse), np.array(facts))
        return cls((np.concatenate(maps), np.array(meta, np.int64), *arrays))


def _focal(camera: Camera) -> tuple[float, float]:
    return float(camera.K[0, 0]), float(camera.K[1, 1])


def _grid(
    views: Sequence[DepthView], low: NDArray[np.floating], high: NDArray[np.floating], voxel: float
) -> tuple[NDArray[np.float64], tuple[int, int, int]]:
    """Origin and number of blocks along each axis."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if not views or not (high > low).all() or not voxel > 0:
        raise ValueError(f"Fusing needs views, a box and a voxel; {len(views)} views, {low}..{high}, {voxel} came.")
    blocks = np.maximum(np.ceil((high - low) / (voxel * BLOCK)).astype(int), 1)
    if np.prod(blocks.astype(float)) * BLOCK**3 > MAX_SAMPLES:
        raise ValueError(
            f"A box of {np.round(high - low, 2)} m at {voxel * 1000:.1f} mm needs more than {MAX_SAMPLES} samples; "
            "use a larger voxel."
        )
    return low, (int(blocks[0]), int(blocks[1]), int(blocks[2]))


def _closed(
    values: NDArray[np.float32], origin: NDArray[np.float64], voxel: float, active: NDArray[np.bool_]
) -> Volume:
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


def _prepare(depth: NDArray[np.floating], camera: Camera) -> NDArray[np.float32]:
    """(H, W, 4): depth (or minus the distance to the outline, px), slopes in metres per px, cosine of the facing."""
    depth = np.ascontiguousarray(depth, np.float32)
    distance = np.full(depth.shape, 1e6, np.float32)
    if (depth > 0).any():
        distance = cv2.distanceTransform((depth <= 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return _slopes(depth, distance, *_focal(camera))


@njit(cache=True, error_model="numpy")
def _slopes(depth, distance, focal_x, focal_y):  # type: ignore[no-untyped-def]
    """A slope is the smaller of the differences to both neighbours, so that it never reaches across an edge."""
    height, width = depth.shape
    out = np.zeros((height, width, 4), np.float32)
    for y in range(height):
        for x in range(width):
            z = depth[y, x]
            if z <= 0:
                # The outline runs half a pixel before the nearest covered pixel's centre.
                out[y, x, 0] = -max(distance[y, x] - 0.5, 0.25)
                continue
            sx, sy = np.float32(1e6), np.float32(1e6)
            for step in (-1, 1):
                if 0 <= x + step < width and depth[y, x + step] > 0:
                    d = (depth[y, x + step] - z) * step
                    if abs(d) < abs(sx):
                        sx = d
                if 0 <= y + step < height and depth[y + step, x] > 0:
                    d = (depth[y + step, x] - z) * step
                    if abs(d) < abs(sy):
                        sy = d
            tilt = (sx * focal_x / z) ** 2 + (sy * focal_y / z) ** 2
            out[y, x, 0] = z
            out[y, x, 3] = _MIN_FACING
            if tilt < 1.0 / _MIN_FACING**2 - 1.0:  # else an edge or a lone pixel, whose slope means nothing
                out[y, x, 1] = sx
                out[y, x, 2] = sy
                out[y, x, 3] = 1.0 / np.sqrt(1.0 + tilt)
    return out


@njit(cache=True, error_model="numpy")
def _touch(data, meta, inverse, state, origin, voxel):  # type: ignore[no-untyped-def]
    """Mark the block of every back-projected pixel."""
    side = voxel * BLOCK
    for v in range(meta.shape[0]):
        offset, height, width = meta[v]
        m = inverse[v]
        for y in range(height):
            for x in range(width):
                z = data[offset + y * width + x, 0]
                if z <= 0:
                    continue
                a, b = (x + 0.5) * z, (y + 0.5) * z
                i = int(np.floor((m[0, 0] * a + m[0, 1] * b + m[0, 2] * z + m[0, 3] - origin[0]) / side))
                j = int(np.floor((m[1, 0] * a + m[1, 1] * b + m[1, 2] * z + m[1, 3] - origin[1]) / side))
                k = int(np.floor((m[2, 0] * a + m[2, 1] * b + m[2, 2] * z + m[2, 3] - origin[2]) / side))
                if 0 <= i < state.shape[0] and 0 <= j < state.shape[1] and 0 <= k < state.shape[2]:
                    state[i, j, k] = 1


@njit(cache=True, error_model="numpy")
def _sample(data, meta, projection, facts, px, py, pz, voxel, forgiven):  # type: ignore[no-untyped-def]
    """The fused signed distance at one world point."""
    front, behind = TRUNCATION * voxel, BEHIND * voxel
    total, weights, empty, informed = 0.0, 0.0, 0.0, 0.0
    for v in range(meta.shape[0]):
        m = projection[v]
        z = m[2, 0] * px + m[2, 1] * py + m[2, 2] * pz + m[2, 3]
        if z <= 1e-3:
            continue
        u = (m[0, 0] * px + m[0, 1] * py + m[0, 2] * pz + m[0, 3]) / z
        w = (m[1, 0] * px + m[1, 1] * py + m[1, 2] * pz + m[1, 3]) / z
        if not (u >= 0.0 and w >= 0.0 and u < meta[v, 2] and w < meta[v, 1]):
            continue
        column, row = int(u), int(w)
        pixel = data[meta[v, 0] + row * meta[v, 2] + column]
        depth = pixel[0]
        if depth > 0.0:
            s = depth + pixel[1] * (u - column - 0.5) + pixel[2] * (w - row - 0.5) - z
            if facts[v, 1] > 0.0:
                s = -s
            s *= pixel[3]
            facing = pixel[3] * pixel[3]
        else:
            s = min(-depth * z / facts[v, 2], front)
            facing = 1.0
        if s <= -front:
            continue
        share = facts[v, 0] * (max(1.0 + s / behind, _DEEP) if s < 0.0 else 1.0)
        informed += share
        if s >= front:
            empty += share
        else:
            total += share * facing * s
            weights += share * facing
    votes = max(empty - forgiven, 0.0)
    trust = min(max(informed - forgiven, 0.0), 1.0)
    solid = 1.0 - trust + _PRIOR
    return (trust * total + (votes - solid) * front) / (trust * weights + votes + solid)


@njit(cache=True, error_model="numpy")
def _fill_blocks(  # type: ignore[no-untyped-def]
    data, meta, projection, inverse, facts, wanted, values, origin, voxel, forgiven
):
    for n in range(wanted.shape[0]):
        for i in range(wanted[n, 0] * BLOCK, wanted[n, 0] * BLOCK + BLOCK):
            for j in range(wanted[n, 1] * BLOCK, wanted[n, 1] * BLOCK + BLOCK):
                for k in range(wanted[n, 2] * BLOCK, wanted[n, 2] * BLOCK + BLOCK):
                    x, y, z = origin[0] + i * voxel, origin[1] + j * voxel, origin[2] + k * voxel
                    values[i, j, k] = _sample(data, meta, projection, facts, x, y, z, voxel, forgiven)


@njit(cache=True, error_model="numpy")
def _middle_signs(data, meta, projection, inverse, facts, rest, origin, voxel, forgiven):  # type: ignore[no-untyped-def]
    signs = np.zeros(rest.shape[0], np.int8)
    for n in range(rest.shape[0]):
        x = origin[0] + (rest[n, 0] + 0.5) * BLOCK * voxel
        y = origin[1] + (rest[n, 1] + 0.5) * BLOCK * voxel
        z = origin[2] + (rest[n, 2] + 0.5) * BLOCK * voxel
        signs[n] = 1 if _sample(data, meta, projection, facts, x, y, z, voxel, forgiven) >= 0.0 else -1
    return signs


@njit(cache=True)
def _paint(values, rest, signs, limit):  # type: ignore[no-untyped-def]
    for n in range(rest.shape[0]):
        i, j, k = rest[n, 0] * BLOCK, rest[n, 1] * BLOCK, rest[n, 2] * BLOCK
        values[i : i + BLOCK, j : j + BLOCK, k : k + BLOCK] = signs[n] * limit


@njit(cache=True)
def _rim(values, block, axis, end):  # type: ignore[no-untyped-def]
    """Smallest and largest value on one face of a block."""
    i, j, k = block[0] * BLOCK, block[1] * BLOCK, block[2] * BLOCK
    at = 0 if end < 0 else BLOCK - 1
    if axis == 0:
        face = values[i + at, j : j + BLOCK, k : k + BLOCK]
    elif axis == 1:
        face = values[i : i + BLOCK, j + at, k : k + BLOCK]
    else:
        face = values[i : i + BLOCK, j : j + BLOCK, k + at]
    return face.min(), face.max()


@njit(cache=True)
def _spread(values, state, done, limit):  # type: ignore[no-untyped-def]
    """Want the neighbour across every face that is not plainly of one sign."""
    other = np.zeros(3, np.int64)
    for n in range(done.shape[0]):
        for axis in range(3):
            for end in (-1, 1):
                other[:] = done[n]
                other[axis] += end
                if other[axis] < 0 or other[axis] >= state.shape[axis]:
                    continue
                if state[other[0], other[1], other[2]] != 0:
                    continue
                least, most = _rim(values, done[n], axis, end)
                if least < 0.5 * limit and most > -0.5 * limit:
                    state[other[0], other[1], other[2]] = 1


@njit(cache=True)
def _meet(values, state):  # type: ignore[no-untyped-def]
    """Want every block not computed that touches a neighbour of the other sign; True if there was one."""
    found = False
    here, there = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for i in range(state.shape[0]):
        for j in range(state.shape[1]):
            for k in range(state.shape[2]):
                here[:] = (i, j, k)
                for axis in range(3):
                    there[:] = here
                    there[axis] += 1
                    if there[axis] >= state.shape[axis]:
                        continue
                    a, b = state[i, j, k], state[there[0], there[1], there[2]]
                    if a == 2 and b == 2:
                        continue
                    low_a, high_a = _rim(values, here, axis, 1)
                    low_b, high_b = _rim(values, there, axis, -1)
                    if min(low_a, low_b) < 0.0 <= max(high_a, high_b):
                        if a != 2:
                            state[i, j, k] = 1
                        if b != 2:
                            state[there[0], there[1], there[2]] = 1
                        found = True
    return found
