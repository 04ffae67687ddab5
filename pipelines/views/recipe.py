"""The system `views`: a person carved from pictures made elsewhere.

    pictures with cameras -> visual hull -> depth from normals inside the hull, one closed surface
                          -> texture by projection -> splats -> do the views agree? -> turntable
    the front view        -> who is in it -> cut-out -> keypoints -> body -> the same body inside the surface

No network of ours is needed: SyncHuman's or PSHuman's pictures, a turntable, or any pictures with cameras.
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.body.fit_step import body_fit
from pipelines.keypoints import keypoints
from pipelines.matte import matte
from pipelines.recipe import Recipe
from pipelines.views.archive import pack
from pipelines.views.body import FrontFitParams, views_body
from pipelines.views.consistency import consistency
from pipelines.views.hull import hull
from pipelines.views.mesh import mesh
from pipelines.views.person import person
from pipelines.views.photo import photo
from pipelines.views.read import views_read
from pipelines.views.splats import splats
from pipelines.views.surface import surface
from pipelines.views.turntable import turntable

RECIPE = Recipe(
    "views",
    "Views made elsewhere",
    "Outlines and normals of pictures from several sides, carved to a textured mesh and splats; no network of ours.",
    "none",
    (
        views_read, photo, hull, surface, mesh, splats, consistency, turntable,
        person, matte, keypoints, replace(body_fit, params=FrontFitParams), views_body,
    ),
    warm={
        "hull": {"voxel": 24.0},
        "surface": {"resolution": 96, "voxel": 24.0, "faces": 2000, "rounds": 1},
        "consistency": {"leave_out": False},
        "mesh": {"texture": 256},
        "splats": {"count": 4000},
        "turntable": {"frames": 2, "size": 96},
    },
    pack=pack,
)  # fmt: skip
