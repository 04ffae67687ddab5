"""A surface with one colour a vertex: one turn as frames, and as a recorded scene; with pictures around it on request."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.views.records import Shape, Views
from ui.inspect_shape import bare_mesh
from ui.sheets import FRAMES, sheet, turned

Array = NDArray[np.floating]


def coloured_frames(vertices: Array, faces: NDArray[np.integer], colours: Array, around: Views | None = None) -> bytes:
    """One turn; vertices (V, 3) display metres, colours (V, 3) 0..1, shown as they are. around: pictures with cameras."""
    from pipelines.geometry.mesh_picture import render_mesh

    count = min(24, FRAMES)
    if around is None:
        return turned(vertices, None, lambda c: render_mesh(vertices, faces, c, "textured", colours=colours), count)
    from ui.camera_ring import cameras_of, draw_ring, ring_of

    ring = ring_of(around, vertices)
    cameras = cameras_of(ring, vertices, count)
    return sheet([draw_ring(render_mesh(vertices, faces, c, "textured", colours=colours), c, ring) for c in cameras])


def coloured_scene(vertices: Array, faces: NDArray[np.integer], colours: Array, around: Views | None = None) -> bytes:
    """The recorded scene (.viser) of the same."""
    from pipelines.export.bundle import Bundle
    from pipelines.export.glb import coloured
    from pipelines.export.scene_layers import Filled, first_view
    from pipelines.export.viser_scene import local_server, quiet_console

    mesh = bare_mesh(Shape(np.asarray(vertices, np.float32), np.asarray(faces, np.int32)))
    view = first_view(Bundle(mesh=mesh), mesh.vertices)
    with quiet_console():
        server = local_server()
        try:
            server.scene.set_up_direction("+y")
            person = server.scene.add_frame("/person", show_axes=False)
            server.scene.add_glb("/person/surface", coloured(mesh, colours), cast_shadow=False, receive_shadow=False)
            camera = server.initial_camera
            camera.position, camera.look_at, camera.fov = tuple(view.position), tuple(view.look_at), view.fov
            if around is not None:
                from ui.camera_ring import add_ring

                add_ring(server, Filled(person, view, 0.0), around, mesh.vertices)
            return bytes(server.get_scene_serializer().serialize())
        finally:
            server.stop()
