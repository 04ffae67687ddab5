"""SyncHuman's ten pictures: as cameras around the person see them, as they are stored, and around what they outline."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Floats
from pipelines.step import UserError
from pipelines.synchuman.records import MIRRORED, VIEW_NAMES, VIEWS, Framed, TenPictures
from pipelines.views.records import PosedView, Views
from ui.cube_mesh import METRES, PLACE, cubes_of
from ui.inspect_numbers import Facts, to_json
from ui.inspect_photo import webp
from ui.inspect_posed_views import cells_sheet, direction, picture_of, plain_camera
from ui.inspect_strip import network_facts
from ui.run_reader import RunReader

HULL_CELLS = 64  # of the hull's side
HULL_COLOUR = (0.80, 0.76, 0.72)


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """The grid of five views, turned back, with what is needed to draw a pixel's line of sight in the others."""
    views, cells, by_hand = placed(reader, step).views, [], replaced(pictures_of(reader, step))
    for view in views:
        note = f"{direction(view)[0]:.0f}°"
        cells.append({
            "label": view.label, "note": f"{note}, close-up" if view.close_up else note, "photo": view.photo, "normal": True,
            "by_hand": view.label in by_hand, "wide": view.camera.width, "high": view.camera.height,
        })  # fmt: skip
    return to_json({"cells": cells, "cameras": [plain_camera(v) for v in views], "height": METRES})


def raw_data(reader: RunReader, step: str, argument: str) -> bytes:
    """The grid of the pictures as the second stage reads them."""
    by_hand = replaced(pictures_of(reader, step))
    cells = [
        {"label": name, "note": "stored mirrored" if v in MIRRORED else "as seen", "normal": True,
         "by_hand": name in by_hand}
        for v, name in enumerate(VIEW_NAMES)
    ]  # fmt: skip
    return to_json({"cells": cells})


def sheet_of(reader: RunReader, step: str, what: str) -> bytes:
    """All five, turned back and cut out: 'colour', or 'normal' in the display frame."""
    return cells_sheet([picture_of(view, what) for view in placed(reader, step).views])


def raw_sheet(reader: RunReader, step: str, what: str) -> bytes:
    """All five as they are stored: 'colour', or 'normal' in the front camera's frame."""
    return cells_sheet([stored(reader, step, what, v) for v in range(VIEWS)])


def one(reader: RunReader, step: str, argument: str) -> bytes:
    """One picture, large. argument: 'colour 3', 'normal 3', or 'raw-colour 3' as it is stored."""
    what, number = argument.split()
    v = int(number)
    if v >= VIEWS:
        raise UserError(f"There is no view number {v} here; there are {VIEWS}.")
    if what.startswith("raw-"):
        return webp(stored(reader, step, what.removeprefix("raw-"), v), quality=92)
    return webp(picture_of(placed(reader, step).views[v], what), quality=92)


def frames(reader: RunReader, step: str, style: str) -> bytes:
    """One turn around what the four outlines have in common, the pictures where their cameras look from. style:
    'cameras-colour' or 'cameras-normal'."""
    from ui.coloured_surface import coloured_frames

    views = placed(reader, step)
    return coloured_frames(*hull_mesh(views), around=shown_as(views, style))


def scene(reader: RunReader, step: str, style: str) -> bytes:
    """The recorded scene of the same."""
    from ui.coloured_surface import coloured_scene

    views = placed(reader, step)
    return coloured_scene(*hull_mesh(views), around=shown_as(views, style))


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """How large, whether the front is the photo, and how much of each outline any one shape could have."""
    pictures, views = pictures_of(reader, step), placed(reader, step)
    side, by_hand = pictures.colours.shape[1], pictures.facts.get("by_hand", [])
    generated = "replaced by hand" if "front colours" in by_hand else "generated"
    rows: Facts = [
        *network_facts(pictures.facts), ("Pictures", "5 colours, 5 normals"), ("Size", f"{side} x {side} px"),
        ("Front", "the photo" if pictures.facts.get("front_is_photo") else generated),
        ("Stored mirrored", ", ".join(VIEW_NAMES[v] for v in MIRRORED)),
    ]  # fmt: skip
    if by_hand:
        rows.append(("Replaced by hand", ", ".join(by_hand)))
    filled = hull(views)
    for k, view in enumerate(views.whole):
        outline = across_and_up(view, k)
        share = (outline & filled.any(1 - k % 2)).sum() / max(outline.sum(), 1)
        rows.append((f"In the hull, {view.label}", f"{100 * share:.0f} %"))
    return to_json(rows)


def placed(reader: RunReader, step: str) -> Views:
    """The five views with cameras in the cube's own place, turned back, normals in the display frame."""
    from pipelines.synchuman.placed_views import placed_views

    pictures = pictures_of(reader, step)
    found = placed_views(reader.need(Framed), pictures, PLACE)
    views = [PosedView(v.label, v.rgba, v.camera, v.normal, v.photo, v.close_up) for v in found]
    return Views(tuple(views), {"source": "synchuman", "height_m": METRES})


def stored(reader: RunReader, step: str, what: str, view: int) -> Floats:
    """(S, S, 4) one picture as it is stored."""
    pictures = pictures_of(reader, step)
    stack = pictures.normals if what == "normal" else pictures.colours
    ones = np.full((*stack.shape[1:3], 1), 255, np.uint8)
    return (np.concatenate([stack[view], ones], -1) / 255).astype(np.float32)


def shown_as(views: Views, style: str) -> Views:
    """The views with their normal maps in place of their colours, for 'cameras-normal'."""
    if style == "cameras-colour":
        return views
    return Views(
        tuple(dataclasses.replace(v, rgba=picture_of(v, "normal")) for v in views.views), views.facts
    )  # fmt: skip


def hull_mesh(views: Views) -> tuple[Floats, NDArray[np.int32], Floats]:
    """The hull as a mesh of cubes, in clay; UserError when the outlines have no place in common."""
    coords = np.argwhere(hull(views))
    if not len(coords):
        raise UserError("The four outlines have no place in common, so there is nothing to put in their middle.")
    return cubes_of(coords, np.broadcast_to(np.array(HULL_COLOUR, np.float32), (len(coords), 3)), HULL_CELLS)


def hull(views: Views) -> NDArray[np.bool_]:
    """(HULL_CELLS,) * 3 by x, y, z: the cells that lie inside the outlines of front, right, back and left."""
    filled = np.ones((HULL_CELLS,) * 3, bool)
    for k, view in enumerate(views.whole):
        outline = across_and_up(view, k)
        filled &= outline[:, None] if k % 2 == 0 else outline[None]
    return filled


def across_and_up(view: PosedView, k: int) -> NDArray[np.bool_]:
    """(HULL_CELLS, HULL_CELLS) by x (front, back) or y (right, left), and by z: the cells of which half is in the outline
    of the k-th view."""
    import cv2

    small = cv2.resize(view.mask.astype(np.float32), (HULL_CELLS, HULL_CELLS), interpolation=cv2.INTER_AREA)
    outline = np.asarray(small)[::-1].T > 0.5
    # From behind, x runs the other way; so does y from the person's right.
    return np.ascontiguousarray(outline[::-1] if k in (2, 3) else outline, dtype=bool)


def replaced(pictures: TenPictures) -> set[str]:
    """Names of the views of which a picture was replaced by hand."""
    return {named.split()[0] for named in pictures.facts.get("by_hand", [])}


def pictures_of(reader: RunReader, step: str) -> TenPictures:
    """The step's record."""
    record = reader.record(step)
    assert isinstance(record, TenPictures)
    return record
