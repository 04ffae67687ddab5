"""Step mesh: one closed, textured surface from the layers, the photo and the splats."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Body, Cutout, Layers, Mesh, Splats
from pipelines.step import Context, UserError, knob, step


@dataclass(frozen=True)
class MeshParams:
    """Knobs of mesh."""

    faces: int = knob(20000, "About how many triangles.", low=500, high=200000)
    texture: int = knob(1024, "Side of the texture.", low=256, high=4096, unit="px")
    voxel: float = knob(6.0, "Finest detail of the shape; half takes four times longer.", low=3.0, high=40.0, unit="mm")
    smoothing: int = knob(6, "Rounds of smoothing that keep the volume.", low=0, high=50)
    relief: bool = knob(
        True, "Bend faces and hands to the layers' normals: eyes, nose and mouth that the cells are too wide for."
    )
    face_detail: float = knob(3.0, "How many times finer texture and triangles are on the head.", low=1.0, high=4.0)


@step("mesh", version=4, title="Mesh", kind="mixed")
def mesh(splats: Splats, layers: Layers, matte: Cutout, body_fit: Body, params: MeshParams, ctx: Context) -> Mesh:
    """A closed surface around the layers, textured from the photo first and from the splats where it sees nothing.

    Between front and back the layers are solid; the surface of that solid has no holes and no steps. The splats of
    the sides, which lie on the same surface, colour what neither the photo nor the back layer shows.
    """
    if len(splats) == 0:
        raise UserError("There are no splats to make a mesh from; check the step 'splats'.")
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.projection.textured_surface import textured_surface

    return textured_surface(splats, layers, matte, body_fit, params, ctx)
