"""Views after one of them was replaced or left out by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from pipelines.records import Floats, to_bytes
from pipelines.step import UserError
from pipelines.views.records import PosedView, Views

STRETCH = 0.03  # by how much the proportions of a picture may differ from the view's


@dataclass(frozen=True)
class ViewEdit:
    """index: which view. part: 'colour', 'normal' (both with a picture file in `data`), or 'drop'."""

    index: int
    part: str
    data: bytes = b""
    name: str = ""


def edited(views: Views, edit: ViewEdit) -> Views:
    """The views with the edit made; UserError when it cannot be."""
    if not 0 <= edit.index < len(views.views):
        raise UserError(f"There is no view number {edit.index} here; reload the page.")
    old = views.views[edit.index]
    rest = list(views.views)
    if edit.part == "drop":
        del rest[edit.index]
        if sum(not v.close_up for v in rest) < 2:
            raise UserError("At least two views of the whole person are needed; replace this one instead.")
        dropped = [*views.facts.get("left_out", []), old.label]
        return Views(tuple(rest), {**views.facts, "left_out": dropped})
    if edit.part not in ("colour", "normal"):
        raise UserError("A view has a picture and normals to replace; reload the page.")
    rest[edit.index] = _recoloured(old, edit) if edit.part == "colour" else _renormalled(old, edit)
    names = dict.fromkeys([*views.facts.get("by_hand", []), old.label])
    return Views(tuple(rest), {**views.facts, "by_hand": list(names)})


def _recoloured(view: PosedView, edit: ViewEdit) -> PosedView:
    from pipelines.views.readers import picture, with_alpha

    image = _fitted(picture(edit.data, edit.name), view, edit.name)
    # Without a transparency of its own the person is what differs from the corners; an opaque one says nothing.
    if image.shape[2] == 4 and image[..., 3].min() > 0.5:
        image = image[..., :3]
    rgba = with_alpha(image, None)
    if not (rgba[..., 3] > 0.5).any():
        raise UserError(f"'{edit.name}' shows nobody: the whole picture is background.")
    return replace(view, rgba=rgba, photo=False)


def _renormalled(view: PosedView, edit: ViewEdit) -> PosedView:
    from pipelines.views.readers import normals_of, unit_normals

    normal, mask = normals_of(edit.data, edit.name)
    image = _fitted(np.dstack([0.5 + 0.5 * normal, mask.astype(np.float32)]), view, edit.name)
    there = image[..., 3:] > 0.5
    if not there.any():
        raise UserError(f"'{edit.name}' holds no normals: the whole picture is background.")
    return replace(view, normal=np.where(there, unit_normals(image[..., :3] * 2.0 - 1.0), 0.0).astype(np.float32))


def _fitted(image: Floats, view: PosedView, name: str) -> Floats:
    """A picture on the view's own pixels; UserError when it would have to be stretched."""
    wide, high = view.camera.width, view.camera.height
    ratio = (image.shape[1] / image.shape[0]) / (wide / high)
    if abs(ratio - 1.0) > STRETCH:
        raise UserError(f"'{name}' has {image.shape[1]} x {image.shape[0]} px and the view '{view.label}' {wide} x {high}; "
                        "crop it to the same proportions and the same window.")  # fmt: skip
    if image.shape[:2] == (high, wide):
        return image
    small = Image.fromarray(to_bytes(image)).resize((wide, high), Image.Resampling.LANCZOS)
    return (np.asarray(small, np.float32) / 255.0).astype(np.float32)
