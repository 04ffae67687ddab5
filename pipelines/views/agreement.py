"""How well one shape agrees with every view: outlines, normals, colours; worst view first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.mesh_raster import interpolate, rasterise_mesh, vertex_normals
from pipelines.views.records import PosedView

Floats = NDArray[np.float32]


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks; 1 for two empty ones."""
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0


def normal_errors(vertices: NDArray, faces: NDArray, view: PosedView) -> Floats:
    """(H, W) degrees between the shape's normals and the view's, NaN where one of them has none."""
    assert view.normal is not None
    image = rasterise_mesh(vertices, faces, view.pinhole)
    drawn = interpolate(image, faces, vertex_normals(vertices, faces))
    drawn /= np.maximum(np.linalg.norm(drawn, axis=-1, keepdims=True), 1e-9)
    cosine = np.clip((drawn * view.normal).sum(-1), -1.0, 1.0)
    both = image.mask & view.mask & view.normal.any(-1)
    return np.where(both, np.degrees(np.arccos(cosine)), np.nan).astype(np.float32)


def agreement(vertices: NDArray, faces: NDArray, views: Sequence[PosedView]) -> list[dict[str, Any]]:
    """One row a whole view: view, iou, normal_deg (mean; None without normals), and where it is worst: the height as
    a share of the person's (0 the feet) and the side ('left', 'middle', 'right' of the picture) of the band of a tenth
    with most wrong pixels."""
    rows = []
    for view in views:
        if view.close_up:
            continue
        image = rasterise_mesh(vertices, faces, view.pinhole)
        wrong = (image.mask ^ view.mask).astype(np.float32)
        error = None
        if view.normal is not None:
            degrees = normal_errors(vertices, faces, view)
            error = float(np.nanmean(degrees)) if np.isfinite(degrees).any() else None
            wrong += np.nan_to_num(degrees) / 90.0
        rows.append(
            {"view": view.label, "iou": overlap(image.mask, view.mask), "normal_deg": error, **worst_place(wrong, view)}
        )
    return rows


def worst_place(wrong: Floats, view: PosedView) -> dict[str, Any]:
    """Where a picture is most wrong: height 0..1 of the person, and the side of the picture."""
    tall, wide = np.flatnonzero(view.mask.any(1)), np.flatnonzero(view.mask.any(0))
    bands = np.array_split(np.arange(tall[0], tall[-1] + 1), 10)
    thirds = np.array_split(np.arange(wide[0], wide[-1] + 1), 3)
    sums = np.array([[wrong[np.ix_(band, third)].sum() for third in thirds] for band in bands])
    band, third = np.unravel_index(sums.argmax(), sums.shape)
    return {"worst_height": round(1.0 - (float(band) + 0.5) / 10, 2), "worst_side": ("left", "middle", "right")[third]}
