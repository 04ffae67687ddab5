"""The 468 points of the face: MediaPipe face mesh on the square that the face detector finds around the pose's head."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipelines.landmarks.detector import Detector
from pipelines.landmarks.graph import network, sigmoid
from pipelines.landmarks.pose_landmarks import PoseReading, pixels_per_metre
from pipelines.landmarks.square import Square, check_rgb, cut, invert, transform

FACES = Detector("face_detection_short_range", (8, 16, 16, 16))
PRESENCE_FLOOR = 0.5
VIEW = 0.6  # metres around the head that the face detector searches
FACE_SIDE = 0.28  # metres of the square when only the pose knows where the face is
GROWTH = 1.5  # square / box of the face
LEAST_SIDE = 16.0  # pixels; a square below it shows nothing of a face
RIGHT_EYE, LEFT_EYE = 33, 263  # outer corners in the mesh
PASSES = 2


@dataclass(frozen=True)
class FaceReading:
    """One face: landmarks (468, 3) float32 in the mesh's published order; x, y in photo pixels, z in the same scale,
    away from the camera positive; presence 0..1: it is a face; square: the one it was read in."""

    landmarks: np.ndarray
    presence: float
    square: Square


def read_face(rgb: np.ndarray, pose: PoseReading) -> FaceReading | None:
    """The face of a person whose pose was read, None when no face is seen (from behind, hidden, too small).

    rgb: (H, W, 3) float32 in 0..1. The face detector looks at the head as the pose knows it; where it finds nothing
    the pose's own face points give the square. The network then looks twice. ValueError on a wrong picture.
    """
    check_rgb(rgb)
    scale = pixels_per_metre(pose)
    if scale * FACE_SIDE < LEAST_SIDE:
        return None
    head = head_square(pose, scale)
    view = Square(head.x, head.y, VIEW * scale, head.rotation)
    found = FACES.find(rgb, view)
    squares = [detected_square(face.points, face.box) for face in found[:1]] or [head]
    reading = _look(rgb, squares[0])
    for _ in range(PASSES - 1):
        if reading.presence < PRESENCE_FLOOR:
            return None
        reading = _look(rgb, face_square(reading.landmarks[:, :2]))
    return reading if reading.presence >= PRESENCE_FLOOR else None


def head_square(pose: PoseReading, scale: float) -> Square:
    """Square of the face from the pose's eyes, ears and mouth alone; scale: pixels per metre of the body."""
    points = pose.landmarks[:, :2].astype(np.float64)
    middle = points[[2, 5, 9, 10]].mean(0)
    return Square(float(middle[0]), float(middle[1]), FACE_SIDE * scale, level_rotation(points[5], points[2]))


def detected_square(points: np.ndarray, box: np.ndarray) -> Square:
    """Square of a detected face: points (6, 2) right eye, left eye, ... and box (4,) in photo pixels."""
    middle, extent = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    return Square(
        float(middle[0]), float(middle[1]), max(float(extent.max()), 1.0) * GROWTH, level_rotation(points[0], points[1])
    )


def face_square(points: np.ndarray) -> Square:
    """Square of the next look from the mesh points (468, 2): eyes level, GROWTH times their box."""
    rotation = level_rotation(points[RIGHT_EYE], points[LEFT_EYE])
    level = Square(0.0, 0.0, 1.0, rotation).photo_from_unit()
    inside = transform(invert(level), points.astype(np.float64))
    low, high = inside.min(0), inside.max(0)
    x, y = transform(level, ((low + high) / 2)[None])[0]
    return Square(float(x), float(y), max(float((high - low).max()), 1.0) * GROWTH, rotation)


def level_rotation(right: np.ndarray, left: np.ndarray) -> float:
    """Rotation of the square in which the vector from the person's right eye to the left eye points right."""
    return math.atan2(float(left[1] - right[1]), float(left[0] - right[0]))


def _look(rgb: np.ndarray, square: Square) -> FaceReading:
    """One pass of the face network over one square."""
    run = network("face_landmark")
    size = run.input_size[0]
    out = run(cut(rgb, square, size))
    rows = out["landmarks"].astype(np.float64).reshape(468, 3) / size
    flat = transform(square.photo_from_unit(), rows[:, :2])
    return FaceReading(
        np.concatenate([flat, rows[:, 2:] * square.side], axis=1).astype(np.float32),
        float(sigmoid(out["presence"]).reshape(())),
        square,
    )
