"""Editing by hand: painting the cut-out, dragging keypoints. Each gives a new record in the step's place."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.records import Cutout, Keypoints, Photo, to_bytes
from pipelines.step import UserError
from ui.actions import Actions
from ui.run_reader import RunReader
from ui.session import PUBLIC

if TYPE_CHECKING:
    from ui.layout import Handlers

ADD, REMOVE = "#12a05c", "#d63a2f"  # the brush colours: this is the person; this is not
EDITOR_PIXELS = 900


def brush_editor() -> gr.ImageEditor:
    """The painting component; it is heavy and only mounted while it is used."""
    return gr.ImageEditor(
        label="Paint the cut-out: green adds to the person, red takes away", type="pil", image_mode="RGBA",
        sources=(), transforms=(), layers=gr.LayerOptions(allow_additional_layers=False), elem_id="hs-brush-editor",
        brush=gr.Brush(default_size=24, colors=[ADD, REMOVE], default_color=ADD, color_mode="fixed"), height=560,
        buttons=[],
    )  # fmt: skip


def background(photo: Photo, cutout: Cutout) -> Image.Image:
    """What one paints on: the photo, with all that is not the person dimmed; at most EDITOR_PIXELS high or wide."""
    dim = 0.25 + 0.75 * cutout.alpha[..., None]
    veil = np.array([0.35, 0.35, 0.38], np.float32) * (1 - dim)
    image = Image.fromarray(to_bytes(photo.rgb * dim + veil))
    image.thumbnail((EDITOR_PIXELS, EDITOR_PIXELS))
    return image


def painted(photo: Photo, cutout: Cutout, strokes: Image.Image) -> Cutout:
    """The cut-out after the strokes (RGBA, any size, transparent where nothing was painted).

    Green raises alpha to one, red lowers it to zero; the strokes' own alpha blends at their rims. Where the person
    is new, the colours are the photo's.
    """
    width, height = photo.size
    paint = np.asarray(strokes.convert("RGBA").resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    strength = paint[..., 3]
    if not (strength > 0.02).any():
        raise UserError("Nothing was painted; paint with green or red first, or leave the cut-out as it was.")
    adds = paint[..., 1] >= paint[..., 0]
    alpha = np.where(adds, np.maximum(cutout.alpha, strength), cutout.alpha * (1 - strength))
    new = np.clip((alpha - cutout.alpha) / np.maximum(alpha, 1e-6), 0, 1)[..., None]
    rgb = cutout.rgb * (1 - new) + photo.rgb * new
    rgba = np.dstack([rgb, alpha]).astype(np.float32)
    return Cutout(rgba, {**facts_of(alpha), "source": "hand"})


def facts_of(alpha: NDArray[np.floating]) -> dict[str, Any]:
    """Coverage (share of the picture) and touched borders of a matte (H, W)."""
    inside = alpha > 0.5
    rims = {"left": inside[:, 0], "right": inside[:, -1], "top": inside[0], "bottom": inside[-1]}
    return {"coverage": round(float(alpha.mean()), 5), "touching": [k for k, v in rims.items() if v.any()]}


def strokes_of(value: Any) -> Image.Image:
    """The painted layer of an ImageEditor's value."""
    layers = (value or {}).get("layers") or []
    if not layers or layers[0] is None:
        raise UserError("Nothing was painted; paint with green or red first, or leave the cut-out as it was.")
    layer = layers[0]
    assert isinstance(layer, Image.Image)
    return layer


def moved(keypoints: Keypoints, changes: dict[str, Any]) -> Keypoints:
    """Keypoints with some body points put elsewhere by hand. changes: {index: [x px, y px]}."""
    body, edited = keypoints.body.copy(), keypoints.edited.copy()
    for name, place in changes.items():
        try:
            i, x, y = int(name), float(place[0]), float(place[1])
        except (TypeError, ValueError, IndexError):
            raise UserError("A moved keypoint needs a number and two coordinates; reload the page.") from None
        if not (0 <= i < len(body) and math.isfinite(x) and math.isfinite(y)):
            raise UserError(f"There is no keypoint {name} at {place}; reload the page.")
        body[i] = (x, y, 1.0, 1.0)
        edited[i] = True
    if not changes:
        raise UserError("No keypoint was moved; drag one first.")
    return dataclasses.replace(keypoints, body=body, edited=edited)


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
