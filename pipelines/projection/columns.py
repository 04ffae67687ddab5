"""From two layers to one closed surface: columns of solid along the rays, blurred, and their half-full level.

Each pixel of the layers is a column that is solid from its front to its back, or from the front to where the first
limb ends and from where the last one begins to the back. The columns fill a grid that follows the camera's rays: two
by two pixels and as much depth per cell. Blurred by about a cell, the share of solid is smooth although every
column ends on its own, and its level one half is the surface: closed, without steps, the same from every side.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from pipelines.geometry.cameras import Camera
from pipelines.geometry.surface import pieces, signed_volume, smooth
from pipelines.projection.sampling import Grid, resample

Floats = NDArray[np.float32]
FINEST = 0.5  # of a layer's pixel: the smallest cell
SIDE = 2  # pixels of the fine grid along a cell's side
BLUR = 0.9  # cells; steps between neighbouring columns are a cell at most, thinner than two cells would vanish
AROUND = 3  # empty cells around everything, so that the surface closes
MAX_CELLS = 40_000_000  # 160 MB of float32


def solid_surface(
    layers: dict[str, NDArray], camera: Camera, cell: float, rounds: int
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Arrays of `Layers` on `camera`'s grid -> vertices (V, 3) world metres and faces (F, 3), wound outwards.

    cell: metres. rounds: of smoothing that keeps the volume. Every piece is closed; specks of less than 30 cells
    and hollows inside are left out. Raises ValueError when nothing solid is left or the grid would be too large.
    """
    middle = float(np.median(layers["front"][layers["mask"]]))
    # Finer cells than the layers' own pixels would hold nothing but their interpolation.
    cell = max(cell, FINEST * middle / camera.K[0, 0])
    grid = resample(layers, camera, SIDE * middle / (cell * camera.K[0, 0]))
    share, corner, step = solid_share(grid)
    # A cell more on all sides in the picture, for the level to close.
    places, faces, _, _ = marching_cubes(share, 0.5, gradient_direction="ascent", allow_degenerate=False)
    pixels = (places[:, [1, 0]].astype(np.float64) + 0.5) * SIDE + corner
    depth = corner_depth(grid, step) + (places[:, 2].astype(np.float64) + 0.5) * step
    vertices = grid.camera.unproject(pixels, depth)
    faces = faces.astype(np.int32)
    if signed_volume(vertices, faces) < 0:
        faces = np.ascontiguousarray(faces[:, ::-1])
    vertices, faces = pieces(vertices, faces, 30.0 * cell**3)
    return smooth(vertices, faces, rounds) if rounds else vertices, faces


def solid_share(grid: Grid) -> tuple[Floats, NDArray[np.float64], float]:
    """(rows, columns, depths) share of solid in every cell, blurred, 0 around; the pixel (x, y) at which the first
    cell begins; metres of depth per cell."""
    rows, columns = np.flatnonzero(grid.mask.any(1)), np.flatnonzero(grid.mask.any(0))
    if not len(rows):
        raise ValueError("The layers show nobody, so there is no solid.")
    corner = np.array([columns[0], rows[0]]) - AROUND * SIDE
    step = depth_step(grid)
    start = corner_depth(grid, step)
    far = float(grid.depth[1][grid.mask].max())
    shape = (
        -(-(rows[-1] + 1 - corner[1]) // SIDE) + AROUND,
        -(-(columns[-1] + 1 - corner[0]) // SIDE) + AROUND,
        int(np.ceil((far - start) / step)) + AROUND,
    )
    if np.prod([float(n) for n in shape]) > MAX_CELLS:
        raise ValueError(f"A solid of {shape} cells is too large; use larger cells.")
    share = np.zeros(shape, np.float32)
    front, back, leave, enter = grid.depth
    fill_columns(share, grid.mask, grid.two, front, back, leave, enter, corner, start, step)
    return gaussian_filter(share, BLUR, truncate=2.5, mode="constant"), corner.astype(np.float64), step


def depth_step(grid: Grid) -> float:
    """Metres of depth per cell: as much as a cell is wide at the person's median depth."""
    return float(SIDE * np.median(grid.step[grid.mask]))


def corner_depth(grid: Grid, step: float) -> float:
    """Depth at which the first cell begins."""
    return float(grid.depth[0][grid.mask].min()) - AROUND * step


@njit(cache=True, error_model="numpy")
def fill_columns(share, mask, two, front, back, leave, enter, corner, start, step):  # type: ignore[no-untyped-def]
    """Adds to every cell the part of it that each pixel's column fills; ends are shared out between cells."""
    part = np.float32(1.0 / (SIDE * SIDE))
    last = share.shape[2]
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            if not mask[y, x]:
                continue
            row, column = (y - corner[1]) // SIDE, (x - corner[0]) // SIDE
            for limb in range(2 if two[y, x] else 1):
                near = enter[y, x] if limb == 1 else front[y, x]
                far = leave[y, x] if limb == 0 and two[y, x] else back[y, x]
                low, high = (near - start) / step, (far - start) / step
                for z in range(max(int(low), 0), min(int(high) + 1, last)):
                    covered = min(high, z + 1.0) - max(low, z)
                    if covered > 0.0:
                        share[row, column, z] += part * np.float32(covered)
