"""NPZ: every array of the run by name, for numpy, MATLAB, Julia and R.

Source: numpy's format, without pickle. Names: splats_*, mesh_* (the fields of the records), body_* (the
fields of the body, among them rotations and joints), keypoints_*, camera_K (3, 3) pixels, camera_size (width,
height), camera_world_to_camera (4, 4), turntable_* for the cameras of the turntable; texts: frame,
body_frame, command, run (the run record as JSON).
Frame: splats, mesh and cameras in `bundle.FRAME`; body_* and keypoints_* in the photo's camera (x right, y
down, z forward), joined by body_world_from_camera.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.export.bundle import Bundle, need, words
from pipelines.export.finite import finite_mesh, finite_splats, left_out
from pipelines.records import Record, read_arrays, write_arrays


def write(bundle: Bundle, path: Path) -> str:
    """Write all arrays that the run has; the body must be there. Returns one sentence."""
    body = need(bundle, "body")
    camera = body.camera
    arrays: dict[str, NDArray] = {
        "frame": np.array(words(bundle)),
        "body_frame": np.array("OpenCV camera of the photo: x right, y down, z forward, metres."),
        "command": np.array(bundle.command),
        "run": np.array(json.dumps(bundle.run, sort_keys=True)),
        "camera_K": camera.K,
        "camera_size": np.array([camera.width, camera.height]),
        "camera_world_to_camera": camera.world_to_camera,
        **{f"body_{name}": value for name, value in body.arrays.items()},
        **{f"body_text_{name}": np.array(value) for name, value in body.texts.items()},
    }
    dropped = ""
    if bundle.splats is not None:
        splats, count = finite_splats(bundle.splats)
        dropped += left_out(count, "splats")
        arrays |= arrays_of("splats", splats)
    if bundle.mesh is not None:
        mesh, count = finite_mesh(bundle.mesh)
        dropped += left_out(count, "triangles")
        arrays |= arrays_of("mesh", mesh)
    if bundle.keypoints is not None:
        values = {f.name: getattr(bundle.keypoints, f.name) for f in dataclasses.fields(bundle.keypoints)}
        arrays |= {f"keypoints_{name}": np.asarray(value) for name, value in values.items() if value is not None}
    if bundle.turntable is not None:
        cameras = bundle.turntable.cameras
        arrays["turntable_K"] = np.stack([c.K for c in cameras])
        arrays["turntable_size"] = np.array([[c.width, c.height] for c in cameras])
        arrays["turntable_world_to_camera"] = np.stack([c.world_to_camera for c in cameras])
    # numpy would put its own suffix on a path that lacks it, so the bytes are written by name.
    write_arrays(Path(path), arrays)
    return f"Wrote {len(arrays)} named arrays{dropped}."


def arrays_of(prefix: str, record: Record) -> dict[str, NDArray]:
    """A record's fields that are arrays, by prefixed names."""
    fields = {f"{prefix}_{f.name}": getattr(record, f.name) for f in dataclasses.fields(record)}  # type: ignore[arg-type]
    return {name: value for name, value in fields.items() if isinstance(value, np.ndarray)}


def read(path: Path) -> dict[str, NDArray]:
    """The named arrays; pickled content is refused."""
    return read_arrays(Path(path))
