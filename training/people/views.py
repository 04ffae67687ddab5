"""Cameras of the truth: HGM's twelve around the person, and the photo's own, placed as people hold a phone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera, look_at

Array = NDArray[np.float64]
# HGM's data set: focal length 409 px at 512 px, circle of 2 m around the pelvis, elevation 0.
HGM_FOCAL, HGM_SIZE, HGM_RADIUS = 409.0, 512, 2.0
SHAPES = ((0.75, 0.42), (2 / 3, 0.2), (9 / 16, 0.16), (1.0, 0.1), (4 / 3, 0.12))  # width / height and its share
HEIGHTS, UPRIGHT_HEIGHT = (0.75, 1.75), 1.35


def orbit(pelvis: Array, azimuth: float, count: int, size: int) -> tuple[Camera, ...]:
    """HGM's cameras: `count` on the circle, the first at `azimuth` degrees (the photo's side), then towards +x.

    pelvis (3,) metres, display frame; it is at the middle of every picture. size: pixels.
    """
    focal = HGM_FOCAL * size / HGM_SIZE
    K = np.array([[focal, 0.0, size / 2], [0.0, focal, size / 2], [0.0, 0.0, 1.0]])
    return tuple(
        Camera(K, size, size, look_at(pelvis, HGM_RADIUS, azimuth + 360.0 * k / count, 0.0)) for k in range(count)
    )


@dataclass(frozen=True)
class Shot:
    """A photo's camera and what was meant by it. cut: '', 'feet' or 'knees'."""

    camera: Camera
    azimuth: float
    fov: float
    fill: float
    cut: str
    roll: float


def shot(
    rng: np.random.Generator, points: Array, azimuth: float | None, long_side: int | None = None, standing: float = 0.0
) -> Shot:  # fmt: skip
    """The photo's camera: 25-65 degrees over the long side, phone heights and pitches, 60-95 % of the height filled.

    points (N, 3): the person, display frame. azimuth: degrees, or None to draw one (people are mostly seen from the
    front). long_side: pixels, or None to draw 768-1280. standing: metres; who squats is not photographed as closely as
    if that were all of the person.
    """
    fov = float(np.clip(rng.normal(44.0, 11.0), 25.0, 65.0))
    kind = rng.random()
    drawn = rng.normal(0, 22) if kind < 0.55 else rng.uniform(-80, 80) if kind < 0.82 else rng.uniform(-180, 180)
    azimuth = float(drawn if azimuth is None else azimuth)
    chance = np.array([share for _, share in SHAPES])
    aspect = SHAPES[int(rng.choice(len(SHAPES), p=chance / chance.sum()))][0]
    longest = int(rng.integers(768, 1281)) // 2 * 2
    longest = longest if long_side is None else long_side
    width, height = (round(longest * aspect), longest) if aspect <= 1 else (longest, round(longest / aspect))
    fill = float(rng.uniform(0.60, 0.95))
    cut = "" if rng.random() > 0.1 else ("feet" if rng.random() < 0.6 else "knees")
    hidden = {"": 0.0, "feet": 0.06, "knees": 0.27}[cut]
    stand = float(np.clip(rng.normal(UPRIGHT_HEIGHT, 0.22), *HEIGHTS))
    roll = float(np.clip(rng.normal(0.0, 0.8), -2.5, 2.5))
    low, high = points.min(0), points.max(0)
    tall = high[1] - low[1]
    fill = max(fill * min(tall / max(standing, 0.1), 1.0) ** 0.5, 0.5) if standing else fill
    room = rng.uniform(0.25, 0.75)  # where the spare height goes: 0 all above the person
    side = float(np.clip(rng.normal(0.0, 0.03), -0.04, 0.04))
    target = 0.5 * (low + high)
    focal = longest / (2.0 * np.tan(np.radians(fov) / 2.0))
    K = np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
    distance = focal * tall / (fill * height)
    everything = points
    if cut:
        points = points[points[:, 1] > low[1] + hidden * tall]
    wanted_top = (1.0 - fill) * room * height if not cut else 0.06 * height
    wanted_tall = fill * height if not cut else (0.94 + 0.05) * height
    camera = Camera(K, width, height, np.eye(4))
    points = points[::5]
    for _ in range(8):
        rise = float(np.clip(np.degrees(np.arctan2(stand - target[1], distance)), -18.0, 22.0))
        camera = Camera(K, width, height, _rolled(look_at(target, distance, azimuth, rise), roll))
        pixels, _ = camera.project(points)
        first, last = pixels.min(0), pixels.max(0)
        need = max((last[1] - first[1]) / wanted_tall, (last[0] - first[0]) / (0.92 * width))
        shift_y = 0.5 * (first[1] + last[1]) - (wanted_top + 0.5 * wanted_tall)
        shift_x = 0.5 * (first[0] + last[0]) - width * (0.5 + side)
        rotation = camera.world_to_camera[:3, :3]
        target = target + (rotation[0] * shift_x + rotation[1] * shift_y) * distance / focal
        distance *= need
    if cut and camera.project(everything)[0][:, 1].max() <= height:
        cut = ""  # limited by the width, the whole person fits after all
    return Shot(camera, azimuth, fov, fill, cut, roll)


def _rolled(world_to_camera: Array, degrees: float) -> Array:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.eye(4)
    turn[:2, :2] = [[c, -s], [s, c]]
    return turn @ world_to_camera
