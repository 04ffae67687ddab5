"""A person for systems that start from pictures of several sides: the same truth, exact views instead of a photo."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile

import numpy as np
from PIL import Image

from pipelines.evaluate.subject import Subject
from pipelines.geometry.orthographic import OrthographicCamera
from pipelines.records import Upload, to_bytes
from pipelines.views.archive import unpack
from pipelines.views.front import front_view, ordinary_camera, picture_size
from pipelines.views.readers import Wishes, read_views
from training.people.draw import view_of
from training.people.ortho import MIRRORED, OrthoViews, as_picture, box_of, camera_at, ortho_views
from training.people.outer_surface import outer_surface
from training.people.scene import Scene
from training.people.subjects import Portrait, portrait
from training.people.truth import seen_by

PIXELS = 768
PHOTO = 844  # px at most of the front view that the scores compare with
LABELS = ("front", "right", "back", "left")
TO_DISPLAY = np.diag([1.0, -1.0, -1.0, 1.0])  # the camera that a figure's body is written for


def subject_of_views(seed: int, *, views: int = 12, size: int = 256) -> Subject:
    """As `training.people.subject`, but `upload` is an archive of four exact orthographic views with their cameras, and
    the photo is what the front one shows."""
    made = portrait(seed, long_side=256)
    upload = Upload(archive_of(made.scene), f"person-{seed:04d}.zip")
    front = front_view(read_views(unpack(upload), Wishes()))
    camera = ordinary_camera(front, picture_size(front, PHOTO))
    figure = made.figure.body
    body = dataclasses.replace(figure, arrays={**figure.arrays, "world_from_camera": TO_DISPLAY})
    facts = {**made.facts, "azimuth": 0.0, "views": views}
    return Subject(
        seed, upload, view_of(made.scene, camera), from_the_front(made).views(views, size), seen_by(body, camera),
        outer_surface(made.scene), made.scene.label_names, facts,
    )  # fmt: skip


def from_the_front(made: Portrait) -> Portrait:
    """The portrait taken from azimuth 0."""
    return dataclasses.replace(made, shot=dataclasses.replace(made.shot, azimuth=0.0))


def archive_of(scene: Scene) -> bytes:
    """A ZIP of the four views, colours with alpha and normals, with a cameras.json in the display frame."""
    drawn: OrthoViews = ortho_views(scene, 0.0, PIXELS)
    middle, metres = box_of(scene.points, 0.0)
    rows, buffer = [], io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for i, label in enumerate(LABELS):
            step = -1 if i in MIRRORED else 1
            normal = np.dstack([as_picture(drawn.normal[i]), drawn.colour[i][..., 3]])
            for kind, image in (("color", drawn.colour[i]), ("normal", normal)):
                put(archive, f"{kind}_{label}.png", png(image[:, ::step]))
            camera = OrthographicCamera(
                PIXELS / metres, np.full(2, PIXELS / 2), PIXELS, PIXELS, camera_at(middle, 90.0 * i)
            )
            rows.append({"label": label, "colour": f"color_{label}.png", "normal": f"normal_{label}.png",
                         "camera": camera.to_json(), "photo": i == 0})  # fmt: skip
        put(archive, "cameras.json", json.dumps({"views": rows}).encode())
    return buffer.getvalue()


def put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """A member with a fixed date: equal people give equal bytes."""
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)


def png(image: np.ndarray) -> bytes:
    """(H, W, C) floats 0..1 -> PNG."""
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(np.ascontiguousarray(image))).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
