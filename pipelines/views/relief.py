"""From normal maps to depth maps: bilateral normal integration (Cao et al., ECCV 2022), front and back together.

With r = (x, y, 1) the ray of a pixel and l = log z, a surface point is exp(l) r, and its tangents are orthogonal to
the normal n:  (-n.r) dl/du = n_x / f,  (-n.r) dl/dv = n_y / f. Each pixel states both one-sided differences; of two
that contradict one another the smaller residual wins (weights that are computed anew in every round), so that depth
edges appear where the normals call for them. One sparse solve a round.

Normals leave the depth of each piece open. Three things settle it. The surface lies between a nearest and a farthest
one (the visual hull), and is drawn very weakly to the nearest: it goes forward until it touches. A view and its
opposite meet at the outline and do not run through one another (as in ECON, Xiu et al., CVPR 2023). And depths that
other views know can be given with weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from pipelines.geometry.cameras import Camera
from pipelines.views.carve import signed_distance

Floats = NDArray[np.float64]

# Weights against 1 for a normal that faces the camera.
SHARP = 2.0  # steepness of the choice between two sides (the paper's k)
PULL = 1e-4  # towards the nearest bound, per pixel
WALL = 0.02  # of a bound that is violated, per pixel: the whole piece gives way, not its foremost pixels alone
RIM = 0.05  # of front and back meeting at the outline
APART = 0.05  # of front and back that run through one another
LIMB = (0.4, 0.75)  # cosine between a normal and its outline's over which the surface is believed to turn away there
THIN = 0.5  # least half thickness, as a share of the distance to the outline
LEAST_FACING = 0.03


class Bounds(NamedTuple):
    """(H, W) depths z in metres between which the surface lies; 0 where nothing is known."""

    near: NDArray[np.floating]
    far: NDArray[np.floating]


class Known(NamedTuple):
    """(H, W) depths z in metres, and how much they count (0 not at all, 1 as much as a normal)."""

    depth: NDArray[np.floating]
    weight: NDArray[np.floating]


class Sheet(NamedTuple):
    """One view's surface. normal: (H, W, 3) unit, display frame. start: depths of a former solution, whose edges are
    the first guess, or None."""

    normal: NDArray[np.floating]
    mask: NDArray[np.bool_]
    camera: Camera
    bounds: Bounds
    known: Known | None = None
    start: NDArray[np.floating] | None = None


def integrate(
    sheets: Sequence[Sheet], *, rounds: int = 6, thick: float = 0.02, pull: float = PULL
) -> list[NDArray[np.float32]]:
    """Depths (H, W) z in metres of one surface, or of a view and its opposite, with these normals; 0 outside the mask.

    thick: metres; most that is asked of the least thickness. pull: weight towards the nearest bound, per pixel.
    """
    parts = [_Part.of(sheet) for sheet in sheets]
    first = np.cumsum([0, *[len(p.start) for p in parts]])
    height = np.concatenate([p.start for p in parts])
    near, far = (np.concatenate([getattr(p, name) for p in parts]) for name in ("near", "far"))
    target, trust = (np.concatenate([getattr(p, name) for p in parts]) for name in ("target", "trust"))
    seam = _Seam.between(sheets, parts, thick) if len(sheets) == 2 else None
    share = [p.graph.sides(p.start) if p.warm else np.full((4, len(p.start)), 0.5) for p in parts]
    free = np.isfinite(near) * pull
    near_or = np.where(np.isfinite(near), near, 0.0)
    for _ in range(rounds):
        low, high = height < near, height > far
        wall = WALL * (low | high)
        diagonal = wall + trust + free + 1e-9
        right = (
            wall * np.where(low, near_or, np.where(high, far, 0.0)) + trust * target + free * near_or + 1e-9 * height
        )
        rows, columns, values = [np.arange(len(height))], [np.arange(len(height))], [diagonal]
        for part, at, sides in zip(parts, first, share, strict=False):
            part.graph.add(sides, at, rows, columns, values, right)
        if seam is not None:
            seam.add(height, rows, columns, values, right)
        matrix = coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))).tocsc()
        height = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right)
        share = [p.graph.sides(height[a:b]) for p, a, b in zip(parts, first, first[1:], strict=False)]
    return [p.graph.depths(height[a:b]) for p, a, b in zip(parts, first, first[1:], strict=False)]


class _Part(NamedTuple):
    """A sheet in heights, all (N,)."""

    graph: _Graph
    start: Floats
    warm: bool
    near: Floats
    far: Floats
    target: Floats
    trust: Floats

    @classmethod
    def of(cls, sheet: Sheet) -> _Part:
        graph = _Graph.of(sheet.normal, sheet.mask, sheet.camera)
        near, far = graph.heights(sheet.bounds.near), graph.heights(sheet.bounds.far)
        some = np.isfinite(near)
        start = np.where(some, near, near[some].mean() if some.any() else graph.heights(np.ones(sheet.mask.shape)))
        if sheet.start is not None:
            old = graph.heights(sheet.start)
            start = np.where(np.isfinite(old), old, start)
        target, trust = np.zeros(graph.size), np.zeros(graph.size)
        if sheet.known is not None:
            wanted = graph.heights(sheet.known.depth)
            trust = np.where(np.isfinite(wanted), sheet.known.weight[sheet.mask], 0.0)
            target = np.where(np.isfinite(wanted), wanted, 0.0)
        return cls(graph, start, sheet.start is not None, near, far, target, trust)


class _Seam(NamedTuple):
    """Which pixels of two opposite views lie on one line. front, back: (K,) numbers of the unknowns; total: sum of their
    heights where the two surfaces touch; rim: (K,) bool, on the outline; limb: (K,) 0..1 how much the surface turns away
    there; least: (K,) thickness in pixels, exact at the rim of a limb, the least that is allowed elsewhere.

    At the rim of a limb a circle is assumed: of radius R the pixel that lies d inside the outline and whose normal has
    the cosine A with the ray is R A thick, with d = R (1 - sqrt(1 - A^2)). Where the normals do not turn to the
    outline's, it is a hem or the edge of a sheet, and front and back may be far apart."""

    front: NDArray[np.int64]
    back: NDArray[np.int64]
    total: float
    rim: NDArray[np.bool_]
    limb: Floats
    least: Floats

    @classmethod
    def between(cls, sheets: Sequence[Sheet], parts: Sequence[_Part], thick: float) -> _Seam:
        a, b = sheets
        row, column = np.nonzero(a.mask)
        # Depths sum to the distance of two cameras that look at one another.
        apart = float(np.linalg.norm(a.camera.position - b.camera.position))
        z = apart / 2.0
        pixels, _ = b.camera.project(a.camera.unproject(np.stack([column, row], 1) + 0.5, np.full(len(row), z)))
        c, r = np.floor(pixels).astype(int).T
        inside = (c >= 0) & (r >= 0) & (c < b.mask.shape[1]) & (r < b.mask.shape[0])
        index = np.full(b.mask.shape, -1, np.int64)
        index[b.mask] = np.arange(b.mask.sum()) + len(row)
        back = np.where(inside, index[np.where(inside, r, 0), np.where(inside, c, 0)], -1)
        pair = back >= 0
        within = np.minimum(
            _inside(a.mask)[row, column], _inside(b.mask)[np.where(inside, r, 0), np.where(inside, c, 0)]
        )
        least = np.minimum(2.0 * THIN * within, thick / (z * parts[0].graph.pixel))
        rim = within < 1.5
        cosine = (
            parts[0].graph.facing.clip(0.2, 1.0),
            np.concatenate([np.ones(len(row)), parts[1].graph.facing])[back].clip(0.2, 1.0),
        )
        round_ = sum((within - 0.5) * (1.0 + np.sqrt(1.0 - a**2)) / a for a in cosine)
        least = np.where(rim, round_, least)
        turns = _limb(a)[row, column], _limb(b)[np.where(inside, r, 0), np.where(inside, c, 0)]
        limb = np.minimum(*turns)
        total = np.log(z) / parts[0].graph.pixel + np.log(apart - z) / parts[1].graph.pixel
        return cls(np.flatnonzero(pair), back[pair], float(total), rim[pair], limb[pair], least[pair])

    def add(self, height: Floats, rows: list, columns: list, values: list, right: Floats) -> None:
        """Equations: total - front - back = thickness, at the rim always, elsewhere where it is less."""
        thickness = self.total - height[self.front] - height[self.back]
        weight = np.where(self.rim, RIM * self.limb, APART * (thickness < self.least))
        wanted = self.total - self.least
        rows += [self.front, self.back, self.front, self.back]
        columns += [self.front, self.back, self.back, self.front]
        values += [weight] * 4
        np.add.at(right, self.front, weight * wanted)
        np.add.at(right, self.back, weight * wanted)


def _inside(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(H, W) pixels from the outline, 0 outside."""
    distance = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, np.float32)[1:-1, 1:-1]


def _limb(sheet: Sheet) -> Floats:
    """(H, W) 0..1 how much a sheet's normals are those of the outline beside them, as where a limb turns away."""
    signed = np.asarray(cv2.GaussianBlur(signed_distance(sheet.mask), (0, 0), 1.5), np.float64)
    outward = np.stack([np.gradient(signed, axis=1), np.gradient(signed, axis=0)], -1)
    outward /= np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1e-9)
    across = sheet.normal @ sheet.camera.world_to_camera[:2, :3].T
    return np.clip(((across * outward).sum(-1) - LIMB[0]) / (LIMB[1] - LIMB[0]), 0.0, 1.0)


class _Graph(NamedTuple):
    """The pixels of the mask as a graph. Heights are logarithmic depths in pixels (of the mean depth), so that
    neighbours on a slope of 45 degrees differ by 1."""

    mask: NDArray[np.bool_]
    size: int
    pixel: float
    links: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]  # right neighbours, then lower ones
    facing: Floats
    slope: tuple[Floats, Floats]

    @classmethod
    def of(cls, normal: NDArray[np.floating], mask: NDArray[np.bool_], camera: Camera) -> _Graph:
        index = np.full(mask.shape, -1, np.int64)
        index[mask] = np.arange(mask.sum())
        local = normal[mask].astype(np.float64) @ camera.world_to_camera[:3, :3].T
        facing = -(local * camera.rays()[mask]).sum(1)
        # A normal that turns away from its camera is noise: it says nothing.
        good = facing > LEAST_FACING
        facing = np.where(good, np.clip(facing, 0.0, 1.0), 0.0)
        slope = (np.where(good, local[:, 0], 0.0), np.where(good, local[:, 1], 0.0))
        links = []
        for here, there in ((index[:, :-1], index[:, 1:]), (index[:-1], index[1:])):
            both = (here >= 0) & (there >= 0)
            links.append((here[both], there[both]))
        return cls(mask, len(facing), 1.0 / float(camera.K[0, 0]), tuple(links), facing, slope)

    def heights(self, depth: NDArray[np.floating]) -> Floats:
        """(H, W) depths -> (N,) heights; infinite nonsense (NaN) where nothing is known."""
        z = np.asarray(depth, np.float64)[self.mask]
        return np.where(z > 0, np.log(np.where(z > 0, z, 1.0)) / self.pixel, np.nan)

    def depths(self, height: Floats) -> NDArray[np.float32]:
        """The inverse of `heights`."""
        depth = np.zeros(self.mask.shape, np.float32)
        depth[self.mask] = np.exp(height * self.pixel)
        return depth

    def sides(self, height: Floats) -> Floats:
        """(4, N) how much each pixel believes in its right, left, lower and upper neighbour: pairs sum to 1."""
        share = np.full((4, self.size), 0.5)
        for axis, (here, there) in enumerate(self.links):
            step = height[there] - height[here]
            after, before = np.full(self.size, np.nan), np.full(self.size, np.nan)
            after[here] = (self.facing[here] * step - self.slope[axis][here]) ** 2
            before[there] = (self.facing[there] * step - self.slope[axis][there]) ** 2
            with np.errstate(over="ignore"):
                prefer = 1.0 / (1.0 + np.exp(-SHARP * np.clip(before - after, -50, 50)))
            share[2 * axis] = np.where(np.isnan(before), 1.0, np.where(np.isnan(after), 0.0, prefer))
            share[2 * axis + 1] = 1.0 - share[2 * axis]
        return share

    def add(self, share: Floats, at: int, rows: list, columns: list, values: list, right: Floats) -> None:
        """Append the normal equations of all one-sided differences; unknowns are numbered from `at`."""
        for axis, (here, there) in enumerate(self.links):
            a, b = share[2 * axis][here], share[2 * axis + 1][there]
            weight = a * self.facing[here] ** 2 + b * self.facing[there] ** 2 + 1e-7
            wanted = a * self.facing[here] * self.slope[axis][here] + b * self.facing[there] * self.slope[axis][there]
            rows += [here + at, there + at, here + at, there + at]
            columns += [there + at, here + at, here + at, there + at]
            values += [-weight, -weight, weight, weight]
            right[at : at + self.size] += np.bincount(there, wanted, self.size) - np.bincount(here, wanted, self.size)
