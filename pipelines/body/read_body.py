"""From a Body record to the posed body and back: vertices, joints, the same person in another pose.

A record holds rotations, a translation and a shape; vertices are recomputed here, always by the rig's own forward
pass, so that fit, pictures, binding and files agree.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.body.ground import world_from_camera
from pipelines.body.joints import body22
from pipelines.body.rig import BodyRig, PosedBody, RestBody, default_rig
from pipelines.records import Body

SCHEMA = "humanscope.body/1"
FRAME = "opencv-camera"
PARAMETERISATION = "anny-local-ref"
Floats = NDArray[np.float32]


def model_name(rig: BodyRig) -> str:
    """What `Body.texts['model']` must say for this rig."""
    return str(rig.about.get("model", "anny"))


def check_body(body: Body, rig: BodyRig | None = None) -> BodyRig:
    """The rig of a record; ValueError with a sentence when the record is of another model or frame."""
    rig = rig or default_rig()
    came = (body.texts.get("rotation_parameterisation"), body.texts.get("frame"))
    if came != (PARAMETERISATION, FRAME):
        raise ValueError(
            f"The body came as rotations '{came[0]}' in frame '{came[1]}'; this needs '{PARAMETERISATION}' in "
            f"'{FRAME}'. Convert it to the default body first."
        )
    if len(body["rotations"]) != rig.bone_count:
        raise ValueError(f"The body came with {len(body['rotations'])} bones; the default body has {rig.bone_count}.")
    return rig


def rest_body(body: Body, rig: BodyRig | None = None) -> RestBody:
    """The person's shape before posing (arrays in the rig's reference axes, metres)."""
    rig = check_body(body, rig)

    def given(name: str, size: int) -> NDArray[np.floating] | None:
        value = body.arrays.get(name)
        return value if value is not None and len(value) == size and np.any(value) else None

    phenotypes = body.arrays.get("phenotypes")
    return rig.rest(
        rig.default_phenotypes() if phenotypes is None else phenotypes,
        given("local_changes", len(rig.local_names)),
        given("expression", len(rig.expression_names)),
        given("length_scales", len(rig.length_names)),
    )


def posed(body: Body, rotations: NDArray[np.floating] | None = None, root_translation: NDArray | None = None,
          rig: BodyRig | None = None) -> PosedBody:  # fmt: skip
    """The rig's forward pass in the camera frame: vertices (V, 3), joints (J, 3), transforms (J, 4, 4) rest -> posed.

    rotations (J, 3, 3) and root_translation (3,) replace the record's own: the same person in another pose.
    """
    rig = check_body(body, rig)
    turns = body["rotations"] if rotations is None else rotations
    place = body["root_translation"] if root_translation is None else root_translation
    return rig.pose(rest_body(body, rig), turns, place)


def vertices_cam(body: Body) -> Floats:
    """(V, 3) metres, OpenCV camera frame."""
    return posed(body).vertices


def vertices_world(body: Body) -> Floats:
    """(V, 3) metres, display frame."""
    return to_world(body, vertices_cam(body))


def body_vertices(body: Body) -> tuple[Floats, NDArray[np.int32]]:
    """The visible surface: vertices (V, 3) metres in the display frame, faces (F, 3) counter-clockwise from outside.

    All vertices of the rig are there, so that indices stay; faces of the mouth cavity and behind the eyes are not.
    """
    rig = check_body(body)
    hidden = np.zeros(rig.vertex_count, bool)
    hidden[rig.vertices_of("inside")] = True
    return vertices_world(body), rig.faces[~hidden[rig.faces].any(1)].astype(np.int32)


def joints_world(body: Body) -> Floats:
    """(J, 3) metres, display frame."""
    return to_world(body, body["joints_cam"])


def to_world(body: Body, points: NDArray[np.floating]) -> Floats:
    """(N, 3) camera frame -> (N, 3) display frame, metres."""
    matrix = np.asarray(body["world_from_camera"], np.float64)
    return (np.asarray(points, np.float64) @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)


def project_cam(points: NDArray[np.floating], K: NDArray[np.floating]) -> Floats:
    """(N, 3) camera frame -> (N, 2) px."""
    homogeneous = np.asarray(points, np.float64) @ np.asarray(K, np.float64).T
    return (homogeneous[:, :2] / homogeneous[:, 2:]).astype(np.float32)


def make_body(
    *,
    rotations: NDArray[np.floating],
    root_translation: NDArray[np.floating],
    phenotypes: NDArray[np.floating],
    length_scales: NDArray[np.floating],
    K: NDArray[np.floating],
    image_size: tuple[int, int],
    pitch: float,
    texts: dict[str, str],
    arrays: dict[str, NDArray] | None = None,
    history: dict[str, NDArray] | None = None,
    rig: BodyRig | None = None,
) -> Body:
    """A complete record from a pose and a shape: joints, pixels, the 22 joints and the display frame follow.

    rotations (J, 3, 3) "anny-local-ref"; root_translation (3,) of the pelvis joint in the camera frame; pitch of the
    camera in radians (positive: it looks down). texts needs source and source_version; arrays are added as they are.
    """
    rig = rig or default_rig()
    f32: dict[str, Any] = {
        "K": K, "rotations": rotations, "root_translation": root_translation, "phenotypes": phenotypes,
        "length_scales": length_scales, "local_changes": np.zeros(len(rig.local_names)),
        "expression": np.zeros(len(rig.expression_names)), **(arrays or {}),
    }  # fmt: skip
    values = {k: np.asarray(v) for k, v in f32.items()}
    fields = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in values.items()}
    fields["K"] = np.asarray(K, np.float64)
    fields["image_size"] = np.array(image_size, np.int64)
    fields["joint_names"] = np.array(rig.bone_names, dtype="U")
    fields.setdefault("edited", np.zeros(rig.bone_count, bool))
    fields.setdefault("confidence", np.ones(rig.bone_count, np.float32))
    fields |= {"joints_cam": np.zeros((rig.bone_count, 3), np.float32), "body22_cam": np.zeros((22, 3), np.float32),
               "world_from_camera": np.eye(4)}  # fmt: skip
    header = {"schema": SCHEMA, "model": model_name(rig), "frame": FRAME,
              "rotation_parameterisation": PARAMETERISATION, **texts}  # fmt: skip
    return with_pose(Body(fields, header, history or {}), pitch=pitch, rig=rig)


def with_pose(body: Body, rotations: NDArray | None = None, root_translation: NDArray | None = None,
              pitch: float | None = None, rig: BodyRig | None = None) -> Body:  # fmt: skip
    """The record with another pose (or pitch of the camera); everything that follows from it is made anew."""
    rig = rig or default_rig()
    turns = np.asarray(body["rotations"] if rotations is None else rotations, np.float32)
    place = np.asarray(body["root_translation"] if root_translation is None else root_translation, np.float32)
    state = posed(body, turns, place, rig)
    soles = state.vertices[rig.vertices_of("sole_left", "sole_right")].astype(np.float64)
    if pitch is None:
        pitch = pitch_of(body)
    made = {
        "rotations": turns,
        "root_translation": place,
        "joints_cam": state.joints,
        "joints_px": project_cam(state.joints, body["K"]),
        "body22_cam": np.asarray(body22(rig, state.joints), np.float32),
        "world_from_camera": world_from_camera(
            place.astype(np.float64), turns[0].astype(np.float64), soles, float(pitch)
        ),
    }
    return dataclasses.replace(body, arrays={**body.arrays, **made})


def pitch_of(body: Body) -> float:
    """The camera's pitch in radians, from the record's display frame (positive: the camera looks down)."""
    up = np.asarray(body["world_from_camera"])[1, :3]
    return float(np.arctan2(-up[2], -up[1]))
