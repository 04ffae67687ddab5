"""People and their poses: what other parts of the project call.

`find_people(rgb)` lists the people of a photo, `read_pose(rgb, person.square)` reads landmarks and mask of one,
`mask_on_photo(reading, rgb.shape[:2])` lays the mask over the photo.
"""

from __future__ import annotations

from pipelines.landmarks.people import PersonBox, find_people
from pipelines.landmarks.pose_landmarks import LANDMARKS, PoseReading, mask_on_photo, read_pose, seen_in
from pipelines.landmarks.square import Square

__all__ = ["LANDMARKS", "PersonBox", "PoseReading", "Square", "find_people", "mask_on_photo", "read_pose", "seen_in"]
