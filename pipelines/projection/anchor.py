"""Which surface of the body each pixel of the matte is anchored on, and where an arm really is in front.

A fitted forearm that misses the arm in the photo by a few pixels pulls pixels of the hip 10 to 30 cm forward: a
"shelf". So the anchor is the body without forearms and hands, and an arm is added back where nothing lies behind
it, or where it lies so close that it cannot make a shelf, or where the photo itself shows its outline: a watershed
on the photo's colours (Meyer 1994), started from the certain inside of the arm and the certain rest, moves the
arm's border onto the nearest edge of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.projection.body_mesh import ARM_END, part_labels
from pipelines.projection.body_surfaces import NOTHING

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Anchor:
    """depth (2, h, w): front and back, metres, valid where `known` (2, h, w). inner (2, h, w): where the ray leaves
    the first limb and enters the last one, in the columns `two` (h, w) that meet two limbs. part (2, h, w) uint8.
    arm (h, w) uint8: 0, or 1 + number of the arm that lies in front of the rest. covered (h, w): the body is there."""

    depth: Floats
    inner: Floats
    two: NDArray[np.bool_]
    known: NDArray[np.bool_]
    part: NDArray[np.uint8]
    arm: NDArray[np.uint8]
    covered: NDArray[np.bool_]


def choose_anchor(
    maps: dict[str, NDArray],
    rgb: Floats,
    mask: NDArray[np.bool_],
    reach: float,
    slack: int,
    trusted: dict[str, bool],
) -> Anchor:
    """Pick, per pixel, the body with or without its forearms.

    maps: arrays of BodyMaps. rgb (h, w, 3), mask (h, w): the photo on the same grid. reach: metres an arm may stand
    off before it needs proof. slack: pixels by which a fitted arm may miss. trusted: 'left', 'right' -> the fitted
    arm agrees with the landmarks.
    """
    names = maps["part_names"]
    depth = np.stack([maps["armless_front"], maps["armless_back"]]).astype(np.float32)
    part = np.stack([maps["armless_front_part"], maps["armless_back_part"]])
    full = np.stack([maps["full_front"], maps["full_back"]])
    inner = np.stack([maps["armless_exit"], maps["armless_entry"]]).astype(np.float32)
    full_inner = np.stack([maps["full_exit"], maps["full_entry"]])
    full_part = np.stack([maps["full_front_part"], maps["full_back_part"]])
    bare = depth[0] > 0
    covered = bare.copy()
    known = np.stack([bare, bare])
    arm_map = np.zeros(bare.shape, np.uint8)
    for number, side in enumerate(("left", "right")):
        labels = part_labels(names, *(f"{stem}_{side}" for stem in ARM_END))
        here = np.isin(full_part, labels)
        alone = here.any(0) & ~bare
        near = here & bare & (np.abs(full - depth) < reach)
        # Behind the rest nothing can be checked; a trusted arm is believed.
        take = near | (alone & (full > 0)) | np.stack([np.zeros_like(bare), here[1] & trusted[side]])
        covered |= alone
        if trusted[side] and (here[0] & mask).any():
            shown = outline_in_photo(rgb, mask, here[0], bare | here[0], slack)
            arm_map[shown] = number + 1
            take[0] |= here[0] & shown
            # Beside the arm in the photo the fitted arm is wrong, and inside it the fitted rest: fill in from theirs.
            beside = alone & here[0] & ~shown
            take[:, beside] = False
            covered &= ~beside
            known[0] &= ~(shown & ~here[0])
        depth[take], part[take], known[take] = full[take], full_part[take], True
        inner[take] = full_inner[take]
    part[~known] = NOTHING
    two = (known & mask).all(0) & (inner[0] < inner[1]) & (inner[0] > depth[0]) & (inner[1] < depth[1])
    return Anchor(depth, inner, two, known & mask, part, arm_map, covered)


def outline_in_photo(
    rgb: Floats, mask: NDArray[np.bool_], arm: NDArray[np.bool_], body: NDArray[np.bool_], slack: int
) -> NDArray[np.bool_]:
    """(h, w) the pixels of the photo that belong to a fitted arm whose border may be off by `slack` pixels.

    arm, body: where the fitted arm and the whole fitted body are. Nothing when the arm has no certain inside.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * slack + 1, 2 * slack + 1))
    inside = cv2.erode(arm.astype(np.uint8), kernel, borderValue=0).astype(bool)
    if not inside.any():
        # A thin or distant arm: what is left is its middle line.
        distance = cv2.distanceTransform(arm.astype(np.uint8), cv2.DIST_L2, 5)
        inside = distance > 0.7 * distance.max()
    beyond = ~cv2.dilate(arm.astype(np.uint8), kernel).astype(bool)
    markers = np.zeros(mask.shape, np.int32)
    markers[body & beyond] = 1
    markers[~mask] = 2
    markers[inside & mask] = 3
    picture = np.clip(cv2.GaussianBlur(rgb, (0, 0), 0.8) * 255, 0, 255).astype(np.uint8)
    found = (cv2.watershed(picture, markers) == 3) & mask
    # Slivers that hang on to the arm along an edge are no arm.
    thin = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (slack // 2) + 1, 2 * (slack // 2) + 1))
    return cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, thin).astype(bool) | (inside & mask)
