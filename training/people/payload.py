"""What training eats: a person's photo and views as compact arrays, streamed by two processes in the order of seeds."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluate.subject import View
from pipelines.geometry.cameras import Camera
from pipelines.records import Body, to_bytes

PHOTO_SIDE = 384


@dataclass(frozen=True)
class Stack:
    """M pictures of S x S (or one of H x W). rgba (M, H, W, 4) uint8, straight; first, last (M, H, W) float16 metres,
    0 outside; normal (M, H, W, 3) int8, unit x 127, display frame; label (M, H, W) uint8; uv (M, H, W, 2) uint8."""

    rgba: NDArray[np.uint8]
    first: NDArray[np.float16]
    last: NDArray[np.float16]
    normal: NDArray[np.int8]
    label: NDArray[np.uint8]
    uv: NDArray[np.uint8]
    cameras: tuple[Camera, ...]

    @classmethod
    def of(cls, views: tuple[View, ...]) -> Stack:
        """From records of one size. Depth in half precision is good to 1 mm at 2 m."""
        return cls(
            np.stack([to_bytes(v.rgba) for v in views]), np.stack([v.first.astype(np.float16) for v in views]),
            np.stack([v.last.astype(np.float16) for v in views]),
            np.stack([np.round(v.normal * 127).astype(np.int8) for v in views]), np.stack([v.label for v in views]),
            np.stack([(v.uv * 255).astype(np.uint8) for v in views]), tuple(v.camera for v in views),
        )  # fmt: skip


@dataclass(frozen=True)
class Payload:
    """pixels (H, W, 3) uint8: the photo as a camera gives it, without JPEG. photo: its truth, a stack of one. views:
    HGM's cameras. body: the true body in the photo's camera. facts: as `Subject.facts`."""

    seed: int
    pixels: NDArray[np.uint8]
    photo: Stack
    views: Stack
    body: Body
    label_names: tuple[str, ...]
    facts: dict[str, Any]


def payload(seed: int, views: int = 12, size: int = 256, photo_side: int = PHOTO_SIDE) -> Payload:
    """One person for training. photo_side: long side of the photo in pixels."""
    from training.people.subjects import portrait
    from training.people.truth import seen_by

    made = portrait(seed, long_side=photo_side)
    body = seen_by(made.figure.body, made.shot.camera)
    return Payload(seed, made.pixels, Stack.of((made.photo,)), Stack.of(made.views(views, size)), body,
                   made.scene.label_names, made.facts)  # fmt: skip


def stream(
    seeds: Iterable[int], *, views: int = 12, size: int = 256, photo_side: int = PHOTO_SIDE, processes: int = 2,
    ahead: int = 6,
) -> Iterator[Payload]:  # fmt: skip
    """People in the order of `seeds`. processes: 0 makes them here. ahead: how many are made before they are asked for.

    A person that cannot be made raises here, with its own error; nothing is left out in silence.
    """
    rest = iter(seeds)
    if processes == 0:
        for seed in rest:
            yield payload(seed, views, size, photo_side)
        return
    # Spawned, not forked: torch's and numba's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context) as pool:
        waiting: deque[Future[Payload]] = deque()
        with one_thread():  # the processes start at the first submissions and inherit it
            for seed in islice(rest, max(ahead, processes)):
                waiting.append(pool.submit(payload, seed, views, size, photo_side))
        while waiting:
            made = waiting.popleft().result()
            for seed in islice(rest, 1):
                waiting.append(pool.submit(payload, seed, views, size, photo_side))
            yield made


@contextmanager
def one_thread() -> Iterator[None]:
    """Processes started inside use one thread each: as many processes as cores is all the parallelism there is."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
