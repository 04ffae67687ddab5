"""What a fit minimises: rows of residuals with their derivatives, each in units of its own standard deviation.

Columns of every Jacobian: 3 M rotations (the root first), 3 translation, 15 shape (6 phenotypes, 9 log lengths),
1 camera pitch. Robust terms are Geman-McClure, rho(e) = c^2 e^2 / (c^2 + e^2), as reweighted least squares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_kinematics import FoldedPoints, Posed, jacobian, pose, positions
from pipelines.body.fit_points import FitBody, Linearised
from pipelines.geometry.rotations import matrix_from_rotation_vector

Array = NDArray[np.float64]


@dataclass(frozen=True)
class State:
    """root (3, 3), theta (M, 3) with row 0 unused, translation (3,) metres, phenotypes (6,), lengths (9,), pitch
    radians (positive: the camera looks down). All in the camera frame."""

    root: Array
    theta: Array
    translation: Array
    phenotypes: Array
    lengths: Array
    pitch: float

    def stepped(self, step: Array) -> State:
        """After a parameter step (P,); phenotypes stay inside 0.02..0.98."""
        m = len(self.theta)
        theta = self.theta.copy()
        theta[1:] += step[3 : 3 * m].reshape(-1, 3)
        shape = step[3 * m + 3 : -1]
        p = len(self.phenotypes)
        return State(
            self.root @ matrix_from_rotation_vector(step[:3]),
            theta,
            self.translation + step[3 * m : 3 * m + 3],
            np.clip(self.phenotypes + shape[:p], 0.02, 0.98),
            np.clip(self.lengths + shape[p:], -0.3, 0.3),
            float(np.clip(self.pitch + step[-1], -0.6, 0.6)),
        )


@dataclass
class Rows:
    """Residual rows under construction."""

    residuals: list[Array] = field(default_factory=list)
    jacobians: list[Array] = field(default_factory=list)
    costs: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, residual: Array, jacobian: Array, robust: float | Array | None = None,
            group: int = 1) -> None:  # fmt: skip
        """residual (n,) in standard deviations, jacobian (n, P). robust: c, for
        all or for every group; group: rows that share one weight."""
        square = residual.reshape(-1, group) ** 2
        energy = square.sum(1)
        if robust is None:
            cost = float(energy.sum())
        else:
            cost = float((robust**2 * energy / (robust**2 + energy)).sum())
            root = np.repeat(robust**2 / (robust**2 + energy), group)
            residual, jacobian = residual * root, jacobian * root[:, None]
        self.costs[name] = self.costs.get(name, 0.0) + cost
        self.residuals.append(residual)
        self.jacobians.append(jacobian)

    @property
    def cost(self) -> float:
        return sum(self.costs.values())


@dataclass(frozen=True)
class Scene:
    """One state, posed: at (N, 3) points and d (N, 3, P) their derivatives, up and its derivative by the pitch."""

    body: FitBody
    near: Linearised
    state: State
    posed: Posed
    at: Array
    d: Array
    scale: float

    @property
    def columns(self) -> int:
        return self.d.shape[2]

    @property
    def up(self) -> Array:
        """(3,) the world's vertical in the camera frame: (0, -cos, -sin) of the pitch."""
        return np.array([0.0, -np.cos(self.state.pitch), -np.sin(self.state.pitch)])

    @property
    def forward(self) -> Array:
        """(3,) the horizontal direction away from the camera; its derivative by the pitch is `up`."""
        return np.array([0.0, -np.sin(self.state.pitch), np.cos(self.state.pitch)])

    @property
    def skin(self) -> FoldedPoints:
        """The skin's points in the state's shape."""
        step = np.concatenate([self.state.phenotypes - self.near.phenotypes, self.state.lengths - self.near.lengths])
        return self.near.skin.at(step)

    def row(self, name: str) -> int:
        return self.body.row[name]

    def middle(self, part: str) -> tuple[Array, Array]:
        """Mean of the left and right point and its derivative."""
        a, b = self.row(f"left_{part}"), self.row(f"right_{part}")
        return (self.at[a] + self.at[b]) / 2, (self.d[a] + self.d[b]) / 2

    def along(self, direction: Array, turned: Array, vector: Array, d_vector: Array) -> tuple[float, Array]:
        """direction . vector with its derivative; `turned` is d direction / d pitch."""
        slope = direction @ d_vector
        slope[-1] += turned @ vector
        return float(direction @ vector), slope


def scene(body: FitBody, near: Linearised, state: State) -> Scene:
    """Pose a state; the shape is linear around `near`."""
    step = np.concatenate([state.phenotypes - near.phenotypes, state.lengths - near.lengths])
    bones = near.bones.at(step)
    points = near.points.at(step)
    posed = pose(body.fold, bones, state.root, state.theta, state.translation)
    d = jacobian(body.fold, points, posed)
    at = positions(points, posed)
    return Scene(body, near, state, posed, at, np.concatenate([d, np.zeros((*d.shape[:2], 1))], 2), near.height / 1.7)


def projected(at: Array, d: Array, K: Array) -> tuple[Array, Array]:
    """Camera points (n, 3) and derivatives (n, 3, P) -> pixels (n, 2) and derivatives (n, 2, P)."""
    z = np.maximum(at[:, 2], 0.1)
    focal = np.array([K[0, 0], K[1, 1]])
    px = focal * at[:, :2] / z[:, None] + K[:2, 2]
    flat = d[:, :2] / z[:, None, None] - (at[:, :2] / z[:, None] ** 2)[..., None] * d[:, 2:3]
    return px, flat * focal[:, None]


Term = Callable[[Scene, Rows], None]


def reprojection(landmarks: Array, weights: Array, K: Array, sigma: Array, robust: float | Array = 4.0) -> Term:
    """Landmarks (L, 2) px on the first L points; weights (L,) 0..1; sigma (L,) px; robust: c,
    for all or (L,)."""
    use = np.flatnonzero(weights > 0.01)
    robust = np.broadcast_to(robust, weights.shape)[use]

    def term(s: Scene, rows: Rows) -> None:
        px, d = projected(s.at[use], s.d[use], K)
        w = (np.sqrt(weights[use]) / sigma[use])[:, None]
        rows.add("landmarks", ((px - landmarks[use]) * w).ravel(), (d * w[..., None]).reshape(-1, s.columns), robust, 2)

    return term


def angle_prior(axes: Array, mean: Array, sigma: Array, low: Array, high: Array, limit_sigma: float = 0.05) -> Term:
    """Joint angles about each joint's own axes. axes (M, 3, 3) rows = axes in the reference pose; mean, sigma, low,
    high (M, 3) radians. Beyond low and high the cost rises with `limit_sigma`."""

    def term(s: Scene, rows: Rows) -> None:
        m = len(axes)
        angles = np.einsum("mij,mj->mi", axes, s.state.theta)
        slopes = np.zeros((m, 3, s.columns))
        for k in range(1, m):
            slopes[k, :, 3 * k : 3 * k + 3] = axes[k]
        flat, slope = angles[1:].ravel(), slopes[1:].reshape(-1, s.columns)
        rows.add("pose prior", (flat - mean[1:].ravel()) / sigma[1:].ravel(), slope / sigma[1:].reshape(-1, 1))
        under, over = np.minimum(flat - low[1:].ravel(), 0), np.maximum(flat - high[1:].ravel(), 0)
        beyond = under + over
        on = beyond != 0
        rows.add("joint limits", beyond[on] / limit_sigma, slope[on] / limit_sigma)

    return term


def shape_prior(phenotypes: Array, phenotype_sigma: Array, length_sigma: Array) -> Term:
    """Gaussian on phenotypes (6,) and log lengths (9,)."""

    def term(s: Scene, rows: Rows) -> None:
        value = np.concatenate([s.state.phenotypes - phenotypes, s.state.lengths])
        sigma = np.concatenate([phenotype_sigma, length_sigma])
        slope = np.zeros((len(value), s.columns))
        slope[:, -1 - len(value) : -1] = np.diag(1 / sigma)
        rows.add("shape prior", value / sigma, slope)

    return term


def camera_pitch(sigma: float, mean: float = 0.0) -> Term:
    """Gaussian on the camera's pitch, radians."""

    def term(s: Scene, rows: Rows) -> None:
        slope = np.zeros((1, s.columns))
        slope[0, -1] = 1 / sigma
        rows.add("camera pitch", np.array([(s.state.pitch - mean) / sigma]), slope)

    return term


def upright(weight: float, support: Array, trunk_sigma: float = 0.035, legs_sigma: float = 0.035) -> Term:
    """The trunk, and the line from the carrying feet to the hips, do not lean in depth (radians; gravity frame).

    support (2,): how surely each foot carries. On one foot the trunk may lean (a kick, a run): both weigh less.
    """
    one_foot = 0.12
    weight *= one_foot + (1 - one_foot) * float(support.min())
    share = (support + 1e-3) / (support + 1e-3).sum()

    def term(s: Scene, rows: Rows) -> None:
        hips, d_hips = s.middle("hip_joint")
        left, right = s.row("left_ankle_joint"), s.row("right_ankle_joint")
        feet = share[0] * s.at[left] + share[1] * s.at[right]
        d_feet = share[0] * s.d[left] + share[1] * s.d[right]
        shoulders, d_shoulders = s.middle("shoulder_joint")
        for vector, d_vector, sigma in (
            (shoulders - hips, d_shoulders - d_hips, trunk_sigma),
            (hips - feet, d_hips - d_feet, legs_sigma),
        ):
            length = float(np.linalg.norm(vector))
            value, slope = s.along(s.forward, s.up, vector, d_vector)
            slope -= value / length**2 * (vector @ d_vector)
            w = np.sqrt(weight) / (length * sigma)
            rows.add("upright", np.array([value * w]), slope[None] * w)

    return term


def straight_knees(weights: Array, axes: Array, knees: tuple[int, int], straight: float, sigma: float = 0.06) -> Term:
    """Knees of straight legs: flexion about axes[knee] row 0 is drawn to `straight` radians; weights (2,)."""

    def term(s: Scene, rows: Rows) -> None:
        for w, k in zip(weights, knees, strict=True):
            if w > 0:
                slope = np.zeros((1, s.columns))
                slope[0, 3 * k : 3 * k + 3] = axes[k, 0] * np.sqrt(w) / sigma
                flexion = axes[k, 0] @ s.state.theta[k] - straight
                rows.add("straight knees", np.array([flexion * np.sqrt(w) / sigma]), slope)

    return term


def ankles_level_in_depth(weight: float, sigma: float = 0.05) -> Term:
    """A standing person's ankles are about equally far away (metres on a body of 1.7 m); robust, for those who walk."""

    def term(s: Scene, rows: Rows) -> None:
        a, b = s.row("left_ankle_joint"), s.row("right_ankle_joint")
        value, slope = s.along(s.forward, s.up, s.at[a] - s.at[b], s.d[a] - s.d[b])
        w = np.sqrt(weight) / (sigma * s.scale)
        rows.add("ankles", np.array([value * w]), slope[None] * w, 2.0)

    return term


def soles_on_ground(contact: Array, sigma: float = 0.012) -> Term:
    """Soles of the feet that carry the person lie in one horizontal plane. contact: (6,) weights of SOLE_NAMES."""

    def term(s: Scene, rows: Rows) -> None:
        first = s.row("left_heel_sole")
        use = first + np.flatnonzero(contact > 0.02)
        if len(use) < 2:
            return
        w = contact[use - first]
        share = w / w.sum()
        mean, d_mean = share @ s.at[use], np.tensordot(share, s.d[use], 1)
        vectors, slopes = s.at[use] - mean, s.d[use] - d_mean
        heights = vectors @ s.up
        slope = np.einsum("i,nip->np", s.up, slopes)
        slope[:, -1] -= vectors @ s.forward
        scale = np.sqrt(w) / (sigma * s.scale)
        rows.add("soles on ground", heights * scale, slope * scale[:, None], 5.0)

    return term


def hands_outside(points: NDArray, torso: float = 0.105, width: float = 1.35, head: float = 0.1) -> Term:
    """Wrists and knuckles stay outside the torso (an upright elliptic capsule) and the head (a sphere).

    points: rows. torso: half depth in metres on a body of 1.7 m; width: half width / half depth. The push moves the
    arms: torso and head count as fixed.
    """

    def term(s: Scene, rows: Rows) -> None:
        k = s.scale
        waist, chest = s.at[s.row("pelvis_joint")], s.at[s.row("neck_joint")]
        axis = chest - waist
        length = float(np.linalg.norm(axis))
        axis = axis / length
        side = s.at[s.row("left_shoulder_joint")] - s.at[s.row("right_shoulder_joint")]
        side = side - axis * (axis @ side)
        side /= max(float(np.linalg.norm(side)), 1e-6)
        metric = np.stack([side / width, np.cross(axis, side)])  # anisotropic distance from the axis
        q = s.at[points] - waist
        height = q @ axis
        flat = q @ metric.T
        distance = np.maximum(np.linalg.norm(flat, axis=1), 1e-6)
        inside = np.where((height > -0.05 * k) & (height < length), torso * k - distance, 0.0)
        head_centre = s.at[s.row("head_joint")] * 0.4 + s.at[s.row("crown")] * 0.6
        reach = s.at[points] - head_centre
        far = np.maximum(np.linalg.norm(reach, axis=1), 1e-6)
        for depth, gradient in (
            (inside, -(flat / distance[:, None]) @ metric),
            (head * k - far, -reach / far[:, None]),
        ):
            on = depth > 0
            if on.any():
                slope = np.einsum("ni,nip->np", gradient[on], s.d[points[on]])
                rows.add("hands outside", depth[on] / (0.015 * k), slope / (0.015 * k))

    return term


def hand_at_head(landmarks: Array, weights: Array, reach: float = 0.13, sigma: float = 0.03) -> Term:
    """A hand that lies over the head in the picture rests on it: people prop heads, shade eyes, hold telephones.

    landmarks (33, 2) px; reach: metres from the head's centre to a knuckle that touches, on a body of 1.7 m. The term
    gives up (robustly) on hands that are far in front of the face.
    """
    ears, knuckles = (7, 8), ((19, 17), (20, 18))
    mid_ear = landmarks[list(ears)].mean(0)
    nose = landmarks[0]
    shoulders = landmarks[[11, 12]].mean(0)
    # The head's radius in the picture, from what does not shrink when the head turns.
    radius = max(
        float(np.linalg.norm(landmarks[7] - landmarks[8])) * 0.6,
        float(np.linalg.norm(nose - mid_ear)) * 0.8,
        float(np.linalg.norm(mid_ear - shoulders)) * 0.45,
    )
    on = [pair for pair in knuckles if weights[list(pair)].max() > 0.2
          and np.linalg.norm(landmarks[list(pair)] - (mid_ear + nose) / 2, axis=1).min() < 1.2 * radius]  # fmt: skip

    def term(s: Scene, rows: Rows) -> None:
        head, crown = s.row("head_joint"), s.row("crown")
        centre = 0.45 * s.at[head] + 0.55 * s.at[crown]
        d_centre = 0.45 * s.d[head] + 0.55 * s.d[crown]
        for index, little in on:
            hand = (s.at[index] + s.at[little]) / 2
            d_hand = (s.d[index] + s.d[little]) / 2
            vector = hand - centre
            far = max(float(np.linalg.norm(vector)), 1e-6)
            if far > reach * s.scale:
                slope = (vector / far) @ (d_hand - d_centre)
                w = 1 / (sigma * s.scale)
                rows.add("hand at head", np.array([(far - reach * s.scale) * w]), slope[None] * w, 4.0)

    return term


def inside_mask(distance: Array, K: Array, sigma_px: float, weight: float, scale: float) -> Term:
    """Skin vertices stay inside the silhouette: an upper bound on widths, never a pull outwards.

    distance: (h, w) px of the photo outside the mask, 0 inside, on a grid of `scale` cells per pixel.
    """
    height, width = distance.shape
    gy, gx = (np.asarray(g, np.float64) for g in np.gradient(distance))

    def term(s: Scene, rows: Rows) -> None:
        skin = s.skin
        at = positions(skin, s.posed)
        z = np.maximum(at[:, 2], 0.1)
        cell = (at[:, :2] / z[:, None] * (K[0, 0], K[1, 1]) + K[:2, 2]) * scale
        x = np.clip(cell[:, 0].astype(np.int64), 0, width - 1)
        y = np.clip(cell[:, 1].astype(np.int64), 0, height - 1)
        inside_picture = (cell >= 0).all(1) & (cell[:, 0] < width) & (cell[:, 1] < height)
        on = np.flatnonzero((distance[y, x] > 0) & inside_picture)
        if not len(on):
            rows.costs.setdefault("inside mask", 0.0)
            return
        d = jacobian(s.body.fold, skin[on], s.posed)
        d = np.concatenate([d, np.zeros((*d.shape[:2], 1))], 2)
        _, d_px = projected(at[on], d, K)
        x, y = x[on], y[on]
        w = np.sqrt(weight) / sigma_px
        slope = (gx[y, x, None] * d_px[:, 0] + gy[y, x, None] * d_px[:, 1]) * scale
        rows.add("inside mask", distance[y, x] * w, slope * w, 6.0)

    return term


def with_shape(state: State, near: Linearised) -> State:
    """The state, with its shape set to that of the expansion."""
    return replace(state, phenotypes=near.phenotypes, lengths=near.lengths)
