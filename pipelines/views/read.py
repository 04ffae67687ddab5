"""Step views.read: a folder or archive of pictures made elsewhere, with a camera for each."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Upload
from pipelines.step import Context, knob, step
from pipelines.views.records import Views

LAYOUTS = ("auto", "cameras", "synchuman", "pshuman", "turntable")  # 'auto' and the readers' names


@dataclass(frozen=True)
class ReadParams:
    """Knobs of views.read."""

    height: float = knob(1.70, "How tall the person is; the pictures do not say.", low=0.3, high=3.0, unit="m")
    layout: str = knob("auto", "Who made the pictures: found out from the file names, or decided by you.",
                       choices=LAYOUTS)  # fmt: skip
    first: float = knob(0.0, "Turntable: from which side the first frame is taken; 90 is the person's left.",
                        low=-360.0, high=360.0, unit="degrees")  # fmt: skip
    clockwise: bool = knob(False, "Turntable: the camera walks from the front to the person's right hand.")


@step("views.read", version=2, title="Views")
def views_read(upload: Upload, params: ReadParams, ctx: Context) -> Views:
    """The pictures with their cameras, un-mirrored, normals in the display frame, at the stated height."""
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.views.archive import unpack
    from pipelines.views.readers import Wishes, read_views

    views = read_views(unpack(upload), Wishes(params.height, params.first, params.clockwise), params.layout)
    if all(view.normal is None for view in views.views):
        ctx.warn("These views have no normal maps; the shape comes from the outlines alone, and hollows stay filled.")
    return views
