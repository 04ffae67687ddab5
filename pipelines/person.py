"""Who is in the picture: the pose network finds people, and reads landmarks and a mask of one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Person, Photo
from pipelines.step import Context, UserError, knob, step


@dataclass(frozen=True)
class PersonParams:
    which: int = knob(0, "Which person: 0 is the largest, 1 the next, and so on.", low=0, high=20)
    passes: int = knob(2, "How often the landmark network looks; the second look is more precise.", low=1, high=4)


@step("person", version=2, title="Person", weights=["landmarks"])
def person(photo: Photo, params: PersonParams, ctx: Context) -> Person:
    """The largest person in the photo (or the one you choose), with 33 landmarks and a coarse mask."""
    from pipelines.landmarks.graph import WEIGHTS, networks_from
    from pipelines.landmarks.pose import Square, find_people, read_pose, seen_in

    rgb = visible(photo)
    ctx.progress(0.05, "looking for people")
    with networks_from(ctx.weight_file("landmarks")):
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
    if len(squares) > 1:
        taken = "the largest" if params.which == 0 else f"number {params.which}"
        ctx.warn(f"{len(squares)} people are in the picture; {taken} was taken. Choose another with person.which.")
    ctx.progress(0.3, "reading the pose")
    with networks_from(ctx.weight_file("landmarks")):
        reading = read_pose(rgb, squares[params.which], passes=params.passes)
        # The lift was taught on what the shipped network reads; another one's numbers would mean something else to it.
        seen = seen_in(rgb, reading.square) if ctx.weight_file("landmarks") == WEIGHTS else None
    if float(reading.score) < 0.5 and scores[params.which] == 0.0:
        raise UserError("Nobody was found in this cut-out; use one that shows a person from head to feet.")
    square = reading.square
    return Person(
        np.stack(boxes).astype(np.float32), np.array(scores, np.float32), params.which,
        np.array([square.x, square.y, square.side, square.rotation], np.float32),
        np.concatenate([reading.landmarks, reading.visibility[:, None], reading.presence[:, None]], 1).astype(np.float32),
        reading.world.astype(np.float32), reading.mask.astype(np.float32), reading.mask_from_photo.astype(np.float32),
        "BlazePose GHUM 3D heavy", seen,
    )  # fmt: skip


def visible(photo: Photo) -> NDArray[np.float32]:
    """(H, W, 3): the photo as the networks should see it; a cut-out lies on white."""
    if photo.alpha is None:
        return photo.rgb
    alpha = photo.alpha[..., None]
    return photo.rgb * alpha + (1.0 - alpha)


def box_of(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(4,) left, top, right, bottom px of the true pixels; the whole picture when there are none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return np.array([0, 0, mask.shape[1], mask.shape[0]], np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
