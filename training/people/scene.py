"""A figure made ready to be drawn: all its parts in one set of arrays, with textures and light that views share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipelines.body.read_body import vertices_world
from pipelines.body.rig import default_rig
from pipelines.geometry.mesh_raster import vertex_normals
from training.people.decals import decorated
from training.people.figure import Figure, Part
from training.people.light import CLOTH_WRAP, SKIN_WRAP, Lights, baked, exposure
from training.people.texture import pyramid, texture_of

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
KINDS = ("skin", "cloth", "hair", "eye", "leather", "metal")
COVER = 0.015  # metres between the points that block light
# Strength and exponent of the highlight, then the sheen at grazing angles, per kind; `Material.gloss` adds to it.
HIGHLIGHT = {"skin": (0.035, 14.0, 0.03), "cloth": (0.0, 8.0, 0.05), "hair": (0.05, 22.0, 0.02),
             "eye": (0.7, 160.0, 0.0), "leather": (0.12, 30.0, 0.04), "metal": (0.6, 50.0, 0.1)}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """points, normals (V, 3) display frame; faces (F, 3); uv (F, 3, 2); owner (F,) part; label (F,) into label_names;
    light (V, 5) as `light.baked`; texels, pyramid as `texture.pyramid`; areas (F,) texels; cut (P,), hashes (P,);
    look (P, 3) highlight, exponent, sheen; occluders (N, 3): points that cover the surfaces."""

    points: Floats
    normals: Floats
    faces: Ints
    uv: Floats
    owner: Ints
    label: NDArray[np.uint8]
    label_names: tuple[str, ...]
    light: Floats
    lights: Lights
    texels: NDArray[np.uint8]
    pyramid: Ints
    areas: Floats
    cut: Floats
    hashes: NDArray[np.bool_]
    look: Floats
    occluders: Floats


def scene_of(figure: Figure, pack: Path | None, lights: Lights, *, halved: bool = False) -> Scene:
    """Merge, draw the textures (`halved`: at half size, enough for pictures of 300 px), bake the light.

    ValueError for a figure without parts.
    """
    if not figure.parts:
        raise ValueError("The figure has no parts; it needs the skin at least.")
    parts = figure.parts
    offsets = np.cumsum([0] + [len(p.vertices) for p in parts])
    points = np.concatenate([p.vertices for p in parts]).astype(np.float32)
    faces = np.concatenate([p.faces + o for p, o in zip(parts, offsets[:-1], strict=True)]).astype(np.int32)
    owner = np.repeat(np.arange(len(parts), dtype=np.int32), [len(p.faces) for p in parts])
    uv = np.concatenate([p.uv[p.uv_faces] for p in parts]).astype(np.float32)
    normals = np.concatenate([vertex_normals(p.vertices, p.faces) for p in parts]).astype(np.float32)
    images = [decorated(texture_of(p, pack, halved), p, figure) for p in parts]
    texels, levels = pyramid(images)
    sizes = levels[owner, 0, 1].astype(np.float32) * levels[owner, 0, 2]
    edge1, edge2 = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    areas = 0.5 * np.abs(edge1[:, 0] * edge2[:, 1] - edge1[:, 1] * edge2[:, 0]) * sizes

    shading = np.concatenate([_shading_normals(p, normals[a:b]) for p, a, b in
                              zip(parts, offsets[:-1], offsets[1:], strict=True)])  # fmt: skip
    wraps = np.repeat(np.array([SKIN_WRAP if p.material.kind == "skin" else CLOTH_WRAP for p in parts], np.float32),
                      np.diff(offsets), axis=0)  # fmt: skip
    creases = np.concatenate([_creases(p, normals[a:b]) for p, a, b in
                              zip(parts, offsets[:-1], offsets[1:], strict=True)])  # fmt: skip
    casts = np.array([p.material.kind in ("skin", "cloth", "leather") or p.label == "hair" for p in parts])
    occluders = cover(points, faces[casts[owner]], COVER)
    light = baked(points, shading, wraps, creases, occluders, lights)
    light[:, :3] *= exposure(light)
    label, names = _labels(figure, faces, owner, points)
    return Scene(points, normals, faces, uv, owner, label, names, light, lights, texels, levels,
                 areas.astype(np.float32), np.array([p.material.cutout or 0.0 for p in parts], np.float32),
                 np.array([p.material.kind == "hair" for p in parts]), _looks(parts), occluders)  # fmt: skip


def _looks(parts: tuple[Part, ...]) -> Floats:
    rows = []
    for part in parts:
        strength, exponent, sheen = HIGHLIGHT[part.material.kind]
        rows.append((strength + 0.5 * part.material.gloss, exponent + 40.0 * part.material.gloss, sheen))
    return np.array(rows, np.float32)


def _shading_normals(part: Part, normals: Floats) -> Floats:
    """Hair is lit as a volume: a card's own normal says little about the mass of hair around it."""
    if part.material.kind != "hair" or not len(part.vertices):
        return normals
    middle = part.vertices.mean(0)
    top = np.percentile(part.vertices[:, 1], 75)
    centre = np.array([middle[0], min(middle[1], top - 0.02), middle[2]])
    outwards = part.vertices - centre
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True) + 1e-9
    return outwards.astype(np.float32)


def _creases(part: Part, normals: Floats) -> Floats:
    """(V,) 0..0.4: how much a vertex lies in a hollow between its neighbours (mean rise of the edges over it)."""
    if part.material.kind not in ("skin", "cloth", "leather"):
        return np.zeros(len(part.vertices), np.float32)
    rise, count = np.zeros(len(part.vertices), np.float32), np.zeros(len(part.vertices), np.float32)
    _rises(part.vertices.astype(np.float32), normals, part.faces, rise, count)
    gain = 1.3 if part.material.kind == "skin" else 1.6
    return np.clip(gain * rise / np.maximum(count, 1.0) - 0.02, 0.0, 0.4).astype(np.float32)


@njit(cache=True, error_model="numpy")
def _rises(vertices, normals, faces, rise, count):  # type: ignore[no-untyped-def]
    for f in range(faces.shape[0]):
        for k in range(3):
            i, j = faces[f, k], faces[f, (k + 1) % 3]
            dx = vertices[j, 0] - vertices[i, 0]
            dy = vertices[j, 1] - vertices[i, 1]
            dz = vertices[j, 2] - vertices[i, 2]
            length = np.sqrt(dx * dx + dy * dy + dz * dz) + 1e-9
            rise[i] += (normals[i, 0] * dx + normals[i, 1] * dy + normals[i, 2] * dz) / length
            rise[j] -= (normals[j, 0] * dx + normals[j, 1] * dy + normals[j, 2] * dz) / length
            count[i] += 1.0
            count[j] += 1.0


def cover(points: Floats, faces: Ints, step: float) -> Floats:
    """(N, 3) points no further than about `step` metres from each other all over the faces, one per cell of half that."""
    spread = _spread(np.ascontiguousarray(points, np.float32), faces, step)
    cell = np.floor(spread * (2.0 / step)).astype(np.int64) + (1 << 20)
    _, first = np.unique((cell[:, 0] << 42) + (cell[:, 1] << 21) + cell[:, 2], return_index=True)
    return spread[np.sort(first)]


@njit(cache=True, error_model="numpy")
def _spread(points, faces, step):  # type: ignore[no-untyped-def]
    total = 0
    parts = np.empty(faces.shape[0], np.int32)
    for f in range(faces.shape[0]):
        longest = 0.0
        for k in range(3):
            a, b = faces[f, k], faces[f, (k + 1) % 3]
            d = 0.0
            for c in range(3):
                d += (points[a, c] - points[b, c]) ** 2
            longest = max(longest, d)
        n = min(int(np.sqrt(longest) / step), 40)
        parts[f] = n
        total += 1 if n == 0 else (n + 1) * (n + 2) // 2
    out = np.empty((total, 3), np.float32)
    at = 0
    for f in range(faces.shape[0]):
        n = parts[f]
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        if n == 0:
            for c in range(3):
                out[at, c] = (points[i, c] + points[j, c] + points[k, c]) / 3.0
            at += 1
            continue
        for p in range(n + 1):
            for q in range(n + 1 - p):
                s, t = p / n, q / n
                for c in range(3):
                    out[at, c] = points[i, c] + s * (points[j, c] - points[i, c]) + t * (points[k, c] - points[i, c])
                at += 1
    return out


@lru_cache(maxsize=1)
def _vertex_of_uv() -> NDArray[np.int64]:
    rig = default_rig()
    vertex = np.zeros(len(rig.uv), np.int64)
    vertex[rig.uv_faces] = rig.faces
    return vertex


def _labels(figure: Figure, faces: Ints, owner: Ints, points: Floats) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Faces' labels: the rig's body parts on the skin, the garment's name elsewhere (names 0..P-1 are the rig's)."""
    rig = default_rig()
    names = list(rig.part_names)
    label = np.zeros(len(faces), np.uint8)
    for p, part in enumerate(figure.parts):
        mine = owner == p
        if part.label == "skin":
            if len(part.uv) == len(rig.uv):  # the body's own chart names its vertices, whichever of them are left
                label[mine] = rig.part[_vertex_of_uv()[part.uv_faces[:, 0]]]
            else:
                nearest = cKDTree(vertices_world(figure.body)).query(part.vertices)[1]
                label[mine] = rig.part[nearest[part.faces[:, 0]]]
            continue
        if part.label not in names:
            names.append(part.label)
        label[mine] = names.index(part.label)
    return label, tuple(names)
