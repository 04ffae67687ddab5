"""Backward pass of `splat_project`, eight splats at a time: gradient rows -> means, quaternions, scales, camera.

A gradient row (one per splat and tile) holds, with s = alpha dL/dalpha summed over the pixels:

    0 sum s    1 sum s t    2 sum s dy    3 sum s t^2    4 sum s t dy    5 sum s dy^2    6 sum w dL/dD    7.. features

where t = a (dx + k dy), w the blending weight and D the accumulated depth.
"""

# mypy: disable-error-code="no-untyped-def,call-arg,arg-type,var-annotated"
# Kernels are typed by numba from what they are called with; mypy cannot see the vector operations.
from __future__ import annotations

import numpy as np
from numba import njit

from pipelines.geometry.splat_project import HALF_LOG2E, LN2, RECORD, rotation8
from pipelines.geometry.splat_simd import keep_above8, lanes8, load8, max8, min8, spread8, store8, sum8

MOMENTS = 7  # floats of a gradient row before the features
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_FX, _FY, _XLOW, _XHIGH, _YLOW, _YHIGH, _BLUR = 12, 13, 16, 17, 18, 19, 20


@njit(cache=True, nogil=True, error_model="numpy")
def _only_inside(value, ratio, held):
    """value where the ratio was not held at the guard band, else 0."""
    zero = value - value
    return keep_above8(ratio, held, zero, keep_above8(held, ratio, zero, value))


@njit(cache=True, nogil=True, error_model="numpy")
def _project_eight_back(means, m, quats, q, scales, s, camera, lanes, g_camera):
    """Gradients of the eight splats at means[m], quats[q], scales[s].

    lanes (80,) holds seven moments (the first, sum s, is not needed here), then a, k, d, eight lanes each; it is
    overwritten by the gradients of means (3), scales (3) and quaternions (4). Those of the camera are added.
    """
    st, sy, stt = LN2 * load8(lanes, 8), LN2 * load8(lanes, 16), LN2 * load8(lanes, 24)
    sty, syy, gz = LN2 * load8(lanes, 32), LN2 * load8(lanes, 40), load8(lanes, 48)
    a, k, d = load8(lanes, 56), load8(lanes, 64), load8(lanes, 72)
    mx, my, mz = lanes8(means, m, 3), lanes8(means, m + 1, 3), lanes8(means, m + 2, 3)
    s0, s1, s2 = lanes8(scales, s, 3), lanes8(scales, s + 1, 3), lanes8(scales, s + 2, 3)
    qw, qx, qy, qz, n, m00, m01, m02, m10, m11, m12, m20, m21, m22 = rotation8(quats, q)
    r00, r01, r02, r10, r11, r12 = camera[0], camera[1], camera[2], camera[3], camera[4], camera[5]
    r20, r21, r22, fx, fy, blur = camera[6], camera[7], camera[8], camera[_FX], camera[_FY], camera[_BLUR]
    # V = W R S, the splats' axes in the camera frame.
    v00, v10, v20 = (
        s0 * (r00 * m00 + r01 * m10 + r02 * m20),
        s0 * (r10 * m00 + r11 * m10 + r12 * m20),
        s0 * (r20 * m00 + r21 * m10 + r22 * m20),
    )
    v01, v11, v21 = (
        s1 * (r00 * m01 + r01 * m11 + r02 * m21),
        s1 * (r10 * m01 + r11 * m11 + r12 * m21),
        s1 * (r20 * m01 + r21 * m11 + r22 * m21),
    )
    v02, v12, v22 = (
        s2 * (r00 * m02 + r01 * m12 + r02 * m22),
        s2 * (r10 * m02 + r11 * m12 + r12 * m22),
        s2 * (r20 * m02 + r21 * m12 + r22 * m22),
    )
    x = r00 * mx + r01 * my + r02 * mz + camera[9]
    y = r10 * mx + r11 * my + r12 * mz + camera[10]
    iz = _ONE / (r20 * mx + r21 * my + r22 * mz + camera[11])
    rx, ry = x * iz, y * iz
    held_x = min8(max8(rx, spread8(camera[_XLOW])), spread8(camera[_XHIGH]))
    held_y = min8(max8(ry, spread8(camera[_YLOW])), spread8(camera[_YHIGH]))
    jx, jy = fx * iz, fy * iz
    jxz, jyz = -jx * held_x, -jy * held_y
    a0, a1, a2 = jx * v00 + jxz * v20, jx * v01 + jxz * v21, jx * v02 + jxz * v22
    b0, b1, b2 = jy * v10 + jyz * v20, jy * v11 + jyz * v21, jy * v12 + jyz * v22
    aa, bb, cb = a0 * a0 + a1 * a1 + a2 * a2, b0 * b0 + b1 * b1 + b2 * b2, a0 * b0 + a1 * b1 + a2 * b2
    c0, c1, c2 = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
    det = c0 * c0 + c1 * c1 + c2 * c2 + blur * (aa + bb) + blur * blur
    cc = bb + blur

    # Moments to the centre and to a^2, k, d; the exponent is a power of two, hence the ln 2 above.
    gu = _TWO * a * st
    gv = gu * k + _TWO * d * sy
    gk = -_TWO * a * sty
    # a^2 = h cc/det, so dL/d(a^2) = -stt/a^2 turns into the covariance without a division by a.
    icc, idet = _ONE / cc, _ONE / det
    gca = stt * cc * idet
    gcb = -_TWO * stt * cb * idet - gk * icc
    gcc = stt * cb * icc * cb * idet + (gk * cb + HALF_LOG2E * syy) * icc * icc
    ga0, ga1, ga2 = _TWO * gca * a0 + gcb * b0, _TWO * gca * a1 + gcb * b1, _TWO * gca * a2 + gcb * b2
    gb0, gb1, gb2 = _TWO * gcc * b0 + gcb * a0, _TWO * gcc * b1 + gcb * a1, _TWO * gcc * b2 + gcb * a2
    gjx, gjxz = ga0 * v00 + ga1 * v01 + ga2 * v02, ga0 * v20 + ga1 * v21 + ga2 * v22
    gjy, gjyz = gb0 * v10 + gb1 * v11 + gb2 * v12, gb0 * v20 + gb1 * v21 + gb2 * v22
    w00, w01, w02 = jx * ga0, jx * ga1, jx * ga2
    w10, w11, w12 = jy * gb0, jy * gb1, jy * gb2
    w20, w21, w22 = jxz * ga0 + jyz * gb0, jxz * ga1 + jyz * gb1, jxz * ga2 + jyz * gb2
    grx = gu * fx - _only_inside(jx * gjxz, rx, held_x)
    gry = gv * fy - _only_inside(jy * gjyz, ry, held_y)
    giz = fx * (gjx - gjxz * held_x) + fy * (gjy - gjyz * held_y) + grx * x + gry * y
    gx, gy, gz = grx * iz, gry * iz, gz - giz * iz * iz

    store8(lanes, 0, r00 * gx + r10 * gy + r20 * gz)
    store8(lanes, 8, r01 * gx + r11 * gy + r21 * gz)
    store8(lanes, 16, r02 * gx + r12 * gy + r22 * gz)
    n00, n10, n20 = s0 * m00, s0 * m10, s0 * m20
    n01, n11, n21 = s1 * m01, s1 * m11, s1 * m21
    n02, n12, n22 = s2 * m02, s2 * m12, s2 * m22
    g_camera[0] += sum8(gx * mx + w00 * n00 + w01 * n01 + w02 * n02)
    g_camera[1] += sum8(gx * my + w00 * n10 + w01 * n11 + w02 * n12)
    g_camera[2] += sum8(gx * mz + w00 * n20 + w01 * n21 + w02 * n22)
    g_camera[3] += sum8(gy * mx + w10 * n00 + w11 * n01 + w12 * n02)
    g_camera[4] += sum8(gy * my + w10 * n10 + w11 * n11 + w12 * n12)
    g_camera[5] += sum8(gy * mz + w10 * n20 + w11 * n21 + w12 * n22)
    g_camera[6] += sum8(gz * mx + w20 * n00 + w21 * n01 + w22 * n02)
    g_camera[7] += sum8(gz * my + w20 * n10 + w21 * n11 + w22 * n12)
    g_camera[8] += sum8(gz * mz + w20 * n20 + w21 * n21 + w22 * n22)
    g_camera[9] += sum8(gx)
    g_camera[10] += sum8(gy)
    g_camera[11] += sum8(gz)
    g_camera[12] += sum8(gu * rx + iz * (gjx - gjxz * held_x))
    g_camera[13] += sum8(gv * ry + iz * (gjy - gjyz * held_y))
    g_camera[14] += sum8(gu)
    g_camera[15] += sum8(gv)

    # H = dL/d(R S) = W^T dL/dV, then the scales, then the rotation.
    h00, h10, h20 = (
        r00 * w00 + r10 * w10 + r20 * w20,
        r01 * w00 + r11 * w10 + r21 * w20,
        r02 * w00 + r12 * w10 + r22 * w20,
    )
    h01, h11, h21 = (
        r00 * w01 + r10 * w11 + r20 * w21,
        r01 * w01 + r11 * w11 + r21 * w21,
        r02 * w01 + r12 * w11 + r22 * w21,
    )
    h02, h12, h22 = (
        r00 * w02 + r10 * w12 + r20 * w22,
        r01 * w02 + r11 * w12 + r21 * w22,
        r02 * w02 + r12 * w12 + r22 * w22,
    )
    store8(lanes, 24, h00 * m00 + h10 * m10 + h20 * m20)
    store8(lanes, 32, h01 * m01 + h11 * m11 + h21 * m21)
    store8(lanes, 40, h02 * m02 + h12 * m12 + h22 * m22)
    h00, h10, h20 = h00 * s0, h10 * s0, h20 * s0
    h01, h11, h21 = h01 * s1, h11 * s1, h21 * s1
    h02, h12, h22 = h02 * s2, h12 * s2, h22 * s2
    gw = _TWO * (qz * (h10 - h01) + qy * (h02 - h20) + qx * (h21 - h12))
    gqx = _TWO * (qy * (h01 + h10) + qz * (h02 + h20) + qw * (h21 - h12) - _TWO * qx * (h11 + h22))
    gqy = _TWO * (qx * (h01 + h10) + qz * (h12 + h21) + qw * (h02 - h20) - _TWO * qy * (h00 + h22))
    gqz = _TWO * (qx * (h02 + h20) + qy * (h12 + h21) + qw * (h10 - h01) - _TWO * qz * (h00 + h11))
    # Through the normalisation of the quaternion: only the part across it counts.
    along = qw * gw + qx * gqx + qy * gqy + qz * gqz
    store8(lanes, 48, n * (gw - along * qw))
    store8(lanes, 56, n * (gqx - along * qx))
    store8(lanes, 64, n * (gqy - along * qy))
    store8(lanes, 72, n * (gqz - along * qz))


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_rows(rows, row, tiles, channels, lanes, lane, g_features, i):
    """Adds the gradient rows of splat i: moments into the lanes, features to their place."""
    for c in range(MOMENTS):
        total = _ZERO
        for r in range(row, row + tiles):
            total += rows[r, c]
        lanes[8 * c + lane] = total
    for c in range(channels):
        total = _ZERO
        for r in range(row, row + tiles):
            total += rows[r, MOMENTS + c]
        g_features[i, c] = total


@njit(cache=True, nogil=True, error_model="numpy")
def project_back(
    means, quats, scales, opacities, camera, record, record_int, rows, first, last,
    g_means, g_quats, g_scales, g_opacities, g_features, g_camera,
):  # fmt: skip
    """Writes the gradients of splats first..last; g_camera (16,) float64 = dL/dR row by row, dt, dfx dfy dcx dcy.

    Flat arrays as in `splat_project.project`. Splats in no tile get zeros, and their numbers, which may be NaN,
    are kept out of the eight they would be worked with.
    """
    channels = g_features.shape[1]
    lanes = np.empty(80, np.float32)
    eight_means, eight_scales = np.empty(24, np.float32), np.empty(24, np.float32)
    eight_quats = np.empty(32, np.float32)
    for start in range(first, last, 8):
        count = min(8, last - start)
        seen = 0
        for lane in range(count):
            i = start + lane
            at = i * RECORD
            tiles = record_int[at + 13]
            if tiles > 0:
                seen += 1
                _sum_rows(rows, record_int[at + 12], tiles, channels, lanes, lane, g_features, i)
                for c in range(3):
                    lanes[56 + 8 * c + lane] = record[at + 2 + c]
                g_opacities[i] = lanes[lane] / opacities[i] if opacities[i] <= _ONE else _ZERO
            else:
                g_opacities[i] = _ZERO
                for c in range(channels):
                    g_features[i, c] = _ZERO
        if seen == 8:
            _project_eight_back(means, 3 * start, quats, 4 * start, scales, 3 * start, camera, lanes, g_camera)
        elif seen > 0:
            _fill_eight(means, quats, scales, record_int, start, count, eight_means, eight_quats, eight_scales, lanes)
            _project_eight_back(eight_means, 0, eight_quats, 0, eight_scales, 0, camera, lanes, g_camera)
        for lane in range(count):
            i = start + lane
            here = record_int[i * RECORD + 13] > 0
            for c in range(3):
                g_means[3 * i + c] = lanes[8 * c + lane] if here else _ZERO
                g_scales[3 * i + c] = lanes[24 + 8 * c + lane] if here else _ZERO
            for c in range(4):
                g_quats[4 * i + c] = lanes[48 + 8 * c + lane] if here else _ZERO


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_eight(means, quats, scales, record_int, start, count, eight_means, eight_quats, eight_scales, lanes):
    """Copies the splats that are in a tile; one of them, with zero moments, also takes the place of the others."""
    stand_in = start
    while record_int[stand_in * RECORD + 13] == 0:
        stand_in += 1
    for lane in range(8):
        i = start + lane
        if lane >= count or record_int[i * RECORD + 13] == 0:
            i = stand_in
            for c in range(10):
                lanes[8 * c + lane] = _ZERO
        for c in range(3):
            eight_means[3 * lane + c], eight_scales[3 * lane + c] = means[3 * i + c], scales[3 * i + c]
        for c in range(4):
            eight_quats[4 * lane + c] = quats[4 * i + c]
