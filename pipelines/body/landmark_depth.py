"""How deep a joint lies: the front view's landmarks, carried through the carved surface.

A landmark is a ray. Where it enters the surface and leaves it again, a limb is; its joint is in the middle. Of a limb
before the trunk the ray leaves through the person's back: then the joint lies half the body's own limb below the skin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_points import LANDMARK_NAMES
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import to_screen

Array = NDArray[np.float64]

# Part -> how far below the skin its landmark lies, metres on a body of 1.7 m; 0: on the skin.
BELOW_SKIN = {
    "nose": 0.0, "mouth": 0.0, "shoulder": 0.055, "elbow": 0.04, "wrist": 0.025, "index": 0.015, "little": 0.015,
    "hip": 0.10, "knee": 0.055, "ankle": 0.04, "toe": 0.02,
}  # fmt: skip
CLOTHES = 0.03  # metres by which a dressed limb may be thicker on one side
SAME = 0.001  # metres; crossings nearer to one another than this are one
LEGS = ("hip", "knee", "ankle")
UNDER_A_SKIRT = 0.1  # weight of a leg's depth where skirt or coat hide how deep it is


def crossings(vertices: NDArray, faces: NDArray, camera: Camera, pixels: NDArray) -> list[Array]:
    """For each pixel (N, 2) the sorted depths z, metres, at which its ray meets the surface."""
    screen = to_screen(vertices, camera)
    a, b, c = (screen[faces[:, k]] for k in range(3))
    found = []
    for x, y in np.asarray(pixels, np.float64):
        near = np.flatnonzero(
            (np.minimum(np.minimum(a[:, 0], b[:, 0]), c[:, 0]) <= x)
            & (np.maximum(np.maximum(a[:, 0], b[:, 0]), c[:, 0]) >= x)
            & (np.minimum(np.minimum(a[:, 1], b[:, 1]), c[:, 1]) <= y)
            & (np.maximum(np.maximum(a[:, 1], b[:, 1]), c[:, 1]) >= y)
        )
        p, q, r = a[near], b[near], c[near]
        u = (q[:, 0] - x) * (r[:, 1] - y) - (q[:, 1] - y) * (r[:, 0] - x)
        v = (r[:, 0] - x) * (p[:, 1] - y) - (r[:, 1] - y) * (p[:, 0] - x)
        w = (p[:, 0] - x) * (q[:, 1] - y) - (p[:, 1] - y) * (q[:, 0] - x)
        total = u + v + w
        inside = (np.minimum(np.minimum(u, v), w) * np.sign(total) >= 0) & (np.abs(total) > 1e-9)
        weights = np.stack([u, v, w], 1)[inside] / total[inside, None]
        inverse = (weights * np.stack([p[:, 2], q[:, 2], r[:, 2]], 1)[inside]).sum(1)
        depths = np.sort(1.0 / inverse[inverse > 0])
        # A ray through an edge meets both its faces.
        found.append(depths[np.diff(depths, prepend=-np.inf) > SAME])
    return found


def landmark_depths(
    vertices: NDArray, faces: NDArray, camera: Camera, pixels: NDArray, height: float
) -> tuple[Array, Array]:
    """Depth z (33,) m of the landmarks at pixels (33, 2) inside the surface, and how surely (33,) 0..1; 0 for none.

    height: the person's, metres.
    """
    scale = height / 1.7
    depth, sure = np.zeros(len(LANDMARK_NAMES)), np.zeros(len(LANDMARK_NAMES))
    met = crossings(vertices, faces, camera, pixels)
    for i, name in enumerate(LANDMARK_NAMES):
        part = name.split("_", 1)[-1]
        below = BELOW_SKIN.get(part)
        if below is None or len(met[i]) < 2:
            continue
        first, last = met[i][0], met[i][1]
        reach = below * scale
        thick = last - first > 2.0 * (reach + CLOTHES * scale)
        # An arm before the trunk lies on it; a leg under a skirt may be anywhere in it.
        before = below == 0.0 or (thick and part not in LEGS)
        depth[i] = first + reach if before else (first + last) / 2.0
        sure[i] = UNDER_A_SKIRT if thick and part in LEGS else 1.0
    return depth, sure
