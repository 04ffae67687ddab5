"""Projects 3D Gaussians to the image (EWA, Zwicker et al. 2001) and carries gradients back.

One splat becomes one record of 16 float32 (64 bytes, one cache line):

    0 u, 1 v        centre, pixels
    2 a, 3 k, 4 d   the exponent in Cholesky form:  q = lo - (a (dx + k dy))^2 - d dy^2,  alpha = 2^q
    5 lo            log2 of the opacity
    6 z             depth, metres; its bits as an integer are the sorting key
    7 8 9           features, when there are at most three
    10, 11          first | last << 16 pixel column, row (integers)
    12, 13          first gradient row, number of tiles (integers)

The Cholesky form needs two operations per pixel and, unlike A dx^2 + B dx dy + C dy^2, cannot lose its digits
to cancellation when a splat is long and thin. With the 2D covariance [[ca, cb], [cb, cc]] and
h = log2(e)/2:  a^2 = h cc/det,  k = -cb/cc,  d = h/cc.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float32]

RECORD = 16  # floats per record
TILE = 32  # pixels
TILE_SHIFT = 5
HALF_LOG2E = np.float32(0.5 / math.log(2.0))
LN2 = np.float32(math.log(2.0))
ALPHA_MIN = 1.0 / 255.0  # weaker contributions are skipped, as everywhere in the field
ALPHA_MAX = np.float32(0.999)  # gsplat's; keeps 1 - alpha away from zero
Q_MIN = np.float32(math.log2(ALPHA_MIN))
# The x/z and y/z of the Jacobian are held this much of a half field of view outside the picture (gsplat).
GUARD_BAND = 0.15

_ZERO, _ONE, _TWO, _HALF = np.float32(0), np.float32(1), np.float32(2), np.float32(0.5)
_NEARLY_ONE = np.float32(0.9999)
_MARGIN = np.float32(1e-3)
_LIMIT = np.float32(3e38)
_FLAGS = {"contract", "nsz", "arcp"}

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


@njit(cache=True, nogil=True, error_model="numpy", fastmath=_FLAGS)
def project(
    means, quats, scales, opacities, features, camera, width, height, first, last, record, record_int, counts, tally
):  # type: ignore[no-untyped-def]
    """Fills records first..last and adds their tiles to `counts`; tally = [dropped, splat-tile pairs].

    A splat is dropped when one of its numbers (or its projected covariance) is not finite or its quaternion is
    zero. Features are copied into the record when the array has three columns.
    """
    r00, r01, r02, r10, r11, r12 = camera[0], camera[1], camera[2], camera[3], camera[4], camera[5]
    r20, r21, r22, t0, t1, t2 = camera[6], camera[7], camera[8], camera[9], camera[10], camera[11]
    fx, fy, cx, cy = camera[_FX], camera[_FY], camera[_CX], camera[_CY]
    xlow, xhigh, ylow, yhigh = camera[_XLOW], camera[_XHIGH], camera[_YLOW], camera[_YHIGH]
    blur, near = camera[_BLUR], camera[_NEAR]
    tiles_x = (width + TILE - 1) >> TILE_SHIFT
    channels = features.shape[1]
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    dropped = 0
    pairs = 0
    for i in range(first, last):
        record_int[i, 13] = 0
        mx, my, mz = means[i, 0], means[i, 1], means[i, 2]
        qw, qx, qy, qz = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
        s0, s1, s2, opacity = scales[i, 0], scales[i, 1], scales[i, 2], opacities[i]
        norm = qw * qw + qx * qx + qy * qy + qz * qz
        total = abs(mx) + abs(my) + abs(mz) + abs(s0) + abs(s1) + abs(s2) + abs(opacity)
        for c in range(channels):
            total += abs(features[i, c])
        # NaN fails every comparison, infinity the upper bound.
        if not (total < _LIMIT and norm < _LIMIT and norm > _ZERO):
            dropped += 1
            continue
        z = r20 * mx + r21 * my + r22 * mz + t2
        if z < near or opacity * np.float32(255.0) < _ONE:
            continue
        x = r00 * mx + r01 * my + r02 * mz + t0
        y = r10 * mx + r11 * my + r12 * mz + t1
        iz = _ONE / z
        rx, ry = x * iz, y * iz
        u, v = fx * rx + cx, fy * ry + cy
        jx, jy = fx * iz, fy * iz
        jxz = -jx * min(max(rx, xlow), xhigh)
        jyz = -jy * min(max(ry, ylow), yhigh)
        # Rows of the projection J W, then times the columns of the rotation, times the scales.
        p0, p1, p2 = jx * r00 + jxz * r20, jx * r01 + jxz * r21, jx * r02 + jxz * r22
        o0, o1, o2 = jy * r10 + jyz * r20, jy * r11 + jyz * r21, jy * r12 + jyz * r22
        n = _ONE / math.sqrt(norm)
        qw, qx, qy, qz = qw * n, qx * n, qy * n, qz * n
        m00, m01, m02 = _ONE - _TWO * (qy * qy + qz * qz), _TWO * (qx * qy - qw * qz), _TWO * (qx * qz + qw * qy)
        m10, m11, m12 = _TWO * (qx * qy + qw * qz), _ONE - _TWO * (qx * qx + qz * qz), _TWO * (qy * qz - qw * qx)
        m20, m21, m22 = _TWO * (qx * qz - qw * qy), _TWO * (qy * qz + qw * qx), _ONE - _TWO * (qx * qx + qy * qy)
        a0, a1, a2 = (
            s0 * (p0 * m00 + p1 * m10 + p2 * m20),
            s1 * (p0 * m01 + p1 * m11 + p2 * m21),
            s2 * (p0 * m02 + p1 * m12 + p2 * m22),
        )
        b0, b1, b2 = (
            s0 * (o0 * m00 + o1 * m10 + o2 * m20),
            s1 * (o0 * m01 + o1 * m11 + o2 * m21),
            s2 * (o0 * m02 + o1 * m12 + o2 * m22),
        )
        aa, bb, ab = a0 * a0 + a1 * a1 + a2 * a2, b0 * b0 + b1 * b1 + b2 * b2, a0 * b0 + a1 * b1 + a2 * b2
        # det = |a x b|^2 + blur (|a|^2 + |b|^2) + blur^2: every term positive, nothing cancels.
        c0, c1, c2 = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
        det = c0 * c0 + c1 * c1 + c2 * c2 + blur * (aa + bb) + blur * blur
        ca, cc = aa + blur, bb + blur
        if not (det < _LIMIT and ca < _LIMIT and cc < _LIMIT and abs(u) < _LIMIT and abs(v) < _LIMIT):
            dropped += 1
            continue
        if not det > _ZERO:  # only without blur: a splat thinner than float32 can tell covers no pixel
            continue
        lo = min(np.float32(math.log2(opacity)), _ZERO)
        reach = (lo - Q_MIN) / HALF_LOG2E
        wide, tall = math.sqrt(reach * ca) + _MARGIN, math.sqrt(reach * cc) + _MARGIN
        # Pixel i is touched when its centre i + 0.5 lies within the half widths.
        x_from, x_to = u - wide - _HALF, u + wide - _HALF
        y_from, y_to = v - tall - _HALF, v + tall - _HALF
        if x_to < _ZERO or y_to < _ZERO or x_from > right or y_from > bottom:
            continue
        x0 = int(max(x_from, _ZERO) + _NEARLY_ONE)
        y0 = int(max(y_from, _ZERO) + _NEARLY_ONE)
        x1, y1 = int(min(x_to, right)), int(min(y_to, bottom))
        if x0 > x1 or y0 > y1:
            continue
        record[i, 0], record[i, 1] = u, v
        record[i, 2], record[i, 3], record[i, 4] = math.sqrt(HALF_LOG2E * cc / det), -ab / cc, HALF_LOG2E / cc
        record[i, 5], record[i, 6] = lo, z
        if channels == 3:
            record[i, 7], record[i, 8], record[i, 9] = features[i, 0], features[i, 1], features[i, 2]
        record_int[i, 10], record_int[i, 11] = x0 | (x1 << 16), y0 | (y1 << 16)
        for ty in range(y0 >> TILE_SHIFT, (y1 >> TILE_SHIFT) + 1):
            for tx in range(x0 >> TILE_SHIFT, (x1 >> TILE_SHIFT) + 1):
                counts[ty * tiles_x + tx] += 1
        tiles = ((y1 >> TILE_SHIFT) - (y0 >> TILE_SHIFT) + 1) * ((x1 >> TILE_SHIFT) - (x0 >> TILE_SHIFT) + 1)
        record_int[i, 13] = tiles
        pairs += tiles
    tally[0] = dropped
    tally[1] = pairs
