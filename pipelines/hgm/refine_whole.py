"""The body refined against the Gaussians of a whole network: the work of the step `hgm.refine` of these presets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from pipelines.hgm.body_points import ROUNDS_AGAIN, points_of
from pipelines.hgm.configuration import HgmConfig
from pipelines.hgm.frame import LEAST_OPACITY, gaussians_to_camera
from pipelines.hgm.preset_network import predict, preset_network
from pipelines.hgm.records import GIVEN, BodyPoints
from pipelines.hgm.refine_loop import Floats, Weights
from pipelines.hgm.refine_record import judged
from pipelines.hgm.refine_splats import SplatPerson
from pipelines.hgm.whole_person import front_picture, front_scores
from pipelines.records import Body, Cutout, Keypoints
from pipelines.step import Context, Event, UserError

if TYPE_CHECKING:
    from pipelines.hgm.refine_released import RefineParams


def refined_by_gaussians(
    body: Body, matte: Cutout, keypoints: Keypoints, points: BodyPoints, config: HgmConfig, params: RefineParams,
    ctx: Context,
) -> Body:  # fmt: skip
    """See the step. points: those of hgm.smplx; of a body that was given, ours says nothing, and it stays."""
    if points.source == GIVEN:
        ctx.warn("The SMPL-X vertices were given, so that our body is not refined; theirs are taken as they are.")
    if not params.enabled or points.source == GIVEN:
        return body
    if not (matte.alpha > 0.5).any():
        raise UserError("The cut-out is empty, so there is nothing to refine the body with; check the cut-out.")
    weights = Weights(params.front, params.sides, 0.0, params.keypoints)
    last = 0.0

    def pass_on(event: Event) -> None:
        """The network's stages, as a part of this step's own progress."""
        ctx.listen(dataclasses.replace(event, fraction=last) if event.state == "running" else event)

    people = person_maker(matte, config, dataclasses.replace(ctx, listen=pass_on))
    first: list[SplatPerson] = []

    def ask(better: Body) -> SplatPerson:
        if not first or params.again:
            first.append(people(better))
        return first[-1]

    def tell(share: float, message: str, picture: Floats) -> None:
        nonlocal last
        last = max(last, share)
        ctx.progress(last, message, picture)

    again = ask if params.sides > 0 else None
    return judged(body, matte, keypoints, None, weights, params.iterations, again, tell, ctx, "Gaussians")


def person_maker(matte: Cutout, config: HgmConfig, ctx: Context) -> Callable[[Body], SplatPerson]:
    """body -> the network's Gaussians on it, in the camera's frame. The network is loaded when it is first asked."""
    loaded: list = []

    def make(body: Body) -> SplatPerson:
        points = points_of(body, config, ROUNDS_AGAIN, ctx)
        front = front_picture(matte, body, points, config.input_size)
        if not loaded:
            loaded.append(preset_network(config, "hgm.one_view", ctx))
        made = predict(loaded[0], [front], points, ctx)
        scores = front_scores(made, front)
        fov = max(scores, key=lambda name: scores[name])
        return SplatPerson(gaussians_to_camera(made[made[:, 3] >= LEAST_OPACITY].numpy(), points.pelvis, fov))

    return make
