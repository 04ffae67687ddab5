"""The points that a network's tokens belong to: SMPL-X vertices of the fitted body, from the user's own file; of our own
body for the stand-in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines.body.convert import smplx_from_anny
from pipelines.body.read_body import check_body, posed
from pipelines.body.smplx_file import VERTICES, SmplxModel
from pipelines.hgm.configuration import HgmConfig
from pipelines.hgm.records import FITTED, GIVEN, STAND_IN, BodyPoints
from pipelines.records import Body
from pipelines.step import Context, MissingNeed, UserError

LOOSE = 20.0  # mm between the surfaces above which it is said
ROUNDS_AGAIN = 3  # of the fit to a refined body
# What a body's surface depends on.
PLACED = ("rotations", "root_translation", "phenotypes", "length_scales", "local_changes", "expression")


def points_of(body: Body, config: HgmConfig, rounds: int, ctx: Context) -> BodyPoints:
    """The work of the step `hgm.smplx`; see its declaration."""
    if config.name == "tiny":
        return stand_in_points(body, config.tokens)
    path = ctx.weight_file("smplx")
    ctx.progress(0.0, "SMPL-X fitted to the body")
    model = read_model(path)
    fit = smplx_from_anny(model, check_body(body), posed(body), rounds)
    made = model.pose(model.rest(fit.betas), fit.rotations, fit.translation)
    facts = {"source": FITTED, "model": "SMPL-X", "joint_error_mm": round(fit.joint_error_mm, 1),
             "surface_error_mm": round(fit.surface_error_mm, 1)}  # fmt: skip
    if fit.surface_error_mm > LOOSE:
        ctx.warn(f"SMPL-X meets the fitted body within {fit.surface_error_mm:.0f} mm only; more rounds may help.")
    return BodyPoints(made.vertices.astype(np.float32), made.joints[0].astype(np.float32), facts)


def points_again(fitted: Body, body: Body, before: BodyPoints, config: HgmConfig, ctx: Context) -> BodyPoints:
    """The work of the step `hgm.points`; see its declaration. body: the refined one; before: on the fitted one."""
    same = all(np.array_equal(_placed(fitted, name), _placed(body, name)) for name in PLACED)
    if before.source == GIVEN and not same:
        ctx.warn(
            "The SMPL-X vertices were given, and are not moved with the body of hgm.refine; give those of that body."
        )
    if before.source == GIVEN or same:
        return before
    return points_of(body, config, ROUNDS_AGAIN, ctx)


def _placed(body: Body, name: str) -> np.ndarray:
    """An entry of a record; zeros, which change nothing, where it has none."""
    value = np.asarray(body.arrays.get(name, 0.0))
    return value if value.any() else np.zeros(())


def stand_in_points(body: Body, count: int) -> BodyPoints:
    """Vertices of our own body, evenly out of its numbering, in the place of the tokens' own; the pelvis is ours."""
    rig = check_body(body)
    state = posed(body)
    outside = np.setdiff1d(np.arange(rig.vertex_count), rig.vertices_of("inside"))
    chosen = outside[np.linspace(0, len(outside) - 1, count).round().astype(int)]
    pelvis = np.asarray(body["root_translation"], np.float32)
    facts = {"source": STAND_IN, "model": "vertices of the default body, not those of the tokens"}
    return BodyPoints(np.asarray(state.vertices, np.float32)[chosen], pelvis, facts)


def read_model(path: Path) -> SmplxModel:
    """The user's SMPL-X; UserError when the file is not readable."""
    try:
        return SmplxModel.load(path)
    except (ValueError, FileNotFoundError) as error:
        raise UserError(f"'{path.name}' came as the SMPL-X body model: {error}") from error


def check_tokens(tokens: int) -> None:
    """MissingNeed unless the network's tokens are SMPL-X vertices."""
    if tokens != VERTICES:
        raise MissingNeed(
            f"These HGM weights have {tokens} tokens, which are not the {VERTICES} vertices of SMPL-X; "
            "bodies can be made for SMPL-X alone: use the SMPL-X weights, or the preset 'compact'."
        )
