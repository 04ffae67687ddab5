"""The fitted body as a net of few lines, to be seen together with what was made on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.body.read_body import body_vertices
from pipelines.export.picture import laid_over
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import rasterise_mesh
from pipelines.records import Body

CELL = 0.045  # metres; the body's own triangles are narrower than a line is wide
COLOUR = (64, 140, 230)
STRENGTH, WIDTH = 0.9, 0.9  # of the lines over a picture, and their width in its pixels
SAMPLES = 2  # of a pixel, along each side

Net = tuple[NDArray[np.float32], NDArray[np.int32]]


def body_net(body: Body) -> Net:
    """Vertices (V, 3) metres, display frame, and triangles (F, 3) of about one size everywhere: all vertices of a cube of
    CELL metres become one, in their middle (Rossignac and Borrel 1993)."""
    vertices, faces = body_vertices(body)
    cells = np.floor(vertices / CELL).astype(np.int64)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    cell = cell.ravel()
    count = np.maximum(np.bincount(cell), 1)
    points = np.stack([np.bincount(cell, vertices[:, k]) / count for k in range(3)], 1)
    fewer = cell[faces]
    a, b, c = fewer.T
    fewer = fewer[(a != b) & (b != c) & (c != a)]
    _, first = np.unique(np.sort(fewer, 1), axis=0, return_index=True)
    return points.astype(np.float32), fewer[np.sort(first)].astype(np.int32)


def wires_over(picture: NDArray[np.float32], net: Net, camera: Camera) -> NDArray[np.float32]:
    """A picture (H, W, 4) straight alpha with the net over it, whatever is in front of the body; the net hides its own
    back."""
    vertices, faces = net
    fine = camera.resized(SAMPLES * camera.width, SAMPLES * camera.height)
    image = rasterise_mesh(vertices, faces, fine)
    rows, columns = np.nonzero(image.mask)
    corners = fine.project(vertices)[0][faces[image.face_id[rows, columns]]]
    point = np.stack([columns, rows], 1) + 0.5
    nearest = np.full(len(rows), np.inf)
    for k in range(3):
        start, along = corners[:, k], corners[:, (k + 1) % 3] - corners[:, k]
        to = point - start
        length = np.maximum(np.hypot(*along.T), 1e-9)
        nearest = np.minimum(nearest, np.abs(along[:, 0] * to[:, 1] - along[:, 1] * to[:, 0]) / length)
    lines = np.zeros(image.mask.shape, np.float32)
    # Each side of a line is another triangle's.
    lines[rows, columns] = np.clip(SAMPLES * WIDTH / 2 + 0.5 - nearest, 0.0, 1.0)
    cover = STRENGTH * lines.reshape(camera.height, SAMPLES, camera.width, SAMPLES).mean((1, 3))[..., None]
    colour = np.broadcast_to(np.array(COLOUR, np.float32) / 255, picture[..., :3].shape)
    return laid_over(picture, np.concatenate([colour, cover], -1).astype(np.float32))
