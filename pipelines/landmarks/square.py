"""Rotated squares of a photo and the pictures cut from them.

A network looks at a square of the photo. Coordinates are continuous: pixel i covers i..i+1, its centre lies at
i + 0.5, in the photo and in the cut picture alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Square:
    """A square region of a photo: centre (x, y) and side in photo pixels, rotation in radians.

    A positive rotation turns the square clockwise as seen on the screen: its own "up" points to the photo's right
    at +90 degrees. Raises ValueError when a number is not finite or the side is not positive.
    """

    x: float
    y: float
    side: float
    rotation: float = 0.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.x, self.y, self.side, self.rotation)) or self.side <= 0:
            raise ValueError(f"A square needs a finite centre and a positive side, got {self}.")

    def photo_from_unit(self) -> np.ndarray:
        """(2, 3) affine from the unit square (0..1, y down) to photo pixels."""
        cos, sin = math.cos(self.rotation) * self.side, math.sin(self.rotation) * self.side
        return np.array([[cos, -sin, self.x - 0.5 * (cos - sin)], [sin, cos, self.y - 0.5 * (sin + cos)]])

    def affine(self, width: int, height: int) -> np.ndarray:
        """(2, 3) affine from photo pixels to the pixels of a cut picture of that size."""
        unit = invert(self.photo_from_unit())
        return np.diag([width, height]).astype(float) @ unit

    def corners(self) -> np.ndarray:
        """(4, 2) corners in photo pixels: top left, top right, bottom right, bottom left of the cut picture."""
        return transform(self.photo_from_unit(), np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float))

    def scaled(self, factor: float, shift_y: float = 0.0) -> Square:
        """The square grown by `factor` after moving by `shift_y` sides along its own downward axis."""
        step = shift_y * self.side
        return Square(
            self.x - math.sin(self.rotation) * step,
            self.y + math.cos(self.rotation) * step,
            self.side * factor,
            self.rotation,
        )


def upright_rotation(start: np.ndarray, end: np.ndarray) -> float:
    """Rotation (radians, -pi..pi) of the square in which the vector start -> end points up."""
    dx, dy = float(end[0] - start[0]), float(end[1] - start[1])
    return wrap(math.pi / 2 - math.atan2(-dy, dx))


def wrap(angle: float) -> float:
    """The same angle within -pi..pi."""
    return angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))


def invert(affine: np.ndarray) -> np.ndarray:
    """Inverse of a (2, 3) affine."""
    linear = np.linalg.inv(affine[:, :2])
    return np.concatenate([linear, -linear @ affine[:, 2:]], axis=1)


def transform(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N, 2) points through a (2, 3) affine."""
    return points @ affine[:, :2].T + affine[:, 2]


def turn(points: np.ndarray, angle: float) -> np.ndarray:
    """(N, 3) points turned about z, so that what a rotated square saw stands as in the photo."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1.0]])


def cut(rgb: np.ndarray, square: Square, size: int) -> np.ndarray:
    """(size, size, 3) picture of the square, bilinear, black outside the photo.

    rgb: (H, W, 3) float32. A square larger than twice `size` is first reduced by averaging whole blocks of pixels,
    because bilinear sampling alone would alias and make masks ragged.
    """
    height, width = rgb.shape[:2]
    factor = max(1, int(square.side // size))
    affine = square.affine(size, size)
    if factor > 1:
        corners = square.corners()
        left, top = np.maximum(np.floor(corners.min(0) / factor).astype(int), 0) * factor
        right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int) + factor, (width, height))
        if right - left < factor or bottom - top < factor:
            return np.zeros((size, size, 3), np.float32)
        columns, rows = (right - left) // factor, (bottom - top) // factor
        part = rgb[top : top + rows * factor, left : left + columns * factor]
        rgb = cv2.resize(part, (int(columns), int(rows)), interpolation=cv2.INTER_AREA)
        affine = affine @ np.array([[factor, 0, left], [0, factor, top], [0, 0, 1.0]])
    return cv2.warpAffine(
        np.ascontiguousarray(rgb, np.float32),
        to_centres(affine),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0.0, 0.0, 0.0),
    )


def to_centres(affine: np.ndarray) -> np.ndarray:
    """The same affine for OpenCV, whose pixel centres lie at integers on both sides."""
    moved = affine.copy()
    moved[:, 2] += 0.5 * affine[:, :2].sum(1) - 0.5
    return moved


def check_rgb(rgb: np.ndarray) -> None:
    """ValueError unless rgb is (H, W, 3) float in 0..1 and at least one pixel large."""
    if rgb.ndim != 3 or rgb.shape[2] != 3 or not np.issubdtype(rgb.dtype, np.floating) or rgb.size == 0:
        raise ValueError(
            f"A picture must be (height, width, 3) float RGB in 0..1, got shape {rgb.shape}, type {rgb.dtype}."
        )
