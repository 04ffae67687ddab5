"""Sheets of turned frames: one picture that holds many, six square frames in a row, for viewers without WebGL."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.geometry.cameras import Camera
from pipelines.records import Body, to_bytes
from ui.inspect_photo import webp

COLUMNS = 6  # assets/style/solid.js and fit.js count on it
FRAMES = COLUMNS * max(1, int(os.environ.get("HUMANSCOPE_FRAMES", 36)) // COLUMNS)  # of one turn
FRAME_PIXELS = 448
MARGIN = 0.06  # of the frame, around what it shows

Picture = NDArray[np.float32]


def sheet(frames: Sequence[NDArray[np.floating]], side: int = FRAME_PIXELS) -> bytes:
    """Square frames (S, S, 4) 0..1 -> WEBP of a sheet. The number of frames is a multiple of six."""
    if len(frames) % COLUMNS or not frames:
        raise ValueError(f"A sheet came with {len(frames)} frames; it needs a multiple of {COLUMNS}.")
    rows = len(frames) // COLUMNS
    paper = Image.new("RGBA", (COLUMNS * side, rows * side))
    for i, frame in enumerate(frames):
        picture = Image.fromarray(to_bytes(frame))
        if picture.size != (side, side):
            picture = picture.resize((side, side), Image.Resampling.LANCZOS)
        paper.paste(picture, (side * (i % COLUMNS), side * (i // COLUMNS)))
    return webp(paper, limit=COLUMNS * side * max(1, rows), quality=82)


def turned(
    points: NDArray[np.floating], body: Body | None, draw: Callable[[Camera], Picture], count: int = FRAMES
) -> bytes:
    """The sheet of one turn around the person. points: (N, 3) world, what must be in the frame. draw: a square
    camera -> (S, S, 4)."""
    return sheet([draw(camera) for camera in cameras_around(points, body, count)])


def cameras_around(points: NDArray[np.floating], body: Body | None, count: int = FRAMES) -> list[Camera]:
    """`count` square cameras on a circle, all through one window that holds the points from every side.

    The lens and the height are those of the photo's camera; without a body, a camera in front of the person.
    """
    low, high = np.percentile(points, 0.2, axis=0), np.percentile(points, 99.8, axis=0)
    if body is not None:
        from pipelines.export.bundle import pivot

        base, middle = body.camera.square(1024), pivot(body)
    else:
        middle = (low + high) / 2
        base = _front_camera(middle, float(np.linalg.norm(high - low)))
    around = [base.orbited(360.0 * i / count, None, middle) for i in range(count)]
    sample = points[:: max(1, len(points) // 4000)]
    sample = sample[((sample >= low) & (sample <= high)).all(1)] if len(sample) > 50 else sample
    pixels = np.concatenate([camera.project(sample)[0] for camera in around])
    left, top = pixels.min(0)
    right, bottom = pixels.max(0)
    side = int(np.ceil(max(right - left, bottom - top) * (1 + 2 * MARGIN))) + 2
    x, y = round((left + right - side) / 2), round((top + bottom - side) / 2)
    return [camera.cropped(x, y, side, side).resized(FRAME_PIXELS, FRAME_PIXELS) for camera in around]


def common_square(images: NDArray[np.floating]) -> tuple[int, int, int]:
    """Frames (M, H, W, 4) -> left, top and side of the square that holds what is opaque in any of them."""
    opaque = images[..., 3].max(0) > 0.02
    if not opaque.any():
        return 0, 0, max(images.shape[1:3])
    rows, columns = np.flatnonzero(opaque.any(1)), np.flatnonzero(opaque.any(0))
    high, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    side = int(np.ceil(max(high, wide) * (1 + 2 * MARGIN)))
    return int((columns[0] + columns[-1] + 1 - side) // 2), int((rows[0] + rows[-1] + 1 - side) // 2), side


def cut(image: NDArray[np.floating], left: int, top: int, side: int) -> Picture:
    """A square window of (H, W, C), empty where it reaches outside."""
    out = np.zeros((side, side, image.shape[2]), np.float32)
    high, wide = image.shape[:2]
    y0, y1, x0, x1 = max(top, 0), min(top + side, high), max(left, 0), min(left + side, wide)
    if y1 > y0 and x1 > x0:
        out[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return out


def _front_camera(middle: NDArray[np.floating], size: float) -> Camera:
    from pipelines.geometry.cameras import intrinsics, look_at

    matrix = look_at(middle, 2.5 * max(size, 1e-3), 0.0, 0.0)
    return Camera(intrinsics(1024, 1024, 40.0), 1024, 1024, matrix)
