"""SyncHuman's bare surfaces: as decoded, in the decoder's own colours; and cleaned, with what was cut off."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Floats
from pipelines.step import UserError
from pipelines.synchuman.records import CleanedSurface, RawSurface, TenPictures
from pipelines.views.records import Shape, Views
from ui.cube_mesh import METRES, PLACE
from ui.inspect_injected import explained_facts
from ui.inspect_mesh import LAYERS, is_watertight
from ui.inspect_numbers import Facts, to_json
from ui.inspect_shape import bare_mesh
from ui.inspect_strip import network_facts
from ui.run_reader import RunReader
from ui.sheets import FRAMES, turned

PLAIN = ("clay", "normals", "wireframe")
REMOVED = (0.84, 0.16, 0.12)
CLAY = (0.80, 0.76, 0.72)


def scene(reader: RunReader, step: str, style: str) -> bytes:
    """The recorded scene of one style: PLAIN, 'colour' (as decoded), 'cut' (what was removed), 'cameras'."""
    if style in PLAIN:
        from pipelines.export.bundle import Bundle
        from pipelines.export.viser_scene import scene_bytes

        return scene_bytes(Bundle(mesh=bare_mesh(surface_of(reader, step))), layers=(LAYERS[style],))
    from ui.coloured_surface import coloured_scene

    return coloured_scene(*coloured_of(reader, step, style), around=around_of(reader, style))


def frames(reader: RunReader, step: str, style: str) -> bytes:
    """One turn in one style."""
    if style in PLAIN:
        from pipelines.geometry.mesh_picture import render_mesh

        shape = surface_of(reader, step)
        return turned(
            shape.vertices, None, lambda camera: render_mesh(shape.vertices, shape.faces, camera, style),  # type: ignore[arg-type]
            min(24, FRAMES),
        )  # fmt: skip
    from ui.coloured_surface import coloured_frames

    return coloured_frames(*coloured_of(reader, step, style), around=around_of(reader, style))


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """Triangles, watertight or not, extent; what was cut, or what the decoder was given."""
    record, shape = reader.record(step), surface_of(reader, step)
    assert isinstance(record, RawSurface | CleanedSurface)
    rows: Facts = [
        *network_facts(record.facts), ("Triangles", f"{len(shape.faces):,}"), ("Vertices", f"{len(shape.vertices):,}"),
        ("Watertight", "yes" if is_watertight(bare_mesh(shape)) else "no"),
        ("Height", f"{100 * np.ptp(shape.vertices[:, 1]) / METRES:.0f} % of the canvas"),
    ]  # fmt: skip
    if isinstance(record, RawSurface):
        own = record.attributes.shape[1]
        rows += [
            ("Own colours", "colour and normal" if own == 6 else "none"), ("Cubes", f"{record.facts.get('cubes', 0):,}"),
            *explained_facts(record),
        ]  # fmt: skip
    else:
        light = len(record.light_faces)
        rows += [
            ("After decimation", f"{light:,} triangles"),
            ("Removed as hidden", f"{len(record.removed):,} ({100 * len(record.removed) / max(light, 1):.0f} %)"),
            ("Never seen", f"{100 * float((record.visibility == 0).mean()):.0f} %"),
            ("Open rims left", str(record.facts.get("open_loops", "unknown"))),
        ]
    return to_json(rows)


def coloured_of(reader: RunReader, step: str, style: str) -> tuple[Floats, NDArray[np.int32], Floats]:
    """Vertices in display metres, faces, and vertex colours of a coloured style."""
    record = reader.record(step)
    if isinstance(record, RawSurface):
        if record.attributes.shape[1] < 3:
            raise UserError("This surface was decoded without colours; look at it in clay.")
        return displayed(record.vertices), record.faces, np.clip(record.attributes[:, :3], 0, 1)
    assert isinstance(record, CleanedSurface)
    if style == "cameras":
        shape = surface_of(reader, step)
        return shape.vertices, shape.faces, shaded(shape)
    # A face has one colour, so it gets corners of its own.
    corners = displayed(record.light_vertices)[record.light_faces]
    colours = seen_colours(record)
    faces = np.arange(3 * len(corners), dtype=np.int32).reshape(-1, 3)
    return corners.reshape(-1, 3), faces, np.repeat(colours, 3, 0)


def seen_colours(record: CleanedSurface) -> Floats:
    """(F', 3): by the share of the views that see a face, dark for none; red where it was removed."""
    from pipelines.export.palette import ramp

    most = max(float(np.percentile(record.visibility, 95)), 1e-6)
    colours = ramp(record.visibility / most)
    colours[record.removed] = REMOVED
    return colours


def shaded(shape: Shape) -> Floats:
    """(V, 3) clay, as light as the surface faces up and to the front."""
    from pipelines.geometry.mesh_raster import vertex_normals

    light = vertex_normals(shape.vertices, shape.faces) @ np.array([0.25, 0.55, 0.35])
    return (np.array(CLAY) * (0.72 + 0.28 * light[:, None])).clip(0, 1).astype(np.float32)


def around_of(reader: RunReader, style: str) -> Views | None:
    """The ten pictures' colours, for 'cameras'."""
    if style != "cameras":
        return None
    from ui.inspect_ten_pictures import placed

    return placed(reader, step_of_pictures(reader))


def step_of_pictures(reader: RunReader) -> str:
    """The step of this run that made the ten pictures; UserError when there is none."""
    for state in reversed(reader.run.steps):
        if reader.kind(state.name) == TenPictures.kind:
            return str(state.name)
    raise UserError("This run has no ten pictures yet.")


def surface_of(reader: RunReader, step: str) -> Shape:
    """The step's surface in the display frame, in the cube's own place."""
    record = reader.record(step)
    assert isinstance(record, RawSurface | CleanedSurface)
    return Shape(displayed(record.vertices), record.faces)


def displayed(points: NDArray[np.floating]) -> Floats:
    """(N, 3) in the cube -> display metres."""
    return PLACE.to_display(points).astype(np.float32)
