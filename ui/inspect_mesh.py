"""The mesh for the page: textured, clay, normals, wireframe; recorded and turned; and its numbers."""

from __future__ import annotations

import dataclasses

import numpy as np

from pipelines.export.bundle import Bundle, need
from pipelines.records import SEEN_NAMES, Body, Mesh, Splats
from ui.inspect_numbers import Facts, to_json
from ui.run_reader import RunReader
from ui.sheets import FRAMES, turned

LAYERS = {"textured": "mesh", "clay": "clay", "normals": "normals", "wireframe": "wireframe"}
GHOST = 0.08  # of the splats' opacity over a mesh; a surface is several splats deep


def scene(reader: RunReader, step: str, argument: str) -> bytes:
    """The recorded scene (.viser) of one style, with '-splats' after it also the splats, made faint."""
    from pipelines.export.viser_scene import scene_bytes

    style, _, splats = argument.partition("-")
    bundle = _bundle(reader, step, bool(splats))
    return scene_bytes(bundle, layers=(LAYERS[style], "splats_faint") if splats else (LAYERS[style],))


def frames(reader: RunReader, step: str, argument: str) -> bytes:
    """One turn around the mesh in one style, with '-splats' after it the splats faint over it."""
    from pipelines.export.finite import finite_mesh, finite_splats
    from pipelines.export.picture import laid_over, splat_picture
    from pipelines.geometry.mesh_picture import render_mesh

    style, _, ghosted = argument.partition("-")
    bundle = _bundle(reader, step, bool(ghosted))
    mesh, _ = finite_mesh(need(bundle, "mesh"))

    def draw(camera):  # type: ignore[no-untyped-def]
        return render_mesh(
            mesh.vertices, mesh.faces, camera, style, normals=mesh.normals, uv=mesh.uv, texture=mesh.texture  # type: ignore[arg-type]
        )  # fmt: skip

    if not ghosted:
        return turned(mesh.vertices, bundle.body, draw, min(24, FRAMES))
    splats, _ = finite_splats(need(bundle, "splats"))
    faint = dataclasses.replace(splats, opacities=splats.opacities * np.float32(GHOST))
    around = np.concatenate([mesh.vertices, splats.means])
    return turned(around, bundle.body, lambda view: laid_over(draw(view), splat_picture(faint, view)), min(24, FRAMES))


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """Faces, watertight or not, triangles that pass through others, texture, shares seen and invented."""
    mesh = reader.record(step)
    assert isinstance(mesh, Mesh)
    rows: Facts = [
        ("Triangles", f"{len(mesh.faces):,}"), ("Vertices", f"{len(np.unique(mesh.weld)):,}"),
        ("Watertight", "yes" if is_watertight(mesh) else "no"), ("Through others", crossing(mesh)),
        ("Texture", f"{mesh.texture.shape[1]} x {mesh.texture.shape[0]} px"),
    ]  # fmt: skip
    if len(mesh.seen):
        rows += [(name.capitalize(), f"{100 * (mesh.seen == i).mean():.0f} %") for i, name in enumerate(SEEN_NAMES)]
    return to_json(rows)


def crossing(mesh: Mesh) -> str:
    """How many triangles intersect others: 'none', or '12 triangles (0.06 %)'."""
    from pipelines.geometry.self_intersections import intersecting_faces

    finite = np.isfinite(mesh.vertices[mesh.faces]).all((1, 2))
    count = int(intersecting_faces(mesh.vertices, mesh.faces[finite]).sum())
    return f"{count:,} triangles ({100 * count / len(mesh.faces):.2f} %)" if count else "none"


def is_watertight(mesh: Mesh) -> bool:
    """Whether every edge of the welded surface has exactly two faces."""
    faces = mesh.weld[mesh.faces].astype(np.int64)
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, counts = np.unique(edges[:, 0] * (int(faces.max(initial=0)) + 1) + edges[:, 1], return_counts=True)
    return bool(len(counts)) and bool((counts == 2).all())


def _bundle(reader: RunReader, step: str, splats: bool = False) -> Bundle:
    record = reader.record(step)
    assert isinstance(record, Mesh)
    return Bundle(mesh=record, body=reader.find(Body), splats=reader.find(Splats) if splats else None)
