"""The lift: where the body's joints lie in depth, how large the person is and how the camera is pitched, from landmarks.

The landmark network's own 3D points are damped and biased in depth (shins bent back, feet level, arms before the
trunk). A small network (two hidden layers and a linear path) reads its 2D and 3D points together and says where the
body's joints are, each coordinate with its spread: wide where a limb is hidden or outside the picture. It was taught on
synthetic training people whose photos went through the real landmark network (`training/body_lift.py`). Where there is
a picture, the larger network of `pipelines.body.picture_lift` answers instead; this one stays for landmarks alone.

Units: a point is given relative to the middle of the hip joints in units of the *spread*, the root mean square distance
of the 33 landmarks from their mean in the picture, carried to the depth of the hips. So it needs no known lens or size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_terms import Rows, Scene, Term
from pipelines.body.lift_network import Answer, Weights, landmark_path, parted, read_weights
from pipelines.body.lift_points import POINTS
from pipelines.body.picture_lift import both_ways, default_picture_lift, mirror_image

Array = NDArray[np.float64]
DEFAULT_PATH = Path(__file__).resolve().parents[2] / "assets" / "body" / "lift.npz"
SCHEMA = "humanscope.lift/1"

# Landmark rows that the lifted points replace in the 33 3D landmarks.
_LANDMARK_OF = {
    "left_hip_joint": 23, "right_hip_joint": 24, "left_knee_joint": 25, "right_knee_joint": 26, "left_ankle_joint": 27,
    "right_ankle_joint": 28, "left_shoulder_joint": 11, "right_shoulder_joint": 12, "left_elbow_joint": 13,
    "right_elbow_joint": 14, "left_wrist_joint": 15, "right_wrist_joint": 16, "nose": 0, "left_ear": 7, "right_ear": 8,
    "left_heel": 29, "right_heel": 30, "left_toe": 31, "right_toe": 32, "left_index": 19, "right_index": 20,
    "left_little": 17, "right_little": 18,
}  # fmt: skip
_HIPS = [23, 24]
# What moves together when one of its landmarks is moved by hand, and how much wider its spreads are taken then.
_LIMBS = tuple(
    tuple(f"{side}_{part}" for part in limb)
    for side in ("left", "right")
    for limb in (("elbow_joint", "wrist_joint", "index", "little"), ("knee_joint", "ankle_joint", "heel", "toe"))
)
EDITED = 8.0
SEEN = 0.9


@dataclass(frozen=True)
class Lift:
    """points (26, 3) and sigma (26, 3) in spreads, camera axes, from the middle of the hip joints; spread: px in the
    picture; log_size, size_sigma: natural logarithm of the spread in metres; pitch, pitch_sigma: radians."""

    points: Array
    sigma: Array
    spread: float
    log_size: float
    size_sigma: float
    pitch: float
    pitch_sigma: float

    def world(self, raw: Array) -> Array:
        """(33, 3) metres: the landmarks `raw` (33, 3), replaced by the lifted points where there are any."""
        out = raw - raw[_HIPS].mean(0)
        lifted = self.points * np.exp(self.log_size)
        place = {name: i for i, name in enumerate(POINTS)}
        ears = [7, 8]
        before = out[ears].mean(0)
        for name, row in _LANDMARK_OF.items():
            out[row] = lifted[place[name]]
        # What has no lifted point of its own moves with the head (eyes, mouth) or the wrist (thumb).
        out[[1, 2, 3, 4, 5, 6, 9, 10]] += out[ears].mean(0) - before
        across = out[7] - out[8]
        out[2] = out[0] + 0.25 * across
        out[5] = out[0] - 0.25 * across
        for thumb, index in ((21, 19), (22, 20)):
            out[thumb] = out[index]
        return out


def features(px: Array, world: Array, seen: Array, focal: Array) -> tuple[NDArray[np.float32], Array]:
    """What the network reads of B people, (B, 235), and the spreads (B,) px.

    px (B, 33, 2): landmarks from the picture's principal point; world (B, 33, 3) the network's metres; seen (B, 33, 2)
    visibility and presence; focal (B,) px.
    """
    n = len(px)
    hips = px[:, _HIPS].mean(1, keepdims=True)
    spread = spread_of(px)
    flat = (px - hips) / spread[:, None, None]
    deep = world - world[:, _HIPS].mean(1, keepdims=True)
    size = spread_of(deep[..., :2])
    deep = deep / size[:, None, None]
    certain = np.minimum(seen, SEEN)  # how sure beyond that differs from network to network and says nothing
    columns = (
        flat.reshape(n, -1), deep.reshape(n, -1), certain[..., 0], certain[..., 1], 3 * hips[:, 0] / focal[:, None],
        5 * (spread / focal)[:, None], 3 * np.log(size)[:, None],
    )  # fmt: skip
    return np.concatenate(columns, 1).astype(np.float32), spread


def spread_of(points: Array) -> Array:
    """(B, 33, D) -> (B,): root mean square distance from the mean."""
    return np.asarray(np.sqrt(((points - points.mean(1, keepdims=True)) ** 2).sum(2).mean(1)) + 1e-6)


def answer(weights: Weights, x: NDArray[np.float32]) -> Answer:
    """The network on features (B, 235): points (B, 26, 3), their sigma, (B, 2) log size and pitch, their sigma."""
    return parted(weights, *landmark_path(weights, x))


def lifted(body: Array, world: Array, K: Array, edited: NDArray[np.bool_] | None = None,
           seen: NDArray[np.floating] | None = None) -> Lift:  # fmt: skip
    """The lift of one person. body (33, 4) px, px, visibility, presence; world (33, 3) m; K (3, 3) of the photo;
    edited (33,): landmarks moved by hand, of which the network's 3D points know nothing, so that the lift gives way;
    seen (2, 1152): what the landmark network sees in the picture and in its mirror image, None where the
    landmarks came without a picture."""
    focal = np.array([float(np.sqrt(K[0, 0] * K[1, 1]))])
    px = (body[:, :2] - K[:2, 2])[None].astype(np.float64)
    said = px, world[None].astype(np.float64), body[None, :, 2:4]
    x, spread = features(*said, focal)
    points, sigma, whole, whole_sigma = answer(default_lift(), x)
    by_hand = [limb for limb in _LIMBS if edited is not None and edited[[_LANDMARK_OF[name] for name in limb]].any()]
    changed = [POINTS.index(name) for limb in by_hand for name in limb]
    if seen is not None:
        mirrored, _ = features(*mirror_image(*said), focal)
        alone = points, sigma
        points, sigma, whole, whole_sigma = both_ways(
            default_picture_lift(), (x, seen[:1].astype(np.float32)), (mirrored, seen[1:].astype(np.float32))
        )
        # The picture's reading is what was corrected there.
        points[:, changed], sigma[:, changed] = alone[0][:, changed], alone[1][:, changed]
    points = points[0] - points[0, 1:3].mean(0)
    sigma[0, changed] *= EDITED
    return Lift(points, sigma[0], float(spread[0]), float(whole[0, 0]), float(whole_sigma[0, 0]),
                float(whole[0, 1]), float(whole_sigma[0, 1]))  # fmt: skip


def read_lift(path: Path) -> Weights:
    """The network's arrays; FileNotFoundError and ValueError as `read_weights` says."""
    return read_weights(path, SCHEMA, "training/body_lift.py")


@lru_cache(maxsize=1)
def default_lift() -> Weights:
    """The repository's own network, read once per process."""
    return read_lift(DEFAULT_PATH)


def lifted_points(lift: Lift, rows_of: NDArray[np.int64], focal: float, trust: float = 1.4, floor: float = 0.03,
                  flat: float = 1.4, robust: float = 3.0) -> Term:  # fmt: skip
    """Joints where the lift has them. rows_of (26,): rows of the points. trust: weight of a residual, below 1 because
    the residuals of one person err together; floor: least spread; flat: how much wider the spread of x and y is taken,
    which the 2D landmarks know better."""
    sigma = np.maximum(lift.sigma, floor) * (flat, flat, 1.0)
    k = lift.spread / focal
    # In metres of the size that the lift expects: in the body's own, a larger body would be a cheaper one.
    weight = np.sqrt(trust) / (sigma * np.exp(lift.log_size))

    def term(s: Scene, rows: Rows) -> None:
        hips, d_hips = s.middle("hip_joint")
        unit = k * hips[2]
        miss = s.at[rows_of] - hips - lift.points * unit
        slope = s.d[rows_of] - d_hips - lift.points[..., None] * (k * d_hips[2])
        rows.add("lift", (miss * weight).ravel(), (slope * weight[..., None]).reshape(-1, s.columns), robust)

    return term


def lifted_size(lift: Lift, focal: float, floor: float = 0.05) -> Term:
    """The person is as large as the lift says (logarithm of the hips' depth)."""
    sigma = max(lift.size_sigma, floor)
    k = lift.spread / focal

    def term(s: Scene, rows: Rows) -> None:
        hips, d_hips = s.middle("hip_joint")
        z = max(float(hips[2]), 0.1)
        rows.add("size", np.array([(np.log(k * z) - lift.log_size) / sigma]), d_hips[2][None] / (z * sigma), 3.0)

    return term
