"""Numbers of a fitted body that need no truth: lean, knees, ankles, foot plane; and distances between two bodies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.body.read_body import joints_world, vertices_world
from pipelines.body.rig import BodyRig, default_rig
from pipelines.records import Body

Array = NDArray[np.float64]
FOOT_KEYPOINTS = ("heel", "big_toe", "small_toe")


def angle_degrees(a: Array, b: Array) -> float:
    """Degrees between two vectors."""
    cosine = a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def side_numbers(body: Body, rig: BodyRig | None = None) -> dict[str, float]:
    """What a picture from the side shows, in the display frame.

    lean_deg: signed angle of the line from mid-ankle to mid-shoulder with the vertical in the plane of the photo's
    viewing direction, towards the camera positive; knee_*_deg: 0 = straight; ankles_pct: how much farther the left
    ankle is from the camera, percent of the standing height; foot_plane_mm: RMS distance of heels and toes from
    their common plane.
    """
    rig = rig or default_rig()
    joints = joints_world(body).astype(np.float64)
    at = {name: joints[i] for i, name in enumerate(rig.bone_names)}

    def middle(bone: str) -> Array:
        return (at[f"{bone}.L"] + at[f"{bone}.R"]) / 2

    forward = np.asarray(body["world_from_camera"], np.float64)[:3, 2] * (1.0, 0.0, 1.0)
    forward = forward / max(float(np.linalg.norm(forward)), 1e-9)
    line = middle("upperarm01") - middle("foot")
    numbers = {"lean_deg": float(np.degrees(np.arctan2(-(line @ forward), line[1])))}
    for side, s in (("left", "L"), ("right", "R")):
        hip, knee, ankle = (at[f"{bone}.{s}"] for bone in ("upperleg01", "lowerleg01", "foot"))
        numbers[f"knee_{side}_deg"] = angle_degrees(knee - hip, ankle - knee)
    height = np.ptp(rig.rest(body["phenotypes"], None, None, body.arrays.get("length_scales")).vertices[:, 1])
    numbers["ankles_pct"] = float(100 * ((at["foot.L"] - at["foot.R"]) @ forward) / height)
    numbers["foot_plane_mm"] = foot_plane(vertices_world(body).astype(np.float64), rig)
    return numbers


def foot_plane(vertices: Array, rig: BodyRig) -> float:
    """RMS distance, mm, of heels, big and small toes of both feet from their common plane (least squares)."""
    points = []
    for side in ("left", "right"):
        for name in FOOT_KEYPOINTS:
            ids, weights = rig.arrays.keypoint_rows[rig.keypoint_names.index(f"{side}_{name}")]
            points.append(weights.astype(np.float64) @ vertices[ids])
    centred = np.array(points) - np.mean(points, 0)
    return float(1000 * np.linalg.svd(centred, compute_uv=False)[-1] / np.sqrt(len(points)))


def aligned(points: Array, reference: Array) -> Array:
    """`points` (N, 3) under the similarity that brings them nearest to `reference` (Umeyama 1991)."""
    a, b = points - points.mean(0), reference - reference.mean(0)
    left, values, right = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * signs) @ right
    scale = (values * signs).sum() / (a**2).sum()
    return scale * a @ rotation.T + reference.mean(0)


def pa_mpjpe(points: NDArray, reference: NDArray) -> float:
    """mm: mean joint distance after the best similarity of this one sample."""
    points, reference = np.asarray(points, np.float64), np.asarray(reference, np.float64)
    return float(1000 * np.linalg.norm(aligned(points, reference) - reference, axis=1).mean())
