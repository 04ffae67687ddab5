"""One seed, one person: figure, light, photo, views, body, surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluate.subject import Subject, Surface, View
from pipelines.records import Upload
from training.people.background import KINDS, behind, composed
from training.people.draw import photographed, view_of
from training.people.fabric import encoded
from training.people.figure import Figure
from training.people.grow import figure as grown
from training.people.grow import pack_place
from training.people.lens import developed, jpeg
from training.people.light import lights_of
from training.people.outer_surface import outer_surface
from training.people.scene import Scene, scene_of
from training.people.streams import choose, stream
from training.people.truth import seen_by
from training.people.views import Shot, orbit, shot


@dataclass(frozen=True)
class Portrait:
    """A person in front of the photo's camera. pixels (H, W, 3) uint8: the photo before JPEG."""

    figure: Figure
    scene: Scene
    shot: Shot
    photo: View
    pixels: NDArray[np.uint8]
    facts: dict[str, Any]

    @property
    def pelvis(self) -> NDArray[np.float64]:
        """(3,) metres, display frame."""
        place = self.figure.body["root_translation"].astype(np.float64)
        matrix = np.asarray(self.figure.body["world_from_camera"], np.float64)
        return matrix[:3, :3] @ place + matrix[:3, 3]

    def views(self, count: int, size: int) -> tuple[View, ...]:
        """HGM's cameras, the first on the photo's side."""
        return tuple(view_of(self.scene, c) for c in orbit(self.pelvis, self.shot.azimuth, count, size))


def subject(seed: int, *, views: int = 12, size: int = 256) -> Subject:
    """The person of a seed, with everything; see `pipelines.evaluate.subject.Subject`.

    views: cameras around the person (HGM's, the first on the photo's side), size: their pixels. ValueError for a
    seed that there is no person of.
    """
    made = portrait(seed)
    surface = outer_surface(made.scene)
    data = jpeg(made.pixels, stream(seed, "jpeg"))
    body = seen_by(made.figure.body, made.shot.camera)
    return Subject(seed, Upload(data, f"person-{seed:04d}.jpg"), made.photo, made.views(views, size), body, surface,
                   made.scene.label_names, {**made.facts, "views": views, "surface_m2": _area(surface)})  # fmt: skip


def portrait(seed: int, *, long_side: int | None = None) -> Portrait:
    """Figure, baked scene and photo of a seed. long_side: of the photo in pixels; None draws 768-1280.

    Everything but the grids of the photo and the textures is the same at any `long_side`.
    """
    pack = pack_place()
    figure, taken = before_the_camera(seed, long_side)
    scene = scene_of(figure, pack, lights_of(stream(seed, "light"), taken.azimuth),
                     halved=long_side is not None and long_side < 600)  # fmt: skip
    picture = photographed(scene, taken.camera)
    rgba = np.dstack([encoded(picture.linear[..., :3]), picture.linear[..., 3]]).astype(np.float32)
    photo = View(taken.camera, rgba, picture.first, picture.last, picture.normal, picture.label, picture.uv)
    setting = stream(seed, "background")
    kind = choose(setting, KINDS)
    image = behind(kind, taken.camera, scene.occluders, scene.lights.keys[0], setting)
    pixels = developed(composed(picture.linear, image), stream(seed, "camera"))
    return Portrait(figure, scene, taken, photo, pixels, facts_of(figure, taken, kind))


def before_the_camera(seed: int, long_side: int | None) -> tuple[Figure, Shot]:
    """The figure of a seed, and how it is photographed."""
    figure = grown(seed, pack_place())
    asked = figure.facts.get("azimuth")
    points = np.concatenate([p.vertices for p in figure.parts]).astype(np.float64)
    height = float(figure.facts.get("height_m", 0.0))
    return figure, shot(stream(seed, "photo"), points, None if asked is None else float(asked), long_side, height)


def facts_of(figure: Figure, taken: Shot, background: str) -> dict[str, Any]:
    """What is known of a person and the photo, as JSON would hold it."""
    return {
        **figure.facts, "seed": figure.seed, "azimuth": taken.azimuth,
        "fov": round(float(taken.fov), 3), "fill": round(float(taken.fill), 4),
        "cut": taken.cut, "roll": round(float(taken.roll), 3), "background": background,
        "photo_size": [taken.camera.width, taken.camera.height],
    }  # fmt: skip


def facts(seed: int) -> dict[str, Any]:
    """The facts of a person without drawing anything (0.1 s): what a search over people chooses by."""
    figure, taken = before_the_camera(seed, None)
    return facts_of(figure, taken, choose(stream(seed, "background"), KINDS))


def _area(surface: Surface) -> float:
    a, b, c = (surface.vertices[surface.faces[:, k]].astype(np.float64) for k in range(3))
    return round(float(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()), 4)
