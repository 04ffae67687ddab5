"""Painted bodies as people with complete truth, and a toy system that knows them, for tests of the evaluation.

Chosen by putting "toy" -> "tests.toy_people" into pipelines.systems.SYSTEMS. The system looks the person up by the bytes
of the photo; its knobs plant errors of known size.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from pipelines.body.joints import body22
from pipelines.body.rig import default_rig
from pipelines.evaluate.images import on_white
from pipelines.evaluate.subject import Subject, Surface, View
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import interpolate, rasterise_layers, vertex_normals
from pipelines.projection.turntable import pivot
from pipelines.recipe import Recipe
from pipelines.records import Body, Cutout, Mesh, Photo, Splats, Upload, to_bytes
from pipelines.step import Context, UserError, knob, step
from tests.painted_person import painted_person
from tests.painted_person import view as painted_view

POSES = ("standing", "walking", "arm_up")
KNOWN: dict[str, int] = {}


def facts(seed: int) -> dict[str, Any]:
    """What is known of a person before it is made."""
    return {"seed": seed, "pose": POSES[seed % 3], "azimuth": float(seed * 40 % 360), "garments": ["stripes"]}


@lru_cache(maxsize=20)
def subject(seed: int, *, views: int = 12, size: int = 256) -> Subject:
    """A painted body in one of three poses, turned by 40 degrees per seed."""
    if not 9000 <= seed < 10000:
        raise ValueError(f"there are no toy people below 9000, and {seed} came")
    known = facts(seed)
    person = painted_person(known["pose"], known["azimuth"], 144, 192)
    body = dataclasses.replace(person["body"], arrays={
        **person["body"].arrays, "body22_cam": np.asarray(body22(default_rig(), person["body"]["joints_cam"]), np.float32),
    })  # fmt: skip
    cameras = [body.camera.square(size).orbited(360.0 * i / views, None, pivot(body)) for i in range(views)]
    photo = view_of(person, body.camera)
    picture = io.BytesIO()
    Image.fromarray(to_bytes(on_white(photo.rgba).astype(np.float32))).save(picture, "PNG")
    KNOWN[hashlib.sha256(picture.getvalue()).hexdigest()] = seed
    surface = Surface(person["vertices"].astype(np.float32), person["faces"])
    return Subject(
        seed, Upload(picture.getvalue(), f"{seed}.png"), photo, tuple(view_of(person, c) for c in cameras), body, surface,
        ("body",), known,
    )  # fmt: skip


def view_of(person: dict[str, Any], camera: Camera) -> View:
    """The truth in a camera."""
    first, last = rasterise_layers(person["vertices"], person["faces"], camera)
    normal = interpolate(first, person["faces"], vertex_normals(person["vertices"], person["faces"]))
    label = np.where(first.mask, 0, 255).astype(np.uint8)
    uv = np.zeros((*first.depth.shape, 2), np.float32)
    return View(camera, painted_view(person, camera, 3), first.depth, last.depth, normal, label, uv)


@dataclass(frozen=True)
class PhotoParams:
    """No knobs that matter."""


@step("photo", version=1, title="Photo")
def photo(upload: Upload, params: PhotoParams, ctx: Context) -> Photo:
    """The picture, with whom it shows among its facts."""
    digest = hashlib.sha256(upload.data).hexdigest()
    if digest not in KNOWN:
        raise UserError("The toy system knows only toy people; give it one of theirs.")
    rgb = np.asarray(Image.open(io.BytesIO(upload.data)).convert("RGB"), np.float32) / 255
    return Photo(rgb, None, {"who": KNOWN[digest]})


@step("matte", version=1, title="Cut-out")
def matte(photo: Photo, params: PhotoParams, ctx: Context) -> Cutout:
    """The true one."""
    return Cutout(subject(photo.facts["who"]).photo.rgba)


@dataclass(frozen=True)
class BodyParams:
    """Planted errors of the body."""

    zoom: float = knob(1.0, "Factor on the focal length and on the distance.", low=0.5, high=2.0)
    size: float = knob(1.0, "Factor on distance and size.", low=0.5, high=2.0)
    fails: str = knob("", "A pose for which the fit gives up.")


@step("body.fit", version=1, title="Body")
def body_fit(photo: Photo, params: BodyParams, ctx: Context) -> Body:
    """The true body seen through another lens, or by a smaller person who is nearer: the same photo."""
    truth = subject(photo.facts["who"]).body
    if params.fails == facts(photo.facts["who"])["pose"]:
        raise UserError("The toy fit gives up on this pose, as it was told to.")
    K = truth["K"].copy()
    K[[0, 1], [0, 1]] *= params.zoom
    root = truth["root_translation"]
    moved = root * params.size + root * (params.zoom - 1.0)
    arrays = {**truth.arrays, "K": K, "root_translation": moved.astype(np.float32)}
    for name in ("joints_cam", "body22_cam"):
        arrays[name] = ((truth[name] - root) * params.size + moved).astype(np.float32)
    return Body(arrays, truth.texts)


@dataclass(frozen=True)
class SplatsParams:
    """Planted errors of the picture."""

    weak: str = knob("", "A pose in which the system paints everything green.")
    bald: bool = knob(False, "Leaves out everything above the neck.")


@step("splats", version=1, title="Splats", kind="generated")
def splats(photo: Photo, body_fit: Body, params: SplatsParams, ctx: Context) -> Splats:
    """One Gaussian per vertex of the truth, carried to where the body is."""
    who = photo.facts["who"]
    true = subject(who)
    known = facts(who)
    person = painted_person(known["pose"], known["azimuth"], 144, 192)
    means, size = carried(body_fit, true)
    colours = person["colours"].astype(np.float32).copy()
    if params.weak == known["pose"]:
        colours[:] = (0.0, 1.0, 0.0)
    n = len(means)
    made = Splats(
        means, np.tile(np.array([1, 0, 0, 0], np.float32), (n, 1)), np.full((n, 3), 0.004 * size, np.float32),
        np.full(n, 0.95, np.float32), np.clip(colours, 0, 1), np.full(n, 2, np.uint8), np.full(n, 4, np.uint8),
    )  # fmt: skip
    neck = body_fit.camera.to_world(body_fit["body22_cam"][12:13].astype(np.float64))[0, 1]
    return made.select(means[:, 1] < neck) if params.bald else made


@step("mesh", version=1, title="Mesh", kind="generated")
def mesh(photo: Photo, body_fit: Body, params: PhotoParams, ctx: Context) -> Mesh:
    """The true surface, carried to where the body is."""
    true = subject(photo.facts["who"])
    vertices, _ = carried(body_fit, true)
    n = len(vertices)
    return Mesh(
        vertices, true.surface.faces, vertex_normals(vertices, true.surface.faces).astype(np.float32),
        np.zeros((n, 2), np.float32), np.zeros((2, 2, 3), np.float32), np.zeros(n, np.uint8), np.arange(n, dtype=np.int32),
    )  # fmt: skip


def carried(body: Body, true: Subject) -> tuple[np.ndarray, float]:
    """The true vertices in the estimated body's display frame (V, 3), and their scale."""
    there = true.body.camera.to_camera(true.surface.vertices) - true.body["root_translation"]
    span = np.linalg.norm(body["body22_cam"][15] - body["body22_cam"][0])
    size = float(span / np.linalg.norm(true.body["body22_cam"][15] - true.body["body22_cam"][0]))
    return body.camera.to_world(there * size + body["root_translation"]).astype(np.float32), size


RECIPE = Recipe("toy", "Toy", "Knows the toy people.", "tiny", (photo, matte, body_fit, splats, mesh))
