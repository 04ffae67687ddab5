"""The truth in the place of single steps: body, cut-out, surfaces, colours, one after the other.

Each variant of a run has one more of them than the one before, so that the differences say how much of the gap is
whose, and the last one, the oracle, what is left to the representation: two layers, walls and the body's hidden parts.
"""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.evaluate.subject import Subject
from pipelines.evaluate.truth import last_surface, true_colours
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import rasterise_layers
from pipelines.records import GRAZING, SEEN, BodyMaps, Cutout, Layers
from pipelines.step import UserError

Floats = NDArray[np.float32]
ESTIMATED, TRUE_BODY, TRUE_CUTOUT, TRUE_SURFACE, ORACLE = (
    "estimated", "true body", "+ true cut-out", "+ true surface", "oracle"
)  # fmt: skip
CHAIN = (ESTIMATED, TRUE_BODY, TRUE_CUTOUT, TRUE_SURFACE, ORACLE)
SHARES = ("body", "cut-out", "surface", "colours")  # what each step along the chain takes away
SHEET, SHEET_WIDTH = 0.02, 9  # metres; pixels of the grid
RIM = 0.002  # metres, least thickness of a limb
EDGE = 0.03  # metres over 3 px of the photo, beyond which there is an edge
APART = 0.015  # metres between two limbs below which they count as one


def true_cutout(subject: Subject) -> Cutout:
    """The person cut out without error: clean colours, true alpha; beyond the rim the nearest own colour."""
    from pipelines.projection.outline import nearest

    rgba = subject.photo.rgba
    solid = rgba[..., 3] > 0.9
    if not solid.any():
        raise UserError(f"Subject {subject.seed} came with a photo without a person; look at it, or leave it out.")
    rows, columns = nearest(solid)
    filled = np.where((rgba[..., 3] > 0.5)[..., None], rgba[..., :3], rgba[..., :3][rows, columns])
    return Cutout(np.dstack([filled, rgba[..., 3]]).astype(np.float32), {"source": "truth"})


def true_layers(subject: Subject, maps: BodyMaps, made: Layers, *, colours: bool) -> Layers:
    """Layers with the true first and last surface, and where two limbs overlap the true gap between them.

    maps: the true body's, whose grid and part labels are used. made: the system's layers with the true body; its
    colours stay unless `colours`, which takes the true ones: the clean photo in front, and behind what the truth's
    views show of the last surface (the nearest such colour where none does).
    """
    from pipelines.projection.outline import nearest
    from pipelines.projection.two_surfaces import GRAZING_COSINE, extend, facing_camera

    camera = maps.camera
    alpha = on_grid(subject.photo.rgba[..., 3], camera)
    front, back = (depth_on_grid(a, camera) for a in (subject.photo.first, subject.photo.last))
    known = front > 0
    mask = (alpha > 0.5) & (known | (cv2.dilate(known.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0))
    rows, columns = nearest(known)
    front, back = front[rows, columns] * mask, back[rows, columns] * mask
    back = thickened(front, back, mask)
    leave, enter, two = limbs_apart(subject, camera, front, back, mask)
    arrays = dict(made.arrays)
    for side in ("front", "back"):
        part, there = maps.arrays[f"full_{side}_part"], maps.arrays[f"full_{side}"] > 0
        arrays[f"{side}_part"] = extend(part, there, mask)
        if not colours:
            owner = nearest(made.arrays["mask"].astype(bool))
            arrays[f"{side}_rgb"] = np.where(mask[..., None], made.arrays[f"{side}_rgb"][owner], 0).astype(np.float32)
    if colours:
        arrays["front_rgb"] = (colour_on_grid(subject.photo.rgba, camera) * mask[..., None]).astype(np.float32)
        arrays["back_rgb"] = far_colours(subject, camera, mask)
        arrays["back_made"] = np.zeros_like(mask)
    facing = facing_camera(front, mask, camera)
    arrays |= {
        "mask": mask, "alpha": (alpha * mask).astype(np.float32), "front": front, "back": back, "leave": leave,
        "enter": enter, "two": two, "arm": np.zeros(mask.shape, np.uint8),
        "seen": np.where(facing < GRAZING_COSINE, GRAZING, SEEN).astype(np.uint8),
    }  # fmt: skip
    return Layers(arrays, camera)


def on_grid(values: NDArray, camera: Camera) -> NDArray:
    """A map of the photo on a camera's grid: the nearest pixel's value, never a mean of two surfaces."""
    rows = (np.arange(camera.height) + 0.5) * values.shape[0] / camera.height
    columns = (np.arange(camera.width) + 0.5) * values.shape[1] / camera.width
    return values[rows.astype(int)[:, None], columns.astype(int)]


def thickened(front: Floats, back: Floats, mask: NDArray[np.bool_]) -> Floats:
    """`back` moved away where a ray meets a single sheet of cloth, as below a tilted hem: the representation is a solid
    and loses sheets. Rims, thin but narrower than SHEET_WIDTH, stay."""
    sheet = opened(mask & (back - front < SHEET))
    return np.where(sheet, front + SHEET, back).astype(np.float32)


def depth_on_grid(depth: Floats, camera: Camera) -> Floats:
    """A depth map of the photo (0 outside) on a camera's grid: linear on a surface, the nearest pixel's at its edges,
    so that slopes are no stairs and edges no slopes."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    x = (x * depth.shape[1] / camera.width - 0.5).astype(np.float32)
    y = (y * depth.shape[0] / camera.height - 0.5).astype(np.float32)
    linear = cv2.remap(depth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    low, high = cv2.erode(depth, np.ones((3, 3), np.uint8)), cv2.dilate(depth, np.ones((3, 3), np.uint8))
    one = on_grid((high - low < EDGE) & (low > 0), camera)
    return np.where(one, linear, on_grid(depth, camera)).astype(np.float32)


def colour_on_grid(rgba: Floats, camera: Camera) -> Floats:
    """(h, w, 3) straight colours, means weighted by alpha; the nearest own colour where there is no person."""
    from pipelines.projection.outline import nearest

    size = (camera.width, camera.height)
    alpha = cv2.resize(rgba[..., 3], size, interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(rgba[..., :3] * rgba[..., 3:], size, interpolation=cv2.INTER_AREA)
    rgb = weighted / np.maximum(alpha, 1e-4)[..., None]
    return rgb[nearest(alpha > 0.5)].astype(np.float32)


def limbs_apart(
    subject: Subject, camera: Camera, front: Floats, back: Floats, mask: NDArray[np.bool_]
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Depths where the ray leaves the first limb and enters the last one, and where there are two (h, w)."""
    from pipelines.projection.body_surfaces import inner_depths

    vertices, faces = np.asarray(subject.surface.vertices, np.float64), subject.surface.faces
    first, last = rasterise_layers(vertices, faces, camera)
    mesh = SimpleNamespace(vertices=vertices)
    leave, enter = inner_depths(mesh, faces, camera, first.depth, last.depth)  # type: ignore[arg-type]
    # At a limb's own rim first and leave are millimetres apart: one column there would be a web between the limbs.
    leave, enter = np.maximum(leave, front + RIM), np.minimum(enter, back - RIM)
    two = mask & first.mask & (enter - leave > APART)
    # Two sheets of cloth around air, a hem seen from below, are one hollow limb and not two.
    hollow = opened(two & ((leave - front < SHEET) | (back - enter < SHEET)))
    two &= ~hollow
    return np.where(two, leave, back).astype(np.float32), np.where(two, enter, front).astype(np.float32), two


def opened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask without what is narrower than SHEET_WIDTH."""
    kernel = np.ones((SHEET_WIDTH, SHEET_WIDTH), np.uint8)
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0


def far_colours(subject: Subject, camera: Camera, mask: NDArray[np.bool_]) -> Floats:
    """(h, w, 3) true colours of the last surface on a grid."""
    from pipelines.projection.outline import nearest

    points, normals, rows, columns = last_surface(subject, camera)
    colours, found = true_colours(subject, points, normals)
    if not found.any():
        raise UserError(
            f"No view of subject {subject.seed} shows the far side of the person; ask for views all around."
        )
    rgb = np.zeros((*mask.shape, 3), np.float32)
    there = np.zeros(mask.shape, bool)
    rgb[rows[found], columns[found]] = colours[found]
    there[rows[found], columns[found]] = True
    return (rgb[nearest(there)] * mask[..., None]).astype(np.float32)
