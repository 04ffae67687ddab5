"""Splats on the body's own surface for what neither layer can show: inner arms, behind an arm, feet, soles."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.mesh_raster import face_normals
from pipelines.geometry.rotations import axes_of_covariance
from pipelines.projection.body_mesh import ARM_END, BodyMesh, cloth_groups, part_labels
from pipelines.projection.body_surfaces import NOTHING
from pipelines.projection.hull import inside_hull
from pipelines.projection.outline import half_width, nearest, smooth
from pipelines.projection.sampling import Grid

CLEAR = 0.012  # metres that a face must lie away from both layers
LIMBS = ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
FLAT = 0.35  # cosine to the ray below which a face is too foreshortened for a layer


def body_set(
    mesh: BodyMesh, grid: Grid, full: NDArray, arms_used: tuple[bool, bool]
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Means (N, 3) world, quaternions, scales and colours (N, 3) of one splat per chosen face.

    full: (2, h, w) first and last depth of the whole body on the grid. arms_used: left, right: the fitted forearm
    lies where the layers have it; else it is left out.
    """
    corners = mesh.vertices[mesh.faces]
    centre = corners.mean(1)
    normal = face_normals(mesh.vertices, mesh.faces)
    part = mesh.part[mesh.faces[:, 0]]
    pixels, depth = grid.camera.project(centre)
    columns = np.clip(pixels[:, 0].astype(int), 0, grid.camera.width - 1)
    rows = np.clip(pixels[:, 1].astype(int), 0, grid.camera.height - 1)
    front, back, leave, enter = grid.depth[:, rows, columns]
    ray = centre - grid.camera.position
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    flat = np.abs((normal * ray).sum(1)) < FLAT
    between = (depth > full[0][rows, columns] + CLEAR) & (depth < full[1][rows, columns] - CLEAR)
    foot = np.isin(part, part_labels(mesh.part_names, "foot"))
    # A limb along the line of sight has too few pixels for its length: its flat faces are drawn, inside the layers.
    limb = np.isin(part, part_labels(mesh.part_names, *LIMBS))
    clear = np.where(flat & limb, np.where(foot, -0.01, 0.004), CLEAR)
    wanted = (between | (flat & limb)) & (depth > front + clear) & (depth < back - clear)
    wanted &= flat | ((np.abs(depth - leave) > CLEAR) & (np.abs(depth - enter) > CLEAR))
    for side, used in zip(("left", "right"), arms_used, strict=True):
        if not used:
            wanted &= ~np.isin(part, part_labels(mesh.part_names, *(f"{stem}_{side}" for stem in ARM_END)))
    chosen = np.flatnonzero(wanted)
    quats, scales = triangle_axes(corners[chosen])
    inside = inside_hull(centre[chosen], grid.camera, grid.mask, 1.2 * np.sort(scales, 1)[:, 1])
    chosen, quats, scales = chosen[inside], quats[inside], scales[inside]
    towards = (normal[chosen] * ray[chosen]).sum(1) < 0
    colours = _colours(mesh, grid, part[chosen], rows[chosen], columns[chosen], towards)
    return centre[chosen], quats, scales, colours


def triangle_axes(corners: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, 3, 3) triangles -> quaternions (N, 4) and scales (N, 3) of splats that tile their surface.

    The covariance of a uniform triangle is sum (c - m)(c - m)^T / 12; three times that overlaps its neighbours.
    """
    spread = corners - corners.mean(1, keepdims=True)
    covariance = spread.transpose(0, 2, 1) @ spread / 4.0
    size = np.sqrt(np.trace(covariance, axis1=1, axis2=2))
    covariance += np.eye(3) * ((0.15 * size) ** 2)[:, None, None]
    quats, scales = axes_of_covariance(covariance)
    return quats.astype(np.float32), scales.astype(np.float32)


def _colours(
    mesh: BodyMesh,
    grid: Grid,
    part: NDArray[np.uint8],
    rows: NDArray,
    columns: NDArray,
    towards: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """(N, 3): calm colour of the same body part at the nearest pixel, front or back by the way the face looks.

    A part of which the picture shows next to nothing borrows from its twin on the other side of the body.
    """
    colours = np.zeros((len(part), 3), np.float32)
    width = half_width(grid.inside)
    for label in np.unique(part):
        for side in (0, 1):
            own = (part == label) & (towards == (side == 0))
            region = shown_part(mesh, grid, int(label), side)
            calm = smooth(grid.rgb[side], region, float(np.clip(0.3 * np.median(width[region]), 1.0, 6.0)))
            y, x = nearest(region)
            at = y[rows[own], columns[own]], x[rows[own], columns[own]]
            colours[own] = calm[at]
    return colours


def shown_part(mesh: BodyMesh, grid: Grid, label: int, side: int) -> NDArray[np.bool_]:
    """(h, w) the pixels to take a part's colours from: trunk and legs from one another (what is nearest is the same
    cloth), any other part from its certain inside, or its twin's, or anything."""
    names = np.array(mesh.part_names)
    cloth = cloth_groups(names)
    if cloth[label] == 0:
        region = grid.mask & (cloth[grid.part[side]] == 0) & ~grid.two & (grid.part[side] != NOTHING)
        if region.any():
            return region
    name = mesh.part_names[label]
    twin = name.replace("left", "right") if "left" in name else name.replace("right", "left")
    sizes = []
    for wanted in (name, twin):
        region = grid.mask & (grid.part[side] == mesh.part_names.index(wanted))
        core = cv2.erode(region.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
        sizes.append(core if core.sum() > 0.2 * region.sum() else region)
    best = sizes[0] if sizes[0].sum() >= 0.25 * sizes[1].sum() else sizes[1]
    return best if best.any() else grid.mask
