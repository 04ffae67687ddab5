"""Scarves: a ring of cloth around the neck, and an end that hangs."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from training.people.cloth import edges_of, hang
from training.people.figure import Material, Part
from training.people.garments import hemmed
from training.people.helpers_mesh import Posed
from training.people.shell import ShellOnBody, shell
from training.people.turned import follow, grid_part


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
            steps=20,
            stiffness=0.3,
            floor=-9.0,
        )
        parts.append(hemmed(Part("scarf", at, made.faces, made.uv, made.uv_faces, material, True), 0.004))
    return parts
