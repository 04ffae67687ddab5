"""A small system for tests of the page with the steps and the ablation of `hgm`: splats twice, layers corrected, a body
refined, from synthetic content.

Chosen by HUMANSCOPE_SYSTEMS="twice=tests.twice_system". Every result is a stand-in and says so.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import numpy as np

from pipelines.body.read_body import with_pose
from pipelines.geometry.cameras import Camera
from pipelines.recipe import Recipe
from pipelines.records import Body, Cutout, Layers
from pipelines.step import Context, NoParams, knob, step
from tests.fake_system import matte, photo
from tests.page_system import fit, keypoints, splats, turntable

SHIFT, NEARER = 0.05, 0.03  # metres by which the body goes away from the camera, and the front's left half comes closer
DOUBT = 0.05  # metres
COUNT, SIDE = 9, 24  # iterations and pixels of a silhouette


@step("layers", version=1, title="Front and back")
def layers(matte: Cutout, body_fit: Body, params: NoParams, ctx: Context) -> Layers:
    """Stand-in: two flat sheets."""
    return flat(matte, body_fit)


@dataclass(frozen=True)
class CoarseParams:
    depth: float = knob(1.0, "How much of the change is taken.", low=0.0, high=1.5)
    seconds: float = knob(3.0, "Seconds of work.", low=0.0, high=9.0, unit="s", affects_result=False)


@step("hgm.coarse", version=1, title="Network", kind="generated")
def coarse(layers: Layers, params: CoarseParams, ctx: Context) -> Layers:
    """Stand-in: the left half of the front comes closer, the back gets redder."""
    for i in range(10):
        ctx.progress(i / 10, "stand-in")
        time.sleep(params.seconds / 10)
    return corrected(layers, params.depth)


@dataclass(frozen=True)
class RefineParams:
    enabled: bool = knob(True, "Off keeps the fitted body.")


@step("hgm.refine", version=1, title="Body, refined")
def refine(body_fit: Body, hgm_coarse: Layers, params: RefineParams, ctx: Context) -> Body:
    """Stand-in: the body goes away from the camera in equal steps; the last but one is kept."""
    return refined(body_fit, params.enabled)


def flat(matte: Cutout, body: Body) -> Layers:
    """Two sheets at 3.3 and 3.6 metres where the cut-out is."""
    mask = matte.alpha > 0.5
    height, width = mask.shape
    camera = Camera(body["K"], width, height, np.linalg.inv(body["world_from_camera"]))
    back = np.where(mask[..., None], np.float32([0.2, 0.4, 0.6]), 0).astype(np.float32)
    arrays = {
        "mask": mask, "front": np.where(mask, 3.3, 0).astype(np.float32), "back": np.where(mask, 3.6, 0).astype(np.float32),
        "front_rgb": (matte.rgb * mask[..., None]).astype(np.float32), "back_rgb": back,
    }  # fmt: skip
    return Layers(arrays, camera)


def corrected(given: Layers, share: float = 1.0) -> Layers:
    """The left half of the front NEARER and in doubt by DOUBT, the back a tenth redder and sure of itself."""
    mask = given.arrays["mask"]
    columns = np.flatnonzero(mask.any(0))
    left = mask & (np.arange(mask.shape[1]) < columns.mean())
    front = (given.arrays["front"] - share * NEARER * left).astype(np.float32)
    redder = given.arrays["back_rgb"] + share * mask[..., None] * np.float32([0.3, 0, 0])
    doubt = {"front_doubt": (DOUBT * left).astype(np.float32), "back_doubt": np.zeros(mask.shape, np.float32)}
    return Layers({**given.arrays, "front": front, "back_rgb": redder.astype(np.float32), **doubt}, given.camera)


def refined(start: Body, enabled: bool = True, helped: bool = True) -> Body:
    """COUNT iterations, each SHIFT / (COUNT - 1) farther from the camera; silhouettes of the sides from the third on."""
    if not enabled:
        return dataclasses.replace(start, history={})
    place = np.asarray(start["root_translation"], np.float32)
    places = place + np.float32([0, 0, SHIFT]) * (np.arange(COUNT, dtype=np.float32) / (COUNT - 1))[:, None]
    rows = np.arange(SIDE)[:, None] + np.zeros((SIDE, SIDE), int)
    target = np.where((rows > 3) & (rows < 20), 255, 0).astype(np.uint8)
    masks, targets = np.zeros((2, COUNT, 4, SIDE, SIDE), np.uint8)
    for i in range(COUNT):
        shown = slice(0, 1 if i < 3 else 4)
        masks[i, shown] = np.where((rows > 11 - i) & (rows < 20), 255, 0)
        targets[i, shown] = target
    history = {
        **{n: np.repeat(np.asarray(start[n])[None], COUNT, 0) for n in ("rotations", "phenotypes", "length_scales",
                                                                        "local_changes")},
        "root_translation": places, "masks": masks, "target_masks": targets,
        "terms": np.stack([np.geomspace(9, 5, COUNT), np.where(np.arange(COUNT) < 3, 0, np.geomspace(90, 8, COUNT))], 1),
        "term_names": np.array(["front mask", "side masks"]),
    }  # fmt: skip
    body = with_pose(start, root_translation=places[-2]) if helped else start
    numbers = {"refine_helped": np.array(helped), "refine_costs": np.float32([[9, 5], [90, 8]])}
    return Body({**body.arrays, **numbers}, body.texts, history)


RECIPE = Recipe(
    "twice", "Stand-in with two passes", "Synthetic records, as hgm makes them.", "tiny",
    (
        photo, matte, keypoints, fit, layers, dataclasses.replace(splats.renamed("splats.first"), title="First splats"),
        coarse, refine, splats.renamed("splats", body_fit="hgm_refine"), turntable,
    ),
    ablation={
        "whole": {}, "without refinement": {"hgm.refine": {"enabled": False}},
        "without the network": {"hgm.coarse": {"depth": 0.0}},
    },
)  # fmt: skip
