"""The fit: a parametric body under 2D landmarks, lifted joints, gravity, joint limits and the silhouette.

Levenberg-Marquardt on about ninety numbers with exact derivatives (`fit_kinematics`). Order of work:
1. start from the directions between the lifted joints (`fit_lift`, `fit_start`);
2. pose and place; 3. pose, lengths and shape, from a grown-up's and from a child's proportions, the cheaper kept;
4. everything, with the silhouette as an upper bound.
Every iteration is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_evidence import Evidence
from pipelines.body.fit_hands import palm_term, reference_joints, reference_palm
from pipelines.body.fit_joints import Joints, joint_table
from pipelines.body.fit_lift import POINTS, lifted_points, lifted_size
from pipelines.body.fit_points import FitBody, Linearised
from pipelines.body.fit_start import start_state
from pipelines.body.fit_terms import (
    Rows,
    Scene,
    State,
    Term,
    angle_prior,
    ankles_level_in_depth,
    camera_pitch,
    hand_at_head,
    hands_outside,
    inside_mask,
    reprojection,
    scene,
    shape_prior,
    soles_on_ground,
    straight_knees,
    upright,
    with_shape,
)
from pipelines.body.levenberg import Damping, damped_step

Array = NDArray[np.float64]

ADULT = np.array([0.5, 0.67, 0.5, 0.5, 0.4, 0.5])
CHILD = np.array([0.5, 0.25, 0.5, 0.5, 0.5, 0.5])
SHAPE_SIGMA = np.array([0.15, 0.03, 0.15, 0.15, 0.1, 0.2])
CHILD_SIGMA = np.array([0.15, 0.15, 0.15, 0.15, 0.2, 0.2])
# upper_leg lower_leg trunk upper_arm lower_arm shoulder_width hip_width neck head
LENGTH_SIGMA = np.array([0.06, 0.06, 0.06, 0.06, 0.06, 0.07, 0.05, 0.08, 0.04])

# A landmark moved by hand is meant, however far away: it is never given up as an outlier.
MEANT = 100.0
# Weight of the rules about people who stand, read from 2D landmarks, beside the lift; in full where the user decides.
LARGEST_TURN = 0.6  # radians in one iteration
BESIDE_LIFT = 0.25

# The last iterations follow the 2D landmarks more closely: shape and depth are settled, what is left is the picture.
SHARP = 0.6

TERM_NAMES = (
    "landmarks", "lift", "size", "pose prior", "joint limits", "shape prior", "camera pitch", "upright",
    "straight knees", "ankles", "soles on ground", "hands outside", "hand at head", "palms", "inside mask",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """iterations: in all, about. upright: 0..1 or None for the stance's own score. knees, mask: weights. pitch_sigma:
    radians. child: whose proportions, or None to find out."""

    iterations: int = 60
    upright: float | None = None
    knees: float = 1.0
    mask: float = 1.0
    pitch_sigma: float = np.radians(8.0)
    child: bool | None = None


@dataclass
class Fit:
    """A finished fit. history: (costs by name, state) of every accepted iteration."""

    state: State
    near: Linearised
    scene: Scene
    costs: dict[str, float]
    history: list[tuple[dict[str, float], State]] = field(default_factory=list)
    child: bool = False


Progress = Callable[[float, str], None]


class Fitter:
    """One photo's terms on one body."""

    def __init__(self, body: FitBody, evidence: Evidence, settings: Settings, progress: Progress) -> None:
        self.body, self.evidence, self.settings = body, evidence, settings
        self.progress = progress
        self.done = 0
        self.history: list[tuple[dict[str, float], State]] = []
        rest = reference_joints(body.rig, ADULT, np.zeros(9))
        self.reference_palms = {side: reference_palm(body.rig, rest, side) for side in evidence.palms}

    # -- terms --------------------------------------------------------------------------------------------------

    def terms(self, joints: Joints, child: bool, mask: bool, sharp: float = 1.0) -> list[Term]:
        """The sum to minimise. sharp: factor on the spread of the 2D landmarks."""
        e, s = self.evidence, self.settings
        upright_weight = e.stance.upright if s.upright is None else s.upright
        legs = e.stance.legs if s.upright is None else np.maximum(e.stance.legs, s.upright)
        mean, sigma = (CHILD, CHILD_SIGMA) if child else (ADULT, SHAPE_SIGMA)
        knee_targets = joints.straight + np.radians(3.0)
        row = self.body.row
        if s.upright is None:
            # The lift knows most of what these terms would say, and when it is not so.
            upright_weight, legs = BESIDE_LIFT * upright_weight, BESIDE_LIFT * legs
        focal = float(np.sqrt(e.K[0, 0] * e.K[1, 1]))
        hands = np.array([row[f"{side}_{n}"] for side in ("left", "right") for n in ("wrist", "index", "little")])
        found = [
            reprojection(e.px, e.weights, e.K, e.sigma * sharp, np.where(e.edited, MEANT, 4.0) / sharp),
            angle_prior(joints.axes, joints.mean, joints.sigma, joints.low, joints.high),
            shape_prior(mean, sigma, LENGTH_SIGMA),
            camera_pitch(min(max(1.5 * e.lift.pitch_sigma, 0.03), s.pitch_sigma), e.lift.pitch),
            soles_on_ground(e.stance.contact),
            hands_outside(hands),
            hand_at_head(e.px, e.weights),
            lifted_points(e.lift, np.array([row[name] for name in POINTS]), focal),
            lifted_size(e.lift, focal),
        ]
        if e.palms:
            found.append(palm_term(e.palms, self.reference_palms))
        if upright_weight > 0.02:
            found.append(upright(upright_weight, np.ones(2) if s.upright else e.stance.support))
        if (legs > 0.02).any() and s.knees > 0:
            found.append(straight_knees(legs * s.knees, joints.axes, joints.knees, knee_targets))
        level = upright_weight * (e.stance.both_feet if s.upright is None else 1.0)
        if level > 0.02:
            found.append(ankles_level_in_depth(level))
        if mask and s.mask > 0:
            found.append(inside_mask(e.outside, e.K, 0.02 * e.height_px, s.mask * 0.5, e.outside_scale))
        return found

    # -- optimiser ----------------------------------------------------------------------------------------------

    def minimise(self, state: State, near: Linearised, terms: list[Term], free: NDArray[np.bool_], iterations: int,
                 what: str) -> tuple[State, Scene, Rows]:  # fmt: skip
        """Levenberg-Marquardt with Marquardt's diagonal; `free` (P,) are the columns that may move."""
        current, rows = self.evaluate(state, near, terms)
        damping, turns = Damping(1e-3, grow=6.0, least=1e-6), int(free[: 3 * len(state.theta)].sum())

        def tried(step: NDArray[np.float64]) -> tuple[State, Scene, Rows] | None:
            whole = np.zeros(len(free))
            whole[free] = step
            trial = state.stepped(whole)
            found = self.evaluate(trial, near, terms)
            return (trial, *found) if found[1].cost < rows.cost else None

        for _ in range(iterations):
            self.progress(min(self.done / max(self.settings.iterations, 1), 1.0), what)
            self.done += 1
            J = np.concatenate(rows.jacobians)[:, free]
            better = damped_step(J, np.concatenate(rows.residuals), damping, turns, LARGEST_TURN, tried)
            if better is None:
                break
            gain = 1 - better[2].cost / max(rows.cost, 1e-12)
            state, current, rows = better
            self.history.append((dict(rows.costs), state))
            if gain < 2e-4:
                break
        return state, current, rows

    def evaluate(self, state: State, near: Linearised, terms: list[Term]) -> tuple[Scene, Rows]:
        """All rows at one state."""
        at, rows = scene(self.body, near, state), Rows()
        for term in terms:
            term(at, rows)
        return at, rows

    def columns(self, shape: bool, pitch: bool) -> NDArray[np.bool_]:
        """Which columns move: rotations and translation always."""
        m = 3 * len(self.body.fold.bones)
        return np.concatenate([np.ones(m + 3, bool), np.full(15, shape), np.full(1, pitch)])

    def with_shape_freed(self, state: State, near: Linearised, child: bool, mask: bool, iterations: int, rounds: int,
                         what: str) -> tuple[State, Linearised, Scene, Rows]:  # fmt: skip
        """Rounds of full iterations, the shape expanded anew before each."""
        for _ in range(rounds):
            joints = joint_table(self.body.fold, near.bones)
            terms = self.terms(joints, child, mask)
            free = self.columns(shape=True, pitch=True)
            state, _, _ = self.minimise(state, near, terms, free, iterations, what)
            near = self.body.linearised(state.phenotypes, state.lengths)
            state = with_shape(state, near)
        at, rows = self.evaluate(state, near, self.terms(joint_table(self.body.fold, near.bones), child, mask))
        return state, near, at, rows

    # -- the whole ----------------------------------------------------------------------------------------------

    def run(self, start: State | None = None) -> Fit:
        """Fit from scratch, or from a state (after an edit)."""
        n = max(self.settings.iterations // 6, 3)
        if start is not None:
            near = self.body.linearised(start.phenotypes, start.lengths)
            child = bool(start.phenotypes[1] < 0.6)
            state = start
        else:
            wanted = self.settings.child
            found = {c: self.from_proportions(c, n) for c in (False, True) if wanted in (None, c)}
            # A child's proportions must explain clearly more than a grown-up's: grown-ups are the rule.
            child = found[True][2].cost + 6.0 < found[False][2].cost if wanted is None else wanted
            state, near, _ = found[child]
        state, near, at, rows = self.with_shape_freed(state, near, child, True, n, 2, "silhouette")
        joints = joint_table(self.body.fold, near.bones)
        state, at, rows = self.minimise(
            state, near, self.terms(joints, child, True, SHARP), self.columns(False, True), n, "last touches"
        )
        return Fit(state, near, at, dict(rows.costs), self.history, child)

    def from_proportions(self, child: bool, n: int) -> tuple[State, Linearised, Rows]:
        """Stages 1 to 3 from a grown-up's or a child's shape."""
        e = self.evidence
        near = self.body.linearised(CHILD if child else ADULT, np.zeros(9))
        state = start_state(self.body, near, e.world, e.px, e.weights, e.K)
        joints = joint_table(self.body.fold, near.bones)
        terms = self.terms(joints, child, False)
        name = "a child's proportions" if child else "pose"
        state, _, _ = self.minimise(state, near, terms, self.columns(False, False), n, name)
        state, near, _, rows = self.with_shape_freed(state, near, child, False, n, 2, name)
        return state, near, rows


def fit_body(body: FitBody, evidence: Evidence, settings: Settings | None = None,
             progress: Progress = lambda fraction, message: None, start: State | None = None) -> Fit:  # fmt: skip
    """Fit `body` to the evidence of one photo. Deterministic. `progress` may raise to cancel."""
    return Fitter(body, evidence, settings or Settings(), progress).run(start)


__all__ = ["TERM_NAMES", "Fit", "Fitter", "Settings", "fit_body"]
