"""The single-shot detectors: anchors, box decoding and score-weighted merging (Bazarevsky et al., BlazeFace)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from pipelines.landmarks.graph import network, sigmoid
from pipelines.landmarks.square import Square, cut, transform

MERGE_OVERLAP = 0.3  # boxes that overlap by more belong to the same thing


@dataclass(frozen=True)
class Finding:
    """One detection: score 0..1, box (4,) left, top, right, bottom and points (K, 2), all in photo pixels.

    The box is upright in the square that was searched, so for a rotated square it is the box of its corners.
    """

    score: float
    box: np.ndarray
    points: np.ndarray


@dataclass(frozen=True)
class Detector:
    """Name of the network, the strides of its layers (two anchors per cell and layer), least score accepted."""

    name: str
    strides: tuple[int, ...]
    threshold: float = 0.5

    def find(self, rgb: np.ndarray, square: Square) -> list[Finding]:
        """Everything found in a square of the photo (H, W, 3), best score first; outside the photo is black."""
        run = network(self.name)
        size = run.input_size[0]
        out = run(cut(rgb, square, size))
        scores = sigmoid(out["scores"][:, 0])
        good = scores >= self.threshold
        if not good.any():
            return []
        rows = out["boxes"][good].astype(np.float64).reshape(int(good.sum()), -1, 2) / size
        centre = anchors(size, self.strides)[good]
        points = rows[:, 2:] + centre[:, None]
        middle, half = rows[:, 0] + centre, rows[:, 1] / 2
        boxes = np.concatenate([middle - half, middle + half], axis=1)
        to_photo = square.photo_from_unit()
        found = []
        for score, box, marks in merge(scores[good], boxes, points):
            corners = transform(to_photo, box[[[0, 1], [2, 1], [2, 3], [0, 3]]])
            found.append(Finding(score, np.concatenate([corners.min(0), corners.max(0)]), transform(to_photo, marks)))
        return found


@cache
def anchors(size: int, strides: tuple[int, ...]) -> np.ndarray:
    """(N, 2) anchor centres in 0..1; neighbouring layers of one stride share a cell's place in the order."""
    parts = []
    for stride in dict.fromkeys(strides):
        cells = -(-size // stride)
        y, x = np.mgrid[0:cells, 0:cells]
        grid = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) / cells
        parts.append(np.repeat(grid, 2 * strides.count(stride), axis=0))
    return np.concatenate(parts)


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) with others (N, 4)."""
    inner = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.clip(inner, 0, None).prod(1)
    area = np.clip(others[:, 2:] - others[:, :2], 0, None).prod(1)
    own = np.clip(box[2:] - box[:2], 0, None).prod()
    return common / np.maximum(own + area - common, 1e-12)


def merge(scores: np.ndarray, boxes: np.ndarray, points: np.ndarray) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Weighted non-maximum suppression: each best box becomes the score-weighted mean of those it overlaps.

    scores (N,), boxes (N, 4), points (N, K, 2) -> [(score of the best, box, points)], best first.
    """
    order = np.argsort(-scores, kind="stable")
    merged = []
    while len(order):
        same = overlap(boxes[order[0]], boxes[order]) > MERGE_OVERLAP
        same[0] = True
        group, order = order[same], order[~same]
        weight = scores[group] / scores[group].sum()
        merged.append((float(scores[group[0]]), weight @ boxes[group], np.tensordot(weight, points[group], axes=1)))
    return merged
