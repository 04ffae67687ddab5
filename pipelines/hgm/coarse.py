"""Step hgm.coarse: the network's correction of the two layers."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Body, BodyMaps, Layers
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class CoarseParams:
    """Knobs of hgm.coarse."""

    depth: float = knob(
        1.0, "How much of the network's change of the depths is taken; 0 keeps the body's.", low=0.0, high=1.5
    )
    colour: float = knob(1.0, "How much of its change of the back's colours is taken.", low=0.0, high=1.5)


@step("hgm.coarse", version=5, title="Network", kind="generated", weights=("hgm.layers",))
def coarse(layers: Layers, body_fit: Body, body_maps: BodyMaps, params: CoarseParams, ctx: Context) -> Layers:
    """The compact network looks at the photo, the fitted body and the two layers, and moves them to where people with
    such clothes in such a pose have their front and back; it also corrects the made colours of the back.

    It was trained on synthetic people with the fit's real errors. Where it sees nothing to correct, the layers stay.
    """
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.hgm.correct import correct

    return correct(layers, body_fit, body_maps, params, ctx)
