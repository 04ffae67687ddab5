"""A refined body for the page: every iteration's outline over the photo, its silhouettes beside the coarse person's,
the terms, and how far each joint went."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.geometry.cameras import Camera
from pipelines.records import Body, Floats, to_bytes
from pipelines.step import UserError
from ui.inspect_body import DISPLAY_PIXELS, at_iteration, iterations, laid_over, person_square
from ui.inspect_numbers import Facts, to_json
from ui.inspect_photo import webp
from ui.run_reader import RunReader

MOST = 120  # iterations that are shown; of more, evenly chosen ones
OUTLINE_PIXELS = 420  # of the square around the person in which outlines are found
ROUGH = 0.8  # pixels by which a drawn outline may leave the true one
BOTH, BODY_ONLY, PERSON_ONLY = (0.62, 0.64, 0.66), (0.835, 0.369, 0.0), (0.0, 0.447, 0.698)
STAGES = ("the photo alone", "the coarse person from all sides", "the coarse person anew")
SAME_MM = 1.0  # within which an iteration is the body that was kept


def given(reader: RunReader, step: str, argument: str) -> bytes:
    """The photo with the body as it was fitted. argument: the step that fitted it."""
    return webp(laid_over(reader.photo_pixels, body_of(reader, argument), DISPLAY_PIXELS))


def data(reader: RunReader, step: str, argument: str) -> bytes:
    """Everything under the slider but the silhouettes' pictures. argument: the step that fitted the body.

    Where the refinement was switched off: {'off': True}. Outlines are lists of closed lines [x, y, x, y, ...] in
    pixels of the photo, `box` is [left, top, width, height] of what is shown of it.
    """
    body, start = body_of(reader, step), body_of(reader, argument)
    if "masks" not in body.history:
        return to_json({"off": True})
    picked, names, values = chosen(body), *terms_of(body)
    low, high, side = person_square(start)
    wide = min(side, int(np.ceil(high[0] - low[0] + 0.3 * side)))
    middle = (low + high) / 2
    scale = min(1.0, OUTLINE_PIXELS / side)
    targets = body.history["target_masks"]
    return to_json({
        "iterations": picked, "last": iterations(body) - 1, "names": names, "values": values, "stages": stages_of(body),
        "kept": kept_at(body), "helped": bool(body["refine_helped"]),
        "size": [int(v) for v in body["image_size"]],
        "box": [round(float(v), 1) for v in (middle[0] - wide / 2, middle[1] - side / 2, wide, side)],
        "given": outline(start, scale), "outlines": [outline(at_iteration(body, i), scale) for i in picked],
        "agree": [[agreement(m, t) for m, t in zip(body.history["masks"][i], targets[i], strict=True)] for i in picked],
        "joints": joints_moved(start, body),
    })  # fmt: skip


def sides(reader: RunReader, step: str, argument: str) -> bytes:
    """Sheet of silhouettes: a row an iteration, a cell a side (0, 90, 180, 270 degrees); grey where body and coarse
    person agree, orange where only the body is, blue where only the person is."""
    body = body_of(reader, step)
    if "masks" not in body.history:
        raise UserError("The refinement was switched off, so it compared no silhouettes.")
    picked = chosen(body)
    masks, targets = ((body.history[n][picked] / 255).astype(np.float32) for n in ("masks", "target_masks"))
    shown = np.maximum(masks, targets).max((0, 1)) > 0.02
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    if not len(rows):
        raise UserError("No silhouette was kept of this refinement; run it again.")
    area = np.s_[..., max(rows[0] - 2, 0) : rows[-1] + 3, max(columns[0] - 2, 0) : columns[-1] + 3]
    cells = compared(masks[area], targets[area])  # (I, 4, h, w, 4)
    flat = np.concatenate([np.concatenate(list(row), 1) for row in cells], 0)
    return webp(Image.fromarray(to_bytes(flat)), limit=max(flat.shape[:2]), quality=90)


def compared(body: Floats, person: Floats) -> Floats:
    """Two soft masks (...,) 0..1 -> (..., 4) colours with alpha."""
    both, either = np.minimum(body, person)[..., None], np.maximum(body, person)[..., None]
    parts = ((both, BOTH), (body[..., None] - both, BODY_ONLY), (person[..., None] - both, PERSON_ONLY))
    rgb = np.sum([np.clip(share, 0, 1) * np.array(colour, np.float32) for share, colour in parts], 0)
    return np.concatenate([rgb / np.maximum(either, 1e-4), either], -1).astype(np.float32)


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """What changed from the fitted body to this one. argument: the step that fitted the body."""
    body, start = body_of(reader, step), body_of(reader, argument)
    if "masks" not in body.history:
        return to_json([("Refinement", "off; this is the fitted body")])
    kept, rows = kept_at(body), []
    rows.append(("Kept", f"iteration {kept} of {iterations(body) - 1}" if kept >= 0 else "the fitted body"))
    moved = [j["mm"] for j in joints_moved(start, body)]
    rows.append(("Joints moved, mean", f"{np.mean(moved):.0f} mm"))
    before, after = (np.asarray(body["refine_costs"])[:, k] for k in (0, 1))
    for name, a, b in zip([str(n) for n in body.history["term_names"]], before, after, strict=True):
        if (a or b) and "prior" not in name:
            rows.append((name[0].upper() + name[1:], f"{a:.0f} to {b:.0f}"))
    for label, name, form in (("Inside the cut-out", "inside_mask", "{:.0%}"), ("Lean", "lean_deg", "{:+.1f}°")):
        if name in start.arrays and name in body.arrays:
            rows.append((label, f"{form.format(float(start[name]))} to {form.format(float(body[name]))}"))
    told: Facts = [(n, v) for n, v in rows]
    return to_json(told)


def chosen(body: Body) -> list[int]:
    """The iterations that are shown: all, or MOST of them with the first, the last and the kept one."""
    count = iterations(body)
    if count <= MOST:
        return list(range(count))
    found = {round(i * (count - 1) / (MOST - 2)) for i in range(MOST - 1)} | {max(kept_at(body), 0)}
    return sorted(found)


def kept_at(body: Body) -> int:
    """The iteration whose body was kept; -1 for the fitted one."""
    if not bool(body["refine_helped"]):
        return -1
    history = body.history
    turned = np.abs(history["rotations"] - body["rotations"]).max((1, 2, 3))  # about radians, so metres on a body
    shifted = np.abs(history["root_translation"] - body["root_translation"]).max(1)
    return int(np.argmin(turned + shifted))


def stages_of(body: Body) -> list[dict[str, Any]]:
    """[{'from': first iteration, 'title': words}]: a stage begins where the silhouettes to be reached change."""
    targets = body.history["target_masks"]
    starts = [0, *(i for i in range(1, len(targets)) if (targets[i] != targets[i - 1]).any())]
    if len(starts) == 1 and targets[0][1:].any():
        return [{"from": 0, "title": STAGES[1]}]
    return [{"from": i, "title": STAGES[min(k, len(STAGES) - 1)]} for k, i in enumerate(starts)]


def terms_of(body: Body) -> tuple[list[str], list[list[float | None]]]:
    """Names of the terms that were used, and their costs (I, T); None where a stage left one out."""
    names = [str(n) for n in body.history["term_names"]]
    values = np.asarray(body.history["terms"], np.float64)
    used = [t for t in range(len(names)) if values[:, t].any()]
    return [names[t] for t in used], [[float(f"{v:.4g}") if v > 0 else None for v in row[used]] for row in values]


def agreement(mask: NDArray[np.uint8], target: NDArray[np.uint8]) -> float | None:
    """IoU of two soft masks; None where the side was not compared."""
    a, b = mask.astype(np.float64) / 255, target.astype(np.float64) / 255
    if not a.any() or not b.any():
        return None
    shared = float((a * b).sum())
    return round(shared / (float(a.sum() + b.sum()) - shared), 4)


def outline(body: Body, scale: float) -> list[list[float]]:
    """The body's outline in the photo, found on a grid of `scale` photo pixels: closed lines [x, y, x, y, ...]."""
    import cv2

    from pipelines.body.read_body import check_body, vertices_cam
    from pipelines.geometry.mesh_raster import rasterise_mesh

    width, height = (int(v) for v in body["image_size"])
    camera = Camera(body["K"], width, height, np.eye(4)).resized(
        max(2, round(width * scale)), max(2, round(height * scale))
    )
    mask = rasterise_mesh(vertices_cam(body), check_body(body).faces, camera).mask
    framed = np.pad(mask.astype(np.uint8), 1)  # a body at the picture's border is outlined there too
    lines, _ = cv2.findContours(framed, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    back = np.array([width / camera.width, height / camera.height])
    found = []
    for line in lines:
        if len(line) < 12:
            continue
        points = (
            cv2.approxPolyDP(line, ROUGH, True).reshape(-1, 2) - 0.5
        ) * back  # a pixel's middle, without the frame
        found.append([round(float(v), 1) for v in points.reshape(-1)])
    return found


def joints_moved(start: Body, end: Body) -> list[dict[str, Any]]:
    """Each of the 22 joints: how many mm it went, how many of them across the picture and how many away from the
    camera (negative: towards it); the farthest first."""
    from pipelines.body.joints import BODY22_NAMES

    way = 1000 * (np.asarray(end["body22_cam"], np.float64) - np.asarray(start["body22_cam"], np.float64))
    rows = [
        {"name": re.sub(r"(\d)", r" \1", name.replace("_", " ")), "mm": round(float(np.linalg.norm(w)), 1),
         "across": round(float(np.linalg.norm(w[:2])), 1), "away": round(float(w[2]), 1)}
        for name, w in zip(BODY22_NAMES, way, strict=True)
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row["mm"])


def body_of(reader: RunReader, step: str) -> Body:
    """The step's body."""
    record = reader.record(step)
    assert isinstance(record, Body)
    return record
