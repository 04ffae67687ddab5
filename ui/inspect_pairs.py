"""Do two views agree with one another? For every pair: the share of the outlines that any one shape could have, and by
how many degrees the normals differ where both see the same place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.mesh_raster import MeshImage, interpolate, rasterise_mesh, vertex_normals
from pipelines.records import Floats, Table
from pipelines.step import UserError
from pipelines.views.records import PosedView, Shape, Views
from ui.inspect_agreement import is_about_views
from ui.inspect_numbers import to_json
from ui.run_reader import RunReader

MOST = 12  # views of one table; of more, evenly chosen ones
SAMPLES, DEPTHS = 700, 64  # pixels of an outline that are looked at, and places along the line of sight of each
PLACES = 8000  # pixels whose normals are compared
SLACK = 0.02  # metres between two surfaces that count as the same place
FEWEST = 40  # common places below which two views say nothing about their normals
GRAZING = 0.35  # cosine to the line of sight, below which a normal is not trusted
OUTLINE, NORMALS = (0.985, 0.95), (15.0, 30.0)  # good from (up to) the first on, doubtful from the second on


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """{'views': [label], 'pairs': [{a, b, outline, outline_is, normals, normals_is}], 'left_out': number}.

    outline: share 0..1. normals: median degrees, or None. *_is: 'good', 'doubtful' or 'bad'. a < b: places in `views`.
    """
    table = reader.record(step)
    assert isinstance(table, Table)
    if not is_about_views(table.rows):
        raise UserError(f"The table of '{step}' is not about views; its rows stand in the inspector.")
    whole, shape = reader.need(Views).whole, reader.need(Shape)
    if len(whole) < 2:
        raise UserError("A pair needs two views that show the whole person; this run has fewer.")
    kept = [whole[i] for i in sorted({round(k * (len(whole) - 1) / (MOST - 1)) for k in range(MOST)})]
    kept = list(whole) if len(whole) <= MOST else kept
    rows = pairs_of(kept, shape.vertices, shape.faces)
    return to_json({"views": [v.label for v in kept], "pairs": rows, "left_out": len(whole) - len(kept)})


def pairs_of(
    views: Sequence[PosedView], vertices: NDArray[np.floating], faces: NDArray[np.integer]
) -> list[dict[str, Any]]:
    """One row a pair, as in `data`."""
    normals = vertex_normals(vertices, faces)
    drawn = [seen_by(view, vertices, faces, normals) if view.normal is not None else None for view in views]
    rows = []
    for a, b in combinations(range(len(views)), 2):
        share = min(explained(views[a], views[b], vertices), explained(views[b], views[a], vertices))
        angle = normals_apart((views[a], drawn[a]), (views[b], drawn[b]))
        outline = "good" if share >= OUTLINE[0] else "doubtful" if share >= OUTLINE[1] else "bad"
        row: dict[str, Any] = {"a": a, "b": b, "outline": round(share, 4), "outline_is": outline, "normals": None}
        if angle is not None:
            told = "good" if angle <= NORMALS[0] else "doubtful" if angle <= NORMALS[1] else "bad"
            row |= {"normals": round(angle, 1), "normals_is": told}
        rows.append(row)
    return rows


def explained(view: PosedView, other: PosedView, around: NDArray[np.floating]) -> float:
    """Share of a view's outline that can be part of a body inside the other view's outline: pixels whose line of sight,
    as deep as the points `around` (N, 3) reach, meets the other outline (silhouette coherence of a pair; its border
    counts as inside). From opposite sides that is one outline over the mirrored other one."""
    import cv2

    pixels = samples(view.mask, SAMPLES)
    low, high = around.min(0), around.max(0)
    corners = np.array([[(low, high)[k >> c & 1][c] for c in range(3)] for k in range(8)], np.float64)
    camera = view.pinhole
    deep = camera.project(corners)[1]
    depths = np.linspace(max(float(deep.min()), 1e-3), float(deep.max()), DEPTHS)
    points = camera.unproject(np.repeat(pixels, DEPTHS, 0), np.tile(depths, len(pixels)))
    inside = cv2.dilate(other.mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    hit, rows, columns = where(other.pinhole.project(points)[0], inside.shape)
    hit[hit] = inside[rows, columns]
    return float(hit.reshape(len(pixels), DEPTHS).any(1).mean())


class Seen(NamedTuple):
    """The surface in a view: what is where, and its own normals (H, W, 3), display frame, not unit."""

    image: MeshImage
    normals: Floats


def seen_by(view: PosedView, vertices: NDArray[np.floating], faces: NDArray[np.integer], normals: NDArray) -> Seen:
    """The surface as a view sees it."""
    image = rasterise_mesh(vertices, faces, view.pinhole)
    return Seen(image, interpolate(image, faces, normals))


def normals_apart(one: tuple[PosedView, Seen | None], two: tuple[PosedView, Seen | None]) -> float | None:
    """Median degrees between the normals of two views at places of the surface that both see well; None without
    normals, or where they see too little together, as from opposite sides."""
    (view, here), (other, away) = one, two
    if view.normal is None or other.normal is None or here is None or away is None:
        return None
    image, seen = here.image, away.image
    pixels = samples(view.mask & image.mask & view.normal.any(-1), PLACES)
    rows, columns = pixels.astype(int)[:, ::-1].T
    depth = image.depth[rows, columns]
    points = view.pinhole.unproject(pixels, depth)
    there, z = other.pinhole.project(points)
    found, to_rows, to_columns = where(there, seen.mask.shape)
    found[found] = seen.mask[to_rows, to_columns] & (np.abs(seen.depth[to_rows, to_columns] - z[found]) < SLACK)
    to_columns, to_rows = there[found].astype(int).T
    a, b = view.normal[rows[found], columns[found]], other.normal[to_rows, to_columns]
    # The place itself, not what is said of it, must face both cameras: the two sides of a finger are two places.
    own, its = here.normals[rows[found], columns[found]], away.normals[to_rows, to_columns]
    well = np.all([facing(n, v) > GRAZING for n in (own, its) for v in (view, other)], axis=0) & b.any(-1)
    if well.sum() < FEWEST:
        return None
    cosine = (a[well] * b[well]).sum(1) / np.maximum(
        np.linalg.norm(a[well], axis=1) * np.linalg.norm(b[well], axis=1), 1e-6
    )
    return float(np.degrees(np.median(np.arccos(np.clip(cosine, -1, 1)))))


def facing(normals: Floats, view: PosedView) -> NDArray[np.float64]:
    """(N,) cosine between normals (N, 3), display frame, and the direction back to the view's camera."""
    length = np.maximum(np.linalg.norm(normals, axis=-1), 1e-9)
    return np.asarray(normals, np.float64) @ -view.pinhole.world_to_camera[2, :3] / length


def samples(mask: NDArray[np.bool_], count: int) -> NDArray[np.float64]:
    """(N, 2) centres of evenly taken pixels of a mask, about `count` or all."""
    rows, columns = np.nonzero(mask)
    stride = max(1, len(rows) // count)
    return np.stack([columns[::stride] + 0.5, rows[::stride] + 0.5], 1)


def where(pixels: NDArray[np.floating], shape: tuple[int, ...]) -> tuple[NDArray[np.bool_], NDArray, NDArray]:
    """(N,) which pixels (N, 2) lie in a picture of `shape`, and rows and columns of those that do."""
    columns, rows = np.floor(pixels).astype(int).T
    found = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return found, rows[found], columns[found]
