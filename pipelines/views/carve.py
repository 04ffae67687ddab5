"""The visual hull as a signed distance field on a grid.

Per view and sample the distance to the view's outline (positive outside, metres) says how far the sample is from what
the view allows; the largest of all views counts (Laurentini 1994). Every view shows the whole person: outside of its
picture nothing is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.orthographic import OrthographicCamera
from pipelines.geometry.volumes import Volume
from pipelines.views.records import AnyCamera

FAR = 0.5  # metres beyond which a distance is not told apart


@dataclass(frozen=True)
class Outline:
    """What one view allows. mask: (H, W) bool. camera: its pinhole."""

    mask: NDArray[np.bool_]
    camera: Camera
    _maps: dict = field(default_factory=dict, repr=False, compare=False)

    def signed(self) -> NDArray[np.float32]:
        """(H, W) pixels to the outline, positive outside; the outline runs between pixel centres."""
        if "signed" not in self._maps:
            self._maps["signed"] = signed_distance(self.mask)
        return self._maps["signed"]


def signed_distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) pixels from each pixel's centre to the outline of a mask, positive outside."""
    inside = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    empty = (~mask).astype(np.uint8)
    outside = cv2.distanceTransform(empty, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) if mask.any() else empty * 1e4
    return np.where(mask, 0.5 - inside, np.asarray(outside) - 0.5).astype(np.float32)


def box_of(outlines: Sequence[Outline], low: NDArray, high: NDArray, margin: float) -> tuple[NDArray, NDArray]:
    """The part of the box low..high, (3,) metres each, that all outlines allow, widened by `margin`; found on a
    coarse grid. ValueError when nothing is left."""
    step = float(np.max(high - low)) / 48.0
    field_ = carve(outlines, low, high, step)
    # A sample counts when its cell may hold something.
    inside = np.argwhere(field_.values < step)
    if not len(inside):
        raise ValueError("The outlines have no common solid: the views show different places or are turned.")
    return field_.origin + inside.min(0) * step - step - margin, field_.origin + inside.max(0) * step + step + margin


def carve(outlines: Sequence[Outline], low: NDArray, high: NDArray, voxel: float, *, enough: float = FAR) -> Volume:
    """The field of all outlines over the box low..high, (3,) world metres each; its rim is empty.

    enough: metres outside beyond which a sample is not looked at again: its distance may be too
    small there.
    """
    low = np.asarray(low, np.float64)
    shape = tuple(int(n) for n in np.ceil((np.asarray(high) - low) / voxel - 1e-6) + 1)
    values = np.full(shape, -FAR, np.float32)
    for outline in outlines:
        camera = outline.camera
        _carve(values, low, voxel, outline.signed(), camera.K @ camera.world_to_camera[:3], float(camera.K[0, 0]),
               np.float32(enough))  # fmt: skip
    for axis in range(3):
        for end in (0, -1):
            index: list[slice | int] = [slice(None)] * 3
            index[axis] = end
            rim = values[tuple(index)]
            np.maximum(rim, np.float32(0.5 * voxel), out=rim)
    tiny = np.float32(1e-3 * voxel)
    np.copyto(values, np.where(values < 0, -tiny, tiny), where=np.abs(values) < tiny)
    return Volume(values, low, voxel, np.ones((1, 1, 1), bool))


@njit(cache=True, error_model="numpy")
def _carve(values, origin, voxel, signed, matrix, focal, enough):  # type: ignore[no-untyped-def]
    height, width = signed.shape
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            for k in range(values.shape[2]):
                if values[i, j, k] >= enough:
                    continue
                x, y, z = origin[0] + i * voxel, origin[1] + j * voxel, origin[2] + k * voxel
                w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
                if w <= 1e-3:
                    values[i, j, k] = FAR
                    continue
                u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / w
                v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / w
                if not (u >= 0.0 and v >= 0.0 and u < width and v < height):
                    values[i, j, k] = FAR
                    continue
                # Bilinear between pixel centres.
                c = min(max(int(np.floor(u - 0.5)), 0), width - 2)
                r = min(max(int(np.floor(v - 0.5)), 0), height - 2)
                a, b = min(max(u - 0.5 - c, 0.0), 1.0), min(max(v - 0.5 - r, 0.0), 1.0)
                top = signed[r, c] * (1 - a) + signed[r, c + 1] * a
                bottom = signed[r + 1, c] * (1 - a) + signed[r + 1, c + 1] * a
                s = (top * (1 - b) + bottom * b) * w / focal
                if s > values[i, j, k]:
                    values[i, j, k] = s


def carve_twin(outlines: Sequence[Outline], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """The plain twin: the field at points (N, 3), one view after the other, with scipy's interpolation."""
    from scipy.ndimage import map_coordinates

    worst = np.full(len(points), -FAR)
    for outline in outlines:
        pixels, z = outline.camera.project(points)
        height, width = outline.mask.shape
        inside = (z > 1e-3) & (pixels >= 0).all(1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)
        s = map_coordinates(outline.signed(), (pixels[:, ::-1] - 0.5).T, order=1, mode="nearest")
        worst = np.where(inside, np.maximum(worst, s * z / outline.camera.K[0, 0]), FAR)
    return worst


def middle_of(cameras: Sequence[AnyCamera]) -> tuple[NDArray[np.float64], float]:
    """The point (3,) that the axes of the cameras pass nearest to, and a distance that holds what they all see."""
    matrix, right = np.zeros((3, 3)), np.zeros(3)
    lines = []
    for camera in cameras:
        axis = camera.world_to_camera[2, :3]
        if isinstance(camera, OrthographicCamera):
            point = camera.unproject(np.array([[camera.width / 2, camera.height / 2]]), np.zeros(1))[0]
        else:
            point = camera.position
        across = np.eye(3) - np.outer(axis, axis)
        matrix += across
        right += across @ point
        lines.append((camera, point))
    centre = np.linalg.solve(matrix + 1e-6 * np.eye(3), right + 1e-6 * np.mean([p for _, p in lines], 0))
    reach = 0.0
    for camera, point in lines:
        side = max(camera.width, camera.height)
        if isinstance(camera, OrthographicCamera):
            reach = max(reach, 0.5 * side / camera.scale)
        else:
            reach = max(reach, 0.5 * side / camera.K[0, 0] * float(np.linalg.norm(point - centre)))
    return centre, 1.1 * reach
