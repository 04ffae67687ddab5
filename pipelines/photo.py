"""The photo: checked before decoding, decoded small, turned upright, in sRGB; the place it was taken is dropped."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from pipelines.records import Photo, Upload
from pipelines.step import Context, UserError, knob, step

MEGAPIXELS = 64
MEGABYTES = 64
SMALLEST_SIDE = 32
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SAVE_AS = "save it as JPEG or PNG and try again"


@dataclass(frozen=True)
class PhotoParams:
    longest_side: int = knob(
        1280, "Larger photos are reduced to this many pixels on their longer side.", low=256, high=4096, unit="px"
    )


@step("photo", version=1, title="Photo")
def photo(upload: Upload, params: PhotoParams, ctx: Context) -> Photo:
    """The photo, upright and in sRGB, at working size; metadata such as the place (GPS) is dropped."""
    rgb, alpha, facts = decode(upload.data, params.longest_side)
    if facts["grey"]:
        ctx.warn("The photo is grey; splats and mesh will be grey too.")
    return Photo(rgb, alpha, facts)


def read_upload(path: Path) -> Upload:
    """A file from disk as an upload; UserError when it cannot be one."""
    if not path.exists():
        raise UserError(f"There is no file '{path}'; check the path.")
    if path.is_dir():
        raise UserError(f"'{path}' is a folder; give one photo.")
    if path.stat().st_size > MEGABYTES * 2**20:
        raise UserError(
            f"'{path.name}' has {path.stat().st_size / 2**20:.0f} MB; photos up to {MEGABYTES} MB are read."
        )
    try:
        return Upload(path.read_bytes(), path.name)
    except PermissionError:
        raise UserError(f"'{path}' may not be read by this user; change its permissions or copy it.") from None


def decode(data: bytes, longest_side: int) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, dict[str, Any]]:
    """Bytes of an image file -> rgb (H, W, 3) and alpha (H, W) or None, floats 0..1 sRGB, and what was done.

    Raises UserError: empty file, no image, HEIC, animation, truncated, no pixels, above 64 megapixels, fully transparent.
    """
    image = _open(data)
    original = image.size
    source_format, mode = image.format, image.mode
    if image.format == "JPEG":
        # The decoder itself can halve a JPEG one to three times: less memory, and quicker.
        image.draft(None, (longest_side, longest_side))
    try:
        image.load()
        rotated = ImageOps.exif_transpose(image)
    except (OSError, ValueError, SyntaxError, EOFError, MemoryError) as error:
        raise UserError(f"The picture is damaged or incomplete ({error}); get a complete copy of it.") from error
    turned = rotated.size != image.size or rotated is not image
    pixels, alpha = _to_srgb(rotated)
    if alpha is not None and not (alpha > 0.02).any():
        raise UserError(
            "The picture is fully transparent, so nobody is in it; give a photo or a cut-out with a person."
        )
    pixels, alpha = _reduce(pixels, alpha, longest_side)
    if alpha is not None and (alpha > 0.98).all():
        alpha = None
    facts = {
        "original_size": list(original), "format": source_format, "mode": mode, "has_alpha": alpha is not None,
        "turned_upright": bool(turned and image.getexif().get(0x0112, 1) != 1),
        "grey": bool(np.abs(pixels - pixels.mean(-1, keepdims=True)).max() < 4 / 255),
    }  # fmt: skip
    return pixels, alpha, facts


def _open(data: bytes) -> Image.Image:
    if not data:
        raise UserError("The file is empty; get a complete copy of the photo.")
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"heim", b"heis"):
        raise UserError(f"The photo came as HEIC or AVIF, which cannot be read here; {SAVE_AS}.")
    Image.init()
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise UserError(f"The picture has far more than {MEGAPIXELS} megapixels; reduce it and try again.") from None
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, IndexError):
        if b"IHDR\0\0\0\0" in data[:40] or (b"\0\0\0\0" in data[20:24] and data[:4] == b"\x89PNG"):
            raise UserError(f"The picture has no pixels (0 wide or 0 high); {SAVE_AS}.") from None
        known = data[:2] in (b"\xff\xd8", b"BM") or data[:4] in (b"\x89PNG", b"RIFF", b"GIF8")
        if known:
            raise UserError("The picture is damaged or incomplete; get a complete copy of it.") from None
        raise UserError(
            f"The file is not a picture that can be read (JPEG, PNG, WebP, BMP, TIFF); {SAVE_AS}."
        ) from None
    width, height = image.size
    if width == 0 or height == 0:
        raise UserError(f"The picture has no pixels (0 wide or 0 high); {SAVE_AS}.")
    if width * height > MEGAPIXELS * 10**6:
        raise UserError(
            f"The picture has {width * height / 1e6:.0f} megapixels; up to {MEGAPIXELS} are read. Reduce it and try again."
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format in ("GIF", "WEBP", "PNG"):
        raise UserError(f"The picture is an animation of {frames} frames; save one frame as JPEG or PNG.")
    if min(width, height) < SMALLEST_SIDE:
        raise UserError(f"The picture has {width} x {height} pixels; at least {SMALLEST_SIDE} each way are needed.")
    return image


def _to_srgb(image: Image.Image) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Any mode PIL decodes -> floats 0..1 RGB and straight alpha."""
    alpha: NDArray[np.float32] | None = None
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        full = image.convert("RGBA")
        alpha = np.asarray(full, np.float32)[..., 3] / 255.0
        image_rgb: Image.Image = full.convert("RGB")
    elif image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        values = np.asarray(image).astype(np.float32)
        top = 255.0 if values.max() <= 255.0 else 65535.0
        grey = np.clip(values / (1.0 if image.mode == "F" and values.max() <= 1.0 else top), 0, 1)
        return np.repeat(grey[..., None], 3, -1), None
    else:
        image_rgb = _apply_profile(image)
        if image_rgb.mode != "RGB":
            image_rgb = image_rgb.convert("RGB")
        return np.asarray(image_rgb, np.float32) / 255.0, None
    image_rgb.info["icc_profile"] = image.info.get("icc_profile")
    return np.asarray(_apply_profile(image_rgb), np.float32) / 255.0, alpha


def _apply_profile(image: Image.Image) -> Image.Image:
    """Phones write Display P3: colours go through the embedded profile to sRGB; a broken profile is ignored."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "CMYK", "L"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        result = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return result if result is not None else image


def _reduce(
    rgb: NDArray[np.float32], alpha: NDArray[np.float32] | None, longest_side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Area-filtered reduction; colours are weighted by alpha, so that hidden colours do not bleed in."""
    height, width = rgb.shape[:2]
    scale = longest_side / max(width, height)
    if scale >= 1.0:
        return np.ascontiguousarray(rgb), alpha
    size = (max(1, round(width * scale)), max(1, round(height * scale)))

    def shrink(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        picture = Image.fromarray(np.ascontiguousarray(plane, np.float32), mode="F")
        return np.asarray(picture.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BICUBIC))

    if alpha is None:
        return np.clip(np.dstack([shrink(rgb[..., c]) for c in range(3)]), 0, 1), None
    small_alpha = np.clip(shrink(alpha), 0, 1)
    plain = np.dstack([shrink(rgb[..., c]) for c in range(3)])
    weighted = np.dstack([shrink(rgb[..., c] * alpha) for c in range(3)])
    solid = small_alpha[..., None] > 1 / 255
    colours = np.where(solid, weighted / np.maximum(small_alpha[..., None], 1 / 255), plain)
    return np.clip(colours, 0, 1).astype(np.float32), small_alpha.astype(np.float32)
