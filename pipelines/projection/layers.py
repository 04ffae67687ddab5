"""Step layers: two surfaces over the whole matte, with the photo's colours in front and made ones behind."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Body, BodyMaps, Cutout, Keypoints, Layers
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class LayersParams:
    """Knobs of layers."""

    reach: float = knob(
        0.06,
        "How far an arm may stand off before the photo must show its outline.",
        low=0.0,
        high=1.0,
        unit="m",
    )
    slack: float = knob(0.02, "By how much a fitted arm may miss the arm in the photo.", low=0.002, high=0.1, unit="m")
    loose: float = knob(0.06, "Most that clothes may add to the body's half thickness.", low=0.0, high=0.3, unit="m")
    likeness: float = knob(
        8.0, "Colour difference from the cloth at the outline that still counts as the same cloth; 0 replaces all "
        "of the back, 200 mirrors the photo.", low=0.0, high=200.0,
    )  # fmt: skip


@step("layers", version=9, title="Front and back", kind="mixed")
def layers(
    matte: Cutout,
    body_fit: Body,
    body_maps: BodyMaps,
    keypoints: Keypoints,
    params: LayersParams,
    ctx: Context,
) -> Layers:
    """Two surfaces over the whole person, hair and clothes included: the body's depth carried out to the outline.

    The front takes the photo's own pixels; the back takes them mirrored where the cloth goes around, and made
    colours where it does not (back of the head, prints, open jackets).
    """
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.projection.two_surfaces import two_surfaces

    return two_surfaces(matte, body_fit, body_maps, keypoints, params, ctx)
