"""The pictures that a surface was carved from, standing around it where their cameras look from.

A picture stands at one distance from the person whatever its camera's own is, which for parallel rays means nothing.
Lines lead from its corners towards the person: parallel for an orthographic camera, from one point for a pinhole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.orthographic import OrthographicCamera
from pipelines.records import Floats, Mesh
from pipelines.views.records import PosedView, Views
from ui.inspect_posed_views import middle_of
from ui.sheets import FRAME_PIXELS

if TYPE_CHECKING:
    import viser

    from pipelines.export.scene_layers import Filled

MOST = 16  # pictures that are shown of a long turntable
FAR, TALL, REACH = 0.85, 0.42, 0.34  # of the person's height: distance of a picture, its height, length of the lines
PAPER = np.array([0.93, 0.92, 0.90], np.float32)
INK = (70, 110, 120)
FOV, ABOVE = 36.0, 16.0  # degrees, of the pictures of the ring
TILE = 256  # pixels of a picture on the ring


@dataclass(frozen=True)
class Place:
    """corners: (4, 3) of the picture, upper left, upper right, lower right, lower left. lines: (L, 2, 3) segments.
    picture: (TILE, TILE, 3) 0..1, the view on paper."""

    corners: NDArray[np.float64]
    lines: NDArray[np.float64]
    picture: Floats


def ring_of(views: Views, surface: NDArray[np.floating]) -> list[Place]:
    """The places of the whole views, at most MOST of them evenly chosen. surface: (V, 3) metres."""
    whole = list(views.whole) or list(views.views)
    chosen = [whole[i * len(whole) // min(len(whole), MOST)] for i in range(min(len(whole), MOST))]
    height = max(float(np.ptp(surface[:, 1])), 1e-3)
    return [place_of(view, middle_of(surface), height) for view in chosen]


def place_of(view: PosedView, middle: NDArray[np.float64], height: float) -> Place:
    """Where one view stands."""
    right, down, forward = view.camera.world_to_camera[:3, :3]
    half = np.array([TALL / 2 * min(1.0, view.camera.width / view.camera.height),
                     TALL / 2 * min(1.0, view.camera.height / view.camera.width)]) * height  # fmt: skip
    centre = middle - forward * FAR * height
    corners = np.stack(
        [centre + x * half[0] * right + y * half[1] * down for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    )
    if isinstance(view.camera, OrthographicCamera):
        lines = np.stack([corners, corners + forward * REACH * height], 1)
    else:
        eye = centre - forward * REACH * height
        lines = np.stack([np.broadcast_to(eye, (4, 3)), corners], 1)
    rim = np.stack([corners, np.roll(corners, -1, 0)], 1)
    return Place(corners, np.concatenate([rim, lines]), tile_of(view.rgba))


def tile_of(rgba: Floats) -> Floats:
    """A view on paper, stretched to a square tile; the corners put it right again."""
    import cv2

    alpha = rgba[..., 3:]
    flat = rgba[..., :3] * alpha + PAPER * (1 - alpha)
    return np.clip(cv2.resize(flat, (TILE, TILE), interpolation=cv2.INTER_AREA), 0, 1).astype(np.float32)


def cameras_of(ring: list[Place], surface: NDArray[np.floating], count: int) -> list[Camera]:
    """`count` square cameras on a circle, a little above, that hold the whole ring."""
    from pipelines.geometry.cameras import intrinsics, look_at

    middle, reach = middle_of(surface), float(np.ptp(surface[:, 1])) / 2
    for place in ring:
        reach = max(reach, float(np.linalg.norm(place.lines.reshape(-1, 3) - middle, axis=1).max()))
    distance = 1.02 * reach / float(np.sin(np.radians(FOV / 2)))
    K = intrinsics(FRAME_PIXELS, FRAME_PIXELS, FOV)
    return [
        Camera(K, FRAME_PIXELS, FRAME_PIXELS, look_at(middle, distance, 360.0 * i / count, ABOVE)) for i in range(count)
    ]


def draw_ring(person: Floats, camera: Camera, ring: list[Place]) -> Floats:
    """The person (H, W, 4) as `camera` sees it, with the pictures behind it and in front of it, far ones first; those
    in front are faint, so that the person shows through."""
    import cv2

    picture = np.zeros_like(person)
    away = camera.to_camera(np.stack([p.corners.mean(0) for p in ring]))[:, 2] if ring else np.zeros(0)
    depth = float(np.mean(away)) if len(ring) else 0.0
    order = np.argsort(-away)
    for behind in (True, False):
        for k in order[(away[order] >= depth) == behind]:
            place = ring[k]
            pixels = camera.project(place.corners)[0].astype(np.float32)
            corners = np.array([[0, 0], [TILE, 0], [TILE, TILE], [0, TILE]], np.float32)
            to_frame = cv2.getPerspectiveTransform(corners, pixels)
            size = (picture.shape[1], picture.shape[0])
            tile = np.dstack([place.picture, np.full((TILE, TILE), 1.0 if behind else 0.55, np.float32)])
            warped = np.asarray(cv2.warpPerspective(tile, to_frame, size, flags=cv2.INTER_AREA), np.float32)
            picture = over(warped, picture)
            ends = camera.project(place.lines.reshape(-1, 3))[0].reshape(-1, 2, 2)
            drawn = np.zeros(picture.shape[:2], np.uint8)
            for a, b in ends:
                cv2.line(drawn, tuple(np.rint(a).astype(int)), tuple(np.rint(b).astype(int)), 255, 1, cv2.LINE_AA)
            line = np.dstack(
                [np.broadcast_to(np.array(INK, np.float32) / 255, (*drawn.shape, 3)), drawn / np.float32(255)]
            )
            picture = over(line.astype(np.float32), picture)
        if behind:
            picture = over(person, picture)
    return picture


def over(front: Floats, back: Floats) -> Floats:
    """One straight-alpha picture (H, W, 4) over another."""
    a, b = front[..., 3:], back[..., 3:]
    alpha = a + b * (1 - a)
    rgb = (front[..., :3] * a + back[..., :3] * b * (1 - a)) / np.maximum(alpha, 1e-6)
    return np.concatenate([rgb, alpha], -1).astype(np.float32)


def add_ring(server: viser.ViserServer, filled: Filled, views: Views, surface: NDArray[np.floating]) -> None:
    """Put the pictures and their lines into a scene, below the frame that bears the person."""
    from pipelines.export.glb import textured

    ring = ring_of(views, surface)
    shift: Any = -np.asarray(filled.person.position, np.float64)
    server.scene.add_glb(
        "/person/views", textured(pictures_mesh(ring), unlit=True), position=shift, cast_shadow=False,
        receive_shadow=False,
    )  # fmt: skip
    lines = np.concatenate([place.lines for place in ring]).astype(np.float32)
    server.scene.add_line_segments(
        "/person/cameras", lines, INK, thickness=1.6, thickness_units="screen", position=shift
    )
    camera, view = server.initial_camera, filled.view
    away = np.asarray(view.position - view.look_at)
    height = max(float(np.ptp(surface[:, 1])), 1e-3)
    # From above and aside, far enough to hold the whole ring.
    aside = away + np.linalg.norm(away) * np.array([0.55, 0.45, 0.0])
    camera.position = tuple(view.look_at + aside / np.linalg.norm(aside) * 3.4 * height)
    camera.look_at, camera.fov = tuple(view.look_at), float(np.radians(42))


def pictures_mesh(ring: list[Place]) -> Mesh:
    """All pictures as one mesh with one texture; each is seen from both sides."""
    across = math.ceil(math.sqrt(len(ring)))
    atlas = np.ones((across * TILE, across * TILE, 3), np.float32)
    vertices: list[NDArray] = []
    uv: list[NDArray] = []
    normals: list[NDArray] = []
    faces: list[NDArray] = []
    for k, place in enumerate(ring):
        row, column = divmod(k, across)
        atlas[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = place.picture
        outwards = np.cross(place.corners[3] - place.corners[0], place.corners[1] - place.corners[0])
        for side in (1.0, -1.0):
            start = 4 * len(vertices)
            vertices.append(place.corners)
            length = max(float(np.linalg.norm(outwards)), 1e-9)
            normals.append(np.broadcast_to(side * outwards / length, (4, 3)))
            inset = 0.5 / TILE
            places = np.array([[inset, inset], [1 - inset, inset], [1 - inset, 1 - inset], [inset, 1 - inset]])
            uv.append((places + np.array([column, row])) / across * (1, -1) + (0, 1))
            order = np.array([[0, 3, 2], [0, 2, 1]] if side > 0 else [[0, 2, 3], [0, 1, 2]])
            faces.append(order + start)
    points = np.concatenate(vertices).astype(np.float32)
    return Mesh(
        points, np.concatenate(faces).astype(np.int32), np.concatenate(normals).astype(np.float32),
        np.concatenate(uv).astype(np.float32), atlas, np.zeros(len(points), np.uint8),
        np.arange(len(points), dtype=np.int32),
    )  # fmt: skip
