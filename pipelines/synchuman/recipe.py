"""The system `synchuman`, in the order of the paper.

    photo -> who is in it -> cut-out -> keypoints -> body (its size, and where the camera stands)
          -> body maps -> two layers -> first splats, those of `projection`, to look at while the rest is at work
          -> canvas -> five views and a latent grid, drawn together -> ten pictures -> voxels
          -> structured latents -> splats -> surface -> clean surface -> textured mesh
          -> the same body inside that surface

Preset `released` runs the published networks, `tiny` the steps from the canvas on with stand-ins that know nothing.
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.body.fit_step import body_fit
from pipelines.keypoints import keypoints
from pipelines.matte import matte
from pipelines.person import person
from pipelines.photo import photo
from pipelines.projection.body_maps import body_maps
from pipelines.projection.layers import layers
from pipelines.projection.splats import splats
from pipelines.recipe import Recipe
from pipelines.synchuman.steps.body import body_step
from pipelines.synchuman.steps.clean import clean_step
from pipelines.synchuman.steps.frame import frame_step
from pipelines.synchuman.steps.joint import joint_step
from pipelines.synchuman.steps.pictures import pictures_step
from pipelines.synchuman.steps.slat import slat_step
from pipelines.synchuman.steps.splats import splats_step
from pipelines.synchuman.steps.surface import surface_step
from pipelines.synchuman.steps.texture import texture_step
from pipelines.synchuman.steps.voxels import voxels_step

FIRST = replace(
    splats.renamed("splats.first"), title="First splats",
    summary="The splats that projection gives: the fitted body with the photo on its front. They are shown until the networks' "
    "own come.",
)  # fmt: skip


def recipe(preset: str, title: str, summary: str) -> Recipe:
    """The system on a preset."""
    steps = (frame_step, joint_step, pictures_step, voxels_step, slat_step, splats_step, surface_step, clean_step,
             texture_step, body_step)  # fmt: skip
    first = (body_maps, layers, FIRST) if preset == "released" else ()
    made = (photo, person, matte, keypoints, body_fit, *first, *(declare(preset) for declare in steps))
    return Recipe("synchuman", title, summary, preset, made)


RECIPE = recipe(
    "released",
    "SyncHuman",
    "Five views and voxels drawn together by two coupled networks, decoded to splats and a surface.",
)
TINY = recipe(
    "tiny",
    "SyncHuman (stand-in)",
    "SyncHuman's steps on networks of made-up numbers: noise, to test the way through.",
)
