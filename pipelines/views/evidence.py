"""Views reduced to working size: masks, normals and pinhole cameras, as the carving steps use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.views.records import PosedView


@dataclass(frozen=True)
class Clue:
    """One view at working size. mask: (h, w) bool. normal: (h, w, 3) unit in the display frame, or None. colour:
    (h, w, 3) 0..1, 0 outside."""

    mask: NDArray[np.bool_]
    normal: NDArray[np.float32] | None
    camera: Camera
    colour: NDArray[np.float32]


def clue_of(view: PosedView, rows: int) -> Clue:
    """A view with about `rows` pixels from the person's head to foot."""
    tall = np.flatnonzero(view.mask.any(1))
    factor = min(rows / max(int(np.ptp(tall)) + 1, 1), 1.0)
    size = (max(round(view.mask.shape[1] * factor), 8), max(round(view.mask.shape[0] * factor), 8))
    mask = cv2.resize(view.mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    normal = None
    if view.normal is not None:
        mean = np.asarray(cv2.resize(view.normal, size, interpolation=cv2.INTER_AREA), np.float32)
        length = np.linalg.norm(mean, axis=-1, keepdims=True)
        normal = np.where(mask[..., None] & (length > 0.05), mean / np.maximum(length, 1e-6), 0.0).astype(np.float32)
    alpha = view.rgba[..., 3:]
    mixed = np.asarray(cv2.resize(view.rgba[..., :3] * alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    cover = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)[..., None]
    colour = np.where(mask[..., None], mixed / np.maximum(cover, 1e-3), 0.0).astype(np.float32)
    return Clue(mask, normal, view.pinhole.resized(*size), colour)


def clues_of(views: Sequence[PosedView], rows: int) -> list[Clue]:
    """All views at working size."""
    return [clue_of(view, rows) for view in views]


def facing_pairs(clues: Sequence[Clue]) -> list[tuple[int, ...]]:
    """Views with normals, each with the view that looks at it from the opposite side, if there is one."""
    left = [i for i, c in enumerate(clues) if c.normal is not None]
    groups: list[tuple[int, ...]] = []
    while left:
        i = left.pop(0)
        axis = clues[i].camera.world_to_camera[2, :3]
        partner = next((j for j in left if clues[j].camera.world_to_camera[2, :3] @ axis < -0.9999), None)
        if partner is None:
            groups.append((i,))
        else:
            left.remove(partner)
            groups.append((i, partner))
    return groups
