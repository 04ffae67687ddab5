"""Editing by hand: painting the cut-out, dragging keypoints. Each gives a new record in the step's place."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from pipelines.records import Cutout, Keypoints, Photo
from pipelines.step import UserError
from ui.actions import Actions
from ui.edit_keypoints import moved
from ui.edit_matte import background, painted, strokes_of
from ui.run_reader import RunReader
from ui.session import PUBLIC

if TYPE_CHECKING:
    from ui.layout import Handlers

ADD, REMOVE = "#12a05c", "#d63a2f"  # the brush colours: this is the person; this is not


def brush_editor() -> gr.ImageEditor:
    """The painting component; it is heavy and only mounted while it is used."""
    return gr.ImageEditor(
        label="Paint the cut-out: green adds to the person, red takes away", type="pil", image_mode="RGBA",
        sources=(), transforms=(), layers=gr.LayerOptions(allow_additional_layers=False), elem_id="hs-brush-editor",
        brush=gr.Brush(default_size=24, colors=[ADD, REMOVE], default_color=ADD, color_mode="fixed"), height=560,
        buttons=[],
    )  # fmt: skip


async def move_keypoints(
    actions: Actions, token: str, name: str, step: str, data: dict[str, Any], stepwise: bool
) -> str:  # fmt: skip
    """'Apply and go on' under the keypoints."""
    folder = _folder(actions, token, name)
    record = RunReader(folder, actions.session.store).record(step)
    if not isinstance(record, Keypoints):
        raise UserError(f"'{step}' has no keypoints to move.")
    return await actions.replace(token, name, step, moved(record, dict(data.get("moved") or {})), stepwise=stepwise)


def wire(
    actions: Actions, handlers: Handlers, note: Any, stepwise: Any, panel: Any, brush: Any, editor: Any, apply: Any,
    leave: Any, door: Any, seen: dict[str, Any],
) -> None:  # fmt: skip
    """The events of the painting component."""
    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

    async def open_brush(now: dict[str, str]) -> tuple[Any, Any, Any]:
        try:
            photo, cutout, _ = await asyncio.to_thread(_cutout_of, actions, handlers, now)
        except UserError as error:
            return gr.skip(), gr.skip(), {"error": str(error)}
        layers: list[Any] = []
        value = {"background": background(photo, cutout), "layers": layers, "composite": None}
        return gr.update(visible=True), value, gr.skip()

    async def use(now: dict[str, str], value: Any, steps: bool) -> tuple[Any, Any, Any]:
        try:
            photo, cutout, step = await asyncio.to_thread(_cutout_of, actions, handlers, now)
            new = await asyncio.to_thread(painted, photo, cutout, strokes_of(value))
            shown = now["example"] or now["mine"] or handlers._first_example()
            name = await actions.replace(now["token"], shown, step, new, stepwise=bool(steps))
        except UserError as error:
            return gr.skip(), gr.skip(), {"error": str(error)}
        now = {**now, "mine": name, "example": ""}
        return gr.update(visible=False), now, handlers.show(now)

    panel.act(open_brush, [note], [brush, editor, door], **private)
    leave.click(lambda: gr.update(visible=False), None, [brush], **private)
    apply.click(use, [note, editor, stepwise], [brush, note, door], **private).then(handlers.follow, **seen)


def _cutout_of(actions: Actions, handlers: Handlers, note: dict[str, str]) -> tuple[Photo, Cutout, str]:
    shown = note["example"] or note["mine"] or handlers._first_example()
    reader = RunReader(_folder(actions, note["token"], shown), actions.session.store)
    for state in reader.run.steps:
        if reader.kind(state.name) == Cutout.kind:
            cutout = reader.record(state.name)
            assert isinstance(cutout, Cutout)
            return reader.need(Photo), cutout, state.name
    raise UserError("This run has no cut-out to paint on yet.")


def _folder(actions: Actions, token: str, name: str) -> Path:
    try:
        return actions.session.folder(token, name)
    except UserError:
        return actions.session.folder(PUBLIC, name)
