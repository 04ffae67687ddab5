"""Step hgm.back of the compact preset: the person from behind, painted over by a small network."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.hgm.records import BackView
from pipelines.records import Body, BodyMaps, Layers
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class LayerBackParams:
    """Knobs of hgm.back."""

    refiner: str = knob("network", "Who paints the coarse back over; none takes it as it is.",
                        choices=("network", "none"))  # fmt: skip
    strength: float = knob(1.0, "How much of the painter's change is taken; 0 leaves the coarse back.",
                           low=0.0, high=1.5)  # fmt: skip
    variety: float = knob(1.0, "How far the variants after the first go from the likeliest back.", low=0.0, high=4.0)
    variants: int = knob(1, "How many are painted, the likeliest first; hgm.pick.variant chooses one.", low=1, high=8)


@step("hgm.back", version=4, title="Back view", kind="generated", seeded=True,
      optional_weights={"hgm.back": ("refiner", "network")})  # fmt: skip
def layer_back(
    hgm_again: Layers, hgm_layers: Layers, hgm_refine: Body, hgm_maps: BodyMaps, params: LayerBackParams, ctx: Context
) -> BackView:
    """The person's back along the photo's own rays, mirrored so that it is seen from behind, painted over by a network.

    What a photo cannot tell of a back is more than one picture: the first variant is the likeliest, the others are drawn.
    A picture from elsewhere takes its place with --replace hgm.back=FILE: square, framed like this step's coarse.png.
    """
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.hgm.back_of_layers import back_of_layers

    return back_of_layers(hgm_again, hgm_layers, hgm_refine, hgm_maps, params, ctx)
