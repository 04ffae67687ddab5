"""Puts projected splats into 32 x 32 pixel tiles and sorts every tile by depth.

A pair is one uint64: the bits of the float32 depth above, the splat's number below, so that sorting pairs sorts
by depth and equal depths stay in the order of the input. Counting comes first (`splat_project.project`), each
thread then drops its pairs into their tiles, and each tile sorts its own pairs while it blends: no global sort,
and the order does not depend on the number of threads.
"""

# mypy: disable-error-code="no-untyped-def,assignment"
# Kernels are typed by numba from what they are called with; mypy cannot see the vector operations.
from __future__ import annotations

import numpy as np
from numba import njit

from pipelines.geometry.splat_project import RECORD, TILE_SHIFT

BUCKETS = 1 << 11
_FEW = 24  # below this an insertion sort is quicker than histograms


@njit(cache=True, nogil=True, error_model="numpy")
def place(counts, tally, starts):
    """Turns counts (threads, tiles) into each thread's first free place in each tile, and fills starts (tiles + 1).

    tally (threads, 2): column 1 turns from the number of pairs into each thread's first gradient row.
    """
    threads, tiles = counts.shape
    total = 0
    for tile in range(tiles):
        starts[tile] = total
        for t in range(threads):
            count = counts[t, tile]
            counts[t, tile] = total
            total += count
    starts[tiles] = total
    row = 0
    for t in range(threads):
        pairs = tally[t, 1]
        tally[t, 1] = row
        row += pairs


@njit(cache=True, nogil=True, error_model="numpy")
def scatter(record_int, first, last, tiles_x, free, row, pairs):
    """Writes the pairs of splats first..last into their tiles and numbers their gradient rows from `row`."""
    for i in range(first, last):
        at = i * RECORD
        tiles = record_int[at + 13]
        if tiles == 0:
            continue
        record_int[at + 12] = row
        row += tiles
        pair = (np.uint64(record_int[at + 6]) << np.uint64(32)) | np.uint64(i)
        columns, lines = record_int[at + 10], record_int[at + 11]
        x0, x1 = (columns & 0xFFFF) >> TILE_SHIFT, columns >> (16 + TILE_SHIFT)
        y0, y1 = (lines & 0xFFFF) >> TILE_SHIFT, lines >> (16 + TILE_SHIFT)
        for ty in range(y0, y1 + 1):
            for tx in range(x0, x1 + 1):
                tile = ty * tiles_x + tx
                place_ = free[tile]
                free[tile] = place_ + 1
                pairs[place_] = pair


@njit(cache=True, nogil=True, error_model="numpy")
def sort_tile(pairs, first, last, spare, buckets):
    """Sorts pairs[first:last] by depth, stable; spare holds at least as many, buckets BUCKETS int64."""
    count = last - first
    if count <= _FEW:
        for i in range(first + 1, last):
            pair = pairs[i]
            j = i - 1
            while j >= first and pairs[j] > pair:
                pairs[j + 1] = pairs[j]
                j -= 1
            pairs[j + 1] = pair
        return
    low, high = pairs[first] >> np.uint64(32), pairs[first] >> np.uint64(32)
    for i in range(first, last):
        key = pairs[i] >> np.uint64(32)
        low, high = min(low, key), max(high, key)
    # Few buckets for short lists, whose cost is clearing them; few passes for long ones.
    widest = 11 if count > 700 else 8
    bits = 0
    while (high - low) >> np.uint64(bits) > np.uint64(0):
        bits += 1
    passes = (bits + widest - 1) // widest
    digit = (bits + passes - 1) // max(passes, 1)
    for number in range(passes):
        buckets[: 1 << digit] = 0
        if number % 2 == 0:
            _pass(pairs, first, spare, 0, count, low, number * digit, digit, buckets)
        else:
            _pass(spare, 0, pairs, first, count, low, number * digit, digit, buckets)
    if passes % 2 == 1:
        for i in range(count):
            pairs[first + i] = spare[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _pass(source, s, target, t, count, low, shift, digit, buckets):
    """One counting pass of the radix sort over `digit` bits, from bit `shift` on, of depth - low."""
    mask, down = np.uint64((1 << digit) - 1), np.uint64(32)
    skip = np.uint64(shift)
    for i in range(count):
        buckets[np.int64((((source[s + i] >> down) - low) >> skip) & mask)] += 1
    total = 0
    for b in range(1 << digit):
        many = buckets[b]
        buckets[b] = total
        total += many
    for i in range(count):
        pair = source[s + i]
        b = np.int64((((pair >> down) - low) >> skip) & mask)
        target[t + buckets[b]] = pair
        buckets[b] += 1
