"""Contact sheet of the projection on photos, with scores in a table.

    python -m benchmarks.photo_sheet PHOTO... --out sheet_folder [--keep folder] [--mesh] [--set splats.count=30000]

A row shows the photo and the splats from 0 30 60 90 135 180 225 270 330 degrees; with `--mesh` follow the textured mesh
and its bare shape. `--keep` keeps photo, cut-out, landmarks and body between calls, so that only the projection is made
again. Pictures are for the eye; the front scores compare the photo's own camera with the cut-out at photo size.
`holes` is the worst share, over twelve azimuths, of the closed surface's picture that the splats leave open.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.body.fit_step import body_fit
from pipelines.geometry.mesh_picture import render_mesh
from pipelines.geometry.mesh_raster import rasterise_mesh
from pipelines.keypoints import keypoints
from pipelines.matte import matte
from pipelines.person import person
from pipelines.photo import photo, read_upload
from pipelines.projection.body_maps import body_maps
from pipelines.projection.columns import solid_surface
from pipelines.projection.layers import layers
from pipelines.projection.mesh import mesh
from pipelines.projection.splats import splats
from pipelines.projection.turntable import picture, pivot
from pipelines.records import Cutout, Mesh, Record, Splats, to_bytes
from pipelines.step import Context, Step, UserError
from pipelines.weights import Weights

BEFORE = (photo, person, matte, keypoints, body_fit)
PROJECTION = (body_maps, layers, splats)
AZIMUTHS = (0, 30, 60, 90, 135, 180, 225, 270, 330)


def make(
    path: Path, keep: Path | None, settings: dict[str, dict[str, Any]]
) -> tuple[dict[str, Record], dict[str, float]]:
    """All records of one photo up to the splats, by input name, and the CPU seconds of each step that ran."""
    records: dict[str, Record] = {"upload": read_upload(path)}
    seconds: dict[str, float] = {}
    for step in (*BEFORE, *PROJECTION):
        folder = keep / path.stem / step.name if keep and step in BEFORE else None
        name = step.name.replace(".", "_")
        if folder and folder.exists():
            records[name] = step.output.load(folder)
            continue
        start = time.process_time()
        records[name] = run(step, records, settings.get(step.name, {}))
        seconds[step.name] = time.process_time() - start
        if folder:
            folder.mkdir(parents=True)
            records[name].save(folder)
    return records, seconds


def run(step: Step, records: dict[str, Record], values: dict[str, Any]) -> Record:
    """One step on the records at hand."""
    inputs = {name: records[name] for name in step.inputs}
    return step.run(inputs, step.make_params(values), Context(step.name, weights=Weights().path))


def front_scores(cutout: Cutout, made: Splats, records: dict[str, Record]) -> dict[str, float]:
    """Front silhouette IoU, PSNR inside the matte (dB), and PSNR of the whole picture on white."""
    drawn = picture(made, records["body_fit"].camera)  # type: ignore[attr-defined]
    truth, found = cutout.alpha > 0.5, drawn[..., 3] > 0.5
    solid = cutout.alpha > 0.95
    inside = np.mean((on_white(drawn) - on_white(cutout.rgba))[solid] ** 2)
    whole = np.mean((on_white(drawn) - on_white(cutout.rgba)) ** 2)
    return {
        "iou": float((truth & found).sum() / max((truth | found).sum(), 1)),
        "psnr_inside": float(-10 * np.log10(inside)),
        "psnr_frame": float(-10 * np.log10(whole)),
    }


def on_white(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W, 4) -> (H, W, 3) on white."""
    return image[..., :3] * image[..., 3:] + 1 - image[..., 3:]


def holes(made: Splats, records: dict[str, Record], size: int = 512) -> float:
    """Largest share, over twelve azimuths, of the solid's picture (without its outermost 2 px) with alpha below 0.5."""
    body, of = records["body_fit"], records["layers"]
    vertices, faces = solid_surface(of.arrays, of.camera, 0.006, 4)  # type: ignore[attr-defined]
    camera = body.camera.square(size)  # type: ignore[attr-defined]
    worst = 0.0
    for azimuth in range(0, 360, 30):
        turned = camera.orbited(azimuth, None, pivot(body))  # type: ignore[arg-type]
        solid = rasterise_mesh(vertices, faces, turned).mask.astype(np.uint8)
        solid = cv2.erode(solid, np.ones((5, 5), np.uint8)) > 0
        worst = max(worst, float((picture(made, turned)[..., 3][solid] < 0.5).mean()))
    return worst


def sheet(records: dict[str, Record], size: int, surface: Mesh | None) -> NDArray[np.float32]:
    """The cut-out and the views of the splats; below them, of a mesh, textured and bare. Cropped to the person."""
    body, made = records["body_fit"], records["splats"]
    assert isinstance(made, Splats)
    camera = body.camera.square(size)  # type: ignore[attr-defined]
    cameras = [camera.orbited(a, None, pivot(body)) for a in AZIMUTHS]  # type: ignore[arg-type]
    photo_tile = on_white(square(records["matte"].rgba, size))  # type: ignore[attr-defined]
    rows = [[photo_tile, *(on_white(picture(made, c)) for c in cameras)]]
    if surface is not None:
        shape = {"normals": surface.normals, "uv": surface.uv, "texture": surface.texture}
        for mode in ("textured", "clay"):
            drawn = [render_mesh(surface.vertices, surface.faces, c, mode, **shape) for c in cameras]  # type: ignore
            rows.append([photo_tile, *map(on_white, drawn)])
    inked = np.stack([(tile < 0.98).any(-1) for row in rows for tile in row])
    across, down = (np.flatnonzero(inked.any(axes)) for axes in ((0, 1), (0, 2)))
    window = slice(max(down[0] - 4, 0), down[-1] + 5), slice(max(across[0] - 4, 0), across[-1] + 5)
    return np.vstack([np.hstack([tile[window] for tile in row]) for row in rows])


def square(image: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """A picture padded in the middle to a square and resized, as `Camera.square` does."""
    height, width = image.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    padded = np.zeros((side, side, 4), np.float32)
    padded[top : top + height, left : left + width] = image * np.where(image[..., 3:] > 0, 1, 0)
    resized = Image.fromarray(to_bytes(padded), "RGBA").resize((size, size), Image.Resampling.BOX)
    return np.asarray(resized).astype(np.float32) / 255.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for one PNG per photo")
    parser.add_argument("--keep", type=Path, help="folder for the records before the projection")
    parser.add_argument("--mesh", action="store_true", help="makes and shows the mesh too")
    parser.add_argument("--size", type=int, default=512, help="side of a view in px")
    parser.add_argument("--set", action="append", default=[], metavar="STEP.NAME=VALUE", help="a knob")
    given = parser.parse_args()
    settings: dict[str, dict[str, Any]] = {}
    for pair in given.set:
        name, value = pair.split("=", 1)
        step, knob = name.rsplit(".", 1)
        settings.setdefault(step, {})[knob] = value
    given.out.mkdir(parents=True, exist_ok=True)
    for path in given.photos:
        try:
            records, seconds = make(path, given.keep, settings)
        except UserError as error:
            print(f"{path.stem:24s} {error}")
            continue
        made, cutout = records["splats"], records["matte"]
        assert isinstance(made, Splats) and isinstance(cutout, Cutout)
        scores = front_scores(cutout, made, records) | {"holes": holes(made, records)}
        surface = None
        if given.mesh:
            start = time.process_time()
            surface = run(mesh, records, settings.get("mesh", {}))
            seconds["mesh"] = time.process_time() - start
            assert isinstance(surface, Mesh)
        Image.fromarray(to_bytes(sheet(records, given.size, surface))).save(given.out / f"{path.stem}.png")
        numbers = " ".join(f"{k} {v:.3f}" for k, v in scores.items())
        print(f"{path.stem:24s} {numbers} splats {len(made)} " + " ".join(f"{k} {v:.2f}s" for k, v in seconds.items()))


if __name__ == "__main__":
    main()
