"""The relief that faces and hands lost to the closed surface's cells, from the normals of the layers it was made of.

The solid is blurred by a cell and smoothed; of a face there is a forehead and a chin. The layers still have the eyes, the
nose and the mouth of the fitted body, in pixels half a cell wide. Elsewhere the body's relief is under clothes or hair,
which do not have it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.bend import bent
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.projection.body_mesh import part_labels
from pipelines.projection.outline import depth_inside
from pipelines.projection.sampling import pixel_size
from pipelines.projection.sides import picked

Vectors = NDArray[np.float64]
FINE = 0.35  # standard deviation of the normals' mean, in cells: what is finer would be noise on the vertices
EDGE = 6.0  # pixels of depth between neighbours on either side beyond which there is an edge, and no normal
BARE = ("face", "hand")  # parts with relief of their own; bare feet are shod too often
RIM = 2.0  # pixels from the outline from which on a layer has normals
NEAR = 2.0  # cells between a vertex and the layer it lies on
FACING = 0.25  # cosine to the ray from which on a vertex is a layer's
ALIKE = 0.3  # cosine to the surface's own normal below which a normal is not believed


def with_relief(
    vertices: Vectors, faces: NDArray[np.int32], layers: dict[str, NDArray], camera: Camera, cell: float
) -> Vectors:
    """Vertices (V, 3), world metres, of a closed surface (F, 3) bent to the normals of Layers arrays on `camera`'s grid.

    cell: metres, the detail of the surface.
    """
    own = vertex_normals(vertices, faces)
    normals, weight = seen_normals(vertices, own, layers, camera, cell)
    return bent(vertices, faces, normals, weight)


def seen_normals(
    vertices: Vectors, own: Vectors, layers: dict[str, NDArray], camera: Camera, cell: float
) -> tuple[Vectors, Vectors]:
    """(V, 3) the layers' normals in world axes where a vertex lies on BARE parts of the front or the back layer, and (V,)
    1 there."""
    pixels, depth = camera.project(vertices)
    ray = vertices - camera.position
    facing = -(own * ray).sum(1) / np.linalg.norm(ray, axis=1)
    normals, weight = np.zeros_like(vertices), np.zeros(len(vertices))
    turn = camera.world_to_camera[:3, :3]
    labels = part_labels(layers["part_names"], *BARE)
    for side, sign in (("front", 1.0), ("back", -1.0)):
        image, known = layer_normals(layers, camera, side, FINE * cell)
        known = known * np.isin(layers[f"{side}_part"], labels)
        there = np.stack([picked(sign * image[..., k], pixels) for k in range(3)], 1) @ turn
        there /= np.maximum(np.linalg.norm(there, axis=1, keepdims=True), 1e-9)
        near = np.abs(depth - picked(layers[side], pixels)) < NEAR * cell
        sure = near & (picked(known, pixels) > 0.9) & (sign * facing > FACING) & ((there * own).sum(1) > ALIKE)
        normals[sure], weight[sure] = there[sure], 1.0
    return normals, weight


def layer_normals(
    layers: dict[str, NDArray], camera: Camera, side: str, blur: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(h, w, 3) camera-frame normals of a layer that face the camera, a mean over `blur` metres; (h, w) 1 where the layer
    has one: away from its outline and from edges in depth."""
    depth = layers[side].astype(np.float64)
    points = camera.rays() * depth[..., None]
    across, down = (np.gradient(points, axis=axis) for axis in (1, 0))
    normal = np.cross(down, across)
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-12)
    pixel = pixel_size(layers, camera)
    steep = np.maximum(np.abs(across[..., 2]), np.abs(down[..., 2])) > EDGE / 2 * pixel
    known = ((depth_inside(layers["mask"]) > RIM) & ~steep).astype(np.float32)
    sigma = max(blur / pixel, 0.5)
    mean = cv2.GaussianBlur((normal * known[..., None]).astype(np.float32), (0, 0), sigma)
    share = cv2.GaussianBlur(known, (0, 0), sigma)
    return np.asarray(mean, np.float32), (known * (share > 0.95)).astype(np.float32)
