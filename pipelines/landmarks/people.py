"""Find the people in a photo: the BlazePose detector, with closer looks when the whole picture shows nobody.

1. The whole picture, letterboxed to the detector's 224 pixels. It finds people who fill about a third of it, in any
   rotation.
2. Nobody there: overlapping square tiles of 1/2, 1/4, 1/7, 1/12 ... of the longer side, until somebody is found. It
   stops at tiles of SMALLEST_TILE pixels, or when MOST_TILES have been looked at; tiles without contrast are skipped.
   Only small people there: the tiles of 1/2 alone, for others of their size.
3. A small person is looked at once more in a zoomed view, which places the square more precisely.

The detector alone cries wolf on one in many tiles, so all that was found in tiles, and doubtful findings of the
whole picture, must be confirmed by the landmark network. It must see a person twice, on the square and on the one it
proposes itself; it must be content with that second square (on people the third moves by less than 0.02 sides, on
textures mostly by more than 0.07); and its mask must be decided nearly everywhere (0.98 to 1.0 of it on people, 0.85
to 0.97 on textures).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipelines.landmarks.detector import Detector, Finding, overlap
from pipelines.landmarks.pose_landmarks import PRESENCE_FLOOR, person_square, read_pose
from pipelines.landmarks.square import Square, check_rgb

DETECTOR = Detector("pose_detection", (8, 16, 32, 32, 32))
SMALL = 0.4  # side of a person's square / longer side of the photo
TILE_SHARES = (2, 4, 7, 12, 20, 35)
TILE_STEP = 0.6  # sides from tile to tile; a person up to 0.4 tiles high lies whole in one of them
MOST_TILES = 180
SMALLEST_TILE = 160  # pixels; people in smaller ones are too small to read anything from
FLAT = 0.01  # standard deviation below which a tile shows nothing
SURE = 0.75  # detector score in the whole picture that needs no confirmation
MOST_CONFIRMED = 6  # candidates shown to the landmark network
CONFIRM_DRIFT = 0.05  # sides by which a confirmed person's square may still move
CONFIRM_CRISP = 0.96  # share of a confirmed person's mask below 0.1 or above 0.9
CONFIRM_VISIBLE = 0.6  # mean visibility of a person found in a tile, whose whole body should be in view


@dataclass(frozen=True)
class PersonBox:
    """A person found, in photo pixels.

    score 0..1; square: what `read_pose` needs, centre at mid-hip, holding the whole body; box (4,) float: left, top,
    right, bottom of that square within the photo; head (4,): the detector's box around the face.
    """

    score: float
    square: Square
    box: np.ndarray
    head: np.ndarray

    @property
    def size_score(self) -> float:
        """Side of the square x score: what the list is sorted by."""
        return self.square.side * self.score


def find_people(rgb: np.ndarray) -> list[PersonBox]:
    """Everybody the detector finds, largest (side x score) first; an empty list when there is nobody.

    rgb: (H, W, 3) float32 in 0..1. The module's docstring says where it looks. ValueError on a wrong picture.
    """
    check_rgb(rgb)
    height, width = rgb.shape[:2]
    longer = max(height, width)
    found = _people(DETECTOR.find(rgb, Square(width / 2, height / 2, longer)), rgb.shape)
    people = [person for person in found if person.score >= SURE]
    people += _confirmed(rgb, [person for person in found if person.score < SURE], 0.0)
    if not people:
        people = _search_tiles(rgb, TILE_SHARES)
    elif max(person.square.side for person in people) < SMALL * longer:
        people += _search_tiles(rgb, TILE_SHARES[:1])
    return _distinct([_closer(rgb, person) for person in people])


def tiles(height: int, width: int, side: float) -> list[Square]:
    """Squares of one side that cover the picture, at most TILE_STEP sides apart."""

    def places(extent: int) -> np.ndarray:
        if extent <= side:
            return np.array([extent / 2])
        count = math.ceil((extent - side) / (TILE_STEP * side) - 1e-9) + 1
        return np.linspace(side / 2, extent - side / 2, count)

    return [Square(float(x), float(y), side) for y in places(height) for x in places(width)]


def _search_tiles(rgb: np.ndarray, shares: tuple[int, ...]) -> list[PersonBox]:
    """People in the coarsest tiles that show any."""
    height, width = rgb.shape[:2]
    budget = MOST_TILES
    for share in shares:
        side = max(height, width) / share
        squares = tiles(height, width, side)
        budget -= len(squares)
        if side < SMALLEST_TILE or budget < 0:
            break
        found = [finding for square in squares if not _flat(rgb, square) for finding in DETECTOR.find(rgb, square)]
        people = _confirmed(rgb, _people(found, rgb.shape), CONFIRM_VISIBLE)
        if people:
            return people
    return []


def _flat(rgb: np.ndarray, square: Square) -> bool:
    """Whether an upright tile shows one even colour, judged on a grid of about 32 x 32 pixels."""
    corners = square.corners().clip(0).astype(int)
    step = max(1, int(square.side // 32))
    part = rgb[corners[0, 1] : corners[2, 1] : step, corners[0, 0] : corners[2, 0] : step]
    return part.size == 0 or bool(part.std((0, 1)).max() < FLAT)


def _people(found: list[Finding], shape: tuple[int, ...]) -> list[PersonBox]:
    """Detections as people, those with mid-hip far outside the photo left out, doubles merged."""
    people = []
    for finding in found:
        square = person_square(finding.points[0], finding.points[1])
        corners = square.corners()
        limit = np.array([shape[1], shape[0]], float)
        box = np.concatenate([corners.min(0).clip(0, limit), corners.max(0).clip(0, limit)])
        if (box[2:] > box[:2]).all():
            people.append(PersonBox(finding.score, square, box, finding.box))
    return _distinct(people)


def _distinct(people: list[PersonBox]) -> list[PersonBox]:
    """One entry per person: the same head, or the same hip at a like size, is the same person; best score wins."""
    kept: list[PersonBox] = []
    for person in sorted(people, key=lambda person: -person.score):
        if not any(_same(person, other) for other in kept):
            kept.append(person)
    return sorted(kept, key=lambda person: -person.size_score)


def _same(a: PersonBox, b: PersonBox) -> bool:
    distance = math.hypot(a.square.x - b.square.x, a.square.y - b.square.y)
    near = distance < 0.15 * min(a.square.side, b.square.side)
    return bool(near or overlap(a.head, b.head[None])[0] > 0.3)


def _confirmed(rgb: np.ndarray, people: list[PersonBox], visible: float) -> list[PersonBox]:
    """Those of the best candidates in whom the landmark network sees a person, twice and at rest."""
    best = sorted(people, key=lambda person: -person.score)[:MOST_CONFIRMED]
    return [person for person in best if _is_person(rgb, person.square, visible)]


def _is_person(rgb: np.ndarray, square: Square, visible: float) -> bool:
    first = read_pose(rgb, square, passes=1)
    if first.score < PRESENCE_FLOOR:
        return False
    second = read_pose(rgb, first.next_square, passes=1)
    now, then = second.square, second.next_square
    drift = math.hypot(then.x - now.x, then.y - now.y) / now.side
    crisp = float((np.abs(second.mask - 0.5) > 0.4).mean())
    return (
        second.score >= PRESENCE_FLOOR
        and drift <= CONFIRM_DRIFT
        and crisp >= CONFIRM_CRISP
        and float(second.visibility.mean()) >= visible
    )


def _closer(rgb: np.ndarray, person: PersonBox) -> PersonBox:
    """The same person seen in a view of one and a half squares; unchanged when that view does not show them."""
    if person.square.side > SMALL * max(rgb.shape[:2]):
        return person
    view = person.square.scaled(1.5)
    for again in _people(DETECTOR.find(rgb, view), rgb.shape):
        if _same(person, again):
            return again
    return person
