"""Voxels slice by slice: coloured cells of one layer at a time, on the pale shadow of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ui.inspect_strip import strip_data, strip_sheet

SHADOW = (0.55, 0.57, 0.60, 0.22)
AROUND = 1  # empty cells around what is filled in any slice
# How the slices run: axis, whether from the far end of the axis, and words for the slider.
WAYS: dict[str, tuple[int, bool, str, str]] = {
    "above": (2, False, "From above", "from the feet"), "front": (1, False, "From the front", "from the front"),
    "left": (0, True, "From the person's left", "from the left"),
}  # fmt: skip


def slices_data(coords: NDArray[np.integer], side: int) -> bytes:
    """The strip of all slices of a grid of side^3: three directions to choose from, the fullest slice first."""
    groups: list[dict[str, Any]] = []
    for way, (axis, far, label, words) in WAYS.items():
        counts = np.bincount(coords[:, axis], minlength=side)
        counts = counts[::-1] if far else counts
        told = [f"slice {i + 1} of {side} {words}, {counts[i]:,} voxels" for i in range(side)]
        tracks = [{"sheet": way, "label": "", "smooth": False}]
        groups.append({"label": label, "words": told, "start": int(counts.argmax()), "tracks": tracks})
    return strip_data(groups)


def slices_sheet(coords: NDArray[np.integer], colours: NDArray[np.floating], side: int, way: str) -> bytes:
    """The slices of one of WAYS. coords (N, 3), colours (N, 3) 0..1."""
    return strip_sheet(slice_pictures(coords, colours, side, way))


def slice_pictures(
    coords: NDArray[np.integer], colours: NDArray[np.floating], side: int, way: str
) -> list[NDArray[np.float32]]:
    """(h, w, 4) for each slice, cut to what is filled in any of them.

    From above the person's face looks down the picture and the left hand is on the right; from the front the same with
    the head up; from the left the face looks to the left.
    """
    axis, far, _, _ = WAYS[way]
    x, y, z = coords.T
    rows, columns = {"above": (side - 1 - y, x), "front": (side - 1 - z, x), "left": (side - 1 - z, y)}[way]
    shadow = np.zeros((side, side, 4), np.float32)
    shadow[rows, columns] = SHADOW
    pictures = []
    for k in range(side):
        here = coords[:, axis] == (side - 1 - k if far else k)
        picture = shadow.copy()
        picture[rows[here], columns[here], :3] = colours[here]
        picture[rows[here], columns[here], 3] = 1
        pictures.append(picture[window_of(rows, side), window_of(columns, side)])
    return pictures


def window_of(places: NDArray[np.integer], side: int) -> slice:
    """The rows, or columns, from the first to the last of `places`, with AROUND to either side."""
    return slice(max(0, int(places.min()) - AROUND), min(side, int(places.max()) + 1 + AROUND))
