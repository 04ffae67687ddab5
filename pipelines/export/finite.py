"""What may leave: splats and triangles whose numbers a reader can use; the rest is left out and counted."""

from __future__ import annotations

import dataclasses

import numpy as np

from pipelines.records import Mesh, Splats
from pipelines.step import UserError


def finite_splats(splats: Splats) -> tuple[Splats, int]:
    """Splats with finite numbers, positive scales and a quaternion of some length; and how many were left
    out.

    UserError when none is left: an empty file would only look like a result.
    """
    parts = (splats.means, splats.quats, splats.scales, splats.opacities[:, None], splats.colours)
    keep = np.isfinite(np.concatenate(parts, axis=1)).all(axis=1)
    with np.errstate(invalid="ignore"):
        keep &= (splats.scales > 0).all(axis=1) & (np.linalg.norm(splats.quats, axis=1) > 1e-6)
    dropped = int(len(splats) - keep.sum())
    if dropped == len(splats):
        raise UserError(f"None of the {len(splats)} splats has finite numbers; run the step 'splats' again.")
    return (splats.select(keep) if dropped else splats), dropped


def finite_mesh(mesh: Mesh) -> tuple[Mesh, int]:
    """The mesh without triangles that touch a vertex with a number that is not finite; and how many were left
    out.

    Vertices are renumbered only when something was left out. UserError when no triangle is left.
    """
    numbers = np.concatenate([mesh.vertices, mesh.normals, mesh.uv], axis=1)
    good = np.isfinite(numbers).all(axis=1)
    good &= good[mesh.weld]
    keep = good[mesh.faces].all(axis=1)
    dropped = int(len(keep) - keep.sum())
    if dropped == len(keep):
        raise UserError(f"None of the {len(keep)} triangles has finite numbers; run the step 'mesh' again.")
    texture = mesh.texture if np.isfinite(mesh.texture).all() else np.nan_to_num(mesh.texture, posinf=1.0)
    if good.all():
        return (mesh if texture is mesh.texture else dataclasses.replace(mesh, texture=texture)), 0
    number = np.cumsum(good) - 1
    return (
        Mesh(
            vertices=mesh.vertices[good],
            faces=number[mesh.faces[keep]].astype(np.int32),
            normals=mesh.normals[good],
            uv=mesh.uv[good],
            texture=texture,
            seen=mesh.seen[good],
            weld=number[mesh.weld[good]].astype(np.int32),
        ),
        dropped,
    )


def left_out(dropped: int, what: str) -> str:
    """The end of a writer's sentence: '' or '; 3 splats that were not finite were left out'."""
    if not dropped:
        return ""
    return f"; {dropped:,} {what} with numbers that are not finite {'was' if dropped == 1 else 'were'} left out"
