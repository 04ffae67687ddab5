"""Artefacts made by hand: a file that a user puts in a step's place becomes a record of that step's type."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.hgm.records import BackView, BodyPoints
from pipelines.keypoints import Keypoints
from pipelines.matte import cutout_by_hand
from pipelines.records import Body, Cutout, Floats, Photo, Record, Splats
from pipelines.step import Step, UserError
from pipelines.store import load_record

READABLE = {
    Cutout: "a PNG or WebP mask", Keypoints: "a keypoints.json", Body: "a body.npz", Splats: "a 3DGS .ply",
    BackView: "a square picture of the person from behind", BodyPoints: "an .npz with 'vertices' and 'pelvis'",
}  # fmt: skip
PICTURES = (".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")


def read_replacement(step: Step, path: Path, photo: Photo | None) -> Record:
    """A file or a record folder -> a record of the step's type; UserError with what is needed otherwise."""
    if not path.exists():
        raise UserError(f"--replace {step.name} came with '{path}', and there is no such file; check the path.")
    try:
        record = _read(step, path, photo)
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise UserError(
            f"--replace {step.name} came with '{path.name}', which could not be read ({error}); "
            f"it needs {wanted(step)}."
        ) from error
    if not isinstance(record, step.output):
        raise UserError(f"--replace {step.name} came with a {record.kind}; it needs {wanted(step)}.")
    return record


def wanted(step: Step) -> str:
    """What can stand in a step's place, in words."""
    folder = f"a folder 'steps/{step.name}' of another run"
    return f"{READABLE[step.output]} or {folder}" if step.output in READABLE else folder


def readable_body(body: Body) -> Body:
    """A body that the steps after the fit can use; ValueError with what is wrong otherwise."""
    from pipelines.body.read_body import check_body

    check_body(body)
    for name, values in body.arrays.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(f"'{name}' holds numbers that are not finite")
    return body


def mask_of(image: Image.Image) -> Floats:
    """(H, W) 0..1: the picture's transparency if it has some, else how bright it is (white is the person)."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float32)
        return np.clip(values / (65535.0 if values.max() > 255 else 255.0 if values.max() > 1 else 1.0), 0, 1)
    if "A" in image.getbands() or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA"), np.float32)[..., 3] / 255.0
        if alpha.min() < 1.0:
            return alpha
    return np.asarray(image.convert("L"), np.float32) / 255.0


def _read(step: Step, path: Path, photo: Photo | None) -> Record:
    if path.is_dir():
        return load_record(path)
    suffix = path.suffix.lower()
    if step.output is BackView and suffix in PICTURES:
        with Image.open(path) as image:
            return BackView.from_picture(image)
    if step.output is BodyPoints and suffix == ".npz":
        return BodyPoints.from_npz(path)
    if step.output is Cutout and suffix in PICTURES:
        if photo is None:
            raise UserError("A mask needs the photo it belongs to; give the photo or --from RUN.")
        with Image.open(path) as image:
            return cutout_by_hand(photo, mask_of(image))
    if step.output is Keypoints and suffix == ".json":
        return Keypoints.from_json(json.loads(path.read_text()))
    if step.output is Body and suffix == ".npz":
        return readable_body(Body.from_npz(path))
    if step.output is Splats and suffix == ".ply":
        from pipelines.export.ply import read

        return read(path)
    raise UserError(f"--replace {step.name} came with '{path.name}'; it needs {wanted(step)}.")
