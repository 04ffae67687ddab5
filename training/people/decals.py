"""What is sewn and printed on drawn cloth: seams and hems, logos, letters, buttons, pockets, at true size.

Places are found on the body, not in the UV chart: a ray towards the breastbone, a hip or the back meets the cloth, and
the UVs of the triangle that it hits say where, which way up and how large to paint. Seams and hems follow the borders
of the chart.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pipelines.body.joints import BODY22_NAMES
from pipelines.body.read_body import to_world
from training.people.figure import Figure, Part
from training.people.grain import hashed
from training.people.streams import stream

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]
SHAPES = ("disc", "box", "ring", "letters", "button", "pocket", "line", "star")
TOPS = {"top", "shirt", "tshirt", "t-shirt", "hoodie", "sweater", "dress", "blouse", "pullover", "sweatshirt"}
FASTENED = {"coat", "jacket", "shirt", "cardigan", "blouse", "robe", "vest"}
LEGS = {"trousers", "jeans", "shorts", "bottom", "pants"}
STRAIGHT = 0.5  # radians between neighbouring edges of a seam


@dataclass(frozen=True)
class Decal:
    """shape of SHAPES; across, along: (3,) unit, the drawing's right and up; origin, direction (3,): the ray that finds
    its place; width, height in metres; colour sRGB 0..1; strength 0..1."""

    shape: str
    origin: Array
    direction: Array
    across: Array
    along: Array
    width: float
    height: float
    colour: tuple[float, float, float]
    strength: float = 1.0
    seed: int = 0


def decorated(image: Pixels, part: Part, figure: Figure) -> Pixels:
    """The texture of a part with what is sewn and printed on it. Photographs of clothes have theirs already."""
    if part.material.texture is not None or part.material.kind != "cloth" or not len(part.faces):
        return image
    image = stitched(image, part)
    for decal in decals_of(part, figure):
        painted(image, part, decal)
    return image


def stitched(image: Pixels, part: Part) -> Pixels:
    """A darker line along seams and a hem's stitching 2 cm inside open borders."""
    size = image.shape[0]
    seams, hems = borders(part)
    shade = np.full((size, size), 255, np.uint8)
    texels = size / part.material.metres_per_uv

    def line(edges: NDArray[np.int32], metres: float, value: int) -> None:
        ends = part.uv[edges] * (size, -size) + (0, size)
        cv2.polylines(shade, list(np.round(ends).astype(np.int32)), False, value, max(1, round(metres * texels)))

    if len(hems):
        line(hems, 0.040, 215)
        line(hems, 0.033, 250)
        line(hems, 0.006, 200)
    if len(seams):
        line(seams, 0.006, 185)
    image = image.copy()
    image[..., :3] = (image[..., :3].astype(np.uint16) * shade[..., None] // 255).astype(np.uint8)
    return image


def borders(part: Part) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """UV edges (N, 2) where the chart is cut but the cloth is not (seams), and where the cloth ends (hems)."""
    edge = np.stack([part.uv_faces, np.roll(part.uv_faces, -1, 1)], -1).reshape(-1, 2)
    solid = np.stack([part.faces, np.roll(part.faces, -1, 1)], -1).reshape(-1, 2)
    end = _lonely(solid)
    cut = np.flatnonzero(_lonely(edge) & ~end)
    cut = cut[_straight(part.vertices, solid[cut])]
    # Where the chart turns around its own axis a short edge of cloth is a long way across the picture: no seam either.
    drawn = _lengths(part.uv, edge[cut]) * part.material.metres_per_uv
    return edge[cut[drawn < 2.5 * _lengths(part.vertices, solid[cut])]], edge[end]


def _lengths(points: NDArray[np.floating], edges: NDArray[np.integer]) -> Array:
    d = (points[edges[:, 1]] - points[edges[:, 0]]).astype(np.float64)
    return np.sqrt((d * d).sum(1))


def _straight(points: NDArray[np.floating], edges: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(E,) whether an edge belongs to a chain that a tailor could sew: where a chart is cut along whole triangles the
    chain is a zigzag, which turns by more than STRAIGHT at most of its vertices, and a line there reads as scribble."""
    if not len(edges):
        return np.zeros(0, bool)
    _, place = np.unique(edges, return_inverse=True)
    pairs, back = np.unique(np.sort(place.reshape(-1, 2), 1), axis=0, return_inverse=True)
    count = int(pairs.max()) + 1
    ids = np.unique(edges)
    d = (points[ids[pairs[:, 1]]] - points[ids[pairs[:, 0]]]).astype(np.float64)
    d /= np.sqrt((d * d).sum(1, keepdims=True)) + 1e-12
    # At a vertex between two edges both directions, taken outwards, sum to nothing when the chain runs on straight.
    outwards = np.zeros((count, 3))
    np.add.at(outwards, pairs[:, 0], d)
    np.add.at(outwards, pairs[:, 1], -d)
    middle = np.bincount(pairs.ravel(), minlength=count) == 2
    turn = 2 * np.arcsin(np.clip(np.sqrt((outwards**2).sum(1)) / 2, 0, 1))
    chain = connected_components(coo_matrix((np.ones(len(pairs)), pairs.T), (count, count)), directed=False)[1]
    sharp = np.bincount(chain[middle & (turn > STRAIGHT)], minlength=chain.max() + 1)
    gentle = np.bincount(chain[middle & (turn <= STRAIGHT)], minlength=chain.max() + 1)
    return (gentle > 2 * sharp)[chain[pairs[:, 0]]][back.ravel()]


def _lonely(edges: NDArray[np.integer]) -> NDArray[np.bool_]:
    low, high = edges.min(1).astype(np.int64), edges.max(1).astype(np.int64)
    return _single(low * (int(edges.max()) + 1) + high)


@njit(cache=True, error_model="numpy")
def _single(codes):  # type: ignore[no-untyped-def]
    """(N,) whether a number occurs once (a hash table with open addressing)."""
    size = 1
    while size < 3 * codes.size:
        size *= 2
    first = np.full(size, -1, np.int64)
    out = np.ones(codes.size, np.bool_)
    for n in range(codes.size):
        at = ((codes[n] * 0x9E3779B1) >> 7) & (size - 1)
        while first[at] >= 0 and codes[first[at]] != codes[n]:
            at = (at + 1) & (size - 1)
        if first[at] < 0:
            first[at] = n
        else:
            out[first[at]] = False
            out[n] = False
    return out


def decals_of(part: Part, figure: Figure) -> list[Decal]:
    """What a garment carries: named by its recipe, or drawn by chance from its label."""
    rng = stream(figure.seed, f"decals {part.label}")
    body = Frame.of(figure)
    asked = part.material.pattern.get("decals")
    plain = part.material.pattern.get("name", "plain") in ("plain", "knit", "melange", "denim")
    ink = _ink(part, rng)
    if asked is None:
        asked = []
        if part.label in TOPS and plain:
            chance = rng.random()
            asked += ["print_chest"] if chance < 0.28 else ["logo_chest"] if chance < 0.45 else []
            asked += ["print_back"] if rng.random() < 0.15 else []
        if part.label in FASTENED:
            asked += ["buttons"] + (["pocket_chest"] if rng.random() < 0.4 else [])
        if part.label in LEGS:
            asked += ["pockets_back", "fly"]
    made: list[Decal] = []
    for name in asked:
        made += body.decals(str(name), ink, rng)
    return made


def _ink(part: Part, rng: np.random.Generator) -> tuple[float, float, float]:
    base = part.material.tint or (0.5, 0.5, 0.5)
    if rng.random() < 0.6:
        value = 0.93 if sum(base) < 1.6 else 0.1
        return (value, value, value)
    colour = rng.uniform(0.1, 0.95, 3)
    return (float(colour[0]), float(colour[1]), float(colour[2]))


@dataclass(frozen=True)
class Frame:
    """The trunk: chest and pelvis (3,) metres, and unit vectors to its right in a picture, up and forwards."""

    chest: Array
    pelvis: Array
    across: Array
    up: Array
    forward: Array
    hip_across: Array
    hip_forward: Array
    scale: float

    @classmethod
    def of(cls, figure: Figure) -> Frame:
        """From the 22 joints."""
        at = dict(zip(BODY22_NAMES, to_world(figure.body, figure.body["body22_cam"]).astype(np.float64), strict=True))
        shoulders = 0.5 * (at["left_shoulder"] + at["right_shoulder"])
        up = shoulders - at["pelvis"]
        length = float(np.linalg.norm(up))
        up = up / length
        across = at["left_shoulder"] - at["right_shoulder"]
        across -= up * (up @ across)
        across /= np.linalg.norm(across) + 1e-9
        hips = at["left_hip"] - at["right_hip"]
        hips -= up * (up @ hips)
        hips /= np.linalg.norm(hips) + 1e-9
        chest = at["pelvis"] + 0.78 * length * up
        return cls(chest, at["pelvis"], across, up, np.cross(across, up), hips, np.cross(hips, up), length / 0.5)

    def decals(self, name: str, ink: tuple[float, float, float], rng: np.random.Generator) -> list[Decal]:
        """The decals of one name; ValueError for a name that is not known."""
        s, front, back = self.scale, self.forward, -self.forward

        def on_trunk(shape: str, side: float, rise: float, width: float, height: float, facing: Array,
                     colour: tuple[float, float, float], strength: float = 1.0) -> Decal:  # fmt: skip
            centre = self.chest + self.across * side * s + self.up * rise * s
            right = self.across * (1.0 if facing is front else -1.0)
            return Decal(shape, centre + 0.6 * facing, -facing, right, self.up, width * s, height * s, colour,
                         strength, int(rng.integers(1 << 20)))  # fmt: skip

        dark = (0.05, 0.05, 0.06)
        if name == "print_chest":
            shape = ("letters", "disc", "ring", "star", "box")[int(rng.integers(5))]
            width = float(rng.uniform(0.12, 0.24))
            tall = 0.3 * width if shape == "letters" else width
            return [on_trunk(shape, 0, -0.03, width, tall, front, ink, 0.92)]
        if name == "print_back":
            return [on_trunk("letters", 0, 0.0, 0.26, 0.09, back, ink, 0.92)]
        if name == "logo_chest":
            return [on_trunk(("star", "disc", "box")[int(rng.integers(3))], 0.09, 0.02, 0.05, 0.05, front, ink)]
        if name == "buttons":
            rises = np.linspace(0.06, -0.36, 6)
            found = [on_trunk("line", 0.012, float(r), 0.006, 0.10, front, dark, 0.35) for r in rises]
            return found + [on_trunk("button", 0, float(r), 0.014, 0.014, front, ink) for r in rises]
        if name == "pocket_chest":
            return [on_trunk("pocket", 0.085, -0.03, 0.10, 0.11, front, dark, 0.5)]
        hip = {"facing": -self.hip_forward, "right": -self.hip_across}
        if name == "pockets_back":
            return [Decal("pocket", self.pelvis + side * self.hip_across * 0.085 * s + self.up * -0.06 * s
                          + 0.6 * hip["facing"], -hip["facing"], hip["right"], self.up, 0.12 * s, 0.13 * s, dark, 0.45)
                    for side in (-1.0, 1.0)]  # fmt: skip
        if name == "fly":
            return [Decal("line", self.pelvis + self.up * rise * s + 0.6 * self.hip_forward, -self.hip_forward,
                          self.hip_across, self.up, 0.005, 0.06 * s, dark, 0.4) for rise in (0.02, -0.03)]  # fmt: skip
        raise ValueError(f"The decal came as '{name}'; it needs print_chest, print_back, logo_chest, buttons, "
                         "pocket_chest, pockets_back or fly.")  # fmt: skip


def painted(image: Pixels, part: Part, decal: Decal) -> bool:
    """Paint one decal into the texture where its ray meets the part; False when it meets nothing there."""
    hit, s, t = _first_hit(part.vertices.astype(np.float64), part.faces, decal.origin, decal.direction)
    if hit < 0:
        return False
    a, b, c = part.vertices[part.faces[hit]].astype(np.float64)
    ua, ub, uc = part.uv[part.uv_faces[hit]].astype(np.float64)
    uv_edges = np.stack([ub - ua, uc - ua], 1)
    if abs(np.linalg.det(uv_edges)) < 1e-12:
        return False
    surface = np.stack([b - a, c - a], 1) @ np.linalg.inv(uv_edges)  # metres per UV, (3, 2)
    per_metre = np.linalg.pinv(surface) @ np.stack([decal.across, decal.along], 1)
    if abs(np.linalg.det(per_metre)) < 1e-9:
        return False
    centre = ua + s * (ub - ua) + t * (uc - ua)
    reach = np.abs(per_metre) @ (0.5 * np.array([decal.width, decal.height]))
    size = image.shape[0]
    low, high = np.maximum(centre - reach, 0.0), np.minimum(centre + reach, 1.0)
    box = np.array([low[0] * size, (1 - high[1]) * size, high[0] * size + 1, (1 - low[1]) * size + 1]).astype(int)
    ink = np.array(decal.colour) * 255.0
    _paint(image, box, centre, np.linalg.inv(per_metre), SHAPES.index(decal.shape), decal.width, decal.height, ink,
           decal.strength, decal.seed)  # fmt: skip
    return True


@njit(cache=True, error_model="numpy")
def _first_hit(vertices, faces, origin, direction):  # type: ignore[no-untyped-def]
    """Number and barycentric (s, t) of the first face along a ray (Moller & Trumbore 1997); -1 for none."""
    best, found, fs, ft = 1e9, -1, 0.0, 0.0
    rx, ry, rz = direction[0], direction[1], direction[2]
    for f in range(faces.shape[0]):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, az = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        e1x, e1y, e1z = vertices[j, 0] - ax, vertices[j, 1] - ay, vertices[j, 2] - az
        e2x, e2y, e2z = vertices[k, 0] - ax, vertices[k, 1] - ay, vertices[k, 2] - az
        dx, dy, dz = origin[0] - ax, origin[1] - ay, origin[2] - az
        px, py, pz = ry * e2z - rz * e2y, rz * e2x - rx * e2z, rx * e2y - ry * e2x
        det = e1x * px + e1y * py + e1z * pz
        if abs(det) < 1e-14:
            continue
        s = (dx * px + dy * py + dz * pz) / det
        if s < 0.0 or s > 1.0:
            continue
        qx, qy, qz = dy * e1z - dz * e1y, dz * e1x - dx * e1z, dx * e1y - dy * e1x
        t = (rx * qx + ry * qy + rz * qz) / det
        if t < 0.0 or s + t > 1.0:
            continue
        distance = (e2x * qx + e2y * qy + e2z * qz) / det
        if 0.0 < distance < best:
            best, found, fs, ft = distance, f, s, t
    return found, fs, ft


@njit(cache=True, error_model="numpy")
def _paint(image, box, centre, to_metres, shape, width, height, ink, strength, seed):  # type: ignore[no-untyped-def]
    size = image.shape[0]
    for row in range(box[1], min(box[3], size)):
        for column in range(box[0], min(box[2], size)):
            du, dv = (column + 0.5) / size - centre[0], 1.0 - (row + 0.5) / size - centre[1]
            x = (to_metres[0, 0] * du + to_metres[0, 1] * dv) / (0.5 * width)
            y = (to_metres[1, 0] * du + to_metres[1, 1] * dv) / (0.5 * height)
            if abs(x) > 1.0 or abs(y) > 1.0:
                continue
            r = np.sqrt(x * x + y * y)
            k = 0.0
            if shape == 0:
                k = 1.0 if r < 1.0 else 0.0
            elif shape == 1:
                k = 1.0
            elif shape == 2:
                k = 1.0 if 0.6 < r < 1.0 or r < 0.3 else 0.0
            elif shape == 3:  # rows of blocks that read as letters from afar: seven letters of 4 x 5 cells
                cx, cy = int((x + 1.0) * 0.5 * 35.0), int((y + 1.0) * 0.5 * 5.0)
                if cx % 5 < 4:
                    edge = cx % 5 == 0 or (cy % 2 == 0)
                    k = 1.0 if (edge and hashed(cx, cy, seed) < 0.8) or hashed(cx, cy, seed) < 0.25 else 0.0
            elif shape == 4:
                k = 1.0 if 0.25 < r < 1.0 else (0.4 if r < 1.0 else 0.0)
            elif shape == 5:
                pointed = -1.0 + 0.25 * abs(x)
                rim = min(min(1.0 - abs(x), 1.0 - y), y - pointed)
                k = 0.0 if rim < 0.0 else (1.0 if rim < 0.06 else (0.15 if rim < 0.14 else 0.0))
                if y > 0.8 and rim >= 0.0:
                    k = max(k, 0.5)
            elif shape == 6:
                k = 1.0 - abs(x)
            else:
                angle = np.arctan2(x, y)
                k = 1.0 if r < 0.62 + 0.36 * np.cos(5.0 * angle) else 0.0
            k *= strength
            for c in range(3):
                image[row, column, c] = np.uint8(image[row, column, c] * (1.0 - k) + ink[c] * k + 0.5)
