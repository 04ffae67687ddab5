"""The splats drawn from all sides, with depth: what the mesh is measured and coloured by."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.bake import Picture
from pipelines.geometry.cameras import Camera, look_at
from pipelines.geometry.splat_raster import render_numpy
from pipelines.records import Splats

Floats = NDArray[np.float32]

# Rings of cameras around the person: degrees above the horizon, how many, degrees of the first one.
RINGS = ((0.0, 12, 0.0), (38.0, 5, 18.0), (-32.0, 5, 18.0), (82.0, 1, 0.0), (-82.0, 1, 0.0))
_MARGIN = 0.05  # of a picture's longer side


@dataclass(frozen=True)
class Drawn(Picture):
    """A picture of the splats with the depth at which half of the light is gone, (H, W) metres, 0 outside."""

    depth: Floats | None = None


def render_around(splats: Splats, height: int) -> list[Drawn]:
    """The splats from all sides, above and below, each picture cut close; `height` pixels for the longer side."""
    solid = splats.opacities > 0.3
    points = splats.means[solid if solid.any() else slice(None)].astype(np.float64)
    centre = 0.5 * (points.min(0) + points.max(0))
    radius = float(np.linalg.norm(points - centre, axis=1).max()) + 0.02
    result = []
    for elevation, count, first in RINGS:
        for i in range(count):
            pose = look_at(centre, 3.5 * radius, first + 360.0 * i / count, elevation)
            camera = close_camera(points, pose, height)
            image = render_numpy(
                splats.means, splats.quats, splats.scales, splats.opacities, splats.colours,
                camera.world_to_camera, camera.K, camera.width, camera.height,
            )  # fmt: skip
            rgb = np.clip(image.features / np.maximum(image.alpha, 1e-3)[..., None], 0.0, 1.0)
            depth = without_pinholes(image.median_depth)
            result.append(Drawn(rgb, image.alpha, camera, feather=4.0, edges=True, sharpness=4.0, depth=depth))
    return result


def close_camera(points: NDArray[np.float64], pose: NDArray[np.float64], longer: int) -> Camera:
    """The camera at `pose` whose picture holds all points with a small margin, its longer side `longer` pixels."""
    local = points @ pose[:3, :3].T + pose[:3, 3]
    # Column by column: numpy's reductions along the first axis of (N, 2) are slow.
    sides = [(float((v / local[:, 2]).min()), float((v / local[:, 2]).max())) for v in (local[:, 0], local[:, 1])]
    low, high = np.array(sides).T
    middle, extent = 0.5 * (low + high), high - low
    extent = extent + _MARGIN * extent.max() + 1e-6
    focal = longer / float(extent.max())
    width, height = (int(n) for n in np.maximum(np.ceil(extent * focal), 16))
    K = np.array([[focal, 0, width / 2 - focal * middle[0]], [0, focal, height / 2 - focal * middle[1]], [0, 0, 1]])
    return Camera(K, width, height, pose)


def without_pinholes(depth: Floats) -> Floats:
    """Gaps of a pixel or two take the farthest depth around them: a gap between splats is not a hole."""
    mask = (depth > 0).astype(np.uint8)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    return np.where((closed > 0) & (mask == 0), cv2.dilate(depth, np.ones((3, 3), np.uint8)), depth)


def contact_sheet(drawn: list[Drawn]) -> Floats:
    """The level views side by side, small."""
    tiles = []
    for picture in drawn[:12:2]:
        height, width = picture.alpha.shape
        side = max(height, width)
        tile = np.zeros((side, side, 4), np.float32)
        top, left = (side - height) // 2, (side - width) // 2
        tile[top : top + height, left : left + width] = np.dstack([picture.rgb, picture.alpha])
        tiles.append(cv2.resize(tile, (120, 120), interpolation=cv2.INTER_AREA))
    return np.hstack(tiles)
