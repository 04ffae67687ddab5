"""The system `projection`: a fitted body, the photo projected on its front, mirrored on its back.

    photo -> who is in it -> cut-out -> keypoints -> body
          -> the body's first and last surface -> two layers over the whole cut-out -> splats
          -> turntable, textured mesh

No network of ours is needed. It is the first result on the screen and the yardstick for every other system.
"""

from __future__ import annotations

from pipelines.body.fit_step import body_fit
from pipelines.keypoints import keypoints
from pipelines.matte import matte
from pipelines.person import person
from pipelines.photo import photo
from pipelines.projection.body_maps import body_maps
from pipelines.projection.layers import layers
from pipelines.projection.mesh import mesh
from pipelines.projection.splats import splats
from pipelines.projection.turntable import turntable
from pipelines.recipe import Recipe

RECIPE = Recipe(
    "projection",
    "Projection",
    "The photo on the front and back of the fitted body; no network of ours.",
    "none",
    (photo, person, matte, keypoints, body_fit, body_maps, layers, splats, turntable, mesh),
    warm={
        "photo": {"longest_side": 512},
        "body.maps": {"resolution": 192},
        "splats": {"count": 6000},
        "turntable": {"frames": 2, "size": 96},
        "mesh": {"faces": 2000, "texture": 256, "voxel": 20.0},
    },
)
