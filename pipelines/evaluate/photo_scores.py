"""Scores on a photo without truth: how well the result lies over the photo, and how the body stands.

Front IoU compares the splats' alpha in the photo's view with the cut-out, both cut at one half. Front PSNR is taken
inside the cut-out, splats and cut-out both on white; `psnr_inside` leaves out a rim of 3 px, where outline and colour
mix. Lean is the angle of mid-ankle to mid-shoulder against the vertical, before and after the fit.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.evaluate.images import iou, on_white, psnr
from pipelines.evaluate.protocols import Protocol
from pipelines.records import Body, Cutout

PHOTO_PROTOCOLS = {
    "iou": Protocol("photo-iou/1", "front IoU", "", "higher", 3,
                    "Splats in the photo's view against the system's own cut-out, alpha cut at 0.5."),
    "psnr": Protocol("photo-psnr/1", "front PSNR", "dB", "higher", 1,
                     "Splats in the photo's view against the photo inside the cut-out, both on white."),
    "psnr_inside": Protocol("photo-psnr-in/1", "front PSNR inside", "dB", "higher", 1,
                            "As photo-psnr/1 without the cut-out's rim of 3 px."),
    "lean_before_deg": Protocol("photo-lean-before/1", "lean before", "°", "", 1,
                                "Mid-ankle to mid-shoulder against the vertical, before the fit's stance."),
    "lean_deg": Protocol("photo-lean/1", "lean", "°", "", 1, "The same after it."),
}  # fmt: skip


def photo_scores(body: Body, cutout: Cutout, front: NDArray[np.floating]) -> dict[str, float]:
    """iou, psnr, psnr_inside and the fit's own reprojection_pct, inside_mask, lean_deg, lean_before_deg (where the body
    has them) of one result; front: (H, W, 4) of the splats in the photo's view, at the cut-out's size."""
    mask = cutout.alpha > 0.5
    truth, picture = on_white(cutout.rgba), on_white(front)
    core = cv2.erode(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    known = ("reprojection_pct", "inside_mask", "lean_deg", "lean_before_deg")
    scores = {"iou": iou(mask, front[..., 3] > 0.5), **{k: float(body[k]) for k in known if k in body.arrays}}
    if mask.any():
        scores["psnr"] = psnr(picture, truth, mask)
    if core.any():
        scores["psnr_inside"] = psnr(picture, truth, core)
    return scores
