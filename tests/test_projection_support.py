"""Pixels that float in the air come to rest on a surface; thin sheets stay where they are."""

from __future__ import annotations

import numpy as np

from pipelines.geometry.cameras import Camera
from pipelines.projection.support import settled, sheets


def sheets_of(camera: Camera, mask: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two surfaces, at a depth and 10 cm behind it, torn where the depth jumps; their corners are pixel centres."""
    rows, columns = np.nonzero(mask)
    pixels = np.stack([columns, rows], 1) + 0.5
    number = np.full(mask.shape, -1)
    number[rows, columns] = np.arange(len(rows))
    corners = [number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]]
    depths = np.stack([depth[:-1, :-1], depth[:-1, 1:], depth[1:, 1:], depth[1:, :-1]])
    whole = (np.stack(corners) >= 0).all(0) & (np.ptp(depths, axis=0) < 0.01)
    a, b, c, d = (corner[whole] for corner in corners)
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    vertices = [camera.unproject(pixels, (depth + shift)[mask]) for shift in (0.0, 0.1)]
    return np.concatenate(vertices), np.concatenate([faces, faces + len(rows)]).astype(np.int32)


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
    surface = sheets_of(camera, mask, depth)
    made = settled({"mask": mask, "front": front, "back": back}, camera, surface, 0.01)
    assert (made["front"][21:39, 13:39] == front[21:39, 13:39]).all()
    ramp = made["front"][70, 45:55]
    assert (np.minimum(np.abs(ramp - 1.0), np.abs(ramp - 1.4)) < 1e-6).all()
    assert np.abs(made["back"] - back)[mask].max() < 1e-6


def test_a_sheet_needs_some_size() -> None:
    depth = np.ones((60, 60), np.float32)
    depth[10:14, 10:14], depth[20:50, 20:50] = 2.0, 3.0
    found = sheets(depth, np.ones((60, 60), bool), np.full((60, 60), 0.002, np.float32))
    assert not found[10:14, 10:14].any() and found[21:49, 21:49].all() and found[:9, 1:-1].all()


def test_a_pixel_off_the_surface_comes_to_it_and_one_within_its_roughness_stays() -> None:
    camera = Camera(np.array([[250.0, 0, 50], [0, 250.0, 50], [0, 0, 1]]), 100, 100, np.eye(4))
    mask = np.zeros((100, 100), bool)
    mask[10:90, 10:90] = True
    depth = np.where(np.arange(100)[None] < 50, 1.0, 1.4) * np.ones((100, 1))
    front = np.where(mask, depth, 0).astype(np.float32)
    # A column beside the edge as a splat grid's interpolation leaves it, and fine relief of a fold.
    front[20:80, 50] = 1.392
    front[30:60, 20:40] += 0.002 * (np.arange(20) % 2)
    made = settled({"mask": mask, "front": front, "back": front + 0.1}, camera, sheets_of(camera, mask, depth), 0.01)
    assert np.abs(made["front"][20:80, 51:80] - 1.4).max() < 1e-6
    assert np.abs(made["front"][20:80, 50] - 1.4).max() < 1e-3
    assert (made["front"][30:60, 20:40] == front[30:60, 20:40]).all()
