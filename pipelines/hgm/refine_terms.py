"""What a refinement minimises: rows of residuals with exact derivatives, one function for each kind of evidence.

Rows are those of `pipelines.body.fit_terms`: residuals in standard deviations, robust where a c is given. A silhouette is
no sum of squares: its rows have the rasteriser's gradient, and the curvature that lets a point on its own move REACH.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_evidence import Evidence
from pipelines.body.fit_joints import joint_table
from pipelines.body.fit_points import default_fit_body
from pipelines.body.fit_terms import Rows, projected
from pipelines.geometry.rotations import rotation_vector_from_matrix
from pipelines.hgm.refine_body import Moved, MovingBody
from pipelines.hgm.refine_masks import SPREAD, MaskLoss, Orbit, mask_loss

Array = NDArray[np.float64]
Floats = NDArray[np.float32]

REACH = 0.02  # metres
FAINT = 0.02  # of the largest pull, below which a point is left alone
MASK_SCALE = 60.0  # what a silhouette of the side views costs that misses altogether, in squared deviations
NEAR_START = 0.6  # of the spread that a joint's angle has in photos: how far it may turn from the start
ROOT_SPREAD = np.radians(20.0)
LIMIT_SPREAD = np.radians(3.0)
PHENOTYPE_SPREAD, LENGTH_SPREAD = 0.05, 0.03
LANDMARK_ROBUST = 4.0


def keypoint_rows(rows: Rows, body: MovingBody, moved: Moved, evidence: Evidence) -> None:
    """The photo's landmarks, as in the fit: pixels in units of each landmark's own spread."""
    use = np.flatnonzero(evidence.weights > 0.01)
    px, slope = projected(moved.landmarks[use], body.slopes(body.landmarks[use], moved), evidence.K)
    weight = (np.sqrt(evidence.weights[use]) / evidence.sigma[use])[:, None]
    miss = ((px - evidence.px[use]) * weight).ravel()
    slope = (slope * weight[..., None]).reshape(len(miss), slope.shape[2])
    rows.add("keypoints", miss, slope, LANDMARK_ROBUST, 2)


def mask_rows(rows: Rows, body: MovingBody, moved: Moved, targets: Floats, orbit: Orbit) -> MaskLoss:
    """Silhouettes; targets (12, SIZE, SIZE). Adds 'front mask' and, where they have weight, 'side masks'."""
    loss = mask_loss(moved.core, SPREAD * body.height / 1.7, targets, orbit, need_gradient=moved.with_slopes)
    weighted = MASK_SCALE * orbit.weight * loss.losses
    rows.costs["front mask"] = float(weighted[0])
    rows.costs["side masks"] = float(weighted[1:].sum())
    if not moved.with_slopes:
        return loss
    reach = REACH * body.height / 1.7
    size = np.linalg.norm(loss.gradient, axis=1)
    on = np.flatnonzero(size > FAINT * max(float(size.max()), 1e-12))
    pull = MASK_SCALE * size[on]
    direction = loss.gradient[on] / size[on, None]
    slope = np.einsum("ni,nip->np", direction, body.slopes(body.core[on], moved))
    rows.residuals.append(np.sqrt(pull * reach / 2))
    rows.jacobians.append(slope * np.sqrt(pull / (2 * reach))[:, None])
    return loss


@dataclass(frozen=True)
class NearStart:
    """How surely the start is believed. axes (M, 3, 3): rows = each joint's own axes in the camera frame; angles (M, 3)
    of the record about them; spread, low, high (M, 3) radians."""

    axes: Array
    angles: Array
    spread: Array
    low: Array
    high: Array


def near_start(body: MovingBody) -> NearStart:
    """The joints' table of the fit, on the record's own skeleton and pose."""
    fit = default_fit_body()
    joints = joint_table(fit.fold, fit.linearised(body.phenotypes, body.lengths).bones)
    own = rotation_vector_from_matrix(body.body["rotations"][body.fold.bones].astype(np.float64))
    angles = np.einsum("mij,mj->mi", joints.axes, own)
    spread = NEAR_START * joints.sigma
    spread[0] = ROOT_SPREAD
    # What is beyond a limit at the start may stay there, and go no farther.
    low, high = np.minimum(joints.low, angles), np.maximum(joints.high, angles)
    return NearStart(joints.axes @ np.swapaxes(body.turns, -1, -2), angles, spread, low, high)


def prior_rows(rows: Rows, body: MovingBody, moved: Moved, near: NearStart) -> None:
    """The pose stays near the start and inside the joints' limits; the shape stays near the start."""
    theta = moved.change.theta.copy()
    theta[0] = rotation_vector_from_matrix(moved.change.root)
    m = len(theta)
    turned = np.einsum("mij,mj->mi", near.axes, theta)
    slope = np.zeros((m, 3, body.columns))
    for k in range(m):
        slope[k, :, 3 * k : 3 * k + 3] = near.axes[k]
    rows.add("pose prior", (turned / near.spread).ravel(), (slope / near.spread[..., None]).reshape(3 * m, -1))
    angle = near.angles + turned
    beyond = np.minimum(angle - near.low, 0) + np.maximum(angle - near.high, 0)
    on = beyond != 0
    if on.any():
        rows.add("pose prior", beyond[on] / LIMIT_SPREAD, slope[on] / LIMIT_SPREAD)
    spread = np.repeat([PHENOTYPE_SPREAD, LENGTH_SPREAD], [len(body.phenotypes), len(body.lengths)])
    shape = np.zeros((len(spread), body.columns))
    shape[:, -len(spread) :] = np.diag(1 / spread)
    rows.add("shape prior", moved.change.shape / spread, shape)
