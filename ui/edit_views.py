"""Views after one of them was replaced or left out by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.step import UserError
from pipelines.views.records import PosedView, Views
from ui.edit_picture import read_colours, read_normals


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
    from pipelines.views.readers import with_alpha

    # A view's outline is hard: its alpha is its mask.
    return replace(view, rgba=with_alpha(read_colours(*_given(view, edit)), None), photo=False)


def _renormalled(view: PosedView, edit: ViewEdit) -> PosedView:
    return replace(view, normal=read_normals(*_given(view, edit)))


def _given(view: PosedView, edit: ViewEdit) -> tuple[bytes, str, tuple[int, int], str]:
    return edit.data, edit.name, (view.camera.width, view.camera.height), view.label
