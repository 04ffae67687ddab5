"""preview.png: the front, a side, the back and the other side; splats above, mesh below, on a soft grey
ground.

All views share one lens and one window around the person, so that sizes compare. sRGB, 8 bits, no alpha.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.export.bundle import Bundle, need, pivot
from pipelines.export.finite import finite_mesh, finite_splats
from pipelines.export.glb import png
from pipelines.export.picture import What, over, render_view
from pipelines.geometry.cameras import Camera
from pipelines.records import Body
from pipelines.step import UserError

AZIMUTHS = (0.0, 90.0, 180.0, 270.0)
HEIGHT = 480  # pixels of one view
MARGIN = 0.06  # of the person's size, on each side


def write(bundle: Bundle, path: Path) -> str:
    """Write the picture; returns one sentence. UserError when there are neither splats nor a mesh, or no
    body.
    """
    rows: list[What] = [what for what in ("splats", "mesh") if bundle.has(what)]
    Path(path).write_bytes(png(sheet(bundle)))
    return f"Wrote four views of the {' and of the '.join(rows)} (azimuth 0, 90, 180 and 270 degrees)."


def sheet(bundle: Bundle, height: int = HEIGHT) -> NDArray[np.float32]:
    """The whole picture: (rows x height, 4 x width, 3) 0..1."""
    body = need(bundle, "body")
    points = _points(bundle)
    cameras = views(body, points, height)
    rows: list[What] = [what for what in ("splats", "mesh") if bundle.has(what)]
    ground = soft_ground(cameras[0].width, height)
    return np.concatenate(
        [
            np.concatenate([over(render_view(bundle, what, c, max(c.width, c.height)), ground) for c in cameras], 1)
            for what in rows
        ]
    )


def views(
    body: Body, points: NDArray[np.floating], height: int, azimuths: tuple[float, ...] = AZIMUTHS
) -> list[Camera]:
    """A camera for each azimuth, each (height, width) pixels, through the one window that holds `points` (N, 3) in all."""
    around = [body.camera.square(1024).orbited(azimuth, None, pivot(body)) for azimuth in azimuths]
    pixels = np.concatenate([camera.project(points)[0] for camera in around])
    # A few stray splats must not shrink the person.
    low, high = np.percentile(pixels, 0.1, axis=0), np.percentile(pixels, 99.9, axis=0)
    pad = MARGIN * float((high - low).max()) + 1.0
    left, top = (int(v) for v in np.floor(low - pad))
    width, tall = (max(int(v), 1) for v in np.ceil(high - low + 2 * pad))
    width = min(width, 2 * tall)
    across = max(round(height * width / tall), 1)
    return [camera.cropped(left, top, width, tall).resized(across, height) for camera in around]


def soft_ground(width: int, height: int) -> NDArray[np.float32]:
    """(H, W, 3) a light grey, slightly darker towards the lower edge."""
    shade = np.linspace(0.95, 0.86, height, dtype=np.float32)[:, None, None]
    return np.broadcast_to(shade, (height, width, 3))


def _points(bundle: Bundle) -> NDArray[np.floating]:
    """Where the person is: what will be drawn."""
    parts = []
    if bundle.splats is not None:
        parts.append(finite_splats(bundle.splats)[0].means)
    if bundle.mesh is not None:
        parts.append(finite_mesh(bundle.mesh)[0].vertices)
    if not parts:
        raise UserError("This run has neither splats nor a mesh yet; run it as far as 'splats', then export.")
    return np.concatenate(parts)
