"""Every number of an evaluation by name: unit, direction, and the protocol that says in one sentence how it is taken.

A protocol's id ends in a version; whoever changes what a number means gives it a new one, so that numbers with the
same id can be compared and others cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

PSNR_CAP = 100.0  # dB, of identical pictures: JSON has no infinity
NOVEL_FROM = 15.0  # degrees from the photo's own side below which a view counts as the input
SAMPLES = 20_000  # points per surface
SAMPLE_SEED = 20
RESAMPLES, RESAMPLE_SEED = 2000, 21


@dataclass(frozen=True)
class Protocol:
    """id: short and versioned. better: 'higher', 'lower' or '' for a fact. sentence: how the number is taken."""

    id: str
    title: str
    unit: str
    better: str
    digits: int
    sentence: str


ALIGNMENTS = {
    "ray": "align-ray/1: the result keeps its picture in the photo; its pelvis is moved along its own ray to the true "
    "pelvis' depth and it is scaled in proportion, which takes out what one photo cannot tell, and nothing else.",
    "metric": "align-metric/1: as align-ray/1 but without the scaling: the size in metres is the system's own.",
}
_VIEWS = (
    "Views of the truth from all around, 256 px unless said, the result drawn at twice that and averaged, both on white, "
    "align-ray/1; mean over the views of one person, then over people"
)
_NOVEL = f"{_VIEWS}; views within 15 degrees of the photo's side are left out"
_SURFACE = (
    "20 000 points by area on each surface (seed 20), exact distance to the other surface's triangles, "
    "the person's outer surface with hair and clothes against the result's closed mesh"
)
_BODY22 = "the 22 joints of SMPL-X in the axes of the photo's camera"

PROTOCOLS: dict[str, Protocol] = {
    "psnr": Protocol("nv-psnr/1", "PSNR", "dB", "higher", 2, f"{_NOVEL}; whole picture, capped at 100."),
    "psnr_all": Protocol("nv-psnr-all/1", "PSNR with input", "dB", "higher", 2, f"{_VIEWS}; the photo's side included."),
    "psnr_inside": Protocol("nv-psnr-in/1", "PSNR inside", "dB", "higher", 2,
                            f"{_NOVEL}; only pixels that are the person's in the truth."),
    "psnr_side": Protocol("nv-psnr-side/1", "PSNR sides", "dB", "higher", 2,
                          "As nv-psnr/1, views 70 to 110 degrees from the photo."),
    "psnr_back": Protocol("nv-psnr-back/1", "PSNR back", "dB", "higher", 2,
                          "As nv-psnr/1, views within 20 degrees of the photo's far side."),
    "ssim": Protocol("nv-ssim/1", "SSIM", "", "higher", 4,
                     f"{_NOVEL}; single scale, Gaussian window 11 px, sigma 1.5, data range 1, mean of the channels, "
                     "rim of 5 px left out (as scikit-image)."),
    "ssim_inside": Protocol("nv-ssim-in/1", "SSIM inside", "", "higher", 4,
                            "As nv-ssim/1, mean of the map over the person's pixels in the truth."),
    "lpips": Protocol("nv-lpips-vgg/1", "LPIPS", "", "lower", 4, f"{_NOVEL}; VGG, pictures in -1..1."),
    "iou": Protocol("nv-iou/1", "IoU", "", "higher", 3, f"{_NOVEL}; silhouettes cut at alpha 0.5."),
    "iou_side": Protocol("nv-iou-side/1", "IoU sides", "", "higher", 3,
                         "As nv-iou/1, views 70 to 110 degrees from the photo."),
    "holes_pct": Protocol("nv-holes/1", "holes", "%", "lower", 2,
                          f"{_NOVEL}; share of the person's pixels (truth, eroded by 1 px) that are inside the result's "
                          "own filled outline (closed over 5 px) and have alpha below 0.5 there."),
    "missed_pct": Protocol("nv-missed/1", "missed", "%", "lower", 2,
                           f"{_NOVEL}; share of the person's pixels (truth, eroded by 1 px) with alpha below 0.5."),
    "head_back_de": Protocol("nv-head-back/1", "back of head", "ΔE", "lower", 1,
                             "Views within 20 degrees of the photo's far side; mean CIE 1976 colour difference over the "
                             "true head's pixels (above the head joint along the neck), the result on white."),
    "front_psnr": Protocol("front-psnr/1", "front PSNR", "dB", "higher", 2,
                           "The splats in the system's own photo camera against the clean photo, inside the true mask, "
                           "both on white."),
    "front_iou": Protocol("front-iou/1", "front IoU", "", "higher", 3,
                          "The splats' alpha in the system's own photo camera against the true mask, cut at 0.5."),
    "matte_iou": Protocol("matte-iou/1", "matte IoU", "", "higher", 3,
                          "The cut-out's alpha against the true one, cut at 0.5."),
    "depth_first_cm": Protocol("depth-first/1", "depth, first", "cm", "lower", 2,
                               "First surface of the result's mesh in the true photo's camera (longer side 384 px), "
                               "align-ray/1; mean absolute difference in z where both are."),
    "depth_last_cm": Protocol("depth-last/1", "depth, last", "cm", "lower", 2,
                              "As depth-first/1, last surface."),
    "chamfer_cm": Protocol("chamfer/1", "Chamfer", "cm", "lower", 2,
                           f"{_SURFACE}, align-ray/1; mean of the two directions' mean distances."),
    "chamfer_pct": Protocol("chamfer-pct/1", "Chamfer", "% of height", "lower", 2,
                            "chamfer/1 over the true surface's extent along y."),
    "to_truth_cm": Protocol("p2s/1", "P2S", "cm", "lower", 2, f"{_SURFACE}, align-ray/1; from the result to the truth."),
    "to_truth_pct": Protocol("p2s-pct/1", "P2S", "% of height", "lower", 2, "p2s/1 over the true height."),
    "from_truth_cm": Protocol("s2p/1", "truth to result", "cm", "lower", 2,
                              f"{_SURFACE}, align-ray/1; from the truth to the result."),
    "from_truth_pct": Protocol("s2p-pct/1", "truth to result", "% of height", "lower", 2, "s2p/1 over the true height."),
    "normals": Protocol("normals/1", "normals", "", "higher", 3,
                        "Mean signed cosine between the normals of a sampled point and of the nearest point on the other "
                        "surface, both directions (samples of chamfer/1); 1 is best, -1 turned inside out."),
    "chamfer_metric_cm": Protocol("chamfer-metric/1", "Chamfer, own size", "cm", "lower", 2,
                                  "chamfer/1 with align-metric/1."),
    "floor_cm": Protocol("chamfer-floor/1", "noise floor", "cm", "", 4,
                         "chamfer/1 of the truth against itself, its samples stored as float32: what rounding leaves."),
    "sampling_cm": Protocol("chamfer-noise/1", "sampling noise", "cm", "", 4,
                            "Standard error of chamfer/1 from the finite number of samples."),
    "mpjpe_mm": Protocol("mpjpe/1", "MPJPE", "mm", "lower", 1,
                         f"Mean distance of {_BODY22}, pelvis on pelvis, the system's own size."),
    "mpjpe_scaled_mm": Protocol("mpjpe-ray/1", "MPJPE, true size", "mm", "lower", 1,
                                f"As mpjpe/1, {_BODY22} after the turn and scale of align-ray/1."),
    "pa_mpjpe_mm": Protocol("pa-mpjpe/1", "PA-MPJPE", "mm", "lower", 1,
                            f"Mean distance of {_BODY22} after the best similarity of the one person."),
    "lean_error_deg": Protocol("lean/1", "lean error", "°", "lower", 1,
                               "Absolute difference of the lean (mid-ankle to mid-shoulder against the vertical in the "
                               "photo's viewing plane) of the estimated and the true body."),
    "lean_deg": Protocol("lean-itself/1", "lean", "°", "", 1, "The estimated body's lean, towards the camera positive."),
    "foot_plane_mm": Protocol("foot-plane/1", "foot plane", "mm", "", 1,
                              "RMS distance of heels, big and small toes from their common plane, estimated body."),
    "foot_plane_true_mm": Protocol("foot-plane-true/1", "foot plane, true", "mm", "", 1, "The same of the true body."),
    "back_layer_de": Protocol("back-layer/1", "back colours", "ΔE", "lower", 1,
                              "Mean CIE 1976 difference between the colours that the system made for the far surface and "
                              "the true ones, on the photo's grid, where the truth's views show the far surface."),
    "hgm_psnr": Protocol("hgm-script-psnr/1", "PSNR (HGM script)", "dB", "higher", 2,
                         "The released HGM script's way: views 0, 90, 180 and 270 degrees from the photo, the input's "
                         "side included, errors pooled before the logarithm; not comparable with nv-psnr/1."),
    "hgm_msssim": Protocol("hgm-script-ssim/1", "SSIM (HGM script)", "", "higher", 4,
                           "The released HGM script's way: multi-scale SSIM with data range 2 on pictures in 0..1, the "
                           "same four views; comes out too high, not comparable with nv-ssim/1."),
    "seconds": Protocol("seconds/1", "seconds", "s", "lower", 1,
                        "Sum of the system's steps without the turntable, as the run recorded them on this machine."),
}  # fmt: skip

# What the README's table shows, in order.
TABLE = (
    "psnr", "psnr_inside", "ssim", "lpips", "iou", "iou_side", "holes_pct", "head_back_de", "depth_first_cm",
    "depth_last_cm", "chamfer_cm", "to_truth_cm", "from_truth_cm", "normals", "mpjpe_mm", "pa_mpjpe_mm", "seconds",
)  # fmt: skip
# A failed run counts as the blank white picture here; it has no other numbers.
IMAGE_METRICS = (
    "psnr", "psnr_all", "psnr_inside", "psnr_side", "psnr_back", "ssim", "ssim_inside", "iou", "iou_side", "holes_pct",
    "missed_pct", "head_back_de", "hgm_psnr", "hgm_msssim",
)  # fmt: skip

# These need the result's mesh.
SURFACE_METRICS = (
    "depth_first_cm", "depth_last_cm", "chamfer_cm", "chamfer_pct", "to_truth_cm", "to_truth_pct", "from_truth_cm",
    "from_truth_pct", "normals", "chamfer_metric_cm", "floor_cm", "sampling_cm",
)  # fmt: skip


def worse(metric: str, value: float) -> float:
    """A number turned so that larger is worse, for searches and sorting."""
    return -value if PROTOCOLS[metric].better == "higher" else value
