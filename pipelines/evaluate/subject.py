"""A person with complete truth: what an evaluation compares a run with, and what training learns from.

Frames: everything of the truth is in the display frame (y up, ground at y = 0, metres, the person facing +z when seen
from azimuth 0), except depths, which are z in the frame of their own camera. The photo's camera may look at the person
from any side; `azimuth` says from which.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.records import Body, Upload

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Surface:
    """A watertight surface without texture. vertices: (V, 3) float32 m, display frame. faces: (F, 3) int32, outwards."""

    vertices: Floats
    faces: NDArray[np.int32]


@dataclass(frozen=True)
class View:
    """One rendered picture with its truth.

    rgba: (H, W, 4) 0..1 straight alpha. first, last: (H, W) z depth of the first and last surface, m, 0 outside.
    normal: (H, W, 3) of the first surface, unit, display frame, 0 outside. label: (H, W) uint8 into
    `Subject.label_names`, 255 outside. uv: (H, W, 2) 0..1 of the first surface, 0 outside.
    """

    camera: Camera
    rgba: Floats
    first: Floats
    last: Floats
    normal: Floats
    label: NDArray[np.uint8]
    uv: Floats


@dataclass(frozen=True)
class Subject:
    """One synthetic person.

    upload: the photo as a visitor would drop it (JPEG with background). photo: the same camera without background,
    camera response, blur, noise and JPEG; at the photo's size. views: others, square, for example HGM's twelve. body:
    the true body, as `body.fit` would have to find it (its camera is the photo's). surface: the outermost surface, with
    clothes and hair. facts: seed, height_m, pose, family, azimuth, garments, loose (bool), penetration_mm, ... as
    JSON would hold them.
    """

    seed: int
    upload: Upload
    photo: View
    views: tuple[View, ...]
    body: Body
    surface: Surface
    label_names: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)


class People(Protocol):
    """A source of subjects: `training.people` is one."""

    def subject(self, seed: int, *, views: int = 12, size: int = 256) -> Subject:
        """The person of a seed: the same bytes on every machine. ValueError for a seed that it does not have."""
        ...
