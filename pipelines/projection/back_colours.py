"""Colours of the side that the photo does not show.

The rule: **what the outline shows goes around**. Front and back meet at the outline, so the cloth seen there is the
cloth of the back; the photo's pixel is copied to the back where it looks like the cloth at the nearby outline, and a
print, a tie, an open jacket's shirt or a bag is replaced. On the head hair goes around: a face is never copied to
where the body has none. Replaced pixels get the smooth colour of their surroundings (a membrane) plus the fine
detail of a nearby pixel that was copied.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.projection.body_mesh import cloth_groups, limbs, part_labels
from pipelines.projection.membrane import fill
from pipelines.projection.outline import depth_inside, half_width, nearest, smooth

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
PALETTE = 12  # colours at the outline told apart
SHADING = 0.4  # weight of brightness against hue: a fold in shadow is still the same cloth
ACROSS, ALONG = 0.25, 0.08  # metres: half a person's width, and a height over which cloth does not change
SHARE = 0.3  # of the outline there: a shirt seen on one of four edges (two arms, two sides) is not the back's
UPRIGHT = 4  # clothes change along the body more than around it: colours spread so many times further sideways


@dataclass(frozen=True)
class Heads:
    """What is known of the head in the picture, all (h, w) bool: `head` its pixels (hair and hat too), `face` the
    face as seen, `back_face` where the far side of the body is the face."""

    head: Mask
    face: Mask
    back_face: Mask


def back_colours(
    rgb: Floats, mask: Mask, inside: Floats, sides: tuple[NDArray[np.uint8], NDArray[np.uint8]], names: NDArray,
    heads: Heads, two: Mask, likeness: float, pixel: float,
) -> tuple[Floats, Mask]:  # fmt: skip
    """(h, w, 3) colours of the far side, and (h, w) bool where they are not the photo's own pixel.

    rgb, mask: the photo. inside: distance to the outline, px. sides: body part on the front and on the back,
    filled up over the mask. two: the ray meets two limbs, so that the front's colour says nothing of the back.
    likeness: how far (CIELAB) a pixel may be from the cloth at the outline and still be the same cloth.
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
    alike = np.isin(part, part_labels(names, "upper_arm", "forearm", "hand", "shin", "foot")) & mask & ~heads.head
    bare = np.isin(part, part_labels(names, "hand", "foot")) & mask
    copied &= same_cloth(calm, mask & ~heads.head & ~bare, inside, likeness, pixel) | alike
    copied = drop_specks(copied | ~mask | heads.head, pixel) & mask & ~heads.head & ~other
    copied |= hair_that_goes_around(calm, mask, heads)
    if not copied.any():
        return rgb.copy(), np.zeros_like(mask)
    result = rgb.copy()
    result = replace(result, rgb, copied, heads.head & mask & ~other, blur)
    # Trunk and legs share their clothes; head and forearms have their own.
    cloth = cloth_groups(names)
    # Beside a hand in the photo the fitted hand may miss, and the hand's skin is no cloth.
    reach = 2 * max(round(0.015 / pixel), 1) + 1
    doubtful = cv2.dilate(other.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
    for number in np.unique(cloth[:-1]):
        own = (cloth[sides[1]] == number) & mask & (~heads.head | other)
        result = replace(result, rgb, copied & ~other, own, blur, doubtful)
    skin = skin_colour(rgb, mask, part, names)
    bare_behind = heads.back_face & ~heads.face
    nape = np.isin(sides[1], part_labels(names, "neck")) & mask
    # A scarf or a collar shows beside the face; where nothing does, the nape is skin and not the shirt below.
    if (nape & copied & ~other).sum() < 0.25 * nape.sum():
        nape &= other | ~copied
        hair = hair_beside(rgb, calm, mask, heads, nape, pixel)
        if hair is None:
            bare_behind = bare_behind | nape
        else:
            result = np.where(nape[..., None], hair, result)
            copied &= ~nape
    if skin is not None and bare_behind.any():
        plain = smooth((bare_behind & mask).astype(np.float32), mask, blur)[..., None]
        result = result * (1 - plain) + skin * plain
        copied = copied & ~(plain[..., 0] > 0.5)
    return np.clip(result, 0, 1).astype(np.float32), mask & ~copied


def same_cloth(calm: Floats, region: Mask, inside: Floats, likeness: float, pixel: float) -> Mask:
    """(h, w) the pixels of a region whose colour (CIELAB; brightness counts half) occurs at the outline
    nearby."""
    radius = half_width(inside)
    rim = region & (inside > 0.5) & (inside < np.maximum(0.25 * radius, 2.5))
    if rim.sum() < PALETTE:
        return region
    weighed = (calm * np.array([SHADING, 1.0, 1.0], np.float32)).astype(np.float32)
    cv2.setRNGSeed(1)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, 12, 0.0)
    samples = weighed[rim][:: max(1, int(rim.sum()) // 4000)]
    unlabelled = np.zeros((len(samples), 1), np.int32)
    _, _, palette = cv2.kmeans(samples, PALETTE, unlabelled, criteria, 1, cv2.KMEANS_PP_CENTERS)
    distance = np.stack([np.sqrt(((weighed - colour) ** 2).sum(-1)) for colour in palette], -1)
    closest = np.where(rim, np.argmin(distance, -1), -1)
    same = np.zeros_like(rim)
    # Counted across the whole figure at that height: what shows on one side only, under an open jacket, is not what
    # the back wears.
    across, along = ACROSS / pixel, ALONG / pixel
    outline = np.maximum(cv2.GaussianBlur(rim.astype(np.float32), (0, 0), across, sigmaY=along), 1e-6)
    for colour in range(PALETTE):
        alike = rim & (distance[..., colour] < likeness)
        share = cv2.GaussianBlur(alike.astype(np.float32), (0, 0), across, sigmaY=along) / outline
        same |= (distance[..., colour] < likeness) & (share > SHARE) & (closest[rim] == colour).any()
    return region & same


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
    return solid if solid.sum() > 0.3 * found.sum() else found


def replace(
    result: Floats, rgb: Floats, copied: Mask, region: Mask, blur: float, doubtful: Mask | None = None
) -> Floats:
    """Fill a region's pixels that are not copied from those that are (and not doubtful, if any are left); unchanged
    where none is."""
    if not (copied & region).any() or (copied | ~region).all():
        return result
    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    whole = result.copy()
    sure = copied & region if doubtful is None else copied & region & ~doubtful
    sure = sure[window] if sure.any() else (copied & region)[window]
    result, rgb, copied, region = result[window], rgb[window], copied[window], region[window]
    source = sure
    # Two passes: the source without its rim to the replaced part, whose colour is mixed.
    solid = cv2.erode(source.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    solid = solid if solid.sum() > 0.2 * source.sum() else source
    low = smooth(rgb, solid, blur)
    fine = smooth(rgb, solid, blur / 3)
    base = spread_sideways(low, solid, region)
    rows, columns = nearest(solid)
    y, x = np.indices(region.shape)
    # Detail from the source, mirrored at its border to and fro within its width.
    offset = np.stack([rows - y, columns - x], -1).astype(np.float32)
    length = np.linalg.norm(offset, axis=-1)
    depth = cv2.dilate(depth_inside(solid), np.ones((9, 9), np.uint8))[rows, columns] + 1.0
    back_and_forth = depth - np.abs(np.mod(length, 2 * depth) - depth)
    ahead = offset / np.maximum(length, 1e-6)[..., None] * back_and_forth[..., None]
    from_y = np.clip(np.round(rows + ahead[..., 0]).astype(int), 0, region.shape[0] - 1)
    from_x = np.clip(np.round(columns + ahead[..., 1]).astype(int), 0, region.shape[1] - 1)
    detail = np.where(solid[..., None], rgb - fine, 0.0)[from_y, from_x]
    kept = cv2.erode((copied | ~region).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & region
    keep = smooth(kept.astype(np.float32), region, 1.0)[..., None] * kept[..., None]
    made = base + detail
    whole[window] = np.where(region[..., None], keep * rgb + (1 - keep) * made, result)
    return whole


def hair_beside(rgb: Floats, calm: Floats, mask: Mask, heads: Heads, nape: Mask, pixel: float) -> Floats | None:
    """(3,) colour of long hair, None where the nape is bare: hair that falls behind shows beside the neck, within
    10 cm, as what is nearer to the top of the head than to the face."""
    face = heads.face & ~heads.back_face
    if not (face.any() and nape.any()):
        return None
    top = np.flatnonzero(face.any(1))[0]
    above = heads.head & mask & ~face & (np.arange(len(mask))[:, None] < top)
    if above.sum() < 8:
        return None
    hair, skin = np.median(calm[above], 0), np.median(calm[face], 0)
    reach = 2 * max(round(0.1 / pixel), 1) + 1
    beside = cv2.dilate(nape.astype(np.uint8), np.ones((1, reach), np.uint8)).astype(bool)
    beside &= mask & ~face & ~nape
    like_hair = ((calm - hair) ** 2).sum(-1) < 0.5 * ((calm - skin) ** 2).sum(-1)
    if (beside & like_hair).sum() < max(0.5 * beside.sum(), 0.5 * nape.sum()):
        return None
    return np.median(rgb[above], 0).astype(np.float32)


def spread_sideways(low: Floats, known: Mask, region: Mask) -> Floats:
    """(h, w, 3) known colours carried over a region by a membrane on a picture UPRIGHT times narrower, so that a hem
    or a belt goes on at its height."""
    height, width = region.shape
    small = (max(-(-width // UPRIGHT), 1), height)

    def narrow(image: NDArray) -> Floats:
        made = np.asarray(cv2.resize(image.astype(np.float32), small, interpolation=cv2.INTER_AREA), np.float32)
        return made.reshape(small[1], small[0], *image.shape[2:])

    weight = narrow(known)
    mean = narrow(low * known[..., None]) / np.maximum(weight, 1e-3)[..., None]
    made = fill(mean, 2.0 * weight, narrow(region) > 0)
    wide = cv2.resize(made, (width, height), interpolation=cv2.INTER_LINEAR)
    cover = cv2.resize((narrow(region) > 0).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return (wide / np.maximum(cover, 1e-3)[..., None]).astype(np.float32)


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


def skin_colour(rgb: Floats, mask: Mask, part: NDArray[np.uint8], names: NDArray) -> Floats | None:
    """(3,) median of the bare skin in the picture (hands, neck, ears), None when there is none to be seen.

    Skin by its chroma: the YCbCr box of Chai & Ngan (1999), which holds for light and dark skin alike.
    """
    ycc = cv2.cvtColor(np.ascontiguousarray(rgb, np.float32), cv2.COLOR_RGB2YCrCb)
    cr, cb = ycc[..., 1] * 255, ycc[..., 2] * 255
    skin = (cr > 133) & (cr < 173) & (cb > 77) & (cb < 127) & mask
    skin &= np.isin(part, part_labels(names, "hand", "forearm", "neck", "head", "face", "upper_arm"))
    return np.median(rgb[skin], 0).astype(np.float32) if skin.sum() >= 12 else None
