"""Two views of one place: the depth at which what a view shows is shown by another one as well.

Normals leave the depth of each piece open, and outlines bound it only. Views from different sides both see what turns
to neither of them directly. As in a plane sweep (Collins 1996), but with the relief that the normals gave instead of a
plane, each view's surface is pushed along its rays, and at every push compared with what the other view shows there:
its normal and its colour. Costs are spread over the picture as far as it is one piece (permeability filter, Cigla &
Alatan 2011), the best push wins, and it counts where the other view, asked the same, answers with the same place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipelines.views.evidence import Clue
from pipelines.views.fusion import inverse_of
from pipelines.views.relief import Bounds, Known

Floats = NDArray[np.float32]

PARALLEL = 0.9  # cosine between two views' axes above which they see the same, or nothing in common
FACING = (0.15, 0.45)  # cosine between a normal and the other view's rays over which that view can judge the place
NORMAL = 0.35  # 1 - cosine of two normals that are not those of one place
COLOUR = 0.25  # difference of two colours (0..1) that are not those of one place
REACH = 0.92  # share of a cost that goes on to the next pixel of the same piece
TURN = 0.15  # 1 - cosine of neighbours' normals, and
TINT = 0.15  # difference of neighbours' colours, at which little goes on any more
SURE = 0.45  # mean cost above which the best push is none
CLEAR = 0.12  # by how much costs elsewhere must be higher for full trust


def stereo(
    clues: Sequence[Clue], depths: Sequence[Floats | None], limits: Sequence[Bounds], reach: float, apart: float,
    weight: float,
) -> list[Known | None]:  # fmt: skip
    """For every view with a depth map, the depths at which other views show the same.

    limits: nearest and farthest surface in each view. reach: metres by which the maps may be wrong. apart: metres by
    which the answers of two views may differ. weight: of a sure answer, against 1 for a normal.
    """
    answers: dict[tuple[int, int], tuple[Floats, Floats]] = {}
    through = [None if clue.normal is None else permeability(clue) for clue in clues]
    for a, (clue, depth) in enumerate(zip(clues, depths, strict=True)):
        for b, other in enumerate(clues):
            axes = abs(float(clue.camera.world_to_camera[2, :3] @ other.camera.world_to_camera[2, :3]))
            channels = through[a]
            if a == b or depth is None or channels is None or depths[b] is None or axes > PARALLEL:
                continue
            answers[a, b] = answer(clue, depth, limits[a], channels, other, reach)
    found: list[Known | None] = [None] * len(clues)
    for (a, b), (there, trust) in answers.items():
        if (b, a) not in answers:
            continue
        trust = trust * _same_place(there, inverse_of(clues[a].camera), clues[b].camera.K @ clues[b].camera.world_to_camera[:3],
                                    *answers[b, a], apart)  # fmt: skip
        old = found[a]
        total = trust * weight if old is None else old.weight + trust * weight
        mean = there * trust * weight if old is None else old.depth * old.weight + there * trust * weight
        found[a] = Known(np.where(total > 0, mean / np.maximum(total, 1e-12), 0.0), total)
    return found


def answer(
    clue: Clue, depth: Floats, limits: Bounds, channels: tuple[Floats, Floats], other: Clue, reach: float
) -> tuple[Floats, Floats]:
    """Depth (H, W) at which `other` shows what `clue` shows, and the trust (H, W) 0..1 in it. channels: `permeability`."""
    assert clue.normal is not None and other.normal is not None
    step = float(np.median(depth[depth > 0])) / float(clue.camera.K[0, 0])
    pushes = np.arange(-np.ceil(reach / step), np.ceil(reach / step) + 1).astype(np.float32) * np.float32(step)
    cost, share = _costs(
        depth, clue.normal, clue.colour, np.asarray(limits.near, np.float32), np.asarray(limits.far, np.float32),
        inverse_of(clue.camera), other.camera.position, other.camera.K @ other.camera.world_to_camera[:3], other.normal,
        other.colour, other.mask, pushes, np.float32(2.0 * step),
    )  # fmt: skip
    _spread(cost, share, *channels)
    return _best(cost, share, depth, pushes)


def permeability(clue: Clue) -> tuple[Floats, Floats]:
    """How much goes from each pixel to its right and to its lower neighbour, 0..1: (H, W - 1) and (H - 1, W)."""
    assert clue.normal is not None
    found = []
    for axis in (1, 0):
        here, there = (np.delete(clue.normal, k, axis) for k in (-1, 0))
        first, second = (np.delete(clue.colour, k, axis) for k in (-1, 0))
        inside = np.delete(clue.mask, -1, axis) & np.delete(clue.mask, 0, axis)
        turn = (1.0 - (here * there).sum(-1)) / TURN
        tint = np.abs(first - second).max(-1) / TINT
        found.append(np.where(inside, REACH * np.exp(-turn - tint), 0.0).astype(np.float32))
    return found[0], found[1]


@njit(cache=True, error_model="numpy")
def _costs(  # type: ignore[no-untyped-def]
    depth, normal, colour, near, far, inverse, centre, matrix, other_normal, other_colour, other_mask, pushes, slack
):
    """(H, W, K) cost 0..1 of every push, times the share (H, W) that the other view can judge of a pixel."""
    height, width = depth.shape
    rows, columns = other_mask.shape
    count = len(pushes)
    cost, share = np.zeros((height, width, count), np.float32), np.zeros((height, width), np.float32)
    for v in range(height):
        for u in range(width):
            z = depth[v, u]
            if z <= 0.0:
                continue
            n0, n1, n2 = normal[v, u, 0], normal[v, u, 1], normal[v, u, 2]
            a, b = (u + 0.5) * z, (v + 0.5) * z
            x = inverse[0, 0] * a + inverse[0, 1] * b + inverse[0, 2] * z + inverse[0, 3]
            y = inverse[1, 0] * a + inverse[1, 1] * b + inverse[1, 2] * z + inverse[1, 3]
            w = inverse[2, 0] * a + inverse[2, 1] * b + inverse[2, 2] * z + inverse[2, 3]
            rx, ry, rz = centre[0] - x, centre[1] - y, centre[2] - w
            facing = (n0 * rx + n1 * ry + n2 * rz) / np.sqrt(rx * rx + ry * ry + rz * rz)
            weight = min(max((facing - FACING[0]) / (FACING[1] - FACING[0]), 0.0), 1.0)
            if weight <= 0.0:
                continue
            share[v, u] = weight
            for k in range(count):
                there = z + pushes[k]
                one = np.float32(1.0)
                known = near[v, u] > 0.0
                if not known or (there > near[v, u] - slack and there < far[v, u] + slack):
                    a, b = (u + 0.5) * there, (v + 0.5) * there
                    x = inverse[0, 0] * a + inverse[0, 1] * b + inverse[0, 2] * there + inverse[0, 3]
                    y = inverse[1, 0] * a + inverse[1, 1] * b + inverse[1, 2] * there + inverse[1, 3]
                    w = inverse[2, 0] * a + inverse[2, 1] * b + inverse[2, 2] * there + inverse[2, 3]
                    q = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * w + matrix[2, 3]
                    if q > 1e-3:
                        c = int(np.floor((matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * w + matrix[0, 3]) / q))
                        r = int(np.floor((matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * w + matrix[1, 3]) / q))
                        if c >= 0 and r >= 0 and c < columns and r < rows and other_mask[r, c]:
                            like = n0 * other_normal[r, c, 0] + n1 * other_normal[r, c, 1] + n2 * other_normal[r, c, 2]
                            tint = max(
                                abs(colour[v, u, 0] - other_colour[r, c, 0]),
                                abs(colour[v, u, 1] - other_colour[r, c, 1]),
                                abs(colour[v, u, 2] - other_colour[r, c, 2]),
                            )
                            one = np.float32(0.6 * min((1.0 - like) / NORMAL, 1.0) + 0.4 * min(tint / COLOUR, 1.0))
                cost[v, u, k] = weight * one
    return cost, share


@njit(cache=True, error_model="numpy")
def _spread(cost, share, right, down):  # type: ignore[no-untyped-def]
    """In place: every pixel takes the costs and shares of its row, and then of the rows, as far as they are let through."""
    height, width, count = cost.shape
    own, own_share = cost.copy(), share.copy()
    for v in range(height):
        for u in range(1, width):
            m = right[v, u - 1]
            if m > 0.0:
                for k in range(count):
                    cost[v, u, k] += m * cost[v, u - 1, k]
                share[v, u] += m * share[v, u - 1]
        for u in range(width - 2, -1, -1):
            m = right[v, u]
            if m > 0.0:
                for k in range(count):
                    own[v, u, k] += m * own[v, u + 1, k]
                    cost[v, u, k] += m * own[v, u + 1, k]
                own_share[v, u] += m * own_share[v, u + 1]
                share[v, u] += m * own_share[v, u + 1]
    own[:] = cost
    own_share[:] = share
    for v in range(1, height):
        for u in range(width):
            m = down[v - 1, u]
            if m > 0.0:
                for k in range(count):
                    cost[v, u, k] += m * cost[v - 1, u, k]
                share[v, u] += m * share[v - 1, u]
    for v in range(height - 2, -1, -1):
        for u in range(width):
            m = down[v, u]
            if m > 0.0:
                for k in range(count):
                    own[v, u, k] += m * own[v + 1, u, k]
                    cost[v, u, k] += m * own[v + 1, u, k]
                own_share[v, u] += m * own_share[v + 1, u]
                share[v, u] += m * own_share[v + 1, u]


@njit(cache=True, error_model="numpy")
def _best(cost, share, depth, pushes):  # type: ignore[no-untyped-def]
    """The depth (H, W) after the best push, between samples by a parabola, and the trust (H, W) in it."""
    height, width, count = cost.shape
    found, trust = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for v in range(height):
        for u in range(width):
            if depth[v, u] <= 0.0 or share[v, u] < 0.5:
                continue
            best = 0
            for k in range(1, count):
                if cost[v, u, k] < cost[v, u, best]:
                    best = k
            low = cost[v, u, best] / share[v, u]
            if low > SURE or best == 0 or best == count - 1:
                continue
            second = np.float32(1.0)
            for k in range(count):
                if abs(k - best) > 3:
                    second = min(second, cost[v, u, k] / share[v, u])
            before, after = cost[v, u, best - 1], cost[v, u, best + 1]
            bend = before + after - 2.0 * cost[v, u, best]
            part = 0.5 * (before - after) / bend if bend > 1e-9 else 0.0
            found[v, u] = depth[v, u] + pushes[best] + part * (pushes[1] - pushes[0])
            clear = min(max((second - low) / CLEAR, 0.0), 1.0)
            trust[v, u] = clear * (1.0 - low / SURE)
    return found, trust


@njit(cache=True, error_model="numpy")
def _same_place(depth, inverse, matrix, other_depth, other_trust, apart):  # type: ignore[no-untyped-def]
    """(H, W) 1 where the other view's answer is the same place, to `apart` metres; else 0."""
    height, width = depth.shape
    rows, columns = other_depth.shape
    same = np.zeros((height, width), np.float32)
    for v in range(height):
        for u in range(width):
            z = depth[v, u]
            if z <= 0.0:
                continue
            a, b = (u + 0.5) * z, (v + 0.5) * z
            x = inverse[0, 0] * a + inverse[0, 1] * b + inverse[0, 2] * z + inverse[0, 3]
            y = inverse[1, 0] * a + inverse[1, 1] * b + inverse[1, 2] * z + inverse[1, 3]
            w = inverse[2, 0] * a + inverse[2, 1] * b + inverse[2, 2] * z + inverse[2, 3]
            q = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * w + matrix[2, 3]
            if q <= 1e-3:
                continue
            c = int(np.floor((matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * w + matrix[0, 3]) / q))
            r = int(np.floor((matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * w + matrix[1, 3]) / q))
            inside = c >= 0 and r >= 0 and c < columns and r < rows
            if inside and other_trust[r, c] > 0.0 and abs(other_depth[r, c] - q) < apart:
                same[v, u] = 1.0
    return same
