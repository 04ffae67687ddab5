"""Which triangle each sample of a picture sees, with holes where hair cards are transparent.

A z-buffer on the doubled grid of a picture, first surface everywhere and last surface at the pixels' centres, in one
pass. Sample (2j, 2i) lies exactly at the centre of pixel (j, i), so that a pixel's truth is a sample of its own, and
the samples between are shared with its neighbours. Vertices are snapped to 1/256 of a sample and edges belong to one
side by the top-left rule, as in `pipelines.geometry.mesh_raster`. Nothing is culled.

`screen` (V, 4): x, y in samples; a key that grows towards the camera and is linear on the screen; w, by which
attributes are linear on the screen. A pinhole has key = w = 1/z, a parallel projection key = far - z and w = 1.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from training.people.grain import hashed

NEAR = 0.05
FAR = 8.0  # metres: zero of the key of a parallel projection
SNAP = 256.0


def pinhole(points: NDArray[np.floating], camera: Camera) -> NDArray[np.float64]:
    """(V, 3) world metres -> screen (V, 4) on the doubled grid of `camera`; w = 0 where nearer than `NEAR`."""
    local = camera.to_camera(points)
    z = local[:, 2]
    w = np.where(z >= NEAR, 1.0 / np.where(z >= NEAR, z, 1.0), 0.0)
    pixels = (local @ camera.K.T)[:, :2] * w[:, None]
    return _snapped(pixels, w, w)


def parallel(
    points: NDArray[np.floating], world_to_camera: NDArray[np.floating], metres: float, size: int
) -> NDArray[np.float64]:
    """(V, 3) world metres -> screen (V, 4) of a square parallel projection, `metres` wide, `size` pixels."""
    local = np.asarray(points, np.float64) @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
    pixels = local[:, :2] * (size / metres) + size / 2.0
    return _snapped(pixels, FAR - local[:, 2], np.ones(len(local)))


def _snapped(pixels, key, w) -> NDArray[np.float64]:  # type: ignore[no-untyped-def]
    doubled = np.clip(2.0 * pixels - 0.5, -60000.0, 60000.0)
    return np.column_stack([np.round(doubled * SNAP) / SNAP, key, w])


@njit(cache=True, error_model="numpy")
def level_of(uv_area, screen_area, levels):  # type: ignore[no-untyped-def]
    """Level of a texture's pyramid at which a texel is about a sample wide; areas in texels and samples."""
    ratio = uv_area / max(screen_area, 1e-9)
    level = 0
    while ratio > 2.0 and level < levels - 1:
        ratio *= 0.25
        level += 1
    return level


@njit(cache=True, error_model="numpy")
def alpha_at(texels, start, width, height, u, v):  # type: ignore[no-untyped-def]
    """Bilinear alpha 0..1 at (u, v), origin lower left, repeating."""
    x, y = (u - np.floor(u)) * width - 0.5, (1.0 - (v - np.floor(v))) * height - 0.5
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    tx, ty = x - x0, y - y0
    x1, y1 = (x0 + 1) % width, (y0 + 1) % height
    x0, y0 = x0 % width, y0 % height
    a, b = texels[start + y0 * width + x0, 3], texels[start + y0 * width + x1, 3]
    c, d = texels[start + y1 * width + x0, 3], texels[start + y1 * width + x1, 3]
    low = a + (np.float64(b) - a) * tx
    return (low + (c + (np.float64(d) - c) * tx - low) * ty) / 255.0


@njit(cache=True, error_model="numpy")
def fill(screen, faces, uv, owner, cut, hashes, areas, texels, pyramid, width, height):  # type: ignore[no-untyped-def]
    """First face and key of every sample, last face and key of every pixel.

    faces (F, 3), uv (F, 3, 2), owner (F,) part of a face, cut (P,) alpha threshold or 0, hashes (P,) bool: threshold
    drawn anew per sample, areas (F,) in texels of level 0, texels (N, 4) uint8, pyramid (P, L, 3) start, width,
    height of each level. width, height: pixels. Returns ids (2H, 2W) int32, keys (2H, 2W) float32, last ids and keys.
    """
    wide, high = 2 * width, 2 * height
    ids = np.full((high, wide), -1, np.int32)
    keys = np.full((high, wide), -np.inf, np.float32)
    last_ids = np.full((height, width), -1, np.int32)
    last_keys = np.full((height, width), np.inf, np.float32)
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        if screen[i, 3] <= 0.0 or screen[j, 3] <= 0.0 or screen[k, 3] <= 0.0:
            continue
        ax, ay, bx, by, cx, cy = screen[i, 0], screen[i, 1], screen[j, 0], screen[j, 1], screen[k, 0], screen[k, 1]
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), wide - 1)
        if right < left:
            continue
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), high - 1)
        if bottom < top:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        part = owner[f]
        threshold = cut[part]
        start, tw, th = 0, 1, 1
        if threshold > 0.0:
            level = level_of(areas[f], 0.5 * abs(area), pyramid.shape[1])
            start, tw, th = pyramid[part, level, 0], pyramid[part, level, 1], pyramid[part, level, 2]
        second, third = 1, 2
        if area < 0.0:
            bx, by, cx, cy = cx, cy, bx, by
            j, k = k, j
            second, third = 2, 1
            area = -area
        aq, bq, cq = screen[i, 2], screen[j, 2], screen[k, 2]
        aw, bw, cw = screen[i, 3], screen[j, 3], screen[k, 3]
        ux0, uy0 = by - cy, cx - bx
        ux1, uy1 = cy - ay, ax - cx
        ux2, uy2 = ay - by, bx - ax
        on0 = ux0 > 0.0 or (ux0 == 0.0 and uy0 > 0.0)
        on1 = ux1 > 0.0 or (ux1 == 0.0 and uy1 > 0.0)
        on2 = ux2 > 0.0 or (ux2 == 0.0 and uy2 > 0.0)
        px, py = left + 0.5, top + 0.5
        row0 = ux0 * (px - bx) + uy0 * (py - by)
        row1 = ux1 * (px - cx) + uy1 * (py - cy)
        row2 = ux2 * (px - ax) + uy2 * (py - ay)
        scale = 1.0 / area
        for y in range(top, bottom + 1):
            e0, e1, e2 = row0, row1, row2
            for x in range(left, right + 1):
                if (
                    (e0 > 0.0 or (e0 == 0.0 and on0))
                    and (e1 > 0.0 or (e1 == 0.0 and on1))
                    and (e2 > 0.0 or (e2 == 0.0 and on2))
                ):
                    key = np.float32((e0 * aq + e1 * bq + e2 * cq) * scale)
                    centre = (x & 1) == 0 and (y & 1) == 0
                    nearer = key > keys[y, x]
                    farther = centre and key < last_keys[y >> 1, x >> 1]
                    if nearer or farther:
                        there = True
                        if threshold > 0.0:
                            g0, g1, g2 = e0 * aw, e1 * bw, e2 * cw
                            total = 1.0 / (g0 + g1 + g2)
                            u = (g0 * uv[f, 0, 0] + g1 * uv[f, second, 0] + g2 * uv[f, third, 0]) * total
                            v = (g0 * uv[f, 0, 1] + g1 * uv[f, second, 1] + g2 * uv[f, third, 1]) * total
                            limit = threshold
                            if hashes[part]:
                                limit *= 0.35 + 1.3 * hashed(x, y, part)
                            there = alpha_at(texels, start, tw, th, u, v) > limit
                        if there:
                            if nearer:
                                keys[y, x] = key
                                ids[y, x] = f
                            if farther:
                                last_keys[y >> 1, x >> 1] = key
                                last_ids[y >> 1, x >> 1] = f
                e0 += ux0
                e1 += ux1
                e2 += ux2
            row0 += uy0
            row1 += uy1
            row2 += uy2
    return ids, keys, last_ids, last_keys
