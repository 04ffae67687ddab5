"""Developer script: export the helper vertices of the MakeHuman base mesh to `assets/body/helpers.npz`.

Run with an interpreter that has the `anny` package (0.6.2) and torch, from the repository root:

    ANNY_CACHE_DIR=<folder with 2 GB free> python -m training.export_helpers

Clothes, hair, eyes and lashes of the base mesh hang on vertices that are not part of the body: layers for tights,
skirt and hair, eyes and lashes. Our rig does not hold them. They are written here in the rig's own coefficients: each
helper vertex is fitted, by least squares over sampled phenotypes, as mean + coefficients (64) times directions, so
that one matrix product moves body and helpers together. Local changes and face actions stay the sparse rows they are.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import anny
import numpy as np
import torch

from pipelines.body.rig import default_rig
from training.export_anny import LOCAL_CHANGES, rounded_differences, sample_phenotypes, sparse_offsets, turned

# Base mesh index ranges (start, end): README of the base mesh. Joint cubes, tongue and teeth are left out.
GROUPS = {"eyes": (14598, 14742), "lashes": (14742, 14992), "tights": (15328, 18002), "skirt": (18002, 18722),
          "hair": (18722, 19150)}  # fmt: skip


def full_model(local: str) -> anny.Anny:
    """The package's model with every vertex of the base mesh, in double precision."""
    torch.set_num_threads(1)
    actions = "all" if local == "default" else None
    extra = {"facial_actions": actions} if actions else {}
    return anny.Anny(rig="anny", topology="makehuman", local_changes=local, skinning_method="lbs", **extra)


def shapes(model: anny.Anny, phenotypes: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """(P, 6) -> (P, N, 3) rest vertices of these ids, OpenCV axes."""
    n = len(model.local_change_labels)
    with torch.no_grad():
        c = model._get_phenotype_blendshape_coefficients(
            torch.as_tensor(phenotypes), torch.zeros(1, n).double(),
            torch.zeros(1, len(model.facial_action_labels)).double())  # fmt: skip
    rows = model.blendshapes[:, ids].numpy()
    out = model.template_vertices.numpy()[ids] + np.tensordot(c.numpy(), rows[: c.shape[1]], 1)
    return turned(out)


def helper_faces(base: Path, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Quads of the tights and skirt layers, as indices into `ids`."""
    place = np.full(19158, -1)
    place[ids] = np.arange(len(ids))
    found: dict[str, list[list[int]]] = {"tights": [], "skirt": [], "hair": []}
    group = ""
    for line in gzip.decompress(base.read_bytes()).decode().splitlines():
        if line.startswith("g "):
            group = line.split()[1].removeprefix("helper-")
        elif line.startswith("f ") and group in found:
            found[group].append([int(word.split("/")[0]) - 1 for word in line.split()[1:]])
    return {name: place[np.array(quads)].astype(np.uint16) for name, quads in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pack", type=Path, help="folder of the MakeHuman pack (for geometry/base.obj.gz)")
    parser.add_argument("--out", type=Path, default=Path("assets/body/helpers.npz"))
    arguments = parser.parse_args()
    model, default, rig = full_model("default"), anny.Anny(), default_rig()
    base_ids = np.asarray(default.base_mesh_vertex_indices)
    ids = np.concatenate([np.arange(*span) for span in GROUPS.values()])
    phenotypes, weights = sample_phenotypes(np.random.default_rng(7))
    pick = np.random.default_rng(8).choice(len(phenotypes), 3000, replace=False)
    train, held = pick[:2400], pick[2400:]
    table = rig.coefficients(torch.as_tensor(phenotypes), None).numpy()[:, :64]
    design = np.concatenate([np.ones((len(train), 1)), table[train]], 1) * np.sqrt(weights[train])[:, None]
    target = shapes(model, phenotypes[train], ids).reshape(len(train), -1) * np.sqrt(weights[train])[:, None]
    solved = np.linalg.lstsq(design, target, rcond=None)[0].reshape(65, -1, 3)
    body = rig.rest(phenotypes[held[:50]]).vertices - shapes(model, phenotypes[held[:50]], base_ids)
    print(f"body against the package: mean {1e3 * np.linalg.norm(body, axis=-1).mean():.3f} mm, "
          f"worst {1e3 * np.linalg.norm(body, axis=-1).max():.3f} mm")  # fmt: skip

    template = solved[0]
    reach = np.abs(rig.arrays.phenotype_table.reshape(-1, 64)).max(0)
    differences, steps = rounded_differences(solved[1:], reach * 0.5)
    rounded = np.cumsum(differences, axis=1, dtype=np.int32) * steps[:, None, None]
    error = template + np.tensordot(table[held], rounded, 1) - shapes(model, phenotypes[held], ids)
    size = 1e3 * np.linalg.norm(error, axis=-1)
    at = 0
    for name, (low, high) in GROUPS.items():
        part = size[:, at : at + high - low]
        print(f"{name}: mean {part.mean():.3f} mm, worst {part.max():.3f} mm")
        at += high - low

    first = len(model.blendshape_labels) - 2 * len(model.local_change_labels)
    labels = [label.split(":")[0] for label in model.blendshape_labels]
    assert labels[first] == "local_change" and labels[first - 1] != "local_change"
    blend = model.blendshapes.numpy()[:, ids]
    ends = []
    for parts in LOCAL_CHANGES.values():
        rows = [first + 2 * model.local_change_labels.index(p) for p in parts]
        ends += [rows, [r + 1 for r in rows]]
    local = sparse_offsets(turned(np.stack([blend[e].sum(0) for e in ends])), 3e-4, 1e-4)
    actions = len(model.facial_action_labels)
    assert tuple(model.facial_action_labels) == rig.expression_names
    face = sparse_offsets(turned(blend[first - actions : first]), 3e-4, 5e-5)
    assert tuple(model.bone_labels) == rig.bone_names
    dense = np.zeros((len(ids), len(rig.bone_names)))
    np.add.at(dense, (np.arange(len(ids))[:, None], model.vertex_bone_indices.numpy()[ids]),
              model.vertex_bone_weights.numpy()[ids])  # fmt: skip
    order = np.argsort(-dense, 1, kind="stable")[:, :9]
    top = np.take_along_axis(dense, order, 1)
    top = np.where(top < 1e-3, 0, top)
    top /= top.sum(1, keepdims=True)
    about = {"schema": "humanscope.helpers/1", "source": "anny base mesh (MakeHuman, CC0-1.0)",
             "axes": "opencv: x to the person's left, y down, z backwards; metres"}  # fmt: skip
    arrays = {
        "template": template.astype(np.float32), "basis": differences, "basis_steps": steps,
        "base_ids": ids.astype(np.uint16), "rig_base_ids": base_ids.astype(np.uint16),
        "group_names": np.array(list(GROUPS)), "group_sizes": np.array([b - a for a, b in GROUPS.values()]),
        "skin_indices": order.astype(np.uint8), "skin_weights": np.round(top * 65535).astype(np.uint16),
        "local_step": np.array(1e-4), "expression_step": np.array(5e-5),
        **{f"local_{k}": v for k, v in local.items()}, **{f"expression_{k}": v for k, v in face.items()},
        **{f"{name}_quads": quads for name, quads in helper_faces(
            arguments.pack / "geometry" / "base.obj.gz", ids).items()},
    }  # fmt: skip
    np.savez_compressed(arguments.out, about=np.array(json.dumps(about, sort_keys=True)), **arrays)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
