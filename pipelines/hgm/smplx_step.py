"""Steps hgm.smplx and hgm.points: the body as the points that a released network's tokens belong to."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.hgm.configuration import HgmConfig
from pipelines.hgm.records import BodyPoints
from pipelines.records import Body
from pipelines.step import Context, NoParams, Step, knob, step


@dataclass(frozen=True)
class SmplxParams:
    """Knobs of hgm.smplx."""

    rounds: int = knob(5, "Rounds of fitting its surface to the body's; fewer are faster.", low=1, high=20)


def smplx_step(config: HgmConfig) -> Step:
    """The declaration for a preset; `tiny` takes points of our own body and needs no file."""
    stand_in = config.name == "tiny"

    @step("hgm.smplx", version=1, title="SMPL-X body", weights=("body",) if stand_in else ("body", "smplx"))
    def smplx(body_fit: Body, params: SmplxParams, ctx: Context) -> BodyPoints:
        """SMPL-X fitted to the body: joints first, then the surface, with the user's own SMPL-X file.

        Vertices of another estimator take its place with --replace hgm.smplx=FILE.npz: 'vertices' (10475, 3) and
        'pelvis' (3,), metres in the OpenCV frame of the photo's camera.
        """
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.hgm.body_points import points_of

        return points_of(body_fit, config, params.rounds, ctx)

    return smplx


def points_step(config: HgmConfig) -> Step:
    """The declaration for a preset."""

    @step("hgm.points", version=2, title="SMPL-X, refined", weights=("body",))
    def points(body_fit: Body, hgm_refine: Body, hgm_smplx: BodyPoints, params: NoParams, ctx: Context) -> BodyPoints:
        """The same points on the refined body, also on one that was corrected by hand; those of hgm.smplx where it is
        the fitted one."""
        # Heavy packages are imported by the work alone, not by the declaration.
        from pipelines.hgm.body_points import points_again

        return points_again(body_fit, hgm_refine, hgm_smplx, config, ctx)

    return points
