"""A limb mirrored in depth: what a photo cannot tell apart, and what gradients cannot cross.

An arm that the fit has before the trunk and that is behind it has the same landmarks; on the way from one to the other it
would have to pass through the body. So each limb is tried mirrored, once the coarse person says where the surfaces are.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.body.fit_joints import unit
from pipelines.body.fit_start import LIMBS, shortest_turn, two_vector_frame
from pipelines.geometry.rotations import rotation_vector_from_matrix
from pipelines.hgm.refine_body import Change, MovingBody

LIMB_NAMES = tuple(LIMBS)
LEAST_BEND = 0.2  # sine of a limb's bend below which its plane is noise


def mirrored(body: MovingBody, change: Change, limb: str) -> Change:
    """The change with one limb's two bones mirrored along the line of sight, its hinge still a hinge: the landmarks of
    elbow and wrist, or knee and ankle, stay in the picture but for perspective."""
    fold, posed = body.fold, body.moved(change, with_slopes=False).posed
    upper, lower, end = (fold[name] for name in LIMBS[limb][:3])
    offsets = body.bones.at(change.shape).offsets
    view = unit(posed.w[upper])
    flip = np.eye(3) - 2 * np.outer(view, view)
    first, second = posed.w[lower] - posed.w[upper], posed.w[end] - posed.w[lower]
    u, f = unit(first @ flip), unit(second @ flip)
    above, old = posed.G[fold.parents[upper]], posed.G[upper]
    bend = np.cross(u, f)
    if np.linalg.norm(bend) > LEAST_BEND:
        hinge = old.T @ np.cross(first, second)
        turned = two_vector_frame(u, bend) @ two_vector_frame(unit(offsets[lower]), hinge).T
    else:
        turned = shortest_turn(unit(first), u) @ old
    theta = change.theta.copy()
    theta[upper] = rotation_vector_from_matrix(above.T @ turned)
    theta[lower] = rotation_vector_from_matrix(shortest_turn(unit(posed.G[lower].T @ second), turned.T @ f))
    return replace(change, theta=theta)
