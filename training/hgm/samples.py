"""One training sample of the layer network: a synthetic photo through the real steps, with the truth in their frame.

The input is what the program itself makes of the photo: its own cut-out, its own fitted body with that fit's errors,
its own two layers. What a photo cannot tell (lens, distance, size) is taken out of the truth as the evaluation does it
(`pipelines.evaluate.align`): depths are compared from the pelvis, in lengths of the picture at the pelvis.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.body.fit_step import body_fit
from pipelines.evaluate.align import align_bodies
from pipelines.hgm.layer_input import LayerInput, layer_input
from pipelines.keypoints import keypoints
from pipelines.matte import matte
from pipelines.person import person
from pipelines.photo import photo
from pipelines.projection.body_maps import body_maps
from pipelines.projection.body_surfaces import grid_size
from pipelines.projection.layers import layers
from pipelines.records import Body, Upload, to_bytes
from pipelines.step import UserError
from training.people.draw import last_colours
from training.people.estimate import through
from training.people.lens import jpeg
from training.people.streams import stream
from training.people.subjects import Portrait, portrait
from training.people.truth import seen_by

Floats = NDArray[np.float32]

PHOTO_SIDE = 384
VIEWS = (90, 180, 270)  # degrees around the person, from the photo's side
VIEW_SIZE = 96
STEPS = (photo, person, matte, keypoints, body_fit, body_maps, layers)
GRID = {"body.maps": {"resolution": str(PHOTO_SIDE)}}


class Sample(NamedTuple):
    """One person, crop of H x W, n other views of S x S.

    channels (32, H, W) float16: `LayerInput.channels`. mask (H, W): cut-out. depth (2, H, W) float16: true first and
    last depth in crop heights from the pelvis, 0 where `known` (H, W) is False. back_rgb (3, H, W) uint8: colour of
    the true last surface in the photo's own look. fit_ok: whether the body is the person's at all. view_rgba
    (n, S, S, 4) uint8, straight; view_K (n, 3, 3), view_pose (n, 4, 4): OpenCV cameras, points as column vectors, in
    the frame of the crop's camera with lengths in crop heights. crop_K (3, 3); pelvis: its depth in crop heights.
    """

    channels: NDArray[np.float16]
    mask: NDArray[np.bool_]
    depth: NDArray[np.float16]
    known: NDArray[np.bool_]
    back_rgb: NDArray[np.uint8]
    view_rgba: NDArray[np.uint8]
    view_K: Floats
    view_pose: Floats
    crop_K: Floats
    pelvis: np.float32


def sample(seed: int, height: int) -> Sample | str:
    """The sample of a person, or the sentence with which the steps refused the photo."""
    made = portrait(seed, long_side=PHOTO_SIDE)
    try:
        records = through(Upload(jpeg(made.pixels, stream(seed, "jpeg"))), STEPS, GRID)
    except UserError as refusal:
        return str(refusal)
    given = layer_input(records["layers"], records["body_fit"], records["body_maps"], height)  # type: ignore[arg-type]
    return with_truth(given, records["body_fit"], made)  # type: ignore[arg-type]


def with_truth(given: LayerInput, fitted: Body, made: Portrait) -> Sample:
    """The sample of an input and the person it was made from."""
    crop = given.crop
    truth = seen_by(made.figure.body, made.shot.camera)
    rows, columns = photo_pixels(given, made)
    first, last = (v[rows, columns] for v in (made.photo.first, made.photo.last))
    inside = (rows >= 0) & (columns >= 0) & (first > 0) & (last > 0)
    pelvis = float(truth["root_translation"][2])
    # The picture's length at the pelvis: the same number of photo pixels, seen by the true lens.
    pixels = crop.window[3] * made.photo.camera.height / _layers_height(made)
    unit = pixels * pelvis / made.photo.camera.K[1, 1]
    depth = np.stack([np.where(inside, (d - pelvis) / unit, 0) for d in (first, last)])
    behind = last_colours(made.scene, made.photo.camera)
    photo_rgb = made.pixels.astype(np.float32) / 255
    look = in_the_look_of(photo_rgb, made.photo.rgba)
    back = np.clip(behind * look[0] + look[1], 0, 1)[rows, columns] * inside[..., None]
    views, K, pose = other_views(made, fitted, truth, crop.unit)
    return Sample(
        given.channels.astype(np.float16), given.mask, depth.astype(np.float16), inside,
        to_bytes(back).transpose(2, 0, 1), views, K, pose, crop.camera.K.astype(np.float32),
        np.float32(crop.depth / crop.unit),
    )  # fmt: skip


def photo_pixels(given: LayerInput, made: Portrait) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns (H, W) of the photo's pixel under each centre of the crop; -1 outside."""
    left, top, width, height = given.crop.window
    camera = given.crop.camera
    high, wide = made.photo.first.shape
    scale = high / _layers_height(made)
    y = np.floor((top + (np.arange(camera.height) + 0.5) * height / camera.height) * scale).astype(int)
    x = np.floor((left + (np.arange(camera.width) + 0.5) * width / camera.width) * scale).astype(int)
    y, x = (np.where((v >= 0) & (v < n), v, -1) for v, n in ((y, high), (x, wide)))
    rows, columns = np.meshgrid(y, x, indexing="ij")
    outside = (rows < 0) | (columns < 0)
    return np.where(outside, -1, rows), np.where(outside, -1, columns)


def _layers_height(made: Portrait) -> int:
    """Rows of the grid that the crop's window is counted in: that of `body.maps`."""
    high, wide = made.photo.first.shape
    return grid_size(wide, high, PHOTO_SIDE)[1]


def in_the_look_of(photo_rgb: Floats, truth: Floats) -> tuple[Floats, Floats]:
    """Per channel (3,) gain and (3,) shift from a true picture (H, W, 4) to the photo (H, W, 3), least squares inside
    the person: what the camera did to the colours."""
    solid = truth[..., 3] > 0.99
    gain, shift = np.ones(3, np.float32), np.zeros(3, np.float32)
    if solid.sum() < 50:
        return gain, shift
    for c in range(3):
        x, y = truth[..., c][solid].astype(np.float64), photo_rgb[..., c][solid].astype(np.float64)
        spread = x.var()
        gain[c] = np.clip(((x - x.mean()) * (y - y.mean())).mean() / spread, 0.5, 1.6) if spread > 1e-4 else 1.0
        shift[c] = y.mean() - gain[c] * x.mean()
    return gain, shift


def other_views(made: Portrait, fitted: Body, truth: Body, unit: float) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """Pictures (n, S, S, 4) from VIEWS, their K (n, 3, 3) and poses (n, 4, 4) in the frame of the fitted camera."""
    similarity = align_bodies(fitted, truth, scaled=True)
    from_camera = np.linalg.inv(fitted.camera.world_to_camera)
    count = 360 // 90
    views = [v for k, v in enumerate(made.views(count, VIEW_SIZE)) if 90 * k in VIEWS]
    poses = []
    for view in views:
        outer = view.camera.world_to_camera
        rotation = outer[:3, :3] @ similarity.rotation @ from_camera[:3, :3]
        centre = similarity.points(from_camera[None, :3, 3])[0]
        pose = np.eye(4)
        pose[:3, :3] = rotation
        pose[:3, 3] = (outer[:3, :3] @ centre + outer[:3, 3]) / (similarity.scale * unit)
        poses.append(pose)
    return (np.stack([to_bytes(v.rgba) for v in views]), np.stack([v.camera.K for v in views]).astype(np.float32),
            np.stack(poses).astype(np.float32))  # fmt: skip
