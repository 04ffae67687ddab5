"""Own garments: regions of the shell with clean hems, widened, extended below the hips, and hung on the body.

A garment is cut on the template's fields, so that it is the same cut on every body. What is wider than the skin lies
off it by an ease that grows towards the hem; skirts, dresses and coats go on below the hips as rows hung from the last
cut line. `hang` then does what cloth does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from training.people.cloth import edges_of, hang, push_out
from training.people.cut import border_edges, cut, loops
from training.people.figure import Material, Part
from training.people.helpers_mesh import Posed, apply_rows
from training.people.penetration import vertex_normals
from training.people.shell import Shell, ShellOnBody, shell
from training.people.skeleton import bone

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
HIP_LINE = -0.03  # metres above the pelvis joint; the last height at which trunk and cloth are one ring
# Columns of the attributes that a cut carries along.
REST, NORMAL, ROWS, TEMPLATE, CHART, HOME = slice(0, 3), slice(3, 6), slice(6, 18), slice(18, 21), slice(21, 24), 24
FIELDS = 25


@dataclass(frozen=True)
class Cut:
    """The pattern of a garment. Lengths in metres on the template; sleeve: 0 shoulder .. 1 wrist, below -1 none and no
    shoulders; bottom and top: heights above the pelvis joint; neck: how much lower than the collar line the neck is cut
    at the front; neck_radius; opening: (half width at the hem, at the neck) of an open front, None closed; below: length
    that hangs below the hip line; flare: widening per metre; ease: (at shoulders or waist, at hem, at sleeve's end)."""

    name: str
    label: str
    sleeve: float = -5.0
    bottom: float = -9.0
    top: float = 9.0
    neck: float = 0.0
    vee: float = 0.0
    neck_radius: float = 0.085
    opening: tuple[float, float] | None = None
    below: float = 0.0
    flare: float = 0.1
    ease: tuple[float, float, float] = (0.006, 0.02, 0.012)
    gap: float = 0.005
    steps: int = 22
    stiffness: float = 0.12
    thickness: float = 0.003
    loose: bool = False
    material: Material = field(default_factory=lambda: Material("cloth"))


def conditions(c: Cut, s: Shell) -> Array:
    """(S, K) positive where the garment is, one column for each cutting line."""
    f = s.fields
    out = [0.5 - f["foot_mass"]]
    if c.below > 0:
        out.append(f["height"] - HIP_LINE)
    else:
        out.append(f["height"] - c.bottom)
    if c.top < 5:
        out.append(c.top - np.where(f["arm_mass"] > 0.35, 9.0, f["height"]))
    if c.sleeve > -2:
        out.append(0.42 * (c.sleeve - f["arm"]))
        front = np.clip((s.points[:, 2] - s.joints["neck01"][2]) / 0.05 + 0.5, 0, 1)
        scoop = front * np.maximum(c.neck, c.vee - 1.15 * np.abs(f["side"]))
        radius = np.maximum(c.neck_radius, c.neck_radius * (1 + 0.6 * front * (c.vee > 0)))
        hole = np.minimum(f["neck_height"] + 0.005 + scoop, radius - f["neck_radius"])
        out.append(-hole)
    if c.opening is not None:
        share = np.clip((f["height"] + 0.05) / 0.55, 0, 1)
        out.append(f["front"] - (c.opening[0] * (1 - share) + c.opening[1] * share))
    return np.stack(out, 1)


def cover(c: Cut, s: Shell, margin: float = 0.016) -> Array:
    """(S,) positive where the garment covers the skin for certain."""
    columns = conditions(c, s)
    return columns.min(1) - margin


def sew(c: Cut, on: ShellOnBody, body: Posed, rng: np.random.Generator, outer: Array | None, floor: float) -> Part:
    """A garment on a body. outer: (S,) positive where another garment lies over this one and hides it, or None."""
    s = shell()
    columns = conditions(c, s)
    if outer is not None:
        if c.below > 0:  # the ring at the hip line must stay whole, or there is nothing to hang the rest from
            outer = np.where(s.fields["height"] < HIP_LINE + 0.07, -1.0, outer)
        columns = np.concatenate([columns, -outer[:, None] - 0.02], 1)
    chart = charts(c, s)
    index = np.arange(len(s.points), dtype=np.float64)[:, None]
    stack = np.concatenate([on.rest, on.rest_normals, on.rows, s.points, chart, index, columns], 1)
    faces = s.faces
    for k in range(columns.shape[1]):
        stack, faces, _ = cut(stack, faces, stack[:, FIELDS + k])
    if len(faces):
        stack, faces = largest(stack, faces)
    if not len(faces):  # an inner layer that lies wholly under the outer one
        return Part(
            c.label,
            np.zeros((0, 3)),
            np.zeros((0, 3), np.int32),
            np.zeros((0, 2)),
            np.zeros((0, 3), np.int32),
            c.material,
            True,
        )
    home = np.stack(
        [np.clip(np.round(stack[:, HOME]), 0, len(s.points) - 1).astype(np.int64), np.full(len(stack), -1)], 1
    )
    fresh = np.abs(s.points[home[:, 0]] - stack[:, TEMPLATE]).max(1) > 0.02  # at a cut the number was interpolated
    if fresh.any():
        home[fresh, 0] = shell_tree().query(stack[fresh, TEMPLATE])[1]
    offset = eases(c, stack[:, TEMPLATE], home[:, 0], s)
    bumps = wobble(stack[:, TEMPLATE], rng, 0.35 * offset)
    flat = stack[:, REST] + stack[:, NORMAL] * (offset + bumps)[:, None]
    rows = stack[:, ROWS]
    template, chart = stack[:, TEMPLATE], stack[:, CHART]
    hold = holds(c, template, home[:, 0], s)
    tether, reach = np.full(len(stack), -1), np.zeros(len(stack))
    if c.below > 0:
        flat, rows, home, template, chart, hold, faces, tether, reach = extended(
            c, flat, rows, home, template, chart, hold, faces, on, body, rng)  # fmt: skip
    at = apply_rows(rows, flat)
    gap = np.full(len(at), max(c.gap, 0.007) if c.sleeve > -2 and c.ease[0] > 0.0045 else c.gap)
    threads = edges_of(faces)
    if c.steps:
        at = hang(at, threads, flat, hold, home, gap, on.posed, on.normals, s.rings, tether, reach, steps=c.steps,
                  stiffness=c.stiffness, floor=floor)  # fmt: skip
    at = softened(at, faces, threads[0])
    at = push_out(at, home, gap, on.posed, on.normals, s.rings)
    uv, uv_faces = unwrapped(chart, faces, c.material.metres_per_uv)
    return hemmed(Part(c.label, at, faces.astype(np.int32), uv, uv_faces, c.material, True), c.thickness)


@lru_cache(maxsize=1)
def shell_tree() -> cKDTree:
    """Search tree over the template's shell."""
    return cKDTree(shell().points)


def eases(c: Cut, template: Array, near: Ints, s: Shell) -> Array:
    """(V,) metres off the skin: from the shoulders (or the waist) to the hem, and along the sleeve."""
    arm, arm_mass = s.fields["arm"][near], s.fields["arm_mass"][near]
    height = template[:, 1] - s.joints["root"][1]
    if c.sleeve > -2:
        down = np.clip((0.42 - height) / max(0.42 - max(c.bottom, HIP_LINE if c.below > 0 else c.bottom), 0.1), 0, 1)
        trunk = c.ease[0] + (c.ease[1] - c.ease[0]) * down
        along = np.clip(arm / max(c.sleeve, 0.1), 0, 1)
        sleeve = c.ease[0] + (c.ease[2] - c.ease[0]) * along
        return trunk + np.clip(2 * arm_mass - 0.4, 0, 1) * (sleeve - trunk)
    top = min(c.top, 0.16)
    down = np.clip((top - height) / max(top - (HIP_LINE if c.below > 0 else c.bottom), 0.1), 0, 1)
    ease = c.ease[0] + (c.ease[1] - c.ease[0]) * down
    inwards = -s.normals[near][:, 0] * np.sign(template[:, 0])
    room = np.maximum(np.abs(template[:, 0]) - 0.012, 0.002)
    return np.where(inwards > 0.2, np.minimum(ease, room), ease)


def holds(c: Cut, template: Array, near: Ints, s: Shell) -> Array:
    """(V,) how firmly a vertex keeps its place on the body: shoulders and waistbands carry the rest."""
    height = template[:, 1] - s.joints["root"][1]
    if c.sleeve > -2:
        arm = np.clip(2 * s.fields["arm_mass"][near] - 0.5, 0, 1) * 0.09
        return np.maximum(np.clip((height - 0.42) / 0.1, 0, 1) * 0.3, arm) + 0.022
    return np.clip((height - (min(c.top, 0.2) - 0.05)) / 0.03, 0, 1) * 0.7 + 0.07


def wobble(template: Array, rng: np.random.Generator, size: Array) -> Array:
    """(V,) metres: waves, so that cloth does not fold the same way everywhere."""
    out = np.zeros(len(template))
    for _ in range(5):
        direction = rng.normal(size=3) * [1.0, 0.35, 1.0]
        out += np.sin(template @ (direction * 28.0) + rng.uniform(0, 6.28))
    return 0.3 * out * size


def extended(c: Cut, flat: Array, rows: Array, home: Ints, template: Array, chart: Array, hold: Array, faces: Ints,
             on: ShellOnBody, body: Posed, rng: np.random.Generator):  # type: ignore[no-untyped-def]  # fmt: skip
    """Rows below the hip line, hung from its border; each moves with pelvis and thighs, softly from left to right."""
    s = shell()
    edges = border_edges(faces)
    low = template[:, 1] - s.joints["root"][1] < HIP_LINE + 0.004
    low_edges = edges[low[edges].all(1)]
    found = loops(low_edges)
    if not found:
        return flat, rows, home, template, chart, hold, faces, np.full(len(flat), -1), np.zeros(len(flat))
    chain = found[0]
    closed = chain[0] == chain[-1]
    ring = chain[:-1] if closed else chain
    count = len(ring)
    size = float(np.ptp(on.rest[:, 1]) / np.ptp(s.points[:, 1]))
    drop = c.below * size
    levels = max(int(np.ceil(c.below / 0.026)), 2)
    centre = flat[ring].mean(0)
    radial = flat[ring] - centre
    radial[:, 1] = 0
    spread = np.sqrt((radial**2).sum(1, keepdims=True))
    angle = np.arctan2(radial[:, 0], radial[:, 2])
    pleats = int(rng.integers(7, 13))
    phase = rng.uniform(0, 6.28)
    swing = np.sin(pleats * angle + phase) + 0.5 * np.sin((pleats // 2 + 1) * angle + 2 * phase)
    made, made_rows, made_template, made_chart = [flat], [rows], [template], [chart]
    made_home, made_hold = [home], [hold]
    tethers, reaches = [np.full(len(flat), -1)], [np.zeros(len(flat))]
    left, right = _leg_trees()
    thighs = [body.transforms[bone(f"upperleg01.{k}")].reshape(12) for k in "LR"]
    widest = np.zeros(count)
    for k in range(1, levels + 1):
        t = k / levels
        out = 1 + (c.flare * t * c.below) / np.maximum(spread, 0.05) * (1 + 0.28 * swing[:, None] * min(t * 2, 1))
        widest = np.maximum(widest, _around(on.rest - centre, -drop * t, angle) + 0.01)
        out = np.maximum(out, widest[:, None] / np.maximum(spread, 0.05))
        point = centre + radial * out
        point[:, 1] = flat[ring, 1] - drop * t
        share = np.clip(t * c.below / 0.22, 0, 1) * 0.86
        side = 1 / (1 + np.exp(-point[:, :1] / (0.045 * size)))
        moved = side * thighs[0] + (1 - side) * thighs[1]
        made.append(point)
        made_rows.append((1 - share) * rows[ring] + share * moved)
        below = template[ring] - [0, c.below * t, 0]
        made_template.append(below)
        made_chart.append(chart[ring] - [0, c.below * t, 0])
        made_home.append(np.stack([left[1][left[0].query(below)[1]], right[1][right[0].query(below)[1]]], 1))
        made_hold.append(np.full(count, 0.012))
        tethers.append(ring)
        reaches.append(1.02 * np.sqrt(((point - flat[ring]) ** 2).sum(1)))
    base = len(flat)
    index = np.concatenate([ring, base + np.arange(levels * count)]).reshape(levels + 1, count)
    new_faces = []
    last = count if closed else count - 1
    for k in range(levels):
        i = np.arange(last)
        j = (i + 1) % count
        a, b, d, e = index[k][i], index[k][j], index[k + 1][i], index[k + 1][j]
        # The border runs with the surface on its left, so the row below has its own turn.
        new_faces += [np.stack([b, a, d], 1), np.stack([b, d, e], 1)]
    return (np.concatenate(made), np.concatenate(made_rows), np.concatenate(made_home), np.concatenate(made_template),
            np.concatenate(made_chart), np.concatenate(made_hold), np.concatenate([faces, *new_faces]),
            np.concatenate(tethers), np.concatenate(reaches))  # fmt: skip


def _around(points: Array, level: float, angle: Array) -> Array:
    """(A,) how far hips and thighs reach at this level in these directions; 0 below the thighs."""
    near = (np.abs(points[:, 1] - level) < 0.025) & (shell().fields["arm_mass"] < 0.2)
    if level < -0.3 or not near.any():
        return np.zeros(len(angle))
    around = np.arctan2(points[near, 0], points[near, 2])
    far = np.sqrt(points[near, 0] ** 2 + points[near, 2] ** 2)
    bins = np.zeros(24)
    np.maximum.at(bins, np.floor((around / (2 * np.pi) + 0.5) * 23.999).astype(np.int64), far)
    bins = np.maximum(bins, 0.9 * np.maximum(np.roll(bins, 1), np.roll(bins, -1)))
    at = (angle / (2 * np.pi) + 0.5) * 24 - 0.5
    return np.interp(at, np.arange(-1, 25), np.concatenate([bins[-1:], bins, bins[:1]]))


_TREES: list[Any] = []


def _leg_trees():  # type: ignore[no-untyped-def]
    if not _TREES:
        s = shell()
        low = (s.points[:, 1] < s.joints["root"][1] + 0.1) & (s.fields["arm_mass"] < 0.1)
        for sign in (1, -1):
            ids = np.flatnonzero(low & (sign * s.points[:, 0] > 0.005))
            _TREES.append((cKDTree(s.points[ids]), ids))
    return _TREES


def largest(stack: Array, faces: Ints) -> tuple[Array, Ints]:
    """Without pieces of fewer than 40 faces, which a cut near a corner can leave."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    owner = connected_components(coo_matrix((np.ones(len(pairs)), pairs.T), (len(stack), len(stack))), directed=False)[
        1
    ]
    sizes = np.bincount(owner[faces[:, 0]], minlength=owner.max() + 1)
    faces = faces[sizes[owner[faces[:, 0]]] >= 40]
    used = np.zeros(len(stack), bool)
    used[faces] = True
    return stack[used], (np.cumsum(used) - 1)[faces]


def softened(points: Array, faces: Ints, edges: Ints) -> Array:
    """One light round of smoothing, which takes the solver's zigzag out; borders along themselves."""
    rim = np.zeros(len(points), bool)
    border = border_edges(faces)
    rim[border] = True
    edges = edges[rim[edges[:, 0]] == rim[edges[:, 1]]]
    total, count = np.zeros_like(points), np.zeros(len(points))
    for a, b in ((0, 1), (1, 0)):
        for k in range(3):
            total[:, k] += np.bincount(edges[:, a], points[edges[:, b], k], len(points))
        count += np.bincount(edges[:, a], minlength=len(points))
    mean = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], points)
    points = points + 0.45 * (mean - points)
    along = np.bincount(border.ravel(), minlength=len(points)) == 2
    for _ in range(3):
        total = np.zeros_like(points)
        for a, b in ((0, 1), (1, 0)):
            for k in range(3):
                total[:, k] += np.bincount(border[:, a], points[border[:, b], k], len(points))
        points = np.where(along[:, None], 0.5 * points + 0.25 * total, points)
    return points


def charts(c: Cut, s: Shell) -> Array:
    """(S, 3): metres around (from the front), metres up, and the chart: 0 trunk, 1 left arm, 2 right arm, 3, 4 legs."""
    x, y, z = s.points.T
    f = s.fields
    root = s.joints["root"]
    around, up, chart = np.arctan2(x, z + 0.02) * 0.16, y - root[1], np.zeros(len(x))
    if c.label in ("trousers", "shorts"):
        for number, sign in ((3, 1.0), (4, -1.0)):
            mine = sign * x >= 0
            axis = s.joints["upperleg01.L"][0] * sign
            around = np.where(mine, np.arctan2((x - axis) * sign, z + 0.01) * 0.085, around)
            chart = np.where(mine, number, chart)
    for number, sign in ((1, 1.0), (2, -1.0)):
        mine = (f["arm_mass"] > 0.5) & (sign * x > 0)
        a, b = s.joints["upperarm01.L"] * [sign, 1, 1], s.joints["wrist.L"] * [sign, 1, 1]
        along = (b - a) / np.linalg.norm(b - a)
        first = np.cross(along, [0, 0, 1.0])
        first /= np.linalg.norm(first)
        second = np.cross(along, first)
        q = s.points - a
        around = np.where(mine, np.arctan2(q @ second, q @ first) * 0.055, around)
        up = np.where(mine, -0.55 * f["arm"], up)
        chart = np.where(mine, number, chart)
    return np.stack([around, up, chart], 1)


PLACE = {0: (0.27, 0.52), 1: (0.75, 0.92), 2: (0.9, 0.92), 3: (0.24, 0.52), 4: (0.62, 0.52)}
TURN = {0: 0.16, 1: 0.055, 2: 0.055, 3: 0.085, 4: 0.085}


def unwrapped(chart: Array, faces: Ints, metres_per_uv: float) -> tuple[Array, Ints]:
    """UVs (U, 2) and their faces. A face takes the chart of its first corner; what crosses the seam is unrolled."""
    owner = np.round(chart[:, 2]).astype(np.int64)
    mixed = np.clip(owner[faces].min(1), 0, 4)
    trunk = (owner[faces] == 0).any(1)
    mixed = np.where(trunk, 0, mixed)
    around, up = chart[:, 0][faces], chart[:, 1][faces]
    turn = np.array([TURN[k] for k in range(5)])[mixed] * 2 * np.pi
    first = around[:, :1]
    around = around - np.round((around - first) / turn[:, None]) * turn[:, None]
    foreign = owner[faces] != mixed[:, None]
    # A corner of another chart: its own numbers mean nothing here; the mean of the face's own corners stands in.
    weight = (~foreign).astype(np.float64)
    total = np.maximum(weight.sum(1, keepdims=True), 1)
    around = np.where(foreign, (around * weight).sum(1, keepdims=True) / total, around)
    up = np.where(foreign, (up * weight).sum(1, keepdims=True) / total, up)
    place = np.array([PLACE[k] for k in range(5)])[mixed]
    uv = np.stack([place[:, :1] + around / metres_per_uv, place[:, 1:] + up / metres_per_uv], -1).reshape(-1, 2)
    whole = np.round(uv * 65536).astype(np.int64)
    _, first, index = np.unique(whole[:, 0] * (1 << 24) + whole[:, 1], return_index=True, return_inverse=True)
    return whole[first] / 65536, index.reshape(-1, 3).astype(np.int32)


def hemmed(part: Part, thickness: float) -> Part:
    """Closed hems: every border gets a strip inwards, as thick as the cloth."""
    edges = border_edges(part.faces.astype(np.int64))
    if not len(edges):
        return part
    normals = vertex_normals(part.vertices, part.faces)
    rim = np.unique(edges)
    place = np.full(len(part.vertices), -1)
    place[rim] = len(part.vertices) + np.arange(len(rim))
    inner = part.vertices[rim] - normals[rim] * thickness
    a, b = edges[:, 0], edges[:, 1]
    strip = np.concatenate([np.stack([b, a, place[a]], 1), np.stack([b, place[a], place[b]], 1)]).astype(np.int32)
    corner = np.full(len(part.vertices), 0, np.int64)
    corner[part.faces.ravel()] = part.uv_faces.ravel()
    uv_of = np.concatenate([corner, corner[rim]])
    return replace(part, vertices=np.concatenate([part.vertices, inner]), faces=np.concatenate([part.faces, strip]),
                   uv_faces=np.concatenate([part.uv_faces, uv_of[strip].astype(np.int32)]))  # fmt: skip
