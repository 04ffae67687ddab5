"""The picture on a part: a photograph of the pack with its tone shifted, or cloth drawn from a recipe.

Every texture is (H, W, 4) uint8, sRGB and straight alpha, row 0 is v = 1. Tone shifts keep shading: they multiply in
linear light, so that folds, pores and strands stay. Skin: per channel, `out = in * target / median`; cloth and hair:
by luminance, `out = target * (lum / median)^g`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image

from training.people.fabric import drawn, encoded, linear
from training.people.figure import Material, Part

Pixels = NDArray[np.uint8]
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
DRAWN_SIZE = 768  # texels of drawn cloth at full detail
TO_LINEAR = linear(np.arange(256) / 255.0)
# Suits and shoes are dark with light trimmings: only what is darker than this takes the colour.
DARK = 0.09
LEVELS = 5
# Makers' marks on photographed clothes are covered with cloth from beside them: left, top, right, bottom, shift.
MARKS = {
    "female_casualsuit01_diffuse": ((0.705, 0.145, 0.875, 0.315, -0.165, 0.0),),
    "male_casualsuit04_diffuse": ((0.485, 0.095, 0.632, 0.232, 0.0, 0.131),),
    "male_casualsuit06_diffuse": (
        (0.19, 0.105, 0.31, 0.175, 0.0, 0.09),
        (0.43, 0.11, 0.635, 0.216, 0.0, 0.12),
        (0.715, 0.14, 0.77, 0.185, 0.0, 0.06),
    ),
}


@lru_cache(maxsize=96)
def photograph(pack: Path, name: str, halved: bool = False) -> Pixels:
    """A texture of the pack, (H, W, 4); FileNotFoundError with a sentence when there is none of that name."""
    if halved:
        image = photograph.__wrapped__(pack, name)
        return cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    path = pack / "textures" / f"{name.removeprefix('textures/').removesuffix('.webp')}.webp"
    if not path.exists():
        raise FileNotFoundError(f"The pack has no texture '{name}'; look into its folder 'textures'.")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGBA"))
    for mark in MARKS.get(path.stem, ()):
        pixels = _covered(pixels, *mark)
    return pixels


def _covered(pixels: Pixels, left: float, top: float, right: float, bottom: float, dx: float, dy: float) -> Pixels:
    """A box, as shares of the picture, under a patch of the cloth (dx, dy) beside it, with soft borders."""
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = round(left * width), round(top * height), round(right * width), round(bottom * height)
    sx, sy = round(dx * width), round(dy * height)
    soft = cv2.GaussianBlur(np.pad(np.ones((y1 - y0 - 12, x1 - x0 - 12), np.float32), 6), (0, 0), 2.5)[..., None]
    patch = pixels[y0 + sy : y1 + sy, x0 + sx : x1 + sx].astype(np.float32)
    out = pixels.copy()
    out[y0:y1, x0:x1] = (patch * soft + out[y0:y1, x0:x1] * (1 - soft) + 0.5).astype(np.uint8)
    return out


def texture_of(part: Part, pack: Path | None, halved: bool = False) -> Pixels:
    """The texture of a part, smaller if `halved`; without a pack a photograph is replaced by what its kind
    looks like when drawn."""
    material = part.material
    if material.texture is None or pack is None:
        return _drawn(material, DRAWN_SIZE // 3 if halved else DRAWN_SIZE)
    image = photograph(pack, material.texture, halved)
    if material.texture.removeprefix("textures/").startswith(("eyebrows/", "eyelashes/")):
        flat = np.empty_like(image)
        flat[..., :3] = _bytes(np.array(material.tint or (0.10, 0.08, 0.07)))
        flat[..., 3] = image[..., 3]
        return flat
    if material.tint is None:
        return image
    target = linear(np.array(material.tint, np.float32))
    if material.kind == "skin":
        # Tones are named as photos show them, in good light; the skin itself is a little darker.
        return _skin(image, 0.84 * target)
    target = muted(target)
    if material.kind == "eye":
        return image
    if material.kind == "hair":
        # Light passes between strands and is lost there: hair is darker than a surface of its strands' colour.
        target, contrast = 0.8 * target, 0.45 if "braid01" in material.texture else 0.8
        return _by_luminance(image, target, _median(image, part), contrast, 1.0)
    dark = "/male_elegantsuit01" in material.texture or "shoes" in material.texture
    return _by_luminance(image, target, _median(image, part, DARK if dark else 1.0), 0.9, DARK if dark else 2.0)


def muted(colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear colours (..., 3) within what dyed cloth and skin reach: never fully pure, never white as snow."""
    grey = (colour @ LUMINANCE)[..., None]
    return np.minimum(0.86 * colour + 0.14 * grey + 0.006, 0.82).astype(np.float32)


def _drawn(material: Material, size: int) -> Pixels:
    pattern = dict(material.pattern)
    if material.kind in ("skin", "eye", "hair", "metal"):
        size = size * 2 // 3 if material.kind == "hair" else 256
        pattern["weave"] = {"hair": "strands", "skin": "jersey"}.get(material.kind, "smooth")
        if material.tint is None and not pattern.get("colours"):
            pattern["colours"] = [{"skin": (0.78, 0.6, 0.5), "hair": (0.2, 0.13, 0.09)}.get(material.kind, (0.9,) * 3)]
    elif material.kind == "leather":
        pattern.setdefault("weave", "leather")
    image = np.full((size, size, 4), 255, np.uint8)
    image[..., :3] = _bytes(encoded(muted(drawn(pattern, material.tint, material.metres_per_uv, size))))
    return image


def _bytes(srgb: NDArray[np.floating]) -> Pixels:
    return np.clip(srgb * 255.0 + 0.5, 0, 255).astype(np.uint8)


def _used(image: Pixels, part: Part) -> Pixels:
    """(N, 4) texels under the part's UV corners: what of a shared texture belongs to it."""
    uv = part.uv[np.unique(part.uv_faces)]
    height, width = image.shape[:2]
    found = image[((1 - uv[:, 1]) * height).astype(int) % height, (uv[:, 0] * width).astype(int) % width]
    opaque = found[found[:, 3] > 127]
    return opaque if len(opaque) else image.reshape(-1, 4)


def _median(image: Pixels, part: Part, below: float = 1.0) -> float:
    luminance = TO_LINEAR[_used(image, part)[:, :3]] @ LUMINANCE
    chosen = luminance[luminance < below]
    return float(max(np.median(chosen if len(chosen) else luminance), 0.004))


@lru_cache(maxsize=32)
def _skin_median(key: bytes) -> NDArray[np.float32]:
    small = np.frombuffer(key, np.uint8).reshape(-1, 3)
    return np.median(TO_LINEAR[small], 0)


def _skin(image: Pixels, target: NDArray[np.float32]) -> Pixels:
    # Every 8th texel: mouth, nails and eyes hardly count in a median.
    median = _skin_median(np.ascontiguousarray(image[::8, ::8, :3]).tobytes())
    out = image.copy()
    for c in range(3):
        out[..., c] = cv2.LUT(image[..., c], _bytes(encoded(TO_LINEAR * (target[c] / max(median[c], 1e-3)))))
    return out


def _by_luminance(image: Pixels, target: NDArray[np.float32], median: float, contrast: float, below: float) -> Pixels:
    # Linear light to bytes by a table of 4096 steps of the square root: fine in the darks, no power per texel.
    table = _bytes(encoded((np.arange(4097) / 4096.0) ** 2))
    return _shifted(np.ascontiguousarray(image), target, TO_LINEAR, table, median, contrast, below)


@njit(cache=True, error_model="numpy")
def _shifted(image, target, to_linear, to_bytes, median, contrast, below):  # type: ignore[no-untyped-def]
    out = image.copy()
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            r, g, b = to_linear[image[y, x, 0]], to_linear[image[y, x, 1]], to_linear[image[y, x, 2]]
            luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b
            share = min(max((1.4 * below - luminance) / (0.4 * below), 0.0), 1.0)
            if share <= 0.0:
                continue
            factor = (max(luminance, 1e-4) / median) ** contrast
            for c in range(3):
                old = to_linear[image[y, x, c]]
                value = old + (target[c] * factor - old) * share
                out[y, x, c] = to_bytes[int(np.sqrt(min(max(value, 0.0), 1.0)) * 4096.0 + 0.5)]
    return out


def pyramid(images: list[Pixels]) -> tuple[Pixels, NDArray[np.int32]]:
    """All levels of all textures in one run: texels (N, 4) and (P, LEVELS, 3) start, width, height."""
    pieces, table, start = [], np.zeros((len(images), LEVELS, 3), np.int32), 0
    for p, image in enumerate(images):
        for level in range(LEVELS):
            height, width = image.shape[:2]
            table[p, level] = (start, width, height)
            pieces.append(image.reshape(-1, 4))
            start += width * height
            if min(width, height) >= 2:
                image = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return np.concatenate(pieces), table
