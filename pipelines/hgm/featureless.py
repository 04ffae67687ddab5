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
from pipelines.projection.sampling import pixel_size
from pipelines.records import Layers

Floats = NDArray[np.float32]
FEATURES = 0.03  # metres: standard deviation of a mean in which eyes and mouths are gone
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
    """(h, w, 3) the photo's colours with a wide mean in their place where `behind` (h, w), of `made_behind`, is 1; the
    head's mean and the clothes' are not mixed."""
    a = layers.arrays
    shown = a["front_rgb"]
    head = np.isin(a["front_part"], part_labels(a["part_names"], "head", "face", "scalp", "neck"))
    for where in (behind * head, behind * ~head):
        if where.any():
            tone = smooth(a["front_rgb"], where, FEATURES / pixel_size(a, layers.camera))
            shown = shown + where[..., None] * (tone - shown)
    return shown.astype(np.float32)
