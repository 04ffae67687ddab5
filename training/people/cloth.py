"""Cloth that hangs: position-based dynamics (Mueller et al. 2007) over a garment, colliding with the posed shell.

Threads resist stretching fully, folding a little, and compression hardly, so that cloth bunches at bent joints and hangs
in folds. Every particle walks on the shell's surface from neighbour to neighbour to the vertex that is nearest to it,
which keeps a sleeve at its own arm. Double precision, one thread, fixed order: the same bytes everywhere.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def edges_of(faces: Ints) -> tuple[Ints, Ints]:
    """(E, 2) edges and (B, 2) pairs of vertices opposite to an inner edge, both in a fixed order."""
    corners = np.concatenate([faces, faces[:, [1, 2, 0]], faces[:, [2, 0, 1]]])
    low, high = np.minimum(corners[:, 0], corners[:, 1]), np.maximum(corners[:, 0], corners[:, 1])
    code = low * (int(faces.max()) + 1) + high
    order = np.argsort(code, kind="stable")
    sorted_code = code[order]
    first = np.concatenate([[True], sorted_code[1:] != sorted_code[:-1]])
    edges = np.stack([low[order][first], high[order][first]], 1)
    twin = np.flatnonzero(~first)
    return edges, np.stack([corners[order[twin - 1], 2], corners[order[twin], 2]], 1)


def lengths_of(points: Array, pairs: Ints) -> Array:
    """(P,) metres between pairs."""
    d = points[pairs[:, 0]] - points[pairs[:, 1]]
    return np.sqrt((d * d).sum(1))


def hang(
    points: Array,
    threads: tuple[Ints, Ints],
    flat: Array,
    hold: Array,
    home: Ints,
    gap: Array,
    shell_points: Array,
    shell_normals: Array,
    rings: Ints,
    tether: Ints | None = None,
    reach: Array | None = None,
    *,
    steps: int,
    stiffness: float,
    floor: float,
) -> Array:
    """Let a garment hang. points (V, 3) start, posed; threads from `edges_of`; flat (V, 3) the
    garment unposed, which gives the lengths; hold (V,)
    0..1 how firmly a vertex keeps its start; home (V, 2) shell vertices to start walking from, -1 for none; gap (V,)
    metres to keep from the skin; tether (V,) the vertex that each hangs from, -1 for none (without: none anywhere), and
    reach (V,) the length of cloth between them in metres; stiffness 0..1 against folding. Returns (V, 3)."""
    edges, bends = threads
    lengths, spans = lengths_of(flat, edges), lengths_of(flat, bends)
    skin = (shell_points, shell_normals, rings)
    tether = np.full(len(points), -1) if tether is None else tether
    reach = np.zeros(len(points)) if reach is None else reach
    return _hang(
        points.copy(),
        edges,
        lengths,
        bends,
        spans,
        hold,
        home.copy(),
        gap,
        *skin,
        tether,
        reach,
        steps,
        stiffness,
        floor,
    )


@njit(cache=True)
def _hang(
    x, edges, rest, bends, bend_rest, hold, home, gap, skin, normal, rings, tether, reach, steps, stiffness, floor
):  # type: ignore[no-untyped-def]
    n = len(x)
    start, old = x.copy(), x.copy()
    fall = 0.0011  # metres per step and step: enough to hang in twenty steps, little enough not to stretch
    for _step in range(steps):
        for i in range(n):
            for k in range(3):
                now = x[i, k]
                x[i, k] = now + 0.9 * (now - old[i, k])
                old[i, k] = now
            x[i, 1] -= fall
        for _turn in range(2):
            for e in range(len(edges)):
                _pull(x, edges[e, 0], edges[e, 1], rest[e], 0.95, 0.25)
        for b in range(len(bends)):
            _pull(x, bends[b, 0], bends[b, 1], bend_rest[b], 0.3 * stiffness, stiffness)
        for i in range(n):
            if hold[i] > 0:
                for k in range(3):
                    x[i, k] += hold[i] * (start[i, k] - x[i, k])
            if tether[i] >= 0:
                _hold_back(x, i, tether[i], reach[i])
            for w in range(home.shape[1]):
                if home[i, w] >= 0:
                    home[i, w] = _walk(x[i], home[i, w], skin, rings)
                    _push(x, old, i, skin, normal, home[i, w], gap[i])
            if x[i, 1] < floor + 0.004:
                x[i, 1] = floor + 0.004
    return x


@njit(cache=True)
def _pull(x, a, b, length, stretch, squeeze):  # type: ignore[no-untyped-def]
    dx, dy, dz = x[b, 0] - x[a, 0], x[b, 1] - x[a, 1], x[b, 2] - x[a, 2]
    now = np.sqrt(dx * dx + dy * dy + dz * dz) + 1e-9
    share = stretch if now > length else squeeze
    s = 0.5 * share * (now - length) / now
    x[a, 0] += s * dx
    x[a, 1] += s * dy
    x[a, 2] += s * dz
    x[b, 0] -= s * dx
    x[b, 1] -= s * dy
    x[b, 2] -= s * dz


@njit(cache=True)
def _hold_back(x, i, j, reach):  # type: ignore[no-untyped-def]
    dx, dy, dz = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
    far = np.sqrt(dx * dx + dy * dy + dz * dz)
    if far > reach:
        s = 1.0 - reach / far
        x[i, 0] -= s * dx
        x[i, 1] -= s * dy
        x[i, 2] -= s * dz


@njit(cache=True)
def _walk(p, at, skin, rings):  # type: ignore[no-untyped-def]
    best = (p[0] - skin[at, 0]) ** 2 + (p[1] - skin[at, 1]) ** 2 + (p[2] - skin[at, 2]) ** 2
    for _ in range(6):
        moved = at
        for k in range(rings.shape[1]):
            j = rings[at, k]
            d = (p[0] - skin[j, 0]) ** 2 + (p[1] - skin[j, 1]) ** 2 + (p[2] - skin[j, 2]) ** 2
            if d < best:
                best, moved = d, j
        if moved == at:
            break
        at = moved
    return at


@njit(cache=True)
def _push(x, old, i, skin, normal, v, gap):  # type: ignore[no-untyped-def]
    dx, dy, dz = x[i, 0] - skin[v, 0], x[i, 1] - skin[v, 1], x[i, 2] - skin[v, 2]
    high = dx * normal[v, 0] + dy * normal[v, 1] + dz * normal[v, 2]
    far = dx * dx + dy * dy + dz * dz
    # A walker may be stuck far away, where its plane says nothing: the foot of the particle must be near it.
    if high < gap and far < 0.0144 and far - high * high < 0.0012:
        rise = gap - high
        for k in range(3):
            x[i, k] += rise * normal[v, k]
            # Friction: what touches the skin loses most of its speed.
            old[i, k] += 0.6 * (x[i, k] - old[i, k])


def push_out(points: Array, home: Ints, gap: Array, shell_points: Array, shell_normals: Array, rings: Ints) -> Array:
    """Move what is nearer to the skin than `gap` outwards; three rounds."""
    return _push_all(points.copy(), home.copy(), gap, shell_points, shell_normals, rings)


@njit(cache=True)
def _push_all(x, home, gap, skin, normal, rings):  # type: ignore[no-untyped-def]
    old = x.copy()
    for _ in range(3):
        for i in range(len(x)):
            for w in range(home.shape[1]):
                if home[i, w] >= 0:
                    home[i, w] = _walk(x[i], home[i, w], skin, rings)
                    _push(x, old, i, skin, normal, home[i, w], gap[i])
    return x
