"""The system `hgm` on the compact preset, in the order of the paper.

    photo -> who is in it -> cut-out -> keypoints -> body
          -> body maps -> two layers -> first splats, those of `projection`, to look at while the rest is at work
          -> the network corrects the layers: the coarse person
          -> the body refined against the coarse person (off at first: see its knob)
          -> body maps, two layers and the network once more, on the refined body
          -> the back: seen from behind, painted over; one of the variants is picked and worn: the fused person
          -> splats -> turntable, textured mesh

Up to the two layers it is `projection`, whose results are used again; where the network answers zero it stays so.
With the refinement off, the second pass is the first one's work again and is found in the store.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pipelines.body.fit_step import body_fit
from pipelines.hgm.coarse import coarse
from pipelines.hgm.layer_back import layer_back
from pipelines.hgm.layer_fused import layer_fused
from pipelines.hgm.pick import pick
from pipelines.hgm.refine import refine
from pipelines.keypoints import keypoints
from pipelines.matte import matte
from pipelines.person import person
from pipelines.photo import photo
from pipelines.projection.body_maps import body_maps
from pipelines.projection.layers import layers
from pipelines.projection.mesh import mesh
from pipelines.projection.splats import SplatsParams, splats
from pipelines.projection.turntable import turntable
from pipelines.recipe import Recipe
from pipelines.step import same_knob

FIRST = replace(
    splats.renamed("splats.first"), title="First splats",
    summary="The splats of the two layers as they are, before any network: what projection gives. They are shown until "
    "the splats of the fused person come.",
)  # fmt: skip


@dataclass(frozen=True)
class QuickSplatsParams(SplatsParams):
    """Knobs of splats.first where better ones are seconds away: half the time of those of `splats`."""

    count: int = same_knob(SplatsParams, "count", 30000)
    refine: int = same_knob(SplatsParams, "refine", 2)


QUICK = replace(
    FIRST, params=QuickSplatsParams,
    summary="Fewer splats of the two layers as they are, before any network: as projection gives them. They are shown until "
    "the splats of the fused person come.",
)  # fmt: skip

_SILENT = {"depth": 0.0, "colour": 0.0}
_UNPAINTED = {"refiner": "none"}

# Rows of the paper's Tables 4 and 6 as settings of the recipe. What stands before the first changed step is used again.
ABLATION: dict[str, dict[str, dict[str, Any]]] = {
    "whole": {},
    "with refinement": {"hgm.refine": {"enabled": True}},
    "refined without side views": {"hgm.refine": {"enabled": True, "sides": 0.0, "depth": 0.0}},
    "without back refinement": {"hgm.back": _UNPAINTED},
    "depths alone": {"hgm.coarse": {"colour": 0.0}, "hgm.again": {"colour": 0.0}, "hgm.back": _UNPAINTED},
    "colours alone": {"hgm.coarse": {"depth": 0.0}, "hgm.again": {"depth": 0.0}},
    "without the networks": {"hgm.coarse": _SILENT, "hgm.again": _SILENT, "hgm.back": _UNPAINTED},
}

RECIPE = Recipe(
    "hgm",
    "HGM",
    "The two layers of the fitted body corrected by a network; the body can be refined against them, and both once more.",
    "compact",
    (
        photo, person, matte, keypoints, body_fit, body_maps, layers, QUICK, coarse, refine,
        replace(body_maps.renamed("hgm.maps", body_fit="hgm_refine"), title="Maps, again"),
        replace(layers.renamed("hgm.layers", body_fit="hgm_refine", body_maps="hgm_maps"), title="Layers, again"),
        replace(
            coarse.renamed("hgm.again", layers="hgm_layers", body_fit="hgm_refine", body_maps="hgm_maps"),
            title="Network, again",
        ),
        layer_back, pick, layer_fused,
        splats.renamed("splats", layers="hgm_fused", body_fit="hgm_refine"),
        turntable.renamed("turntable", body_fit="hgm_refine"),
        mesh.renamed("mesh", layers="hgm_fused", body_fit="hgm_refine"),
    ),
    warm={
        "photo": {"longest_side": 512},
        "body.maps": {"resolution": 192},
        "hgm.maps": {"resolution": 192},
        "hgm.refine": {"enabled": True, "iterations": 6},
        "splats.first": {"count": 2000, "refine": 0},
        "splats": {"count": 6000},
        "turntable": {"frames": 2, "size": 96},
        "mesh": {"faces": 2000, "texture": 256, "voxel": 20.0},
    },
    ablation=ABLATION,
)  # fmt: skip
