"""Reading `assets/body/anny.npz`: integers and sparse rows back to plain float arrays (see training/export_anny.py)."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SCHEMA = "humanscope.rig/1"
DEFAULT_PATH = Path(__file__).resolve().parents[2] / "assets" / "body" / "anny.npz"


@dataclass(frozen=True)
class RigArrays:
    """Everything a body needs, in OpenCV axes (x to the person's left, y down, z backwards) and metres.

    V vertices, F triangles, J bones, R shape directions, L local changes, E face actions. Rows of `*_local` come in
    pairs: 2 i for values above zero of local change i, 2 i + 1 for the size of values below zero.
    """

    about: dict[str, object]
    template: NDArray[np.float32]  # (V, 3)
    basis: NDArray[np.float32]  # (R, V, 3)
    local: NDArray[np.float32]  # (2L, V, 3)
    expression: NDArray[np.float32]  # (E, H, 3), on the vertices `expression_vertices`
    expression_vertices: NDArray[np.int64]  # (H,)
    faces: NDArray[np.int32]  # (F, 3)
    uv: NDArray[np.float32]  # (T, 2), origin at the lower left
    uv_faces: NDArray[np.int32]  # (F, 3)
    anchors: tuple[NDArray[np.float64], ...]  # per phenotype
    phenotype_table: NDArray[np.float32]  # (2, 4, 3, 3, 2, 2, R)
    phenotype_names: tuple[str, ...]
    local_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    bone_names: tuple[str, ...]
    parents: NDArray[np.int64]  # (J,), -1 for the root
    mirror_bones: NDArray[np.int64]  # (J,)
    bone_heads: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]  # mean, (R,J,3), (2L,J,3)
    bone_frames: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]  # mean, (R,J,3,3), (2L,J,3,3)
    reference_frames: NDArray[np.float32]  # (J, 3, 3)
    skin_indices: NDArray[np.int64]  # (V, 9)
    skin_weights: NDArray[np.float32]  # (V, 9), rows sum to 1
    keypoint_names: tuple[str, ...]
    keypoint_rows: tuple[tuple[NDArray[np.int64], NDArray[np.float32]], ...]  # vertex ids and weights of each point
    mirror: NDArray[np.int64]  # (V,)
    part: NDArray[np.uint8]  # (V,)
    part_names: tuple[str, ...]
    lists: dict[str, NDArray[np.int64]]


def read_rig(path: str | Path | None = None) -> RigArrays:
    """Read the exported body model.

    Raises FileNotFoundError when there is no such file, ValueError when it is of another schema.
    """
    path = Path(path) if path is not None else DEFAULT_PATH
    if not path.is_file():
        raise FileNotFoundError(
            f"The body model {path.name} is not at {path.parent}. It is part of the repository (assets/body); "
            "fetch it again, or write it with training/export_anny.py."
        )
    with np.load(path, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    about = json.loads(str(data["about"])) if "about" in data else {}
    if about.get("schema") != SCHEMA:
        raise ValueError(
            f"{path.name} has schema {about.get('schema')!r}; this version reads {SCHEMA!r}. "
            "Write the file again with training/export_anny.py."
        )
    steps = data["basis_steps"][:, None, None]
    basis = (np.cumsum(data["basis"], axis=1, dtype=np.int32) * steps).astype(np.float32)
    count = basis.shape[1]
    step = float(data["offset_step"])
    expression = dense_rows(data, "expression", count, step)
    moved = np.flatnonzero(np.any(expression != 0, axis=(0, 2)))
    names = {key: tuple(str(n) for n in data[f"{key}_names"]) for key in
             ("phenotype", "local", "expression", "bone", "keypoint", "part")}  # fmt: skip
    starts = data["keypoint_starts"]
    rows = tuple(
        (data["keypoint_vertices"][a:b].astype(np.int64), data["keypoint_weights"][a:b])
        for a, b in itertools.pairwise(starts)
    )
    return RigArrays(
        about=about,
        template=data["template"],
        basis=basis,
        local=dense_rows(data, "local", count, step),
        expression=np.ascontiguousarray(expression[:, moved]),
        expression_vertices=moved,
        faces=data["faces"].astype(np.int32),
        uv=data["uv"],
        uv_faces=data["uv_faces"].astype(np.int32),
        anchors=tuple(data[f"anchors_{name}"] for name in names["phenotype"]),
        phenotype_table=data["phenotype_table"],
        phenotype_names=names["phenotype"],
        local_names=names["local"],
        expression_names=names["expression"],
        bone_names=names["bone"],
        parents=data["parents"].astype(np.int64),
        mirror_bones=data["mirror_bones"].astype(np.int64),
        bone_heads=(data["bone_heads"], data["bone_heads_basis"], data["bone_heads_local"]),
        bone_frames=(data["bone_frames"], data["bone_frames_basis"], data["bone_frames_local"]),
        reference_frames=data["reference_frames"],
        skin_indices=data["skin_indices"].astype(np.int64),
        skin_weights=data["skin_weights"],
        keypoint_names=names["keypoint"],
        keypoint_rows=rows,
        mirror=data["mirror"].astype(np.int64),
        part=data["part"],
        part_names=names["part"],
        lists={name[5:]: data[name].astype(np.int64) for name in data if name.startswith("list_")},
    )


def dense_rows(data: dict[str, np.ndarray], key: str, count: int, step: float) -> NDArray[np.float32]:
    """Sparse integer rows `key_starts`, `key_vertices`, `key_offsets` -> (S, count, 3) metres."""
    starts = data[f"{key}_starts"]
    out = np.zeros((len(starts) - 1, count, 3), np.float32)
    row = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    out[row, data[f"{key}_vertices"]] = data[f"{key}_offsets"] * np.float32(step)
    return out
