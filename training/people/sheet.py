"""Contact sheets: many people side by side, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.records import to_bytes
from training.people.subjects import portrait

CELL = (240, 320)  # width and height of one person
COLUMNS = 8


def photo_sheet(seeds: Sequence[int], columns: int = COLUMNS) -> NDArray[np.uint8]:
    """The photos of people, as a camera gave them, each fitted into a cell."""
    return _tiled([_fitted(portrait(seed).pixels) for seed in seeds], columns)


def turn_sheet(seeds: Sequence[int], views: int = 6, size: int = 256) -> NDArray[np.uint8]:
    """One row per person: the photo, then pictures from all sides on grey."""
    rows = []
    for seed in seeds:
        made = portrait(seed, long_side=768)
        cells = [_fitted(made.pixels, size, size)]
        for view in made.views(views, size):
            alpha = view.rgba[..., 3:]
            cells.append(to_bytes(view.rgba[..., :3] * alpha + 0.82 * (1 - alpha)))
        rows.append(np.hstack(cells))
    return np.vstack(rows)


def _fitted(pixels: NDArray[np.uint8], width: int = CELL[0], height: int = CELL[1]) -> NDArray[np.uint8]:
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    size = (max(round(pixels.shape[1] * scale), 1), max(round(pixels.shape[0] * scale), 1))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    cell = np.full((height, width, 3), 24, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = small
    return cell


def _tiled(cells: list[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    while len(cells) % columns:
        cells.append(np.full_like(cells[0], 24))
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return np.vstack(rows)


def write_sheet(seeds: Sequence[int], path: Path) -> None:
    """The photos of people as one PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo_sheet(seeds)).save(path)
