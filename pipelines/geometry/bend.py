"""A surface bent to normals that are known better than its points.

Nehab et al., "Efficiently combining positions and normals for precise 3D geometry", SIGGRAPH 2005, with one number for
each vertex: how far it moves along its own normal. Least squares of three kinds, all as slopes (lengths over h, the mean
length of an edge):

    w_ij (n_ij . (x_i - x_j) / |e_ij|)^2    edges lie at right angles to the wanted normals
    CALM (t_i - mean of t_j)^2 / h^2        the Laplacian: neighbours move alike
    HOLD t_i^2 / h^2                        nobody moves for nothing
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix, diags
from scipy.sparse.linalg import cg

from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.surface import adjacency

Vectors = NDArray[np.float64]
CALM = 0.1
HOLD = 0.03
ENOUGH = 1e-3  # of the right side, where the descent ends


def bent(vertices: Vectors, faces: NDArray[np.int32], normals: Vectors, weight: NDArray[np.floating]) -> Vectors:
    """Vertices (V, 3) moved along their normals so that the surface (F, 3) has the wanted ones.

    normals (V, 3): unit length, outwards, in the vertices' frame. weight (V,) 0..1: how sure they are; 0 for none.
    """
    along = vertex_normals(vertices, faces)
    matrix, right, unit = equations(vertices, faces, along, normals, weight)
    moves, _ = cg(matrix, right, rtol=ENOUGH, maxiter=200, M=diags(1.0 / matrix.diagonal()))
    return vertices + along * (unit * moves)[:, None]


def equations(
    vertices: Vectors, faces: NDArray[np.int32], along: Vectors, normals: Vectors, weight: NDArray[np.floating]
) -> tuple[csr_matrix, Vectors, float]:
    """The normal equations of the moves, in mean lengths of an edge: matrix (V, V), right side (V,), that length.

    along (V, 3): which way each vertex moves.
    """
    count = len(vertices)
    links = adjacency(faces, count)
    pairs = links.tocoo()
    once = pairs.row < pairs.col
    i, j = pairs.row[once], pairs.col[once]
    edge = vertices[i] - vertices[j]
    length = np.linalg.norm(edge, axis=1)
    unit = float(length.mean())
    wanted = normals[i] + normals[j]
    wanted /= np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-9)
    scale = np.sqrt(weight[i] * weight[j]) / np.maximum(length, 1e-9)
    rows = np.tile(np.arange(len(i)), 2)
    values = unit * np.concatenate([scale * (wanted * along[i]).sum(1), -scale * (wanted * along[j]).sum(1)])
    slopes = coo_matrix((values, (rows, np.concatenate([i, j]))), (len(i), count)).tocsr()
    mean = diags(1.0 / np.maximum(np.asarray(links.sum(1)).ravel(), 1.0)) @ links
    apart = diags(np.ones(count)) - mean
    matrix = slopes.T @ slopes + CALM * (apart.T @ apart) + HOLD * diags(np.ones(count))
    return matrix.tocsr(), -(slopes.T @ (scale * (wanted * edge).sum(1))), unit
