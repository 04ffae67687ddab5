"""What the estimator says about a synthetic photo: the real steps on the real JPEG, so that the error is the real one."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pipelines
from pipelines.records import Body, Record, Upload
from pipelines.step import Context, Step, UserError
from pipelines.weights import Weights

Settings = Mapping[str, Mapping[str, str]]


class Estimate(NamedTuple):
    """body: the fitted body, or None where the steps refused. refusal: their sentence, '' when there is a body."""

    body: Body | None
    refusal: str


def estimated(upload: Upload) -> Estimate:
    """Photo, person, cut-out, keypoints and fit on an upload, with their defaults. A refusal is an answer, not an error."""
    from pipelines.body.fit_step import body_fit
    from pipelines.keypoints import keypoints
    from pipelines.matte import matte
    from pipelines.person import person
    from pipelines.photo import photo

    try:
        body = through(upload, (photo, person, matte, keypoints, body_fit))["body_fit"]
    except UserError as refusal:
        return Estimate(None, str(refusal))
    assert isinstance(body, Body)
    return Estimate(body, "")


def through(upload: Upload, steps: Iterable[Step], settings: Settings | None = None) -> dict[str, Record]:
    """An upload through real steps, {record name ('.' written as '_'): record}; UserError as they raise it.

    settings: {step: {knob: text}}; everything else has its default.
    """
    records: dict[str, Record] = {"upload": upload}
    for step in steps:
        params = step.make_params((settings or {}).get(step.name, {}))
        inputs = {name: records[name] for name in step.inputs}
        records[step.name.replace(".", "_")] = step.run(inputs, params, Context(step.name, weights=Weights().path))
    return records


def estimate_of(seed: int, folder: Path) -> Estimate:
    """The estimate for the photo of `training.people.subject(seed)`, kept in `folder` per seed and version of the code.

    A fit of a few seconds is the dearest part of a person; what is kept is read without rendering anybody.
    """
    from training.people.grow import pack_place
    from training.people.lens import jpeg
    from training.people.streams import stream
    from training.people.subjects import portrait

    place = folder / f"{seed:04d}-{code_version(pack_place())}"
    if (place / "body.npz").exists():
        return Estimate(Body.load(place), "")
    if (place / "refusal.txt").exists():
        return Estimate(None, (place / "refusal.txt").read_text())
    found = estimated(Upload(jpeg(portrait(seed).pixels, stream(seed, "jpeg"))))
    keep(found, place)
    return found


def keep(found: Estimate, place: Path) -> None:
    """Write an estimate to a folder that appears whole or not at all; the history of the fit is left out."""
    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=place.parent, prefix=".making-"))
    if found.body is None:
        (made / "refusal.txt").write_text(found.refusal)
    else:
        Body(found.body.arrays, found.body.texts).save(made)
    try:
        os.replace(made, place)
    except OSError:  # another process was faster with the same answer
        for file in made.iterdir():
            file.unlink()
        made.rmdir()


@lru_cache(maxsize=2)
def code_version(pack: Path | None) -> str:
    """Digest of every source file, network and asset that decides what a photo shows and what the estimator says."""
    root, people = Path(pipelines.__file__).parent, Path(__file__).parent
    files = [root / f"{n}.py" for n in ("photo", "person", "matte", "keypoints")]
    files += [root / "geometry" / f"{n}.py" for n in ("cameras", "mesh_raster", "rotations")]
    for folder in (root / "landmarks", root / "body", people):
        files += sorted(folder.glob("*.py"))
    digest = hashlib.sha256(b"".join(f.read_bytes() for f in files))
    for role in ("landmarks", "body"):
        digest.update(Weights().fingerprint(role).encode())
    for file in sorted(pack.rglob("*")) if pack else []:
        digest.update(f"{file.relative_to(pack)} {file.stat().st_size}\n".encode())
    return digest.hexdigest()[:16]
