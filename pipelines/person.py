"""Who is in the picture: the pose network finds people, and reads landmarks and a mask of one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Person, Photo
from pipelines.step import Context, UserError, knob, step

if TYPE_CHECKING:
    from pipelines.landmarks.pose import PoseReading

WHITE, OTHERS = 1.0, (0.25, 0.5, 0.0)  # greys that a cut-out is laid on
LARGE = (11, 12, 23, 24, 25, 26, 27, 28)  # shoulders, hips, knees, ankles
UNSEEN = 0.5  # a visibility below this: the joint was not found


@dataclass(frozen=True)
class PersonParams:
    which: int = knob(0, "Which person: 0 is the largest, 1 the next, and so on.", low=0, high=20)
    passes: int = knob(2, "How often the landmark network looks; the second look is more precise.", low=1, high=4)


class Look(NamedTuple):
    """What the networks found on one ground. rgb (H, W, 3): what they saw. boxes, scores: of all people, the largest
    first; reading: of the one wanted."""

    rgb: NDArray[np.float32]
    boxes: list[NDArray[np.float32]]
    scores: list[float]
    reading: PoseReading

    @property
    def weakest(self) -> float:
        """How surely the least visible of the large joints was seen, 0..1."""
        return float(self.reading.visibility[list(LARGE)].min())

    @property
    def surety(self) -> float:
        """How surely the large joints were seen in the mean, 0..1."""
        return float(self.reading.visibility[list(LARGE)].mean())


@step("person", version=3, title="Person", weights=["landmarks"])
def person(photo: Photo, params: PersonParams, ctx: Context) -> Person:
    """The largest person in the photo (or the one you choose), with 33 landmarks and a coarse mask."""
    from pipelines.landmarks.graph import WEIGHTS, networks_from
    from pipelines.landmarks.pose import seen_in

    ctx.progress(0.05, "looking for people")
    with networks_from(ctx.weight_file("landmarks")):
        look = looked_at(photo, WHITE, params)
        if photo.alpha is not None and len(look.boxes) == 1 and look.weakest < UNSEEN:
            ctx.progress(0.4, "looking again, on other grounds")
            others = [looked_at(photo, ground, params) for ground in OTHERS]
            look = max(look, *(other for other in others if len(other.boxes) == 1), key=lambda found: found.surety)
        # The lift was taught on what the shipped network reads; another one's numbers would mean something else to it.
        own = ctx.weight_file("landmarks") == WEIGHTS
        seen = seen_in(look.rgb, look.reading.square) if own else None
    if len(look.boxes) > 1:
        taken = "the largest" if params.which == 0 else f"number {params.which}"
        ctx.warn(f"{len(look.boxes)} people are in the picture; {taken} was taken. Choose another with person.which.")
    reading = look.reading
    if float(reading.score) < 0.5 and look.scores[params.which] == 0.0:
        raise UserError("Nobody was found in this cut-out; use one that shows a person from head to feet.")
    square = reading.square
    return Person(
        np.stack(look.boxes).astype(np.float32), np.array(look.scores, np.float32), params.which,
        np.array([square.x, square.y, square.side, square.rotation], np.float32),
        np.concatenate([reading.landmarks, reading.visibility[:, None], reading.presence[:, None]], 1).astype(np.float32),
        reading.world.astype(np.float32), reading.mask.astype(np.float32), reading.mask_from_photo.astype(np.float32),
        "BlazePose GHUM 3D heavy", seen,
    )  # fmt: skip


def looked_at(photo: Photo, ground: float, params: PersonParams) -> Look:
    """Who is there, and the landmarks of the one wanted; a cut-out lies on the grey `ground`. UserError where nobody is,
    or not so many."""
    from pipelines.landmarks.pose import Square, find_people, read_pose

    rgb = visible(photo, ground)
    people = find_people(rgb)
    squares = [p.square for p in people]
    boxes = [np.asarray(p.box, np.float32) for p in people]
    scores = [float(p.score) for p in people]
    if not people and photo.alpha is not None:
        # A cut-out holds somebody by definition: look at the whole of it.
        box = box_of(photo.alpha > 0.5)
        side = 1.25 * float(max(box[2] - box[0], box[3] - box[1]))
        squares = [Square(float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2, side, 0.0)]
        boxes, scores = [box], [0.0]
    if not squares:
        raise UserError("Nobody was found in this picture; use a photo that shows one person from head to feet.")
    if params.which >= len(squares):
        raise UserError(
            f"person.which came as {params.which}, but {len(squares)} "
            f"{'person was' if len(squares) == 1 else 'people were'} found; choose 0 to {len(squares) - 1}."
        )
    return Look(rgb, boxes, scores, read_pose(rgb, squares[params.which], passes=params.passes))


def visible(photo: Photo, ground: float = WHITE) -> NDArray[np.float32]:
    """(H, W, 3): the photo as the networks should see it; a cut-out lies on a grey, usually white."""
    if photo.alpha is None:
        return photo.rgb
    alpha = photo.alpha[..., None]
    return np.asarray(photo.rgb * alpha + np.float32(ground) * (1.0 - alpha), np.float32)


def box_of(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(4,) left, top, right, bottom px of the true pixels; the whole picture when there are none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return np.array([0, 0, mask.shape[1], mask.shape[0]], np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
