"""Closed 2-manifolds: every edge has two faces, every vertex one fan of faces; the test for it, and the repair.

Only the connections count, (F, 3) vertex numbers; positions decide how sheets that touch are told apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Vertices = NDArray[np.float64]
Faces = NDArray[np.int32]


def without_folds(faces: Faces) -> Faces:
    """Drops faces that name a vertex twice, and pairs of faces glued back to back (they hold no volume)."""
    while True:
        a, b, c = faces.T
        faces = faces[(a != b) & (b != c) & (c != a)]
        ordered = np.sort(faces, 1)
        turned = ((faces[:, 0] < faces[:, 1]) ^ (faces[:, 1] < faces[:, 2])) ^ (faces[:, 2] < faces[:, 0])
        _, group = np.unique(ordered, axis=0, return_inverse=True)
        group = group.ravel()
        # Of each set of three vertices as many faces go as have a partner of the other winding.
        pairs = np.minimum(np.bincount(group, turned), np.bincount(group, ~turned)).astype(int)
        if not pairs.any():
            return faces
        drop = np.zeros(len(faces), bool)
        for side in (turned, ~turned):
            order = np.nonzero(side)[0][np.argsort(group[side], kind="stable")]
            rank = np.arange(len(order)) - np.searchsorted(group[order], group[order])
            drop[order] |= rank < pairs[group[order]]
        faces = faces[~drop]


def apart(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """Cuts a closed surface where it touches itself along an edge or in a vertex, so that each sheet has its own.

    Where more than two faces meet at an edge, each takes the partner that goes on most smoothly; a vertex is then
    copied for each fan of faces around it, and the copies are drawn a hair (0.1 mm) into their fans.
    """
    for _ in range(10):
        if is_closed_manifold(faces, len(vertices)):
            break
        vertices, faces = _halve_double_edges(*_split_fans(vertices, faces))
    return vertices, faces


def _split_fans(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """One vertex for each fan of faces."""
    corners = np.arange(3 * len(faces)).reshape(3, -1)
    start, end = faces.T, np.roll(faces.T, -1, axis=0)
    forward = (start.astype(np.int64) * len(vertices) + end).ravel()
    backward = (end.astype(np.int64) * len(vertices) + start).ravel()
    order, other = np.argsort(forward, kind="stable"), np.argsort(backward, kind="stable")
    if not np.array_equal(forward[order], backward[other]):
        return vertices, faces
    twin = np.empty(len(forward), np.int64)
    twin[order] = other
    key, count = np.unique(forward, return_counts=True)
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
    for edge in key[count > 1]:
        for half, partner in _smooth_pairs(forward == edge, backward == edge, normal):
            twin[half] = partner
    following = np.roll(corners, -1, axis=0).ravel()
    joined = coo_matrix((np.ones(len(twin), np.int8), (corners.ravel(), following[twin])), (len(twin), len(twin)))
    fans, fan = connected_components(joined, directed=False)
    first = np.zeros(fans, np.int64)
    first[fan[::-1]] = faces.T.ravel()[::-1]
    copies = np.bincount(first, minlength=len(vertices))[first] > 1
    points = vertices[first]
    middle = vertices[faces].mean(1)[np.arange(len(fan)) % len(faces)]
    inner = np.stack([np.bincount(fan, middle[:, k], fans) for k in range(3)], -1)
    pull = inner / np.maximum(np.bincount(fan, minlength=fans), 1)[:, None] - points
    pull /= np.maximum(np.linalg.norm(pull, axis=1, keepdims=True), 1e-12)
    points = points + np.where(copies[:, None], 1e-4 * pull, 0.0)
    return points, fan.reshape(3, -1).T.astype(np.int32)


def _smooth_pairs(mine: NDArray[np.bool_], theirs: NDArray[np.bool_], normal: Vertices) -> list[tuple[int, int]]:
    """Half-edges (masks over 3 F, in the order of corners) of one edge, each with the other face most like its own."""
    free, pairs = [int(t) for t in np.nonzero(theirs)[0]], []
    for half in np.nonzero(mine)[0]:
        like = normal[[t % len(normal) for t in free]] @ normal[half % len(normal)]
        pairs.append((int(half), free.pop(int(like.argmax()))))
    return pairs


def _halve_double_edges(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """Where two sheets still share both ends of an edge, each gets a middle of its own, a hair into the sheet."""
    for _ in range(1000):
        start, end = faces.T.ravel().astype(np.int64), np.roll(faces.T, -1, axis=0).ravel().astype(np.int64)
        forward, backward = start * len(vertices) + end, end * len(vertices) + start
        key, count = np.unique(forward, return_counts=True)
        if (count == 1).all():
            break
        edge = key[count > 1][0]
        a, b, c = (vertices[faces[:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
        added: list[tuple[int, int, int]] = []
        points: list[Vertices] = []
        gone: list[int] = []
        for half, partner in _smooth_pairs(forward == edge, backward == edge, normal):
            middle = len(vertices) + len(points)
            tips = []
            for side in (half, partner):
                f, k = side % len(faces), side // len(faces)
                i, j, tip = (int(faces[f, (k + n) % 3]) for n in range(3))
                added += [(i, middle, tip), (middle, j, tip)]
                tips.append(vertices[tip])
                gone.append(f)
            centre = 0.5 * (vertices[i] + vertices[j])
            pull = 0.5 * (tips[0] + tips[1]) - centre
            points.append(centre + 1e-4 * pull / max(float(np.linalg.norm(pull)), 1e-12))
        if len(set(gone)) < len(gone):  # a face that names the edge twice has no sheet
            break
        vertices = np.concatenate([vertices, np.array(points)])
        faces = np.concatenate([np.delete(faces, gone, 0), np.array(added, np.int32)])
    return vertices, faces


def is_closed_manifold(faces: Faces, vertices: int) -> bool:
    """True when every directed edge occurs once and its opposite once, and every vertex has a single fan of faces."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    forward = edges[:, 0] * vertices + edges[:, 1]
    backward = edges[:, 1] * vertices + edges[:, 0]
    order = np.sort(forward)
    if len(faces) == 0 or (np.diff(order) == 0).any() or not np.array_equal(order, np.sort(backward)):
        return False
    # Corners of faces that share an edge at a vertex belong to one fan: as many fans as vertices in use.
    corner = np.arange(3 * len(faces)).reshape(3, -1)
    at = np.argsort(forward)
    twin = at[np.searchsorted(forward[at], backward)]
    start, end = corner.ravel(), np.roll(corner, -1, axis=0).ravel()
    fans = coo_matrix((np.ones(len(start), np.int8), (start, end[twin])), (len(start), len(start)))
    return connected_components(fans, directed=False)[0] == len(np.unique(faces))
