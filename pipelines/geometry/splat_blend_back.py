"""Backward pass of `splat_blend`, front to back as well: one gradient row per splat and tile, no atomics.

Besides T a pixel keeps the remaining suffix S = sum over the splats behind of w (g . c) + T_end (g_T + g . bg),
which starts as the whole of the picture's own value times its gradient, so that

    dL/dalpha = T (g . c) - S_behind / (1 - alpha)

needs neither a division chain for T nor a second, reversed order. Contents of a row: see `splat_project_back`.
"""

# mypy: disable-error-code="no-untyped-def,call-arg,arg-type,var-annotated"
# Kernels are typed by numba from what they are called with; mypy cannot see the vector operations.
from __future__ import annotations

import numpy as np
from numba import njit

from pipelines.geometry.splat_blend import BATCH, BLOCKS, BLOCKS_X, gather, row_of
from pipelines.geometry.splat_project import Q_MIN, RECORD, TILE, TILE_SHIFT
from pipelines.geometry.splat_project_back import MOMENTS
from pipelines.geometry.splat_simd import (
    exp2_short8,
    fetch_add,
    keep_above8,
    load8,
    min8,
    spread8,
    store8,
    sum8,
    sums8,
)

_ZERO, _ONE = np.float32(0), np.float32(1)


@njit(cache=True, nogil=True, error_model="numpy")
def _load_tile(
    state, stride, tile_x, tile_y, width, height, image, alpha_image, depth_image, g_image, g_alpha, g_depth
):
    """Sets T = 1, S, the gradient of the accumulated depth and of the features; zero outside the picture."""
    channels = g_image.shape[2]
    with_alpha, with_depth = g_alpha.shape[0] > 0, g_depth.shape[0] > 0
    for row in range(TILE):
        for column in range(TILE):
            at = ((row >> 1) * BLOCKS_X + (column >> 2)) * stride + (row & 1) * 4 + (column & 3)
            y, x = tile_y + row, tile_x + column
            suffix, g_sum = _ZERO, _ZERO
            inside = y < height and x < width
            state[at] = _ONE if inside else _ZERO
            for c in range(channels):
                g = g_image[y, x, c] if inside else _ZERO
                state[at + 24 + 8 * c] = g
                if inside:
                    suffix += g * image[y, x, c]
            if inside:
                alpha = alpha_image[y, x]
                g_through = _ZERO
                if with_alpha:
                    g_through = -g_alpha[y, x]
                if with_depth and alpha > _ZERO:
                    # depth = D / alpha with alpha = 1 - T
                    g_sum = g_depth[y, x] / alpha
                    g_through += g_sum * depth_image[y, x]
                suffix += g_sum * depth_image[y, x] * alpha + (_ONE - alpha) * g_through
            state[at + 8] = suffix
            state[at + 16] = g_sum


@njit(cache=True, nogil=True, error_model="numpy")
def blend_back(
    pairs, starts, stopped, record_flat, features, ramps, alpha_max, width, height, next_tile,
    image, alpha_image, depth_image, g_image, g_alpha, g_depth, rows,
):  # fmt: skip
    """Fills rows (pairs, 7 + C) tile by tile; g_alpha and g_depth may be empty (0, 0) for zero."""
    channels = g_image.shape[2]
    packed = channels == 3
    stride = (3 + channels) * 8
    tiles_x = (width + TILE - 1) >> TILE_SHIFT
    tiles = starts.shape[0] - 1
    state = np.empty(BLOCKS * stride, np.float32)
    batch = np.empty(BATCH * RECORD, np.float32)
    batch_int = batch.view(np.int32)
    sums = np.empty(8, np.float32)
    feature_sums = np.empty(8 * channels, np.float32)
    ramp_x, ramp_y = load8(ramps, 0), load8(ramps, 8)
    zero, one, q_min, most = spread8(_ZERO), spread8(_ONE), spread8(Q_MIN), spread8(alpha_max)
    while True:
        tile = fetch_add(next_tile, 0, 1)
        if tile >= tiles:
            break
        first, last, end = starts[tile], starts[tile + 1], stopped[tile]
        if first == last:
            continue
        tile_x, tile_y = (tile % tiles_x) * TILE, (tile // tiles_x) * TILE
        _load_tile(
            state, stride, tile_x, tile_y, width, height,
            image, alpha_image, depth_image, g_image, g_alpha, g_depth,
        )  # fmt: skip
        origin_x, origin_y = np.float32(tile_x), np.float32(tile_y)
        done = first
        while done < last:
            count = min(BATCH, last - done)
            gather(pairs, done, count, record_flat, batch)
            for j in range(count):
                r = j * RECORD
                columns, lines = batch_int[r + 10], batch_int[r + 11]
                row = row_of(batch_int, r, tile_x, tile_y)
                if done + j >= end:
                    for c in range(MOMENTS + channels):
                        rows[row, c] = _ZERO
                    continue
                u, v = batch[r] - origin_x, batch[r + 1] - origin_y
                a, k, d = batch[r + 2], batch[r + 3], batch[r + 4]
                lo, z = spread8(batch[r + 5]), spread8(batch[r + 6])
                bx0 = max((columns & 0xFFFF) - tile_x, 0) >> 2
                bx1 = min((columns >> 16) - tile_x, TILE - 1) >> 2
                by0 = max((lines & 0xFFFF) - tile_y, 0) >> 1
                by1 = min((lines >> 16) - tile_y, TILE - 1) >> 1
                step = spread8(np.float32(4.0) * a)
                start_x = (ramp_x + (np.float32(bx0 * 4) - u)) * a
                m0, m1, m2, m3, m4, m5, m6 = zero, zero, zero, zero, zero, zero, zero
                if packed:
                    red, green, blue = spread8(batch[r + 7]), spread8(batch[r + 8]), spread8(batch[r + 9])
                    f0, f1, f2 = zero, zero, zero
                    for by in range(by0, by1 + 1):
                        dy = ramp_y + (np.float32(by * 2) - v)
                        t = start_x + dy * (a * k)
                        top = lo - dy * dy * d
                        base = (by * BLOCKS_X + bx0) * stride
                        for _ in range(bx0, bx1 + 1):
                            q = top - t * t
                            full = exp2_short8(q)
                            alpha = keep_above8(q, q_min, min8(full, most), zero)
                            through = load8(state, base)
                            g_depth_sum = load8(state, base + 16)
                            g_red, g_green, g_blue = (
                                load8(state, base + 24),
                                load8(state, base + 32),
                                load8(state, base + 40),
                            )
                            value = g_red * red + g_green * green + g_blue * blue + g_depth_sum * z
                            w = through * alpha
                            behind = load8(state, base + 8) - w * value
                            store8(state, base, through - w)
                            store8(state, base + 8, behind)
                            # s = alpha dL/dalpha; where alpha is held at its maximum it does not move.
                            s = w * value - alpha * behind / (one - alpha)
                            s = keep_above8(full, most, zero, s)
                            st, sy = s * t, s * dy
                            m0, m1, m2 = m0 + s, m1 + st, m2 + sy
                            m3, m4, m5 = m3 + st * t, m4 + st * dy, m5 + sy * dy
                            m6 = m6 + w * g_depth_sum
                            f0, f1, f2 = f0 + w * g_red, f1 + w * g_green, f2 + w * g_blue
                            t = t + step
                            base += stride
                    store8(sums, 0, sums8(m0, m1, m2, m3, m4, m5, m6, f0))
                    for c in range(8):
                        rows[row, c] = sums[c]
                    rows[row, 8] = sum8(f1)
                    rows[row, 9] = sum8(f2)
                else:
                    splat = np.int64(pairs[done + j] & np.uint64(0xFFFFFFFF))
                    for c in range(channels):
                        store8(feature_sums, 8 * c, zero)
                    for by in range(by0, by1 + 1):
                        dy = ramp_y + (np.float32(by * 2) - v)
                        t = start_x + dy * (a * k)
                        top = lo - dy * dy * d
                        base = (by * BLOCKS_X + bx0) * stride
                        for _ in range(bx0, bx1 + 1):
                            q = top - t * t
                            full = exp2_short8(q)
                            alpha = keep_above8(q, q_min, min8(full, most), zero)
                            through = load8(state, base)
                            w = through * alpha
                            g_depth_sum = load8(state, base + 16)
                            value = g_depth_sum * z
                            for c in range(channels):
                                g = load8(state, base + 24 + 8 * c)
                                value = value + g * features[splat, c]
                                store8(feature_sums, 8 * c, load8(feature_sums, 8 * c) + w * g)
                            behind = load8(state, base + 8) - w * value
                            store8(state, base, through - w)
                            store8(state, base + 8, behind)
                            s = w * value - alpha * behind / (one - alpha)
                            s = keep_above8(full, most, zero, s)
                            st, sy = s * t, s * dy
                            m0, m1, m2 = m0 + s, m1 + st, m2 + sy
                            m3, m4, m5 = m3 + st * t, m4 + st * dy, m5 + sy * dy
                            m6 = m6 + w * g_depth_sum
                            t = t + step
                            base += stride
                    store8(sums, 0, sums8(m0, m1, m2, m3, m4, m5, m6, zero))
                    for c in range(MOMENTS):
                        rows[row, c] = sums[c]
                    for c in range(channels):
                        rows[row, MOMENTS + c] = sum8(load8(feature_sums, 8 * c))
            done += count
