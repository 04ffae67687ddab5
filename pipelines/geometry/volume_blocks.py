"""The compiled part of `volumes`: one signed distance from all depth maps, and the walk over blocks of samples.

Array arguments are those of `volumes.Evidence`. Everything runs on one thread: no two writers, the same bytes always.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 8  # samples per block side
TRUNCATION = 2.5  # voxels in front of a surface
BEHIND = 1.25  # voxels behind a surface over which a view still counts
MIN_FACING = 0.2
DEEP = 0.05  # share of a view's weight further behind, down to the truncation
PRIOR = 1e-3  # weight of 'solid' that remains where many views know of a voxel


@njit(cache=True, error_model="numpy")
def slopes(depth, distance, focal_x, focal_y):  # type: ignore[no-untyped-def]
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
            out[y, x, 3] = MIN_FACING
            if tilt < 1.0 / MIN_FACING**2 - 1.0:  # else an edge or a lone pixel, whose slope means nothing
                out[y, x, 1] = sx
                out[y, x, 2] = sy
                out[y, x, 3] = 1.0 / np.sqrt(1.0 + tilt)
    return out


@njit(cache=True, error_model="numpy")
def touch(data, meta, inverse, state, origin, voxel):  # type: ignore[no-untyped-def]
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
def sample(data, meta, projection, facts, px, py, pz, voxel, forgiven):  # type: ignore[no-untyped-def]
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
        share = facts[v, 0] * (max(1.0 + s / behind, DEEP) if s < 0.0 else 1.0)
        informed += share
        if s >= front:
            empty += share
        else:
            total += share * facing * s
            weights += share * facing
    votes = max(empty - forgiven, 0.0)
    trust = min(max(informed - forgiven, 0.0), 1.0)
    solid = 1.0 - trust + PRIOR
    return (trust * total + (votes - solid) * front) / (trust * weights + votes + solid)


@njit(cache=True, error_model="numpy")
def fill_blocks(  # type: ignore[no-untyped-def]
    data, meta, projection, inverse, facts, wanted, values, origin, voxel, forgiven
):
    for n in range(wanted.shape[0]):
        for i in range(wanted[n, 0] * BLOCK, wanted[n, 0] * BLOCK + BLOCK):
            for j in range(wanted[n, 1] * BLOCK, wanted[n, 1] * BLOCK + BLOCK):
                for k in range(wanted[n, 2] * BLOCK, wanted[n, 2] * BLOCK + BLOCK):
                    x, y, z = origin[0] + i * voxel, origin[1] + j * voxel, origin[2] + k * voxel
                    values[i, j, k] = sample(data, meta, projection, facts, x, y, z, voxel, forgiven)


@njit(cache=True, error_model="numpy")
def middle_signs(data, meta, projection, inverse, facts, rest, origin, voxel, forgiven):  # type: ignore[no-untyped-def]
    signs = np.zeros(rest.shape[0], np.int8)
    for n in range(rest.shape[0]):
        x = origin[0] + (rest[n, 0] + 0.5) * BLOCK * voxel
        y = origin[1] + (rest[n, 1] + 0.5) * BLOCK * voxel
        z = origin[2] + (rest[n, 2] + 0.5) * BLOCK * voxel
        signs[n] = 1 if sample(data, meta, projection, facts, x, y, z, voxel, forgiven) >= 0.0 else -1
    return signs


@njit(cache=True)
def paint(values, rest, signs, limit):  # type: ignore[no-untyped-def]
    for n in range(rest.shape[0]):
        i, j, k = rest[n, 0] * BLOCK, rest[n, 1] * BLOCK, rest[n, 2] * BLOCK
        values[i : i + BLOCK, j : j + BLOCK, k : k + BLOCK] = signs[n] * limit


@njit(cache=True)
def rim(values, block, axis, end):  # type: ignore[no-untyped-def]
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
def spread(values, state, done, limit):  # type: ignore[no-untyped-def]
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
                least, most = rim(values, done[n], axis, end)
                if least < 0.5 * limit and most > -0.5 * limit:
                    state[other[0], other[1], other[2]] = 1


@njit(cache=True)
def meet(values, state):  # type: ignore[no-untyped-def]
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
                    low_a, high_a = rim(values, here, axis, 1)
                    low_b, high_b = rim(values, there, axis, -1)
                    if min(low_a, low_b) < 0.0 <= max(high_a, high_b):
                        if a != 2:
                            state[i, j, k] = 1
                        if b != 2:
                            state[there[0], there[1], there[2]] = 1
                        found = True
    return found
