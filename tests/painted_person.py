"""A painted body: exact photo, cut-out, body record and truth from every side, for tests of the projection."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.body.read_body import FRAME, PARAMETERISATION, model_name
from pipelines.body.rig import default_rig
from pipelines.geometry.cameras import DISPLAY_TO_OPENCV, Camera, intrinsics
from pipelines.geometry.mesh_raster import interpolate, rasterise_mesh, vertex_normals
from pipelines.geometry.rotations import matrix_from_rotation_vector
from pipelines.records import Body, Cutout, Keypoints

COLOURS = {
    "torso": (0.75, 0.25, 0.2), "neck": (0.85, 0.65, 0.55), "head": (0.85, 0.65, 0.55), "face": (0.85, 0.65, 0.55),
    "scalp": (0.25, 0.15, 0.1), "upper_arm": (0.75, 0.25, 0.2), "forearm": (0.85, 0.65, 0.55),
    "hand": (0.85, 0.65, 0.55), "thigh": (0.2, 0.25, 0.5), "shin": (0.2, 0.25, 0.5), "foot": (0.3, 0.3, 0.3),
}  # fmt: skip
# Rotation vectors of bones, OpenCV axes of a person facing the camera.
POSES: dict[str, dict[str, tuple[float, float, float]]] = {
    "standing": {},
    "arm_up": {"upperarm01.L": (0.0, 0.0, -1.6), "lowerarm01.L": (-0.3, 0.0, 0.0)},
    "walking": {
        "upperleg01.L": (-0.5, 0.0, 0.0), "lowerleg01.L": (0.5, 0.0, 0.0), "upperleg01.R": (0.4, 0.0, 0.0),
        "upperarm01.L": (0.3, 0.0, 0.3), "upperarm01.R": (-0.4, 0.0, -0.3),
    },
    "arm_in_front": {"upperarm01.R": (0.0, 0.0, -0.7), "lowerarm01.R": (-1.2, 0.9, 0.0)},
}  # fmt: skip


@lru_cache(maxsize=8)
def painted_person(pose: str = "standing", turn: float = 0.0, width: int = 288, height: int = 384) -> dict[str, Any]:
    """body: Body. cutout: Cutout. vertices (V, 3) display frame. colours (V, 3). turn: degrees about the vertical,
    positive turns the person towards the picture's left."""
    rig = default_rig()
    rest = rig.rest(rig.default_phenotypes())
    rotations = rig.identity_pose()
    for bone, vector in POSES[pose].items():
        rotations[rig.bone(bone)] = matrix_from_rotation_vector(np.array(vector))
    rotations[0] = matrix_from_rotation_vector(np.array([0.0, np.radians(turn), 0.0])) @ rotations[0]
    root = np.array([0.0, 0.0, 4.2], np.float32)
    posed = rig.pose(rest, rotations, root)
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = DISPLAY_TO_OPENCV.T
    world_from_camera[:3, 3] = [0.0, posed.vertices[:, 1].max(), 4.2]
    arrays = {
        "K": intrinsics(width, height, 30.0), "image_size": np.array([width, height]),
        "world_from_camera": world_from_camera, "rotations": rotations, "root_translation": root,
        "joints_cam": posed.joints, "body22_cam": np.zeros((22, 3), np.float32),
        "phenotypes": rig.default_phenotypes(),
    }  # fmt: skip
    # The picture's middle is the pelvis; move the principal point so that the whole person is in it.
    middle = (posed.vertices[:, 1].max() + posed.vertices[:, 1].min()) / 2
    arrays["K"][1, 2] -= arrays["K"][1, 1] * middle / 4.2
    texts = {"schema": "humanscope.body/1", "model": model_name(rig), "frame": FRAME,
             "rotation_parameterisation": PARAMETERISATION}  # fmt: skip
    body = Body(arrays, texts)
    vertices = body.camera.to_world(posed.vertices)
    colours = paint(rest.vertices, [rig.part_names[p] for p in rig.part])
    shade = 0.8 + 0.2 * vertex_normals(vertices, rig.faces)[:, 1:2]
    person = {"body": body, "vertices": vertices, "faces": rig.faces, "colours": colours * shade}
    person["cutout"] = Cutout(view(person, body.camera), {"source": "alpha"})
    return person


def paint(rest: NDArray[np.float32], parts: list[str]) -> NDArray[np.float32]:
    """(V, 3) a colour per part, with stripes on the clothes and a mouth and eyes on the face."""
    base = np.array([next(c for n, c in COLOURS.items() if part.startswith(n)) for part in parts], np.float32)
    stripes = 0.85 + 0.15 * np.sign(np.sin(rest[:, 1:2] * 120.0))
    cloth = np.array([part.startswith(("torso", "upper_arm", "thigh", "shin")) for part in parts])
    return np.where(cloth[:, None], base * stripes, base)


def view(person: dict[str, Any], camera: Camera, samples: int = 3) -> NDArray[np.float32]:
    """(H, W, 4) the truth from a camera, straight alpha, `samples` x `samples` rays per pixel."""
    fine = camera.resized(camera.width * samples, camera.height * samples)
    image = rasterise_mesh(person["vertices"], person["faces"], fine)
    colour = interpolate(image, person["faces"], person["colours"])
    both = np.dstack([colour, image.mask]).astype(np.float32)
    mean = both.reshape(camera.height, samples, camera.width, samples, 4).mean((1, 3))
    mean[..., :3] /= np.maximum(mean[..., 3:], 1e-6)
    return mean


def no_keypoints() -> Keypoints:
    """Keypoints that nobody saw."""
    return Keypoints(np.zeros((33, 4), np.float32), np.zeros((33, 3), np.float32), np.zeros(33, bool))
