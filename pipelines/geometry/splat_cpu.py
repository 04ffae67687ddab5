"""The CPU backend of the splat rasteriser: runs the kernels of one frame, forward and backward, on numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.splat_blend import RAMPS, blend, largest_weights
from pipelines.geometry.splat_blend_back import blend_back
from pipelines.geometry.splat_project import ALPHA_MAX, CAMERA, RECORD, TILE, project
from pipelines.geometry.splat_project_back import MOMENTS, project_back
from pipelines.geometry.splat_threads import parallel_lock, share, thread_count
from pipelines.geometry.splat_tiles import place, scatter

Array = NDArray[np.float32]

_ALONE = 2000  # fewer splats than this do not repay a second thread
_CHUNK = 8192  # splats whose camera gradients are summed together, whatever the number of threads
_NONE = np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class Splatting:
    """The inputs of a frame: contiguous float32, means (N, 3), quats (N, 4), scales (N, 3), opacities (N,),
    features (N, C), camera from `splat_project.pack_camera`. alpha_max: the most that one splat may cover."""

    means: Array
    quats: Array
    scales: Array
    opacities: Array
    features: Array
    camera: Array
    width: int
    height: int
    alpha_max: np.float32 = ALPHA_MAX


@dataclass(frozen=True)
class Frame:
    """A rendered frame with what its backward pass needs. Pictures (H, W, C) and (H, W); visibility (N,)."""

    given: Splatting
    image: Array
    alpha: Array
    depth: Array
    median_depth: Array
    visibility: Array
    dropped: int
    record: Array  # flat, RECORD floats a splat
    pairs: NDArray[np.uint64]
    starts: NDArray[np.int64]
    stopped: NDArray[np.int64]


@dataclass(frozen=True)
class Gradients:
    """dL/d of the inputs; camera (16,) float64 = rotation row by row, shift, fx fy cx cy."""

    means: Array
    quats: Array
    scales: Array
    opacities: Array
    features: Array
    camera: NDArray[np.float64]


def _cache_aligned(size: int) -> Array:
    """Uninitialised float32 array that starts at a cache line, so that a record lies in one."""
    room = np.empty(size + 16, np.float32)
    start = (-room.ctypes.data % 64) // 4
    return room[start : start + size]


def forward(given: Splatting, background: Array) -> Frame:
    """Renders one frame over background (C,)."""
    count, width, height = len(given.means), given.width, given.height
    channels = given.features.shape[1]
    tiles_x, tiles_y = -(-width // TILE), -(-height // TILE)
    assert given.camera.shape == (CAMERA,)
    threads = thread_count() if count >= _ALONE else 1
    edges = [count * t // threads for t in range(threads + 1)]
    record = _cache_aligned(count * RECORD)
    record_int = record.view(np.int32)
    counts = np.zeros((threads, tiles_x * tiles_y), np.int64)
    tally = np.zeros((threads, 2), np.int64)
    starts = np.empty(tiles_x * tiles_y + 1, np.int64)
    stopped = np.empty(tiles_x * tiles_y, np.int64)
    next_tile = np.zeros(1, np.int64)
    image = np.empty((height, width, channels), np.float32)
    alpha, depth, median = (np.empty((height, width), np.float32) for _ in range(3))
    visibility = np.empty(count, np.float32)

    def project_share(t: int) -> None:
        project(
            given.means.reshape(-1), given.quats.reshape(-1), given.scales.reshape(-1), given.opacities,
            given.features.reshape(-1), channels, given.camera, width, height, edges[t], edges[t + 1], record,
            record_int, counts[t], tally[t],
        )  # fmt: skip

    with parallel_lock:
        share(project_share, threads)
        pair_count = int(tally[:, 1].sum())
        place(counts, tally, starts)
        pairs = np.empty(pair_count, np.uint64)
        row_weight = np.empty(pair_count, np.float32)

        def scatter_share(t: int) -> None:
            scatter(record_int, edges[t], edges[t + 1], tiles_x, counts[t], tally[t, 1], pairs)

        def blend_share(_: int) -> None:
            blend(
                pairs, starts, record, given.features, background, RAMPS, given.alpha_max, width, height, next_tile,
                stopped, image.reshape(-1), alpha.reshape(-1), depth.reshape(-1), median.reshape(-1), row_weight,
            )  # fmt: skip

        share(scatter_share, threads)
        share(blend_share, threads)
        share(lambda t: largest_weights(record_int, row_weight, edges[t], edges[t + 1], visibility), threads)
    return Frame(given, image, alpha, depth, median, visibility, int(tally[:, 0].sum()), record, pairs, starts, stopped)


def backward(frame: Frame, g_image: Array, g_alpha: Array | None, g_depth: Array | None) -> Gradients:
    """Gradients of a loss from those of the pictures: (H, W, C), (H, W) or None, (H, W) or None."""
    given = frame.given
    count, channels = given.features.shape
    threads = thread_count() if count >= _ALONE else 1
    rows = np.empty((len(frame.pairs), MOMENTS + channels), np.float32)
    next_tile = np.zeros(1, np.int64)
    record_int = frame.record.view(np.int32)
    chunks = -(-count // _CHUNK)
    g_camera = np.zeros((chunks, 16), np.float64)
    result = Gradients(
        np.empty((count, 3), np.float32),
        np.empty((count, 4), np.float32),
        np.empty((count, 3), np.float32),
        np.empty(count, np.float32),
        np.empty((count, channels), np.float32),
        np.zeros(16, np.float64),
    )

    def blend_share(_: int) -> None:
        blend_back(
            frame.pairs, frame.starts, frame.stopped, frame.record, given.features, RAMPS, given.alpha_max, given.width,
            given.height, next_tile, frame.image, frame.alpha, frame.depth, g_image,
            _NONE if g_alpha is None else g_alpha, _NONE if g_depth is None else g_depth, rows,
        )  # fmt: skip

    def project_share(t: int) -> None:
        for chunk in range(t, chunks, threads):
            project_back(
                given.means.reshape(-1), given.quats.reshape(-1), given.scales.reshape(-1), given.opacities,
                given.camera, frame.record, record_int, rows, chunk * _CHUNK, min(count, (chunk + 1) * _CHUNK),
                result.means.reshape(-1), result.quats.reshape(-1), result.scales.reshape(-1), result.opacities,
                result.features, g_camera[chunk],
            )  # fmt: skip

    with parallel_lock:
        share(blend_share, threads)
        share(project_share, threads)
    result.camera[:] = g_camera.sum(0)
    return result
