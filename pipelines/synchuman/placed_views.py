"""The ten pictures as five views with cameras in the display frame, un-mirrored, normals in the display frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.orthographic import OrthographicCamera
from pipelines.synchuman.bake_cameras import STAGE_1_VIEWS, bake_angles
from pipelines.synchuman.configuration import face_share
from pipelines.synchuman.display import Placement
from pipelines.synchuman.frame import face_box
from pipelines.synchuman.records import VIEW_NAMES, Framed, TenPictures
from pipelines.synchuman.view_pictures import foreground
from pipelines.synchuman.views import Views

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class PlacedView:
    """One view. rgba (S, S, 4) 0..1, straight alpha; normal (S, S, 3) unit, display frame, 0 outside; camera: parallel
    rays, display frame, metres; photo: its colours are the photo's; close_up: it shows a part of the person only."""

    label: str
    rgba: Floats
    camera: OrthographicCamera
    normal: Floats
    photo: bool
    close_up: bool


def placed_views(frame: Framed, pictures: TenPictures, placement: Placement) -> list[PlacedView]:
    """Front, the person's left, back, right, and the face's close-up.

    The person is where the normal map is not white; in a front that is the photo, where the photo's cut-out is.
    """
    plain = Views(list(pictures.colours), list(pictures.normals)).unmirrored()
    side, made = pictures.colours.shape[1], []
    front_is_photo = bool(pictures.facts.get("front_is_photo"))
    for v, (yaw, _) in enumerate(bake_angles()[:STAGE_1_VIEWS]):
        camera, close_up = placement.orthographic(float(yaw), side), v == STAGE_1_VIEWS - 1
        if close_up:
            left, top, right, bottom = face_box(side, face_share(pictures.facts))
            camera = camera.cropped(left, top, right - left, bottom - top).resized(side, side)
        mask = foreground(plain.normals[v])
        if v == 0 and front_is_photo:
            mask = frame.canvas[..., 3] > 127
        rgba = np.dstack([plain.colours[v].astype(np.float32) / 255, mask.astype(np.float32)])
        normal = in_display(plain.normals[v], placement) * mask[..., None]
        made.append(PlacedView(VIEW_NAMES[v], rgba, camera, normal, v == 0 and front_is_photo, close_up))
    return made


def in_display(coded: NDArray[np.uint8], placement: Placement) -> Floats:
    """(H, W, 3) bytes (n + 1) / 2 in the front camera's frame (x right, y up, z towards it) -> unit, display frame."""
    n = coded.astype(np.float64) / 255 * 2 - 1
    n = n / np.maximum(np.linalg.norm(n, axis=-1, keepdims=True), 1e-6)
    cube = np.stack([n[..., 0], -n[..., 2], n[..., 1]], -1)
    return (cube @ placement.axes.T).astype(np.float32)
