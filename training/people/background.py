"""What stands behind the person: studio, wall, room, street, park or clutter, with the person's shadow on the floor.

Backgrounds are for training mattes and estimators, so they have edges, texture and colours like the person's own, and
no person in them. Linear light, drawn at half size: a phone's background is a little soft.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from training.people.fabric import drawn, linear
from training.people.grain import SIDE, smooth

Floats = NDArray[np.float32]
KINDS = {"studio": 0.22, "wall": 0.16, "room": 0.24, "street": 0.16, "park": 0.12, "clutter": 0.03, "plain": 0.04}
FLOOR_REACH, FLOOR_CELL = 2.0, 0.02  # metres: half side and cell of the shadow's map


def behind(kind: str, camera: Camera, occluders: Floats, key: Floats, rng: np.random.Generator) -> Floats:
    """(H, W, 3) linear light of one of KINDS. occluders (N, 3): the person; key (3,): direction of the key light."""
    small = camera.resized(max(camera.width // 2, 8), max(camera.height // 2, 8))
    rays = (small.rays() @ small.world_to_camera[:3, :3]).astype(np.float32)
    eye = small.position
    floor, x, z, far = _floor(rays, eye)
    if kind == "plain":
        image = np.broadcast_to(_colour(rng, 0.4, 1.0), rays.shape).copy()
        return cv2.resize(image, (camera.width, camera.height))
    if kind == "clutter":
        image = _clutter(rays.shape[:2], rng)
    elif kind in ("street", "park"):
        image = _outdoors(kind, rays, floor, x, z, far, rng)
    else:
        image = _indoors(kind, rays, eye, floor, x, z, rng)
    if kind != "clutter":
        image *= (1.0 - floor * (1.0 - _shadow(occluders, key, x, z)))[..., None]
    blur = {"studio": 1.0, "wall": 0.8}.get(kind, float(rng.uniform(0.5, 6.0)))
    soft = cv2.GaussianBlur(image, (0, 0), blur * small.height / 500.0)
    if blur > 1.5:
        # Depth of field: the floor around the feet stays sharp.
        near = (floor * np.exp(-np.maximum(far - np.hypot(eye[0], eye[2]), 0.0) / 0.8))[..., None]
        soft = near * image + (1 - near) * soft
    return cv2.resize(soft, (camera.width, camera.height), interpolation=cv2.INTER_LINEAR)


def _colour(rng: np.random.Generator, low: float, high: float, chroma: float = 0.06) -> Floats:
    value = rng.uniform(low, high)
    return linear(np.clip(value * (1.0 + rng.normal(0, chroma, 3)), 0.03, 1.0))


def _floor(rays: Floats, eye: NDArray) -> tuple[Floats, Floats, Floats, Floats]:
    """Share of floor (H, W) 0..1, its world x and z, and the distance along the ground."""
    down = np.minimum(rays[..., 1], -1e-3)
    reach = np.where(rays[..., 1] < -1e-3, -eye[1] / down, 1e4)
    x, z = eye[0] + rays[..., 0] * reach, eye[2] + rays[..., 2] * reach
    far = np.hypot(x - eye[0], z - eye[2])
    return (reach < 1e4).astype(np.float32), x.astype(np.float32), z.astype(np.float32), far.astype(np.float32)


def _shadow(occluders: Floats, key: Floats, x: Floats, z: Floats) -> Floats:
    """What is left of the light on the floor at (x, z): 0 black .. 1; contact, soft sky and the key light's shadow."""
    cells = int(2 * FLOOR_REACH / FLOOR_CELL)
    light = np.ones((cells, cells), np.float32)
    height = np.maximum(occluders[:, 1], 0.0)
    bands = ((0.0, 0.05, 0.018, 0.75), (0.05, 0.25, 0.06, 0.45), (0.25, 2.5, 0.22, 0.30))
    for low, high, sigma, depth in bands:
        chosen = occluders[(height >= low) & (height < high)]
        light *= 1.0 - depth * _covered(chosen[:, 0], chosen[:, 2], sigma, cells)
    drop = height / max(float(key[1]), 0.2)
    light *= 1.0 - 0.28 * _covered(occluders[:, 0] - key[0] * drop, occluders[:, 2] - key[2] * drop, 0.05, cells)
    u, v = (x + FLOOR_REACH) / FLOOR_CELL - 0.5, (z + FLOOR_REACH) / FLOOR_CELL - 0.5
    return cv2.remap(light, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=1.0)


def _covered(x: Floats, z: Floats, sigma: float, cells: int) -> Floats:
    """(cells, cells) 0..1, rows along z: where points lie over the floor, blurred."""
    column = ((x + FLOOR_REACH) / FLOOR_CELL).astype(np.int64)
    row = ((z + FLOOR_REACH) / FLOOR_CELL).astype(np.int64)
    inside = (column >= 0) & (column < cells) & (row >= 0) & (row < cells)
    covered = np.zeros((cells, cells), np.float32)
    covered[row[inside], column[inside]] = 1.0
    return cv2.GaussianBlur(covered, (0, 0), sigma / FLOOR_CELL)


def _sampled(tile: Floats, x: Floats, y: Floats, side: float) -> Floats:
    """A texture (S, S[, 3]) repeated every `side` metres at world (x, y); fades to its mean where it would alias."""
    size = tile.shape[0]
    u = np.mod(np.clip(x, -1e4, 1e4) / side, 1.0).astype(np.float32) * size
    v = np.mod(np.clip(y, -1e4, 1e4) / side, 1.0).astype(np.float32) * size
    return cv2.remap(tile, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def _flooring(rng: np.random.Generator, x: Floats, z: Floats, far: Floats, chroma: float = 0.05) -> Floats:
    """Boards, tiles, carpet or concrete on the floor at world (x, z)."""
    turn = rng.uniform(0, np.pi)
    a, b = np.cos(turn) * x + np.sin(turn) * z, np.cos(turn) * z - np.sin(turn) * x
    base = _colour(rng, 0.3, 0.85, chroma)
    kind = rng.integers(1 if chroma < 0.03 else 0, 4)  # no boards in a street
    fade = np.exp(-far / 9.0)
    shade = 1.0 + 0.25 * fade * (_sampled(smooth(7, 16), a, b, 0.7) - 0.5)
    if kind == 0:  # boards
        base = linear(np.array([0.55, 0.38, 0.24]) * rng.uniform(0.6, 1.5)).clip(0, 1)
        board = np.floor(a / 0.12)
        tone = np.mod(np.sin(board * 12.9898) * 43758.5453, 1.0)
        seam = np.abs(a / 0.12 - board - 0.5) > 0.485
        shade = shade * (0.85 + 0.3 * tone * fade) * (1 - 0.5 * seam * fade)
        shade += 0.2 * fade * (_sampled(smooth(3, 8), a * 6, b * 0.6, 0.8) - 0.5)
    elif kind == 1:  # tiles
        side = rng.uniform(0.25, 0.6)
        seam = (np.abs(np.mod(a / side, 1) - 0.5) > 0.488) | (np.abs(np.mod(b / side, 1) - 0.5) > 0.488)
        shade = shade * (1 - 0.35 * seam * fade)
    elif kind == 2:
        shade += 0.5 * fade * (_sampled(smooth(5, 64), a, b, 0.5) - 0.5)
    return (base * shade[..., None]).astype(np.float32)


def _indoors(kind: str, rays: Floats, eye: NDArray, floor: Floats, x: Floats, z: Floats,
             rng: np.random.Generator) -> Floats:  # fmt: skip
    """A floor that meets a wall 0.5-3.5 m behind the person; studios have no edge there."""
    away = -np.array([eye[0], eye[2]]) / (np.hypot(eye[0], eye[2]) + 1e-9)
    turned = 0.0 if kind == "studio" else rng.normal(0, 0.25)
    normal = np.array([away[0] * np.cos(turned) - away[1] * np.sin(turned),
                       away[0] * np.sin(turned) + away[1] * np.cos(turned)])  # fmt: skip
    back = rng.uniform(1.2, 2.2) if kind == "studio" else rng.uniform(0.5, 3.5)
    speed = np.maximum(rays[..., 0] * normal[0] + rays[..., 2] * normal[1], 1e-3)
    reach = (back - (eye[0] * normal[0] + eye[2] * normal[1])) / speed
    wall_y = eye[1] + rays[..., 1] * reach
    along = (eye[0] + rays[..., 0] * reach) * -normal[1] + (eye[2] + rays[..., 2] * reach) * normal[0]
    far = np.hypot(x - eye[0], z - eye[2]).astype(np.float32)
    if kind == "studio":
        base = _colour(rng, 0.35, 0.95, 0.06)
        fold = np.clip((wall_y + 0.5) / 1.0, 0, 1)
        lamp = 1.0 + 0.15 * np.exp(-((along / 1.3) ** 2) - ((wall_y - 1.2) / 1.1) ** 2)
        return (base * (lamp * (0.9 + 0.1 * fold))[..., None]).astype(np.float32)
    paint = _colour(rng, 0.35, 0.97)
    wall = np.broadcast_to(paint, rays.shape) * (0.9 + 0.2 * _sampled(smooth(9, 4), along, wall_y, 2.5))[..., None]
    if rng.random() < 0.35:
        name = ("stripes", "floral", "check", "dots", "blocks")[int(rng.integers(5))]
        pattern = {"name": name, "colours": [np.sqrt(paint), np.sqrt(_colour(rng, 0.3, 0.95))],
                   "period_m": 2.0 / float(rng.integers(4, 26)), "angle_deg": float(rng.choice([0, 90])),
                   "seed": int(rng.integers(99))}  # fmt: skip
        wall = _sampled(drawn(pattern, None, 2.0, 256), along, -wall_y, 2.0)
    elif rng.random() < 0.3:  # bricks
        row = np.floor(wall_y / 0.075)
        u = along / 0.25 + 0.5 * np.mod(row, 2)
        seam = (np.mod(wall_y / 0.075, 1) < 0.13) | (np.mod(u, 1) < 0.045)
        tone = np.mod(np.sin(row * 7.3 + np.floor(u) * 12.9898) * 43758.5453, 1.0)
        brick = linear(np.array([0.62, 0.36, 0.28]) * rng.uniform(0.7, 1.4)).clip(0, 1)
        wall = np.where(seam[..., None], linear(np.array([0.7, 0.68, 0.65])), brick * (0.75 + 0.5 * tone)[..., None])
    wall = wall.astype(np.float32).copy()
    if kind == "room":
        for _ in range(int(rng.integers(2, 7))):
            _furnish(wall, along, wall_y, rng)
    ground = _flooring(rng, x, z, far)
    skirting = (wall_y > 0) & (wall_y < 0.09)
    wall[skirting] = linear(np.array([0.9, 0.9, 0.88])) if rng.random() < 0.6 else paint * 0.6
    corner = np.clip(np.abs(wall_y) / 0.5, 0, 1)
    image = np.where((wall_y > 0)[..., None], wall, ground)
    return (image * (0.78 + 0.22 * corner)[..., None]).astype(np.float32)


def _furnish(wall: Floats, along: Floats, up: Floats, rng: np.random.Generator) -> None:
    """A door, window, picture, shelf or cupboard on the wall, in place."""
    kind = rng.integers(4)
    x = rng.uniform(-2.6, 2.6)
    wide, low, high = ((0.9, 0.0, 2.05), (rng.uniform(0.8, 1.8), 0.9, 2.1),
                       (rng.uniform(0.3, 0.9), 1.2, rng.uniform(1.6, 2.1)),
                       (rng.uniform(0.5, 1.4), 0.0, rng.uniform(0.5, 2.0)))[int(kind)]  # fmt: skip
    inside = (np.abs(along - x) < wide / 2) & (up > low) & (up < high)
    frame = inside & ((np.abs(along - x) > wide / 2 - 0.05) | (up > high - 0.05) | ((up < low + 0.05) & (low > 0)))
    if kind == 1:
        wall[inside] = (linear(np.array([0.85, 0.92, 1.0])) * rng.uniform(0.8, 1.4)).astype(np.float32)
        frame |= inside & (np.abs(along - x) < 0.025)
    elif kind == 2:
        seed = int(rng.integers(1 << 16))
        pattern = {"name": ("marble", "floral", "blocks", "gradient")[seed % 4], "seed": seed,
                   "colours": [rng.uniform(0.1, 0.9, 3) for _ in range(4)]}  # fmt: skip
        wall[inside] = _sampled(drawn(pattern, None, 0.8, 128), along, -up, 0.8)[inside]
    else:
        wall[inside] = _colour(rng, 0.2, 0.9)
        shelf = inside & (np.mod(up, 0.4) < 0.03)
        wall[shelf] *= 0.5
    wall[frame] = _colour(rng, 0.2, 0.95)


def _outdoors(kind: str, rays: Floats, floor: Floats, x: Floats, z: Floats, far: Floats,
              rng: np.random.Generator) -> Floats:  # fmt: skip
    """Sky, ground, and house fronts or trees along the horizon."""
    heading = np.arctan2(rays[..., 0], rays[..., 2]).astype(np.float32)
    slope = (rays[..., 1] / np.hypot(rays[..., 0], rays[..., 2])).astype(np.float32)
    sky = linear(np.array([0.72, 0.82, 0.94]) * rng.uniform(0.85, 1.05)).clip(0, 1)
    cloud = _sampled(smooth(13, 4), heading * 2.0, slope * 6.0, 3.0)
    image = sky * (0.9 + 0.5 * np.clip(cloud - 0.4, 0, 1))[..., None] * np.ones_like(rays)
    if kind == "street":
        for _ in range(int(rng.integers(3, 8))):
            centre, wide, high = rng.uniform(-np.pi, np.pi), rng.uniform(0.2, 0.8), rng.uniform(0.15, 1.2)
            across = np.mod(heading - centre + np.pi, 2 * np.pi) - np.pi
            front = (np.abs(across) < wide / 2) & (slope < high)
            colour = _colour(rng, 0.25, 0.9)
            window = (np.mod(across / 0.09, 1) > 0.4) & (np.mod(slope / 0.13, 1) > 0.45)
            image[front] = colour
            image[front & window] = _colour(rng, 0.08, 0.6)
    green = linear(np.array([0.38, 0.45, 0.27]) * rng.uniform(0.6, 1.3))
    edge = 0.12 + 0.5 * (_sampled(smooth(17, 8), heading, heading * 0 + rng.uniform(0, 1), 2.0) - 0.35)
    edge = edge * (1.6 if kind == "park" else 0.5)
    leaves = 0.3 + 1.4 * _sampled(smooth(19, 32), heading, slope, 0.9)
    trees = slope < edge
    image[trees] = (green * leaves[..., None])[trees]
    if kind == "park":
        grass = linear(np.array([0.47, 0.53, 0.33]) * rng.uniform(0.7, 1.2))
        tuft = 0.7 + 0.6 * _sampled(smooth(21, 64), x, z, 0.6) * np.exp(-far / 10.0) + 0.3 * np.exp(-far / 3.0)
        ground = grass * tuft[..., None]
    else:
        ground = _flooring(rng, x, z, far, 0.015)
    return np.where(floor[..., None] > 0, ground, image).astype(np.float32)


def _clutter(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Boxes, discs and noise of any colour."""
    height, width = shape
    image = np.broadcast_to(_colour(rng, 0.1, 0.9, 0.3), (height, width, 3)).copy()
    for _ in range(int(rng.integers(10, 50))):
        colour = [float(v) for v in _colour(rng, 0.05, 1.0, 0.4)]
        at = (int(rng.integers(width)), int(rng.integers(height)))
        reach = (int(rng.integers(4, width // 2)), int(rng.integers(4, height // 2)))
        if rng.random() < 0.5:
            cv2.ellipse(image, at, reach, float(rng.uniform(0, 180)), 0, 360, colour, -1)
        else:
            cv2.rectangle(image, at, (at[0] + reach[0], at[1] + reach[1]), colour, -1)
    tile = cv2.resize(smooth(29, 32), (max(width, SIDE), max(height, SIDE)))[:height, :width]
    return (image * (0.6 + 0.8 * tile)[..., None]).astype(np.float32)


def composed(person: Floats, image: Floats) -> Floats:
    """Person (H, W, 4), straight, over a background (H, W, 3), both linear -> (H, W, 3)."""
    alpha = person[..., 3:]
    return person[..., :3] * alpha + image * (1.0 - alpha)
