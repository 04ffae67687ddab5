"""Projects 3D Gaussians to the image (EWA, Zwicker et al. 2001), eight at a time.

One splat becomes one record of 16 float32 (64 bytes, one cache line):

    0 u, 1 v        centre, pixels
    2 a, 3 k, 4 d   the exponent in Cholesky form:  q = lo - (a (dx + k dy))^2 - d dy^2,  alpha = 2^q
    5 lo            log2 of the opacity
    6 z             depth, metres; its bits as an integer are the sorting key
    7 8 9           features, when there are three
    10, 11          first | last << 16 pixel column, row (integers)
    12, 13          first gradient row, number of tiles (integers)

The Cholesky form needs two operations per pixel and, unlike A dx^2 + B dx dy + C dy^2, cannot lose its digits
to cancellation when a splat is long and thin. With the 2D covariance [[ca, cb], [cb, cc]] and
h = log2(e)/2:  a^2 = h cc/det,  k = -cb/cc,  d = h/cc.
"""

# mypy: disable-error-code="no-untyped-def,call-arg,arg-type,var-annotated"
# Kernels are typed by numba from what they are called with; mypy cannot see the vector operations.
from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.geometry.splat_simd import (
    abs8,
    keep_above8,
    lanes8,
    load8,
    log2_8,
    max8,
    min8,
    pack_range8,
    spread8,
    sqrt8,
    store8,
    store_rows8,
)

Array = NDArray[np.float32]

RECORD = 16  # floats per record
TILE = 32  # pixels
TILE_SHIFT = 5
HALF_LOG2E = np.float32(0.5 / math.log(2.0))
LN2 = np.float32(math.log(2.0))
ALPHA_MIN = 1.0 / 255.0  # weaker contributions are skipped, as everywhere in the field
ALPHA_MAX = np.float32(0.999)  # unless told otherwise: gsplat's; keeps 1 - alpha away from zero
Q_MIN = np.float32(math.log2(ALPHA_MIN))
# The x/z and y/z of the Jacobian are held this much of a half field of view outside the picture (gsplat).
GUARD_BAND = 0.15

_ZERO, _ONE, _TWO, _HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
_NEARLY_ONE = np.float32(0.9999)
_MARGIN = np.float32(1e-3)
_LIMIT = np.float32(3e38)

# Layout of the camera array.
CAMERA = 22
_FX, _FY, _CX, _CY, _XLOW, _XHIGH, _YLOW, _YHIGH, _BLUR, _NEAR = range(12, 22)


def pack_camera(
    world_to_camera: NDArray[np.floating], K: NDArray[np.floating], width: int, height: int, blur: float, near: float
) -> Array:
    """(22,) float32: rotation row by row, shift, fx fy cx cy, guard band of x/z and y/z, blur, near."""
    fx, fy, cx, cy = float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])
    band_x, band_y = GUARD_BAND * width / fx, GUARD_BAND * height / fy
    numbers = [*world_to_camera[:3, :3].ravel(), *world_to_camera[:3, 3], fx, fy, cx, cy]
    numbers += [-cx / fx - band_x, (width - cx) / fx + band_x, -cy / fy - band_y, (height - cy) / fy + band_y]
    return np.array([*numbers, blur, near], np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def rotation8(quats, at):
    """Unit quaternion (4), 1 / length and rotation matrix (9) of eight rows from quats[at]."""
    w, x, y, z = lanes8(quats, at, 4), lanes8(quats, at + 1, 4), lanes8(quats, at + 2, 4), lanes8(quats, at + 3, 4)
    n = _ONE / sqrt8(w * w + x * x + y * y + z * z)
    w, x, y, z = w * n, x * n, y * n, z * n
    m00, m01, m02 = _ONE - _TWO * (y * y + z * z), _TWO * (x * y - w * z), _TWO * (x * z + w * y)
    m10, m11, m12 = _TWO * (x * y + w * z), _ONE - _TWO * (x * x + z * z), _TWO * (y * z - w * x)
    m20, m21, m22 = _TWO * (x * z - w * y), _TWO * (y * z + w * x), _ONE - _TWO * (x * x + y * y)
    return w, x, y, z, n, m00, m01, m02, m10, m11, m12, m20, m21, m22


@njit(cache=True, nogil=True, error_model="numpy")
def _project_eight(means, m, quats, q, scales, s, opacities, o, features, f, packed, camera, right, bottom, lanes):
    """Eight splats from means[m], quats[q], ... into lanes (136,): eight first and eight second halves of records,
    then per lane 1 for a splat to draw, 0 for one out of the picture, -1 for one to drop."""
    zero, one = spread8(_ZERO), spread8(_ONE)
    mx, my, mz = lanes8(means, m, 3), lanes8(means, m + 1, 3), lanes8(means, m + 2, 3)
    s0, s1, s2 = lanes8(scales, s, 3), lanes8(scales, s + 1, 3), lanes8(scales, s + 2, 3)
    _, _, _, _, n, m00, m01, m02, m10, m11, m12, m20, m21, m22 = rotation8(quats, q)
    r00, r01, r02, r10, r11, r12 = camera[0], camera[1], camera[2], camera[3], camera[4], camera[5]
    r20, r21, r22 = camera[6], camera[7], camera[8]
    blur = camera[_BLUR]
    x = r00 * mx + r01 * my + r02 * mz + camera[9]
    y = r10 * mx + r11 * my + r12 * mz + camera[10]
    z = r20 * mx + r21 * my + r22 * mz + camera[11]
    iz = _ONE / z
    rx, ry = x * iz, y * iz
    jx, jy = camera[_FX] * iz, camera[_FY] * iz
    jxz = -jx * min8(max8(rx, spread8(camera[_XLOW])), spread8(camera[_XHIGH]))
    jyz = -jy * min8(max8(ry, spread8(camera[_YLOW])), spread8(camera[_YHIGH]))
    # Rows of the projection J W, times the columns of the rotation, times the scales.
    p0, p1, p2 = jx * r00 + jxz * r20, jx * r01 + jxz * r21, jx * r02 + jxz * r22
    o0, o1, o2 = jy * r10 + jyz * r20, jy * r11 + jyz * r21, jy * r12 + jyz * r22
    a0, b0 = s0 * (p0 * m00 + p1 * m10 + p2 * m20), s0 * (o0 * m00 + o1 * m10 + o2 * m20)
    a1, b1 = s1 * (p0 * m01 + p1 * m11 + p2 * m21), s1 * (o0 * m01 + o1 * m11 + o2 * m21)
    a2, b2 = s2 * (p0 * m02 + p1 * m12 + p2 * m22), s2 * (o0 * m02 + o1 * m12 + o2 * m22)
    aa, bb, cb = a0 * a0 + a1 * a1 + a2 * a2, b0 * b0 + b1 * b1 + b2 * b2, a0 * b0 + a1 * b1 + a2 * b2
    # det = |a x b|^2 + blur (|a|^2 + |b|^2) + blur^2: every term positive, nothing cancels.
    c0, c1, c2 = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
    det = c0 * c0 + c1 * c1 + c2 * c2 + blur * (aa + bb) + blur * blur
    ca, cc = aa + blur, bb + blur
    icc = _ONE / cc
    u, v = camera[_FX] * rx + camera[_CX], camera[_FY] * ry + camera[_CY]
    opacity = lanes8(opacities, o, 1)
    lo = min8(log2_8(opacity), zero)
    reach = (lo - Q_MIN) * (_ONE / HALF_LOG2E)
    wide, tall = sqrt8(reach * ca) + (_MARGIN - _HALF), sqrt8(reach * cc) + (_MARGIN - _HALF)

    # Pixel i is touched when its centre i + 0.5 lies within the half widths.
    x_low, x_high = u - wide - _ONE, u + wide
    y_low, y_high = v - tall - _ONE, v + tall
    x_from, x_to = max8(x_low, zero) + _NEARLY_ONE, max8(min8(x_high, spread8(right)), zero)
    y_from, y_to = max8(y_low, zero) + _NEARLY_ONE, max8(min8(y_high, spread8(bottom)), zero)
    x_from, y_from = min8(x_from, spread8(right + _ONE)), min8(y_from, spread8(bottom + _ONE))

    given = abs8(mx) + abs8(my) + abs8(mz) + abs8(s0) + abs8(s1) + abs8(s2) + n + abs8(opacity)
    first, second, third = zero, zero, zero
    if packed:
        first, second, third = lanes8(features, f, 3), lanes8(features, f + 1, 3), lanes8(features, f + 2, 3)
        given = given + abs8(first) + abs8(second) + abs8(third)
    # NaN fails every comparison, infinity these; a zero quaternion has an infinite 1 / length.
    limit = spread8(_LIMIT)
    draw = keep_above8(limit, det + ca + cc + abs8(u) + abs8(v), one, -one)
    draw = keep_above8(spread8(camera[_NEAR]), z, zero, draw)
    draw = keep_above8(one, opacity * np.float32(255.0), zero, draw)
    draw = keep_above8(limit, given, draw, -one)
    inside = keep_above8(det, zero, min8(min8(x_high, y_high), min8(right - x_low, bottom - y_low)), -one)
    draw = keep_above8(zero, inside, min8(draw, zero), draw)
    store_rows8(lanes, 0, u, v, sqrt8(HALF_LOG2E * cc / det), -(cb * icc), HALF_LOG2E * icc, lo, z, first)
    store_rows8(lanes, 64, second, third, pack_range8(x_from, x_to), pack_range8(y_from, y_to), zero, zero, zero, zero)
    store8(lanes, 128, draw)


@njit(cache=True, nogil=True, error_model="numpy")
def project(
    means, quats, scales, opacities, features, channels, camera, width, height, first, last,
    record, record_int, counts, tally,
):  # fmt: skip
    """Fills records first..last and adds their tiles to `counts`; tally = [dropped, splat-tile pairs].

    All arrays are flat: means (3 N,), quats (4 N,), features (channels N,), record (16 N,). A splat is dropped
    when one of its numbers (or its projected covariance) is not finite or its quaternion is zero.
    """
    tiles_x = (width + TILE - 1) >> TILE_SHIFT
    packed = channels == 3
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    lanes = np.empty(136, np.float32)
    tail = np.zeros(14 * 8, np.float32)
    dropped = 0
    pairs = 0
    for start in range(first, last, 8):
        count = min(8, last - start)
        if count == 8:
            _project_eight(
                means, 3 * start, quats, 4 * start, scales, 3 * start, opacities, start, features,
                channels * start, packed, camera, right, bottom, lanes,
            )  # fmt: skip
        else:
            for j in range(3 * count):
                tail[j], tail[24 + j] = means[3 * start + j], scales[3 * start + j]
                if packed:
                    tail[48 + j] = features[3 * start + j]
            for j in range(4 * count):
                tail[72 + j] = quats[4 * start + j]
            for j in range(count):
                tail[104 + j] = opacities[start + j]
            _project_eight(tail, 0, tail, 72, tail, 24, tail, 104, tail, 48, packed, camera, right, bottom, lanes)
        for lane in range(count):
            i = start + lane
            at = i * RECORD
            store8(record, at, load8(lanes, lane * 8))
            store8(record, at + 8, load8(lanes, 64 + lane * 8))
            draw = lanes[128 + lane]
            if not packed and not _finite(features, channels * i, channels):
                draw = -_ONE
            if draw < _ZERO:
                dropped += 1
            if draw <= _ZERO:
                record_int[at + 13] = 0
                continue
            columns, lines = record_int[at + 10], record_int[at + 11]
            tx0, tx1 = (columns & 0xFFFF) >> TILE_SHIFT, columns >> (16 + TILE_SHIFT)
            ty0, ty1 = (lines & 0xFFFF) >> TILE_SHIFT, lines >> (16 + TILE_SHIFT)
            if (columns & 0xFFFF) > columns >> 16 or (lines & 0xFFFF) > lines >> 16:
                record_int[at + 13] = 0
                continue
            for ty in range(ty0, ty1 + 1):
                for tx in range(tx0, tx1 + 1):
                    counts[ty * tiles_x + tx] += 1
            tiles = (ty1 - ty0 + 1) * (tx1 - tx0 + 1)
            record_int[at + 13] = tiles
            pairs += tiles
    tally[0] = dropped
    tally[1] = pairs


@njit(cache=True, nogil=True, error_model="numpy")
def _finite(values, start, count):
    """Whether values[start:start + count] hold no NaN and no infinity."""
    total = _ZERO
    for j in range(start, start + count):
        total += abs(values[j])
    return total < _LIMIT
