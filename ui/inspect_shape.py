"""A bare surface for the page: clay, normals, wireframe; and with the pictures that it was carved from around it."""

from __future__ import annotations

import numpy as np

from pipelines.export.bundle import Bundle
from pipelines.records import Body, Mesh
from pipelines.views.records import Shape, Views
from ui.inspect_mesh import LAYERS, is_watertight
from ui.inspect_numbers import Facts, to_json
from ui.run_reader import RunReader
from ui.sheets import FRAMES, sheet, turned


def scene(reader: RunReader, step: str, style: str) -> bytes:
    """The recorded scene (.viser) of one style; 'cameras' has the pictures around the surface."""
    from pipelines.export.viser_scene import scene_bytes, scene_server

    bundle = Bundle(mesh=bare_mesh(shape_of(reader, step)), body=reader.find(Body))
    if style != "cameras":
        return scene_bytes(bundle, layers=(LAYERS[style],))
    from ui.camera_ring import add_ring

    assert bundle.mesh is not None
    with scene_server(bundle, ("clay",)) as (server, filled):
        add_ring(server, filled, reader.need(Views), bundle.mesh.vertices)
        return bytes(server.get_scene_serializer().serialize())


def frames(reader: RunReader, step: str, style: str) -> bytes:
    """One turn around the surface in one style."""
    from pipelines.geometry.mesh_picture import render_mesh

    shape, body, count = shape_of(reader, step), reader.find(Body), min(24, FRAMES)
    if style == "cameras":
        from ui.camera_ring import cameras_of, draw_ring, ring_of

        ring = ring_of(reader.need(Views), shape.vertices)
        clay = [
            (c, render_mesh(shape.vertices, shape.faces, c, "clay")) for c in cameras_of(ring, shape.vertices, count)
        ]
        return sheet([draw_ring(person, camera, ring) for camera, person in clay])
    return turned(
        shape.vertices, body, lambda camera: render_mesh(shape.vertices, shape.faces, camera, style),  # type: ignore[arg-type]
        count,
    )  # fmt: skip


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """Triangles, watertight or not, height and volume."""
    shape = shape_of(reader, step)
    rows: Facts = [
        ("Triangles", f"{len(shape.faces):,}"), ("Vertices", f"{len(shape.vertices):,}"),
        ("Watertight", "yes" if is_watertight(bare_mesh(shape)) else "no"),
    ]  # fmt: skip
    if len(shape.faces):
        a, b, c = (shape.vertices[shape.faces[:, k]].astype(np.float64) for k in range(3))
        rows += [
            ("Height", f"{np.ptp(shape.vertices[:, 1]):.2f} m"),
            ("Volume", f"{1000 * abs(float(np.einsum('ij,ij->', a, np.cross(b, c)))) / 6:.0f} l"),
        ]
    return to_json(rows)


def bare_mesh(shape: Shape) -> Mesh:
    """The surface as a mesh without colours, for what draws meshes."""
    from pipelines.geometry.mesh_raster import vertex_normals

    count = len(shape.vertices)
    return Mesh(
        shape.vertices, shape.faces, vertex_normals(shape.vertices, shape.faces).astype(np.float32),
        np.zeros((count, 2), np.float32), np.full((2, 2, 3), 0.8, np.float32), np.zeros(count, np.uint8),
        np.arange(count, dtype=np.int32),
    )  # fmt: skip


def shape_of(reader: RunReader, step: str) -> Shape:
    """The step's record."""
    record = reader.record(step)
    assert isinstance(record, Shape)
    return record
