"""Keypoints after some of them were put elsewhere by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from pipelines.records import Keypoints
from pipelines.step import UserError


def moved(keypoints: Keypoints, changes: dict[str, Any]) -> Keypoints:
    """Keypoints with some body points put elsewhere by hand. changes: {index: [x px, y px]}."""
    body, edited = keypoints.body.copy(), keypoints.edited.copy()
    for name, place in changes.items():
        try:
            i, x, y = int(name), float(place[0]), float(place[1])
        except (TypeError, ValueError, IndexError):
            raise UserError("A moved keypoint needs a number and two coordinates; reload the page.") from None
        if not (0 <= i < len(body) and math.isfinite(x) and math.isfinite(y)):
            raise UserError(f"There is no keypoint {name} at {place}; reload the page.")
        body[i] = (x, y, 1.0, 1.0)
        edited[i] = True
    if not changes:
        raise UserError("No keypoint was moved; drag one first.")
    return dataclasses.replace(keypoints, body=body, edited=edited)
