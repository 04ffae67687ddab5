"""Fine structure of a cloth where its colours are made: patches of the photo's own weave and folds, laid side by side.

What is filled smoothly beside copied cloth looks like plastic. Patches of the zero-mean structure of the cloth are laid
over it half overlapping; where they overlap they are mixed so that contrast is kept instead of a mean's,
sum w f / sqrt(sum w^2)  (Heitz and Neyret 2018, "High-performance by-example noise using a histogram-preserving
blending operator").
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
LIKE = 0.06  # how much further than the nearest colours (each 0..1) a patch's may be from what it is laid on
SHADE = 0.3  # what brightness counts for in that: a fold's shadow is the same cloth
CALM = 60.0  # percentile of the structure's strength above which a patch has a seam or a button in it, not a weave
ROOM = 2.0  # sides of a patch over which those to choose from must be strewn for their structure to count in full
MOST = 2000  # places a patch is taken from


def woven(structure: Floats, colours: Floats, source: Mask, base: Floats, region: Mask, side: int) -> Floats:
    """(h, w, 3) structure for the whole region (h, w); 0 where no patch of the source fits.

    structure (h, w, 3): zero-mean, of the source (h, w). colours (h, w, 3): smooth ones of the source. base (h, w, 3): those
    of the region, to which a patch's own are to be alike. side: of a patch, px; an even number.
    """
    whole = cv2.erode(
        source.astype(np.uint8), np.ones((side, side), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    half = side // 2
    rows, columns = np.nonzero(whole[::2, ::2])
    places = np.stack([rows, columns], 1) * 2
    made = np.zeros_like(structure)
    goals = np.stack(np.meshgrid(np.arange(0, region.shape[0] + half, half), np.arange(0, region.shape[1] + half, half),
                                 indexing="ij"), -1).reshape(-1, 2)  # fmt: skip
    near = cv2.dilate(region.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)
    inside = goals.clip(0, np.array(region.shape) - 1)
    wanted = near[inside[:, 0], inside[:, 1]]
    goals, inside = goals[wanted], inside[wanted]
    if not len(places) or not len(goals):
        return made
    random = np.random.default_rng(0)
    busy = cv2.boxFilter(np.square(structure).mean(-1), -1, (side, side))[places[:, 0], places[:, 1]]
    places = places[busy <= np.percentile(busy, CALM)]
    if len(places) > MOST:
        places = places[np.sort(random.choice(len(places), MOST, replace=False))]
    ours, theirs = (_chroma(c) for c in (base[inside[:, 0], inside[:, 1]], colours[places[:, 0], places[:, 1]]))
    far = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
    alike = far <= far.min(1, keepdims=True) + LIKE
    count = alike.sum(1, keepdims=True)
    middle = (alike @ places) / count
    strewn = np.sqrt(np.maximum((alike @ (places**2)) / count - middle**2, 0).sum(1))
    strength = np.clip(strewn / (ROOM * side), 0, 1).astype(np.float32)
    chosen = places[(alike * random.random(alike.shape)).argmax(1)]
    turned = random.random(len(goals)) < 0.5
    bell = np.sin((np.arange(side) + 0.5) / side * np.pi) ** 2
    window = (bell[:, None] * bell[None]).astype(np.float32)
    reach = side
    total = np.zeros((region.shape[0] + 2 * reach, region.shape[1] + 2 * reach, 3), np.float32)
    square = np.zeros(total.shape[:2], np.float32)
    for (y, x), (from_y, from_x), mirrored, strong in zip(goals, chosen, turned, strength, strict=True):
        patch = strong * structure[from_y - half : from_y + half, from_x - half : from_x + half]
        patch = patch[:, ::-1] if mirrored else patch
        to = (slice(y - half + reach, y + half + reach), slice(x - half + reach, x + half + reach))
        total[to] += window[..., None] * patch
        square[to] += window**2
    kept = (slice(reach, -reach), slice(reach, -reach))
    mixed = total[kept] / np.sqrt(np.maximum(square[kept], 1e-6))[..., None]
    return np.where(region[..., None], mixed, 0).astype(np.float32)


def _chroma(rgb: Floats) -> Floats:
    """(n, 3) colours with their brightness counting for SHADE of itself."""
    grey = rgb.mean(-1, keepdims=True)
    return np.asarray(rgb - (1 - SHADE) * grey, np.float32)
