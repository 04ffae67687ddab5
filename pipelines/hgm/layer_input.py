"""What the compact network looks at, and what it changes: two layers over the person, in a crop of fixed shape.

The released network frames the whole person in a square of which a tenth is person. The compact one looks at a crop
around the cut-out, in units that do not depend on the lens or the person's size: depth is measured from the pelvis in
heights of the crop (the length that the crop's height has at the pelvis' depth), so that a child and an adult who fill
the same pixels look the same. It answers with corrections; an answer of zero leaves the layers as they came.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.body.read_body import check_body
from pipelines.body.rig import default_rig
from pipelines.geometry.cameras import Camera
from pipelines.hgm.configuration import COMPACT
from pipelines.hgm.featureless import featureless, made_behind
from pipelines.projection.body_surfaces import NOTHING
from pipelines.records import Body, BodyMaps, Layers

Floats = NDArray[np.float32]

ASPECT = 0.75  # width over height of the crop: people are mostly upright
MARGIN = 1.08  # crop over the cut-out's box
REACH = 0.25  # crop heights that a depth may move at most
BACK_LIMIT = 1.5  # crop heights from the pelvis; what lies beyond is an outlier of the body
KEEP = 0.6  # share of the given thickness that no correction takes away
THIN = 0.03  # crop heights, about 5 cm; what is thicker may become as thin as this: a wrong limb may lie far in front

CHANNELS = (
    ("rgb", 3), ("ray", 6), ("alpha", 1), ("covered", 1), ("front", 1), ("back", 1), ("body_front", 1),
    ("body_back", 1), ("front_normal", 3), ("back_normal", 3), ("front_place", 3), ("back_place", 3), ("back_rgb", 3),
    ("arm", 1), ("two", 1),
)  # fmt: skip
"""Order of the input's channels; the first nine are HGM's own."""


@dataclass(frozen=True)
class Crop:
    """window: left, top, width, height on the layers' grid, may reach outside. camera: of the crop's pixels.
    depth: of the pelvis, m. unit: metres of one crop height at that depth."""

    window: tuple[int, int, int, int]
    camera: Camera
    depth: float
    unit: float


@dataclass(frozen=True)
class LayerInput:
    """channels (32, H, W) as CHANNELS; colours -1..1, depths in crop heights from the pelvis, 0 outside `mask` (H, W)."""

    channels: Floats
    mask: NDArray[np.bool_]
    crop: Crop

    def channel(self, name: str) -> Floats:
        """(C, H, W) of a name of CHANNELS."""
        return self.channels[place_of(name)]


def place_of(name: str) -> slice:
    """Where a name of CHANNELS lies; ValueError for another."""
    start = 0
    for known, count in CHANNELS:
        if known == name:
            return slice(start, start + count)
        start += count
    raise ValueError(f"There is no channel {name!r}; there is {', '.join(n for n, _ in CHANNELS)}.")


def find_crop(mask: NDArray[np.bool_], camera: Camera, pelvis_depth: float, height: int) -> Crop:
    """The crop around a mask (h, w) that is not empty; height: pixels of the crop. ValueError for a pelvis behind."""
    if pelvis_depth <= 0:
        raise ValueError(f"The pelvis came with depth {pelvis_depth:.3g} m; it needs to be in front of the camera.")
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    tall = max(rows[-1] + 1 - rows[0], (columns[-1] + 1 - columns[0]) / ASPECT) * MARGIN
    # A whole number of quarters, so that width and height keep their ratio exactly.
    quarter = max(int(np.ceil(tall / 4)), 2)
    window_height, window_width = 4 * quarter, 3 * quarter
    left = round((columns[0] + columns[-1] + 1 - window_width) / 2)
    top = round((rows[0] + rows[-1] + 1 - window_height) / 2)
    camera_there = camera.cropped(left, top, window_width, window_height)
    return Crop(
        (left, top, window_width, window_height), camera_there.resized(round(height * ASPECT), height),
        float(pelvis_depth), float(window_height * pelvis_depth / camera.K[1, 1]),
    )  # fmt: skip


def layer_input(layers: Layers, body: Body, maps: BodyMaps, height: int = COMPACT.input_size) -> LayerInput:
    """The network's view of a person. height: of the crop in pixels, a multiple of 32.

    ValueError for an empty mask, or maps on another grid than the layers.
    """
    a, m = layers.arrays, maps.arrays
    if a["mask"].shape != m["full_front"].shape:
        raise ValueError(f"Layers of {a['mask'].shape} and body maps of {m['full_front'].shape} need one grid.")
    crop = find_crop(a["mask"], layers.camera, float(body["root_translation"][2]), height)
    mask = resized(a["mask"], crop, nearest=True)
    alpha = resized(a["alpha"], crop)
    covered = resized(m["full_front"] > 0, crop, nearest=True)
    turn = crop.camera.world_to_camera[:3, :3].astype(np.float32)
    check_body(body)
    places = part_places()
    parts: dict[str, Floats] = {
        "alpha": alpha[None], "covered": covered[None].astype(np.float32), "ray": rays(crop),
        "rgb": _colours(a["front_rgb"], a["alpha"], crop), "back_rgb": _colours(a["back_rgb"], a["alpha"], crop),
        "arm": (resized(a["arm"], crop, nearest=True) > 0)[None].astype(np.float32),
        "two": resized(a["two"], crop, nearest=True)[None].astype(np.float32),
    }  # fmt: skip
    for side in ("front", "back"):
        parts[side] = in_units(resized(a[side], crop, nearest=True), mask, crop)[None]
        parts[f"body_{side}"] = in_units(resized(m[f"full_{side}"], crop, nearest=True), covered, crop)[None]
        normal = resized(m[f"full_{side}_normal"], crop, nearest=True) @ turn.T
        parts[f"{side}_normal"] = (normal * covered[..., None]).transpose(2, 0, 1)
        label = resized(a[f"{side}_part"], crop, nearest=True, outside=NOTHING)
        parts[f"{side}_place"] = places[label].transpose(2, 0, 1)
    channels = np.concatenate([parts[name] for name, _ in CHANNELS]).astype(np.float32)
    return LayerInput(np.ascontiguousarray(channels), mask, crop)


def improved(layers: Layers, crop: Crop, moves: Floats, photo: Floats, tint: Floats) -> Layers:
    """The layers with the network's answer on them, on their own grid.

    moves (2, h, w): of front and back depth, crop heights; photo (h, w): how far the back's colours go to the photo's
    own, or to its tone (`featureless`); tint (3, h, w): what is added to them; all on any grid over the crop, so that
    the layers keep their own detail.
    The two surfaces never pass through one another and keep `least_thickness` between them, so that a hand stays a
    hand; inner surfaces move with their limb and end where they would cross.
    """
    a = dict(layers.arrays)
    mask = a["mask"]
    shift = [spread(moves[k], crop, mask.shape) * np.float32(crop.unit) for k in (0, 1)]
    front, back = a["front"] + shift[0] * mask, a["back"] + shift[1] * mask
    least = least_thickness(np.maximum(a["back"] - a["front"], 0), crop.unit)
    lack = np.maximum(least - (back - front), 0) / 2
    a["front"], a["back"] = (front - lack).astype(np.float32), (back + lack).astype(np.float32)
    leave, enter = a["leave"] + shift[0], a["enter"] + shift[1]
    two = a["two"] & (a["front"] < leave) & (leave < enter) & (enter < a["back"])
    a["two"] = two
    a["leave"] = np.where(two, leave, a["back"]).astype(np.float32)
    a["enter"] = np.where(two, enter, a["front"]).astype(np.float32)
    added = np.stack([spread(c, crop, mask.shape) for c in tint], -1)
    shown = featureless(layers, made_behind(layers))
    added += spread(photo, crop, mask.shape)[..., None] * (shown - a["back_rgb"])
    a["back_rgb"] = np.clip(a["back_rgb"] + added * mask[..., None], 0, 1).astype(np.float32)
    return Layers(a, layers.camera)


def least_thickness(given: Floats, unit: float = 1.0) -> Floats:
    """What a correction leaves between front and back, of the thickness it was given (any shape, not negative).

    Limbs that stick out are uncertain in depth, and the mean of what is uncertain has no thickness.
    unit: of the lengths, for one crop height.
    """
    return np.minimum(KEEP * given, np.float32(THIN * unit))


def resized(values: NDArray, crop: Crop, nearest: bool = False, outside: int = 0) -> NDArray:
    """A picture (h, w[, C]) of the layers' grid on the crop's pixels: means of areas, or the value at the centre."""
    _, _, width, height = crop.window
    window = cut(values, crop.window, outside)
    size = crop.camera.width, crop.camera.height
    if nearest:
        at = [
            np.minimum((np.arange(n) + 0.5) * full / n, full - 1).astype(int)
            for n, full in zip(size, (width, height), strict=True)
        ]
        return window[at[1][:, None], at[0][None]]
    how = cv2.INTER_AREA if height > crop.camera.height else cv2.INTER_LINEAR
    return cv2.resize(window.astype(np.float32), size, interpolation=how)


def spread(values: Floats, crop: Crop, shape: tuple[int, ...]) -> Floats:
    """(h, w) on any grid over the crop -> the layers' grid `shape`, 0 outside the crop; linear between centres."""
    _, _, width, height = crop.window
    fine = cv2.resize(np.ascontiguousarray(values, np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return pasted(fine, crop.window, shape)


def cut(values: NDArray, window: tuple[int, int, int, int], outside: float = 0) -> NDArray:
    """A window (left, top, width, height) of a picture (h, w[, C]); it may reach outside, where `outside` stands."""
    left, top, width, height = window
    rows, columns = values.shape[:2]
    made = np.full((height, width, *values.shape[2:]), outside, values.dtype)
    y0, y1, x0, x1 = max(top, 0), min(top + height, rows), max(left, 0), min(left + width, columns)
    made[y0 - top : y1 - top, x0 - left : x1 - left] = values[y0:y1, x0:x1]
    return made


def pasted(values: NDArray, window: tuple[int, int, int, int], shape: tuple[int, ...]) -> NDArray:
    """Inverse of `cut`: a window's picture (height, width[, C]) on a grid of `shape` (h, w), 0 outside the window."""
    left, top, width, height = window
    full = np.zeros((*shape[:2], *values.shape[2:]), values.dtype)
    y0, y1, x0, x1 = max(top, 0), min(top + height, shape[0]), max(left, 0), min(left + width, shape[1])
    full[y0:y1, x0:x1] = values[y0 - top : y1 - top, x0 - left : x1 - left]
    return full


def in_units(depth: Floats, mask: NDArray[np.bool_], crop: Crop) -> Floats:
    """Metres from the camera -> crop heights behind the pelvis; 0 outside the mask."""
    return np.where(mask, np.clip((depth - crop.depth) / crop.unit, -BACK_LIMIT, BACK_LIMIT), 0).astype(np.float32)


def rays(crop: Crop) -> Floats:
    """(6, H, W) moment and direction of the pixels' rays about the pelvis' depth, lengths in crop heights."""
    direction = crop.camera.rays()
    direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    eye = np.array([0.0, 0.0, -crop.depth / crop.unit])
    moment = np.cross(np.broadcast_to(eye, direction.shape), direction)
    return np.concatenate([moment, direction], -1).transpose(2, 0, 1).astype(np.float32)


def _colours(rgb: Floats, alpha: Floats, crop: Crop) -> Floats:
    """(3, H, W) colours on white, -1..1."""
    white = rgb * alpha[..., None] + 1 - alpha[..., None]
    return (resized(white, crop, nearest=False, outside=1) * 2 - 1).transpose(2, 0, 1)


@lru_cache(maxsize=1)
def part_places() -> Floats:
    """(256, 3) where a body part's middle lies in the rest pose, about the whole body's middle, halves of its height;
    0 for no part. Tells the network what it looks at, left from right."""
    rig = default_rig()
    points = np.asarray(rig.arrays.template, np.float64)
    points = (points - (points.min(0) + points.max(0)) / 2) / (np.ptp(points, axis=0).max() / 2)
    table = np.zeros((256, 3), np.float32)
    for label in np.unique(rig.part):
        table[label] = points[rig.part == label].mean(0)
    return table
