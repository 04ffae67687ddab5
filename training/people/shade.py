"""From faces to colours: texture times baked light plus highlights, then the doubled grid folded into pixels."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from training.people.raster import level_of

Floats = NDArray[np.float32]


@njit(cache=True, error_model="numpy")
def shaded(screen, ids, box, faces, uv, owner, areas, texels, pyramid, to_linear, light, normals, points, look,
           keys, key_radiance, eye):  # type: ignore[no-untyped-def]  # fmt: skip
    """Linear colour (2H, 2W, 3) of the samples within box (left, top, right, bottom); 0 where no face is.

    eye (4,): the camera's position (w = 1) or the direction towards it (w = 0), display frame.
    """
    high, wide = ids.shape
    out = np.zeros((high, wide, 3), np.float32)
    colour = np.zeros(3)
    for y in range(box[1], box[3]):
        for x in range(box[0], box[2]):
            f = ids[y, x]
            if f < 0:
                continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            px, py = x + 0.5, y + 0.5
            ax, ay = screen[i, 0] - px, screen[i, 1] - py
            bx, by = screen[j, 0] - px, screen[j, 1] - py
            cx, cy = screen[k, 0] - px, screen[k, 1] - py
            a0, a1, a2 = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
            screen_area = 0.5 * abs(a0 + a1 + a2)
            w0, w1, w2 = a0 * screen[i, 3], a1 * screen[j, 3], a2 * screen[k, 3]
            total = 1.0 / (w0 + w1 + w2)
            w0, w1, w2 = w0 * total, w1 * total, w2 * total
            u = w0 * uv[f, 0, 0] + w1 * uv[f, 1, 0] + w2 * uv[f, 2, 0]
            v = w0 * uv[f, 0, 1] + w1 * uv[f, 1, 1] + w2 * uv[f, 2, 1]
            part = owner[f]
            level = level_of(areas[f], screen_area, pyramid.shape[1])
            start, tw, th = pyramid[part, level, 0], pyramid[part, level, 1], pyramid[part, level, 2]
            fx, fy = (u - np.floor(u)) * tw - 0.5, (1.0 - (v - np.floor(v))) * th - 0.5
            x0, y0 = int(np.floor(fx)), int(np.floor(fy))
            tx, ty = fx - x0, fy - y0
            x1, y1 = (x0 + 1) % tw, (y0 + 1) % th
            x0, y0 = x0 % tw, y0 % th
            p00, p01 = start + y0 * tw + x0, start + y0 * tw + x1
            p10, p11 = start + y1 * tw + x0, start + y1 * tw + x1
            k00, k01, k10, k11 = (1 - tx) * (1 - ty), tx * (1 - ty), (1 - tx) * ty, tx * ty
            for c in range(3):
                albedo = (k00 * to_linear[texels[p00, c]] + k01 * to_linear[texels[p01, c]]
                          + k10 * to_linear[texels[p10, c]] + k11 * to_linear[texels[p11, c]])  # fmt: skip
                colour[c] = albedo * (w0 * light[i, c] + w1 * light[j, c] + w2 * light[k, c])
            strength, sheen = look[part, 0], look[part, 2]
            if strength > 0.0 or sheen > 0.0:
                nx = w0 * normals[i, 0] + w1 * normals[j, 0] + w2 * normals[k, 0]
                ny = w0 * normals[i, 1] + w1 * normals[j, 1] + w2 * normals[k, 1]
                nz = w0 * normals[i, 2] + w1 * normals[j, 2] + w2 * normals[k, 2]
                n = 1.0 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
                vx = eye[0] - eye[3] * (w0 * points[i, 0] + w1 * points[j, 0] + w2 * points[k, 0])
                vy = eye[1] - eye[3] * (w0 * points[i, 1] + w1 * points[j, 1] + w2 * points[k, 1])
                vz = eye[2] - eye[3] * (w0 * points[i, 2] + w1 * points[j, 2] + w2 * points[k, 2])
                d = 1.0 / np.sqrt(vx * vx + vy * vy + vz * vz)
                vx, vy, vz = vx * d, vy * d, vz * d
                towards = (nx * vx + ny * vy + nz * vz) * n
                if towards < 0.0:
                    n, towards = -n, -towards
                nx, ny, nz = nx * n, ny * n, nz * n
                green = w0 * light[i, 1] + w1 * light[j, 1] + w2 * light[k, 1]
                rim = (1.0 - min(towards, 1.0)) ** 2
                extra = sheen * rim * rim * green
                for c in range(3):
                    colour[c] += extra
                if strength > 0.0:
                    for q in range(2):
                        hx, hy, hz = vx + keys[q, 0], vy + keys[q, 1], vz + keys[q, 2]
                        half = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz + 1e-12)
                        if half > 0.0:
                            seen = w0 * light[i, 3 + q] + w1 * light[j, 3 + q] + w2 * light[k, 3 + q]
                            shine = strength * half ** look[part, 1] * seen
                            for c in range(3):
                                colour[c] += shine * key_radiance[c]
            for c in range(3):
                out[y, x, c] = colour[c]
    return out


@njit(cache=True, error_model="numpy")
def covered(ids):  # type: ignore[no-untyped-def]
    """(4,) left, top, right, bottom of the samples where a face is; right and bottom exclusive."""
    high, wide = ids.shape
    box = np.array([wide, high, 0, 0])
    for y in range(high):
        for x in range(wide):
            if ids[y, x] >= 0:
                box[0], box[1] = min(box[0], x), min(box[1], y)
                box[2], box[3] = max(box[2], x + 1), max(box[3], y + 1)
    return box


@njit(cache=True, error_model="numpy")
def folded(colour, ids, box, height, width):  # type: ignore[no-untyped-def]
    """Doubled grid -> linear rgb, straight, and alpha (H, W, 4): a tent two pixels wide around each pixel's centre."""
    out = np.zeros((height, width, 4), np.float32)
    high, wide = ids.shape
    for y in range(max(box[1] // 2 - 1, 0), min(box[3] // 2 + 2, height)):
        for x in range(max(box[0] // 2 - 1, 0), min(box[2] // 2 + 2, width)):
            total = cover = r = g = b = 0.0
            for dy in range(-1, 2):
                yy = 2 * y + dy
                if yy < 0 or yy >= high:
                    continue
                for dx in range(-1, 2):
                    xx = 2 * x + dx
                    if xx < 0 or xx >= wide:
                        continue
                    weight = (2 - abs(dx)) * (2 - abs(dy))
                    total += weight
                    if ids[yy, xx] >= 0:
                        cover += weight
                        r += weight * colour[yy, xx, 0]
                        g += weight * colour[yy, xx, 1]
                        b += weight * colour[yy, xx, 2]
            if cover > 0.0:
                out[y, x, 0], out[y, x, 1], out[y, x, 2] = r / cover, g / cover, b / cover
                out[y, x, 3] = cover / total
    return out


@njit(cache=True, error_model="numpy")
def surface_facts(screen, ids, faces, uv, normals, label):  # type: ignore[no-untyped-def]
    """Truth of one surface on a grid of pixels: normal (H, W, 3) turned to the camera, label, uv; ids (H, W).

    screen: on the doubled grid. Normals are turned by the winding on the screen.
    """
    height, width = ids.shape
    normal = np.zeros((height, width, 3), np.float32)
    labels = np.full((height, width), 255, np.uint8)
    place = np.zeros((height, width, 2), np.float32)
    for y in range(height):
        for x in range(width):
            f = ids[y, x]
            if f < 0:
                continue
            i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
            px, py = 2 * x + 0.5, 2 * y + 0.5
            ax, ay = screen[i, 0] - px, screen[i, 1] - py
            bx, by = screen[j, 0] - px, screen[j, 1] - py
            cx, cy = screen[k, 0] - px, screen[k, 1] - py
            a0, a1, a2 = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
            # Counter-clockwise from outside is clockwise where y runs down: negative area faces the camera.
            sign = 1.0 if a0 + a1 + a2 < 0.0 else -1.0
            w0, w1, w2 = a0 * screen[i, 3], a1 * screen[j, 3], a2 * screen[k, 3]
            total = 1.0 / (w0 + w1 + w2)
            w0, w1, w2 = w0 * total, w1 * total, w2 * total
            nx = w0 * normals[i, 0] + w1 * normals[j, 0] + w2 * normals[k, 0]
            ny = w0 * normals[i, 1] + w1 * normals[j, 1] + w2 * normals[k, 1]
            nz = w0 * normals[i, 2] + w1 * normals[j, 2] + w2 * normals[k, 2]
            length = sign / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-20)
            normal[y, x, 0], normal[y, x, 1], normal[y, x, 2] = nx * length, ny * length, nz * length
            labels[y, x] = label[f]
            for c in range(2):
                t = w0 * uv[f, 0, c] + w1 * uv[f, 1, c] + w2 * uv[f, 2, c]
                place[y, x, c] = t - np.floor(t)
    return normal, labels, place
