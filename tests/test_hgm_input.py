"""What goes into HGM: the crop of a free photo, SMPL-X points from the user's file, and the frames between them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.body.read_body import posed
from pipelines.hgm.body_points import check_tokens, points_of
from pipelines.hgm.cameras import (
    intrinsics,
    network_pictures,
    opencv_view,
    orbit_pose,
    project,
    rays,
)
from pipelines.hgm.configuration import RELEASED
from pipelines.hgm.crop import crop_photo, pixels_per_metre
from pipelines.hgm.photo_lens import to_network
from pipelines.step import Context, MissingNeed, UserError
from tests.test_read_body import a_body
from tests.test_smplx_file import synthetic_arrays


def test_rays_meet_what_the_camera_projects() -> None:
    """A point on the ray of pixel (row 20, column 11) lands on that pixel's centre, from three sides."""
    for azimuth in (0.0, 30.0, 180.0):
        pose, size = orbit_pose(azimuth), 64
        K = intrinsics(size)
        ray = rays(pose, size, K[1, 1])[:, 20, 11]
        point = pose[:3, 3] + 1.3 * ray[3:]
        assert np.allclose(np.cross(point, ray[3:]), ray[:3], atol=1e-12), (
            "the moment is that of every point of the ray"
        )
        pixel, depth = project(*(torch.from_numpy(a) for a in (point[None], K[None], opencv_view(pose)[None])))
        assert np.allclose(pixel[0, 0], [11.5, 20.5]) and 0 < float(depth) < 1.3


def test_white_background_is_the_published_number() -> None:
    pictures = network_pictures(torch.ones(1, 3, 8, 8), orbit_pose(0.0)[None])
    assert pictures.shape == (1, 9, 8, 8)
    assert np.allclose(pictures[0, :3, 0, 0], [2.2489, 2.4286, 2.6400], atol=1e-4)


def test_the_crop_puts_the_pelvis_in_the_middle_at_the_right_scale() -> None:
    """A red dot at the pelvis and a blue one half a metre to the right and one metre up."""
    K = np.array([[900.0, 0, 330], [0, 900.0, 420], [0, 0, 1]])
    pelvis = np.array([0.31, 0.12, 3.0])
    rgba = np.zeros((900, 640, 4), np.float32)
    spots = [pelvis, pelvis + np.array([0.5, -1.0, 0.0])]
    y, x = np.mgrid[:900, :640] + 0.5
    for spot, colour in zip(spots, ((1, 0, 0, 1), (0, 0, 1, 1)), strict=True):
        place = (K @ spot / spot[2])[:2]
        rgba[(x - place[0]) ** 2 + (y - place[1]) ** 2 < 9**2] = colour
    picture = crop_photo(rgba, K, pelvis)
    assert picture.shape == (512, 512, 3) and picture.dtype == np.float32
    rows, columns = np.mgrid[:512, :512] + 0.5
    for channel, wanted in ((0, (256, 256)), (2, (256 + 0.5 * 204.5, 256 - 204.5))):
        other = 2 - channel
        weight = (np.minimum(picture[..., other], picture[..., 1]) < 0.5) & (picture[..., channel] > 0.9)
        centre = (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()
        assert np.allclose(centre, wanted, atol=0.3), (channel, centre)
    assert pixels_per_metre() == pytest.approx(204.5)
    assert picture[0, 0].tolist() == [1, 1, 1], "beyond the photo it is white"
    with pytest.raises(ValueError, match="in front of the camera"):
        crop_photo(rgba, K, np.array([0, 0, -1.0]))


def plain_crop(rgba: np.ndarray, K: np.ndarray, pelvis: np.ndarray, size: int) -> np.ndarray:
    """The crop with the whole square filled up with white first."""
    place = K @ pelvis / pelvis[2]
    half = size / 2 * (K[1, 1] / pelvis[2]) / pixels_per_metre(size)
    wide = int(2 * half) + max(rgba.shape)
    white = np.pad(rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:], ((wide, wide), (wide, wide), (0, 0)),
                   constant_values=1.0)  # fmt: skip
    box = (*(place[:2] - half + wide), *(place[:2] + half + wide))
    return np.stack([np.asarray(Image.fromarray(np.ascontiguousarray(white[..., c], np.float32)).resize(
        (size, size), Image.Resampling.BILINEAR, box)) for c in range(3)], -1)  # fmt: skip


@pytest.mark.parametrize(
    ("focal", "pelvis"),
    [
        (180.0, (0.0, 0.0, 2.5)),  # the whole person
        (700.0, (0.1, 0.9, 2.0)),  # a portrait whose pelvis lies below the photo
        (90.0, (1.2, -0.3, 3.0)),  # small, at the border
        (40.0, (-0.2, 0.1, 4.0)),  # smaller than the network's picture
    ],
)
def test_the_crop_is_that_of_a_photo_on_endless_white(focal: float, pelvis: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(0)
    rgba = rng.random((150, 120, 4)).astype(np.float32)
    K = np.array([[focal, 0, 60.0], [0, focal, 75.0], [0, 0, 1]])
    made = crop_photo(rgba, K, np.array(pelvis), 64)
    assert np.abs(made - plain_crop(rgba, K, np.array(pelvis), 64)).max() < 1e-5
    assert (made < 1).any(-1).mean() > 0.001 and made.dtype == np.float32


def test_a_face_alone_makes_no_picture_of_gigabytes() -> None:
    rgba = np.ones((600, 500, 4), np.float32)
    rgba[..., :3] = 0.5
    K = np.array([[9000.0, 0, 250], [0, 9000.0, 300], [0, 0, 1]])
    tracemalloc.start()
    made = crop_photo(rgba, K, np.array([0.0, 0.0, 2.0]), 512)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The whole square would have 11,000 pixels a side: 1.5 GB.
    assert peak < 60e6
    inside = (made < 0.75).all(-1)
    assert inside.sum() == pytest.approx(600 * 500 * (512 / (512 / pixels_per_metre() * 4500)) ** 2, rel=0.1)


def test_smplx_points_follow_the_fitted_body(tmp_path: Path) -> None:
    path = tmp_path / "SMPLX_NEUTRAL.npz"
    np.savez(path, **synthetic_arrays())
    body = a_body(0.0, 0.0, True)
    made = points_of(body, RELEASED, 0, Context(weights=lambda role: path))
    points = to_network(made.points, made.pelvis)
    assert points.shape == (10_475, 3) and made.source == "fitted"
    ours = to_network(posed(body).vertices, made.pelvis)
    assert np.abs(points.min(0) - ours.min(0)).max() < 0.02 and np.abs(points.max(0) - ours.max(0)).max() < 0.02
    assert points[:, 1].max() > 0.5 and points[:, 1].min() < -0.5, "head up, feet down, around the pelvis"
    # The raised hand is the left one, which is on the right in a picture of a person who faces us.
    assert points[points[:, 1].argmax(), 0] > 0.3


def test_other_bodies_and_files_are_refused_with_what_is_needed(tmp_path: Path) -> None:
    body = a_body(0.0, 0.0, False)
    with pytest.raises(MissingNeed, match="6890 tokens, which are not the 10475 vertices of SMPL-X"):
        check_tokens(6890)
    with pytest.raises(UserError, match="came as the SMPL-X body model"):
        points_of(body, RELEASED, 0, Context(weights=lambda role: tmp_path / "absent.npz"))
