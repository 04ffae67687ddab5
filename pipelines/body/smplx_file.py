"""SMPL-X from the official `SMPLX_*.npz` that a user has: safe reading and the forward pass.

Facts of the model (Pavlakos et al. 2019): 10,475 vertices, 55 joints, y up, the face to +z, x to the person's left,
T-pose, the pelvis joint some 35 cm below the origin. Rotations are relative to the parent joint; the root turns about
the pelvis *joint*, so that a change of frame changes the translation, too (`change_frame`). With J = J_regressor v:
v' = v_template + shapedirs [betas, expression] + posedirs vec(R_1..54 - I), then linear blend skinning.

The official file holds pickled objects beside its arrays; `smplx_pickle` reads of them arrays only.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.body.kinematics import BoneTree
from pipelines.body.rig import PosedBody, Values, as_tensors, out
from pipelines.body.skinning import apply_blended, blend
from pipelines.body.smplx_pickle import read_array

VERTICES, JOINTS = 10475, 55
LARGEST_FILE = 2_000_000_000  # bytes unpacked; the official file holds about 0.3 GB

JOINT_NAMES: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "jaw", "left_eye", "right_eye",
    *(f"{side}_{finger}{k}" for side in ("left", "right")
      for finger in ("index", "middle", "pinky", "ring", "thumb") for k in (1, 2, 3)),
)  # fmt: skip

# Shape and expression directions by the number of columns of shapedirs.
_SHAPE_COLUMNS = {400: (300, 100), 20: (10, 10)}


@dataclass(frozen=True)
class SmplxRest:
    """vertices (V, 3) shaped, T-pose; joints (55, 3); metres, SMPL-X axes (y up, face to +z)."""

    vertices: Any
    joints: Any


class SmplxModel:
    """The forward pass. numpy in, numpy float32 out; torch in, torch out, differentiable."""

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        self.template = arrays["v_template"]
        self.shapedirs, self.expressiondirs = arrays["shapedirs"], arrays["expressiondirs"]
        self.posedirs = arrays["posedirs"]
        self.weights = arrays["weights"]
        self.faces = arrays["f"].astype(np.int32)
        self.parents = arrays["parents"]
        self.tree = BoneTree(self.parents.tolist())
        self.joint_template, self.joint_shapedirs = arrays["joint_template"], arrays["joint_shapedirs"]
        self.joint_expressiondirs = arrays["joint_expressiondirs"]
        self.hands_mean = arrays.get("hands_mean")
        self._tensors: dict[tuple[torch.dtype, torch.device], dict[str, Tensor]] = {}

    @classmethod
    def load(cls, path: str | Path) -> SmplxModel:
        """Read an official SMPL-X npz. Raises FileNotFoundError, or ValueError with what is wrong with the file."""
        return cls(read_smplx(path))

    @property
    def vertex_count(self) -> int:
        return len(self.template)

    def subset(self, vertex_ids: NDArray[np.integer]) -> SmplxModel:
        """The model of these vertices only (no faces); joints unchanged."""
        ids = np.asarray(vertex_ids)
        return SmplxModel({
            "v_template": self.template[ids], "shapedirs": self.shapedirs[ids],
            "expressiondirs": self.expressiondirs[ids], "posedirs": self.posedirs[ids], "weights": self.weights[ids],
            "f": np.zeros((0, 3), np.int32), "parents": self.parents, "joint_template": self.joint_template,
            "joint_shapedirs": self.joint_shapedirs, "joint_expressiondirs": self.joint_expressiondirs,
        })  # fmt: skip

    def tensors(self, like: Tensor) -> dict[str, Tensor]:
        key = (like.dtype, like.device)
        if key not in self._tensors:
            names = ("template", "shapedirs", "expressiondirs", "posedirs", "weights", "joint_template",
                     "joint_shapedirs", "joint_expressiondirs")  # fmt: skip
            self._tensors[key] = {n: torch.as_tensor(getattr(self, n)).to(*key[::-1]) for n in names}
        return self._tensors[key]

    def rest(self, betas: Values, expression: Values | None = None) -> SmplxRest:
        """betas (n <= 300,) and expression (m <= 100,), missing ones are zero."""
        (b, e), numpy = as_tensors(betas, expression)
        t = self.tensors(b)
        if b.shape[-1] > t["shapedirs"].shape[-1]:
            raise ValueError(f"{b.shape[-1]} betas came; this file has {t['shapedirs'].shape[-1]}.")
        vertices = t["template"] + t["shapedirs"][..., : b.shape[-1]] @ b
        joints = t["joint_template"] + t["joint_shapedirs"][..., : b.shape[-1]] @ b
        if e is not None:
            vertices = vertices + t["expressiondirs"][..., : e.shape[-1]] @ e
            joints = joints + t["joint_expressiondirs"][..., : e.shape[-1]] @ e
        return SmplxRest(out(vertices, numpy), out(joints, numpy))

    def pose(self, rest: SmplxRest, rotations: Values, translation: Values) -> PosedBody:
        """rotations (55, 3, 3) relative to the parents, root first; translation (3,) added to everything.

        Returns vertices (V, 3), joints (55, 3), transforms (55, 4, 4) in the frame the root's rotation leads to.
        """
        values, numpy = as_tensors(rest.vertices, rest.joints, rotations, translation)
        vertices, joints, rotations, translation = values
        if tuple(rotations.shape) != (JOINTS, 3, 3):
            raise ValueError(f"Rotations came as {tuple(rotations.shape)}; SMPL-X needs (55, 3, 3).")
        t = self.tensors(vertices)
        feature = (rotations[1:] - torch.eye(3).to(rotations)).flatten()
        bent = vertices + (t["posedirs"].flatten(0, 1) @ feature).unflatten(0, (-1, 3))
        offsets = joints - joints[self.tree.parents.to(joints.device)]
        world, posed = self.tree.to(joints.device).compose(rotations, offsets, joints[0] + translation)
        shift = posed - (world @ joints[..., None])[..., 0]
        transforms = torch.cat([world, shift[..., None]], -1)
        skinned = apply_blended(bent, blend(t["weights"], transforms))
        last = torch.tensor([0.0, 0.0, 0.0, 1.0]).to(transforms).expand(JOINTS, 1, 4)
        return PosedBody(*(out(x, numpy) for x in (skinned, posed, torch.cat([transforms, last], -2))))


def change_frame(rotation: NDArray[np.floating], translation: NDArray[np.floating], pelvis: NDArray[np.floating],
                 change: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """Root rotation (3, 3) and translation (3,) of the same body after the world turns by `change` (3, 3).

    pelvis (3,): the rest pelvis joint. x -> C x turns the root to C R, and since the root turns about the pelvis the
    translation becomes C (pelvis + t) - pelvis.
    """
    by, joint = np.asarray(change, np.float64), np.asarray(pelvis, np.float64)
    return by @ np.asarray(rotation, np.float64), by @ (joint + np.asarray(translation)) - joint


def read_smplx(path: str | Path) -> dict[str, NDArray[Any]]:
    """Arrays of an official SMPL-X npz, shapes checked, in float32; joints regressed once."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no SMPL-X file {path.name}. Download SMPLX_NEUTRAL.npz from the SMPL-X site with your own "
            "licence and name its place."
        )
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path.name} is no npz archive. SMPL-X is read from SMPLX_NEUTRAL.npz; the .pkl form is not read."
        )
    with zipfile.ZipFile(path) as archive:
        held = {Path(name).stem for name in archive.namelist() if name.endswith(".npy")}
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST_FILE:
            raise ValueError(f"{path.name} unpacks to more than {LARGEST_FILE // 10**9} GB; that is no SMPL-X file.")
        needed = ["v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table", "f"]
        missing = [key for key in needed if key not in held]
        if missing:
            raise ValueError(
                f"{path.name} has no {', '.join(missing)}; an SMPL-X npz holds {', '.join(needed)}. "
                "Is it SMPL or a parameter file instead of the model?"
            )
        raw = {key: read_array(archive, key) for key in needed}
        hands = {k: read_array(archive, k) for k in ("hands_meanl", "hands_meanr") if k in held}
    _check_shapes(path.name, raw)
    shape_count, expression_count = _SHAPE_COLUMNS[raw["shapedirs"].shape[2]]
    directions = raw["shapedirs"].astype(np.float32)
    regressor = raw["J_regressor"].astype(np.float64)
    parents = raw["kintree_table"][0].astype(np.int64).copy()
    parents[0] = -1
    joint_dirs = np.tensordot(regressor, raw["shapedirs"], (1, 0)).astype(np.float32)
    arrays = {
        "v_template": raw["v_template"].astype(np.float32),
        "shapedirs": directions[..., :shape_count],
        "expressiondirs": directions[..., shape_count : shape_count + expression_count],
        "posedirs": raw["posedirs"].astype(np.float32),
        "weights": raw["weights"].astype(np.float32),
        "f": raw["f"],
        "parents": parents,
        "joint_template": (regressor @ raw["v_template"]).astype(np.float32),
        "joint_shapedirs": joint_dirs[..., :shape_count],
        "joint_expressiondirs": joint_dirs[..., shape_count : shape_count + expression_count],
    }
    if len(hands) == 2:
        arrays["hands_mean"] = np.stack([hands["hands_meanl"], hands["hands_meanr"]]).astype(np.float32)
    return arrays


def _check_shapes(name: str, raw: dict[str, NDArray[Any]]) -> None:
    """Shapes of the published model; raises ValueError that names the entry, what came and what is needed."""
    wanted: dict[str, tuple[int | None, ...]] = {
        "v_template": (VERTICES, 3), "shapedirs": (VERTICES, 3, None), "posedirs": (VERTICES, 3, 9 * (JOINTS - 1)),
        "J_regressor": (JOINTS, VERTICES), "weights": (VERTICES, JOINTS), "kintree_table": (2, JOINTS), "f": (None, 3),
    }  # fmt: skip
    for key, shape in wanted.items():
        came = raw[key].shape
        if len(came) != len(shape) or any(w is not None and w != c for w, c in zip(shape, came, strict=True)):
            text = " x ".join("n" if w is None else str(w) for w in shape)
            raise ValueError(f"{name}: {key} came as {' x '.join(map(str, came))}; SMPL-X needs {text}.")
        if raw[key].dtype.kind not in "fiu" or (raw[key].dtype.kind == "f" and not np.isfinite(raw[key]).all()):
            raise ValueError(f"{name}: {key} holds something else than finite numbers; fetch the file again.")
    if raw["shapedirs"].shape[2] not in _SHAPE_COLUMNS:
        raise ValueError(
            f"{name}: shapedirs has {raw['shapedirs'].shape[2]} columns; 400 (300 shape, 100 expression) or 20 "
            "(10 and 10) are known."
        )
    if raw["f"].min() < 0 or raw["f"].max() >= VERTICES:
        raise ValueError(f"{name}: a face names a vertex outside 0..{VERTICES - 1}; fetch the file again.")
