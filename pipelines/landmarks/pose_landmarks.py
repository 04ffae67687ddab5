"""The 33 landmarks and the mask of one person: the heavy landmark network (BlazePose GHUM 3D)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipelines.landmarks.graph import network, sigmoid
from pipelines.landmarks.square import Square, check_rgb, cut, to_centres, transform, turn, upright_rotation

LANDMARKS = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)

PRESENCE_FLOOR = 0.5  # below it the landmark network says: this square holds no person
SQUARE_GROWTH = 1.25
HEATMAP_WINDOW = 7
HEATMAP_FLOOR = 0.5  # weaker heat maps leave the regressed point alone (MediaPipe's value)


@dataclass(frozen=True)
class PoseReading:
    """What the landmark network read in one square.

    landmarks (33, 3) float32: x, y in photo pixels, z in the same scale, 0 at mid-hip, away from the camera positive.
    visibility (33,), presence (33,) in 0..1: seen and not hidden; inside the square at all.
    world (33, 3) float32: metres, x right, y down, z forward (away from the camera), origin at mid-hip.
    mask (256, 256) float32 in 0..1: probability of the person; mask_from_photo (2, 3): affine from photo pixels.
    score: probability 0..1 that the square holds a person. square: the one that was read last.
    next_square: the square the network itself proposes (auxiliary points 33 and 34).
    """

    landmarks: np.ndarray
    visibility: np.ndarray
    presence: np.ndarray
    world: np.ndarray
    mask: np.ndarray
    mask_from_photo: np.ndarray
    score: float
    square: Square
    next_square: Square


def read_pose(rgb: np.ndarray, square: Square, passes: int = 2) -> PoseReading:
    """Read the person in a square of the photo.

    rgb: (H, W, 3) float32 in 0..1. passes: how often to look; each further pass looks at the square that the
    network proposed itself, which is what tracking a video does and more precise. A pass that sees the person
    worse than the one before ends the search, and the better reading is returned.
    Raises ValueError on a wrong picture or passes < 1.
    """
    check_rgb(rgb)
    if passes < 1:
        raise ValueError(f"read_pose needs at least one pass, got {passes}.")
    best = _look(rgb, square)
    for _ in range(passes - 1):
        if best.score < PRESENCE_FLOOR:
            break
        again = _look(rgb, best.next_square)
        if again.score < PRESENCE_FLOOR:
            break
        best = again
    return best


def seen_in(rgb: np.ndarray, square: Square) -> np.ndarray:
    """(2, 1152) float32: what the network knows of a square of the photo, and of its mirror image, before it says points.

    Its last map of 8 x 8 cells, 288 channels, averaged over the four quarters (channel, row, column).
    """
    run = network("pose_landmark_heavy")
    pixels = cut(rgb, square, run.input_size[0])
    maps = np.stack([run.last_map(8, pixels), run.last_map(8, pixels[:, ::-1])])
    return maps.reshape(2, -1, 2, 4, 2, 4).mean((3, 5)).reshape(2, -1)


def pixels_per_metre(reading: PoseReading) -> float:
    """Scale of the body in the photo: least squares between landmarks and world points, x and y alone."""
    flat = (reading.landmarks[:, :2] - reading.landmarks[:, :2].mean(0)).astype(np.float64)
    world = (reading.world[:, :2] - reading.world[:, :2].mean(0)).astype(np.float64)
    return float((flat * world).sum() / max(float((world**2).sum()), 1e-9))


def mask_on_photo(reading: PoseReading, shape: tuple[int, int]) -> np.ndarray:
    """The reading's mask on the photo: (H, W) float32 in 0..1, bilinear, 0 outside the square.

    shape: (height, width) of the photo.
    """
    height, width = shape
    return cv2.warpAffine(
        reading.mask,
        to_centres(reading.mask_from_photo),
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0.0,
    )


def person_square(hip: np.ndarray, scale_point: np.ndarray) -> Square:
    """The square of a person from mid-hip and the full-body scale point (2,), both in photo pixels."""
    reach = float(np.hypot(*(scale_point - hip)))
    return Square(
        float(hip[0]), float(hip[1]), max(2.0 * reach * SQUARE_GROWTH, 1.0), upright_rotation(hip, scale_point)
    )


def refine(points: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Move points to the weighted mean of their heat maps.

    points (K, 2) in 0..1 of the square; heatmaps (h, w, K) logits. Weights are the sigmoids in a window of
    HEATMAP_WINDOW cells around the point; a point whose window never reaches HEATMAP_FLOOR stays.
    """
    height, width, count = heatmaps.shape
    reach = HEATMAP_WINDOW // 2
    moved = points.copy()
    for k in range(count):
        column, row = int(np.floor(points[k, 0] * width)), int(np.floor(points[k, 1] * height))
        if not (0 <= column < width and 0 <= row < height):
            continue
        left, top = max(column - reach, 0), max(row - reach, 0)
        window = sigmoid(heatmaps[top : row + reach + 1, left : column + reach + 1, k])
        if window.max() < HEATMAP_FLOOR:
            continue
        total = window.sum()
        moved[k, 0] = (window.sum(0) @ (left + np.arange(window.shape[1]))) / total / width
        moved[k, 1] = (window.sum(1) @ (top + np.arange(window.shape[0]))) / total / height
    return moved


def _look(rgb: np.ndarray, square: Square) -> PoseReading:
    """One pass of the landmark network over one square."""
    run = network("pose_landmark_heavy")
    size = run.input_size[0]
    out = run(cut(rgb, square, size))
    rows = out["landmarks"].astype(np.float64).reshape(39, 5)
    unit = refine(rows[:, :2] / size, out["heatmaps"])
    photo = transform(square.photo_from_unit(), unit)
    depth = rows[:33, 2:3] / size * square.side
    mask = sigmoid(out["mask_logits"][..., 0]).astype(np.float32)
    return PoseReading(
        landmarks=np.concatenate([photo[:33], depth], axis=1).astype(np.float32),
        visibility=sigmoid(rows[:33, 3]).astype(np.float32),
        presence=sigmoid(rows[:33, 4]).astype(np.float32),
        world=turn(out["world"].astype(np.float64).reshape(39, 3)[:33], square.rotation).astype(np.float32),
        mask=mask,
        mask_from_photo=square.affine(*mask.shape[::-1]),
        score=float(out["presence"][0]),
        square=square,
        next_square=person_square(photo[33], photo[34]),
    )
