"""Between HGM's network frame and the display frame: Gaussians, and the cameras of HGM's orbit.

Network frame: `cameras`. The photo's camera frame lies between the two: `photo_lens` carries points there,
`Body.camera` on to the display frame. A Gaussian goes with the slopes of that map at its middle, so that it covers in the
photo what it covers before HGM's front camera. From other sides HGM sees the person bent by the photo's lens; what HGM's
camera behind is to see is therefore drawn in the network frame.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    opencv_view,
    orbit_pose,
)
from pipelines.hgm.crop import pixels_per_metre
from pipelines.hgm.photo_lens import in_front, nearest, shown, slopes, to_network, to_photo
from pipelines.records import GENERATED, ORIGIN_NAMES, Splats
from pipelines.step import UserError

Array = NDArray[np.float64]
LEAST_OPACITY = 0.005  # fainter ones leave no trace in an 8-bit picture; the released code drops the same


def gaussians_to_camera(
    gaussians: NDArray[np.floating], pelvis: NDArray[np.floating],
    raster_fov: Literal["consistent", "reference_49.1"] = "consistent",
) -> Splats:  # fmt: skip
    """(N, 14) network frame -> splats in the OpenCV frame of the photo's camera, metres, all marked as generated.

    pelvis: (3,) there. raster_fov: the footprint that the scales are made for; they come out as a consistent rasteriser
    draws them. Those that do not lie before both cameras, which no photo shows, are left out; UserError when all are.
    """
    made = np.asarray(gaussians, np.float64)
    kept = in_front(made[:, :3], pelvis)
    if not kept.any():
        raise UserError(
            f"None of {len(made)} Gaussians lies before HGM's front camera and the photo's; check the weight file and "
            "the body's points."
        )
    made = made[kept]
    quats, scales = stretched(slopes(made[:, :3], pelvis), made[:, 7:11], made[:, 4:7] * footprint_factor(raster_fov))
    count = len(made)
    return Splats(
        to_photo(made[:, :3], pelvis).astype(np.float32), quats.astype(np.float32), scales.astype(np.float32),
        made[:, 3].astype(np.float32), made[:, 11:14].clip(0, 1).astype(np.float32),
        np.full(count, GENERATED, np.uint8), np.full(count, ORIGIN_NAMES.index("network"), np.uint8),
    )  # fmt: skip


def camera_to_gaussians(splats: Splats, pelvis: NDArray[np.floating]) -> NDArray[np.float32]:
    """The inverse of `gaussians_to_camera` with the consistent footprint: (N, 14) network frame.

    Positions and covariances are the same; a covariance may be written with its axes in another order. Splats that do
    not lie before both cameras are left out.
    """
    kept = shown(splats.means, pelvis)
    places = to_network(splats.means[kept], pelvis)
    back = np.linalg.inv(slopes(places, pelvis))
    quats, scales = stretched(back, splats.quats[kept].astype(np.float64), splats.scales[kept].astype(np.float64))
    columns = (places, splats.opacities[kept, None], scales, quats, splats.colours[kept])
    return np.concatenate(columns, 1).astype(np.float32)


def stretched(
    linear: NDArray[np.floating], quats: NDArray[np.floating], scales: NDArray[np.floating]
) -> tuple[Array, Array]:
    """Gaussians under linear maps (N, 3, 3) of positive determinant: quaternions (N, 4) wxyz and deviations (N, 3)."""
    stems = np.asarray(matrix_from_quaternion(quats), np.float64) * scales[:, None, :]
    axes, sigmas, _ = np.linalg.svd(linear @ stems)
    # An axis may point either way; the three together are to be a rotation.
    axes[:, :, 2] *= np.sign(np.linalg.det(axes))[:, None]
    return np.asarray(quaternion_from_matrix(axes), np.float64), sigmas


def moved(splats: Splats, matrix: NDArray[np.floating]) -> Splats:
    """Splats after a rigid motion (4, 4)."""
    rotation, shift = np.asarray(matrix, np.float64)[:3, :3], np.asarray(matrix, np.float64)[:3, 3]
    means = splats.means.astype(np.float64) @ rotation.T + shift
    quats = quaternion_from_matrix(rotation @ matrix_from_quaternion(splats.quats.astype(np.float64)))
    return Splats(means.astype(np.float32), quats.astype(np.float32), splats.scales, splats.opacities, splats.colours,
                  splats.seen, splats.origin)  # fmt: skip


def front_camera(size: int, pelvis: NDArray[np.floating], photo: Camera) -> Camera:
    """HGM's front camera in the display frame: the photo's own, with the window and the scale of the crop.

    pelvis: (3,) in the OpenCV frame of the photo's camera; photo: that camera in the display frame. It draws carried
    Gaussians as HGM's front camera draws them in the network frame.
    """
    scale = pixels_per_metre(size)
    x, y, z = np.asarray(pelvis, np.float64)
    K = np.array([[scale * z, 0.0, size / 2 - scale * x], [0.0, scale * z, size / 2 - scale * y], [0.0, 0.0, 1.0]])
    return Camera(K, size, size, photo.world_to_camera)


@dataclass(frozen=True)
class NetworkMetres:
    """The network frame in metres as the world of HGM's own cameras, and the way there from the display frame.

    pelvis: (3,) in the OpenCV frame of the photo's camera; photo: that camera in the display frame.
    """

    pelvis: NDArray[np.floating]
    photo: Camera

    def points(self, points: NDArray[np.floating]) -> Array:
        """(N, 3) display frame -> (N, 3). What lies too near to the photo's camera for HGM's to see it, which is no part
        of a person, is taken as if it lay where HGM's begins to see."""
        local = self.photo.to_camera(points)
        # A float32 of that depth must not round to below it.
        local[:, 2] = np.maximum(local[:, 2], nearest(self.pelvis) + 1e-6)
        return to_network(local, self.pelvis) / UNITS_PER_METRE

    def normals(self, points: NDArray[np.floating], normals: NDArray[np.floating]) -> Array:
        """(N, 3) unit normals of a surface at points (N, 3), both in the display frame -> (N, 3) unit."""
        bend = slopes(self.points(points) * UNITS_PER_METRE, self.pelvis)
        turned = np.asarray(normals, np.float64) @ self.photo.world_to_camera[:3, :3].T
        # Normals go with the inverse transpose of the map there, which is the transpose of the map back.
        made = np.einsum("nij,ni->nj", bend, turned)
        return np.asarray(made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12), np.float64)

    def camera(self, azimuth: float, size: int) -> Camera:
        """HGM's camera of an azimuth on its circle, `size` pixels."""
        view = np.array(opencv_view(orbit_pose(azimuth, 0.0, RADIUS)).T, np.float64)
        view[:3, 3] /= UNITS_PER_METRE
        return Camera(intrinsics(size), size, size, view)


def orbit_camera(azimuth: float, elevation: float, size: int, pelvis: NDArray[np.floating], photo: Camera) -> Camera:
    """A camera in the display frame, metres, that stands and looks as HGM's stand in the network frame; positive
    elevation is BELOW, as in `orbit_pose`. It sees the person unbent.

    pelvis: (3,) in the OpenCV frame of the photo's camera; photo: that camera in the display frame.
    """
    view = np.asarray(opencv_view(orbit_pose(azimuth, elevation, RADIUS)).T, np.float64)
    # Units around the pelvis -> metres in the photo's camera frame, whose axes are FLIPped.
    rotation = view[:3, :3] @ FLIP
    to_camera = np.eye(4)
    to_camera[:3, :3] = rotation
    to_camera[:3, 3] = view[:3, 3] / UNITS_PER_METRE - rotation @ np.asarray(pelvis, np.float64)
    return Camera(intrinsics(size), size, size, to_camera @ photo.world_to_camera)
