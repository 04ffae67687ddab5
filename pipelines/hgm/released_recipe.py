"""The system `hgm` on its whole networks, in the order of the paper: preset `released`, and `tiny` for tests.

    photo -> who is in it -> cut-out -> keypoints -> body
          -> (released) body maps, two layers and first splats, those of `projection`, to look at for some minutes
          -> the body as SMPL-X, whose vertices the networks' tokens belong to
          -> the body refined: by the photo, then by silhouettes of the one-view network's Gaussians
          -> SMPL-X on the refined body -> coarse Gaussians (one view)
          -> the back: the coarse Gaussians from behind, painted over; one of the variants is picked
          -> fused Gaussians (two views) -> turntable, textured mesh

One declaration function per step serves both presets. The released files are the user's; `tiny` has the same networks,
small, with random weights, and says so wherever it is shown.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipelines.body.fit_step import body_fit
from pipelines.hgm.back import back_step
from pipelines.hgm.configuration import RELEASED, TINY, HgmConfig
from pipelines.hgm.gaussians_step import fused_step, gaussians_step
from pipelines.hgm.mesh_step import mesh
from pipelines.hgm.pick import pick
from pipelines.hgm.recipe import FIRST
from pipelines.hgm.refine_released import refine_step
from pipelines.hgm.smplx_step import points_step, smplx_step
from pipelines.keypoints import keypoints
from pipelines.matte import matte
from pipelines.person import person
from pipelines.photo import photo
from pipelines.projection.body_maps import body_maps
from pipelines.projection.layers import layers
from pipelines.projection.turntable import turntable
from pipelines.recipe import Recipe
from pipelines.step import Step


def steps_on(config: HgmConfig, first: tuple[Step, ...] = ()) -> tuple[Step, ...]:
    """All steps of the system on one configuration of the networks. first: what is shown before they begin."""
    return (
        photo, person, matte, keypoints, body_fit, *first,
        smplx_step(config), refine_step(config), points_step(config), gaussians_step(config),
        back_step(config), pick, fused_step(config),
        replace(turntable.renamed("turntable", splats="hgm_fused", body_fit="hgm_refine"), kind="generated"),
        mesh,
    )  # fmt: skip


# Rows of the paper's Tables 4 and 6 that are settings of these steps. What stands before the first changed one is used
# again. "One view" takes the coarse Gaussians as the fused ones; the mesh still wears the back view where they show none
# of the photo. "Without the body branch" leaves the body in the refinement, the crop and the mesh.
ABLATION: dict[str, dict[str, dict[str, Any]]] = {
    "whole": {},
    "without refinement": {"hgm.refine": {"enabled": False}},
    "without side views": {"hgm.refine": {"sides": 0.0}},
    "without the body branch": {"hgm.gaussians": {"body": False}, "hgm.fused": {"body": False}},
    "one view": {"hgm.fused": {"views": 1}},
    "without back refinement": {"hgm.back": {"refiner": "none"}},
}

# A run that passes through everything in a few seconds.
SMALL: dict[str, dict[str, Any]] = {
    "photo": {"longest_side": 512},
    "body.fit": {"iterations": 24},
    "hgm.refine": {"iterations": 3},
    "turntable": {"frames": 2, "size": 96},
    "mesh": {"faces": 2000, "texture": 256, "voxel": 30.0, "views": 8, "size": 96},
}

RELEASED_RECIPE = Recipe(
    "hgm-released",
    "HGM, released networks",
    "The published networks on your own copies of their files: coarse Gaussians, refined body, back view, fused Gaussians.",
    "released",
    steps_on(RELEASED, (body_maps, layers, FIRST)),
    ablation=ABLATION,
)

TINY_RECIPE = Recipe(
    "hgm-tiny",
    "HGM, stand-in networks",
    "The steps of the published system on tiny networks with random weights: for tests; what it draws is noise.",
    "tiny",
    steps_on(TINY),
    warm=SMALL,
    ablation=ABLATION,
)
