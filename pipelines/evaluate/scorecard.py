"""All numbers of one person under one system: `score(subject, made)`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.evaluate import images
from pipelines.evaluate.align import Similarity, align_bodies
from pipelines.evaluate.bodies import body_scores
from pipelines.evaluate.lpips import Lpips
from pipelines.evaluate.made import Made
from pipelines.evaluate.protocols import NOVEL_FROM
from pipelines.evaluate.subject import Subject, View
from pipelines.evaluate.surfaces import Triangles, compare_surfaces, rounding_floor
from pipelines.evaluate.truth import away, azimuths, head_mask, last_surface, true_colours
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import rasterise_layers
from pipelines.records import Layers, Splats
from pipelines.step import UserError

Floats = NDArray[np.float32]
SAMPLES_A_SIDE = 2  # finer pixels per pixel of a drawn view
DEPTH_SIZE = 384  # px of the longer side in which depths are compared
SIDE, BACK = (70.0, 110.0), 160.0  # degrees from the photo's side


@dataclass(frozen=True)
class Scorecard:
    """numbers: by the names of `protocols.PROTOCOLS`. by_azimuth: {degrees from the photo, to the nearest 30:
    {psnr, ssim, iou, holes_pct}}. before: the body's and the back view's numbers before refinement, if there is one.
    pictures: the result in the truth's views, for a sheet. error: the sentence of a run that failed."""

    seed: int
    numbers: dict[str, float]
    by_azimuth: dict[int, dict[str, float]] = field(default_factory=dict)
    before: dict[str, float] = field(default_factory=dict)
    pictures: tuple[Floats, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def score(subject: Subject, made: Made, *, lpips: Lpips | None = None, surface: bool = True) -> Scorecard:
    """The scorecard of what a system made of `subject.upload`.

    lpips: the metric when its weights are there. surface: False leaves out what needs the mesh. A failed run
    (`made.error`) is scored as the blank white picture. UserError when the run has no splats or no body to align by.
    """
    if made.error:
        return blank(subject, lpips=lpips, error=made.error)
    body, splats = made.body, made.splats
    if body is None or splats is None:
        raise UserError(
            "An evaluation needs a run with a body (to align by) and splats (to draw); this one lacks them."
        )
    to_truth = align_bodies(body, subject.body, scaled=True)
    aligned = to_truth.splats(splats)
    pictures = tuple(draw(aligned, view.camera) for view in subject.views)
    numbers, by_azimuth = view_scores(subject, pictures, lpips)
    front = draw(splats, body.camera.resized(subject.photo.camera.width, subject.photo.camera.height), 1)
    numbers |= front_scores(subject, front, None if made.cutout is None else made.cutout.alpha)
    numbers |= body_scores(body, subject.body)
    if made.layers is not None:
        numbers |= back_layer(subject, made.layers)
    if surface and made.mesh is not None:
        numbers |= surface_scores(subject, made, to_truth, align_bodies(body, subject.body, scaled=False))
    numbers["seconds"] = made.total_seconds
    before = {} if made.body_before is None else body_scores(made.body_before, subject.body)
    earlier = [r for r in made.records.values() if isinstance(r, Splats)]
    if len(earlier) > 1:
        rough = align_bodies(made.body_before or body, subject.body, scaled=True).splats(earlier[0])
        old = view_scores(subject, tuple(draw(rough, view.camera) for view in subject.views), None)[0]
        before |= {name: old[name] for name in ("psnr_back", "head_back_de", "iou_side") if name in old}
    return Scorecard(subject.seed, numbers, by_azimuth, before, pictures, subject.facts)


def blank(subject: Subject, *, lpips: Lpips | None = None, error: str = "") -> Scorecard:
    """The baseline: a blank white picture from every side; it has no body and no surface."""
    empty = tuple(np.zeros((v.camera.height, v.camera.width, 4), np.float32) for v in subject.views)
    numbers, by_azimuth = view_scores(subject, empty, lpips)
    photo = subject.photo.camera
    numbers |= front_scores(subject, np.zeros((photo.height, photo.width, 4), np.float32), None)
    return Scorecard(subject.seed, numbers, by_azimuth, {}, empty, subject.facts, error)


def draw(splats: Splats, camera: Camera, samples: int = SAMPLES_A_SIDE) -> Floats:
    """(H, W, 4) straight alpha: the mean of `samples` x `samples` finer pixels, as a camera's pixel is a mean. The
    rasteriser widens every splat by half a pixel; undivided that would swell outlines in small pictures."""
    from pipelines.projection.turntable import picture

    fine = picture(splats, camera.resized(camera.width * samples, camera.height * samples))
    fine[..., :3] *= fine[..., 3:]
    mean = fine.reshape(camera.height, samples, camera.width, samples, 4).mean((1, 3))
    mean[..., :3] /= np.maximum(mean[..., 3:], 1e-4)
    return np.clip(mean, 0.0, 1.0).astype(np.float32)


def view_scores(
    subject: Subject, pictures: tuple[Floats, ...], lpips: Lpips | None
) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
    """Means over the novel views, and per azimuth. ValueError when the subject has no novel view."""
    rows = [
        one_view(subject, view, picture, azimuth, lpips)
        for view, picture, azimuth in zip(subject.views, pictures, azimuths(subject), strict=True)
    ]
    novel = [r for r in rows if away(r["azimuth"], 0.0) >= NOVEL_FROM]
    if not novel:
        raise ValueError(f"Subject {subject.seed} came with {len(rows)} views, none of another side than the photo's.")

    def mean(name: str, among: list[dict[str, float]]) -> dict[str, float]:
        values = [r[name] for r in among if name in r]
        return {name: float(np.mean(values))} if values else {}

    numbers: dict[str, float] = {}
    for name in ("psnr", "psnr_inside", "ssim", "ssim_inside", "lpips", "iou", "holes_pct", "missed_pct"):
        numbers |= mean(name, novel)
    sides = [r for r in rows if SIDE[0] <= away(r["azimuth"], 0.0) <= SIDE[1]]
    back = [r for r in rows if away(r["azimuth"], 0.0) >= BACK]
    for stem, among in (("side", sides), ("back", back)):
        numbers |= {f"{k}_{stem}": v for name in ("psnr", "iou") for k, v in mean(name, among).items()}
    numbers |= {"psnr_all": mean("psnr", rows)["psnr"], **mean("head_back_de", back)}
    numbers.pop("iou_back", None)
    numbers |= hgm_script(rows)
    groups: dict[int, list[dict[str, float]]] = {}
    for r in rows:
        groups.setdefault(round(r["azimuth"] / 30.0) * 30 % 360, []).append(r)
    by_azimuth = {
        a: {k: v for n in ("psnr", "ssim", "iou", "holes_pct") for k, v in mean(n, rs).items()}
        for a, rs in sorted(groups.items())
    }
    return numbers, by_azimuth


def one_view(subject: Subject, view: View, picture: Floats, azimuth: float, lpips: Lpips | None) -> dict[str, float]:
    """The scores of one picture (H, W, 4) against one true view; see `protocols`."""
    truth, made = images.on_white(view.rgba), images.on_white(picture)
    mask = view.rgba[..., 3] > 0.5
    holes, missed = images.holes(picture[..., 3], mask)
    row = {
        "azimuth": azimuth, "mean_square": images.mean_square(made, truth), "psnr": images.psnr(made, truth),
        "ssim": images.ssim(made, truth), "iou": images.iou(picture[..., 3] > 0.5, mask), "holes_pct": holes,
        "missed_pct": missed,
    }  # fmt: skip
    if mask.any():
        row["psnr_inside"] = images.psnr(made, truth, mask)
        row["ssim_inside"] = images.ssim(made, truth, mask)
    if lpips is not None:
        row["lpips"] = lpips(made, truth)
    if away(azimuth, 0.0) >= BACK:
        head = head_mask(subject, view) & mask
        if head.any():
            row["head_back_de"] = float(images.colour_difference(made[head], truth[head]).mean())
    if min(picture.shape[:2]) >= 16 * images.WINDOW:
        row["msssim"] = images.multi_scale_ssim(made, truth, 2.0)
    return row


def hgm_script(rows: list[dict[str, float]]) -> dict[str, float]:
    """The released HGM script's PSNR and SSIM, from the views nearest to 0, 90, 180 and 270 degrees; nothing when one
    of the four has no view within 15 degrees."""
    chosen = []
    for angle in (0.0, 90.0, 180.0, 270.0):
        off, nearest = min((away(r["azimuth"], angle), k) for k, r in enumerate(rows))
        if off > 15.0:
            return {}
        chosen.append(rows[nearest])
    numbers = {"hgm_psnr": images.decibel(float(np.mean([r["mean_square"] for r in chosen])))}
    if all("msssim" in r for r in chosen):
        numbers["hgm_msssim"] = float(np.mean([r["msssim"] for r in chosen]))
    return numbers


def front_scores(subject: Subject, picture: Floats, alpha: Floats | None) -> dict[str, float]:
    """The result in the photo's own camera, against the clean photo; and the cut-out's outline."""
    mask = subject.photo.rgba[..., 3] > 0.5
    truth = images.on_white(subject.photo.rgba)
    numbers = {
        "front_psnr": images.psnr(images.on_white(picture), truth, mask),
        "front_iou": images.iou(picture[..., 3] > 0.5, mask),
    }
    if alpha is not None and alpha.shape == mask.shape:
        numbers["matte_iou"] = images.iou(alpha > 0.5, mask)
    return numbers


def surface_scores(subject: Subject, made: Made, ray: Similarity, metric: Similarity) -> dict[str, float]:
    """Depths of both layers, Chamfer, point to surface, normals."""
    assert made.mesh is not None
    mesh = made.mesh
    welded = mesh.weld[mesh.faces]
    vertices = ray.points(mesh.vertices)
    truth = Triangles(subject.surface.vertices, subject.surface.faces)
    s = compare_surfaces(Triangles(vertices, welded), truth)
    own = compare_surfaces(Triangles(metric.points(mesh.vertices), welded), truth)
    numbers = {
        "chamfer_cm": 100 * s.chamfer, "to_truth_cm": 100 * s.to_truth, "from_truth_cm": 100 * s.from_truth,
        "normals": s.normals, "sampling_cm": 100 * s.sampling, "chamfer_metric_cm": 100 * own.chamfer,
        "chamfer_pct": 100 * s.chamfer / s.height, "to_truth_pct": 100 * s.to_truth / s.height,
        "from_truth_pct": 100 * s.from_truth / s.height,
        "floor_cm": 100 * rounding_floor(truth),
    }  # fmt: skip
    camera = subject.photo.camera
    scale = DEPTH_SIZE / max(camera.width, camera.height)
    small = camera.resized(max(round(camera.width * scale), 1), max(round(camera.height * scale), 1))
    mine = rasterise_layers(vertices, welded, small)
    true = rasterise_layers(truth.vertices, truth.faces, small)
    for name, a, b in zip(("depth_first_cm", "depth_last_cm"), mine, true, strict=True):
        both = a.mask & b.mask
        if both.any():
            numbers[name] = 100 * float(np.abs(a.depth - b.depth)[both].mean())
    return numbers


def back_layer(subject: Subject, layers: Layers) -> dict[str, float]:
    """Colours of the far surface against the true ones, on the photo's grid; nothing when no view shows it."""
    points, normals, rows, columns = last_surface(subject, subject.photo.camera)
    true, found = true_colours(subject, points, normals)
    height, width = subject.photo.last.shape
    a = layers.arrays
    at = (rows * a["mask"].shape[0] // height, columns * a["mask"].shape[1] // width)
    found &= a["mask"][at].astype(bool)
    if not found.any():
        return {}
    return {"back_layer_de": float(images.colour_difference(a["back_rgb"][at][found], true[found]).mean())}
