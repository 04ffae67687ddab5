"""Cutting a body model down to some of its vertices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipelines.body.rig_file import RigArrays


def subset_arrays(arrays: RigArrays, ids: NDArray[np.int64]) -> RigArrays:
    """The model with the vertices `ids` (N,) only, in that order.

    Faces wholly inside stay; keypoint regressors and the mirror map do not survive a cut and are left empty where a
    vertex they need is missing (mirror: -1). Raises ValueError for repeated or unknown vertices.
    """
    count = len(arrays.template)
    if ids.ndim != 1 or len(np.unique(ids)) != len(ids) or (len(ids) and (ids.min() < 0 or ids.max() >= count)):
        raise ValueError(f"A subset needs different vertex ids between 0 and {count - 1} in one dimension.")
    place = np.full(count, -1)
    place[ids] = np.arange(len(ids))
    kept = (place[arrays.faces] >= 0).all(1)
    moved = place[arrays.expression_vertices]
    rows = []
    names = []
    for name, (vertices, weights) in zip(arrays.keypoint_names, arrays.keypoint_rows, strict=True):
        if (place[vertices] >= 0).all():
            names.append(name)
            rows.append((place[vertices], weights))
    return replace(
        arrays,
        template=arrays.template[ids],
        basis=np.ascontiguousarray(arrays.basis[:, ids]),
        local=np.ascontiguousarray(arrays.local[:, ids]),
        expression=np.ascontiguousarray(arrays.expression[:, moved >= 0]),
        expression_vertices=moved[moved >= 0],
        faces=place[arrays.faces[kept]].astype(np.int32),
        uv_faces=arrays.uv_faces[kept],
        skin_indices=arrays.skin_indices[ids],
        skin_weights=arrays.skin_weights[ids],
        keypoint_names=tuple(names),
        keypoint_rows=tuple(rows),
        mirror=place[arrays.mirror[ids]],
        part=arrays.part[ids],
        lists={name: place[v][place[v] >= 0] for name, v in arrays.lists.items()},
    )
