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
from pipelines.projection.outline import depth_inside, half_width, nearest, rounded, smooth

Floats = NDArray[np.float32]
FIRM = 50.0  # weight of a trusted depth against the membrane's tension


class Solid(NamedTuple):
    """Depths (h, w), metres, 0 outside the mask: front; back; leave, where the ray leaves the first limb; enter,
    where it enters the last one. two (h, w) bool: there are two limbs; else leave is back and enter is front."""

    front: Floats
    back: Floats
    leave: Floats
    enter: Floats
    two: NDArray[np.bool_]


class Shape(NamedTuple):
    """Numbers of `solidify`, metres."""

    jump: float = 0.05  # neighbouring depths further apart belong to different surfaces
    loose: float = 0.06  # most that cloth adds to the body's half thickness
    share: float = 0.7  # part of the sideways looseness that is also there in front and behind
    carry: float = 0.20  # over this distance from the body the thickness falls to a third
    tight: float = 0.06  # further than this from the body cloth spans between limbs
    apart: float = 0.015  # limbs nearer to each other than this count as one
    thin: float = 0.012  # least half thickness of hair and cloth away from its rim


def solidify(
    anchor: Anchor, mask: NDArray[np.bool_], pixel: float, bare: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    limb: NDArray[np.uint8], shape: Shape,
) -> Solid:  # fmt: skip
    """Two closed surfaces over the mask.

    pixel: metres per pixel at the body's distance. limb (256,): which limb a part label belongs to.
    bare: where front, and back, wear nothing that could be loose (face, hands, feet).
    """
    inside = depth_inside(mask)
    body_inside = depth_inside(anchor.covered)
    both = anchor.covered & mask
    trust = np.where(both, np.minimum(body_inside / np.maximum(inside, 1e-3), 1.0), 0.0) ** 2
    loose = smooth((inside - body_inside) * pixel, both, max(0.03 / pixel, 1.0))
    loose = shape.share * np.clip(loose, -0.015, shape.loose)
    outer, inner = [], []
    for side, sign in ((0, -1.0), (1, 1.0)):
        known = anchor.known[side]
        offset = np.where(bare[side], 0.0, loose)
        labels = anchor.arm if side == 0 else np.zeros_like(anchor.arm)
        weight = FIRM * np.where(known, np.maximum(trust, 1e-3), 0.0)
        cut = cuts(anchor.depth[side], known, labels, shape.jump)
        cut |= limb_borders(anchor, side, mask, limb, pixel, shape)
        outer.append(fill(anchor.depth[side] + sign * offset, weight, mask, cut=cut))
        inner.append(np.where(anchor.two, anchor.inner[side] - sign * offset, 0.0))
    front, back = outer
    leave, enter = inner
    two = anchor.two & (enter - leave > shape.apart) & (leave > front) & (back > enter)
    leave, enter, two = without_webs(anchor, mask, (front, back, leave, enter), two, limb, shape.apart)
    close = rim(inside, np.maximum((back - front) / 2, shape.thin), mask, pixel)
    # Cloth and hair that leave the body get thinner.
    thinner = np.exp(-np.maximum(away_from(both) * pixel - 0.03, 0.0) / shape.carry)
    front, leave = pinched(front, leave, close, thinner, shape.thin)
    enter, back = pinched(enter, back, close, thinner, shape.thin)
    f, b, x, e = ((d * mask).astype(np.float32) for d in (front, back, leave, enter))
    return Solid(f, b, x, e, two)


def without_webs(
    anchor: Anchor, mask: NDArray[np.bool_], depth: tuple[Floats, Floats, Floats, Floats], two: NDArray[np.bool_],
    limb: NDArray[np.uint8], apart: float,
) -> tuple[Floats, Floats, NDArray[np.bool_]]:  # fmt: skip
    """leave, enter and two, each (h, w), with columns that the fitted body does not know split where their front
    belongs to one limb and their back to another: each limb keeps the thickness it has nearby. Else such a column,
    next to a hand before the hip, would be a web from the one to the other."""
    front, back, leave, enter = depth
    owner = []
    for side in (0, 1):
        rows, columns = nearest(anchor.known[side])
        owner.append(limb[anchor.part[side]][rows, columns])
    sure = anchor.known.all(0) & mask
    thick = [np.full(mask.shape, np.inf, np.float32) for _ in (0, 1)]
    open_ = mask & ~sure & (owner[0] != owner[1])
    for side, inner, outer in ((0, leave, front), (1, back, enter)):
        own = np.where(two, inner - outer, back - front)
        for number in np.unique(owner[side][open_]):
            shown = sure & (owner[side] == number) & (two | (owner[0] == owner[1]))
            if shown.any():
                rows, columns = nearest(shown)
                here = open_ & (owner[side] == number)
                thick[side][here] = own[rows[here], columns[here]]
    split = open_ & (back - thick[1] - front - thick[0] > apart)
    leave = np.where(two, leave, np.where(split, front + thick[0], back))
    enter = np.where(two, enter, np.where(split, back - thick[1], front))
    return leave, enter, two | split


def pinched(near: Floats, far: Floats, close: Floats, thinner: Floats, thin: float) -> tuple[Floats, Floats]:
    """Two sides of one limb brought together about their middle: at most `close` from it, metres."""
    middle, half = (near + far) / 2, np.maximum((far - near) / 2, thin)
    half = np.minimum(np.maximum(half * thinner, np.minimum(half, thin)), close)
    return (middle - half).astype(np.float32), (middle + half).astype(np.float32)


def rim(inside: Floats, half: Floats, mask: NDArray[np.bool_], pixel: float) -> Floats:
    """Largest half thickness near the outline, metres: a circle on the local half width, an ellipse where the solid
    is up to twice as deep as wide (a person seen from the side), and a slab with rounded edges beyond that (a thigh
    that points at the camera)."""
    # Discs come in steps; without them, so does the solid.
    radius = smooth(half_width(inside), mask, max(0.012 / pixel, 1.0))
    middle = np.clip(inside / np.maximum(radius, 1e-3), 0.0, 1.0) ** 2
    # Both measured along the limb's middle: next to the outline they say little.
    weight, reach = middle * mask + 1e-4 * mask, max(0.04 / pixel, 1.0)
    deep, wide = smooth(half, weight, reach), smooth(radius, weight, reach) * pixel
    slab = np.maximum(deep - 2.0 * wide, 0.0)
    stretch = np.clip((deep - slab) / np.maximum(wide, 1e-4), 1.0, 2.0)
    return slab + stretch * rounded(inside, radius) * pixel


def away_from(mask: NDArray[np.bool_]) -> Floats:
    """(h, w) distance to the nearest pixel of the mask, px, 0 in it."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return distance.astype(np.float32, copy=False)


def limb_borders(
    anchor: Anchor, side: int, mask: NDArray[np.bool_], limb: NDArray[np.uint8], pixel: float, shape: Shape
) -> NDArray[np.bool_]:
    """(2, h, w) cuts between two limbs beyond the body's outline (wide trousers): halfway between them, where they
    are at different depths and both near. Further away (a skirt) the cloth spans from one to the other."""
    known = anchor.known[side]
    rows, columns = nearest(known)
    owner = limb[anchor.part[side]][rows, columns]
    depth = anchor.depth[side][rows, columns]
    near = mask & (away_from(known) * pixel < shape.tight)
    cut = np.zeros((2, *mask.shape), bool)
    for axis in (0, 1):
        here = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        there = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        parts = (owner[here] != owner[there]) & (np.abs(depth[here] - depth[there]) > shape.jump)
        cut[1 - axis][here] = parts & near[here] & near[there]
    return cut


def cuts(depth: Floats, known: NDArray[np.bool_], labels: NDArray[np.uint8], jump: float) -> NDArray[np.bool_]:
    """(2, h, w): no connection to the right, and below: known depths that part, and an arm's border where a depth
    is not known. (At the elbow the forearm goes on into the upper arm.)"""
    cut = np.zeros((2, *depth.shape), bool)
    for axis in (0, 1):
        here = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        there = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        both = known[here] & known[there]
        parted = np.abs(depth[here] - depth[there]) > jump
        cut[1 - axis][here] = np.where(both, parted, labels[here] != labels[there])
    return cut
