"""Turned forms on a bone: grids of points, blobs, tubes, rounded boxes; what hats, bags, buns and tails are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.people.figure import Material, Part
from training.people.helpers_mesh import Posed, apply_rows
from training.people.skeleton import bone
from training.people.skull import strands

Array = NDArray[np.float64]


def grid_part(label: str, rows_of_points: Array, material: Material, closed: bool = True) -> Part:
    """(R, C, 3) posed points -> a Part; columns close on themselves if `closed`."""
    r, c = rows_of_points.shape[:2]
    index = np.arange(r * c).reshape(r, c)
    right = np.roll(index, -1, 1) if closed else index[:, 1:]
    left = index if closed else index[:, :-1]
    a, b, d, e = left[:-1].ravel(), right[:-1].ravel(), left[1:].ravel(), right[1:].ravel()
    faces = np.concatenate([np.stack([a, d, b], 1), np.stack([b, d, e], 1)]).astype(np.int32)
    u, v = np.meshgrid(np.arange(c) / c, np.arange(r) / max(r - 1, 1))
    uv = np.stack([0.1 + 0.35 * np.abs(2 * u - 1), 0.9 - 0.5 * v], -1).reshape(-1, 2)
    return Part(label, rows_of_points.reshape(-1, 3), faces, uv, faces, material, True)


def follow(points: Array, names: dict[str, float], body: Posed) -> Array:
    """Move rest points (..., 3) with a blend of bones."""
    rows = sum(body.transforms[bone(n)].reshape(12) * w for n, w in names.items())
    flat = points.reshape(-1, 3)
    return apply_rows(np.tile(rows, (len(flat), 1)), flat).reshape(points.shape)


def blob(
    centre: Array,
    radii: list[float],
    on_bone: str,
    body: Posed,
    material: Material,
    rng: np.random.Generator,
    label: str = "hair",
) -> Part:
    """A wavy ellipsoid on a bone."""
    lat = np.linspace(0.02, np.pi - 0.02, 12)[:, None]
    lon = np.linspace(0, 2 * np.pi, 18, endpoint=False)[None]
    unit = np.stack([np.sin(lat) * np.sin(lon), np.cos(lat) + 0 * lon, np.sin(lat) * np.cos(lon)], -1)
    wave = 1 + 0.05 * strands(unit.reshape(-1, 3) * 0.05, rng).reshape(12, 18)
    return grid_part(label, follow(centre + unit * radii * wave[..., None], {on_bone: 1.0}, body), material)


def tube(
    path: Array,
    radii: list[float],
    on_bone: str,
    body: Posed,
    material: Material,
    rng: np.random.Generator,
    label: str = "hair",
) -> Part:
    """A tapered tube along a smooth curve through four points, on a bone."""
    t = np.linspace(0, 1, 14)
    knots = np.linspace(0, 1, len(path))
    smooth = np.stack([np.interp(t, knots, path[:, k]) for k in range(3)], 1)
    smooth[1:-1] = 0.25 * smooth[:-2] + 0.5 * smooth[1:-1] + 0.25 * smooth[2:]
    along = np.gradient(smooth, axis=0)
    along /= np.sqrt((along**2).sum(1, keepdims=True))
    side = np.cross(along, [0.13, 0.21, 0.97])
    side /= np.sqrt((side**2).sum(1, keepdims=True))
    up = np.cross(side, along)
    width = np.interp(t, knots, radii)
    width[0] *= 0.3
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    ring = np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * up[:, None]
    wave = 1 + 0.08 * np.sin(5 * angle + rng.uniform(0, 6.28))
    points = smooth[:, None] + ring * width[:, None, None] * wave[None, :, None]
    return grid_part(label, follow(points, {on_bone: 1.0}, body), material)


def rounded_box(middle: Array, half: Array) -> Array:
    """(R, C, 3) a superellipsoid, closed but for two tiny holes at its poles."""
    lat = np.linspace(0.03, np.pi - 0.03, 16)[:, None]
    lon = np.linspace(0, 2 * np.pi, 28, endpoint=False)[None]

    def power(v: Array) -> Array:
        return np.sign(v) * np.abs(v) ** 0.35

    unit = np.stack(
        [
            power(np.sin(lat)) * power(np.sin(lon)),
            power(np.cos(lat)) + 0 * lon,
            power(np.sin(lat)) * power(np.cos(lon)),
        ],
        -1,
    )
    return middle + unit * half
