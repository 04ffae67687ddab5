"""Fit the body to photos and look at it from the side: one row of pictures per photo, and its side numbers.

    python -m benchmarks.fit_photos PHOTO... --out SHEET.png [--set fov=35] [--cache FOLDER]

A fit must never be judged on 2D numbers alone: a leaning body, a half squat and a split in depth all project well.
Columns: the photo; the body over the photo; seen from the person's left; from the right; from behind; from above the
shoulder. The line is the ground, y = 0.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipelines.body.body_numbers import side_numbers
from pipelines.body.fit_step import body_fit
from pipelines.body.read_body import body_vertices
from pipelines.geometry.cameras import Camera
from pipelines.geometry.mesh_raster import interpolate, rasterise_mesh, vertex_normals
from pipelines.records import Body, Cutout, Keypoints
from pipelines.step import Context
from pipelines.weights import Weights

HEIGHT = 360
VIEWS = ((90.0, None), (-90.0, None), (180.0, None), (40.0, 35.0))


def evidence_of(path: Path, cache: Path | None) -> tuple[Cutout, Keypoints]:
    """Cut-out and landmarks of a photo by the project's own steps; from `cache` when they lie there."""
    folders = [cache / f"{path.stem}.{kind}" for kind in ("cutout", "keypoints")] if cache else []
    if folders and all(f.exists() for f in folders):
        return Cutout.load(folders[0]), Keypoints.load(folders[1])
    from pipelines.keypoints import keypoints
    from pipelines.matte import matte
    from pipelines.person import person
    from pipelines.photo import photo, read_upload

    records: dict = {"upload": read_upload(path)}
    for step in (photo, person, matte, keypoints):
        inputs = {name: records[name] for name in step.inputs}
        records[step.name] = step.run(inputs, step.make_params({}), Context(step.name, weights=Weights().path))
    for folder, name in zip(folders, ("matte", "keypoints"), strict=False):
        folder.mkdir(parents=True, exist_ok=True)
        records[name].save(folder)
    return records["matte"], records["keypoints"]


def shaded(body: Body, camera: Camera) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(H, W, 3) grey clay lit from the camera, and where it is."""
    vertices, faces = body_vertices(body)
    image = rasterise_mesh(vertices, faces, camera)
    normals = interpolate(image, faces, vertex_normals(vertices, faces)) @ camera.world_to_camera[:3, :3].T
    light = np.clip(0.25 + 0.75 * -normals[..., 2], 0, 1)
    return light[..., None] * np.array([0.85, 0.8, 0.75]), image.mask


def view(body: Body, azimuth: float, elevation: float | None) -> Image.Image:
    """The body from around it, with a line on the ground along the picture and one towards the camera."""
    vertices, _ = body_vertices(body)
    pivot = np.array([0.0, (vertices[:, 1].max() + vertices[:, 1].min()) / 2, 0.0])
    camera = body.camera
    # A level camera at the photo's distance, so that the vertical of the picture is the vertical of the world.
    camera = camera.orbited(azimuth, 0.0 if elevation is None else elevation, pivot)
    side = max(camera.width, camera.height)
    K = np.array(camera.K, np.float64)
    K[0, 2], K[1, 2] = side * 0.35, side / 2
    reach = np.linalg.norm(camera.position - pivot)
    fill = 0.85 * side / (K[1, 1] * max(np.ptp(vertices[:, 1]), 1.2) / reach)
    K[0, 0] *= fill
    K[1, 1] *= fill
    camera = Camera(K, round(side * 0.7), side, camera.world_to_camera).resized(round(HEIGHT * 0.7), HEIGHT)
    colour, mask = shaded(body, camera)
    picture = np.where(mask[..., None], colour, 0.97)
    image = Image.fromarray((picture * 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    right = camera.world_to_camera[0, :3] * (1, 0, 1)
    away = camera.world_to_camera[2, :3] * (1, 0, 1)
    for direction in (right, away):
        ends, depth = camera.project(np.array([-0.5 * direction, 0.5 * direction]))
        if (depth > 0.1).all():
            draw.line([tuple(p) for p in ends], fill=(200, 30, 30), width=1)
    top, _ = camera.project(np.array([[0.0, 0.0, 0.0], [0.0, 1.8, 0.0]]))
    draw.line([tuple(p) for p in top], fill=(170, 190, 230), width=1)
    return image


def row_of(name: str, matte: Cutout, keypoints: Keypoints, body: Body, text: str) -> Image.Image:
    """One photo's row."""
    white = matte.rgb * matte.alpha[..., None] + 1 - matte.alpha[..., None]
    h, w = matte.alpha.shape
    size = (max(1, round(w * HEIGHT / h)), HEIGHT)
    photo = Image.fromarray((white * 255).astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)
    colour, mask = shaded(body, body.camera.resized(*size))
    over = np.asarray(photo).astype(float) / 255
    over = np.where(mask[..., None], 0.4 * over + 0.6 * colour * np.array([0.6, 0.8, 1.0]), over)
    overlay = Image.fromarray((over * 255).astype(np.uint8))
    draw = ImageDraw.Draw(overlay)
    for x, y, visible, _ in keypoints.body:
        at = (x * size[0] / w, y * size[1] / h)
        shade = (230, 40, 40) if visible > 0.5 else (240, 180, 60)
        draw.ellipse([at[0] - 2, at[1] - 2, at[0] + 2, at[1] + 2], fill=shade)
    pictures = [photo, overlay, *(view(body, a, e) for a, e in VIEWS)]
    row = Image.new("RGB", (sum(p.width for p in pictures), HEIGHT + 16), "white")
    x = 0
    for picture in pictures:
        row.paste(picture, (x, 16))
        x += picture.width
    ImageDraw.Draw(row).text((4, 2), f"{name}  {text}", fill="black")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a knob of body.fit")
    parser.add_argument("--cache", type=Path, help="folder that keeps cut-outs and landmarks between runs")
    args = parser.parse_args()
    params = body_fit.make_params(dict(pair.split("=", 1) for pair in args.set))
    rows = []
    for path in args.photos:
        matte, keypoints = evidence_of(path, args.cache)
        started = time.process_time()
        ctx = Context("body.fit")
        body = body_fit.run({"matte": matte, "keypoints": keypoints}, params, ctx)
        assert isinstance(body, Body)
        seconds = time.process_time() - started
        numbers = side_numbers(body)
        text = (
            f"2D {float(body['reprojection_pct']):.2f} %  inside {float(body['inside_mask']):.2f}  "
            f"lean {float(body['lean_before_deg']):.1f} -> {numbers['lean_deg']:.1f}  knees "
            f"{numbers['knee_left_deg']:.0f} {numbers['knee_right_deg']:.0f}  ankles {numbers['ankles_pct']:.1f} %  "
            f"foot plane {numbers['foot_plane_mm']:.0f} mm  age {body['phenotypes'][1]:.2f}  {seconds:.2f} s"
        )
        print(path.stem, text, *ctx.warnings, flush=True)
        rows.append(row_of(path.stem, matte, keypoints, body, text))
    sheet = Image.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)), "white")
    y = 0
    for row in rows:
        sheet.paste(row, (0, y))
        y += row.height
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out)


if __name__ == "__main__":
    main()
