"""What of the photo a network may lay on the back: the photo's own pixel, but only its tone where the back is made.

A network lays a share of the photo on the back for its folds and its shade. Where the back's colours are made because
the photo's do not go around (`back_made`), the same share is a ghost of what is in front: a face, a print, a strap.
There the photo is taken without anything that has features.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.projection.body_mesh import part_labels
from pipelines.projection.outline import smooth
from pipelines.projection.replaced import spread_sideways
from pipelines.projection.sampling import pixel_size
from pipelines.records import Layers

Floats = NDArray[np.float32]
FEATURES = 0.03  # metres: standard deviation of a mean in which eyes and mouths are gone; of clothes, two cells' side
SOFT = 0.006  # metres: standard deviation of the region's edge
RIM = 0.012  # metres: what is thinner is the rim that `back_colours` takes off everything that goes around


def made_behind(layers: Layers) -> Floats:
    """(h, w) 0..1: 1 where the colours behind are made, 0 where cloth and hair go around, where the far side is the
    face itself, and outside the person."""
    a = layers.arrays
    mask = a["mask"]
    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    pixel = pixel_size(a, layers.camera)
    made = (a["back_made"] & mask & ~np.isin(a["back_part"], part_labels(a["part_names"], "face"))).astype(np.uint8)
    width = 2 * max(round(RIM / 2 / pixel), 1) + 1
    made = cv2.morphologyEx(made, cv2.MORPH_OPEN, np.ones((width, width), np.uint8))
    edge = max(SOFT / pixel, 0.6)
    # Nothing of what is replaced is left in the soft edge itself.
    wide = 2 * round(1.5 * edge) + 1
    made = cv2.dilate(made, np.ones((wide, wide), np.uint8)).astype(bool) & mask
    return np.where(mask, smooth(made.astype(np.float32), mask, edge), 0).astype(np.float32)


def featureless(layers: Layers, behind: Floats) -> Floats:
    """(h, w, 3) the photo's colours with their tone in their place where `behind` (h, w), of `made_behind`, is 1.

    Of the clothes it is the tone of what goes around at the same height, so that a print, a tie or an open jacket's
    shirt lends none of its own; of the head, where little goes around, a wide mean.
    """
    a = layers.arrays
    head = np.isin(a["front_part"], part_labels(a["part_names"], "head", "face", "scalp", "neck"))
    shown, pixel = a["front_rgb"], pixel_size(a, layers.camera)
    hidden = behind * head
    if hidden.any():
        shown = shown + hidden[..., None] * (smooth(shown, hidden, FEATURES / pixel) - shown)
    hidden, around = behind * ~head, (1 - behind) * (a["mask"] & ~head)
    if hidden.any():
        cell = max(FEATURES / 2 / pixel, 1.0)
        enough = around.sum() > cell**2
        tone = tone_of(shown, around, a["mask"] & ~head, cell) if enough else smooth(shown, hidden, 2 * cell)
        shown = shown + hidden[..., None] * (tone - shown)
    return shown.astype(np.float32)


def tone_of(colours: Floats, known: Floats, region: NDArray[np.bool_], cell: float) -> Floats:
    """(h, w, 3) the colours (h, w, 3) that are known (h, w; 0..1) carried sideways over a region (h, w), on cells of
    `cell` px."""
    height, width = region.shape
    small = (max(round(width / cell), 1), max(round(height / cell), 1))

    def shrunk(image: NDArray) -> Floats:
        return np.asarray(cv2.resize(image.astype(np.float32), small, interpolation=cv2.INTER_AREA), np.float32)

    share, cells = shrunk(known), shrunk(region) > 0
    mean = (shrunk(colours * known[..., None]) / np.maximum(share, 1e-3)[..., None]).astype(np.float32)
    made = np.dstack([spread_sideways(mean, share, cells) * cells[..., None], cells.astype(np.float32)])
    whole = cv2.resize(made, (width, height), interpolation=cv2.INTER_LINEAR)
    return (whole[..., :3] / np.maximum(whole[..., 3:], 1e-3)).astype(np.float32)
