"""Bags: rounded boxes with straps that lie on the clothes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.people.cut import cut
from training.people.figure import Material, Part
from training.people.garments import hemmed
from training.people.helpers_mesh import Posed
from training.people.shell import ShellOnBody, shell
from training.people.turned import follow, grid_part, rounded_box

Array = NDArray[np.float64]


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


def strip(label: str, field: Array, on: ShellOnBody, gap: float, material: Material) -> Part:
    """A strap: the part of the shell where the field is positive, `gap` metres off the skin."""
    s = shell()
    stack = np.concatenate([on.posed + on.normals * gap, s.points[:, :2] * 0.5 + 0.5], 1)
    stack, faces, _ = cut(stack, s.faces, field)
    made = Part(label, stack[:, :3], faces.astype(np.int32), stack[:, 3:5], faces.astype(np.int32), material, True)
    return hemmed(made, 0.004) if len(faces) else made
