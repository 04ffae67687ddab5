"""Pixels that float in the air come to rest on a surface; thin sheets stay where they are."""

from __future__ import annotations

import numpy as np

from pipelines.geometry.cameras import Camera
from pipelines.projection.support import settled, sheets


def test_floating_pixels_come_to_rest_and_thin_sheets_stay() -> None:
    camera = Camera(np.array([[250.0, 0, 50], [0, 250.0, 50], [0, 0, 1]]), 100, 100, np.eye(4))
    mask = np.zeros((100, 100), bool)
    mask[10:90, 10:90] = True
    depth = np.where(np.arange(100)[None] < 50, 1.0, 1.4) * np.ones((100, 1))
    front = np.where(mask, depth, 0).astype(np.float32)
    # Far from the surface: a large flat sheet, and a ramp of one row between the two halves.
    front[20:40, 12:40] = 0.9
    front[70, 45:55] = np.linspace(1.05, 1.35, 10)
    back = np.where(mask, depth + 0.1, 0).astype(np.float32)
    rows, columns = np.nonzero(mask)
    pixels = np.stack([columns, rows], 1) + 0.5
    surface = np.concatenate([camera.unproject(pixels, (depth + shift)[mask]) for shift in (0.0, 0.1)])
    made = settled({"mask": mask, "front": front, "back": back}, camera, surface, 0.01)
    assert (made["front"][21:39, 13:39] == front[21:39, 13:39]).all()
    ramp = made["front"][70, 45:55]
    assert (np.minimum(np.abs(ramp - 1.0), np.abs(ramp - 1.4)) < 1e-6).all()
    assert (made["back"] == back).all()


def test_a_sheet_needs_some_size() -> None:
    depth = np.ones((60, 60), np.float32)
    depth[10:14, 10:14], depth[20:50, 20:50] = 2.0, 3.0
    found = sheets(depth, np.ones((60, 60), bool), np.full((60, 60), 0.002, np.float32))
    assert not found[10:14, 10:14].any() and found[21:49, 21:49].all() and found[:9, 1:-1].all()
