"""A finished fit as a Body record: rotations of all bones, history, confidence, and sentences of doubt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit import TERM_NAMES, Fit
from pipelines.body.fit_evidence import Evidence
from pipelines.body.fit_hands import finger_rotations, reference_joints
from pipelines.body.fit_kinematics import positions
from pipelines.body.fit_points import FitBody
from pipelines.body.fit_terms import State, projected
from pipelines.body.fit_twist import full_rotations
from pipelines.body.read_body import make_body
from pipelines.records import Body, Keypoints


def record_of(fit: Fit, body: FitBody, evidence: Evidence, keypoints: Keypoints) -> Body:
    """The Body record of a finished fit."""
    rig, state = body.rig, fit.state
    fingers = finger_rotations(rig, reference_joints(rig, state.phenotypes, state.lengths), keypoints)
    residual = reprojection(fit, evidence)
    scalars = {
        "reprojection_pct": residual[evidence.weights > 0.25].mean() if (evidence.weights > 0.25).any() else 0.0,
        "inside_mask": inside_share(fit, evidence),
        "lean_deg": lean_degrees(fit),
        "lean_before_deg": np.degrees(evidence.lean),
        "confidence": bone_confidence(fit, body, evidence, residual),
    }
    return make_body(
        rotations=full_rotations(body, fit.near, state.root, state.theta, fingers),
        root_translation=state.translation,
        phenotypes=state.phenotypes,
        length_scales=state.lengths,
        K=evidence.K,
        image_size=evidence.image_size,
        pitch=state.pitch,
        texts={
            "source": "anny-fit",
            "source_version": "1",
            "created_from": f"{keypoints.network}; {int(keypoints.edited.sum())} landmarks moved by hand",
        },
        arrays=scalars,
        history=history_of(fit, body, fingers),
        rig=rig,
    )


def history_of(fit: Fit, body: FitBody, fingers: dict[int, NDArray]) -> dict[str, NDArray]:
    """Every iteration: costs by term, and the pose and shape it had."""
    costs = [[c.get(name, 0.0) for name in TERM_NAMES] for c, _ in fit.history]
    states: list[State] = [s for _, s in fit.history]
    rotations = [full_rotations(body, fit.near, s.root, s.theta, fingers) for s in states]
    return {
        "terms": np.array(costs, np.float32).reshape(len(states), len(TERM_NAMES)),
        "term_names": np.array(TERM_NAMES, dtype="U"),
        "rotations": np.array(rotations, np.float32).reshape(len(states), body.rig.bone_count, 3, 3),
        "root_translation": np.array([s.translation for s in states], np.float32).reshape(-1, 3),
        "phenotypes": np.array([s.phenotypes for s in states], np.float32).reshape(len(states), -1),
        "length_scales": np.array([s.lengths for s in states], np.float32).reshape(len(states), -1),
        "local_changes": np.zeros((len(states), len(body.rig.local_names)), np.float32),
        "pitch": np.array([s.pitch for s in states], np.float32),
    }


def reprojection(fit: Fit, evidence: Evidence) -> NDArray[np.float64]:
    """(33,) distance of each projected landmark from the network's, percent of the person's height in px."""
    px, _ = projected(fit.scene.at[:33], fit.scene.d[:33], evidence.K)
    return np.linalg.norm(px - evidence.px, axis=1) / evidence.height_px * 100


def lean_degrees(fit: Fit) -> float:
    """Signed angle of the line from mid-ankle to mid-shoulder with the vertical, towards the camera positive."""
    s = fit.scene
    line = s.middle("shoulder_joint")[0] - s.middle("ankle_joint")[0]
    return float(np.degrees(np.arctan2(-(line @ s.forward), line @ s.up)))


def inside_share(fit: Fit, evidence: Evidence) -> float:
    """Share of sampled skin points that project into the silhouette (or within one percent of the height)."""
    at = positions(fit.near.skin, fit.scene.posed)
    px = at[:, :2] / at[:, 2:] * (evidence.K[0, 0], evidence.K[1, 1]) + evidence.K[:2, 2]
    cell = (px * evidence.outside_scale).astype(int)
    h, w = evidence.outside.shape
    inside = (cell >= 0).all(1) & (cell[:, 0] < w) & (cell[:, 1] < h)
    near = np.zeros(len(cell), bool)
    near[inside] = evidence.outside[cell[inside, 1], cell[inside, 0]] < 0.01 * evidence.height_px
    return float(near.mean())


def bone_confidence(fit: Fit, body: FitBody, evidence: Evidence, residual: NDArray) -> NDArray[np.float32]:
    """(J,) 0..1: visibility of the landmarks a bone carries times how well the body meets them."""
    share = fit.near.points.a[:33] @ np.eye(len(body.fold.bones))
    meets = np.sqrt(evidence.weights.clip(0, 1)) / (1 + (residual / 2.0) ** 2)
    carried = share.sum(0)
    mover = np.where(carried > 0.05, (share * meets[:, None]).sum(0) / np.maximum(carried, 1e-6), np.nan)
    for m in range(1, len(mover)):
        if np.isnan(mover[m]):
            mover[m] = mover[body.fold.parents[m]]
    mover = np.where(np.isnan(mover), np.nanmean(mover), mover)
    return mover[body.fold.owner].astype(np.float32)


def doubts(body: Body, evidence: Evidence) -> list[str]:
    """Sentences for the user where the numbers speak against the fit."""
    found = []
    if float(body["reprojection_pct"]) > 2.0:
        found.append(
            f"The body misses the landmarks by {float(body['reprojection_pct']):.1f} % of the height on average; "
            "look at them and drag the wrong ones."
        )
    if float(body["inside_mask"]) < 0.85:
        found.append(f"Only {100 * float(body['inside_mask']):.0f} % of the body lies inside the cut-out; check both.")
    unseen = [name for name, i in (("feet", (31, 32)), ("knees", (25, 26)), ("hands", (15, 16)))
              if evidence.weights[list(i)].max() < 0.1]  # fmt: skip
    if unseen:
        found.append(f"The {' and '.join(unseen)} are hardly seen; that part of the body is a guess.")
    return found
