"""Step mesh on the whole networks: a closed, textured surface from the fused Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.hgm.records import BackView, BodyPoints
from pipelines.records import Body, Cutout, Mesh, Splats
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class MeshParams:
    """Knobs of mesh."""

    faces: int = knob(30000, "About how many triangles.", low=500, high=200000)
    texture: int = knob(1024, "Side of the texture.", low=256, high=4096, unit="px")
    voxel: float = knob(
        7.8, "Finest detail of the shape; half takes eight times longer.", low=3.0, high=60.0, unit="mm"
    )
    views: int = knob(24, "Depth pictures on each of three rounds about the person.", low=6, high=96)
    size: int = knob(512, "Side of a depth picture.", low=64, high=1024, unit="px")
    smoothing: int = knob(5, "Rounds of smoothing that keep the volume.", low=0, high=50)
    face_detail: float = knob(2.0, "How many times finer texture and triangles are on the head.", low=1.0, high=4.0)


@step("mesh", version=2, title="Mesh", kind="mixed")
def mesh(
    hgm_fused: Splats, hgm_pick: BackView, hgm_points: BodyPoints, matte: Cutout, hgm_refine: Body, params: MeshParams,
    ctx: Context,
) -> Mesh:  # fmt: skip
    """A closed surface through depth pictures of the Gaussians from all sides, textured from the photo first, the back
    view second, the Gaussians last.

    The paper then bends it to normals that an estimator predicts; there is none here, and the Gaussians' own normals say
    nothing that their depth does not (tried: the surface got no better), so that this is left out.
    """
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.hgm.mesh_of_splats import mesh_of_splats

    return mesh_of_splats(hgm_fused, hgm_pick, hgm_points, matte, hgm_refine, params, ctx)
