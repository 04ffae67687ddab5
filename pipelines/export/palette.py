"""The colours of the layers that show something other than the person: seen or invented, origin, opacity,
depth.

The named colours are those of Okabe and Ito (2008), which the common kinds of colour blindness keep apart;
the page shows the same ones as its legend.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.records import ORIGIN_NAMES, SEEN_NAMES, Splats

Colours = NDArray[np.float32]
By = Literal["colour", "seen", "origin", "opacity", "depth"]

SEEN_COLOURS: dict[str, tuple[int, int, int]] = dict(
    zip(SEEN_NAMES, [(0, 114, 178), (230, 159, 0), (204, 121, 167)], strict=True)
)
ORIGIN_COLOURS: dict[str, tuple[int, int, int]] = dict(
    zip(
        ORIGIN_NAMES,
        [(0, 114, 178), (204, 121, 167), (240, 228, 66), (0, 158, 115), (213, 94, 0), (153, 153, 153)],
        strict=True,
    )
)
# Dark blue over green to yellow: lightness rises all the way, so that the ramp also reads in grey.
RAMP = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], np.float64) / 255.0


def splat_colours(splats: Splats, by: By, camera: Camera | None = None) -> Colours:
    """(N, 3) 0..1 sRGB for each splat.

    by: 'colour' its own; 'seen' and 'origin' named colours, shaded by its own lightness so that folds stay
    visible; 'opacity' the ramp from 0 to 1; 'depth' the ramp from the farthest (dark) to the nearest (light)
    along `camera`.
    """
    if by == "colour":
        return splats.colours
    if by == "opacity":
        return ramp(splats.opacities)
    if by == "depth":
        if camera is None:
            raise ValueError("Colours by depth need a camera.")
        depth = camera.to_camera(splats.means)[:, 2]
        near, far = np.percentile(depth, [1, 99])
        return ramp((far - depth) / max(far - near, 1e-9))
    codes, table = (splats.seen, SEEN_COLOURS) if by == "seen" else (splats.origin, ORIGIN_COLOURS)
    return shaded(codes, table, splats.colours)


def shaded(codes: NDArray[np.integer], table: dict[str, tuple[int, int, int]], own: NDArray[np.floating]) -> Colours:
    """Codes (N,) into the rows of `table`, darkened to 0.6..1 by the lightness of the own colours (N, 3)."""
    rows = np.array(list(table.values()), np.float32) / 255.0
    lightness = np.asarray(own, np.float32) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return (rows[np.minimum(codes, len(rows) - 1)] * (0.6 + 0.4 * lightness[:, None])).astype(np.float32)


def ramp(values: NDArray[np.floating]) -> Colours:
    """(N,) 0..1, clipped -> (N, 3) along `RAMP`."""
    at = np.clip(np.asarray(values, np.float64), 0, 1)
    stops = np.linspace(0, 1, len(RAMP))
    return np.stack([np.interp(at, stops, RAMP[:, c]) for c in range(3)], axis=1).astype(np.float32)


def normal_colours(normals: NDArray[np.floating]) -> Colours:
    """Unit normals (V, 3) in the display frame -> the usual map: x to red, y to green, z (the front) to
    blue.
    """
    return (0.5 + 0.5 * np.asarray(normals, np.float32)).astype(np.float32)
