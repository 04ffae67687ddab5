"""Hair that needs no pack: hulls of the scalp, curtains that hang from it, buns and tails."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from training.people.cloth import edges_of, hang
from training.people.cut import border_edges, cut, loops
from training.people.figure import Material, Part
from training.people.garments import hemmed, softened
from training.people.helpers_mesh import Posed, apply_rows, skin_rows, whole_mesh
from training.people.penetration import vertex_normals
from training.people.shell import ShellOnBody, shell
from training.people.skeleton import bone
from training.people.skull import chart_of, head, skull_marks, strands
from training.people.turned import blob, tube

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


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
    if style in ("bun", "top_knot"):
        behind = style == "bun"
        place = back + np.array([0, 0.01, -0.025]) if behind else top + np.array([0, 0.022, -0.03])
        radii = [0.04, 0.038, 0.035] if behind else [0.038, 0.035, 0.038]
        return [blob(place, [r * size for r in radii], "head", body, material, rng)]
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
