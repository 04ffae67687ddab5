"""Between HGM's network frame and the display frame: Gaussians, and the cameras of HGM's orbit.

Network frame: `cameras`. The photo's camera frame lies between the two: `vertices_to_network` turns it about the pelvis,
`Body.camera` carries it to the display frame.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.rotations import matrix_from_quaternion, quaternion_from_matrix
from pipelines.hgm.cameras import (
    FLIP,
    RADIUS,
    UNITS_PER_METRE,
    footprint_factor,
    intrinsics,
    network_to_vertices,
    opencv_view,
    orbit_pose,
    vertices_to_network,
)
from pipelines.records import GENERATED, ORIGIN_NAMES, Splats

Array = NDArray[np.float64]
LEAST_OPACITY = 0.005  # fainter ones leave no trace in an 8-bit picture; the released code drops the same


def gaussians_to_camera(
    gaussians: NDArray[np.floating], pelvis: NDArray[np.floating],
    raster_fov: Literal["consistent", "reference_49.1"] = "consistent",
) -> Splats:  # fmt: skip
    """(N, 14) network frame -> splats in the OpenCV frame of the photo's camera, metres, all marked as generated.

    pelvis: (3,) there. raster_fov: the footprint that the scales are made for; they come out as a consistent rasteriser
    draws them.
    """
    made = np.asarray(gaussians, np.float64)
    turned = quaternion_from_matrix(FLIP @ matrix_from_quaternion(made[:, 7:11]))
    count = len(made)
    return Splats(
        network_to_vertices(made[:, :3], pelvis).astype(np.float32), turned.astype(np.float32),
        (made[:, 4:7] * footprint_factor(raster_fov) / UNITS_PER_METRE).astype(np.float32),
        made[:, 3].astype(np.float32), made[:, 11:14].clip(0, 1).astype(np.float32),
        np.full(count, GENERATED, np.uint8), np.full(count, ORIGIN_NAMES.index("network"), np.uint8),
    )  # fmt: skip


def camera_to_gaussians(splats: Splats, pelvis: NDArray[np.floating]) -> NDArray[np.float32]:
    """The inverse of `gaussians_to_camera` with the consistent footprint: (N, 14) network frame."""
    turned = quaternion_from_matrix(FLIP @ matrix_from_quaternion(splats.quats.astype(np.float64)))
    columns = (vertices_to_network(splats.means, pelvis), splats.opacities[:, None], splats.scales * UNITS_PER_METRE,
               turned, splats.colours)  # fmt: skip
    return np.concatenate(columns, 1).astype(np.float32)


def moved(splats: Splats, matrix: NDArray[np.floating]) -> Splats:
    """Splats after a rigid motion (4, 4)."""
    rotation, shift = np.asarray(matrix, np.float64)[:3, :3], np.asarray(matrix, np.float64)[:3, 3]
    means = splats.means.astype(np.float64) @ rotation.T + shift
    quats = quaternion_from_matrix(rotation @ matrix_from_quaternion(splats.quats.astype(np.float64)))
    return Splats(means.astype(np.float32), quats.astype(np.float32), splats.scales, splats.opacities, splats.colours,
                  splats.seen, splats.origin)  # fmt: skip


def orbit_camera(azimuth: float, elevation: float, size: int, pelvis: NDArray[np.floating], photo: Camera) -> Camera:
    """HGM's camera of an orbit position in the display frame, metres; positive elevation is BELOW, as in `orbit_pose`.

    pelvis: (3,) in the OpenCV frame of the photo's camera; photo: that camera in the display frame.
    """
    view = np.asarray(opencv_view(orbit_pose(azimuth, elevation, RADIUS)).T, np.float64)
    # Network units around the pelvis -> metres in the photo's camera frame, whose axes are FLIPped.
    rotation = view[:3, :3] @ FLIP
    to_camera = np.eye(4)
    to_camera[:3, :3] = rotation
    to_camera[:3, 3] = view[:3, 3] / UNITS_PER_METRE - rotation @ np.asarray(pelvis, np.float64)
    return Camera(intrinsics(size), size, size, to_camera @ photo.world_to_camera)
