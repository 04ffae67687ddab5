"""What the truth's own records say about directions, heads, and the colour of any point of the surface."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.evaluate.subject import Subject, View
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import face_normals, rasterise_mesh

Array = NDArray[np.float64]
NECK, HEAD = 12, 15  # in the SMPL-X 22 joint set
HEAD_REACH = 0.20  # of the body's height: hair and hat included, shoulders not
SAME_SURFACE = 0.015  # metres between a point and what a view shows there, below which the view shows the point


def pelvis_of(subject: Subject) -> Array:
    """(3,) the true pelvis, display frame."""
    return subject.body.camera.to_world(np.asarray(subject.body["root_translation"], np.float64)[None])[0]


def heading(camera: Camera, pivot: Array) -> float:
    """Degrees from +z towards +x at which a camera stands around a vertical axis."""
    offset = camera.position - pivot
    return float(np.degrees(np.arctan2(offset[0], offset[2])))


def azimuths(subject: Subject) -> list[float]:
    """Degrees, 0..360, of each view from the photo's side; 90 is where somebody who faces the photo's camera has the
    left hand."""
    pivot = pelvis_of(subject)
    front = heading(subject.photo.camera, pivot)
    return [(heading(view.camera, pivot) - front) % 360.0 for view in subject.views]


def away(azimuth: float, from_: float) -> float:
    """Degrees 0..180 between two directions."""
    return abs((azimuth - from_ + 180.0) % 360.0 - 180.0)


def surface_points(view: View) -> tuple[Array, NDArray[np.intp], NDArray[np.intp]]:
    """(N, 3) display frame of the first surface's pixels, and their rows and columns."""
    rows, columns = np.nonzero(view.first > 0)
    pixels = np.stack([columns, rows], 1) + 0.5
    return view.camera.unproject(pixels, view.first[rows, columns]), rows, columns


def head_mask(subject: Subject, view: View) -> NDArray[np.bool_]:
    """(H, W) pixels of the true head in a view: above the head joint along the neck, within a fifth of the height."""
    joints = subject.body.camera.to_world(subject.body["body22_cam"].astype(np.float64))
    axis = joints[HEAD] - joints[NECK]
    mask = np.zeros(view.first.shape, bool)
    length = float(np.linalg.norm(axis))
    if length < 1e-6:
        return mask
    points, rows, columns = surface_points(view)
    offset = points - joints[HEAD]
    height = float(np.ptp(subject.surface.vertices[:, 1]))
    reach = HEAD_REACH * max(height, 0.5)
    mask[rows, columns] = (offset @ (axis / length) > 0) & (np.linalg.norm(offset, axis=1) < reach)
    return mask


def last_surface(subject: Subject, camera: Camera) -> tuple[Array, Array, NDArray[np.intp], NDArray[np.intp]]:
    """Points (N, 3) and outward normals (N, 3), display frame, rows and columns of the last surface in a camera."""
    vertices, faces = np.asarray(subject.surface.vertices, np.float64), subject.surface.faces
    image = rasterise_mesh(vertices, faces, camera, last=True)
    rows, columns = np.nonzero(image.mask)
    normals = face_normals(vertices, faces)[image.face_id[rows, columns]]
    pixels = np.stack([columns, rows], 1) + 0.5
    return camera.unproject(pixels, image.depth[rows, columns]), normals, rows, columns


def true_colours(subject: Subject, points: Array, normals: Array) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Colours (N, 3) of points (N, 3) on the true surface with outward normals (N, 3), display frame, and which were
    found: from the view (the photo among them) that shows the point at the steepest angle and finest scale; what no
    view shows keeps 0."""
    best = np.zeros(len(points))
    colours = np.zeros((len(points), 3), np.float32)
    for view in (subject.photo, *subject.views):
        pixels, depth = view.camera.project(points)
        # Only where the whole neighbourhood is the person: no background in the colour.
        there = sampled(view.first, pixels, cv2.INTER_NEAREST)
        solid = sampled((view.rgba[..., 3] > 0.98).astype(np.float32), pixels, cv2.INTER_LINEAR) > 0.99
        rays = view.camera.position - points
        distance = np.linalg.norm(rays, axis=1)
        cosine = (normals * rays).sum(1) / np.maximum(distance, 1e-9)
        shown = solid & (np.abs(there - depth) < SAME_SURFACE) & (cosine > 0.2)
        weight = np.where(shown, cosine**2 * view.camera.K[0, 0] / np.maximum(depth, 1e-6), 0.0)
        better = weight > best
        if better.any():
            colours[better] = sampled(view.rgba[..., :3], pixels[better], cv2.INTER_LINEAR)
            best[better] = weight[better]
    return colours, best > 0


def sampled(image: NDArray[np.float32], pixels: NDArray[np.floating], how: int) -> NDArray[np.float32]:
    """Values of a picture (H, W[, C]) at pixel positions (N, 2), pixel centres at + 0.5; 0 outside."""
    # OpenCV's remap takes at most 32767 columns: the list goes in as rows of 1024.
    count = len(pixels)
    padded = np.full((-(-count // 1024) * 1024, 2), -10.0, np.float32)
    padded[:count] = np.clip(pixels - 0.5, -1e4, 1e5)
    x, y = (np.ascontiguousarray(padded[:, k].reshape(-1, 1024)) for k in (0, 1))
    values = cv2.remap(
        np.ascontiguousarray(image, np.float32), x, y, how, borderMode=cv2.BORDER_CONSTANT, borderValue=0
    )
    return values.reshape(-1, *image.shape[2:])[:count].astype(np.float32)
