"""Minimum cut between two sets of nodes of an undirected graph, by Dinic's algorithm on whole numbers.

Whole capacities make the result the same on every machine. Of several minimum cuts it is the one with the largest
source side: all that can no longer reach the sink. A tube of equal rings is cut at its outer end.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def minimum_cut(
    nodes: int, links: Ints, capacity: Ints, sources: Ints, sinks: Ints, terminal: int
) -> tuple[NDArray[np.bool_], int]:
    """links (E, 2) undirected with capacity (E,) int64; every source and sink node hangs on its terminal by `terminal`.

    Returns (nodes,) whether a node is on the source's side, and the cut's value.
    """
    source, sink = nodes, nodes + 1
    tails = np.concatenate([links[:, 0], np.full(len(sources), source), sinks])
    heads = np.concatenate([links[:, 1], sources, np.full(len(sinks), sink)])
    forward = np.concatenate([capacity, np.full(len(sources) + len(sinks), terminal, np.int64)])
    backward = np.concatenate([capacity, np.zeros(len(sources) + len(sinks), np.int64)])
    # Arc 2 i runs from tail to head, arc 2 i + 1 back; arcs are listed by the node they leave.
    leaves = np.stack([tails, heads], 1).ravel()
    enters = np.stack([heads, tails], 1).ravel().astype(np.int64)
    left = np.stack([forward, backward], 1).ravel().astype(np.int64)
    arcs = np.argsort(leaves, kind="stable").astype(np.int64)
    first = np.concatenate([[0], np.cumsum(np.bincount(leaves, minlength=nodes + 2))]).astype(np.int64)
    value, side = _dinic(first, arcs, enters, left, source, sink)
    return side[:nodes], int(value)


@njit(cache=True)
def _levels(first, arcs, enters, left, source):  # type: ignore[no-untyped-def]
    """Steps from the source through arcs with room, -1 where it cannot get."""
    count = len(first) - 1
    level = np.full(count, -1, np.int64)
    queue = np.empty(count, np.int64)
    queue[0], level[source] = source, 0
    head, tail = 0, 1
    while head < tail:
        node = queue[head]
        head += 1
        for at in range(first[node], first[node + 1]):
            arc = arcs[at]
            after = enters[arc]
            if left[arc] > 0 and level[after] < 0:
                level[after] = level[node] + 1
                queue[tail] = after
                tail += 1
    return level


@njit(cache=True)
def _reaching(first, arcs, enters, left, sink):  # type: ignore[no-untyped-def]
    """Nodes from which more could flow to the sink."""
    count = len(first) - 1
    found = np.zeros(count, np.bool_)
    queue = np.empty(count, np.int64)
    queue[0], found[sink] = sink, True
    head, tail = 0, 1
    while head < tail:
        node = queue[head]
        head += 1
        for at in range(first[node], first[node + 1]):
            before = enters[arcs[at]]
            if left[arcs[at] ^ 1] > 0 and not found[before]:
                found[before] = True
                queue[tail] = before
                tail += 1
    return found


@njit(cache=True)
def _dinic(first, arcs, enters, left, source, sink):  # type: ignore[no-untyped-def]
    count = len(first) - 1
    total = 0
    path = np.empty(count, np.int64)
    while True:
        level = _levels(first, arcs, enters, left, source)
        if level[sink] < 0:
            return total, ~_reaching(first, arcs, enters, left, sink)
        at = first[:-1].copy()
        length, node = 0, source
        while True:
            if node == sink:
                room = left[path[0]]
                for i in range(1, length):
                    room = min(room, left[path[i]])
                total += room
                back = length
                for i in range(length):
                    left[path[i]] -= room
                    left[path[i] ^ 1] += room
                    if left[path[i]] == 0 and back == length:
                        back = i
                # Go on from the tail of the first arc that is full now.
                length = back
                node = enters[path[length] ^ 1]
                continue
            moved = False
            while at[node] < first[node + 1]:
                arc = arcs[at[node]]
                after = enters[arc]
                if left[arc] > 0 and level[after] == level[node] + 1:
                    path[length] = arc
                    length += 1
                    node = after
                    moved = True
                    break
                at[node] += 1
            if moved:
                continue
            if node == source:
                break
            level[node] = -2  # nothing gets through here any more in this round
            length -= 1
            node = enters[path[length] ^ 1]
            at[node] += 1
