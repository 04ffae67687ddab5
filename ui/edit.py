"""Editing by hand: painting the cut-out, dragging keypoints, replacing a view or the back.

Each gives a new record in the step's place.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pipelines.records import Cutout, Keypoints, Photo
from pipelines.step import UserError
from pipelines.synchuman.records import TenPictures
from pipelines.views.records import Views
from ui.actions import Actions
from ui.edit_back_view import BackEdit
from ui.edit_keypoints import moved
from ui.edit_matte import painted, read_strokes
from ui.edit_views import ViewEdit
from ui.run_reader import RunReader
from ui.session import PUBLIC


async def move_keypoints(
    actions: Actions, token: str, name: str, step: str, data: dict[str, Any], stepwise: bool
) -> str:  # fmt: skip
    """'Apply and go on' under the keypoints. data['moved']: {index: [x, y]} in pixels of the photo."""
    record = _reader(actions, token, name).record(step)
    if not isinstance(record, Keypoints):
        raise UserError(f"'{step}' has no keypoints to move.")
    return await actions.replace(token, name, step, moved(record, dict(data.get("moved") or {})), stepwise=stepwise)


async def paint_matte(
    actions: Actions, token: str, name: str, step: str, data: dict[str, Any], stepwise: bool
) -> str:  # fmt: skip
    """'Apply and go on' under the brush. data['strokes']: a PNG as data URL, see `edit_matte.painted`."""
    reader = _reader(actions, token, name)

    def paint() -> Any:
        record = reader.record(step)
        if not isinstance(record, Cutout):
            raise UserError(f"'{step}' has no cut-out to paint on.")
        return painted(reader.need(Photo), record, read_strokes(data.get("strokes")))

    return await actions.replace(token, name, step, await asyncio.to_thread(paint), stepwise=stepwise)


async def replace_view(
    actions: Actions, token: str, name: str, step: str, data: dict[str, Any], stepwise: bool
) -> str:  # fmt: skip
    """A view's picture or normals from an upload, or the view left out (of ten pictures none can be). data: index, part,
    upload."""
    if _reader(actions, token, name).kind(step) not in (Views.kind, TenPictures.kind):
        raise UserError(f"'{step}' has no views to replace.")
    part = str(data.get("part"))
    content, file = (b"", "") if part == "drop" else actions.session.take_upload(token, str(data.get("upload")))
    try:
        edit = ViewEdit(int(data.get("index", -1)), part, content, file)
    except (TypeError, ValueError):
        raise UserError("A view to replace needs its number; reload the page.") from None
    return await actions.replace(token, name, step, edit, stepwise=stepwise)


async def replace_back(
    actions: Actions, token: str, name: str, step: str, data: dict[str, Any], stepwise: bool
) -> str:  # fmt: skip
    """An uploaded picture of the person from behind, also where the step could not make one. data: upload."""
    content, file = actions.session.take_upload(token, str(data.get("upload")))
    return await actions.replace(token, name, step, BackEdit(content, file), stepwise=stepwise)


def _reader(actions: Actions, token: str, name: str) -> RunReader:
    return RunReader(_folder(actions, token, name), actions.session.store)


def _folder(actions: Actions, token: str, name: str) -> Path:
    try:
        return actions.session.folder(token, name)
    except UserError:
        return actions.session.folder(PUBLIC, name)
