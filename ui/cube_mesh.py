"""SyncHuman's cube on the page: where it stands, and its voxels as a mesh of small cubes.

What lies in the cube is shown in the cube's own place, not the run's: pictures of a step then depend on that step alone
and stay right when the body is fitted anew. A person from border to border of the canvas is 1.75 m tall there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.synchuman.display import Placement

Floats = NDArray[np.float32]

METRES = 1.75  # of the cube's side
# Columns: the cube's x, y, z in the display frame; it faces -y and has z up, the display frame faces +z with y up.
PLACE = Placement(METRES, np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]]), np.array([0.0, METRES / 2, 0.0]))

# The six sides of a cell: axis, direction, and how much of the light falls on it (the cube's z is up, -y the front).
SIDES = ((0, 1, 0.78), (0, -1, 0.78), (1, 1, 0.70), (1, -1, 0.92), (2, 1, 1.0), (2, -1, 0.58))


def cubes_of(
    coords: NDArray[np.integer], colours: NDArray[np.floating], side: int
) -> tuple[Floats, NDArray[np.int32], Floats]:
    """Cells (N, 3) of a grid of side^3 with colours (N, 3) 0..1 -> vertices (4 Q, 3) display metres, faces (2 Q, 3)
    counter-clockwise from outside, and vertex colours (4 Q, 3), darker where less light falls.

    Only the sides that face an empty cell are made.
    """
    filled = np.zeros((side + 2,) * 3, bool)
    filled[tuple((coords + 1).T)] = True
    corners, shades = [], []
    for axis, direction, light in SIDES:
        step = np.zeros(3, int)
        step[axis] = direction
        open_side = ~filled[tuple((coords + 1 + step).T)]
        u, v = np.zeros(3), np.zeros(3)
        u[(axis + 1) % 3], v[(axis + 2) % 3] = 1, 1
        start = coords[open_side] + np.eye(3)[axis] * (direction > 0)
        around = (np.zeros(3), u, u + v, v) if direction > 0 else (np.zeros(3), v, u + v, u)
        corners.append(start[:, None] + np.stack(around))
        shades.append(np.repeat(np.asarray(colours)[open_side, None] * light, 4, 1))
    quads = np.concatenate(corners)
    vertices = PLACE.to_display(quads.reshape(-1, 3) / side - 0.5).astype(np.float32)
    faces = 4 * np.arange(len(quads))[:, None, None] + np.array([[0, 1, 2], [0, 2, 3]])
    return vertices, faces.reshape(-1, 3).astype(np.int32), np.concatenate(shades).reshape(-1, 3).astype(np.float32)
