"""The mesh for the page: textured, clay, normals, wireframe; recorded and turned; and its numbers."""

from __future__ import annotations

import numpy as np

from pipelines.export.bundle import Bundle
from pipelines.records import SEEN_NAMES, Body, Mesh
from ui.inspect_numbers import Facts, to_json
from ui.run_reader import RunReader
from ui.sheets import FRAMES, turned

LAYERS = {"textured": "mesh", "clay": "clay", "normals": "normals", "wireframe": "wireframe"}


def scene(reader: RunReader, step: str, style: str) -> bytes:
    """The recorded scene (.viser) of one style."""
    from pipelines.export.viser_scene import scene_bytes

    return scene_bytes(_bundle(reader, step), layers=(LAYERS[style],))


def frames(reader: RunReader, step: str, style: str) -> bytes:
    """One turn around the mesh in one style."""
    from pipelines.export.finite import finite_mesh
    from pipelines.geometry.mesh_picture import render_mesh

    bundle = _bundle(reader, step)
    assert bundle.mesh is not None
    mesh, _ = finite_mesh(bundle.mesh)

    def draw(camera):  # type: ignore[no-untyped-def]
        return render_mesh(
            mesh.vertices, mesh.faces, camera, style, normals=mesh.normals, uv=mesh.uv, texture=mesh.texture  # type: ignore[arg-type]
        )  # fmt: skip

    return turned(mesh.vertices, bundle.body, draw, min(24, FRAMES))


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """Faces, watertight or not, texture, shares seen and invented."""
    mesh = reader.record(step)
    assert isinstance(mesh, Mesh)
    rows: Facts = [
        ("Triangles", f"{len(mesh.faces):,}"), ("Vertices", f"{len(np.unique(mesh.weld)):,}"),
        ("Watertight", "yes" if is_watertight(mesh) else "no"),
        ("Texture", f"{mesh.texture.shape[1]} x {mesh.texture.shape[0]} px"),
    ]  # fmt: skip
    if len(mesh.seen):
        rows += [(name.capitalize(), f"{100 * (mesh.seen == i).mean():.0f} %") for i, name in enumerate(SEEN_NAMES)]
    return to_json(rows)


def is_watertight(mesh: Mesh) -> bool:
    """Whether every edge of the welded surface has exactly two faces."""
    faces = mesh.weld[mesh.faces].astype(np.int64)
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, counts = np.unique(edges[:, 0] * (int(faces.max(initial=0)) + 1) + edges[:, 1], return_counts=True)
    return bool(len(counts)) and bool((counts == 2).all())


def _bundle(reader: RunReader, step: str) -> Bundle:
    record = reader.record(step)
    assert isinstance(record, Mesh)
    return Bundle(mesh=record, body=reader.find(Body))
