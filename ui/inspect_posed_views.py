"""Pictures with cameras, as they came: all of them as a sheet, each one large, and from where they look."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.geometry.orthographic import OrthographicCamera
from pipelines.records import Floats, to_bytes
from pipelines.step import UserError
from pipelines.views.records import PosedView, Views
from ui.inspect_numbers import Facts, to_json
from ui.inspect_photo import webp
from ui.run_reader import RunReader
from ui.sheets import COLUMNS

CELL, SMALL_CELL, MANY = 384, 224, 24  # pixels of a sheet's cell, and from how many views on it is the small one


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """{'cells': [{label, note, ...}], 'cameras': [...]} for the grid: names, directions, and what is needed to draw
    the line of one picture's pixel in another."""
    views = views_of(reader, step)
    cells = []
    for view in views.views:
        azimuth, elevation = direction(view)
        note = f"{azimuth:.0f}°" if abs(elevation) < 0.5 else f"{azimuth:.0f}°, {elevation:+.0f}° up"
        cells.append({
            "label": view.label, "note": f"{note}, close-up" if view.close_up else note, "photo": view.photo,
            "normal": view.normal is not None, "mirrored": view.label in views.facts.get("mirrored", []),
            "by_hand": view.label in views.facts.get("by_hand", []), "wide": view.camera.width, "high": view.camera.height,
        })  # fmt: skip
    return to_json({"cells": cells, "cameras": [plain_camera(v) for v in views.views], "height": height_of(views)})


def sheet_of(reader: RunReader, step: str, what: str) -> bytes:
    """All pictures ('colour') or normal maps ('normal'), six square cells in a row, in their order."""
    views = views_of(reader, step)
    return cells_sheet([picture_of(view, what) for view in views.views])


def one(reader: RunReader, step: str, argument: str) -> bytes:
    """One picture, large. argument: 'colour 3' or 'normal 3'."""
    what, number = argument.split()
    views = views_of(reader, step).views
    if int(number) >= len(views):
        raise UserError(f"There is no view number {int(number)} here; there are {len(views)}.")
    return webp(picture_of(views[int(number)], what))


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """How many, from where, how large."""
    views = views_of(reader, step)
    sizes = sorted({f"{v.camera.width} x {v.camera.height} px" for v in views.views})
    kinds = {"orthographic" if isinstance(v.camera, OrthographicCamera) else "pinhole" for v in views.views}
    rows: Facts = [
        ("Views", str(len(views.views))), ("With normals", str(sum(v.normal is not None for v in views.views))),
        ("Size", ", ".join(sizes[:3])), ("Cameras", " and ".join(sorted(kinds))),
        ("Source", str(views.facts.get("source", "unknown"))),
    ]  # fmt: skip
    if "height_m" in views.facts:
        rows.append(("Height, as stated", f"{float(views.facts['height_m']):.2f} m"))
    for name, label in (("mirrored", "Turned back"), ("by_hand", "Replaced by hand")):
        if views.facts.get(name):
            rows.append((label, ", ".join(map(str, views.facts[name]))))
    return to_json(rows)


def views_of(reader: RunReader, step: str) -> Views:
    """The step's record."""
    record = reader.record(step)
    assert isinstance(record, Views)
    return record


def picture_of(view: PosedView, what: str) -> Floats:
    """(H, W, 4) straight alpha: the colours cut out, or the normals in the display frame as colours."""
    if what == "colour":
        return view.rgba
    if view.normal is None:
        return np.zeros_like(view.rgba)
    there = view.normal.any(-1, keepdims=True).astype(np.float32)
    return np.concatenate([0.5 + 0.5 * view.normal, there], -1).astype(np.float32)


def cells_sheet(pictures: list[Floats]) -> bytes:
    """Pictures (H, W, 4) of any sizes -> WEBP sheet of square cells, six in a row, each picture whole in its cell."""
    side = SMALL_CELL if len(pictures) > MANY else CELL
    rows = -(-len(pictures) // COLUMNS)
    paper = Image.new("RGBA", (COLUMNS * side, rows * side))
    for i, picture in enumerate(pictures):
        image = Image.fromarray(to_bytes(picture))
        scale = side / max(image.size)
        image = image.resize([max(1, round(n * scale)) for n in image.size], Image.Resampling.LANCZOS)
        left, top = side * (i % COLUMNS) + (side - image.width) // 2, side * (i // COLUMNS) + (side - image.height) // 2
        paper.paste(image, (left, top))
    return webp(paper, limit=max(paper.size), quality=84)


def direction(view: PosedView) -> tuple[float, float]:
    """Azimuth 0..360 (90 is the person's left) and elevation of where the camera stands, degrees."""
    x, y, z = -view.camera.world_to_camera[2, :3]
    return float(np.degrees(np.arctan2(x, z)) % 360.0) % 360.0, float(np.degrees(np.arcsin(np.clip(y, -1.0, 1.0))))


def plain_camera(view: PosedView) -> dict[str, Any]:
    """A camera for the page's script: rows of world-to-camera, and K or scale and centre."""
    camera = view.camera
    matrix = np.round(camera.world_to_camera[:3], 6).tolist()
    if isinstance(camera, OrthographicCamera):
        return {"matrix": matrix, "scale": camera.scale, "centre": camera.centre.tolist()}
    return {"matrix": matrix, "K": camera.K.tolist()}


def height_of(views: Views) -> float:
    """Metres of the person, as stated; 1.7 where nobody did."""
    return float(views.facts.get("height_m") or 1.7)


def middle_of(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """(3,) the middle of a surface's box."""
    return (points.min(0).astype(np.float64) + points.max(0)) / 2
