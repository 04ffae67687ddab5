"""Step mesh: the surface with a texture from all views."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Mesh
from pipelines.step import Context, knob, step
from pipelines.views.records import Shape, Views


@dataclass(frozen=True)
class MeshParams:
    """Knobs of mesh."""

    texture: int = knob(2048, "Side of the texture.", low=256, high=4096, unit="px")
    head_detail: float = knob(2.0, "How many times finer the texture is on the head.", low=1.0, high=4.0)
    sharpness: float = knob(4.0, "How strongly the view that looks straight at a place outweighs the others.", low=0.0,
                            high=16.0)  # fmt: skip


@step("mesh", version=2, title="Mesh")
def mesh(views_read: Views, surface: Shape, params: MeshParams, ctx: Context) -> Mesh:
    """The surface, unwrapped, with the photo's colours first, then those of the views that look at it straightest."""
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.views.colour import textured

    return textured(views_read, surface, params, ctx)
