"""Light, baked once per person at every vertex and shared by all views.

The sky is a sphere of directions: brighter above, a warm or cool tint, one soft key light and its mirror image behind
the person, so that backs are as bright as fronts (an unlit back would teach a network that backs are dark). What
blocks a direction is found in a depth map along it, drawn with points that cover the surfaces: two-sided, and soft
because many directions are summed. Below the horizon the ground sends light back, less where the person stands on it.
Creases are darkened by the concavity of the mesh, which is finer than the maps are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
CELL = 0.013  # metres of one texel of an occlusion map
LIFT = 0.012  # metres: points are tested this far above their surface
SLACK = 0.018
SKY, KEY = 40, 7
# Light bleeds through skin: red wraps furthest around (after Jimenez et al. 2009, by eye).
SKIN_WRAP = (0.40, 0.22, 0.16)
CLOTH_WRAP = (0.08, 0.08, 0.08)


@dataclass(frozen=True)
class Lights:
    """directions (D, 3) unit, towards the light; radiance (D, 3); keys (2, 3): the key light and its mirror image;
    key_radiance (3,): strength of its highlights; ground (3,): albedo of the floor."""

    directions: Floats
    radiance: Floats
    keys: Floats
    key_radiance: Floats
    ground: Floats


def lights_of(rng: np.random.Generator, azimuth: float) -> Lights:
    """Light for a photo taken from `azimuth` (degrees): ambient-dominated, key light on the camera's side."""
    index = np.arange(SKY) + 0.5
    up = 1.0 - 2.0 * index / SKY
    turn = np.pi * (1.0 + 5.0**0.5) * index
    flat = np.sqrt(1.0 - up**2)
    sky = np.stack([flat * np.cos(turn), up, flat * np.sin(turn)], 1)
    gradient = rng.uniform(0.15, 0.5)
    warm = rng.normal(0.0, 0.035)
    tint = np.array([1.0 + warm, 1.0, 1.0 - warm])
    radiance = (1.0 + gradient * sky[:, 1:2]) * tint
    ground = np.clip(rng.uniform(0.2, 0.55) * np.array([1.0 + 0.06, 1.0, 0.92]), 0, 1)
    below = sky[:, 1] < 0
    radiance[below] = (1.0 + 0.5 * gradient) * ground * tint * 0.9

    side, height = np.radians(rng.uniform(20, 70)) * rng.choice([-1.0, 1.0]), np.radians(rng.uniform(28, 62))
    heading = np.radians(azimuth)
    keys = np.array([_towards(heading + side, height), _towards(heading + np.pi - side, height)])
    strength = rng.uniform(0.3, 1.0)
    spread = rng.uniform(0.10, 0.28)  # radians: soft box to overcast sun
    key_tint = np.array([1.0 + 1.5 * warm + 0.03, 1.0, 1.0 - 1.5 * warm - 0.05])
    directions, values = [sky], [radiance * (4.0 / SKY)]
    for key in keys:
        cone = key + spread * rng.normal(0, 1, (KEY, 3))
        cone[:, 1] = np.maximum(cone[:, 1], 0.12)
        directions.append(cone / np.linalg.norm(cone, axis=1, keepdims=True))
        values.append(np.tile(strength * key_tint / KEY, (KEY, 1)))
    f32 = np.float32
    return Lights(np.concatenate(directions).astype(f32), np.concatenate(values).astype(f32), keys.astype(f32),
                  (strength * key_tint).astype(f32), ground.astype(f32))  # fmt: skip


def _towards(heading: float, height: float) -> Array:
    return np.array([np.sin(heading) * np.cos(height), np.sin(height), np.cos(heading) * np.cos(height)])


def baked(points: Floats, normals: Floats, wraps: Floats, creases: Floats, occluders: Floats, lights: Lights) -> Floats:
    """(V, 5): light rgb that an albedo is multiplied by, then how much of the two key lights arrives (0..1).

    points, normals (V, 3), wraps (V, 3) per channel, creases (V,) 0..1 darkening, occluders (N, 3), display frame.
    """
    out = np.zeros((len(points), 5), np.float32)
    lifted = (points + np.float32(LIFT) * normals).astype(np.float32)
    box = np.stack([occluders.min(0), occluders.max(0)])
    for d, direction in enumerate(lights.directions):
        across, along = _frame(direction.astype(np.float64))
        frame = np.stack([across, along, direction]).astype(np.float32)
        slot = 3 + (d - SKY) // KEY if d >= SKY else -1
        _gather(out, lifted, normals, wraps, occluders, box, frame, lights.radiance[d], slot, CELL, SLACK)
    out[:, 3:] /= KEY
    out[:, :3] *= 1.0 - creases[:, None]
    return out


def exposure(light: Floats) -> float:
    """Factor that brings well-lit surfaces to about 1."""
    return float(1.0 / max(np.percentile(light[:, 1], 80), 1e-3))


def _frame(direction: Array) -> tuple[Array, Array]:
    """Two unit vectors at right angles to a unit direction and to each other (Duff et al. 2017)."""
    x, y, z = (float(v) for v in direction)
    sign = 1.0 if z >= 0 else -1.0
    a = -1.0 / (sign + z)
    b = x * y * a
    return np.array([1.0 + sign * x * x * a, sign * b, -sign * x]), np.array([b, sign + y * y * a, -y])


@njit(cache=True, error_model="numpy")
def _gather(out, points, normals, wraps, occluders, box, frame, radiance, slot, cell, slack):  # type: ignore[no-untyped-def]
    """Adds one direction's light to `out`; slot: column that counts arrival, or -1."""
    low_x = low_y = np.float32(1e9)
    high_x = high_y = np.float32(-1e9)
    n = occluders.shape[0]
    for corner in range(8):
        px, py, pz = box[corner & 1, 0], box[corner >> 1 & 1, 1], box[corner >> 2, 2]
        x = frame[0, 0] * px + frame[0, 1] * py + frame[0, 2] * pz
        y = frame[1, 0] * px + frame[1, 1] * py + frame[1, 2] * pz
        low_x, high_x, low_y, high_y = min(low_x, x), max(high_x, x), min(low_y, y), max(high_y, y)
    wide, high = int((high_x - low_x) / cell) + 4, int((high_y - low_y) / cell) + 4
    nearest = np.full((high, wide), np.float32(-1e9), np.float32)
    origin_x, origin_y = low_x - cell, low_y - cell
    for i in range(n):
        ox, oy, oz = occluders[i, 0], occluders[i, 1], occluders[i, 2]
        x = int((frame[0, 0] * ox + frame[0, 1] * oy + frame[0, 2] * oz - origin_x) / cell)
        y = int((frame[1, 0] * ox + frame[1, 1] * oy + frame[1, 2] * oz - origin_y) / cell)
        z = frame[2, 0] * ox + frame[2, 1] * oy + frame[2, 2] * oz
        nearest[y, x] = max(nearest[y, x], z)
    floor = frame[2, 1] < 0.0
    for i in range(points.shape[0]):
        facing = normals[i, 0] * frame[2, 0] + normals[i, 1] * frame[2, 1] + normals[i, 2] * frame[2, 2]
        if facing <= -0.4 and slot < 0:
            continue
        px, py, pz = points[i, 0], points[i, 1], points[i, 2]
        x = (frame[0, 0] * px + frame[0, 1] * py + frame[0, 2] * pz - origin_x) / cell - 0.5
        y = (frame[1, 0] * px + frame[1, 1] * py + frame[1, 2] * pz - origin_y) / cell - 0.5
        z = frame[2, 0] * px + frame[2, 1] * py + frame[2, 2] * pz + slack
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        arrives = 1.0
        if 0 <= x0 < wide - 1 and 0 <= y0 < high - 1:
            tx, ty = x - x0, y - y0
            arrives = 0.0
            if nearest[y0, x0] <= z:
                arrives += (1 - tx) * (1 - ty)
            if nearest[y0, x0 + 1] <= z:
                arrives += tx * (1 - ty)
            if nearest[y0 + 1, x0] <= z:
                arrives += (1 - tx) * ty
            if nearest[y0 + 1, x0 + 1] <= z:
                arrives += tx * ty
        if floor:
            reach = max(py, 0.0) / -frame[2, 1]
            arrives *= reach / (reach + 0.25)
        if slot >= 0:
            out[i, slot] += arrives
        for c in range(3):
            wrap = wraps[i, c]
            lit = (facing + wrap) / (1.0 + wrap) ** 2
            if lit > 0.0:
                out[i, c] += radiance[c] * lit * arrives
