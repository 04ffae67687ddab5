"""The view from behind of two layers: their back along the photo's own rays, in a square around the person, mirrored.

A camera behind the person would see parts that no layer shows and miss parts that one does; through the photo's own
rays every pixel of the back layer is one pixel of this picture, there and back.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, binary_fill_holes

from pipelines.hgm.configuration import COMPACT
from pipelines.hgm.correct import outwards
from pipelines.hgm.layer_input import cut, find_crop, pasted
from pipelines.hgm.records import BackView
from pipelines.person import box_of
from pipelines.records import Body, Floats, Layers

PAPER = 0.97  # a picture from elsewhere is paper where every channel is brighter
RIM = 0.006  # of the square's side: how far into a picture from elsewhere its outline may still show paper


@dataclass(frozen=True)
class BackFrame:
    """window: left, top, side, side of the square on the layers' grid, may reach outside; shape: of that grid."""

    window: tuple[int, int, int, int]
    shape: tuple[int, int]

    def behind(self, values: NDArray, outside: float = 0) -> NDArray:
        """A picture (h, w[, C]) of the layers' grid as it is seen from behind, (side, side[, C])."""
        return np.ascontiguousarray(cut(values, self.window, outside)[:, ::-1])

    def onto_grid(self, values: NDArray) -> NDArray:
        """Inverse of `behind`, 0 outside the square; pictures of other sizes are brought to the square's own."""
        values = resized_to(values, self.window[2])
        return pasted(np.ascontiguousarray(values[:, ::-1]), self.window, self.shape)


def back_frame(layers: Layers, body: Body) -> BackFrame:
    """The square that stands around the network's crop. ValueError: see `find_crop`."""
    mask = layers.arrays["mask"]
    crop = find_crop(mask, layers.camera, float(body["root_translation"][2]), COMPACT.input_size)
    left, top, width, side = crop.window
    return BackFrame((left - (side - width) // 2, top, side, side), (mask.shape[0], mask.shape[1]))


def coarse_back(layers: Layers, frame: BackFrame) -> Floats:
    """(side, side, 4) straight: the back layer from behind, each colour taken from the nearest pixel that has one."""
    rgb = nearest_inside(layers.arrays["back_rgb"], layers.arrays["mask"])
    return frame.behind(np.dstack([rgb, layers.arrays["alpha"]]).astype(np.float32))


def worn(layers: Layers, frame: BackFrame, back: BackView) -> tuple[Layers, str]:
    """The layers with the first picture of `back` on their back, and what had to be done to it, a sentence or ''.

    A picture from elsewhere is moved and scaled onto the person's outline where that fits better than as it came.
    """
    a, said = dict(layers.arrays), ""
    image, mask = back.images[0], a["mask"]
    if back.coarse[..., 3].any():
        alpha = back.coarse[..., 3:]
        # Rims of the outline are mixed with white, and are unmixed where there is enough of the person in them.
        rgb = np.clip((image - (1 - alpha)) / np.maximum(alpha, 0.5), 0, 1)
        there = frame.onto_grid(rgb.astype(np.float32))
        solid = mask & (frame.onto_grid(alpha[..., 0].astype(np.float32)) >= 0.5)
    else:
        image, person, said = laid_over(image, frame.behind(mask.astype(np.float32)) > 0.5)
        there = frame.onto_grid(image)
        solid = mask & (frame.onto_grid(person.astype(np.float32)) > 0.5)
    if solid.any():
        rgb = nearest_inside(there, solid)
        a["back_rgb"] = np.where(mask[..., None], rgb, a["back_rgb"]).astype(np.float32)
    return Layers(a, layers.camera), said


def onto(mask: NDArray[np.bool_], goal: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(2, 3) the scaling and shift of positions that lays the box of a mask (H, W), which is not empty, onto that of
    another of any size: middle on middle, as tall."""
    box, there = box_of(mask).astype(np.float64), box_of(goal).astype(np.float64)
    scale = (there[3] - there[1]) / (box[3] - box[1])
    shift = (there[:2] + there[2:]) / 2 - scale * (box[:2] + box[2:]) / 2
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def off_paper(image: Floats) -> NDArray[np.bool_]:
    """(H, W) where a picture (H, W, 3) from elsewhere, which comes without its own outline, is not white paper."""
    return np.asarray(image.min(-1) < PAPER)


def laid_over(image: Floats, outline: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_], str]:
    """A picture (S, S, 3) of a person on white in the square of `outline` (side, side): its colours, the paper beside the
    person painted over with the nearest of theirs; where the person is; a sentence when it was moved or scaled to meet
    the outline. White that is surrounded by the person is cloth where the outline has the person, else a gap."""
    side = len(outline)
    coloured = off_paper(image)
    if not coloured.any() or not outline.any():
        return resized_to(image, side), resized_to(coloured.astype(np.float32), side) > 0.5, ""
    closed = binary_fill_holes(coloured)
    # As it came: the whole square on the whole square. On the outline: box on box, by height.
    came = np.diag([side / len(image), side / len(image)]) @ np.eye(2, 3)
    box_on_box = onto(closed, outline)
    found = []
    for turn in (came, box_on_box):
        back = warped(outline.astype(np.float32), cv2.invertAffineTransform(turn), len(image)) > 0.5
        person = coloured | (closed & back)
        found.append((overlap(person, back), person, turn))
    (before, *_), (after, *_) = found
    _, person, turn = found[int(after > before)]
    inner = binary_erosion(person, iterations=max(round(RIM * len(person)), 1))
    filled = nearest_inside(image, inner if inner.any() else person)
    there = warped(person.astype(np.float32), turn, side) > 0.5
    if after <= before:
        return resized_to(filled, side), there, ""
    said = (
        f"The picture from behind was scaled by {turn[0, 0] / came[0, 0]:.2f} and moved onto the person's outline: they "
        f"now share {100 * after:.0f} % of their area, as it came {100 * before:.0f} %."
    )
    return warped(filled, turn, side, cv2.BORDER_REPLICATE), there, said


def resized_to(values: Floats, side: int) -> Floats:
    """A square picture (S, S[, C]) as (side, side[, C]): means of areas where it becomes smaller."""
    if len(values) == side:
        return values
    how = cv2.INTER_AREA if len(values) > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values.astype(np.float32), (side, side), interpolation=how), np.float32)


def warped(
    values: Floats, turn: NDArray, side: int, border: int = cv2.BORDER_CONSTANT, paper: float = 0.0
) -> Floats:  # fmt: skip
    """A picture (H, W[, C]) under an affine map (2, 3) of positions, as (side, side[, C]); border: cv2's, beyond it, where
    a constant one is `paper`. Positions count pixels from the picture's corner, where cv2's count from the middle of the
    first one."""
    shift = turn.astype(np.float64).copy()
    shift[:, 2] += turn[:, :2] @ [0.5, 0.5] - 0.5
    if (grown := abs(turn[0, 0])) < 1:
        # Without a mean over what falls into one pixel, thin things would come and go.
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), 0.4 / grown), np.float32)
    made = cv2.warpAffine(values, shift, (side, side), flags=cv2.INTER_LINEAR, borderMode=border,
                          borderValue=(paper,) * 3)  # fmt: skip
    return np.asarray(made, np.float32)


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Intersection over union, 0 when both are empty."""
    either = (one | other).sum()
    return float((one & other).sum() / either) if either else 0.0


def nearest_inside(values: Floats, mask: NDArray[np.bool_]) -> Floats:
    """(h, w, C) with those outside the mask (h, w) taken from the nearest pixel inside; as they are without any."""
    return np.ascontiguousarray(np.moveaxis(outwards(np.moveaxis(values, -1, 0), mask), 0, -1))
