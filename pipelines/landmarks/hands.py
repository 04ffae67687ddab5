"""The 21 points of each hand: MediaPipe hand landmarks (full) where the palm detector or the pose see a hand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipelines.landmarks.detector import Detector, Finding
from pipelines.landmarks.graph import network
from pipelines.landmarks.pose_landmarks import LANDMARKS, PoseReading, pixels_per_metre
from pipelines.landmarks.square import Square, check_rgb, cut, invert, transform, turn, upright_rotation

HAND_LANDMARKS = (
    "wrist",
    *(
        f"{finger}_{joint}"
        for finger in ("thumb", "index", "middle", "ring", "pinky")
        for joint in (("cmc", "mcp", "ip", "tip") if finger == "thumb" else ("mcp", "pip", "dip", "tip"))
    ),
)
PALMS = Detector("palm_detection_full", (8, 16, 16, 16))
PRESENCE_FLOOR = 0.5
KNUCKLE = 0.09  # metres from the wrist to the middle knuckle of an adult
FIRST_SIDE = (0.30, 0.55)  # metres, limits of the first square
PALM_VIEWS = (0.5, 0.7)  # metres, sides of the views that the palm detector searches
GOOD_COST = 0.5  # a reading at or below it ends the search
MOST_COST = 1.3  # a reading above it is doubtful in too many ways
LEAST_HAND = 0.2  # metres, least side of the next square; else small readings make ever smaller squares
LEAST_SIDE = 16.0  # pixels; a square below it shows nothing of a hand
WRIST_REACH = 0.09  # metres; a hand that starts farther from the pose's wrist is another's, or none
WRIST_BEND = math.radians(110)  # a hand bent farther back than that against its forearm is upside down
FOREARM_SEEN = 0.10  # metres in the picture; a forearm seen end on says nothing of the hand
SAME_PALM = 0.1  # of its square: a palm seen so near an earlier one is the same palm
SAME_HAND = 0.35  # of a hand's square: closer than this, two readings show the same hand


@dataclass(frozen=True)
class HandReading:
    """One hand.

    landmarks (21, 3) float32: x, y in photo pixels, z in the same scale, 0 at the wrist, away from the camera
    positive; order HAND_LANDMARKS. world (21, 3) float32: metres, x right, y down, z forward, origin at the hand's
    middle. presence 0..1: it is a hand. right 0..1: it is a right hand. square: the one it was read in.
    """

    landmarks: np.ndarray
    world: np.ndarray
    presence: float
    right: float
    square: Square


def read_hand(rgb: np.ndarray, square: Square, passes: int = 2, least_side: float = 1.0) -> HandReading:
    """Read the hand in a square of the photo (H, W, 3) float32; every further pass uses the square of its points.

    least_side: pixels, the smallest square of a further pass.
    A pass that no longer sees a hand, and sees it worse than before, ends the search and is forgotten.
    ValueError on a wrong picture or passes < 1.
    """
    check_rgb(rgb)
    if passes < 1:
        raise ValueError(f"read_hand needs at least one pass, got {passes}.")
    best = _look(rgb, square)
    for _ in range(passes - 1):
        proposed = hand_square(best.landmarks[:, :2], best.square.rotation)
        again = _look(rgb, proposed.scaled(max(1.0, least_side / proposed.side)))
        if again.presence < min(best.presence, PRESENCE_FLOOR):
            break
        best = again
    return best


def read_hands(rgb: np.ndarray, pose: PoseReading) -> dict[str, HandReading | None]:
    """Both hands of a person whose pose was read: {"left": ..., "right": ...}, None where no hand is seen.

    "left" is the person's left. The palm detector searches around the pose's wrist, first close by, then wider; the
    last try is a square made of the pose's wrist and knuckles. A hand must start near the pose's wrist and follow its
    forearm, and one hand of the photo is never given to both sides.
    """
    check_rgb(rgb)
    scale = pixels_per_metre(pose)
    hands: dict[str, HandReading | None] = {"left": None, "right": None}
    if scale * FIRST_SIDE[0] < LEAST_SIDE:
        return hands
    for side in hands:
        hands[side] = _find_hand(rgb, pose, side, scale)
    left, right = hands["left"], hands["right"]
    if left is not None and right is not None and _same_hand(left, right):
        wrong = "left" if _cost(left, pose, "left", scale) > _cost(right, pose, "right", scale) else "right"
        hands[wrong] = None
    return hands


def pose_hand_square(pose: PoseReading, side: str, scale: float) -> Square:
    """First square of the "left" or "right" hand; scale: pixels per metre of the body.

    The middle knuckle lies at (2 index + little finger) / 3 of the pose's knuckles; the square is 2.7 hands wide.
    """
    elbow, wrist, pinky, index = (_point(pose, f"{side}_{name}") for name in ("elbow", "wrist", "pinky", "index"))
    middle = (2 * index + pinky) / 3
    reach = float(np.hypot(*(middle - wrist)))
    if reach < KNUCKLE / 3 * scale:  # seen end on: the forearm still knows the direction
        rotation = upright_rotation(elbow, wrist)
    else:
        rotation = upright_rotation(wrist, middle)
    low, high = FIRST_SIDE
    return Square(
        float(middle[0]), float(middle[1]), float(np.clip(2 * 2.7 * reach, low * scale, high * scale)), rotation
    )


def hand_square(points: np.ndarray, rotation: float) -> Square:
    """Square of the next look from points (21, 2): wrist to knuckles up, twice the box of the steady points.

    rotation: of the square the points come from, used when the hand is seen end on.
    """
    wrist, knuckles = points[0], 0.25 * (points[5] + points[13]) + 0.5 * points[9]
    if np.hypot(*(knuckles - wrist)) > 1e-6:
        rotation = upright_rotation(wrist, knuckles)
    steady = points[[0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]]
    upright = Square(0.0, 0.0, 1.0, rotation).photo_from_unit()
    inside = transform(invert(upright), steady.astype(np.float64))
    low, high = inside.min(0), inside.max(0)
    x, y = transform(upright, ((low + high) / 2)[None])[0]
    return Square(float(x), float(y), max(float((high - low).max()), 1.0), rotation).scaled(2.0, shift_y=-0.1)


def _find_hand(rgb: np.ndarray, pose: PoseReading, side: str, scale: float) -> HandReading | None:
    """The cheapest believable reading; views are tried in order until one gives a good hand."""
    palms: list[Square] = []
    best, best_cost = None, MOST_COST
    for view in (*PALM_VIEWS, None):
        if view is None:
            squares = [pose_hand_square(pose, side, scale)]
        else:
            squares = [palm for palm in _palms(rgb, pose, side, view * scale) if not _near(palm, palms)]
            palms += squares
        for square in squares:
            hand = read_hand(rgb, square, least_side=LEAST_HAND * scale)
            cost = _cost(hand, pose, side, scale)
            if cost < best_cost and _believable(hand, pose, side, scale):
                best, best_cost = hand, cost
        if best_cost <= GOOD_COST:
            break
    return best


def _near(palm: Square, others: list[Square]) -> bool:
    return any(math.hypot(palm.x - other.x, palm.y - other.y) < SAME_PALM * palm.side for other in others)


def palm_square(palm: Finding) -> Square:
    """Square of the whole hand from a detected palm: 2.6 palms wide, half a palm towards the fingers."""
    middle, extent = (palm.box[:2] + palm.box[2:]) / 2, palm.box[2:] - palm.box[:2]
    rotation = upright_rotation(palm.points[0], palm.points[2])  # wrist, middle knuckle
    square = Square(float(middle[0]), float(middle[1]), max(float(extent.max()), 1.0), rotation)
    return square.scaled(2.6, shift_y=-0.5)


def _palms(rgb: np.ndarray, pose: PoseReading, side: str, view: float) -> list[Square]:
    """Squares of the two best palms in a view of that side (pixels) around the pose's wrist."""
    x, y = _point(pose, f"{side}_wrist")
    return [palm_square(palm) for palm in PALMS.find(rgb, Square(float(x), float(y), view))[:2]]


def _point(pose: PoseReading, name: str) -> np.ndarray:
    return pose.landmarks[LANDMARKS.index(name), :2].astype(np.float64)


def _away(hand: HandReading, pose: PoseReading, side: str) -> float:
    """Pixels between the hand's wrist and the pose's."""
    return float(np.hypot(*(hand.landmarks[0, :2] - _point(pose, f"{side}_wrist"))))


def _believable(hand: HandReading, pose: PoseReading, side: str, scale: float) -> bool:
    """A hand, at the pose's wrist, and not bent back against a forearm that can be seen."""
    if hand.presence < PRESENCE_FLOOR or _away(hand, pose, side) > WRIST_REACH * scale:
        return False
    forearm = _point(pose, f"{side}_wrist") - _point(pose, f"{side}_elbow")
    palm = (hand.landmarks[9, :2] - hand.landmarks[0, :2]).astype(np.float64)
    if np.hypot(*forearm) < FOREARM_SEEN * scale:
        return True
    return bool(forearm @ palm >= math.cos(WRIST_BEND) * np.hypot(*forearm) * np.hypot(*palm))


def _cost(hand: HandReading, pose: PoseReading, side: str, scale: float) -> float:
    """Distance from the pose's wrist in reaches, plus the doubts that it is a hand and which hand it is."""
    doubt = 1.0 - hand.right if side == "right" else hand.right
    return _away(hand, pose, side) / (WRIST_REACH * scale) + doubt + 1.0 - hand.presence


def _same_hand(a: HandReading, b: HandReading) -> bool:
    size = min(a.square.side, b.square.side) / 2
    apart = np.hypot(*(a.landmarks[:, :2].mean(0) - b.landmarks[:, :2].mean(0)))
    return bool(apart < SAME_HAND * size)


def _look(rgb: np.ndarray, square: Square) -> HandReading:
    """One pass of the hand network over one square."""
    run = network("hand_landmark_full")
    size = run.input_size[0]
    out = run(cut(rgb, square, size))
    rows = out["landmarks"].astype(np.float64).reshape(21, 3) / size
    flat = transform(square.photo_from_unit(), rows[:, :2])
    return HandReading(
        landmarks=np.concatenate([flat, rows[:, 2:] * square.side], axis=1).astype(np.float32),
        world=turn(out["world"].astype(np.float64).reshape(21, 3), square.rotation).astype(np.float32),
        # The network was trained on mirrored pictures: what it calls left is a right hand here.
        presence=float(out["presence"][0]),
        right=float(out["handedness"][0]),
        square=square,
    )
