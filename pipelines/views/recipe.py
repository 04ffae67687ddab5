"""The system `views`: a person carved from pictures made elsewhere.

    pictures with cameras -> visual hull -> depth from normals inside the hull, one closed surface
                          -> do the views agree? -> texture by projection -> splats -> turntable

No network is needed: SyncHuman's or PSHuman's pictures, a turntable, or any pictures with cameras.
"""

from __future__ import annotations

from pipelines.recipe import Recipe
from pipelines.views.consistency import consistency
from pipelines.views.hull import hull
from pipelines.views.mesh import mesh
from pipelines.views.read import views_read
from pipelines.views.splats import splats
from pipelines.views.surface import surface
from pipelines.views.turntable import turntable

RECIPE = Recipe(
    "views",
    "Views made elsewhere",
    "Outlines and normals of pictures from several sides, carved to a textured mesh and splats; no network.",
    "none",
    (views_read, hull, surface, consistency, mesh, splats, turntable),
    warm=None,
)
