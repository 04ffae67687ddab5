"""Named points of the body: the SMPL-X 22 joint set, MediaPipe's 33 landmarks, and the bone groups that a fit turns.

Left is always the person's left. SMPL-X's joints are taken from bone heads by their place in a standing adult (height
above the hips as in the SMPL-X template, because the metrics compare joints, not bones): its pelvis joint lies 9 cm
above the hips, where Anny has the head of spine04, while Anny's root lies between the hips.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.body.rig import as_tensors, out

if TYPE_CHECKING:
    from pipelines.body.keypoint_operator import Point
    from pipelines.body.rig import BodyRig, Values


def _both_sides(table: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Entries whose name starts with "left_" doubled for the right, directly behind."""
    whole: dict[str, dict[str, float]] = {}
    for name, bones in table.items():
        whole[name] = bones
        if name.startswith("left_"):
            whole["right_" + name[5:]] = {bone.replace(".L", ".R"): share for bone, share in bones.items()}
    return whole


# SMPL-X joint -> bone heads and their shares, in SMPL-X order.
BODY22: dict[str, dict[str, float]] = _both_sides({
    "pelvis": {"spine04": 1.0},
    "left_hip": {"upperleg01.L": 1.0},
    "spine1": {"spine03": 0.54, "spine02": 0.46},
    "left_knee": {"lowerleg01.L": 1.0},
    "spine2": {"spine02": 0.33, "spine01": 0.67},
    "left_ankle": {"foot.L": 1.0},
    "spine3": {"spine01": 0.95, "neck01": 0.05},
    "left_foot": {"toe2-1.L": 0.8, "foot.L": 0.2},
    "neck": {"neck01": 1.0},
    "left_collar": {"clavicle.L": 0.75, "shoulder01.L": 0.25},
    "head": {"head": 1.0},
    "left_shoulder": {"upperarm01.L": 1.0},
    "left_elbow": {"lowerarm01.L": 1.0},
    "left_wrist": {"wrist.L": 1.0},
})  # fmt: skip
BODY22_NAMES: tuple[str, ...] = tuple(BODY22)
BODY22_PARENTS: tuple[int, ...] = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)

MEDIAPIPE_NAMES: tuple[str, ...] = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip

# Landmarks that are bone heads: the knuckles of little finger and index finger, the thumb's middle joint.
_HAND_BONES = {"pinky": "finger5-1", "index": "finger2-1", "thumb": "finger1-2"}

FOOT_POINTS: tuple[str, ...] = tuple(f"{s}_{p}" for p in ("heel", "big_toe", "small_toe") for s in ("left", "right"))

# What a fit turns: group -> bones and the share of the group's rotation that each takes.
FIT_GROUPS: dict[str, dict[str, float]] = _both_sides({
    "pelvis": {"root": 1.0},
    "spine_low": {"spine05": 0.5, "spine04": 0.5},
    "spine_middle": {"spine03": 0.5, "spine02": 0.5},
    "spine_high": {"spine01": 1.0},
    "neck": {"neck01": 1 / 3, "neck02": 1 / 3, "neck03": 1 / 3},
    "head": {"head": 1.0},
    "left_hip": {"upperleg01.L": 1.0},
    "left_knee": {"lowerleg01.L": 1.0},
    "left_ankle": {"foot.L": 1.0},
    "left_collar": {"clavicle.L": 0.5, "shoulder01.L": 0.5},
    "left_shoulder": {"upperarm01.L": 1.0},
    "left_elbow": {"lowerarm01.L": 1.0},
    "left_forearm": {"lowerarm02.L": 1.0},
    "left_wrist": {"wrist.L": 1.0},
})  # fmt: skip
FIT_GROUP_NAMES: tuple[str, ...] = tuple(FIT_GROUPS)


def body22(rig: BodyRig, joints: Values) -> Any:
    """(..., J, 3) bone heads of a posed body -> (..., 22, 3) in SMPL-X order; numpy or torch as given."""
    (points,), numpy = as_tensors(joints)
    matrix = torch.as_tensor(body22_matrix(rig)).to(points)
    return out(matrix @ points, numpy)


def body22_matrix(rig: BodyRig) -> NDArray[np.float64]:
    """(22, J) shares of the bone heads; rows sum to 1."""
    matrix = np.zeros((len(BODY22), rig.bone_count))
    for row, bones in zip(matrix, BODY22.values(), strict=True):
        for bone, share in bones.items():
            row[rig.bone(bone)] = share
    return matrix


def mediapipe_points(rig: BodyRig) -> list[Point]:
    """The 33 landmarks as points for `rig.keypoint_operator`, in the order of `MEDIAPIPE_NAMES`."""
    return [_mediapipe_point(rig, name) for name in MEDIAPIPE_NAMES]


def _mediapipe_point(rig: BodyRig, name: str) -> Point:
    if name in rig.keypoint_names:
        return name
    if name.startswith("mouth"):
        return corner(rig, "lips_inner", 1.0 if name == "mouth_left" else -1.0)
    side, rest = name.split("_", 1)
    outward = 1.0 if side == "left" else -1.0
    if rest.startswith("eye_"):
        return corner(rig, f"lids_{side}", outward if rest == "eye_outer" else -outward)
    if rest == "foot_index":
        return mean_of(rig, f"{side}_big_toe", f"{side}_small_toe")
    return _HAND_BONES[rest] + (".L" if side == "left" else ".R")


def corner(rig: BodyRig, rim: str, direction: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The mean of the three vertices of a rim (a list of the rig) that lie farthest along +x or -x."""
    ids = rig.arrays.lists[rim]
    order = np.argsort(-direction * rig.arrays.template[ids, 0], kind="stable")[:3]
    return np.sort(ids[order]), np.full(3, 1 / 3)


def mean_of(rig: BodyRig, *names: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The mean of several of the rig's keypoints as one row over vertices."""
    rows = [rig.arrays.keypoint_rows[rig.keypoint_names.index(name)] for name in names]
    ids = np.concatenate([row[0] for row in rows])
    weights = np.concatenate([row[1] for row in rows]).astype(np.float64) / len(rows)
    unique, place = np.unique(ids, return_inverse=True)
    summed = np.bincount(place, weights)
    return unique, summed / summed.sum()


def rotations_from_vectors(vectors: Tensor) -> Tensor:
    """(..., 3) axis times angle, radians -> (..., 3, 3) (Rodrigues); smooth and differentiable at zero."""
    squared = (vectors * vectors).sum(-1)[..., None, None]
    small = squared < 1e-8
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    first = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    second = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / angle**2)
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    eye = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return eye + first * skew + second * (skew @ skew)


def group_rotations(rig: BodyRig, vectors: Values) -> Any:
    """Rotation vectors of the fit groups (..., G, 3), radians -> (..., J, 3, 3) for `rig.pose`.

    Each bone of a group turns by its share of the vector; bones in no group keep the reference pose.
    """
    (values,), numpy = as_tensors(vectors)
    if values.shape[-2] != len(FIT_GROUPS):
        raise ValueError(f"{values.shape[-2]} group rotations came; {len(FIT_GROUPS)} are needed (FIT_GROUP_NAMES).")
    spread = np.zeros((rig.bone_count, len(FIT_GROUPS)))
    for column, bones in enumerate(FIT_GROUPS.values()):
        for bone, share in bones.items():
            spread[rig.bone(bone), column] = share
    return out(rotations_from_vectors(torch.as_tensor(spread).to(values) @ values), numpy)
