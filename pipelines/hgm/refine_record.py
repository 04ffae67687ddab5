"""The refined body as a record, with every iteration in it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipelines.body.body_numbers import side_numbers
from pipelines.body.fit_evidence import Evidence, read_evidence
from pipelines.body.fit_terms import projected
from pipelines.body.read_body import pitch_of
from pipelines.hgm.coarse import CoarseParams
from pipelines.hgm.refine import RefineParams
from pipelines.hgm.refine_loop import TERM_NAMES, Coarse, Line, Predict, Progress, Refined, Weights, refine
from pipelines.hgm.refine_masks import SHOWN, SIZE
from pipelines.projection.body_maps import BodyMapsParams
from pipelines.projection.layers import LayersParams
from pipelines.records import Body, Cutout, Keypoints, Layers, to_bytes
from pipelines.step import Context, UserError

SMALL = 320  # pixels, the longer side of the maps from which the coarse person is made anew
SEEN = 0.25  # visibility from which a landmark counts in the mean miss


def refined_body(
    body: Body, matte: Cutout, keypoints: Keypoints, coarse: Layers, params: RefineParams, ctx: Context
) -> Body:
    """The work of the step `hgm.refine`; see its declaration."""
    if not params.enabled:
        # The very same record: what follows is then the first pass's work again, and is found in the store.
        return body
    if not coarse.arrays["mask"].any():
        raise UserError("The coarse person is empty, so there is nothing to refine the body with; check the cut-out.")
    weights = Weights(params.front, params.sides, params.depth, params.keypoints)
    again = predictor(matte, keypoints, ctx) if params.again and params.sides + params.depth > 0 else None
    return judged(body, matte, keypoints, coarse, weights, params.iterations, again, ctx.progress, ctx, "coarse person")


def judged(
    body: Body, matte: Cutout, keypoints: Keypoints, coarse: Coarse | None, weights: Weights, iterations: int,
    again: Predict | None, progress: Progress, ctx: Context, against: str,
) -> Body:  # fmt: skip
    """`refine` as a record; the fit stays, with a warning that names what it was compared with, where nothing helped.

    UserError for landmarks that are not finite and for a body that cannot be refined.
    """
    if not np.isfinite(keypoints.body).all() or not np.isfinite(keypoints.world).all():
        raise UserError("The landmarks hold a number that is not finite; read them again or correct the file.")
    evidence = read_evidence(keypoints, matte.alpha, body["K"])
    try:
        found = refine(body, matte.alpha, evidence, coarse, weights, iterations, again, progress)
    except ValueError as error:
        raise UserError(f"The body could not be refined: {error} Or set hgm.refine.enabled=false.") from error
    if not found.helped:
        ctx.warn(f"Refining the body did not help: nothing agreed clearly better with the {against}; the fit stays.")
    return record_of(found, body, evidence)


def predictor(matte: Cutout, keypoints: Keypoints, ctx: Context) -> Callable[[Body], Layers]:
    """The coarse person from a body: the steps body.maps, layers and hgm.coarse on a small grid."""
    from pipelines.hgm.correct import correct
    from pipelines.projection.body_surfaces import draw_body_maps
    from pipelines.projection.two_surfaces import two_surfaces

    quiet = Context(ctx.step, ctx.device, ctx.seed, ctx.weights, is_cancelled=ctx.is_cancelled)

    def predict(body: Body) -> Layers:
        maps = draw_body_maps(body, matte, BodyMapsParams(resolution=SMALL), quiet)
        layers = two_surfaces(matte, body, maps, keypoints, LayersParams(), quiet)
        return correct(layers, body, maps, CoarseParams(), quiet)

    return predict


def record_of(found: Refined, start: Body, evidence: Evidence) -> Body:
    """The record, its numbers made anew, and `history`: the fields of a fit's, and of the silhouettes at 0, 90, 180 and
    270 degrees `masks` (I, 4, SIZE, SIZE) and `target_masks` uint8."""
    moved = found.body.moved(found.change, with_slopes=False)
    record = found.body.record(moved) if found.helped else start
    costs = np.array([found.costs[name] for name in TERM_NAMES], np.float32)
    px = projected(moved.landmarks, np.zeros((len(moved.landmarks), 3, 0)), evidence.K)[0]
    miss = np.linalg.norm(px - evidence.px, axis=1) / evidence.height_px * 100
    seen = evidence.weights > SEEN
    numbers: dict[str, NDArray] = {
        "reprojection_pct": np.asarray(miss[seen].mean() if seen.any() else 0.0, np.float32),
        "inside_mask": np.asarray(inside_share(moved.skin, evidence), np.float32),
        "lean_deg": np.asarray(side_numbers(record)["lean_deg"], np.float32),
        "refine_costs": costs,  # (T, 2): at the start and at the end, by the history's term_names
        "refine_helped": np.array(found.helped),
    }
    texts = {**record.texts, "source": "hgm-refine", "created_from": f"{start.texts.get('source', 'a body')}, refined"}
    return Body({**record.arrays, **numbers}, texts, history_of(found, pitch_of(start)))


def inside_share(points: NDArray[np.float64], evidence: Evidence) -> float:
    """Share of points (N, 3) that project into the silhouette, or within one percent of the height."""
    px = projected(points, np.zeros((len(points), 3, 0)), evidence.K)[0]
    cell = (px * evidence.outside_scale).astype(int)
    height, width = evidence.outside.shape
    there = np.asarray((cell >= 0).all(1) & (cell < (width, height)).all(1))
    x, y = np.where(there[:, None], cell, 0).T
    return float((there & (evidence.outside[y, x] < 0.01 * evidence.height_px)).mean())


def history_of(found: Refined, pitch: float) -> dict[str, NDArray]:
    """Every iteration, as `Body.history` has it."""
    lines, body = found.lines, found.body
    count = len(lines)
    poses = [body.pose_of(line.moved) for line in lines]
    shapes = [body.shape_of(line.moved.change) for line in lines]

    local = body.body.arrays.get("local_changes", np.zeros(len(body.rig.local_names)))

    def masks(of: Callable[[Line], NDArray]) -> NDArray[np.uint8]:
        return np.array([[to_bytes(of(line)[i]) for i in SHOWN] for line in lines], np.uint8).reshape(
            count, len(SHOWN), SIZE, SIZE
        )

    return {
        "terms": np.array([[line.costs.get(name, 0.0) for name in TERM_NAMES] for line in lines], np.float32),
        "term_names": np.array(TERM_NAMES, dtype="U"),
        "rotations": np.array([p[0] for p in poses], np.float32),
        "root_translation": np.array([p[1] for p in poses], np.float32),
        "phenotypes": np.array([s[0] for s in shapes], np.float32),
        "length_scales": np.array([s[1] for s in shapes], np.float32),
        "local_changes": np.tile(np.asarray(local, np.float32), (count, 1)),
        "pitch": np.full(count, pitch, np.float32),
        "masks": masks(lambda line: line.masks),
        "target_masks": masks(lambda line: line.targets),
    }
