"""Pictures and films of a result: single views, the preview sheet, MP4 and WebP."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipelines.export import mp4, picture, preview, webp
from pipelines.export.bundle import Bundle, pivot
from pipelines.records import ViewSet
from pipelines.step import UserError
from tests.asymmetric import PELVIS, SIDES, person_body, person_bundle, person_camera, rigged_body


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The test person with a turntable as the step makes it."""
    person = person_bundle(6)
    assert person.turntable is not None and person.splats is not None
    # Large enough that the halved colour resolution of films does not decide the comparison.
    cameras = tuple(camera.resized(256, 256) for camera in person.turntable.cameras)
    images = np.stack([picture.splat_picture(person.splats, camera) for camera in cameras])
    return dataclasses.replace(person, turntable=ViewSet(images, cameras, person.turntable.labels))


def looks_right(image: NDArray, side: str, colour_tolerance: float = 0.12) -> None:
    """AssertionError unless the picture (H, W, 4) shows side: its colour, its hand where it belongs."""
    mask = image[..., 3] > 0.5
    rows, columns = np.nonzero(mask)
    top, bottom = rows.min(), rows.max()
    upper = mask[top : top + max((bottom - top) // 10, 1)]
    hand = np.nonzero(upper)[1].mean()
    # The mean over all rows lies a little towards the raised hand; the feet tell where the middle is.
    middle = np.nonzero(mask[bottom - (bottom - top) // 4 : bottom])[1].mean()
    width = columns.max() - columns.min()
    if side == "front":
        assert hand - middle > 0.2 * width, "seen from the front, the left hand is on the right of the picture"
    if side == "back":
        assert middle - hand > 0.2 * width, "seen from the back, the left hand is on the left of the picture"
    torso = mask & (np.arange(mask.shape[0])[:, None] > top + 0.35 * (bottom - top))
    colour = np.median(image[torso][:, :3], axis=0)
    assert np.abs(colour - SIDES[side][1]).max() < colour_tolerance, f"the {side} shows {colour.round(2)}"


@pytest.mark.parametrize("what", ["splats", "mesh"])
@pytest.mark.parametrize("side, azimuth", [("front", 0), ("left", 90), ("back", 180), ("right", 270)])
def test_every_side(what: picture.What, side: str, azimuth: float, bundle: Bundle) -> None:
    assert bundle.body is not None
    camera = picture.side_camera(bundle.body, azimuth, 0.0, 128)
    image = picture.render_view(bundle, what, camera, 128)
    assert image.shape == (128, 128, 4) and image.dtype == np.float32
    assert image.min() >= 0 and image.max() <= 1
    looks_right(image, side)
    assert (image[0, 0, 3], image[-1, -1, 3]) == (0, 0), "the ground is transparent"


def test_the_photos_own_view(bundle: Bundle) -> None:
    """Splats and mesh through the photo's camera lie on the person in the photo."""
    assert bundle.body is not None and bundle.cutout is not None
    photo = bundle.cutout.alpha > 0.5
    for what in ("splats", "mesh"):
        image = picture.render_view(bundle, what, bundle.body.camera, 120)
        assert image.shape == (120, 90, 4)
        mine = image[..., 3] > 0.5
        assert (mine & photo).sum() / (mine | photo).sum() > 0.75
    double = picture.render_view(bundle, "splats", bundle.body.camera, 240)
    assert double.shape == (240, 180, 4)


def test_straight_alpha(bundle: Bundle) -> None:
    """At the soft rim the colour stays the person's own, not one darkened by the alpha."""
    assert bundle.body is not None
    image = picture.render_view(bundle, "splats", picture.side_camera(bundle.body, 0, 0.0, 128), 128)
    rim = (image[..., 3] > 0.1) & (image[..., 3] < 0.4)
    # Premultiplied by these alphas the brightest channel would stay below 0.4. The black undersides are a few pixels.
    assert rim.sum() > 50 and np.percentile(image[rim][:, :3].max(1), 10) > 0.5


def test_the_body(bundle: Bundle) -> None:
    body = rigged_body()
    image = picture.render_view(dataclasses.replace(bundle, body=body), "body", body.camera, 120)
    mask = image[..., 3] > 0.5
    assert 0.05 < mask.mean() < 0.5
    top = np.nonzero(mask.any(1))[0].min()
    hand = np.nonzero(mask[top : top + 4])[1].mean()
    feet = np.nonzero(mask[np.nonzero(mask.any(1))[0].max() - 6])[0].mean()
    assert hand - feet > 8, "the raised left hand is on the right of the picture"
    assert np.allclose(pivot(body), body.camera.to_world(np.array([[0, 0, 3.2]]))[0], atol=1e-5)


def test_bad_requests(bundle: Bundle) -> None:
    camera = person_camera()
    with pytest.raises(UserError, match="no mesh yet"):
        picture.render_view(dataclasses.replace(bundle, mesh=None), "mesh", camera, 64)
    with pytest.raises(UserError, match="1 to 8192"):
        picture.render_view(bundle, "splats", camera, 0)
    with pytest.raises(UserError, match="cannot be drawn"):
        picture.render_view(bundle, "ghost", camera, 64)  # type: ignore[arg-type]


def test_pivot_is_the_pelvis() -> None:
    assert np.allclose(pivot(person_body()), PELVIS, atol=1e-9)


def test_preview_shows_four_sides_of_both(bundle: Bundle, tmp_path: Path) -> None:
    sentence = preview.write(bundle, tmp_path / "preview.png")
    assert "splats and of the mesh" in sentence
    sheet = np.asarray(Image.open(tmp_path / "preview.png"), np.float32) / 255
    assert sheet.shape[0] == 2 * preview.HEIGHT and sheet.shape[1] % 4 == 0 and sheet.shape[2] == 3
    width = sheet.shape[1] // 4
    ground = preview.soft_ground(width, preview.HEIGHT)
    for row in range(2):
        for column, side in enumerate(("front", "left", "back", "right")):
            cell = sheet[row * preview.HEIGHT : (row + 1) * preview.HEIGHT, column * width : (column + 1) * width]
            person = np.abs(cell - ground).max(-1) > 0.1
            looks_right(np.dstack([cell, person]), side)
            rows, columns = np.nonzero(person)
            assert np.ptp(rows) > 0.75 * preview.HEIGHT, "the person fills the height"
            assert min(rows.min(), columns.min(), preview.HEIGHT - rows.max(), width - columns.max()) > 2


def test_preview_of_splats_alone_and_of_nothing(bundle: Bundle, tmp_path: Path) -> None:
    alone = preview.sheet(dataclasses.replace(bundle, mesh=None), 60)
    assert alone.shape[0] == 60
    with pytest.raises(UserError, match="neither splats nor a mesh"):
        preview.write(dataclasses.replace(bundle, mesh=None, splats=None), tmp_path / "a.png")
    with pytest.raises(UserError, match="no body yet"):
        preview.write(dataclasses.replace(bundle, body=None), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_stray_splats_do_not_shrink_the_person(bundle: Bundle) -> None:
    assert bundle.splats is not None and bundle.body is not None
    means = bundle.splats.means.copy()
    usual = preview.views(bundle.body, means, 100)
    means[5] = (0, 40, 0)
    assert preview.views(bundle.body, means, 100)[0].K[0, 0] == pytest.approx(usual[0].K[0, 0], rel=0.05)


def frames_of(path: Path) -> NDArray[np.uint8]:
    """Every frame of a film (M, H, W, 3), decoded by opencv."""
    film, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = film.read()
        if not there:
            return np.array(frames)
        frames.append(frame[..., ::-1])


PROGRAM = shutil.which("ffmpeg")


@pytest.mark.parametrize("ffmpeg", ["ffmpeg", None])
def test_film_decodes_to_the_turntable(ffmpeg: str | None, bundle: Bundle, tmp_path: Path) -> None:
    if ffmpeg and not (PROGRAM and mp4.h264_encoder(PROGRAM)):
        pytest.skip("needs ffmpeg with an H.264 encoder")
    assert bundle.turntable is not None
    sentence = mp4.write(bundle, tmp_path / "a.mp4", ffmpeg=ffmpeg)
    assert ("H.264)" if ffmpeg else "VP9") in sentence
    data = (tmp_path / "a.mp4").read_bytes()
    assert data[4:8] == b"ftyp" and (b"avc1" if ffmpeg else b"vp09") in data
    frames, wanted = frames_of(tmp_path / "a.mp4"), mp4.on_ground(bundle.turntable)
    assert frames.shape == (len(wanted) * mp4.TURNS, *wanted.shape[1:])
    for i, frame in enumerate(frames):
        off = np.abs(frame.astype(float) - wanted[i % len(wanted)]).mean()
        turned = np.abs(frame.astype(float) - wanted[(i + len(wanted) // 2) % len(wanted)]).mean()
        assert off < 6 and off < 0.3 * turned, f"frame {i} is {off:.1f} off"
    mp4.write(bundle, tmp_path / "b.mp4", ffmpeg=ffmpeg)
    assert (tmp_path / "b.mp4").read_bytes() == data


def test_film_of_odd_size_and_without_views(bundle: Bundle, tmp_path: Path) -> None:
    views = bundle.turntable
    assert views is not None
    odd = ViewSet(views.images[:, :63, :41], views.cameras, views.labels)
    assert mp4.on_ground(odd).shape == (6, 64, 42, 3)
    for writer in (mp4, webp):
        with pytest.raises(UserError, match="no turntable yet"):
            writer.write(Bundle(), tmp_path / "a")


def test_an_ffmpeg_that_fails_is_reported(bundle: Bundle, tmp_path: Path) -> None:
    """A program that lists an encoder and then breaks: a sentence with its last words, and no file."""
    broken = tmp_path / "ffmpeg"
    broken.write_text(
        '#!/bin/sh\ncase "$*" in *-encoders*) echo " V libx264 x";; *) echo "no luck" >&2; exit 3;; esac\n'
    )
    broken.chmod(0o755)
    with pytest.raises(UserError, match="no luck"):
        mp4.write(bundle, tmp_path / "a.mp4", ffmpeg=str(broken))
    assert not (tmp_path / "a.mp4").exists()
    broken.write_text("#!/bin/sh\nexit 1\n")
    assert "VP9" in mp4.write(bundle, tmp_path / "a.mp4", ffmpeg=str(broken))


def test_webp_turns_with_transparency(bundle: Bundle, tmp_path: Path) -> None:
    assert bundle.turntable is not None
    sentence = webp.write(bundle, tmp_path / "a.webp")
    assert "6 frames" in sentence
    with Image.open(tmp_path / "a.webp") as film:
        assert film.n_frames == 6 and film.info["loop"] == 0
        for i, wanted in enumerate(bundle.turntable.images):
            film.seek(i)
            film.load()
            assert film.info["duration"] == 500
            shown = np.asarray(film.convert("RGBA"), np.float32) / 255
            assert np.abs(shown[..., 3] - wanted[..., 3]).max() < 0.02
            assert np.abs(shown - wanted)[wanted[..., 3] > 0.5].mean() < 0.03
