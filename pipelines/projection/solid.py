"""From the anchored body to two surfaces over the whole matte: clothes, hair, and a round closed rim.

Where the matte ends at the body's outline the body's own depth stands. Where it reaches further (cloth, hair) the
body's rim is not trusted, a membrane carries the depth of the limb's middle outwards, and the whole limb is made
thicker by what the cloth adds at its sides. Towards the matte's outline front and back come together like the sides
of a round solid.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.projection.anchor import Anchor
from pipelines.projection.membrane import fill
from pipelines.projection.outline import depth_inside, half_width, rounded, smooth

Floats = NDArray[np.float32]
FIRM = 50.0  # weight of a trusted depth against the membrane's tension


class Shape(NamedTuple):
    """Numbers of `solidify`, metres."""

    jump: float = 0.05  # neighbouring depths further apart belong to different surfaces
    loose: float = 0.06  # most that cloth adds to the body's half thickness
    share: float = 0.7  # part of the sideways looseness that is also there in front and behind
    carry: float = 0.20  # over this distance from the body the thickness falls to a third
    thin: float = 0.012  # least half thickness of hair and cloth away from its rim


def solidify(
    anchor: Anchor, mask: NDArray[np.bool_], pixel: float, bare: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    shape: Shape,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Front and back depth (h, w) in metres over the mask, 0 outside.

    pixel: metres per pixel at the body's distance. bare: where front, and back, wear nothing that could be loose
    (face, hands, feet).
    """
    inside = depth_inside(mask)
    body_inside = depth_inside(anchor.covered)
    both = anchor.covered & mask
    trust = np.where(both, np.minimum(body_inside / np.maximum(inside, 1e-3), 1.0), 0.0) ** 2
    loose = smooth((inside - body_inside) * pixel, both, max(0.03 / pixel, 1.0))
    loose = shape.share * np.clip(loose, -0.015, shape.loose)
    surfaces = []
    for side, sign in ((0, -1.0), (1, 1.0)):
        known = anchor.known[side]
        depth = anchor.depth[side] + sign * np.where(bare[side], 0.0, loose)
        labels = anchor.arm if side == 0 else np.zeros_like(anchor.arm)
        weight = FIRM * np.where(known, np.maximum(trust, 1e-3), 0.0)
        surfaces.append(fill(depth, weight, mask, cut=cuts(anchor.depth[side], known, labels, shape.jump)))
    front, back = surfaces
    middle, half = (front + back) / 2, (back - front) / 2
    half = np.maximum(half, shape.thin)
    # Cloth and hair that leave the body get thinner; counted from where the body can be trusted.
    away = np.maximum(inside_distance(both & (trust > 0.2)) * pixel - 0.03, 0.0)
    half = np.maximum(half * np.exp(-away / shape.carry), np.minimum(half, shape.thin))
    half = np.minimum(half, rim(inside, half, mask, pixel))
    return ((middle - half) * mask).astype(np.float32), ((middle + half) * mask).astype(np.float32)


def rim(inside: Floats, half: Floats, mask: NDArray[np.bool_], pixel: float) -> Floats:
    """Largest half thickness near the outline, metres: a circle on the local half width, an ellipse where the
    solid is deeper than wide (a person seen from the side)."""
    radius = half_width(inside)
    middle = np.clip(inside / np.maximum(radius, 1e-3), 0.0, 1.0) ** 2
    deep = smooth(half, middle * mask + 1e-4 * mask, max(0.04 / pixel, 1.0))
    stretch = np.clip(deep / np.maximum(radius * pixel, 1e-4), 1.0, 3.0)
    return stretch * rounded(inside, radius) * pixel


def inside_distance(mask: NDArray[np.bool_]) -> Floats:
    """(h, w) distance to the nearest pixel of the mask, px, 0 in it."""
    import cv2

    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)


def cuts(
    depth: Floats, known: NDArray[np.bool_], labels: NDArray[np.uint8], jump: float
) -> NDArray[np.bool_]:
    """(2, h, w): no connection to the right, and below: known depths that part, or an arm's border."""
    cut = np.zeros((2, *depth.shape), bool)
    both = known[:, :-1] & known[:, 1:]
    cut[0, :, :-1] = both & (np.abs(np.diff(depth, axis=1)) > jump) | (labels[:, :-1] != labels[:, 1:])
    both = known[:-1] & known[1:]
    cut[1, :-1] = both & (np.abs(np.diff(depth, axis=0)) > jump) | (labels[:-1] != labels[1:])
    return cut
