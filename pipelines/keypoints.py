"""Keypoints: 33 body landmarks in 2D and 3D, 21 for each hand, 468 on the face; all of them can be moved by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.person import visible
from pipelines.records import Cutout, Keypoints, Person, Photo
from pipelines.step import Context, UserError, knob, step


@dataclass(frozen=True)
class KeypointsParams:
    hands: bool = knob(True, "Look at the hands closely (21 points each).")
    face: bool = knob(True, "Look at the face closely (468 points).")


@step("keypoints", version=3, title="Keypoints", weights=["landmarks"])
def keypoints(photo: Photo, person: Person, matte: Cutout, params: KeypointsParams, ctx: Context) -> Keypoints:
    """Body, hands and face landmarks of the person; drag any of them to correct it."""
    from pipelines.landmarks.face import read_face
    from pipelines.landmarks.graph import networks_from
    from pipelines.landmarks.hands import read_hands
    from pipelines.landmarks.pose import PoseReading, Square

    square = Square(*(float(v) for v in person.square))
    pose = PoseReading(
        person.landmarks[:, :3], person.landmarks[:, 3], person.landmarks[:, 4], person.world, person.mask,
        person.mask_affine, 1.0, square, square,
    )  # fmt: skip
    rgb = visible(photo)
    found: dict[str, Any] = {}
    if params.hands:
        ctx.progress(0.1, "looking at the hands")
        with networks_from(ctx.weight_file("landmarks")):
            hands = read_hands(rgb, pose)
        for side, hand in hands.items():
            if hand is not None:
                found[f"{side}_hand"] = np.asarray(hand.landmarks[:, :2], np.float32)
                found[f"{side}_hand_world"] = np.asarray(hand.world, np.float32)
    if params.face:
        ctx.progress(0.6, "looking at the face")
        with networks_from(ctx.weight_file("landmarks")):
            face = read_face(rgb, pose)
        if face is not None:
            found["face"] = np.asarray(face.landmarks, np.float32)
    body = np.concatenate([person.landmarks[:, :2], person.landmarks[:, 3:5]], 1).astype(np.float32)
    weak = int((body[[11, 12, 23, 24, 25, 26, 27, 28], 2] < 0.3).sum())
    if weak >= 3:
        ctx.warn(
            f"{weak} of the 8 large joints are hidden or unsure; look at the body and move the points if it is wrong."
        )
    turn = turned_by(body)
    if turn > 60.0:
        ctx.warn(
            f"The person's trunk is turned by {turn:.0f} degrees from upright; if the photo is turned, turn it back "
            "and start again."
        )
    return Keypoints(body, person.world, np.zeros(33, bool), network=person.network, seen=person.seen, **found)


def turned_by(body: NDArray[np.floating]) -> float:
    """Degrees in the picture between up and the line from mid-hip to mid-shoulder; 0 where it is too short to say.

    body: (33, 3+) x px, y px, visibility.
    """
    hips, shoulders = body[[23, 24], :2].mean(0), body[[11, 12], :2].mean(0)
    x, y = shoulders - hips
    seen = body[[11, 12, 23, 24], 2].min() > 0.3
    across = np.linalg.norm(body[11, :2] - body[12, :2])
    return float(np.degrees(np.arctan2(abs(x), -y))) if seen and np.hypot(x, y) > 0.8 * across else 0.0


def keypoints_by_hand(old: Keypoints, moved: dict[int, tuple[float, float]]) -> Keypoints:
    """`old` with some body landmarks moved: {index 0..32: (x px, y px)}; they are marked and trusted fully."""
    body, edited = old.body.copy(), old.edited.copy()
    for index, (x, y) in moved.items():
        if not 0 <= index < 33:
            raise UserError(f"Landmark {index} came; there are 33, numbered 0 to 32.")
        body[index] = (x, y, 1.0, 1.0)
        edited[index] = True
    if not np.isfinite(body).all():
        raise UserError("A landmark came with a place that is not a number; give pixels.")
    return Keypoints(**{**vars(old), "body": body, "edited": edited})
