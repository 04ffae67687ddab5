"""The MakeHuman pack's assets: read once per process, fitted to a person at rest, then skinned like the body.

A garment's vertex is a weighted sum of three vertices of the base mesh plus an offset scaled by the body's own size
(.mhclo); its pieces are the connected components of the mesh. Display axes are MakeHuman's own (y up, facing +z).
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from training.people.helpers_mesh import Posed, apply_rows, skin_rows, whole_mesh
from training.people.shell import shell

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Asset:
    """reference (V, 3) rig vertices with shares (V, 3); offset (V, 3); scales: axis -> (rig vertex, rig vertex, length).
    faces, uv, uv_faces; piece (V,) component; weights (V, J); hides (B,) body vertices under it; template (V, 3) on the
    average adult; near (V,) nearest shell vertex and gap (V,) metres to it."""

    reference: Ints
    shares: Array
    offset: Array
    scales: tuple[tuple[int, int, float], ...]
    faces: Ints
    uv: Array
    uv_faces: Ints
    piece: Ints
    weights: Array
    hides: NDArray[np.bool_]
    template: Array
    near: Ints
    gap: Array


@lru_cache(maxsize=64)
def asset(pack: str, folder: str, name: str = "") -> Asset:
    """An asset of the pack by its folder below geometry/ (and its file's name where there are several). FileNotFoundError
    with a sentence when it is not there."""
    place = Path(pack) / "geometry" / folder
    found = sorted(place.glob(f"{name or '*'}.mhclo"))
    if not found:
        raise FileNotFoundError(f"The pack has no asset {folder}/{name}; look into its folder 'geometry'.")
    mesh = whole_mesh()
    reference, shares, offset, scales, removed = read_mhclo(found[0])
    uv, faces, uv_faces = read_obj(found[0].with_suffix(".obj.gz"))
    reference = mesh.place[reference]
    positive = np.maximum(shares, 0)
    positive /= positive.sum(1, keepdims=True)
    weights = sum(mesh.weights[reference[:, k]] * positive[:, k : k + 1] for k in range(3))
    hides = np.zeros(mesh.body, bool)
    hides[[v for v in mesh.place[removed[removed < 13380]] if v < mesh.body]] = True
    own = tuple((int(mesh.place[i]), int(mesh.place[j]), length) for i, j, length in scales)
    template = fitted(mesh.template, reference, shares, offset, own)
    hides &= ~bare_above(template, np.unique(faces))
    gap, near = cKDTree(shell().points).query(template)
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    piece = connected_components(coo_matrix((np.ones(len(pairs)), pairs.T), (len(template),) * 2), directed=False)[1]
    return Asset(reference, shares, offset, own, faces, uv, uv_faces, piece.astype(np.int64), weights, hides, template,
                 near, gap)  # fmt: skip


def bare_above(template: Array, used: Ints) -> NDArray[np.bool_]:
    """(B,) vertices of head and neck that no cloth reaches up to. Hidden all the same (as some of the pack's garments
    have it), they would leave holes in the throat over a collar."""
    mesh = whole_mesh()
    rig, cloth = mesh.rig, template[used]
    bare = np.isin(rig.part, [rig.part_names.index(n) for n in ("neck", "head", "face", "scalp")])
    points = mesh.template[: mesh.body][bare]
    cloth = cloth[cloth[:, 1] > points[:, 1].min() - 0.04]
    if len(cloth):
        around = cKDTree(cloth).query_ball_point(points, 0.04)
        heights = points[:, 1]
        bare[bare] = [not len(n) or cloth[n, 1].max() < y for n, y in zip(around, heights, strict=True)]
    return bare


@lru_cache(maxsize=128)
def pieces(
    pack: str, folder: str, wanted: tuple[int, ...], name: str = ""
) -> tuple[Ints, Ints, NDArray[np.bool_], Array]:
    """Of an asset's pieces (all for ()): faces, UV faces, body vertices they hide, and (S,) the shell's cover (positive
    where cloth lies over it, 2 cm inside the borders)."""
    a, mesh, s = asset(pack, folder, name), whole_mesh(), shell()
    faces, uv_faces, hides = a.faces, a.uv_faces, a.hides
    if wanted:
        keep = np.isin(a.piece[faces[:, 0]], wanted)
        faces, uv_faces = faces[keep], uv_faces[keep]
        worn = cKDTree(a.template[np.unique(faces)])
        hides = hides & (worn.query(mesh.template[: mesh.body])[0] < 0.05)
    used = np.unique(faces)
    from training.people.cut import border_edges

    rim = np.unique(border_edges(faces))
    distance, _ = cKDTree(a.template[used]).query(s.points)
    rim_distance = cKDTree(a.template[rim]).query(s.points)[0] if len(rim) else np.full(len(s.points), 1.0)
    over = np.where((distance < 0.04) & (rim_distance > 0.035), 0.05, -0.05)
    # A collar of two layers has no border along its top edge, which would keep the cover off the throat.
    over[s.near_body[bare_above(a.template, used) & (s.near_body >= 0)]] = -0.05
    return faces, uv_faces, hides, over


def fitted(
    rest: Array, reference: Ints, shares: Array, offset: Array, scales: tuple[tuple[int, int, float], ...]
) -> Array:
    """(V, 3) an asset's vertices on a body at rest; rest (N, 3) of the whole mesh."""
    factor = np.array([abs(rest[i, k] - rest[j, k]) / length for k, (i, j, length) in enumerate(scales)])
    total = rest[reference[:, 0]] * shares[:, :1]
    for k in (1, 2):
        total = total + rest[reference[:, k]] * shares[:, k : k + 1]
    return total + offset * factor


def on_person(a: Asset, body: Posed) -> tuple[Array, Array]:
    """Rest positions (V, 3) of an asset on a person, and its blended transforms (V, 12)."""
    return fitted(body.rest, a.reference, a.shares, a.offset, a.scales), skin_rows(a.weights, body.transforms)


def posed(a: Asset, body: Posed) -> Array:
    """(V, 3) an asset on a posed person."""
    points, rows = on_person(a, body)
    return apply_rows(rows, points)


def read_obj(path: Path) -> tuple[Array, Ints, Ints]:
    """UVs, triangles, UV triangles of a gzipped OBJ."""
    uvs, faces, uv_faces = [], [], []
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        if line.startswith("vt "):
            uvs.append([float(w) for w in line.split()[1:3]])
        elif line.startswith("f "):
            pairs = [w.split("/") for w in line.split()[1:]]
            for k in range(1, len(pairs) - 1):
                faces.append([int(pairs[i][0]) - 1 for i in (0, k, k + 1)])
                uv_faces.append([int(pairs[i][1]) - 1 for i in (0, k, k + 1)])
    return np.array(uvs), np.array(faces, np.int64), np.array(uv_faces, np.int64)


def read_mhclo(path: Path) -> tuple[Ints, Array, Array, list[tuple[int, int, float]], Ints]:
    """Base mesh vertices (V, 3), shares (V, 3), offsets (V, 3), scales in the order x, y, z, hidden body vertices."""
    rows: list[list[float]] = []
    scales: dict[str, tuple[int, int, float]] = {}
    removed: list[int] = []
    section = ""
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scales[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] in ("verts", "delete_verts"):
            section = words[0]
        elif section == "verts" and words[0].lstrip("-").isdigit():
            v = [float(w) for w in words]
            rows.append(v if len(v) == 9 else [v[0], v[0], v[0], 1, 0, 0, 0, 0, 0])
        elif section == "delete_verts":
            for word in " ".join(words).replace(" - ", "-").split():
                low, _, high = word.partition("-")
                removed += range(int(low), int(high or low) + 1)
    table = np.array(rows)
    return (table[:, :3].astype(np.int64), table[:, 3:6], table[:, 6:], [scales[c] for c in "xyz"],
            np.array(removed, np.int64))  # fmt: skip
