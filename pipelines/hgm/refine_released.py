"""Step hgm.refine on the whole networks: the fitted body moved to where the Gaussians' silhouettes are."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.hgm.configuration import HgmConfig
from pipelines.hgm.records import BodyPoints
from pipelines.records import Body, Cutout, Keypoints
from pipelines.step import Context, Step, knob, step


@dataclass(frozen=True)
class RefineParams:
    """Knobs of hgm.refine."""

    enabled: bool = knob(True, "Refine the body; off keeps the fitted one and spares two passes of the network.")
    iterations: int = knob(45, "At most so many; it stops where nothing improves.", low=3, high=400)
    again: bool = knob(True, "Ask the network once more, from the better body, before the last third.")
    front: float = knob(10.0, "Weight of the photo's own silhouette.", low=0.0, high=100.0)
    sides: float = knob(1.0, "Weight of the Gaussians' silhouettes from eleven more sides.", low=0.0, high=100.0)
    keypoints: float = knob(1.0, "Weight of the landmarks in the photo.", low=0.0, high=100.0)


def refine_step(config: HgmConfig) -> Step:
    """The declaration for a preset."""
    weights = ("body",) if config.name == "tiny" else ("body", "hgm.one_view")

    @step("hgm.refine", version=3, title="Body, refined", weights=weights, backends=("cpu", "cuda"))
    def refine(
        body_fit: Body, matte: Cutout, keypoints: Keypoints, hgm_smplx: BodyPoints, params: RefineParams, ctx: Context
    ) -> Body:
        """The body's parameters, and nothing else, are moved until its silhouette from twelve sides is that of the
        Gaussians, in front that of the photo.

        The first third knows the photo only, so that the network never sees the first, badly placed body; then it makes
        Gaussians from the body so far, and before the last third once more (paper, section 3.3.2). The paper's normal
        term needs an estimator of normals and is left out; landmarks of the photo are in. Every iteration is kept.
        """
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.hgm.refine_whole import refined_by_gaussians

        return refined_by_gaussians(body_fit, matte, keypoints, hgm_smplx, config, params, ctx)

    return refine
