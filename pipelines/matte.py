"""The cut-out: the photo's own alpha, or the network's mask brought to the photo's edges, with clean colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.person import box_of
from pipelines.records import Cutout, Person, Photo
from pipelines.step import Context, UserError, knob, step

Floats = NDArray[np.float32]
SMALL_PERSON_PX = 200


@dataclass(frozen=True)
class MatteParams:
    source: str = knob("auto", "Where the outline comes from: the photo's own alpha if there is one, or the network.",
                       choices=("auto", "alpha", "network"))  # fmt: skip
    edge_radius: float = knob(
        1.0, "Reach of the edge search, in cells of the network's mask.", low=0.25, high=4.0, unit="cells"
    )
    threshold: float = knob(0.5, "What counts as person: lower keeps more.", low=0.05, high=0.95)
    grow: float = knob(0.0, "Moves the outline outwards (positive) or inwards.", low=-10.0, high=10.0, unit="px")


@step("matte", version=1, title="Cut-out")
def matte(photo: Photo, person: Person, params: MatteParams, ctx: Context) -> Cutout:
    """The person is cut out; colours at the rim are cleaned, so that no background is painted on the splats."""
    if params.source == "alpha" and photo.alpha is None:
        raise UserError("matte.source came as 'alpha', but the photo has no alpha; choose 'network' or 'auto'.")
    use_alpha = photo.alpha is not None and params.source != "network"
    if use_alpha:
        assert photo.alpha is not None
        alpha = photo.alpha
        if len(person.boxes) > 1:
            alpha = keep_person(alpha, person)
    else:
        ctx.progress(0.2, "finding the outline")
        alpha = network_alpha(photo, person, params)
    alpha = quantised(moved(alpha, params.grow))
    if not (alpha > 0.5).any():
        raise UserError("The cut-out is empty: nobody stands out from the picture; draw the outline by hand.")
    ctx.progress(0.6, "cleaning the colours at the rim")
    rgb = foreground(photo.rgb, alpha, use_alpha)
    facts = describe(alpha, "alpha" if use_alpha else "network")
    warn(facts, ctx)
    return Cutout(np.dstack([rgb, alpha]).astype(np.float32), facts)


def cutout_by_hand(photo: Photo, alpha: Floats) -> Cutout:
    """A cut-out from a mask that somebody drew: (H, W) 0..1 on the photo's pixels; UserError when it does not fit."""
    if alpha.shape != photo.rgb.shape[:2]:
        raise UserError(
            f"The mask came with {alpha.shape[1]} x {alpha.shape[0]} pixels; "
            f"the photo has {photo.size[0]} x {photo.size[1]}. Give one of the same size."
        )
    if not (alpha > 0.5).any():
        raise UserError("The mask is empty; mark the person in white (or opaque) and try again.")
    alpha = quantised(np.clip(alpha, 0, 1))
    return Cutout(np.dstack([foreground(photo.rgb, alpha, False), alpha]).astype(np.float32), describe(alpha, "hand"))


def quantised(alpha: Floats) -> Floats:
    """Alpha as it will be stored (8 bit), so that colours are computed for the alpha that everybody sees."""
    return (np.round(np.clip(alpha, 0, 1) * 255) / 255).astype(np.float32)


def network_alpha(photo: Photo, person: Person, params: MatteParams) -> Floats:
    """The network's 256 x 256 mask -> (H, W) alpha: warped, the person's component, guided by the photo's edges."""
    import cv2

    from pipelines.landmarks.square import to_centres

    width, height = photo.size
    coarse = cv2.warpAffine(
        person.mask, to_centres(person.mask_affine.astype(np.float64)), (width, height),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT, borderValue=0.0,
    )  # fmt: skip
    coarse = keep_person(np.clip(coarse, 0, 1).astype(np.float32), person)
    cell = float(person.square[2]) / 256.0
    radius = max(1, round(2.0 * params.edge_radius * cell))
    refined = guided_filter(photo.rgb, coarse, radius, 1e-4)
    # Steepened around the threshold: the guided mask is soft over the whole window, a photo's edge is a pixel or two.
    alpha = np.clip((refined - params.threshold) / 0.35 + 0.5, 0, 1)
    # Only a band around the coarse outline may change: textures inside must not open holes, nor background pop up.
    band = max(2, round(2.5 * cell))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * band + 1, 2 * band + 1))
    solid = (coarse > params.threshold).astype(np.uint8)
    inside, near = cv2.erode(solid, kernel), cv2.dilate(solid, kernel)
    alpha = np.where(inside > 0, 1.0, np.where(near > 0, alpha, 0.0)).astype(np.float32)
    return keep_person(alpha, person)


def guided_filter(guide: Floats, mask: Floats, radius: int, epsilon: float) -> Floats:
    """Colour guided filter (He, Sun, Tang 2013): (H, W, 3) guide, (H, W) mask -> (H, W), radius in px.

    In each window the mask is a linear function of the colour, a = (Cov + epsilon I)^-1 cov(colour, mask).
    """
    import cv2

    def mean(image: Floats) -> Floats:
        return np.asarray(cv2.blur(image, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT), np.float32)

    colour_mean, mask_mean = mean(guide), mean(mask)
    cross = mean(guide * mask[..., None]) - colour_mean * mask_mean[..., None]
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    rr, rg, rb, gg, gb, bb = (
        mean(guide[..., i] * guide[..., j]) - colour_mean[..., i] * colour_mean[..., j] + (epsilon if i == j else 0)
        for i, j in pairs
    )
    # Inverse of the symmetric 3 x 3 matrix by cofactors, for all pixels at once.
    c00, c01, c02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c11, c12, c22 = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = np.maximum(rr * c00 + rg * c01 + rb * c02, 1e-12)
    x, y, z = cross[..., 0], cross[..., 1], cross[..., 2]
    a = np.stack([c00 * x + c01 * y + c02 * z, c01 * x + c11 * y + c12 * z, c02 * x + c12 * y + c22 * z], -1)
    a /= determinant[..., None]
    b = mask_mean - (a * colour_mean).sum(-1)
    return ((mean(a.astype(np.float32)) * guide).sum(-1) + mean(b.astype(np.float32))).astype(np.float32)


def keep_person(alpha: Floats, person: Person) -> Floats:
    """Keep the connected parts of the chosen person: the one that holds most of the torso, and parts beside it that
    are at least 2 % as large (a bag, a foot behind a cane) and lie in the person's square."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.5).astype(np.uint8), connectivity=8)
    if count <= 2:
        return alpha
    height, width = alpha.shape
    torso = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(torso, np.round(person.landmarks[[11, 12, 24, 23], :2]).astype(np.int32), 1)
    votes = np.bincount(labels[torso > 0], minlength=count).astype(np.float64)
    votes[0] = 0
    main = int(np.argmax(votes)) if votes.any() else 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    reach = float(person.square[2]) * 0.6
    keep = np.zeros(count, bool)
    for label in range(1, count):
        left, top, w, h, area = stats[label]
        far = np.hypot(left + w / 2 - person.square[0], top + h / 2 - person.square[1]) > reach
        keep[label] = label == main or (
            area > 0.02 * stats[main, cv2.CC_STAT_AREA] and not far and len(person.boxes) == 1
        )
    # Soft pixels belong to the nearest kept part.
    solid = keep[labels]
    near = cv2.dilate(solid.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return np.where(near & ~(~solid & (labels > 0)), alpha, 0.0).astype(np.float32)


def moved(alpha: Floats, pixels: float) -> Floats:
    """The outline moved by `pixels` outwards (negative: inwards)."""
    import cv2

    if pixels == 0:
        return alpha
    solid = (alpha > 0.5).astype(np.uint8)
    signed = cv2.distanceTransform(solid, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - solid, cv2.DIST_L2, 5)
    return np.clip(signed + pixels + 0.5, 0, 1).astype(np.float32)


def foreground(rgb: Floats, alpha: Floats, own_alpha: bool) -> Floats:
    """The person's own colours: (H, W, 3), also in the soft rim and beyond it.

    Rim colours by blur fusion (Forte 2021): F = blur(I a) / blur(a), B likewise, then F += a (I - a F - (1 - a) B).
    For a photo that brings its own alpha the hidden colours are no background, so the correction is left out.
    Beyond the rim each pixel takes the colour of the nearest solid one.
    """
    import cv2

    a = alpha[..., None]
    estimate, background = rgb, rgb
    for size in (45, 5):

        def blur(image: Floats, size: int = size) -> Floats:
            return np.asarray(cv2.blur(image, (size, size)), np.float32).reshape(image.shape)

        weight, rest = blur(a), blur(1 - a)
        front = blur(estimate * a) / (weight + 1e-5)
        behind = blur(background * (1 - a)) / (rest + 1e-5)
        correction = 0.0 if own_alpha else a * (rgb - a * front - (1 - a) * behind)
        estimate = np.clip(front + correction, 0, 1).astype(np.float32)
        background = behind.astype(np.float32)
    solid = alpha > 0.95
    result = np.where(solid[..., None], rgb, estimate)
    if solid.any():
        _, labels = cv2.distanceTransformWithLabels(
            (~solid).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        table = np.zeros((labels.max() + 1, 3), np.float32)
        table[labels[solid]] = rgb[solid]
        nearest = cv2.blur(table[labels], (3, 3))
        trust = np.clip(alpha / 0.5, 0, 1)[..., None] if not own_alpha else np.clip(alpha / 0.9, 0, 1)[..., None] ** 2
        result = np.where(solid[..., None], rgb, trust * result + (1 - trust) * nearest)
    return np.clip(result, 0, 1).astype(np.float32)


def describe(alpha: Floats, source: str) -> dict[str, Any]:
    """What the page and run.json say of a cut-out: source, share of the picture, box, borders it touches."""
    solid = alpha > 0.5
    left, top, right, bottom = (int(v) for v in box_of(solid))
    edges = {"top": solid[0], "bottom": solid[-1], "left": solid[:, 0], "right": solid[:, -1]}
    touching = [name for name, row in edges.items() if row.sum() > 0.01 * max(right - left, bottom - top)]
    return {
        "source": source, "coverage": round(float(solid.mean()), 4), "box": [left, top, right, bottom],
        "person_height_px": bottom - top, "touching": touching,
        "soft_share": round(float(((alpha > 0.02) & (alpha < 0.98)).sum() / max(1, solid.sum())), 4),
    }  # fmt: skip


def warn(facts: dict[str, Any], ctx: Context) -> None:
    """The sentences for a person who is cut by the frame or small."""
    touching = facts["touching"]
    if "bottom" in touching:
        ctx.warn("The person is cut off at the bottom of the photo; what is missing there is invented.")
    others = [t for t in touching if t != "bottom"]
    if others:
        ctx.warn(f"The person touches the {' and the '.join(others)} edge of the photo; what is beyond is invented.")
    if facts["person_height_px"] < SMALL_PERSON_PX:
        ctx.warn(
            f"The person is only {facts['person_height_px']} px high; 400 or more are recommended, details will be missing."
        )
