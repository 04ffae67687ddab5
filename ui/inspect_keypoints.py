"""Keypoints for the page's drawing, and their numbers."""

from __future__ import annotations

import numpy as np

from pipelines.records import Keypoints
from ui.inspect_numbers import Facts, to_json
from ui.run_reader import RunReader

# MediaPipe's 33 landmarks; left is the person's own left.
NAMES = (
    "nose", "left eye inner", "left eye", "left eye outer", "right eye inner", "right eye", "right eye outer",
    "left ear", "right ear", "mouth left", "mouth right", "left shoulder", "right shoulder", "left elbow",
    "right elbow", "left wrist", "right wrist", "left pinky", "right pinky", "left index", "right index",
    "left thumb", "right thumb", "left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle",
    "left heel", "right heel", "left foot", "right foot",
)  # fmt: skip
EDGES = (
    (11, 12), (11, 13), (13, 15), (12, 14), (14, 16), (11, 23), (12, 24), (23, 24), (23, 25), (25, 27), (24, 26),
    (26, 28), (27, 29), (29, 31), (27, 31), (28, 30), (30, 32), (28, 32), (15, 19), (15, 17), (15, 21), (16, 20),
    (16, 18), (16, 22), (7, 2), (2, 0), (0, 5), (5, 8), (9, 10),
)  # fmt: skip


def points(reader: RunReader, step: str, argument: str) -> bytes:
    """Everything the drawing needs, in pixels of the photo."""
    keypoints = reader.record(step)
    assert isinstance(keypoints, Keypoints)
    width, height = reader.photo_pixels.size
    extra = [h for h in (keypoints.left_hand, keypoints.right_hand) if h is not None]
    if keypoints.face is not None:
        extra.append(keypoints.face[::6, :2])
    rows = np.round(np.concatenate(extra), 1).tolist() if extra else []
    return to_json({
        "width": width, "height": height, "names": NAMES, "edges": EDGES,
        "points": np.round(keypoints.body[:, :3], 2).tolist(), "edited": keypoints.edited.tolist(), "extra": rows,
    })  # fmt: skip


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """How many are visible, what else was found, what was moved."""
    keypoints = reader.record(step)
    assert isinstance(keypoints, Keypoints)
    sure = int((keypoints.body[:, 2] >= 0.5).sum())
    hands = [n for n, h in (("left", keypoints.left_hand), ("right", keypoints.right_hand)) if h is not None]
    rows: Facts = [
        ("Visible", f"{sure} of {len(keypoints.body)}"), ("Hands", " and ".join(hands) or "none"),
        ("Face", "no" if keypoints.face is None else f"{len(keypoints.face)} points"),
        ("Moved by hand", str(int(keypoints.edited.sum()))), ("Network", keypoints.network or "unknown"),
    ]  # fmt: skip
    return to_json(rows)
