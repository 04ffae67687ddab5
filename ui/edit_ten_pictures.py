"""SyncHuman's ten pictures after one of them was replaced by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipelines.records import to_bytes
from pipelines.step import UserError
from pipelines.synchuman.records import MIRRORED, VIEW_NAMES, VIEWS, TenPictures
from ui.edit_picture import read_colours, read_normals
from ui.edit_views import ViewEdit

CLOSE_UP = 4
PARTS = {"colour": "colours", "normal": "normals"}


def exchanged(pictures: TenPictures, edit: ViewEdit) -> TenPictures:
    """The ten with one picture exchanged; UserError when it cannot be.

    The file is as a camera on that side sees the person, in other words as the page shows the picture: it is turned
    round where the networks have it mirrored. Colours go on white; normals are in the front camera's frame (x right,
    y up, z towards it) in every view, as `TenPictures` says. A front of other colours is no longer the photo.
    """
    if not 0 <= edit.index < VIEWS:
        raise UserError(f"There is no view number {edit.index} here; reload the page.")
    if edit.part == "drop":
        raise UserError("The steps after this one need all ten pictures; replace this one instead of leaving it out.")
    if edit.part not in PARTS:
        raise UserError("A view has a picture and normals to replace; reload the page.")
    label, side = VIEW_NAMES[edit.index], pictures.colours.shape[1]
    given = edit.data, edit.name, (side, side), label
    if edit.part == "colour":
        rgba = read_colours(*given)
        flat = rgba[..., :3] * rgba[..., 3:] + (1 - rgba[..., 3:])
    else:
        normal = read_normals(*given)
        there = normal.any(-1, keepdims=True)
        if there.all() and edit.index != CLOSE_UP:
            raise UserError(f"'{edit.name}' has no background; make what is not the person white or transparent.")
        flat = np.where(there, 0.5 + 0.5 * normal, 1.0)
    picture = to_bytes(flat)[:, ::-1] if edit.index in MIRRORED else to_bytes(flat)
    stack = (pictures.colours if edit.part == "colour" else pictures.normals).copy()
    stack[edit.index] = picture
    named = f"{label} {PARTS[edit.part]}"
    facts = {**pictures.facts, "by_hand": list(dict.fromkeys([*pictures.facts.get("by_hand", []), named]))}
    if named == "front colours":
        facts["front_is_photo"] = False
    return replace(pictures, **{PARTS[edit.part]: stack}, facts=facts)
