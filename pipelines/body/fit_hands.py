"""Hands: which way the palm faces (a term of the fit) and how the fingers bend (set after it), from hand landmarks.

MediaPipe's hand: 0 wrist; 1 to 4 thumb; 5 to 8 index; 9 to 12 middle; 13 to 16 ring; 17 to 20 little finger, each from
the knuckle outwards. The rig's fingers are finger1 (thumb) to finger5, three bones each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_joints import unit
from pipelines.body.fit_start import shortest_turn, two_vector_frame
from pipelines.body.fit_terms import Rows, Scene, Term
from pipelines.body.rig import BodyRig
from pipelines.geometry.rotations import matrix_from_rotation_vector, rotation_vector_from_matrix
from pipelines.records import Keypoints

Array = NDArray[np.float64]

_FIRST = {1: 1, 2: 5, 3: 9, 4: 13, 5: 17}  # finger -> its first landmark
# A hand that nobody sees hangs relaxed: bend of the three bones of each finger, degrees.
_RELAXED = (14.0, 20.0, 14.0)
_MOST_BEND = np.radians((80.0, 100.0, 80.0))


@dataclass(frozen=True)
class Palm:
    """frame: (3, 3) columns = along the hand, across it (towards the little finger), their cross product; camera axes
    for an observed palm, reference axes for the rig's."""

    side: str
    frame: Array


def palm_frame(wrist: Array, index: Array, little: Array) -> Array:
    """(3, 3) from three points of a hand."""
    along = (index + little) / 2 - wrist
    return two_vector_frame(along, little - index)


def observed_palms(keypoints: Keypoints) -> dict[str, Array]:
    """Side -> palm frame in camera axes, for the hands whose landmarks are there and not degenerate."""
    found = {}
    for side in ("left", "right"):
        hand = getattr(keypoints, f"{side}_hand_world")
        if hand is None:
            continue
        h = np.asarray(hand, np.float64)
        area = np.linalg.norm(np.cross(h[5] - h[0], h[17] - h[0]))
        if area > 5e-4 and np.isfinite(h).all():
            found[side] = palm_frame(h[0], h[5], h[17])
    return found


def reference_joints(rig: BodyRig, phenotypes: Array, lengths: Array) -> Array:
    """(J, 3) bone heads in the reference pose (all rotations identity, root at the origin)."""
    rest = rig.rest(phenotypes, None, None, lengths)
    return rig.pose(rest, rig.identity_pose(), np.zeros(3)).joints.astype(np.float64)


def reference_palm(rig: BodyRig, joints: Array, side: str) -> Array:
    """The rig's own palm frame in the reference pose."""
    s = "L" if side == "left" else "R"
    return palm_frame(*(joints[rig.bone(f"{b}.{s}")] for b in ("wrist", "finger2-1", "finger5-1")))


def palm_term(observed: dict[str, Array], reference: dict[str, Array], sigma: float = 0.3) -> Term:
    """The palm's three axes as the hand landmarks have them (sine of the angle, in units of sigma)."""

    def term(s: Scene, rows: Rows) -> None:
        fold = s.body.fold
        for side, wanted in observed.items():
            m = fold[f"wrist.{'L' if side == 'left' else 'R'}"]
            for k in range(3):
                have = s.posed.G[m] @ reference[side][:, k]
                slope = np.zeros((3, s.columns))
                for j in np.flatnonzero(fold.below[:, m]):
                    slope[:, 3 * j : 3 * j + 3] = np.cross(s.posed.axes[j].T, have).T
                rows.add("palms", (have - wanted[:, k]) / sigma, slope / sigma, 2.0, 3)

    return term


def finger_rotations(rig: BodyRig, joints: Array, keypoints: Keypoints) -> dict[int, Array]:
    """Bone -> (3, 3) rotation of every finger bone: as the hand landmarks bend, or relaxed where there are none."""
    turns: dict[int, Array] = {}
    for side, s in (("left", "L"), ("right", "R")):
        reference = reference_palm(rig, joints, side)
        hand = getattr(keypoints, f"{side}_hand_world")
        observed = observed_palms(keypoints).get(side)
        for finger in range(1, 6):
            bones = [rig.bone(f"finger{finger}-{k}.{s}") for k in (1, 2, 3)]
            segments = [unit(joints[bones[1]] - joints[bones[0]]), unit(joints[bones[2]] - joints[bones[1]])]
            segments.append(segments[1])  # the last bone has no child; it is nearly straight on in the reference
            # Bending takes the finger towards the palm: about the axis across the hand.
            hinge = unit(np.cross(segments[0], reference[:, 2] * palm_sign(reference, joints, rig, s)))
            if hand is None or observed is None:
                bends = _RELAXED if finger > 1 else (4.0, 8.0, 8.0)
                for bone, bend in zip(bones, bends, strict=True):
                    turns[bone] = np.asarray(matrix_from_rotation_vector(hinge * np.radians(bend)), np.float64)
                continue
            points = np.asarray(hand, np.float64)[_FIRST[finger] : _FIRST[finger] + 4]
            seen = unit(np.diff(points, axis=0)) @ observed @ reference.T
            chain = np.eye(3)
            for bone, rest, target, most in zip(bones, segments, seen, _MOST_BEND, strict=True):
                turn = rotation_vector_from_matrix(shortest_turn(rest, chain.T @ target))
                turn *= min(1.0, most / max(float(np.linalg.norm(turn)), 1e-9))
                turns[bone] = np.asarray(matrix_from_rotation_vector(turn), np.float64)
                chain = chain @ turns[bone]
    return turns


def palm_sign(reference: Array, joints: Array, rig: BodyRig, s: str) -> float:
    """+1 when the palm frame's third axis points out of the palm: the side on which the thumb's tip lies."""
    thumb = joints[rig.bone(f"finger1-3.{s}")] - joints[rig.bone(f"finger1-1.{s}")]
    return 1.0 if thumb @ reference[:, 2] > 0 else -1.0
