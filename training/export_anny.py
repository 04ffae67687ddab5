"""Developer script: export the Anny body model once to `assets/body/anny.npz`, plus golden forward passes.

Run with an interpreter that has the `anny` package (0.6.2) and torch, from the repository root:

    ANNY_CACHE_DIR=<folder with 2 GB free> python -m training.export_anny

Nothing else in the repository needs that package. What is stored, and why so small:

- Everything is turned from Anny's axes (x to the person's left, y backwards, z up) to the OpenCV axes of a person
  who faces the camera, (x, y, z) -> (x, -z, y), so that no code at run time ever changes axes.
- The phenotypes reach the shape through 624 blend shapes, each weighted by a product of hat functions. Such a map is
  multilinear between the anchors, so its values on the grid of anchors (2 x 4 x 3 x 3 x 2 x 2) say everything.
- The reached shapes span 136 dimensions. We keep the `RANK` directions of most variance over adults (and, with a
  smaller weight, children), around their mean. Coordinates are integers in steps such that rounding never moves a
  vertex by more than `ROUNDING` per direction, stored as differences of neighbouring vertices, which pack well.
- Local changes and face actions are sparse: indices and integer offsets only.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import itertools
import json
from pathlib import Path

import anny
import numpy as np
import roma
import torch
from anny.face_segmentation import get_face_segmentation_mask
from anny.keypoints import KeypointsRegressor

from training.anny_regions import label_parts, list_regions, mirror_map, mirror_names

RANK = 64
ROUNDING = 2e-5  # metres
EXPORT_VERSION = 1
TO_OPENCV = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])

# Name -> the MakeHuman changes (positive end) that are added up; the opposite ends make the negative half.
LOCAL_CHANGES: dict[str, tuple[str, ...]] = {
    "upper_leg_length": ("upperlegs-height-incr",),
    "lower_leg_length": ("lowerlegs-height-incr",),
    "upper_arm_length": ("measure-upperarm-length-incr",),
    "lower_arm_length": ("measure-lowerarm-length-incr",),
    "torso_length": ("torso-scale-vert-incr",),
    "torso_width": ("torso-scale-horiz-incr",),
    "torso_depth": ("torso-scale-depth-incr",),
    "torso_vshape": ("torso-vshape-incr",),
    "shoulder_width": ("measure-shoulder-dist-incr",),
    "hip_width": ("hip-scale-horiz-incr",),
    "hip_depth": ("hip-scale-depth-incr",),
    "hip_girth": ("measure-hips-circ-incr",),
    "waist_girth": ("measure-waist-circ-incr",),
    "bust_girth": ("measure-bust-circ-incr",),
    "breast_height": ("breast-trans-up",),
    "belly": ("stomach-pregnant-incr",),
    "belly_tone": ("stomach-tone-incr",),
    "buttocks": ("buttocks-volume-incr",),
    "neck_length": ("measure-neck-height-incr",),
    "neck_girth": ("measure-neck-circ-incr",),
    "head_height": ("head-scale-vert-incr",),
    "head_width": ("head-scale-horiz-incr",),
    "head_depth": ("head-scale-depth-incr", "head-back-scale-depth-incr"),
    "cheeks": ("head-fat-incr",),
    "thigh_girth": ("l-upperleg-fat-incr", "r-upperleg-fat-incr"),
    "calf_girth": ("measure-calf-circ-incr",),
    "upper_arm_girth": ("measure-upperarm-circ-incr",),
    "forearm_girth": ("l-lowerarm-fat-incr", "r-lowerarm-fat-incr"),
    "hand_size": ("l-hand-scale-incr", "r-hand-scale-incr"),
    "foot_size": ("l-foot-scale-incr", "r-foot-scale-incr"),
}


def turned(array: np.ndarray) -> np.ndarray:
    """(..., 3) Anny axes -> OpenCV axes."""
    return array @ TO_OPENCV.T


def turned_matrices(array: np.ndarray) -> np.ndarray:
    """(..., 3, 3) matrices that take bone axes to Anny axes -> to OpenCV axes."""
    return TO_OPENCV @ array


def phenotype_grid(model: anny.Anny) -> tuple[dict[str, list[float]], np.ndarray]:
    """Anchors of each phenotype within 0..1, and all corners (P, 6) in C order of the anchors."""
    anchors = {}
    for name in model.phenotype_labels:
        values = getattr(model.anchors, name).numpy()
        anchors[name] = [float(v) for v in values if v > -1e-9]
    corners = np.array(list(itertools.product(*anchors.values())), np.float64)
    return anchors, corners


def coefficients(model: anny.Anny, phenotypes: np.ndarray) -> np.ndarray:
    """(P, 6) phenotypes -> (P, 136) coefficients of the package's compact basis."""
    n = len(model.local_change_labels)
    with torch.no_grad():
        out = model._get_phenotype_blendshape_coefficients(
            torch.as_tensor(phenotypes), torch.zeros(1, n).double(), torch.zeros(1, 52).double()
        )
    return out[:, :136].numpy()


def sample_phenotypes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Phenotypes (N, 6) that the basis is fitted to, and their weights (N,)."""
    adults = rng.random((6000, 6))
    adults[:, 1] = 1 / 3 + adults[:, 1] * 2 / 3
    usual = adults.copy()
    usual[:, 2:] = 0.5 + (usual[:, 2:] - 0.5) * 0.7
    children = rng.random((1500, 6))
    children[:, 1] /= 3
    weights = np.concatenate([np.full(6000, 1.0), np.full(6000, 1.0), np.full(1500, 1.5)])
    return np.concatenate([adults, usual, children]), weights


def fit_basis(model: anny.Anny, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean coefficients (136,) and principal directions (136, rank) of the sampled shapes.

    The package's compact basis is orthonormal in its metric (mean squared vertex displacement plus small terms for
    bone heads and frames), so that ordinary principal components of the coefficients are the ones of the shapes.
    """
    phenotypes, weights = sample_phenotypes(np.random.default_rng(7))
    c = coefficients(model, phenotypes)
    mean = (weights[:, None] * c).sum(0) / weights.sum()
    _, _, rows = np.linalg.svd(np.sqrt(weights)[:, None] * (c - mean), full_matrices=False)
    directions = rows[:rank]
    peak = np.abs(directions).argmax(1)
    directions = directions * np.sign(directions[np.arange(rank), peak])[:, None]
    return mean, directions.T


def rounded_differences(basis: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R, V, 3) metres per unit, reach (R,) largest |coefficient| -> int16 differences along V, steps (R,)."""
    steps = 2 * ROUNDING / reach
    whole = np.round(basis / steps[:, None, None]).astype(np.int64)
    differences = np.diff(whole, axis=1, prepend=0)
    if np.abs(differences).max() > 32767:
        raise ValueError("A blend shape jumps by more than int16 holds between two vertices; raise ROUNDING.")
    return differences.astype(np.int16), steps.astype(np.float64)


def sparse_offsets(offsets: np.ndarray, smallest: float, step: float) -> dict[str, np.ndarray]:
    """(S, V, 3) metres -> rows that move by more than `smallest`: starts (S+1,), vertices, int16 offsets in steps."""
    starts, vertices, values = [0], [], []
    for block in offsets:
        moved = np.flatnonzero(np.abs(block).max(1) > smallest)
        vertices.append(moved)
        values.append(np.round(block[moved] / step))
        starts.append(starts[-1] + len(moved))
    whole = np.concatenate(values)
    assert np.abs(whole).max() < 32768
    return {
        "starts": np.array(starts, np.int32),
        "vertices": np.concatenate(vertices).astype(np.uint16),
        "offsets": whole.astype(np.int16),
    }


def local_rows(model: anny.Anny) -> list[tuple[list[int], list[int]]]:
    """For each of `LOCAL_CHANGES`, the blend shape rows of its positive and of its negative end."""
    first = len(model.blendshape_labels) - 2 * len(model.local_change_labels)
    labels = [label.split(":")[0] for label in model.blendshape_labels]
    assert labels[first] == "local_change" and labels[first - 1] != "local_change"
    rows = []
    for parts in LOCAL_CHANGES.values():
        at = [first + 2 * model.local_change_labels.index(p) for p in parts]
        rows.append((at, [a + 1 for a in at]))
    return rows


def regressors(model: anny.Anny) -> dict[str, np.ndarray]:
    """The 23-point regressor as sparse rows; weights below 1e-4 of a point are dropped, the rest sums to 1."""
    coco = KeypointsRegressor.coco(model)
    starts, vertices, weights = [0], [], []
    for row in coco.regression_weights.numpy():
        kept = np.flatnonzero(row > 1e-4 * row.max())
        vertices.append(kept)
        weights.append(row[kept] / row[kept].sum())
        starts.append(starts[-1] + len(kept))
    return {
        "keypoint_names": np.array(coco.labels),
        "keypoint_starts": np.array(starts, np.int32),
        "keypoint_vertices": np.concatenate(vertices).astype(np.uint16),
        "keypoint_weights": np.concatenate(weights).astype(np.float32),
    }


def segmentation(model: anny.Anny) -> dict[str, np.ndarray]:
    """Vertex ids of the package's own segmentation picture, by its labels."""
    faces = model.faces.numpy()
    labels = ["head", "hand.L", "hand.R", "foot.L", "foot.R", "mouth_cavity", "tongue"]
    labels += [f"{part}.{side}" for part in ("eye_cavity", "eye_front", "eye_back") for side in "LR"]
    return {name: np.unique(faces[get_face_segmentation_mask(model, [name]).numpy()]) for name in labels}


def collect(model: anny.Anny, rank: int) -> dict[str, np.ndarray]:
    """All arrays of the npz."""
    B = model.blendshapes.numpy()
    heads, frames = model.bone_heads_blendshapes.numpy(), model.bone_orientation_blendshapes.numpy()
    mean, Q = fit_basis(model, rank)
    anchors, corners = phenotype_grid(model)
    table = (coefficients(model, corners) - mean) @ Q
    shape = [len(a) for a in anchors.values()]

    def combine(template: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return template + np.tensordot(mean, rows[:136], 1), np.tensordot(Q.T, rows[:136], 1)

    vertices, vertex_basis = combine(model.template_vertices.numpy(), B)
    bone_heads, head_basis = combine(model.template_bone_heads.numpy(), heads)
    bone_frames, frame_basis = combine(model.bone_template_orientation_matrices.numpy(), frames)
    vertices = turned(vertices)
    differences, steps = rounded_differences(turned(vertex_basis), np.abs(table).max(0))

    ends = [end for pair in local_rows(model) for end in pair]
    local = sparse_offsets(turned(np.stack([B[e].sum(0) for e in ends])), 1e-4, 2e-5)
    face = sparse_offsets(turned(B[136:188]), 1e-4, 2e-5)
    indices = model.vertex_bone_indices.numpy()
    weights = model.vertex_bone_weights.numpy()
    weights = np.where(weights < 1e-4, 0.0, weights)
    weights = weights / weights.sum(1, keepdims=True)
    order = np.argsort(-weights, 1, kind="stable")
    weights, indices = np.take_along_axis(weights, order, 1), np.take_along_axis(indices, order, 1)
    indices = np.where(weights > 0, indices, 0)
    faces = model.faces.numpy()
    pairs = mirror_map(turned(model.template_vertices.numpy()))
    names = list(model.bone_labels)
    ears = ear_vertices(model)
    marks = regressors(model)
    regions = segmentation(model)
    part, part_names = label_parts(vertices, faces, indices, weights, names, pairs, regions, ears, marks)
    lists = list_regions(vertices, faces, part, part_names, pairs, regions)
    return {
        "template": vertices.astype(np.float32),
        "faces": faces.astype(np.uint16),
        "uv": model.texture_coordinates.numpy().astype(np.float32),
        "uv_faces": model.face_texture_coordinate_indices.numpy().astype(np.uint16),
        "basis": differences,
        "basis_steps": steps,
        "phenotype_names": np.array(model.phenotype_labels),
        **{f"anchors_{name}": np.array(values, np.float64) for name, values in anchors.items()},
        "phenotype_table": table.reshape(*shape, rank).astype(np.float32),
        "local_names": np.array(list(LOCAL_CHANGES)),
        **{f"local_{key}": value for key, value in local.items()},
        "expression_names": np.array(model.facial_action_labels),
        **{f"expression_{key}": value for key, value in face.items()},
        "offset_step": np.array(2e-5),
        "bone_names": np.array(names),
        "parents": np.array(model.bone_parents, np.int16),
        "bone_heads": turned(bone_heads).astype(np.float32),
        "bone_heads_basis": turned(head_basis).astype(np.float32),
        "bone_heads_local": turned(np.stack([heads[e].sum(0) for e in ends])).astype(np.float32),
        "bone_frames": turned_matrices(bone_frames).astype(np.float32),
        "bone_frames_basis": turned_matrices(frame_basis).astype(np.float32),
        "bone_frames_local": turned_matrices(np.stack([frames[e].sum(0) for e in ends])).astype(np.float32),
        "reference_frames": turned_matrices(model.reference_bone_orientations.numpy()).astype(np.float32),
        "skin_indices": indices.astype(np.uint8),
        "skin_weights": weights.astype(np.float32),
        **marks,
        "mirror": pairs.astype(np.uint16),
        "mirror_bones": mirror_names(names).astype(np.uint8),
        "part": part,
        "part_names": np.array(part_names),
        **{f"list_{key}": value.astype(np.uint16) for key, value in lists.items()},
    }


def ear_vertices(model: anny.Anny) -> np.ndarray:
    """Vertices that follow "move the ear forward" almost wholly: the ears without the skin around them."""
    found = []
    for side in "lr":
        row = model.blendshapes[model.blendshape_labels.index(f"local_change:{side}-ear-trans-forward")].numpy()
        size = np.linalg.norm(row, axis=1)
        found.append(np.flatnonzero(size > 0.9 * size.max()))
    return np.unique(np.concatenate(found))


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """One npz without pickle, with its description and a hash over all arrays."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    about = {
        "schema": "humanscope.rig/1",
        "export_version": EXPORT_VERSION,
        "source": "anny " + importlib.metadata.version("anny"),
        "axes": "opencv: x to the person's left, y down, z backwards; metres",
        "rank": int(arrays["basis"].shape[0]),
        "rounding_m": ROUNDING,
        "licence": "Anny code Apache-2.0 (NAVER Corp.); MakeHuman/MPFB data CC0-1.0; see LICENSE and NOTICE beside",
        "arrays_sha256": digest.hexdigest(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, about=np.array(json.dumps(about, sort_keys=True)), **arrays)


def build_model() -> anny.Anny:
    """The package's default rig with every local change and face action, in double precision."""
    torch.set_num_threads(1)
    return anny.Anny(local_changes="default", facial_actions="all", skinning_method="lbs")


def golden(model: anny.Anny, cases: int = 6, points: int = 200) -> dict[str, np.ndarray]:
    """Forward passes of the package itself, in its own axes: random shapes and poses, sampled vertices, all joints.

    Case 0 is the default adult in the reference pose; cases 1 to 3 are adults, 4 is a child, 5 an adult at the ends
    of all ranges. Local changes are in cases 2 and 5, face actions in case 3; every bone turns by about 0.4 rad.
    """
    rng = np.random.default_rng(20)
    bones = len(model.bone_labels)
    phenotypes = rng.random((cases, 6))
    phenotypes[:, 1] = 1 / 3 + phenotypes[:, 1] * 2 / 3
    phenotypes[0] = [0.5, 0.67, 0.5, 0.5, 0.4, 0.5]
    phenotypes[4, 1] = 0.2
    phenotypes[5] = [1.0, 1.0, 0.0, 1.0, 1.0, 0.0]
    changes = np.zeros((cases, len(LOCAL_CHANGES)))
    changes[[2, 5]] = rng.uniform(-1, 1, (2, len(LOCAL_CHANGES)))
    actions = np.zeros((cases, len(model.facial_action_labels)))
    actions[3] = rng.random(actions.shape[1])
    vectors = rng.normal(0, 0.25, (cases, bones, 3))
    vectors[0] = 0.0
    rotations = roma.rotvec_to_rotmat(torch.as_tensor(vectors))
    translations = rng.normal(0, 1, (cases, 3))
    labels = {part for parts in LOCAL_CHANGES.values() for part in parts}
    local = {
        label: torch.as_tensor(sum(changes[:, i] for i, p in enumerate(LOCAL_CHANGES.values()) if label in p))
        for label in labels
    }
    delta = torch.eye(4).double().repeat(cases, bones, 1, 1)
    delta[:, :, :3, :3] = rotations
    delta[:, 0, :3, 3] = torch.as_tensor(translations)
    with torch.no_grad():
        made = model(delta, torch.as_tensor(phenotypes), local, torch.as_tensor(actions))
        keypoints = KeypointsRegressor.coco(model)(made).numpy()
    ids = np.sort(rng.choice(len(model.template_vertices), points, replace=False))
    return {
        "phenotypes": phenotypes,
        "local": changes,
        "expression": actions.astype(np.float32),
        "rotations": rotations.numpy().astype(np.float32),
        "translations": translations,
        "vertex_ids": ids,
        "rest_vertices": made["rest_vertices"].numpy()[:, ids].astype(np.float32),
        "rest_heads": made["rest_bone_heads"].numpy().astype(np.float32),
        "rest_frames": made["rest_bone_poses"].numpy()[:, :, :3, :3].astype(np.float32),
        "vertices": made["vertices"].numpy()[:, ids].astype(np.float32),
        "joints": made["bone_poses"].numpy()[:, :, :3, 3].astype(np.float32),
        "keypoints": keypoints.astype(np.float32),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("assets/body/anny.npz"))
    parser.add_argument("--golden", type=Path, default=Path("tests/golden/body"))
    parser.add_argument("--rank", type=int, default=RANK)
    arguments = parser.parse_args()
    model = build_model()
    arrays = collect(model, arguments.rank)
    write(arguments.out, arrays)
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].nbytes)[:6]:
        print(f"{name:24s} {array.shape!s:20s} {array.dtype} {array.nbytes / 1e6:.2f} MB raw")
    arguments.golden.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.golden / "anny_forward.npz", **golden(model))
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
