"""The records of HGM on its released networks: points of a body model, and the person from behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from pipelines.records import (
    Floats,
    Record,
    expect,
    on_white,
    read_arrays,
    read_image,
    read_json,
    write_arrays,
    write_image,
    write_json,
)

FITTED, GIVEN, STAND_IN = "fitted", "given", "stand-in"


@dataclass(frozen=True)
class BodyPoints(Record):
    """The points that the tokens of a network belong to, in the body model's own order.

    points: (M, 3) float32 metres, OpenCV frame of the photo's camera. pelvis: (3,) its root joint there. facts: source
    (FITTED to our body, GIVEN by a file, or STAND_IN: other points than the network was made for), model, errors.
    """

    kind: ClassVar[str] = "body_points"
    points: Floats
    pelvis: Floats
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect("BodyPoints.points", self.points, (None, 3))
        expect("BodyPoints.pelvis", self.pelvis, (3,))

    @property
    def source(self) -> str:
        """FITTED, GIVEN or STAND_IN."""
        return str(self.facts.get("source", GIVEN))

    def save(self, folder: Path) -> None:
        write_arrays(folder / "points.npz", {"points": self.points, "pelvis": self.pelvis})
        write_json(folder / "points.json", self.facts)

    @classmethod
    def load(cls, folder: Path) -> BodyPoints:
        return cls(**read_arrays(folder / "points.npz"), facts=read_json(folder / "points.json"))

    @classmethod
    def from_npz(cls, path: Path) -> BodyPoints:
        """An NPZ with `points` (or `vertices`) (M, 3) and `pelvis` (3,), both metres in the photo camera's OpenCV frame.

        ValueError when one is missing, is not finite, or lies behind the camera.
        """
        found = read_arrays(path)
        points = found.get("points", found.get("vertices"))
        if points is None or "pelvis" not in found:
            raise ValueError("it needs 'vertices' (M, 3) and 'pelvis' (3,), metres in the photo camera's OpenCV frame")
        made = cls(points.astype(np.float32), found["pelvis"].astype(np.float32), {"source": GIVEN, "model": path.name})
        if not (np.isfinite(made.points).all() and np.isfinite(made.pelvis).all()):
            raise ValueError("it holds numbers that are not finite")
        if made.pelvis[2] <= 0:
            raise ValueError(f"its pelvis has depth {made.pelvis[2]:.3g} m; the person stands in front of the camera")
        return made


@dataclass(frozen=True)
class BackView(Record):
    """The person from HGM's camera behind, azimuth 180 degrees: network frame, pelvis in the middle.

    coarse: (S, S, 4) straight alpha, the coarse Gaussians drawn, all 0 when the pictures came from outside. images:
    (n, S, S, 3) 0..1, the variants to pick from. facts: refiner, its settings and seeds, stand_in.
    """

    kind: ClassVar[str] = "back_view"
    coarse: Floats
    images: Floats
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect("BackView.coarse", self.coarse, (None, self.coarse.shape[0], 4))
        expect("BackView.images", self.images, (None, *self.coarse.shape[:2], 3))
        if not len(self.images):
            raise ValueError("A view from behind came without a picture; it needs one or more.")

    def save(self, folder: Path) -> None:
        write_image(folder / "coarse.png", self.coarse)
        for i, image in enumerate(self.images):
            write_image(folder / f"variant_{i + 1:02d}.png", image)
        write_json(folder / "back.json", {"variants": len(self.images), "facts": self.facts})

    @classmethod
    def load(cls, folder: Path) -> BackView:
        said = read_json(folder / "back.json")
        images = [read_image(folder / f"variant_{i + 1:02d}.png") for i in range(int(said["variants"]))]
        return cls(read_image(folder / "coarse.png"), np.stack(images), said["facts"])

    @classmethod
    def from_picture(cls, image: Image.Image, size: int = 512) -> BackView:
        """A square picture of the person from behind, framed like `coarse.png` of this step; transparency becomes white.

        ValueError when it is not square or smaller than 64 pixels.
        """
        if image.width != image.height or image.width < 64:
            raise ValueError(
                f"it is {image.width} x {image.height} pixels; it needs a square of at least 64, framed like coarse.png"
            )
        rgba = np.asarray(image.convert("RGBA").resize((size, size), Image.Resampling.LANCZOS), np.float32) / 255.0
        facts = {"refiner": "given", "stand_in": False}
        return cls(np.zeros((size, size, 4), np.float32), on_white(rgba)[None].astype(np.float32), facts)
