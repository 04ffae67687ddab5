"""Step splats: the textured surface as flat Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Mesh, Splats
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class SplatsParams:
    """Knobs of splats."""

    count: int = knob(120000, "About how many splats, at least one a triangle.", low=2000, high=1000000)
    overlap: float = knob(1.6, "How far each reaches over its triangle.", low=1.0, high=3.0)


@step("splats", version=1, title="Splats")
def splats(mesh: Mesh, params: SplatsParams, ctx: Context) -> Splats:
    """One Gaussian a triangle, with the triangle's own spread; where the texture varies most, four."""
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.views.triangle_splats import triangle_splats

    return triangle_splats(mesh, params.count, params.overlap)
