"""Poses by where hands and feet are: two-bone chains, bone by bone, in the rig's "anny-local-ref" rotations.

Frame: display (x to the person's left, y up, z forwards), metres. In the reference pose (an A-pose) every global
rotation is the identity; a bone's own rotation is D_c = G_parent^T G_c. `rig_rotations` turns D into the rig's axes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.people.helpers_mesh import FLIP, whole_mesh

Array = NDArray[np.float64]


def about(axis: str, degrees: float) -> Array:
    """(3, 3) rotation about x, y or z."""
    c, s = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
    if axis == "x":
        return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    if axis == "y":
        return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def unit(vector: Array) -> Array:
    """Vector of length 1."""
    return vector / max(float(np.sqrt((vector * vector).sum())), 1e-9)


def around(axis: Array, degrees: float) -> Array:
    """(3, 3) rotation about any axis (Rodrigues)."""
    x, y, z = unit(np.asarray(axis, np.float64))
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    a = np.radians(degrees)
    return np.eye(3) + float(np.sin(a)) * k + (1 - float(np.cos(a))) * (k @ k)


def frame(along: Array, side: Array) -> Array:
    """(3, 3) with columns: along, side made perpendicular, their cross product."""
    a = unit(along)
    b = unit(side - a * (a @ side))
    return np.stack([a, b, np.cross(a, b)], 1)


@lru_cache(maxsize=1)
def _bones() -> dict[str, int]:
    return {name: i for i, name in enumerate(whole_mesh().rig.bone_names)}


def bone(name: str) -> int:
    """Index of a bone."""
    return _bones()[name]


class Skeleton:
    """A person's bones while a pose is being made: set global rotations, ask for joints."""

    def __init__(self, rest) -> None:  # type: ignore[no-untyped-def]
        rig = whole_mesh().rig
        self.parents = rig.parents
        heads = rest.bone_heads.numpy() * FLIP
        frames = rest.bone_frames.numpy() * FLIP[:, None] * FLIP  # F R F
        reference = rig.arrays.reference_frames.astype(np.float64) * FLIP[:, None] * FLIP
        align = reference @ frames.transpose(0, 2, 1)
        self.offsets = np.zeros_like(heads)
        for c in range(1, len(heads)):
            p = self.parents[c]
            offset = heads[c] - heads[p]
            self.offsets[c] = offset if p == 0 else align[p] @ offset
        self.local = np.tile(np.eye(3), (len(heads), 1, 1))
        self.root = np.zeros(3)

    def turn(self, name: str, rotation: Array) -> None:
        """Set a bone's own rotation D."""
        self.local[bone(name)] = rotation

    def chain(self, name: str) -> list[int]:
        """Bones from the root to this one."""
        at, out = bone(name), []
        while at >= 0:
            out.append(at)
            at = int(self.parents[at])
        return out[::-1]

    def globals(self, name: str) -> tuple[Array, Array]:
        """Global rotation and head of a bone."""
        g, j = np.eye(3), self.root.copy()
        for c in self.chain(name):
            if self.parents[c] >= 0:
                j = j + g @ self.offsets[c]
            g = g @ self.local[c]
        return g, j

    def direct(self, name: str, rotation: Array) -> None:
        """Set a bone's global rotation."""
        parent = self.chain(name)[-2]
        g, _ = self.globals(whole_mesh().rig.bone_names[parent])
        self.local[bone(name)] = g.T @ rotation

    def reach(self, bones: tuple[str, str, str, str, str], target: Array, pole: Array, bend: float = 1.0) -> float:
        """Two-bone chain: bones = upper first, upper second, lower first, lower second, end. Puts the end's head at
        `target` (m) with the middle joint towards `pole` (direction); returns how far it was out of reach (m)."""
        first, second, third, fourth, end = bones
        self.turn(second, np.eye(3))
        self.turn(fourth, np.eye(3))
        _, start = self.globals(first)
        upper = self.offsets[bone(second)] + self.offsets[bone(third)]
        lower = self.offsets[bone(fourth)] + self.offsets[bone(end)]
        a, b = float(np.linalg.norm(upper)), float(np.linalg.norm(lower))
        gap = target - start
        distance = float(np.linalg.norm(gap))
        reached = float(np.clip(distance, abs(a - b) * 1.05 + 0.03, (a + b) * 0.998))
        along = unit(gap)
        outwards = pole - along * (along @ pole)
        outwards = unit(outwards)
        share = (a * a + reached * reached - b * b) / (2 * a * reached)
        rise = float(np.sqrt(max(1 - share * share, 0.0)))
        up = along * share + outwards * rise
        down = unit(along * reached - up * a)
        hinge0 = np.cross(upper, lower)
        hinge = np.cross(up, down) * bend
        if np.linalg.norm(hinge) < 1e-3:
            hinge = np.cross(outwards, along) * bend
        turn_up = frame(up, hinge) @ frame(upper, hinge0 * bend).T
        turn_down = frame(down, hinge) @ frame(lower, hinge0 * bend).T
        self.direct(first, turn_up)
        self.direct(third, turn_down)
        return abs(distance - reached)


def rig_rotations(local: Array) -> Array:
    """(J, 3, 3) display axes -> the rig's axes."""
    return local * FLIP[:, None] * FLIP
