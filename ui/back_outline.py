"""The outline of a picture of the person from behind, which has no alpha of its own, and how well two of them agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.hgm.records import BackView
from pipelines.records import Floats, on_white

PAPER = 0.06  # of the range, in any channel: what differs less from the corners is no person


def outline_overlap(back: BackView, image: Floats) -> float | None:
    """Intersection over union, 0..1, of the outlines of a picture (S, S, 3) and of the coarse one, both taken from what is
    not paper. Where the coarse person is as white as paper, no colour tells, and it counts for neither.

    None for a picture from outside, and where more than half of the person is white.
    """
    alpha = back.coarse[..., 3]
    person = alpha > 0.5
    one, other = (on_white(back.coarse) < 1 - PAPER).any(-1), seen_on_paper(image)
    told = one | ~person
    if (person & told).sum() <= 0.5 * person.sum():
        return None
    return float((one & other & told).sum() / max((told & (one | other)).sum(), 1))


def seen_on_paper(image: Floats) -> NDArray[np.bool_]:
    """(H, W) where a picture (H, W, 3) differs from the colour of its corners."""
    corners = np.median(image[[0, 0, -1, -1], [0, -1, 0, -1], :3], 0)
    return np.asarray(np.abs(image[..., :3] - corners).max(-1) > PAPER)
