"""Step hgm.refine: the fitted body moved to where the coarse person is."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.records import Body, Cutout, Keypoints, Layers
from pipelines.step import Context, knob, step


@dataclass(frozen=True)
class RefineParams:
    """Knobs of hgm.refine."""

    enabled: bool = knob(
        False,
        "Refine the body; off keeps the fitted one. With this version's network it helps poor fits and harms good ones.",
    )
    iterations: int = knob(45, "At most so many; it stops where nothing improves.", low=3, high=400)
    again: bool = knob(True, "Ask the network once more, from the better body, before the last third.")
    front: float = knob(10.0, "Weight of the photo's own silhouette.", low=0.0, high=100.0)
    sides: float = knob(1.0, "Weight of the coarse person's silhouettes from eleven more sides.", low=0.0, high=100.0)
    depth: float = knob(1.0, "Weight of the gaps between the body and the two layers.", low=0.0, high=100.0)
    keypoints: float = knob(1.0, "Weight of the landmarks in the photo.", low=0.0, high=100.0)


@step("hgm.refine", version=1, title="Body, refined", weights=("body", "hgm.layers"))
def refine(
    body_fit: Body, matte: Cutout, keypoints: Keypoints, hgm_coarse: Layers, params: RefineParams, ctx: Context
) -> Body:
    """The body's parameters, and nothing else, are moved until the body lies inside the coarse person: its silhouette
    from twelve sides, its surfaces between the two layers, its landmarks on the photo's.

    Every iteration is kept. When the end does not agree clearly better than the start, the start is returned and a
    warning says so.
    """
    # Heavy packages are imported by the work alone, not by the declaration.
    from pipelines.hgm.refine_record import refined_body

    return refined_body(body_fit, matte, keypoints, hgm_coarse, params, ctx)
