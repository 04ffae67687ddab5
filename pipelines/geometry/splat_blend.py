"""Blends the splats of each tile front to back, eight pixels at a time.

    alpha = min(2^q, alpha_max), skipped below 1/255;  w = T alpha;  C += w c;  D += w z;  T -= w

The state of a tile stays in the first-level cache: blocks of 4 x 2 pixels (one vector each; smaller than a row
of eight, so that small splats touch fewer of them), and per block the planes T, D, M (median depth), features.
A tile's records are first copied together, 64 at a time, because their random reads from memory overlap there
and would stall the blending loop. After every 64 the tile stops when all its pixels are closer to opaque than 1e-4.
"""

# mypy: disable-error-code="no-untyped-def,call-arg,arg-type,var-annotated"
# Kernels are typed by numba from what they are called with; mypy cannot see the vector operations.
from __future__ import annotations

import numpy as np
from numba import njit

from pipelines.geometry.splat_project import Q_MIN, RECORD, TILE, TILE_SHIFT
from pipelines.geometry.splat_simd import (
    exp2_short8,
    fetch_add,
    high_halves8,
    keep_above8,
    largest8,
    load8,
    low_halves8,
    max8,
    min8,
    spread8,
    store8,
    store_triples8,
)
from pipelines.geometry.splat_tiles import BUCKETS, sort_tile

BATCH = 64
BLOCKS_X, BLOCKS = 8, 128  # blocks of 4 x 2 pixels in a row of blocks, in a tile
OPAQUE = np.float32(1e-4)
_ZERO, _ONE, _HALF = np.float32(0), np.float32(1), np.float32(0.5)
RAMPS = np.array([0.5, 1.5, 2.5, 3.5] * 2 + [0.5] * 4 + [1.5] * 4, np.float32)  # pixel centres of a block: x, y


@njit(cache=True, nogil=True, error_model="numpy")
def gather(pairs, first, count, record_flat, batch):
    """Copies the records of `count` pairs side by side."""
    for j in range(count):
        source = np.int64(pairs[first + j] & np.uint64(0xFFFFFFFF)) * RECORD
        store8(batch, j * RECORD, load8(record_flat, source))
        store8(batch, j * RECORD + 8, load8(record_flat, source + 8))


@njit(cache=True, nogil=True, error_model="numpy")
def row_of(record_int, at, tile_x, tile_y):
    """Gradient row, in the tile at pixel (tile_x, tile_y), of the record at `at`: its tiles count row by row."""
    columns, lines = record_int[at + 10], record_int[at + 11]
    tx0, tx1 = (columns & 0xFFFF) >> TILE_SHIFT, columns >> (16 + TILE_SHIFT)
    ty0 = (lines & 0xFFFF) >> TILE_SHIFT
    return record_int[at + 12] + ((tile_y >> TILE_SHIFT) - ty0) * (tx1 - tx0 + 1) + (tile_x >> TILE_SHIFT) - tx0


@njit(cache=True, nogil=True, error_model="numpy")
def clear_tile(state, stride, columns, lines):
    """T = 1 and all else 0; T = 0 beyond the picture's last column and line, so that nothing counts there."""
    for block in range(BLOCKS):
        base = block * stride
        store8(state, base, spread8(_ONE))
        for plane in range(8, stride, 8):
            store8(state, base + plane, spread8(_ZERO))
    if columns < TILE or lines < TILE:
        for y in range(TILE):
            for x in range(TILE):
                if x >= columns or y >= lines:
                    state[((y >> 1) * BLOCKS_X + (x >> 2)) * stride + (y & 1) * 4 + (x & 3)] = _ZERO


@njit(cache=True, nogil=True, error_model="numpy")
def blend(
    pairs, starts, record_flat, features, background, ramps, alpha_max, width, height, next_tile, stopped,
    image, alpha_image, depth_image, median_image, row_weight,
):  # fmt: skip
    """Renders tiles, taking the next from next_tile[0], until none is left.

    Writes the flat pictures image (H W C), alpha, expected depth and median depth (H W), the largest weight of
    every gradient row and where each tile's list stopped.
    """
    channels = features.shape[1]
    packed = channels == 3
    stride = (3 + channels) * 8
    tiles_x = (width + TILE - 1) >> TILE_SHIFT
    tiles = starts.shape[0] - 1
    state = np.empty(BLOCKS * stride, np.float32)
    batch = np.empty(BATCH * RECORD, np.float32)
    batch_int = batch.view(np.int32)
    longest = 1
    for tile in range(tiles):
        longest = max(longest, starts[tile + 1] - starts[tile])
    spare = np.empty(longest, np.uint64)
    buckets = np.empty(BUCKETS, np.int64)
    ramp_x, ramp_y = load8(ramps, 0), load8(ramps, 8)
    zero, q_min, most = spread8(_ZERO), spread8(Q_MIN), spread8(alpha_max)
    half = spread8(_HALF)
    while True:
        tile = fetch_add(next_tile, 0, 1)
        if tile >= tiles:
            break
        first, last = starts[tile], starts[tile + 1]
        tile_x, tile_y = (tile % tiles_x) * TILE, (tile // tiles_x) * TILE
        if first == last:
            stopped[tile] = last
            _write_empty(tile_x, tile_y, width, height, background, image, alpha_image, depth_image, median_image)
            continue
        sort_tile(pairs, first, last, spare, buckets)
        clear_tile(state, stride, width - tile_x, height - tile_y)
        origin_x, origin_y = np.float32(tile_x), np.float32(tile_y)
        done = first
        while done < last:
            count = min(BATCH, last - done)
            gather(pairs, done, count, record_flat, batch)
            for j in range(count):
                r = j * RECORD
                u, v = batch[r] - origin_x, batch[r + 1] - origin_y
                a, k, d = batch[r + 2], batch[r + 3], batch[r + 4]
                lo, z = spread8(batch[r + 5]), spread8(batch[r + 6])
                columns, lines = batch_int[r + 10], batch_int[r + 11]
                bx0 = max((columns & 0xFFFF) - tile_x, 0) >> 2
                bx1 = min((columns >> 16) - tile_x, TILE - 1) >> 2
                by0 = max((lines & 0xFFFF) - tile_y, 0) >> 1
                by1 = min((lines >> 16) - tile_y, TILE - 1) >> 1
                reach = zero
                step = spread8(np.float32(4.0) * a)
                start_x = (ramp_x + (np.float32(bx0 * 4) - u)) * a
                if packed:
                    red, green, blue = spread8(batch[r + 7]), spread8(batch[r + 8]), spread8(batch[r + 9])
                    for by in range(by0, by1 + 1):
                        dy = ramp_y + (np.float32(by * 2) - v)
                        t = start_x + dy * (a * k)
                        top = lo - dy * dy * d
                        base = (by * BLOCKS_X + bx0) * stride
                        for _ in range(bx0, bx1 + 1):
                            q = top - t * t
                            w = min8(exp2_short8(q), most)
                            through = load8(state, base)
                            w = keep_above8(q, q_min, w * through, zero)
                            left = through - w
                            store8(state, base, left)
                            store8(state, base + 8, load8(state, base + 8) + w * z)
                            crossed = keep_above8(through, half, keep_above8(left, half, zero, z), zero)
                            store8(state, base + 16, load8(state, base + 16) + crossed)
                            store8(state, base + 24, load8(state, base + 24) + w * red)
                            store8(state, base + 32, load8(state, base + 32) + w * green)
                            store8(state, base + 40, load8(state, base + 40) + w * blue)
                            reach = max8(reach, w)
                            t = t + step
                            base += stride
                else:
                    splat = np.int64(pairs[done + j] & np.uint64(0xFFFFFFFF))
                    for by in range(by0, by1 + 1):
                        dy = ramp_y + (np.float32(by * 2) - v)
                        t = start_x + dy * (a * k)
                        top = lo - dy * dy * d
                        base = (by * BLOCKS_X + bx0) * stride
                        for _ in range(bx0, bx1 + 1):
                            q = top - t * t
                            w = min8(exp2_short8(q), most)
                            through = load8(state, base)
                            w = keep_above8(q, q_min, w * through, zero)
                            left = through - w
                            store8(state, base, left)
                            store8(state, base + 8, load8(state, base + 8) + w * z)
                            crossed = keep_above8(through, half, keep_above8(left, half, zero, z), zero)
                            store8(state, base + 16, load8(state, base + 16) + crossed)
                            for c in range(channels):
                                at = base + 24 + 8 * c
                                store8(state, at, load8(state, at) + w * features[splat, c])
                            reach = max8(reach, w)
                            t = t + step
                            base += stride
                row_weight[row_of(batch_int, r, tile_x, tile_y)] = largest8(reach)
            done += count
            clearest = load8(state, 0)
            for block in range(1, BLOCKS):
                clearest = max8(clearest, load8(state, block * stride))
            if largest8(clearest) <= OPAQUE:
                break
        stopped[tile] = done
        for j in range(done, last):
            gather(pairs, j, 1, record_flat, batch)
            row_weight[row_of(batch_int, 0, tile_x, tile_y)] = _ZERO
        _write_tile(
            state, stride, tile_x, tile_y, width, height, background, image, alpha_image, depth_image, median_image
        )


@njit(cache=True, nogil=True, error_model="numpy")
def _write_empty(tile_x, tile_y, width, height, background, image, alpha_image, depth_image, median_image):
    """A tile without splats: the background."""
    channels = background.shape[0]
    for y in range(tile_y, min(tile_y + TILE, height)):
        start, end = y * width + tile_x, y * width + min(tile_x + TILE, width)
        alpha_image[start:end] = _ZERO
        depth_image[start:end] = _ZERO
        median_image[start:end] = _ZERO
        for at in range(start, end):
            for c in range(channels):
                image[at * channels + c] = background[c]


@njit(cache=True, nogil=True, error_model="numpy")
def _write_eight(low, state, at, stride, place, background, image, alpha_image, depth_image, median_image):
    """Eight pixels of one row, from the upper (low) or lower rows of the blocks at `at` and beside it, to `place`."""
    other = at + stride
    if low:
        through = low_halves8(load8(state, at), load8(state, other))
        depth = low_halves8(load8(state, at + 8), load8(state, other + 8))
        median = low_halves8(load8(state, at + 16), load8(state, other + 16))
        red = low_halves8(load8(state, at + 24), load8(state, other + 24))
        green = low_halves8(load8(state, at + 32), load8(state, other + 32))
        blue = low_halves8(load8(state, at + 40), load8(state, other + 40))
    else:
        through = high_halves8(load8(state, at), load8(state, other))
        depth = high_halves8(load8(state, at + 8), load8(state, other + 8))
        median = high_halves8(load8(state, at + 16), load8(state, other + 16))
        red = high_halves8(load8(state, at + 24), load8(state, other + 24))
        green = high_halves8(load8(state, at + 32), load8(state, other + 32))
        blue = high_halves8(load8(state, at + 40), load8(state, other + 40))
    alpha, zero = _ONE - through, spread8(_ZERO)
    store8(alpha_image, place, alpha)
    store8(depth_image, place, keep_above8(alpha, zero, depth / alpha, zero))
    store8(median_image, place, median)
    store_triples8(
        image, 3 * place, red + through * background[0], green + through * background[1],
        blue + through * background[2],
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _write_tile(
    state, stride, tile_x, tile_y, width, height, background, image, alpha_image, depth_image, median_image
):
    """Copies a finished tile into the (flat) pictures, over the background."""
    channels = background.shape[0]
    for y in range(tile_y, min(tile_y + TILE, height)):
        row = y - tile_y
        for x in range(tile_x, min(tile_x + TILE, width), 8):
            start = ((row >> 1) * BLOCKS_X + ((x - tile_x) >> 2)) * stride
            if channels == 3 and x + 8 <= width:
                _write_eight(
                    (row & 1) == 0, state, start, stride, y * width + x, background, image, alpha_image, depth_image,
                    median_image,
                )  # fmt: skip
                continue
            for column in range(min(8, width - x)):
                at = start + (column >> 2) * stride + (row & 1) * 4 + (column & 3)
                place = y * width + x + column
                through = state[at]
                alpha = _ONE - through
                alpha_image[place] = alpha
                depth_image[place] = state[at + 8] / alpha if alpha > _ZERO else _ZERO
                median_image[place] = state[at + 16]
                for c in range(channels):
                    image[place * channels + c] = state[at + 24 + 8 * c] + through * background[c]


@njit(cache=True, nogil=True, error_model="numpy")
def largest_weights(record_int, row_weight, first, last, visibility):
    """visibility[first:last]: the largest weight over a splat's rows, 0 for a splat in no tile."""
    for i in range(first, last):
        best = _ZERO
        row = record_int[i * RECORD + 12]
        for r in range(row, row + record_int[i * RECORD + 13]):
            best = max(best, row_weight[r])
        visibility[i] = best
