"""What leaves together: the records of one run, as every writer receives them.

A writer is `write(bundle, path) -> str`: it writes one format to `path` and returns one sentence about what
was written. It asks for what it needs with `need`, so that a run that has not come so far says what is
missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Body, Cutout, Keypoints, Mesh, Photo, Record, Splats, ViewSet
from pipelines.step import UserError

# The frame of every 3D file that we write; each format says it where it has a place for words.
FRAME = (
    "Right-handed, metres, +y up, the ground at y = 0, the person faces +z and has the left hand at +x; "
    "the origin lies below the pelvis."
)

STAND_IN = "STAND-IN: made by networks of made-up numbers, so this is noise and no person."

Name = Literal["photo", "cutout", "keypoints", "body", "splats", "mesh", "turntable"]

# Which step of a run makes a part, for the sentence that says what to do.
_MADE_BY = {
    "photo": "photo", "cutout": "matte", "keypoints": "keypoints", "body": "body.fit",
    "splats": "splats", "mesh": "mesh", "turntable": "turntable",
}  # fmt: skip


@dataclass(frozen=True)
class Bundle:
    """The parts of one run; what a run does not have is None.

    run: the content of run.json. command: the command line that reproduces the run.
    """

    photo: Photo | None = None
    cutout: Cutout | None = None
    keypoints: Keypoints | None = None
    body: Body | None = None
    splats: Splats | None = None
    mesh: Mesh | None = None
    turntable: ViewSet | None = None
    run: dict[str, Any] = field(default_factory=dict)
    command: str = ""

    def has(self, *names: str) -> bool:
        """Whether all the named parts are there."""
        return all(getattr(self, name) is not None for name in names)


def words(bundle: Bundle) -> str:
    """What a file says of itself where it has a place for words: its frame, and that a stand-in made it."""
    return f"{FRAME} {STAND_IN}" if bundle.run.get("preset") == "tiny" else FRAME


@overload
def need(bundle: Bundle, name: Literal["photo"]) -> Photo: ...
@overload
def need(bundle: Bundle, name: Literal["cutout"]) -> Cutout: ...
@overload
def need(bundle: Bundle, name: Literal["keypoints"]) -> Keypoints: ...
@overload
def need(bundle: Bundle, name: Literal["body"]) -> Body: ...
@overload
def need(bundle: Bundle, name: Literal["splats"]) -> Splats: ...
@overload
def need(bundle: Bundle, name: Literal["mesh"]) -> Mesh: ...
@overload
def need(bundle: Bundle, name: Literal["turntable"]) -> ViewSet: ...
def need(bundle: Bundle, name: Name) -> Record:
    """The named part of the bundle; UserError with a sentence when the run does not have it."""
    part = getattr(bundle, name)
    if part is None:
        step = _MADE_BY[name]
        raise UserError(f"This run has no {name} yet; run it at least as far as the step '{step}', then export.")
    return part


def pivot(body: Body) -> NDArray[np.float64]:
    """(3,) the pelvis joint in world metres: the point that cameras walk around, also those of the turntable."""
    matrix = np.asarray(body["world_from_camera"], np.float64)
    return matrix[:3, :3] @ np.asarray(body["root_translation"], np.float64) + matrix[:3, 3]
