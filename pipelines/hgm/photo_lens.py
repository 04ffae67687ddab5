"""Between the photo's camera frame and HGM's network frame: a point lies where both cameras show it at the same pixel.

A free photo's crop fits HGM's front camera at the pelvis alone: that camera stands two metres before it, the photo's
stood somewhere else. What is nearer or farther than the pelvis would land some pixels beside its picture. So the crop's
pixel and the depth behind the pelvis are kept, and the rest follows. With v a point and p the pelvis in the photo's
OpenCV frame (metres), the network's place (x, y, z) has, before HGM's camera at (0, 0, 1.5), the depth

    D = 1.5 + 0.75 (v_z - p_z) = 1.5 - z

and the pixels of camera and crop are the same, 409 x / D = 204.5 (v_x p_z / v_z - p_x) with 204.5 = 409 * 0.75 / 1.5, so

    x =  0.75 (v_x p_z / v_z - p_x) D / 1.5
    y = -0.75 (v_y p_z / v_z - p_y) D / 1.5

The photo's lens is in none of these: it is in the crop. Of a photo that was taken as HGM's cameras stand, p = (0, 0, 2),
nothing is left but the released code's own 0.75 (v - p) (1, -1, -1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.hgm.cameras import RADIUS, UNITS_PER_METRE
from pipelines.step import UserError

Array = NDArray[np.float64]
NEAR_UNITS = 0.2  # before HGM's camera, where its rasteriser begins
NEAR_METRES = 0.1  # before the photo's
_SIGN = np.array([1.0, -1.0])  # y down -> y up


def to_network(points: NDArray[np.floating], pelvis: NDArray[np.floating]) -> Array:
    """(M, 3) points and (3,) pelvis in the photo's OpenCV frame, metres -> (M, 3) network units.

    UserError for points that one of the cameras does not have before it.
    """
    v, p = np.asarray(points, np.float64), np.asarray(pelvis, np.float64)
    if not shown(v, p).all():
        raise UserError(
            f"Points came with depths from {np.min(v[:, 2]):.2f} to {np.max(v[:, 2]):.2f} m about a pelvis at {p[2]:.2f} m; "
            f"they need to lie at least {NEAR_METRES} m before the photo's camera and at most {_reach():.2f} m nearer to it "
            "than the pelvis (metres; x right, y down, z forward)."
        )
    depth = RADIUS + UNITS_PER_METRE * (v[:, 2] - p[2])
    side = UNITS_PER_METRE * (v[:, :2] * (p[2] / v[:, 2:]) - p[:2]) * depth[:, None] / RADIUS
    return np.concatenate([side * _SIGN, (RADIUS - depth)[:, None]], 1)


def to_photo(places: NDArray[np.floating], pelvis: NDArray[np.floating]) -> Array:
    """Inverse of `to_network`: (M, 3) network units -> (M, 3) metres. UserError as there; `in_front` tells before."""
    x, p = np.asarray(places, np.float64), np.asarray(pelvis, np.float64)
    if not in_front(x, p).all():
        raise UserError(
            f"Gaussians came as near as {RADIUS - np.max(x[:, 2]):.2f} units to HGM's front camera, with the pelvis at "
            f"{p[2]:.2f} m from the photo's; they need to lie before both cameras."
        )
    depth = RADIUS - x[:, 2:]
    far = p[2] - x[:, 2:] / UNITS_PER_METRE
    side = x[:, :2] * _SIGN * (RADIUS / UNITS_PER_METRE) / depth + p[:2]
    return np.concatenate([side * far / p[2], far], 1)


def slopes(places: NDArray[np.floating], pelvis: NDArray[np.floating]) -> Array:
    """(M, 3, 3) derivatives of `to_photo` at network places (M, 3): metres (rows) by units (columns).

    Their determinant is positive: left stays left.
    """
    x, p = np.asarray(places, np.float64), np.asarray(pelvis, np.float64)
    depth, far = RADIUS - x[:, 2], p[2] - x[:, 2] / UNITS_PER_METRE
    wide = RADIUS / UNITS_PER_METRE
    made = np.zeros((len(x), 3, 3))
    for axis in (0, 1):
        side = x[:, axis] * _SIGN[axis]
        made[:, axis, axis] = _SIGN[axis] * wide / depth * far / p[2]
        # D falls and v_z falls as z grows.
        made[:, axis, 2] = (wide * side / depth**2 * far - (wide * side / depth + p[axis]) / UNITS_PER_METRE) / p[2]
    made[:, 2, 2] = -1.0 / UNITS_PER_METRE
    return made


def shown(points: NDArray[np.floating], pelvis: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(M,) which points of the photo's frame lie before both cameras. UserError for a pelvis that does not."""
    if not pelvis[2] > NEAR_METRES:
        raise UserError(
            f"The pelvis came with depth {pelvis[2]:.3g} m; it needs to be at least {NEAR_METRES} m before the photo's "
            "camera (metres; x right, y down, z forward)."
        )
    return np.asarray(points)[:, 2] >= nearest(pelvis)


def in_front(places: NDArray[np.floating], pelvis: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(M,) which network places lie before both cameras."""
    z = np.asarray(places, np.float64)[:, 2]
    return shown(np.stack([z, z, pelvis[2] - z / UNITS_PER_METRE], 1), pelvis)


def nearest(pelvis: NDArray[np.floating]) -> float:
    """The depth in the photo's frame, metres, from which on both cameras see."""
    return max(NEAR_METRES, float(pelvis[2]) - _reach())


def _reach() -> float:
    """Metres by which a point may be nearer than the pelvis."""
    return (RADIUS - NEAR_UNITS) / UNITS_PER_METRE
