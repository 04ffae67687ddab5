"""The fitted body for the page: over the photo before and after, from the side, iteration by iteration, in 3D."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from pipelines.export.bundle import Bundle
from pipelines.geometry.cameras import Camera
from pipelines.records import Body, Photo
from ui.inspect_numbers import Facts, to_json
from ui.inspect_photo import DISPLAY_PIXELS, webp
from ui.run_reader import RunReader
from ui.sheets import COLUMNS, FRAMES, cut, sheet, turned

POSE = ("rotations", "root_translation", "phenotypes", "length_scales", "local_changes")
FIT_PIXELS = 400
STRENGTH = 0.78  # of the body over the photo


def over_photo(reader: RunReader, step: str, which: str) -> bytes:
    """The photo with the body projected into it: 'first' iteration, or 'last' (the result)."""
    body = _body(reader, step)
    shown = at_iteration(body, 0) if which == "first" and iterations(body) else body
    return webp(laid_over(reader.photo_pixels, shown, DISPLAY_PIXELS))


def side(reader: RunReader, step: str, argument: str) -> bytes:
    """The body from its left side, upright in the display frame, on a line for the ground."""
    from pipelines.body.read_body import body_vertices
    from pipelines.geometry.cameras import look_at
    from pipelines.geometry.mesh_picture import render_mesh

    vertices, faces = body_vertices(_body(reader, step))
    low, high = vertices.min(0), vertices.max(0)
    middle, tall = (low + high) / 2, float((high - low).max())
    size, distance = 900, 40.0 * tall  # from far away: nearly without perspective, so that a lean can be seen
    focal = size * 0.86 * distance / tall
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    camera = Camera(K, size, size, look_at(middle, distance, 90.0, 0.0))
    picture = render_mesh(vertices, faces, camera, "clay")
    ground = camera.project(np.array([[middle[0], 0.0, middle[2]]]))[0][0, 1]
    row = int(np.clip(round(float(ground)), 1, size - 2))
    line = np.zeros_like(picture)
    line[row - 1 : row + 1, size // 12 : -size // 12] = (0.45, 0.47, 0.5, 1.0)
    alpha = np.maximum(picture[..., 3:], line[..., 3:])
    rgb = picture[..., :3] * picture[..., 3:] + line[..., :3] * (1 - picture[..., 3:]) * line[..., 3:]
    return webp(np.concatenate([rgb / np.maximum(alpha, 1e-4), alpha], 2))


def fit_sheet(reader: RunReader, step: str, argument: str) -> bytes:
    """The body over the photo at the chosen iterations, cut to the person, as a sheet."""
    body, photo = _body(reader, step), reader.photo_pixels
    states = [at_iteration(body, i) for i in chosen(body)] or [body] * COLUMNS
    low, high, side = person_square(body)
    left, top = (int(v) for v in ((low + high - side) / 2).round())
    scale = FIT_PIXELS / side
    # Drawn small: the photo is reduced first, and the camera with it.
    small = photo_at(photo, scale)
    window = (round(left * scale), round(top * scale), FIT_PIXELS)
    frames = [cut(laid_over(small, state, max(small.size)), *window) for state in states]
    return sheet(frames, FIT_PIXELS)


def fit_curves(reader: RunReader, step: str, argument: str) -> bytes:
    """Cost of every term over all iterations, and which iterations the sheet shows."""
    body = _body(reader, step)
    picked = chosen(body)
    names = [str(n) for n in body.history.get("term_names", [])]
    values = np.asarray(body.history.get("terms", np.zeros((0, 0))), np.float64)
    used = [t for t in range(len(names)) if np.any(values[:, t])]
    low, high, side = person_square(body)
    wide = min(1.0, (high[0] - low[0]) / side + 0.26)  # of the square pictures, what the person takes
    return to_json({
        "wide": round(wide, 3), "iterations": picked or [0] * COLUMNS, "last": max(iterations(body) - 1, 0),
        "names": [names[t].replace("_", " ") for t in used], "values": values[:, used].tolist(),
    })  # fmt: skip


def scene(reader: RunReader, step: str, style: str) -> bytes:
    """The body as a recorded scene."""
    from pipelines.export.viser_scene import scene_bytes

    return scene_bytes(Bundle(body=_body(reader, step)), layers=("body",))


def frames(reader: RunReader, step: str, style: str) -> bytes:
    """One turn around the body."""
    from pipelines.body.read_body import body_vertices
    from pipelines.geometry.mesh_picture import render_mesh

    body = _body(reader, step)
    vertices, faces = body_vertices(body)
    return turned(vertices, body, lambda camera: render_mesh(vertices, faces, camera, "clay"), min(24, FRAMES))


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """What the fit says of itself."""
    body = _body(reader, step)
    rows: Facts = []
    for name, label, form in (
        ("reprojection_pct", "Keypoints off by", "{:.2f} % of the height"), ("inside_mask", "Inside the cut-out", "{:.0%}"),
        ("lean_deg", "Lean", "{:+.1f} degrees"), ("lean_before_deg", "Lean, first guess", "{:+.1f} degrees"),
    ):  # fmt: skip
        if name in body.arrays and np.ndim(body[name]) == 0:
            rows.append((label, form.format(float(body[name]))))
    if "surface_mm" in body.arrays:
        rows.append(("Skin to surface", f"{float(body['surface_mm']):.1f} mm, median"))
    if "outside_surface" in body.arrays:
        rows.append(("Skin above the surface", f"{float(body['outside_surface']):.0%}"))
    if iterations(body):
        rows.append(("Iterations", str(iterations(body))))
    rows += [("Model", body.texts.get("model", "unknown")), ("Source", body.texts.get("source", "unknown"))]
    return to_json(rows)


def iterations(body: Body) -> int:
    """How many iterations the fit recorded."""
    return len(body.history.get("rotations", ()))


def chosen(body: Body) -> list[int]:
    """The iterations that the sheet shows: at most FRAMES, first and last among them, a multiple of six in all."""
    total = iterations(body)
    if not total:
        return []
    count = min(FRAMES, -(-total // COLUMNS) * COLUMNS)
    return [round(i * (total - 1) / max(count - 1, 1)) for i in range(count)]


def at_iteration(body: Body, i: int) -> Body:
    """The body as it was at one iteration."""
    old = {name: body.history[name][i] for name in POSE if name in body.history and len(body.history[name]) > i}
    return dataclasses.replace(body, arrays={**body.arrays, **old}, history={})


def laid_over(photo: Photo, body: Body, longer_side: int) -> NDArray[np.float32]:
    """(h, w, 4): the body in clay over the photo, with at most `longer_side` pixels on the longer side; transparent
    where the photo is and no body lies over it."""
    from pipelines.body.read_body import check_body, vertices_cam
    from pipelines.geometry.mesh_picture import render_mesh

    if longer_side < max(photo.size):
        photo = photo_at(photo, longer_side / max(photo.size))
    width, height = photo.size
    whole_width, whole_height = (int(v) for v in body["image_size"])
    camera = Camera(body["K"], whole_width, whole_height, np.eye(4)).resized(width, height)
    picture = render_mesh(vertices_cam(body), check_body(body).faces, camera, "clay")
    alpha = picture[..., 3:] * STRENGTH
    tint = picture[..., :3] * np.array([0.72, 0.93, 1.0], np.float32)
    ground = np.ones((height, width, 1), np.float32) if photo.alpha is None else photo.alpha[..., None]
    both = alpha + ground * (1 - alpha)
    rgb = (tint * alpha + photo.rgb * ground * (1 - alpha)) / np.maximum(both, 1e-4)
    return np.concatenate([rgb, both], 2).astype(np.float32)


def photo_at(photo: Photo, scale: float) -> Photo:
    """The photo resized by a factor."""
    from PIL import Image

    from pipelines.records import to_bytes

    size = (max(1, round(photo.size[0] * scale)), max(1, round(photo.size[1] * scale)))

    def smaller(values: NDArray[np.float32]) -> NDArray[np.float32]:
        image = Image.fromarray(to_bytes(values)).resize(size, Image.Resampling.LANCZOS)
        return (np.asarray(image, np.float32) / 255).astype(np.float32)

    return Photo(smaller(photo.rgb), None if photo.alpha is None else smaller(photo.alpha))


def person_square(body: Body) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Lowest and highest corner of the joints in the photo (2,), and the side of the square around them, in pixels."""
    joints = np.asarray(body["joints_px"], np.float64) if "joints_px" in body.arrays else _joints(body)
    low, high = joints.min(0), joints.max(0)
    return low, high, int(np.ceil(1.35 * (high - low).max()))


def _body(reader: RunReader, step: str) -> Body:
    record = reader.record(step)
    assert isinstance(record, Body)
    return record


def _joints(body: Body) -> NDArray[np.float64]:
    homogeneous = np.asarray(body["joints_cam"], np.float64) @ np.asarray(body["K"], np.float64).T
    return homogeneous[:, :2] / homogeneous[:, 2:]
