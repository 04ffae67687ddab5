"""Step photo: the front view, as the photo that the body is read from."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Photo
from pipelines.step import Context, knob, step
from pipelines.views.records import Views


@dataclass(frozen=True)
class FrontParams:
    """Knobs of photo."""

    longest_side: int = knob(1280, "A larger front view is reduced to this many pixels on its longer side.", low=256,
                             high=4096, unit="px")  # fmt: skip


@step("photo", version=1, title="Front view")
def photo(views_read: Views, params: FrontParams, ctx: Context) -> Photo:
    """The view that looks at the person's front, with its outline as transparency."""
    # Heavy packages are imported by the work alone, not by the declaration.
    import numpy as np

    from pipelines.views.front import front_view, picture_size, reduced

    view = front_view(views_read)
    rgba = reduced(view.rgba, picture_size(view, params.longest_side))
    grey = bool(np.abs(rgba[..., :3] - rgba[..., :3].mean(-1, keepdims=True)).max() < 4 / 255)
    facts = {
        "original_size": [view.camera.width, view.camera.height], "format": f"view '{view.label}'", "mode": "RGBA",
        "has_alpha": True, "turned_upright": False, "grey": grey,
    }  # fmt: skip
    return Photo(rgba[..., :3].copy(), rgba[..., 3].copy(), facts)
