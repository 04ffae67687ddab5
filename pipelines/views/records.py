"""The records of the system `views`: pictures with cameras, and a bare surface."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.geometry.cameras import Camera
from pipelines.geometry.orthographic import OrthographicCamera, pinhole
from pipelines.records import (
    Floats,
    Record,
    expect,
    read_arrays,
    read_image,
    read_json,
    to_bytes,
    write_arrays,
    write_image,
    write_json,
)

AnyCamera = Camera | OrthographicCamera


@dataclass(frozen=True)
class PosedView:
    """One picture of the person.

    rgba: (H, W, 4) 0..1, straight alpha = the person. camera: display frame, metres. normal: (H, W, 3) unit normals
    in the display frame, 0 outside, or None. photo: the pixels are a photo's, not a generator's. close_up: it shows
    a part of the person only, and says nothing about the rest.
    """

    label: str
    rgba: Floats
    camera: AnyCamera
    normal: Floats | None = None
    photo: bool = False
    close_up: bool = False

    def __post_init__(self) -> None:
        shape = (self.camera.height, self.camera.width)
        expect(f"The picture of view '{self.label}'", self.rgba, (*shape, 4))
        if self.normal is not None:
            expect(f"The normals of view '{self.label}'", self.normal, (*shape, 3))

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) where the person is."""
        return self.rgba[..., 3] > 0.5

    @property
    def pinhole(self) -> Camera:
        """The camera, or a pinhole so distant that it shows the same."""
        return pinhole(self.camera)


@dataclass(frozen=True)
class Views(Record):
    """Pictures of one person from stated cameras, in the display frame, metres.

    views: in the order in which they came. facts: source ('synchuman', ...), height_m, mirrored views that were
    turned back, and what is not known.
    """

    kind: ClassVar[str] = "posed_views"
    views: tuple[PosedView, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> tuple[PosedView, ...]:
        """The views that show the whole person."""
        return tuple(v for v in self.views if not v.close_up)

    def save(self, folder: Path) -> None:
        rows = []
        for i, view in enumerate(self.views):
            write_image(folder / f"colour_{i:03d}.png", view.rgba)
            if view.normal is not None:
                write_normals(folder / f"normal_{i:03d}.png", view.normal)
            kind = "orthographic" if isinstance(view.camera, OrthographicCamera) else "pinhole"
            rows.append({
                "label": view.label, "camera": view.camera.to_json(), "kind": kind, "photo": view.photo,
                "close_up": view.close_up, "normal": view.normal is not None,
            })  # fmt: skip
        write_json(folder / "views.json", {"views": rows, "facts": self.facts})

    @classmethod
    def load(cls, folder: Path) -> Views:
        data = read_json(folder / "views.json")
        views = []
        for i, row in enumerate(data["views"]):
            camera_type: Any = OrthographicCamera if row["kind"] == "orthographic" else Camera
            rgba = read_image(folder / f"colour_{i:03d}.png")
            normal = read_normals(folder / f"normal_{i:03d}.png") if row["normal"] else None
            views.append(PosedView(row["label"], rgba, camera_type.from_json(row["camera"]), normal, row["photo"],
                                   row["close_up"]))  # fmt: skip
        return cls(tuple(views), data["facts"])


@dataclass(frozen=True)
class Shape(Record):
    """A closed surface without texture. vertices: (V, 3) float32 m, display frame. faces: (F, 3) int32, outwards."""

    kind: ClassVar[str] = "shape"
    vertices: Floats
    faces: NDArray[np.int32]

    def __post_init__(self) -> None:
        expect("Shape.vertices", self.vertices, (None, 3))
        expect("Shape.faces", self.faces, (None, 3))

    def save(self, folder: Path) -> None:
        write_arrays(folder / "shape.npz", {"vertices": self.vertices, "faces": self.faces})

    @classmethod
    def load(cls, folder: Path) -> Shape:
        return cls(**read_arrays(folder / "shape.npz"))


def write_normals(path: Path, normal: Floats) -> None:
    """(H, W, 3) unit normals, 0 outside -> 8-bit PNG with (n + 1) / 2; outside is exactly mid-grey (128).

    What is read back is written as the same bytes: rounding and scaling to unit length take turns until neither
    changes anything (projections to a grid and to a sphere: the distance between the two never grows).
    """
    inside = normal.any(-1, keepdims=True)
    coded = to_bytes(np.where(inside, normal * 0.5 + 0.5, 128 / 255))
    for _ in range(16):
        before = coded
        coded = to_bytes(np.where(inside, decoded(coded) * 0.5 + 0.5, 128 / 255))
        if (coded == before).all():
            break
    write_image(path, coded.astype(np.float32) / 255.0)


def read_normals(path: Path) -> Floats:
    """The inverse of `write_normals`, to 0.4 degrees."""
    with Image.open(path) as image:
        return decoded(np.asarray(image)[..., :3])


def decoded(coded: NDArray[np.uint8]) -> Floats:
    """(H, W, 3) bytes -> unit normals, 0 outside."""
    return unit_normals(coded.astype(np.float32) / 255.0 * 2.0 - 1.0)


def unit_normals(normal: NDArray[np.floating]) -> Floats:
    """(H, W, 3) -> unit length; what is shorter than 0.3 is taken as empty (0)."""
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where(length > 0.3, normal / np.maximum(length, 1e-6), 0.0).astype(np.float32)
