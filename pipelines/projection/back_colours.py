"""Colours of the side that the photo does not show.

The rule: **what the outline shows goes around**. Front and back meet at the outline, so the cloth seen there is the
cloth of the back; the photo's pixels are copied to the back where their piece of cloth makes a fair share of the outline
(`cloth_pieces`), and a print, a tie, an open jacket's shirt or a bag is replaced (`replaced`). On the head hair goes
around: a face is never copied to where the body has none.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.projection.body_mesh import cloth_groups, limbs, part_labels
from pipelines.projection.cloth_pieces import clothes, is_skin
from pipelines.projection.hair import hanging_hair
from pipelines.projection.nape import Heads, nape_colours
from pipelines.projection.outline import smooth
from pipelines.projection.replaced import replace

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
BESIDE = 0.03  # metres from the fitted body in the picture, beyond which the photo shows what hangs beside it
SHOULDER = 0.05  # metres from the trunk to which an upper arm is its shoulder
TOP = 0.015  # metres: the outline on top of the shoulders is so thick


def back_colours(
    rgb: Floats, mask: Mask, inside: Floats, sides: tuple[NDArray[np.uint8], NDArray[np.uint8]], names: NDArray,
    heads: Heads, two: Mask, covered: Mask, arms: Mask, likeness: float, pixel: float,
) -> tuple[Floats, Mask]:  # fmt: skip
    """(h, w, 3) colours of the far side, and (h, w) bool where they are not the photo's own pixel.

    rgb, mask: the photo. inside: distance to the outline, px. sides: body part on the front and on the back,
    filled up over the mask. two: the ray meets two limbs, so that the front's colour says nothing of the back.
    covered: the fitted body is there; what hangs beside it (a coat's flap, hair) is a sheet of one colour. arms: the
    fitted forearms and hands are there in front.
    likeness: how far (CIELAB) a piece of cloth may be from the cloth at the outline and still be the same cloth.
    pixel: metres per pixel.
    """
    lab = cv2.cvtColor(np.ascontiguousarray(rgb, np.float32), cv2.COLOR_RGB2LAB)
    blur = max(0.012 / pixel, 0.8)
    calm = smooth(lab, mask, blur / 2)
    part = sides[0]
    limb = limbs(names)
    other = mask & ((limb[sides[0]] != limb[sides[1]]) | two)
    copied = mask & ~heads.head
    # Nothing opens in front of an arm or a shin, as a jacket does before the trunk.
    cloth = cloth_groups(names)
    alike = np.isin(part, part_labels(names, "upper_arm", "forearm", "hand", "shin", "foot")) & mask & ~heads.head
    alike &= cloth[sides[0]] == cloth[sides[1]]
    face = heads.face & ~heads.back_face
    neck = np.isin(sides[1], part_labels(names, "neck")) & mask
    hands = np.isin(part, part_labels(names, "forearm", "hand"))
    torso = np.isin(part, part_labels(names, "torso"))
    hair = hanging_hair(calm, mask, torso, covered, hands, heads.head, face, neck, pixel)
    hanging = hair & ~heads.head
    telling = ~np.isin(part, part_labels(names, "forearm", "hand", "foot")) & ~hair
    skin = skin_colour(rgb, mask, part, names, face)
    shoulders = shoulder_line(mask, part, names, neck, pixel) & ~hair
    worn = clothes(
        rgb, mask & ~heads.head, telling, cloth[part] == 0, torso, shoulders, arms, skin, inside, likeness, pixel
    )
    beside = mask & (cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, 3) > BESIDE / pixel)
    copied &= worn.around | alike | beside | (hanging & ~covered)
    # What hangs before the trunk does not hang behind it.
    copied &= ~(hanging & covered)
    copied = drop_specks(copied | ~mask | heads.head, pixel) & mask & ~heads.head & ~other
    copied |= hair_that_goes_around(calm, mask, heads)
    if not copied.any():
        return rgb.copy(), np.zeros_like(mask)
    result = rgb.copy()
    result = replace(result, rgb, copied, heads.head & mask & ~other, blur)
    # Trunk and legs share their clothes; head and forearms have their own. Hair beside the trunk is none of its colours.
    # Beside a hand in the photo the fitted hand may miss, and the hand's skin is no cloth.
    reach = 2 * max(round(0.015 / pixel), 1) + 1
    doubtful = cv2.dilate((other | hanging).astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
    for number in np.unique(cloth[:-1]):
        own = (cloth[sides[1]] == number) & mask & (~heads.head | other)
        trunk = number == 0
        unsure = doubtful | worn.limb if trunk else doubtful
        result = replace(result, rgb, copied & ~other, own, blur, unsure, worn.garment if trunk else None)
    bare_behind = heads.back_face & ~heads.face
    # A scarf or a collar shows beside the face; where nothing does, the nape is hair and skin and not the shirt below.
    worn_there = copied & ~worn.bare & ~hanging
    if (neck & worn_there & ~other).sum() < neck.sum() / 3:
        # The rim of what is copied is mixed with what replaces its surroundings.
        nape = neck & (other | ~cv2.erode(worn_there.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool))
        result = nape_colours(result, rgb, calm, mask, covered, heads, nape, skin, pixel)
        copied &= ~nape
    if skin is not None and bare_behind.any():
        plain = smooth((bare_behind & mask).astype(np.float32), mask, blur)[..., None]
        result = result * (1 - plain) + skin * plain
        copied = copied & ~(plain[..., 0] > 0.5)
    return np.clip(result, 0, 1).astype(np.float32), mask & ~copied


def shoulder_line(mask: Mask, part: NDArray[np.uint8], names: NDArray, neck: Mask, pixel: float) -> Mask:
    """(h, w) the outline of a mask on top of the shoulders, from the neck (h, w) to where the arms begin to hang."""
    torso = np.isin(part, part_labels(names, "torso"))
    reach = 2 * max(round(SHOULDER / pixel), 1) + 1
    near = cv2.dilate(torso.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
    top = mask & near & (torso | np.isin(part, part_labels(names, "upper_arm")))
    thick = max(round(TOP / pixel), 1)
    top[thick:] &= ~mask[:-thick]
    rows = np.flatnonzero(neck.any(1))
    top[(rows[-1] if len(rows) else 0) + round(2 * SHOULDER / pixel) :] = False
    return top


def hair_that_goes_around(calm: Floats, mask: Mask, heads: Heads) -> Mask:
    """(h, w) the head's pixels that may be copied to the far side.

    Seen from the side both sides of the head are alike and all is copied. Seen from the front it is the pixels that
    look like the top of the head (hair, hat, bald skin) rather than like the face.
    """
    wrong = heads.face & ~heads.back_face & heads.head
    if not wrong.any():
        return heads.head & mask
    rows = np.flatnonzero(wrong.any(1))
    top, bottom = rows[0], rows[-1]
    level = np.arange(len(mask))[:, None]
    above = heads.head & mask & ~wrong & (level < top + 0.25 * (bottom - top))
    cheek = wrong & (level > top + 0.4 * (bottom - top)) & (level < top + 0.8 * (bottom - top))
    if above.sum() < 8 or not cheek.any():
        return heads.head & mask & ~wrong
    hair, skin = np.median(calm[above], 0), np.median(calm[cheek], 0)
    like_hair = ((calm - hair) ** 2).sum(-1) < ((calm - skin) ** 2).sum(-1)
    found = heads.head & mask & ~wrong & like_hair
    solid = cv2.erode(found.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    found = solid if solid.sum() > 0.3 * found.sum() else found
    # A lit ear or jaw is as bright as grey hair, but hair begins at the top.
    return touching(found, above)


def touching(found: Mask, seeds: Mask) -> Mask:
    """(h, w) those connected pieces of found (h, w) that hold a pixel of seeds (h, w)."""
    _, labels = cv2.connectedComponents(found.astype(np.uint8), connectivity=4)
    return found & np.isin(labels, np.unique(labels[found & seeds]))


def drop_specks(copied: Mask, pixel: float) -> Mask:
    """Islands of less than about 2 cm^2 follow what surrounds them; what is replaced takes its blurred rim along."""
    least = 2e-4 / pixel**2
    for state in (False, True):
        count, labels, facts, _ = cv2.connectedComponentsWithStats((copied == state).astype(np.uint8), connectivity=4)
        small = facts[:, cv2.CC_STAT_AREA] < least
        small[0] = False
        copied = np.where(small[labels], not state, copied) if count > 1 else copied
    reach = 2 * max(round(0.006 / pixel), 1) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return cv2.erode(copied.astype(np.uint8), kernel).astype(bool)


def skin_colour(rgb: Floats, mask: Mask, part: NDArray[np.uint8], names: NDArray, face: Mask) -> Floats | None:
    """(3,) median of the bare skin in the picture, None when there is none to be seen: of the face (h, w) if it shows,
    else of hands and neck, else of arms, which more often than not are in sleeves.

    Skin by its chroma alone (`is_skin`).
    """
    skin = is_skin(rgb) & mask
    for where in (face, np.isin(part, part_labels(names, "hand", "neck", "head", "face")),
                  np.isin(part, part_labels(names, "forearm", "upper_arm"))):  # fmt: skip
        if (skin & where).sum() >= 12:
            return np.median(rgb[skin & where], 0).astype(np.float32)
    return None
