"""The visual hull of one photo: whatever is drawn must project inside the matte."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from pipelines.geometry.cameras import Camera
from pipelines.projection.outline import depth_inside


def inside_hull(
    means: NDArray[np.floating],
    camera: Camera,
    mask: NDArray[np.bool_],
    inset: NDArray[np.floating] | float = 0.0,
) -> NDArray[np.bool_]:
    """(N,) whether each point (N, 3) world projects into the mask of the camera's picture.

    inset: (N,) or one number, metres by which it must lie inside (for a splat, about its standard deviation).
    """
    pixels, depth = camera.project(means)
    distance = depth_inside(mask) + 0.5 * mask
    found = map_coordinates(distance, (pixels[:, ::-1] - 0.5).T, order=1, mode="constant", cval=0.0)
    needed = np.maximum(np.asarray(inset) * camera.K[0, 0] / depth, 0.5)
    return (depth > 0) & (found >= needed - 1e-3)
