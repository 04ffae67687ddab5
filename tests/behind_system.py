"""A small system for tests of the page whose back view cannot be painted: `hgm.back` needs a file that nobody has.

Chosen by HUMANSCOPE_SYSTEMS="behind=tests.behind_system". Every result is a stand-in and says so.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from pipelines.hgm.pick import pick
from pipelines.hgm.records import BackView, BodyPoints
from pipelines.recipe import Recipe
from pipelines.records import Body, Splats
from pipelines.step import Context, MissingNeed, NoParams, knob, step
from tests.fake_system import matte, photo
from tests.page_system import fit, keypoints, splats


@step("hgm.points", version=1, title="Points")
def points(body_fit: Body, params: NoParams, ctx: Context) -> BodyPoints:
    """Stand-in: one point, the pelvis."""
    place = np.asarray(body_fit["root_translation"], np.float32)
    return BodyPoints(place[None], place)


@step("hgm.refine", version=1, title="Body, refined")
def refine(body_fit: Body, params: NoParams, ctx: Context) -> Body:
    """Stand-in: as it was fitted."""
    return body_fit


@dataclass(frozen=True)
class BackParams:
    refiner: str = knob("controlnet", "Who paints.", choices=("controlnet", "none"))


@step("hgm.back", version=1, title="Back view", kind="generated")
def back(hgm_gaussians: Splats, params: BackParams, ctx: Context) -> BackView:
    """Stand-in: two grey pictures, or what is missing."""
    if params.refiner == "controlnet":
        raise MissingNeed("Painting needs a file that is not there; set refiner to none.")
    coarse = np.zeros((64, 64, 4), np.float32)
    coarse[20:40, 20:40] = (0.5, 0.5, 0.5, 1)
    return BackView(coarse, np.stack([np.full((64, 64, 3), v, np.float32) for v in (0.4, 0.6)]), {"refiner": "none"})


RECIPE = Recipe(
    "behind", "Stand-in with a back view", "Synthetic records, as hgm-released makes them.", "tiny",
    (
        photo, matte, keypoints, fit, refine, points,
        dataclasses.replace(splats.renamed("hgm.gaussians"), title="Coarse Gaussians"), back, pick,
    ),
)  # fmt: skip
