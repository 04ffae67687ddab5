"""Step views.body: the body of the front view, fitted to the carved surface."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.body.fit_step import FitParams
from pipelines.records import Body, Cutout, Keypoints
from pipelines.step import Context, UserError, knob, step
from pipelines.views.records import Shape, Views

LOOSE = 0.2  # share of the skin off the surface from which on somebody should look at the body


@dataclass(frozen=True)
class FrontFitParams(FitParams):
    """Knobs of body.fit, for a picture of parallel rays: the longest lens there is."""

    fov: float = knob(8.0, "The front view's field of view over its longer side; parallel rays are the longest lens.",
                      low=8, high=110, unit="degrees")  # fmt: skip


@dataclass(frozen=True)
class BodyParams:
    """Knobs of views.body."""

    rounds: int = knob(8, "How often the skin looks for the nearest piece of the surface.", low=2, high=40)
    weight: float = knob(1.0, "How strongly the skin follows the surface; less for wide clothes.", low=0.0, high=10.0)
    clothes: float = knob(10.0, "How far clothes stand off the skin.", low=0.0, high=60.0, unit="mm")


@step("views.body", version=1, title="Body in the surface", weights=["body"])
def views_body(views_read: Views, surface: Shape, matte: Cutout, keypoints: Keypoints, body_fit: Body,
               params: BodyParams, ctx: Context) -> Body:  # fmt: skip
    """The front view's body moved, stretched and bent until it lies just inside the carved surface."""
    # Heavy packages are imported by the work alone, not by the declaration.
    import numpy as np

    from pipelines.body.body_in_surface import Room, Wear, body_in_surface
    from pipelines.body.read_body import check_body
    from pipelines.views.front import front_view, ordinary_camera

    view = front_view(views_read)
    size = (matte.alpha.shape[1], matte.alpha.shape[0])
    room = Room(
        surface.vertices.astype(np.float64), surface.faces, view.pinhole.resized(*size), ordinary_camera(view, size)
    )
    try:
        check_body(body_fit)
    except ValueError as error:
        raise UserError(f"The body could not be fitted to the surface: {error}") from error
    wear = Wear(params.rounds, params.weight, params.clothes / 1000.0)
    fit = body_in_surface(body_fit, keypoints, matte.alpha, room, wear, ctx.progress)
    if fit.far > LOOSE:
        ctx.warn(f"{100 * fit.far:.0f} % of the body lies off the surface; look at it, and at the keypoints of the front "
                 "view. (Wide clothes alone do that too.)")  # fmt: skip
    return fit.body
