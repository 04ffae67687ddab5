"""Backward pass of `splat_project`: gradient rows of a splat -> means, quaternions, scales, opacity, camera.

A gradient row (one per splat and tile) holds, with s = alpha dL/dalpha summed over the pixels:

    0 sum s    1 sum s t    2 sum s dy    3 sum s t^2    4 sum s t dy    5 sum s dy^2    6 sum w dL/dD    7.. features

where t = a (dx + k dy), w the blending weight and D the accumulated depth.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.geometry.splat_project import HALF_LOG2E, LN2

MOMENTS = 7  # floats of a gradient row before the features
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_FX, _FY, _XLOW, _XHIGH, _YLOW, _YHIGH, _BLUR = 12, 13, 16, 17, 18, 19, 20


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def project_back(
    means, quats, scales, opacities, camera, record, record_int, rows, first, last,
    g_means, g_quats, g_scales, g_opacities, g_features, g_camera,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Writes the gradients of splats first..last; g_camera (16,) float64 = dL/dR row by row, dt, dfx dfy dcx dcy."""
    r00, r01, r02, r10, r11, r12 = camera[0], camera[1], camera[2], camera[3], camera[4], camera[5]
    r20, r21, r22, t0, t1, t2 = camera[6], camera[7], camera[8], camera[9], camera[10], camera[11]
    fx, fy, blur = camera[_FX], camera[_FY], camera[_BLUR]
    xlow, xhigh, ylow, yhigh = camera[_XLOW], camera[_XHIGH], camera[_YLOW], camera[_YHIGH]
    channels = g_features.shape[1]
    for i in range(first, last):
        tiles = record_int[i, 13]
        g_opacities[i] = _ZERO
        for c in range(3):
            g_means[i, c] = _ZERO
            g_scales[i, c] = _ZERO
        for c in range(4):
            g_quats[i, c] = _ZERO
        for c in range(channels):
            g_features[i, c] = _ZERO
        if tiles == 0:
            continue
        row = record_int[i, 12]
        s, st, sy, stt, sty, syy, gz = _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO, _ZERO
        for r in range(row, row + tiles):
            s += rows[r, 0]
            st += rows[r, 1]
            sy += rows[r, 2]
            stt += rows[r, 3]
            sty += rows[r, 4]
            syy += rows[r, 5]
            gz += rows[r, 6]
            for c in range(channels):
                g_features[i, c] += rows[r, MOMENTS + c]
        opacity = opacities[i]
        if opacity <= _ONE:
            g_opacities[i] = s / opacity
        mx, my, mz = means[i, 0], means[i, 1], means[i, 2]
        s0, s1, s2 = scales[i, 0], scales[i, 1], scales[i, 2]
        qw, qx, qy, qz = quats[i, 0], quats[i, 1], quats[i, 2], quats[i, 3]
        n = _ONE / math.sqrt(qw * qw + qx * qx + qy * qy + qz * qz)
        qw, qx, qy, qz = qw * n, qx * n, qy * n, qz * n
        m00, m01, m02 = _ONE - _TWO * (qy * qy + qz * qz), _TWO * (qx * qy - qw * qz), _TWO * (qx * qz + qw * qy)
        m10, m11, m12 = _TWO * (qx * qy + qw * qz), _ONE - _TWO * (qx * qx + qz * qz), _TWO * (qy * qz - qw * qx)
        m20, m21, m22 = _TWO * (qx * qz - qw * qy), _TWO * (qy * qz + qw * qx), _ONE - _TWO * (qx * qx + qy * qy)
        # V = W R S, the splat's axes in the camera frame.
        v00, v01, v02 = (
            s0 * (r00 * m00 + r01 * m10 + r02 * m20),
            s1 * (r00 * m01 + r01 * m11 + r02 * m21),
            s2 * (r00 * m02 + r01 * m12 + r02 * m22),
        )
        v10, v11, v12 = (
            s0 * (r10 * m00 + r11 * m10 + r12 * m20),
            s1 * (r10 * m01 + r11 * m11 + r12 * m21),
            s2 * (r10 * m02 + r11 * m12 + r12 * m22),
        )
        v20, v21, v22 = (
            s0 * (r20 * m00 + r21 * m10 + r22 * m20),
            s1 * (r20 * m01 + r21 * m11 + r22 * m21),
            s2 * (r20 * m02 + r21 * m12 + r22 * m22),
        )
        x = r00 * mx + r01 * my + r02 * mz + t0
        y = r10 * mx + r11 * my + r12 * mz + t1
        iz = _ONE / (r20 * mx + r21 * my + r22 * mz + t2)
        rx, ry = x * iz, y * iz
        held_x, held_y = min(max(rx, xlow), xhigh), min(max(ry, ylow), yhigh)
        jx, jy = fx * iz, fy * iz
        jxz, jyz = -jx * held_x, -jy * held_y
        a0, a1, a2 = jx * v00 + jxz * v20, jx * v01 + jxz * v21, jx * v02 + jxz * v22
        b0, b1, b2 = jy * v10 + jyz * v20, jy * v11 + jyz * v21, jy * v12 + jyz * v22
        aa, bb, cb = a0 * a0 + a1 * a1 + a2 * a2, b0 * b0 + b1 * b1 + b2 * b2, a0 * b0 + a1 * b1 + a2 * b2
        c0, c1, c2 = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
        det = c0 * c0 + c1 * c1 + c2 * c2 + blur * (aa + bb) + blur * blur
        cc = bb + blur
        a, k, d = record[i, 2], record[i, 3], record[i, 4]

        # Moments to the centre and to a^2, k, d; the exponent is a power of two, hence ln 2.
        st, sy, stt, sty, syy = LN2 * st, LN2 * sy, LN2 * stt, LN2 * sty, LN2 * syy
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
        grx = gu * fx
        if held_x == rx:
            grx -= jx * gjxz
        gry = gv * fy
        if held_y == ry:
            gry -= jy * gjyz
        giz = fx * (gjx - gjxz * held_x) + fy * (gjy - gjyz * held_y) + grx * x + gry * y
        gx, gy, gz = grx * iz, gry * iz, gz - giz * iz * iz

        g_means[i, 0] = r00 * gx + r10 * gy + r20 * gz
        g_means[i, 1] = r01 * gx + r11 * gy + r21 * gz
        g_means[i, 2] = r02 * gx + r12 * gy + r22 * gz
        # dL/d(R S) = W^T dL/dV, then the scales, then the rotation.
        h00, h01, h02 = (
            r00 * w00 + r10 * w10 + r20 * w20,
            r00 * w01 + r10 * w11 + r20 * w21,
            r00 * w02 + r10 * w12 + r20 * w22,
        )
        h10, h11, h12 = (
            r01 * w00 + r11 * w10 + r21 * w20,
            r01 * w01 + r11 * w11 + r21 * w21,
            r01 * w02 + r11 * w12 + r21 * w22,
        )
        h20, h21, h22 = (
            r02 * w00 + r12 * w10 + r22 * w20,
            r02 * w01 + r12 * w11 + r22 * w21,
            r02 * w02 + r12 * w12 + r22 * w22,
        )
        g_scales[i, 0] = h00 * m00 + h10 * m10 + h20 * m20
        g_scales[i, 1] = h01 * m01 + h11 * m11 + h21 * m21
        g_scales[i, 2] = h02 * m02 + h12 * m12 + h22 * m22

        g_camera[0] += gx * mx + s0 * w00 * m00 + s1 * w01 * m01 + s2 * w02 * m02
        g_camera[1] += gx * my + s0 * w00 * m10 + s1 * w01 * m11 + s2 * w02 * m12
        g_camera[2] += gx * mz + s0 * w00 * m20 + s1 * w01 * m21 + s2 * w02 * m22
        g_camera[3] += gy * mx + s0 * w10 * m00 + s1 * w11 * m01 + s2 * w12 * m02
        g_camera[4] += gy * my + s0 * w10 * m10 + s1 * w11 * m11 + s2 * w12 * m12
        g_camera[5] += gy * mz + s0 * w10 * m20 + s1 * w11 * m21 + s2 * w12 * m22
        g_camera[6] += gz * mx + s0 * w20 * m00 + s1 * w21 * m01 + s2 * w22 * m02
        g_camera[7] += gz * my + s0 * w20 * m10 + s1 * w21 * m11 + s2 * w22 * m12
        g_camera[8] += gz * mz + s0 * w20 * m20 + s1 * w21 * m21 + s2 * w22 * m22
        g_camera[9] += gx
        g_camera[10] += gy
        g_camera[11] += gz
        g_camera[12] += gu * rx + iz * (gjx - gjxz * held_x)
        g_camera[13] += gv * ry + iz * (gjy - gjyz * held_y)
        g_camera[14] += gu
        g_camera[15] += gv

        h00, h10, h20 = h00 * s0, h10 * s0, h20 * s0
        h01, h11, h21 = h01 * s1, h11 * s1, h21 * s1
        h02, h12, h22 = h02 * s2, h12 * s2, h22 * s2
        gw = _TWO * (qz * (h10 - h01) + qy * (h02 - h20) + qx * (h21 - h12))
        gqx = _TWO * (qy * (h01 + h10) + qz * (h02 + h20) + qw * (h21 - h12) - _TWO * qx * (h11 + h22))
        gqy = _TWO * (qx * (h01 + h10) + qz * (h12 + h21) + qw * (h02 - h20) - _TWO * qy * (h00 + h22))
        gqz = _TWO * (qx * (h02 + h20) + qy * (h12 + h21) + qw * (h10 - h01) - _TWO * qz * (h00 + h11))
        # Through the normalisation of the quaternion: only the part across it counts.
        along = qw * gw + qx * gqx + qy * gqy + qz * gqz
        g_quats[i, 0] = n * (gw - along * qw)
        g_quats[i, 1] = n * (gqx - along * qx)
        g_quats[i, 2] = n * (gqy - along * qy)
        g_quats[i, 3] = n * (gqz - along * qz)
