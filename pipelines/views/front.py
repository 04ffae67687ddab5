"""The front view as a photo: which view it is, its picture, and a camera with an ordinary lens that sees the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.geometry.orthographic import OrthographicCamera, long_lens
from pipelines.views.records import PosedView, Views

MARGIN = 0.05  # of the longer side


def front_view(views: Views) -> PosedView:
    """The view of the whole person that looks at the front (+z) most directly, the first of equals, with a margin all
    around: generators let a person touch the picture's border, and a photo's steps would think the feet cut off."""
    facing = [-view.pinhole.world_to_camera[2, 2] for view in views.whole]
    view = views.whole[int(np.argmax(np.round(facing, 6)))]
    height, width = view.rgba.shape[:2]
    margin = round(MARGIN * max(height, width))
    rgba = np.pad(view.rgba, ((margin, margin), (margin, margin), (0, 0)))
    rgba[..., :3][rgba[..., 3] == 0] = 1.0
    camera = view.camera.cropped(-margin, -margin, width + 2 * margin, height + 2 * margin)
    return PosedView(view.label, rgba, camera, photo=view.photo)


def picture_size(view: PosedView, longest_side: int) -> tuple[int, int]:
    """Width and height in px of a view reduced to `longest_side`; never enlarged."""
    scale = min(longest_side / max(view.camera.width, view.camera.height), 1.0)
    return max(round(view.camera.width * scale), 1), max(round(view.camera.height * scale), 1)


def reduced(rgba: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W, 4) straight alpha at another size (width, height); colours are weighted by alpha."""
    import cv2

    if (rgba.shape[1], rgba.shape[0]) == size:
        return rgba
    alpha = rgba[..., 3:]
    mean = cv2.resize(np.concatenate([rgba[..., :3] * alpha, alpha], -1), size, interpolation=cv2.INTER_AREA)
    plain = cv2.resize(rgba[..., :3], size, interpolation=cv2.INTER_AREA)
    solid = mean[..., 3:] > 1 / 255
    rgb = np.where(solid, mean[..., :3] / np.maximum(mean[..., 3:], 1 / 255), plain)
    return np.clip(np.concatenate([rgb, mean[..., 3:]], -1), 0.0, 1.0).astype(np.float32)


def ordinary_camera(view: PosedView, size: tuple[int, int]) -> Camera:
    """The view's camera on a grid of `size` (width, height) px: a pinhole as it is, of parallel rays a long lens."""
    camera = view.camera
    return long_lens(camera, *size) if isinstance(camera, OrthographicCamera) else camera.resized(*size)
