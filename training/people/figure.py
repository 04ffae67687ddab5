"""A dressed, posed person as geometry with materials: what the wardrobe makes and the renderer draws.

Frame: display (y up, ground y = 0, metres, the person facing +z). Units: metres.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Body

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """How a part looks.

    kind: 'skin', 'cloth', 'hair', 'eye', 'leather', 'metal'. texture: name of a picture of the pack, or None for one
    drawn from `pattern`. pattern: the drawing's recipe ('plain', 'stripes', 'check', 'denim', 'print', ... and its
    numbers), seeded. tint: (3,) sRGB 0..1 that the median of the texture becomes, or None. metres_per_uv: size of one
    UV unit on the surface, so that patterns are drawn at true size. cutout: alpha below this is not there (hair cards).
    """

    kind: str
    texture: str | None = None
    pattern: dict[str, Any] = field(default_factory=dict)
    tint: tuple[float, float, float] | None = None
    metres_per_uv: float = 1.5
    cutout: float | None = None
    gloss: float = 0.0


@dataclass(frozen=True)
class Part:
    """One garment, hair piece, or the skin. vertices: (V, 3) posed. faces: (F, 3) int32 outwards. uv: (U, 2) 0..1,
    origin bottom left. uv_faces: (F, 3) int32 into uv. label: what it is ('skin', 'top', 'trousers', 'skirt', 'dress',
    'coat', 'shoes', 'hair', 'hat', 'bag', ...). two_sided: drawn from both sides (single layers of cloth, hair)."""

    label: str
    vertices: Floats
    faces: NDArray[np.int32]
    uv: Floats
    uv_faces: NDArray[np.int32]
    material: Material
    two_sided: bool = False


@dataclass(frozen=True)
class Figure:
    """Everything of one person. body: the true Body record but for its camera, which belongs to the photo (here: the
    identity pose of the display frame; `training.people.subject` sets it). facts: JSON-ready (height_m, family, pose,
    garments, loose, penetration_mm, ...)."""

    seed: int
    parts: tuple[Part, ...]
    body: Body
    facts: dict[str, Any]


def compact(part: Part) -> Part:
    """Without the vertices that no face uses."""
    used = np.zeros(len(part.vertices), bool)
    used[part.faces] = True
    place = np.cumsum(used) - 1
    return replace(part, vertices=part.vertices[used], faces=place[part.faces].astype(np.int32))
