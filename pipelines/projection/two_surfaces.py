"""Two surfaces over the whole cut-out: the front with the photo's colours, the back with made ones."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.cameras import Camera
from pipelines.projection.anchor import choose_anchor
from pipelines.projection.back_colours import back_colours
from pipelines.projection.body_mesh import ARM_END, limbs, part_labels
from pipelines.projection.body_surfaces import NOTHING
from pipelines.projection.layers import LayersParams
from pipelines.projection.nape import Heads
from pipelines.projection.outline import depth_inside, nearest
from pipelines.projection.solid import Shape, solidify
from pipelines.records import GRAZING, SEEN, Body, BodyMaps, Cutout, Keypoints, Layers
from pipelines.step import Context, UserError

Floats = NDArray[np.float32]
GRAZING_COSINE = 0.25  # a surface seen flatter than about 75 degrees
# Outline of the face in the 468 points of the MediaPipe face mesh.
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip


def two_surfaces(
    matte: Cutout,
    body_fit: Body,
    body_maps: BodyMaps,
    keypoints: Keypoints,
    params: LayersParams,
    ctx: Context,
) -> Layers:
    """The work of the step `layers`; see its declaration."""
    whole = body_maps.camera
    rgb, alpha = on_grid(matte, whole)
    mask = main_part(alpha > 0.5, body_maps.arrays["full_front"] > 0)
    if not mask.any():
        raise UserError(
            "The fitted body and the cut-out do not overlap, so the photo cannot be projected; check the cut-out "
            "and the keypoints, and fit the body again."
        )
    window = bounds(mask, margin=6)
    maps = {name: a[window] if a.ndim > 1 else a for name, a in body_maps.arrays.items()}
    rgb, alpha, mask = rgb[window], alpha[window], mask[window]
    camera = whole.cropped(window[1].start, window[0].start, mask.shape[1], mask.shape[0])
    on_body = mask & (maps["full_front"] > 0)
    pixel = float(np.median(maps["full_front"][on_body]) / camera.K[0, 0])
    anchor = choose_anchor(
        maps, rgb, mask, params.reach, max(round(params.slack / pixel), 1), arms_agree(body_fit, keypoints)
    )
    ctx.progress(0.3, "depth of the body, carried on to the outline")
    names = maps["part_names"]
    front_part, back_part = (extend(anchor.part[side], anchor.known[side], mask) for side in (0, 1))
    bare = [np.isin(p, part_labels(names, "face", "hand", "foot")) for p in (front_part, back_part)]
    solid = solidify(anchor, mask, pixel, (bare[0], bare[1]), limbs(names), Shape(loose=params.loose))
    ctx.progress(0.7, "colours of the back", depth_preview(solid.front, mask))
    heads = find_heads(front_part, back_part, names, mask, face_oval(keypoints, matte, whole, window))
    inside = depth_inside(mask)
    sides = (front_part, back_part)
    covered = maps["full_front"] > 0
    arms = np.isin(maps["full_front_part"], part_labels(names, *ARM_END))
    back_rgb, made = back_colours(
        rgb, mask, inside, sides, names, heads, solid.two, covered, arms, params.likeness, pixel
    )
    ctx.progress(1.0, "front and back", np.hstack([rgb, back_rgb]) * np.hstack([mask, mask])[..., None])
    facing = facing_camera(solid.front, mask, camera)
    arrays = {
        "mask": mask, "alpha": (alpha * mask).astype(np.float32), "front": solid.front, "back": solid.back,
        "front_rgb": rgb, "back_rgb": back_rgb, "front_part": front_part, "back_part": back_part,
        "back_made": made, "arm": anchor.arm, "two": solid.two, "leave": solid.leave, "enter": solid.enter,
        "seen": np.where(facing < GRAZING_COSINE, GRAZING, SEEN).astype(np.uint8), "part_names": names,
    }  # fmt: skip
    outside = {"front_part": NOTHING, "back_part": NOTHING}
    return Layers({n: uncropped(a, window, whole, outside.get(n, 0)) for n, a in arrays.items()}, whole)


def bounds(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Rows and columns of the smallest window around a mask, with a margin inside the picture."""
    edges = []
    for axis in (1, 0):
        hit = np.flatnonzero(mask.any(axis))
        edges.append(slice(max(int(hit[0]) - margin, 0), min(int(hit[-1]) + margin + 1, mask.shape[1 - axis])))
    return edges[0], edges[1]


def uncropped(values: NDArray, window: tuple[slice, slice], camera: Camera, around: int) -> NDArray:
    """A window's array back on the whole grid, `around` it one value; what is no picture stays as it is."""
    if values.ndim < 2:
        return values
    full = np.full((camera.height, camera.width, *values.shape[2:]), around, values.dtype)
    full[window] = values
    return full


def on_grid(matte: Cutout, camera: Camera) -> tuple[Floats, Floats]:
    """The cut-out's colours (h, w, 3) and alpha (h, w) on the camera's grid; colours weighted by alpha."""
    size = (camera.width, camera.height)
    alpha = cv2.resize(matte.alpha, size, interpolation=cv2.INTER_AREA)
    weighted = cv2.resize(matte.rgb * matte.alpha[..., None], size, interpolation=cv2.INTER_AREA)
    plain = cv2.resize(matte.rgb, size, interpolation=cv2.INTER_AREA)
    solid = alpha[..., None] > 0.05
    return np.where(solid, weighted / np.where(solid, alpha[..., None], 1.0), plain).astype(np.float32), alpha.astype(
        np.float32
    )


def main_part(mask: NDArray[np.bool_], body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The islands of a mask that touch the body, without specks below 1/500 of the whole."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    area = facts[:, cv2.CC_STAT_AREA]
    touches = np.bincount(labels.ravel(), body.ravel(), count) > 0
    good = touches & (area > mask.sum() / 500)
    good[0] = False
    return good[labels]


def extend(part: NDArray[np.uint8], known: NDArray[np.bool_], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Labels of the nearest known pixel, all over the mask; 255 outside."""
    rows, columns = nearest(known)
    return np.where(mask, part[rows, columns], NOTHING).astype(np.uint8)


def arms_agree(body: Body, keypoints: Keypoints) -> dict[str, bool]:
    """Whether each fitted wrist lies where the landmarks saw it: within a tenth of the torso's length.

    A wrist that nobody saw (visibility below 0.3) has nothing to disagree with and counts as agreeing only if no
    landmark was seen at all.
    """
    joints = body["body22_cam"].astype(np.float64)
    if not (keypoints.body[:, 2] > 0.3).any():
        return {"left": True, "right": True}
    pixels = joints @ body["K"].T
    pixels = pixels[:, :2] / np.maximum(pixels[:, 2:], 1e-6)
    torso = np.linalg.norm(pixels[[16, 17]].mean(0) - pixels[[1, 2]].mean(0))
    # A torso seen along its axis is short in the picture; the metric one keeps the measure fair.
    depth = joints[:, 2].mean()
    torso = max(torso, 0.45 * body["K"][0, 0] / depth)
    agree = {}
    for side, landmark, joint in (("left", 15, 20), ("right", 16, 21)):
        x, y, visibility = keypoints.body[landmark, :3]
        agree[side] = bool(visibility > 0.3 and np.hypot(*(pixels[joint] - (x, y))) < 0.15 * torso)
    return agree


def face_oval(
    keypoints: Keypoints, matte: Cutout, camera: Camera, window: tuple[slice, slice]
) -> NDArray[np.bool_] | None:
    """(h, w) inside of the face's outline by the face landmarks, in a window of the grid; None without them."""
    if keypoints.face is None:
        return None
    scale = camera.width / matte.alpha.shape[1], camera.height / matte.alpha.shape[0]
    oval = np.zeros((camera.height, camera.width), np.uint8)
    cv2.fillPoly(oval, [np.round(keypoints.face[list(FACE_OVAL), :2] * scale).astype(np.int32)], 1)
    return oval[window].astype(bool)


def find_heads(
    front_part: NDArray[np.uint8], back_part: NDArray[np.uint8], names: NDArray, mask: NDArray[np.bool_],
    oval: NDArray[np.bool_] | None,
) -> Heads:  # fmt: skip
    """The head's pixels, and which of them show the face, by the body's labels and the face landmarks if there."""
    head = np.isin(front_part, part_labels(names, "head", "face", "scalp")) & mask
    face = np.isin(front_part, part_labels(names, "face")) & mask
    back_face = np.isin(back_part, part_labels(names, "face")) & mask
    # The body must agree that there is a face on this side, or the landmarks are a guess.
    if oval is not None and (oval & face).sum() > 0.3 * face.sum() > 0:
        face |= oval & mask
        head |= face
    return Heads(head, face, back_face)


def facing_camera(depth: Floats, mask: NDArray[np.bool_], camera: Camera) -> Floats:
    """(h, w) cosine between the surface's normal and the ray, by differences of neighbouring pixels in the mask."""
    points = (camera.rays() * depth[..., None]).astype(np.float32)
    steps = []
    for axis in (1, 0):
        ahead = np.roll(points, -1, axis) - points
        behind = points - np.roll(points, 1, axis)
        has_ahead, has_behind = mask & np.roll(mask, -1, axis), mask & np.roll(mask, 1, axis)
        # The smaller of the two steps: a pixel beside a jump belongs to its own surface.
        shorter = np.linalg.norm(ahead, axis=-1) < np.linalg.norm(behind, axis=-1)
        use_ahead = has_ahead & (shorter | ~has_behind)
        steps.append(np.where(use_ahead[..., None], ahead, behind * has_behind[..., None]))
    normal = np.cross(steps[0], steps[1])
    length = np.linalg.norm(normal, axis=-1) * np.linalg.norm(points, axis=-1)
    cosine = np.abs((normal * points).sum(-1)) / np.where(length > 1e-12, length, 1.0)
    return np.where(length > 1e-12, cosine, 0.0).astype(np.float32)


def depth_preview(depth: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Grey picture of a depth map, near is bright."""
    low, high = np.quantile(depth[mask], [0.01, 0.99])
    return (mask * np.clip(1.0 - 0.8 * (depth - low) / max(high - low, 1e-6), 0, 1)).astype(np.float32)
