"""Photos as people really bring them: each is read rightly, or refused with one sentence."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.photo import decode, read_upload
from pipelines.step import UserError


def pixels(width: int = 60, height: int = 80) -> np.ndarray:
    """A picture whose four corners differ: red, green, blue, white."""
    image = np.zeros((height, width, 3), np.uint8)
    h, w = height // 2, width // 2
    image[:h, :w], image[:h, w:], image[h:, :w], image[h:, w:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
    return image


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def animation(form: str) -> bytes:
    frames = [Image.fromarray(np.roll(pixels(), i, 0)) for i in range(3)]
    return encoded(frames[0], form, save_all=True, append_images=frames[1:])


whole = encoded(Image.fromarray(pixels()), "JPEG")
clear = Image.fromarray(np.dstack([pixels(), np.zeros((80, 60), np.uint8)]))

REFUSED = {
    "empty": (b"", "empty"),
    "text": (b"hello, I am no picture at all, I am only text", "not a picture"),
    "truncated": (whole[: len(whole) // 2], "damaged or incomplete"),
    "truncated header": (whole[:30], "damaged or incomplete"),
    "no pixels": (bomb(0, 0), "no pixels"),
    "bomb": (bomb(60_000, 60_000), "megapixels"),
    "65 megapixels": (bomb(6_500, 10_000), "65 megapixels"),
    "gif animation": (animation("GIF"), "animation of 3 frames"),
    "webp animation": (animation("WEBP"), "animation of 3 frames"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "HEIC"),
    "avif": (b"\0\0\0\x18ftypavif\0\0\0\0" + bytes(100), "HEIC or AVIF"),
    "transparent": (encoded(clear), "fully transparent"),
    "tiny": (encoded(Image.fromarray(pixels(20, 20))), "at least 32"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_one_sentence(name: str) -> None:
    data, words = REFUSED[name]
    with pytest.raises(UserError, match=words) as caught:
        decode(data, 1280)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


READ = {
    "png": encoded(Image.fromarray(pixels())),
    "jpeg": encoded(Image.fromarray(pixels()), "JPEG", quality=95),
    "webp": encoded(Image.fromarray(pixels()), "WEBP", quality=95),
    "bmp": encoded(Image.fromarray(pixels()), "BMP"),
    "tiff": encoded(Image.fromarray(pixels()), "TIFF"),
    "cmyk": encoded(Image.fromarray(pixels()).convert("CMYK"), "JPEG", quality=95),
    "palette": encoded(Image.fromarray(pixels()).convert("P", palette=Image.Palette.ADAPTIVE)),
    "still gif": encoded(Image.fromarray(pixels()), "GIF"),
    "opaque rgba": encoded(Image.fromarray(pixels()).convert("RGBA")),
}


@pytest.mark.parametrize("name", READ)
def test_every_kind_of_colour_comes_out_the_same(name: str) -> None:
    rgb, alpha, facts = decode(READ[name], 1280)
    assert alpha is None and rgb.shape == (80, 60, 3) and rgb.dtype == np.float32 and not facts["grey"]
    corners = rgb[[5, 5, -5, -5], [5, -5, 5, -5]]
    assert np.abs(corners - [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]).max() < 0.12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_rotation_a_phone_writes_is_honoured(orientation: int) -> None:
    upright = Image.fromarray(pixels())
    turns = {
        1: lambda i: i, 2: lambda i: i.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda i: i.transpose(Image.Transpose.ROTATE_180), 4: lambda i: i.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda i: i.transpose(Image.Transpose.TRANSPOSE), 6: lambda i: i.transpose(Image.Transpose.ROTATE_90),
        7: lambda i: i.transpose(Image.Transpose.TRANSVERSE), 8: lambda i: i.transpose(Image.Transpose.ROTATE_270),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x8825] = {1: "N", 2: (51.0, 0.0, 0.0)}
    rgb, _, facts = decode(encoded(turns[orientation](upright), "PNG", exif=exif), 1280)
    assert np.abs(rgb - pixels() / 255).max() < 1e-6
    assert facts["turned_upright"] == (orientation != 1)
    assert "gps" not in str(facts).lower()


def test_grey_and_16_bit_are_read_and_said() -> None:
    ramp = np.linspace(0, 1, 64)[None].repeat(40, 0)
    for data in (
        encoded(Image.fromarray((ramp * 255).astype(np.uint8))),
        encoded(Image.fromarray((ramp * 65535).astype(np.uint16))),
    ):
        rgb, alpha, facts = decode(data, 1280)
        assert facts["grey"] and alpha is None
        assert np.abs(rgb - ramp[..., None]).max() < 1 / 200


def test_a_cut_out_keeps_its_alpha_and_hidden_colours_do_not_bleed() -> None:
    image = np.zeros((400, 400, 4), np.uint8)
    image[..., :3] = (0, 255, 0)
    image[100:300, 100:300] = (200, 10, 10, 255)
    rgb, alpha, _ = decode(encoded(Image.fromarray(image)), 256)
    assert alpha is not None and alpha.shape == (256, 256) and rgb.shape == (256, 256, 3)
    solid = alpha > 0.3
    assert np.abs(rgb[solid] - np.array([200, 10, 10]) / 255).max() < 0.02
    assert abs(alpha.mean() - 0.25) < 0.01


def test_large_photos_are_reduced_and_keep_their_proportions() -> None:
    for form in ("JPEG", "PNG"):
        rgb, _, facts = decode(encoded(Image.fromarray(pixels(3000, 4000)), form), 1280)
        assert rgb.shape == (1280, 960, 3) and facts["original_size"] == [3000, 4000]
        assert np.abs(rgb[[50, -50], [50, -50]] - [[1, 0, 0], [1, 1, 1]]).max() < 0.05


def test_a_phones_wide_colours_are_brought_to_srgb() -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    rgb, _, _ = decode(encoded(Image.fromarray(pixels()), "PNG", icc_profile=profile), 1280)
    assert np.abs(rgb - pixels() / 255).max() < 1e-6, "a profile that does not fit is ignored"


def test_files_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        read_upload(tmp_path / "nothing.jpg")
    with pytest.raises(UserError, match="is a folder"):
        read_upload(tmp_path)
    big = tmp_path / "big.jpg"
    with open(big, "wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(UserError, match="up to 64 MB"):
        read_upload(big)


@pytest.mark.parametrize(("degrees", "said"), [(0, 0.0), (90, 90.0), (180, 180.0)])
def test_a_turned_person_is_measured(degrees: int, said: float) -> None:
    from pipelines.keypoints import turned_by

    body = np.zeros((33, 4), np.float32)
    body[:, 2] = 1.0
    body[[11, 12, 23, 24], :2] = [[60, 100], [40, 100], [58, 160], [42, 160]]
    angle = np.radians(degrees)
    body[:, :2] = body[:, :2] @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert turned_by(body) == pytest.approx(said, abs=0.1)
    body[11, 2] = 0.1
    assert turned_by(body) == 0.0, "nothing is said of what was not seen"
