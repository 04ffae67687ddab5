"""Scores of an estimated body against the true one: joints, lean, feet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.body.body_numbers import pa_mpjpe, side_numbers
from pipelines.evaluate.align import align_bodies
from pipelines.records import Body

PELVIS = 0


def mpjpe(points: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """mm: mean distance of joints (22, 3) m, the first of both (the pelvis) moved to the origin."""
    a, b = np.asarray(points, np.float64), np.asarray(reference, np.float64)
    return float(1000 * np.linalg.norm((a - a[PELVIS]) - (b - b[PELVIS]), axis=1).mean())


def body_scores(body: Body, truth: Body) -> dict[str, float]:
    """The body's numbers of `protocols`: mpjpe_mm, mpjpe_scaled_mm, pa_mpjpe_mm, lean_error_deg, lean_deg,
    foot_plane_mm, foot_plane_true_mm. Lean and feet only for records of the default body."""
    mine, true = body["body22_cam"].astype(np.float64), truth["body22_cam"].astype(np.float64)
    moved = truth.camera.to_camera(align_bodies(body, truth, scaled=True).points(body.camera.to_world(mine)))
    numbers = {
        "mpjpe_mm": mpjpe(mine, true), "mpjpe_scaled_mm": mpjpe(moved, true), "pa_mpjpe_mm": pa_mpjpe(mine, true),
    }  # fmt: skip
    try:
        side, true_side = side_numbers(body), side_numbers(truth)
    except ValueError:
        # A body of another model: its feet are not ours to read.
        return numbers
    return numbers | {
        "lean_error_deg": abs(side["lean_deg"] - true_side["lean_deg"]), "lean_deg": side["lean_deg"],
        "foot_plane_mm": side["foot_plane_mm"], "foot_plane_true_mm": true_side["foot_plane_mm"],
    }  # fmt: skip
