"""What a fit to a surface minimises besides the landmarks: joints at their depth, skin inside the surface.

Rows and Jacobians as in `body.fit_terms`. Skin points meet the tangent plane of the nearest point of the surface that
looks the same way (point to plane, Chen and Medioni 1992). Skin outside is pushed in; skin inside is drawn outwards
weakly, and less the deeper it is: clothes stand off, and hide hollows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from pipelines.body.fit_kinematics import jacobian, positions
from pipelines.body.fit_terms import Rows, Scene, Term

Array = NDArray[np.float64]
SAME_WAY = 0.4  # cosine between the normals of skin and surface
CANDIDATES = 12  # nearest points of the surface among which one that looks the same way is sought


@dataclass(frozen=True)
class Cloth:
    """The surface to be filled: points (V, 3), unit normals (V, 3) outwards, metres, in the fit's camera frame."""

    points: Array
    normals: Array
    tree: cKDTree

    def spread(self, cell: float) -> Array:
        """(S, 3) one point of the surface in every cube of `cell` metres that it passes through."""
        _, first = np.unique(np.floor(self.points / cell).astype(np.int64), axis=0, return_index=True)
        return self.points[np.sort(first)]

    def partners(self, skin: Array, normals: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """For skin points (N, 3) with unit normals (N, 3): the nearest point that looks the same way, and where there
        is one."""
        near = self.tree.query(skin, k=min(CANDIDATES, len(self.points)))[1].reshape(len(skin), -1)
        same = np.einsum("nkc,nc->nk", self.normals[near], normals) > SAME_WAY
        first = same.argmax(1)
        return near[np.arange(len(skin)), first], same.any(1)


def joints_at_depth(depth: Array, weights: Array, sigma: float = 0.02) -> Term:
    """Landmarks (L,) at depths z, metres of the camera frame; weights (L,) 0..1."""
    use = np.flatnonzero(weights > 0.01)

    def term(s: Scene, rows: Rows) -> None:
        w = np.sqrt(weights[use]) / (sigma * s.scale)
        rows.add("joints at depth", (s.at[use, 2] - depth[use]) * w, s.d[use, 2] * w[:, None], 5.0)

    return term


def inside_surface(cloth: Cloth, partner: NDArray[np.int64], use: NDArray, slack: Array, push: float = 0.006,
                   pull: float = 0.02, weight: float = 1.0) -> Term:  # fmt: skip
    """Skin points `use` (n,) of the fit's skin below the planes of their partners (n,) on the surface.

    slack: (n,) metres by which cloth or hair stands off. push, pull: spreads, metres, of skin above and below.
    """

    def term(s: Scene, rows: Rows) -> None:
        if not len(use):
            return
        skin = s.skin[use]
        at = positions(skin, s.posed)
        normal = cloth.normals[partner]
        above = ((at - cloth.points[partner]) * normal).sum(1) + slack
        d = np.einsum("ni,nip->np", normal, jacobian(s.body.fold, skin, s.posed))
        d = np.concatenate([d, np.zeros((len(d), 1))], 1)  # the camera's pitch
        out = above > 0
        for where, spread, robust in ((out, push, 8.0), (~out, pull, 2.0)):
            if where.any():
                w = np.sqrt(weight) / (spread * s.scale)
                rows.add("inside the surface", above[where] * w, d[where] * w, robust)

    return term


HANDS_AND_FEET = (17, 18, 19, 20, 21, 22, 29, 30, 31, 32)  # landmarks that stand for what the skin points leave out


def nearest_parts(s: Scene, samples: Array) -> tuple[int, Array, NDArray[np.int64]]:
    """How many skin points there are; distance (S,) m from samples (S, 3) to the nearest skin, hand or foot, and which:
    skin points first, then `HANDS_AND_FEET`."""
    skin = positions(s.skin, s.posed)
    distance, nearest = cKDTree(np.concatenate([skin, s.at[list(HANDS_AND_FEET)]])).query(samples)
    return len(skin), distance, nearest


def covering(s: Scene, samples: Array, reach: float = 0.10, sigma: float = 0.15) -> Term:
    """Every part of the surface has some of the body near it: samples (S, 3) that are farther than `reach` (m on a
    body of 1.7 m) from all of it draw the nearest skin, hand or foot. Partners are those of the state `s`; robust, as
    skirts and hair hold no body."""
    extremes = np.array(HANDS_AND_FEET)
    skin, distance, nearest = nearest_parts(s, samples)
    lonely = np.flatnonzero(distance > reach * s.scale)
    nearest, wanted = nearest[lonely], samples[lonely]
    on_skin = nearest < skin
    points, landmarks = nearest[on_skin], extremes[nearest[~on_skin] - skin]

    def term(s: Scene, rows: Rows) -> None:
        if not len(lonely):
            return
        at = np.zeros((len(lonely), 3))
        d = np.zeros((len(lonely), 3, s.columns))
        at[~on_skin], d[~on_skin] = s.at[landmarks], s.d[landmarks]
        if len(points):
            some = s.skin[points]
            at[on_skin], d[on_skin, :, :-1] = positions(some, s.posed), jacobian(s.body.fold, some, s.posed)
        away = wanted - at
        far = np.maximum(np.linalg.norm(away, axis=1), 1e-6)
        over = np.maximum(far - reach * s.scale, 0.0)
        slope = -np.einsum("ni,nip->np", away / far[:, None], d)
        w = 1.0 / (sigma * s.scale)
        rows.add("surface covered", over * w, slope * np.where(over > 0, w, 0.0)[:, None], 5.0)

    return term
