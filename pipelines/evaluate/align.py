"""How a result is brought over the truth: what one photo cannot tell is taken out, and nothing else.

A monocular fit knows neither the lens nor, without the lens, depth and size. References with a weak-perspective camera
(HGM crops to 204.5 px per metre at the pelvis) or with `body in the same place' have the ambiguity taken out before
they measure; ours is taken out openly. `ray`: the result turns about the camera so that its pelvis keeps its pixel
under the true lens, moves along that ray to the true pelvis' depth, and is scaled in proportion, so that the picture in
the photo's camera stays (but for perspective). `metric`: the same without the scaling. Neither looks at the truth's
surface, joints or pictures, so that neither can hide an error of pose, shape or turn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.rotations import quaternion_from_matrix
from pipelines.records import Body, Mesh, Splats

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + shift: the result's display frame -> the truth's."""

    scale: float
    rotation: Array
    shift: Array

    def points(self, points: NDArray[np.floating]) -> Array:
        """(N, 3) -> (N, 3)."""
        return self.scale * np.asarray(points, np.float64) @ self.rotation.T + self.shift

    def splats(self, splats: Splats) -> Splats:
        """The same Gaussians in the truth's frame."""
        turn = quaternion_from_matrix(self.rotation)
        return replace(
            splats,
            means=self.points(splats.means).astype(np.float32),
            scales=(splats.scales * np.float32(self.scale)).astype(np.float32),
            quats=multiplied(turn, splats.quats).astype(np.float32),
        )

    def mesh(self, mesh: Mesh) -> Mesh:
        """The same surface in the truth's frame."""
        return replace(
            mesh,
            vertices=self.points(mesh.vertices).astype(np.float32),
            normals=(mesh.normals @ self.rotation.T).astype(np.float32),
        )


def multiplied(first: NDArray[np.floating], second: NDArray[np.floating]) -> Array:
    """Hamilton product of a wxyz quaternion (4,) with quaternions (N, 4)."""
    w, x, y, z = np.asarray(first, np.float64)
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return np.asarray(second, np.float64) @ left.T


def turn_between(a: Array, b: Array) -> Array:
    """(3, 3) the smallest rotation that takes direction `a` (3,) to direction `b` (3,)."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    axis, cosine = np.cross(a, b), float(a @ b)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1.0 + cosine)


def pelvis_alignment(
    camera: Camera,
    pelvis: NDArray[np.floating],
    true_camera: Camera,
    true_pelvis: NDArray[np.floating],
    *,
    scaled: bool,
) -> Similarity:
    """`ray` (scaled) or `metric` of the module's head.

    camera: of the photo, as the system believes, in the result's display frame; pelvis (3,) in that frame. true_camera,
    true_pelvis: the same of the truth. Both pictures may differ in size. ValueError for a pelvis behind its camera.
    """
    here = camera.to_camera(np.asarray(pelvis)[None])[0]
    there = true_camera.to_camera(np.asarray(true_pelvis)[None])[0]
    if here[2] <= 0 or there[2] <= 0:
        raise ValueError(
            f"The pelvis lies {here[2]:.2f} m and {there[2]:.2f} m before the cameras; it must be in front."
        )
    same_size = camera.resized(true_camera.width, true_camera.height)
    pixel = same_size.K @ (here / here[2])
    target = np.linalg.inv(true_camera.K) @ pixel * there[2]
    turn = turn_between(here, target)
    focal = np.sqrt(abs(np.linalg.det(same_size.K[:2, :2])) / abs(np.linalg.det(true_camera.K[:2, :2])))
    scale = float(focal * there[2] / here[2]) if scaled else 1.0
    to_camera, back = camera.world_to_camera, np.linalg.inv(true_camera.world_to_camera)
    rotation = back[:3, :3] @ turn @ to_camera[:3, :3]
    local = scale * turn @ (to_camera[:3, 3] - here) + target
    return Similarity(scale, rotation, back[:3, :3] @ local + back[:3, 3])


def align_bodies(body: Body, truth: Body, *, scaled: bool) -> Similarity:
    """`pelvis_alignment` of two records of one photo."""
    pelvises = (b.camera.to_world(np.asarray(b["root_translation"], np.float64)[None])[0] for b in (body, truth))
    mine, true = pelvises
    return pelvis_alignment(body.camera, mine, truth.camera, true, scaled=scaled)
