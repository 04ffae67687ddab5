"""Plain shoes: the shell's feet with a sole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.people.cut import cut
from training.people.figure import Material, Part
from training.people.garments import hemmed
from training.people.helpers_mesh import Posed, apply_rows
from training.people.shell import ShellOnBody, shell

Array = NDArray[np.float64]


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
