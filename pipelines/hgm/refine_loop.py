"""The refinement of a body against the coarse person (paper section 3.3.2): 45 iterations on the body alone.

Iterations 1 to 15 know the photo only: matte and keypoints. Then the coarse person comes in: its silhouettes from eleven
more sides, and its depths. Before the last 15 each limb is tried mirrored in depth, and the coarse person is asked for
anew. The optimiser is Levenberg-Marquardt with exact derivatives where the paper has Adam: the same loss, and 45
iterations suffice. The best state so far is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_evidence import Evidence
from pipelines.body.fit_terms import Rows
from pipelines.body.levenberg import Damping, damped_step
from pipelines.hgm.refine_body import Change, Moved, MovingBody
from pipelines.hgm.refine_depth import Depths, depth_rows, read_depths, shown_points
from pipelines.hgm.refine_limbs import LIMB_NAMES, mirrored
from pipelines.hgm.refine_masks import SHOWN, SIZE, VIEWS, MaskLoss, Orbit, orbit, photo_mask, solid_masks
from pipelines.hgm.refine_splats import SplatPerson, splat_masks
from pipelines.hgm.refine_terms import NearStart, keypoint_rows, mask_rows, near_start, prior_rows
from pipelines.records import Body, Layers

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Coarse = Layers | SplatPerson
Predict = Callable[[Body], Coarse]
Progress = Callable[[float, str, Floats], None]  # share done, message, masks of the body and of the target side by side

TERM_NAMES = ("front mask", "side masks", "depth", "keypoints", "pose prior", "shape prior")
# By which terms the end must be clearly better: what the start could not see; the photo, where that is all there is.
JUDGES, JUDGES_ALONE = ("side masks", "depth"), ("front mask", "keypoints")
STAGES = 3  # of equal length: the photo alone, the coarse person, the coarse person anew
TRIAL = 3  # iterations of a limb that is tried mirrored in depth
CLEARLY = 5.0  # cheaper a mirrored limb must be to be believed
HELPED = 0.12  # of the start's cost by which; layers that only repeat the body give 3 to 8 percent
LOOK_AGAIN = 5  # iterations after which it is found out anew which points are on the body's outer surfaces
SETTLED = 1e-3  # of the cost, the gain below which two iterations in a row end a stage
LARGEST_TURN = 0.4  # radians in one iteration


@dataclass(frozen=True)
class Weights:
    """front, sides: of the silhouettes (the paper's 10 and 1); depth, keypoints: 0 leaves them out."""

    front: float = 10.0
    sides: float = 1.0
    depth: float = 1.0
    keypoints: float = 1.0


@dataclass
class Targets:
    """What the body is compared with. masks (12, SIZE, SIZE); depths: None before the coarse person is known."""

    orbit: Orbit
    masks: Floats
    depths: Depths | None = None


@dataclass(frozen=True)
class Line:
    """One iteration. targets (12, SIZE, SIZE): what its silhouettes were compared with."""

    costs: dict[str, float]
    moved: Moved
    masks: Floats
    targets: Floats


@dataclass(frozen=True)
class Refined:
    """change: the best found, no change at all when nothing helped. costs: {term: (start, best)}, both on the last
    targets. lines: every iteration in order."""

    body: MovingBody
    change: Change
    helped: bool
    costs: dict[str, tuple[float, float]]
    lines: list[Line]


class Refinement:
    """One record, its evidence, its history."""

    def __init__(self, body: Body, evidence: Evidence | None, weights: Weights, targets: Targets) -> None:
        self.body = MovingBody(body)
        self.evidence, self.weights, self.targets = evidence, weights, targets
        self.near: NearStart = near_start(self.body)
        self.shown: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None
        self.lines: list[Line] = []

    def rows(self, change: Change, *, with_slopes: bool = True) -> tuple[Rows, Moved, MaskLoss]:
        """Everything at one change; the costs alone without slopes."""
        moved, rows = self.body.moved(change, with_slopes=with_slopes), Rows()
        loss = mask_rows(rows, self.body, moved, self.targets.masks, self.targets.orbit)
        if self.targets.depths is not None and self.shown is not None and self.weights.depth > 0:
            depth_rows(rows, self.body, moved, self.targets.depths, self.shown, self.weights.depth)
        if self.evidence is not None and self.weights.keypoints > 0:
            keypoint_rows(rows, self.body, moved, self.evidence)
        prior_rows(rows, self.body, moved, self.near)
        return rows, moved, loss

    def look(self, change: Change) -> None:
        """Which points are on the outer surfaces now."""
        if self.targets.depths is not None:
            record = self.body.record(self.body.moved(change))
            self.shown = shown_points(record, self.body, self.targets.depths)

    def costs_of(self, change: Change) -> dict[str, float]:
        """By term, on the present targets, seen as the change itself lies."""
        self.look(change)
        return dict(self.rows(change, with_slopes=False)[0].costs)

    def with_limbs_tried(self, change: Change) -> Change:
        """Each limb mirrored in depth; kept where a few iterations from there end clearly cheaper."""
        lines = self.lines
        cost = sum(self.costs_of(change).values())
        for limb in LIMB_NAMES:
            self.lines = []
            trial = self.minimise(mirrored(self.body, change, limb), TRIAL, lambda line: None)
            found = sum(self.costs_of(trial).values())
            if found < cost - CLEARLY:
                change, cost = trial, found
        self.lines = lines
        return change

    def minimise(self, change: Change, iterations: int, tell: Callable[[Line], None]) -> Change:
        """Levenberg-Marquardt with Marquardt's diagonal; every iteration is written down, also one without a gain."""
        damping, settled = Damping(1e-2, grow=5.0, least=1e-5, most=1e4), 0
        turns = 3 * len(self.body.fold.bones)
        for i in range(iterations):
            if i % LOOK_AGAIN == 0:
                self.look(change)
            rows, moved, loss = self.rows(change)
            before, here = rows.cost, change

            def tried(
                step: Array, here: Change = here, before: float = before
            ) -> tuple[Change, tuple[Rows, Moved, MaskLoss]] | None:
                trial = here.stepped(step)
                found = self.rows(trial, with_slopes=False)
                return (trial, found) if found[0].cost < before else None

            jacobian, residual = np.concatenate(rows.jacobians), np.concatenate(rows.residuals)
            better = damped_step(jacobian, residual, damping, turns, LARGEST_TURN, tried)
            if better is not None:
                change, (rows, moved, loss) = better
            self.lines.append(Line(dict(rows.costs), moved, loss.masks, self.targets.masks))
            tell(self.lines[-1])
            settled = settled + 1 if rows.cost > before * (1 - SETTLED) else 0
            if settled > 1:
                break
        return change


def refine(
    body: Body, alpha: Floats, evidence: Evidence | None, coarse: Coarse | None, weights: Weights, iterations: int,
    predict: Predict | None = None, progress: Progress = lambda share, message, picture: None,
) -> Refined:  # fmt: skip
    """Refine a record. Deterministic.

    alpha (H, W): the photo's matte. evidence: of the landmarks, None without. coarse: the coarse person, on any body of
    this photo's camera; None has `predict` make it from the body of the first stage, as the paper does. predict: makes it
    anew from a better body for the last stage; None goes on with `coarse`. A person of splats has silhouettes alone.
    progress may raise to cancel. ValueError for a record of another body model, and without `coarse` and `predict`.
    """
    if coarse is None and predict is None and weights.sides + weights.depth > 0:
        raise ValueError("The refinement came without a coarse person and without a way to make one.")
    mask = coarse.arrays["mask"].astype(bool) if isinstance(coarse, Layers) else np.asarray(alpha) > 0.5
    views = orbit(body, mask, weights.front, weights.sides)
    alone = Orbit(views.cameras, np.where(np.arange(VIEWS) == 0, views.weight, 0.0))
    own = np.zeros((VIEWS, SIZE, SIZE), np.float32)
    own[0] = photo_mask(alpha, body.camera, views)
    work = Refinement(body, evidence, weights, Targets(alone, own))
    first, stage = work.body.start(), max(iterations // STAGES, 1)
    names = ("the photo alone", "the coarse person from all sides", "the coarse person anew")

    def tell(number: int) -> Callable[[Line], None]:
        before = len(work.lines)

        def told(line: Line) -> None:
            share = (number + min((len(work.lines) - before) / stage, 1.0)) / STAGES
            progress(share, names[number], side_by_side(line))

        return told

    changes = [first, work.minimise(first, stage, tell(0))]
    for number in (1, 2):
        if number == 1 and coarse is not None:
            work.targets = targets_of(coarse, own[0], views, weights)
        elif predict is not None:
            anew = predict(work.body.record(work.body.moved(changes[-1])))
            work.targets = targets_of(anew, own[0], views, weights)
        changes.append(work.minimise(changes[-1], stage, tell(number)))
        if number == 1 and weights.sides + weights.depth > 0:
            changes.append(work.with_limbs_tried(changes[-1]))
    costs = [work.costs_of(change) for change in changes]
    best = int(np.argmin([sum(c.values()) for c in costs]))
    judges = JUDGES if weights.sides + weights.depth > 0 else JUDGES_ALONE
    before, after = (sum(costs[i].get(name, 0.0) for name in judges) for i in (0, best))
    helped = best > 0 and after < (1 - HELPED) * before
    best = best if helped else 0
    ends = {name: (costs[0].get(name, 0.0), costs[best].get(name, 0.0)) for name in TERM_NAMES}
    return Refined(work.body, changes[best], helped, ends, work.lines)


def targets_of(coarse: Coarse, front: Floats, views: Orbit, weights: Weights) -> Targets:
    """The coarse person's silhouettes and, of layers, depths; in front the photo's own matte (SIZE, SIZE)."""
    masks = np.zeros((VIEWS, SIZE, SIZE), np.float32)
    if weights.sides > 0:
        masks = solid_masks(coarse, views) if isinstance(coarse, Layers) else splat_masks(coarse, views)
    masks[0] = front
    depths = read_depths(coarse) if isinstance(coarse, Layers) and weights.depth > 0 else None
    return Targets(views, masks, depths)


def side_by_side(line: Line) -> Floats:
    """(SIZE, 4 SIZE, 3) four views: the body's mask red, the target's blue, both together white."""
    pictures = []
    for i in SHOWN:
        body, target = line.masks[i], line.targets[i]
        pictures.append(np.stack([body, np.minimum(body, target), target], -1))
    return np.hstack(pictures).astype(np.float32)
