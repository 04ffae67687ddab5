"""Hair, beards, hats, shoes, scarves and bags that need no pack: hulls of the body's own surface, and turned forms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from training.people.cloth import edges_of, hang
from training.people.cut import border_edges, cut, loops
from training.people.figure import Material, Part
from training.people.garments import hemmed, softened
from training.people.helpers_mesh import Posed, apply_rows, skin_rows, whole_mesh
from training.people.penetration import vertex_normals
from training.people.shell import ShellOnBody, ring_table, shell
from training.people.skeleton import bone

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Head:
    """The head's part of the body mesh: ids (H,) body vertices, faces (F, 3) into them, and soft masks (H,) 0..1."""

    ids: Ints
    faces: Ints
    scalp: Array
    beard: Array
    moustache: Array


@lru_cache(maxsize=1)
def head() -> Head:
    """Made once per process."""
    mesh = whole_mesh()
    rig = mesh.rig
    names = list(rig.part_names)
    wanted = np.isin(rig.part, [names.index(n) for n in ("head", "face", "scalp", "neck")])
    wanted[rig.vertices_of("inside")] = False
    wanted[rig.vertices_of("eyes")] = False
    keep = wanted[rig.faces].all(1)
    ids = np.unique(rig.faces[keep])
    place = np.full(mesh.body, -1)
    place[ids] = np.arange(len(ids))
    faces = place[rig.faces[keep]].astype(np.int64)
    rings = ring_table(faces, len(ids))
    scalp = smoothed((rig.part[ids] == names.index("scalp")).astype(np.float64), rings, 12)
    points = mesh.template[ids]
    lips = mesh.template[rig.vertices_of("lips_inner")]
    mouth = lips.mean(0)
    half = float(np.ptp(lips[:, 0])) / 2
    x, y, z = np.abs(points[:, 0]), points[:, 1] - mouth[1], points[:, 2] - mouth[2]
    jaw = (
        (y < 0.012 + 0.55 * np.maximum(x - 0.03, 0))
        & (y > -0.075)
        & (z > -0.085)
        & (rig.part[ids] != names.index("neck"))
    )
    lip = (np.abs(y) < 0.011) & (x < half + 0.006) & (z > -0.02)
    beard = smoothed((jaw & ~lip).astype(np.float64), rings, 3)
    above = (y > 0.008) & (y < 0.022) & (x < half + 0.008) & (z > -0.015)
    return Head(ids, faces, scalp, beard, smoothed(above.astype(np.float64), rings, 1))


def smoothed(values: Array, rings: Ints, rounds: int) -> Array:
    """Mean over neighbours, several times."""
    for _ in range(rounds):
        values = 0.5 * values + 0.5 * values[rings].mean(1)
    return values


HAIR = ("cap", "crop", "afro", "bob", "long", "bun", "top_knot", "ponytail", "pigtails", "mohawk")


def hair(
    style: str, body: Posed, on: ShellOnBody, rng: np.random.Generator, tint: tuple[float, float, float]
) -> list[Part]:
    """A hair style of HAIR as closed-looking hulls over the scalp."""
    h, mesh = head(), whole_mesh()
    material = Material(
        "hair", None, {"name": "plain", "weave": "melange", "seed": int(rng.integers(1 << 20))}, tint, 0.5
    )
    rest = body.rest[h.ids]
    normals = vertex_normals(rest, h.faces)
    thick = {"cap": 0.016, "crop": 0.009, "afro": 0.062, "bob": 0.022, "long": 0.02, "mohawk": 0.006}.get(style, 0.014)
    thick *= float(rng.uniform(0.85, 1.25))
    share = np.clip((h.scalp - 0.5) / 0.3, 0, 1)
    offset = 0.002 + thick * share ** (0.5 if style == "afro" else 0.8)
    template = mesh.template[h.ids]
    if style == "mohawk":
        offset = offset + 0.06 * share * np.exp(-((template[:, 0] / 0.018) ** 2))
    waves = strands(template, rng) * share
    offset = offset + waves * (0.16 if style == "afro" else 0.22) * thick
    rows = skin_rows(mesh.weights[h.ids], body.transforms)
    stack = np.concatenate([rest + normals * offset[:, None], rows, chart_of(template)], 1)
    stack, faces, _ = cut(stack, h.faces, h.scalp - 0.5)
    flat, rows, uv = stack[:, :3], stack[:, 3:15], stack[:, 15:17]
    if style in ("bob", "long"):
        length = float(rng.uniform(0.1, 0.15) if style == "bob" else rng.uniform(0.26, 0.42))
        return [curtain(flat, rows, uv, faces, length, body, on, rng, material)]
    at = apply_rows(rows, flat)
    parts = [Part("hair", at, faces.astype(np.int32), uv, faces.astype(np.int32), material, True)]
    return parts + tufts(style, body, on, rng, material)


def strands(points: Array, rng: np.random.Generator) -> Array:
    """(V,) -1..1: locks, finer around the head than along it."""
    out = np.zeros(len(points))
    for _ in range(4):
        direction = rng.normal(size=3) * [90, 25, 60]
        out += np.sin(points @ direction + rng.uniform(0, 6.28))
    return out / 4


def chart_of(template: Array) -> Array:
    """(V, 2) UVs by angle around the head and height."""
    middle = whole_mesh().template[head().ids].mean(0)
    d = template - middle
    return np.stack([0.5 + np.arctan2(d[:, 0], d[:, 2]) / 7.0, 0.5 + d[:, 1] * 1.6], 1)


def curtain(
    flat: Array,
    rows: Array,
    uv: Array,
    faces: Ints,
    length: float,
    body: Posed,
    on: ShellOnBody,
    rng: np.random.Generator,
    material: Material,
) -> Part:
    """Hair that hangs from the hairline at the sides and the back, down to `length` m below it, over the shoulders."""
    chain = loops(border_edges(faces))[0]
    ring = chain[:-1] if chain[0] == chain[-1] else chain
    middle = body.rest[head().ids].mean(0)
    angle = np.abs(np.arctan2(flat[ring, 0] - middle[0], flat[ring, 2] - middle[2]))
    back = angle > float(rng.uniform(1.3, 1.65))
    start = int(np.flatnonzero(~back)[0])
    order = np.roll(np.arange(len(ring)), -start)
    picked = ring[order[back[order]]]
    low = float(flat[picked, 1].min()) - length
    levels = max(int(length / 0.022), 4)
    made, made_rows, made_uv = [flat], [rows], [uv]
    chest = body.transforms[bone("spine01")].reshape(12)
    skull = body.transforms[bone("head")].reshape(12)
    swing = strands(flat[picked] * [1, 0.2, 1], rng)
    for k in range(1, levels + 1):
        t = k / levels
        point = flat[picked].copy()
        gone = (point[:, 1] - low) * t
        point[:, 1] -= gone
        outwards = point - middle
        outwards[:, 1] = 0
        outwards /= np.sqrt((outwards**2).sum(1, keepdims=True)) + 1e-9
        bulge = 0.012 * np.sin(np.pi * min(t * 1.5, 1.0)) + 0.018 * (1 - t) + 0.006 * swing * t
        point += outwards * np.maximum(bulge, 0.0)[:, None]
        share = np.clip((gone - 0.08) / 0.16, 0, 1)[:, None]
        made.append(point)
        made_rows.append((1 - share) * skull + share * chest)
        made_uv.append(uv[picked] - np.stack([0 * gone, 1.6 * gone], 1))
    base, count = len(flat), len(picked)
    index = np.concatenate([picked, base + np.arange(levels * count)]).reshape(levels + 1, count)
    a, b, d, e = (m.ravel() for m in (index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]))
    faces = np.concatenate([faces, np.stack([b, a, d], 1), np.stack([b, d, e], 1)])
    flat, rows, uv = np.concatenate(made), np.concatenate(made_rows), np.concatenate(made_uv)
    at = apply_rows(rows, flat)
    s = shell()
    home = np.stack([cKDTree(on.rest).query(flat)[1], np.full(len(flat), -1)], 1)
    hold = np.where(np.arange(len(flat)) < base, 1.0, 0.06)
    gap = np.where(np.arange(len(flat)) < base, -1.0, 0.008)
    threads = edges_of(faces)
    at = hang(
        at,
        threads,
        flat,
        hold,
        home,
        gap,
        on.posed,
        on.normals,
        s.rings,
        np.full(len(flat), -1),
        np.zeros(len(flat)),
        steps=12,
        stiffness=0.35,
        floor=-9.0,
    )
    tail = softened(at, faces, threads[0])
    at = np.where((np.arange(len(at)) >= base)[:, None], tail, at)
    return hemmed(Part("hair", at, faces.astype(np.int32), uv, faces.astype(np.int32), material, True), 0.006)


def tufts(style: str, body: Posed, on: ShellOnBody, rng: np.random.Generator, material: Material) -> list[Part]:
    """Buns, knots, tails: turned forms on the head bone."""
    top, back, side, middle = skull_marks(body)
    size = float(rng.uniform(0.85, 1.25))
    if style == "bun":
        return [
            blob(
                back + np.array([0, 0.01, -0.025]),
                [0.04 * size, 0.038 * size, 0.035 * size],
                "head",
                body,
                material,
                rng,
            )
        ]
    if style == "top_knot":
        return [
            blob(
                top + np.array([0, 0.022, -0.03]),
                [0.038 * size, 0.035 * size, 0.038 * size],
                "head",
                body,
                material,
                rng,
            )
        ]
    if style == "ponytail":
        path = [
            back + np.array([0, 0.03, -0.01]),
            back + np.array([0, 0.03, -0.06]),
            back + np.array([0, -0.08 * size, -0.075]),
            back + np.array([0, -0.2 * size, -0.05]),
        ]
        return [tube(np.array(path), [0.014, 0.028, 0.03, 0.006], "head", body, material, rng)]
    if style == "pigtails":
        found = []
        for sign in (1.0, -1.0):
            root = np.array([sign * side, back[1] + 0.005, middle[2] - 0.03])
            path = [
                root,
                root + np.array([sign * 0.035, 0.005, 0]),
                root + np.array([sign * 0.05, -0.09 * size, 0.0]),
                root + np.array([sign * 0.035, -0.19 * size, 0.012]),
            ]
            found.append(tube(np.array(path), [0.012, 0.024, 0.026, 0.006], "head", body, material, rng))
        return found
    return []


def skull_marks(body: Posed) -> tuple[Array, Array, float, Array]:
    """Top and back of the skull, half its width, its middle; rest, m."""
    h = head()
    points = body.rest[h.ids][h.scalp > 0.4]
    middle = (points.min(0) + points.max(0)) / 2
    return (
        np.array([0, points[:, 1].max(), middle[2]]),
        np.array([0, middle[1], points[:, 2].min()]),
        float(points[:, 0].max()),
        middle,
    )


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


def beard(kind: str, body: Posed, rng: np.random.Generator, tint: tuple[float, float, float]) -> Part:
    """'full', 'short' or 'moustache'."""
    h, mesh = head(), whole_mesh()
    mask = h.moustache if kind == "moustache" else np.maximum(h.beard, h.moustache)
    rest = body.rest[h.ids]
    normals = vertex_normals(rest, h.faces)
    depth = {"full": 0.022, "short": 0.006, "moustache": 0.006}[kind] * float(rng.uniform(0.8, 1.3))
    share = np.clip((mask - 0.5) / 0.4, 0, 1)
    offset = 0.0012 + depth * share * (1 + 0.25 * strands(mesh.template[h.ids], rng))
    moved = rest + normals * offset[:, None]
    moved[:, 1] -= 0.5 * depth * share
    rows = skin_rows(mesh.weights[h.ids], body.transforms)
    stack = np.concatenate([apply_rows(rows, moved), chart_of(mesh.template[h.ids])], 1)
    stack, faces, _ = cut(stack, h.faces, mask - 0.5)
    material = Material("hair", None, {"name": "plain", "weave": "melange"}, tint, 0.5)
    return Part("beard", stack[:, :3], faces.astype(np.int32), stack[:, 3:5], faces.astype(np.int32), material, True)


HATS = ("beanie", "baseball_cap", "brim_hat", "bucket_hat")


def hat(kind: str, body: Posed, rng: np.random.Generator, material: Material) -> tuple[list[Part], float]:
    """A hat of HATS and the rest height (m) above which hair must not show."""
    h, _mesh = head(), whole_mesh()
    rest = body.rest[h.ids]
    top, back, side, middle = skull_marks(body)
    front = float(rest[h.scalp > 0.5][:, 2].max())
    depth = (front - back[2]) / 2 + 0.012
    centre = np.array([0, 0, (front + back[2]) / 2])
    rise = top[1] - middle[1]
    base = middle[1] + {"beanie": -0.012, "baseball_cap": 0.004, "brim_hat": 0.008, "bucket_hat": 0.016}[kind]
    puff = {"beanie": 0.014, "baseball_cap": 0.015, "brim_hat": 0.018, "bucket_hat": 0.019}[kind]
    tall = rise - (base - middle[1]) + (0.03 if kind == "beanie" else 0.045 if kind == "brim_hat" else 0.016)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    wide = np.stack([(side + puff) * np.sin(angle), 0 * angle, (depth + puff) * np.cos(angle)], 1)
    tilt = {"beanie": -0.2, "baseball_cap": -0.06}.get(kind, -0.02)
    levels = []
    brim = {"brim_hat": 0.075, "bucket_hat": 0.05}.get(kind, 0.0) * float(rng.uniform(0.8, 1.2))
    drop = {"brim_hat": 0.004, "bucket_hat": 0.035}.get(kind, 0.0)
    if brim:
        scale = 1 + brim / (side + puff)
        levels += [(scale, -drop), (1 + 0.5 * (scale - 1), -0.5 * drop)]
    if kind == "beanie":
        levels += [(1.03, -0.012), (1.045, 0.012), (1.03, 0.03)]
    levels.append((1.0, 0.0))
    if kind == "brim_hat":
        levels += [(0.97, 0.4 * tall), (0.9, 0.8 * tall), (0.75, 0.98 * tall), (0.35, tall), (0.01, 0.97 * tall)]
    else:
        levels += [
            (float(np.sqrt(max(1 - t**2.4, 0.0))) * 1.0 + 0.01, t * tall)
            for t in (0.25, 0.45, 0.62, 0.76, 0.87, 0.95, 0.99, 1.0)
        ]
    points = np.stack([centre + np.array([0, base + y, 0]) + wide * s for s, y in levels])
    points[..., 1] += tilt * (points[..., 2] - centre[2]) * -1.0
    parts = [grid_part("hat", follow(points[::-1], {"head": 1.0}, body), material)]
    if kind == "baseball_cap":
        spread = np.linspace(-0.95, 0.95, 15)
        arc = np.stack([(side + puff) * np.sin(spread), 0 * spread, (depth + puff) * np.cos(spread)], 1)
        inner = centre + np.array([0, base + 0.004, 0]) + arc
        outer = inner + np.stack(
            [0.05 * np.sin(spread), -0.028 + 0.018 * np.cos(spread * 1.6), 0.075 * np.cos(spread)], 1
        )
        visor = np.stack([inner, 0.5 * (inner + outer) + np.array([0, 0.004, 0]), outer])
        made = grid_part("hat", follow(visor, {"head": 1.0}, body), material, closed=False)
        parts.append(hemmed(made, 0.004))
    return parts, base + 0.006


def scarf(body: Posed, on: ShellOnBody, rng: np.random.Generator, material: Material) -> list[Part]:
    """A thick ring of cloth around the neck, and often one end that hangs."""
    s = shell()
    ring = np.abs(s.fields["neck_height"] - 0.025) < 0.025
    ring &= s.fields["neck_radius"] < 0.1
    points = on.rest[ring]
    middle = points.mean(0)
    reach = float(np.sqrt(((points - middle)[:, [0, 2]] ** 2).sum(1)).mean())
    around = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    small = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    thick = float(rng.uniform(0.024, 0.036))
    lumps = 1 + 0.16 * np.sin(3 * around + rng.uniform(0, 6.28)) + 0.12 * np.sin(7 * around + rng.uniform(0, 6.28))
    folds = 1 + 0.1 * np.sin(4 * small[None] + 2 * around[:, None])
    radius = reach + 0.016 + thick * lumps[:, None] * folds * np.cos(small)[None]
    level = 0.012 * lumps[:, None] + 1.25 * thick * folds * np.sin(small)[None] - 0.018 * np.cos(around)[:, None]
    torus = np.stack([np.sin(around)[:, None] * radius, level, np.cos(around)[:, None] * radius * 1.05], -1) + middle
    closed = np.concatenate([torus, torus[:1]])
    parts = [grid_part("scarf", follow(closed, {"neck01": 0.4, "spine01": 0.6}, body)[:, ::-1], material)]
    if rng.random() < 0.6:
        length, x0 = float(rng.uniform(0.25, 0.5)), float(rng.choice([-1, 1]) * 0.05)
        rows, columns = int(length / 0.02), 7
        across = np.linspace(-0.055, 0.055, columns)
        down = np.linspace(0, length, rows)[:, None]
        flat = np.stack(
            [
                x0 + across[None] * (0.7 + 0.3 * down / length),
                middle[1] - down + 0 * across[None],
                middle[2] + reach + 0.02 + 0.006 * np.cos(60 * across)[None] + 0 * down,
            ],
            -1,
        ).reshape(-1, 3)
        made = grid_part("scarf", flat.reshape(rows, columns, 3), material, closed=False)
        start = follow(flat, {"spine01": 1.0}, body)
        hold = np.where(np.arange(len(flat)) < columns * 2, 0.9, 0.01)
        home = np.stack([cKDTree(on.rest).query(flat)[1], np.full(len(flat), -1)], 1)
        at = hang(
            start,
            edges_of(made.faces.astype(np.int64)),
            flat,
            hold,
            home,
            np.full(len(flat), 0.03),
            on.posed,
            on.normals,
            s.rings,
            np.full(len(flat), -1),
            np.zeros(len(flat)),
            steps=20,
            stiffness=0.3,
            floor=-9.0,
        )
        parts.append(hemmed(Part("scarf", at, made.faces, made.uv, made.uv_faces, material, True), 0.004))
    return parts


def strip(label: str, field: Array, on: ShellOnBody, gap: float, material: Material) -> Part:
    """A strap: the part of the shell where the field is positive, `gap` metres off the skin."""
    s = shell()
    stack = np.concatenate([on.posed + on.normals * gap, s.points[:, :2] * 0.5 + 0.5], 1)
    stack, faces, _ = cut(stack, s.faces, field)
    made = Part(label, stack[:, :3], faces.astype(np.int32), stack[:, 3:5], faces.astype(np.int32), material, True)
    return hemmed(made, 0.004) if len(faces) else made


def bag(
    kind: str, body: Posed, on: ShellOnBody, rng: np.random.Generator, gap: float, material: Material
) -> list[Part]:
    """'backpack' or 'shoulder': a rounded box with straps that lie on the clothes. gap: what the clothes take, m."""
    s = shell()
    x, y, _ = s.points.T
    root = s.joints["root"][1]
    trunk = 0.3 - s.fields["arm_mass"]
    trunk = np.minimum(trunk, -(np.minimum(s.fields["neck_height"] + 0.02, 0.075 - s.fields["neck_radius"])))
    size = float(np.ptp(on.rest[:, 1]) / np.ptp(s.points[:, 1]))
    scale = float(rng.uniform(0.85, 1.15)) * size
    if kind == "backpack":
        straps = np.minimum(np.minimum(0.02 - np.abs(np.abs(x) - 0.105), y - root - 0.22), trunk)
        back = np.abs(s.points[:, 0]) < 0.1
        level = (np.abs(y - root - 0.33) < 0.12) & back
        behind = float(on.rest[level][:, 2].min())
        middle = np.array([0.0, float(on.rest[level][:, 1].mean()), behind - 0.075 * scale - gap])
        box = rounded_box(middle, np.array([0.14, 0.21, 0.075]) * scale)
        return [
            grid_part("bag", follow(box, {"spine02": 0.6, "spine03": 0.4}, body), material),
            strip("bag", straps, on, gap, material),
        ]
    sign = float(rng.choice([-1, 1]))
    shoulder = np.array([-sign * 0.11, 0.53])
    distance = (x - shoulder[0]) * 0.83 * sign + (y - root - shoulder[1]) * 0.55
    strap = np.minimum(np.minimum(0.014 - np.abs(distance), y - root + 0.03), trunk)
    level = (np.abs(y - root - 0.02) < 0.05) & (s.fields["arm_mass"] < 0.2)
    wide = float(np.abs(on.rest[level][:, 0]).max())
    box = rounded_box(
        np.array([sign * (wide + 0.04 * scale + gap), float(on.rest[level][:, 1].mean()) - 0.06, 0.0]),
        np.array([0.04, 0.1, 0.13]) * scale,
    )
    return [grid_part("bag", follow(box, {"root": 1.0}, body), material), strip("bag", strap, on, gap, material)]


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


def shoes(body: Posed, on: ShellOnBody, rng: np.random.Generator, material: Material) -> tuple[Part, Array]:
    """Plain shoes from the shell's feet, and the (S,) cover of the shell. High ones reach over the ankle."""
    s = shell()
    rise = s.joints["foot.L"][1] + float(rng.choice([-0.012, 0.0, 0.05, 0.12]))
    sole = float(rng.uniform(0.014, 0.03))
    feet = np.minimum(rise - s.points[:, 1] - 0.25 * np.clip(s.points[:, 2] - s.joints["foot.L"][2], -0.03, 0.04), 0.3)
    inside = np.where(s.fields["arm_mass"] > 0.3, -1.0, feet)
    down = np.clip(-s.normals[:, 1] * 2 - 0.6, 0, 1)
    low = on.rest[:, 1].min()
    moved = on.rest + on.rest_normals * 0.0075
    near = np.clip(1 - (on.rest[:, 1] - low) / 0.03, 0, 1)
    moved[:, 1] -= sole * np.maximum(near, 0.0) * 0.8
    moved[:, 1] = np.where(down > 0.5, low - sole, moved[:, 1])
    at = apply_rows(on.rows, moved)
    uv = np.stack([0.5 + s.points[:, 0] * 0.8, 0.5 + s.points[:, 2] * 0.8], 1)
    stack, faces, _ = cut(np.concatenate([at, uv], 1), s.faces, inside)
    made = Part("shoes", stack[:, :3], faces.astype(np.int32), stack[:, 3:5], faces.astype(np.int32), material, True)
    return hemmed(made, 0.005), inside - 0.012


__all__ = ["HAIR", "HATS", "bag", "beard", "hair", "hat", "scarf", "shoes", "strip"]
