"""A small system for tests of the page: every kind of record that has an inspector, from synthetic content.

Chosen by HUMANSCOPE_SYSTEMS="show=tests.page_system". The person is the asymmetric one of tests.asymmetric, the body
the default rig in its reference pose. Every result is a stand-in and says so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from pipelines.body.read_body import make_body
from pipelines.body.rig import default_rig
from pipelines.recipe import Recipe
from pipelines.records import Body, Cutout, Keypoints, Mesh, Photo, Splats, ViewSet
from pipelines.step import Context, NoParams, knob, step
from tests.asymmetric import person_bundle, person_mesh, person_splats
from tests.fake_system import matte, photo

BODY_POINTS = {11: (0.62, 0.3), 12: (0.38, 0.3), 13: (0.68, 0.45), 14: (0.32, 0.45), 23: (0.56, 0.55), 24: (0.44, 0.55)}


@dataclass(frozen=True)
class KeypointsParams:
    hands: bool = knob(False, "Look at the hands closely.")
    style: str = knob("calm", "A choice for the page's sake.", choices=("calm", "bold"))


@step("keypoints", version=1, title="Keypoints")
def keypoints(photo: Photo, matte: Cutout, params: KeypointsParams, ctx: Context) -> Keypoints:
    """Stand-in: points on a grid, shoulders and hips where a person has them."""
    width, height = photo.size
    body = np.ones((33, 4), np.float32)
    for i in range(33):
        x, y = BODY_POINTS.get(i, (0.3 + 0.4 * (i % 5) / 4, 0.1 + 0.8 * i / 33))
        body[i, :2] = (x * width, y * height)
    return Keypoints(body, np.zeros((33, 3), np.float32), np.zeros(33, bool), network="stand-in")


@dataclass(frozen=True)
class FitParams:
    iterations: int = knob(8, "Iterations of the fit.", low=1, high=60)
    seconds: float = knob(0.05, "Seconds of one iteration.", low=0.0, high=5.0, unit="s", affects_result=False)


@step("body.fit", version=1, title="Body")
def fit(photo: Photo, keypoints: Keypoints, params: FitParams, ctx: Context) -> Body:
    """Stand-in: the reference pose that sinks onto its place."""
    rig, (width, height) = default_rig(), photo.size
    focal = 1.6 * max(width, height)
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    pose, count = rig.identity_pose(), params.iterations
    places = np.stack([[0.3 * (1 - i / max(count - 1, 1)), 0.0, 3.4] for i in range(count)]).astype(np.float32)
    for i in range(count):
        ctx.progress(i / count, f"iteration {i + 1} of {count}", photo.rgb)
        time.sleep(params.seconds)
    shape, lengths = rig.default_phenotypes(), np.zeros(len(rig.length_names), np.float32)
    history = {
        "terms": np.stack([np.geomspace(100, 1, count), np.geomspace(10, 2, count)], 1).astype(np.float32),
        "term_names": np.array(["keypoints", "bone_lengths"]), "rotations": np.tile(pose, (count, 1, 1, 1)),
        "root_translation": places, "phenotypes": np.tile(shape, (count, 1)), "length_scales": np.tile(lengths, (count, 1)),
        "local_changes": np.zeros((count, len(rig.local_names)), np.float32),
    }  # fmt: skip
    return make_body(
        rotations=pose, root_translation=places[-1], phenotypes=shape, length_scales=lengths, K=K,
        image_size=(width, height), pitch=0.0, texts={"source": "stand-in", "source_version": "1"}, history=history,
    )  # fmt: skip


@step("splats", version=1, title="Splats", kind="generated")
def splats(body_fit: Body, params: NoParams, ctx: Context) -> Splats:
    """Stand-in: flat splats on six boxes."""
    return person_splats(0.05)


@step("turntable", version=1, title="Turntable", kind="generated")
def turntable(splats: Splats, params: NoParams, ctx: Context) -> ViewSet:
    """Stand-in: twelve pictures around the person."""
    views = person_bundle(12).turntable
    assert views is not None
    return views


@step("mesh", version=1, title="Mesh", kind="generated")
def mesh(splats: Splats, params: NoParams, ctx: Context) -> Mesh:
    """Stand-in: six boxes."""
    return person_mesh()


RECIPE = Recipe(
    "show", "Stand-in with everything", "Synthetic records of every kind.", "tiny",
    (photo, matte, keypoints, fit, splats, turntable, mesh),
)  # fmt: skip
