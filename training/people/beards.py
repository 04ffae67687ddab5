"""Beards and moustaches: hulls of the jaw and the upper lip."""

from __future__ import annotations

import numpy as np

from training.people.cut import cut
from training.people.figure import Material, Part
from training.people.helpers_mesh import Posed, apply_rows, skin_rows, whole_mesh
from training.people.penetration import vertex_normals
from training.people.skull import chart_of, head, strands


def beard(kind: str, body: Posed, rng: np.random.Generator, tint: tuple[float, float, float]) -> Part:
    """'full', 'short' or 'moustache'."""
    h, mesh = head(), whole_mesh()
    mask = h.moustache if kind == "moustache" else np.maximum(h.beard, h.moustache)
    rest = body.rest[h.ids]
    normals = vertex_normals(rest, h.faces)
    depth = {"full": 0.022, "short": 0.006, "moustache": 0.006}[kind] * float(rng.uniform(0.8, 1.3))
    share = h.fullness * np.clip((mask - 0.5) / 0.4, 0, 1)
    offset = 0.0012 + depth * share * (1 + 0.25 * strands(mesh.template[h.ids], rng))
    moved = rest + normals * offset[:, None]
    moved[:, 1] -= 0.5 * depth * share
    rows = skin_rows(mesh.weights[h.ids], body.transforms)
    stack = np.concatenate([apply_rows(rows, moved), chart_of(mesh.template[h.ids])], 1)
    stack, faces, _ = cut(stack, h.faces, mask - 0.5)
    material = Material("hair", None, {"name": "plain", "weave": "melange"}, tint, 0.5)
    return Part("beard", stack[:, :3], faces.astype(np.int32), stack[:, 3:5], faces.astype(np.int32), material, True)
