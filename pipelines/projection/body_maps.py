"""Step body.maps: the fitted body drawn from the photo's camera, first and last surface, with and without arms."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Body, BodyMaps, Cutout
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class BodyMapsParams:
    """Knobs of body.maps."""

    resolution: int = knob(768, "Longer side of the grid; never finer than the photo.", low=96, high=2048, unit="px")


@step("body.maps", version=1, title="Body maps")
def body_maps(body_fit: Body, matte: Cutout, params: BodyMapsParams, ctx: Context) -> BodyMaps:
    """The fitted body as the photo's camera sees it: nearest and farthest surface, normals and body parts.

    The set 'armless' leaves out forearms and hands: what lies behind them, and the safer anchor where a fitted
    hand misses the hand in the photo by a few pixels. Besides the fields of the record: exit and entry, where the
    ray leaves the first limb and where it enters the last one; back and front where it meets only one.
    """
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.projection.body_surfaces import draw_body_maps

    return draw_body_maps(body_fit, matte, params, ctx)
