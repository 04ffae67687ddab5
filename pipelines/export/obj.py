"""OBJ with its material (MTL) and texture (PNG), for the oldest programs.

Source: Wavefront, "Object Files" and the MTL format. `person.obj` gets the siblings `person.mtl` and
`person.png` (blanks in the name become underscores there, because many readers cut a file name at a blank).
Positions are written welded, so that the surface stays watertight; texture coordinates and normals are
written per corner. OBJ's texture origin is the LOWER left, as in the record.
Frame: `bundle.FRAME`, said in a comment line. The attribute `seen` has no place in OBJ.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.export.bundle import FRAME, Bundle, need, words
from pipelines.export.finite import finite_mesh, left_out
from pipelines.export.glb import png
from pipelines.records import Mesh


def write(bundle: Bundle, path: Path) -> str:
    """Write `path` and beside it the .mtl and the .png; returns one sentence."""
    mesh, dropped = finite_mesh(need(bundle, "mesh"))
    path = Path(path)
    material, texture = siblings(path)
    texture.write_bytes(png(mesh.texture))
    material.write_text(
        "newmtl person\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nillum 1\nd 1\n" + f"map_Kd {texture.name}\n",
        encoding="utf-8",
    )
    path.write_text(to_text(mesh, material.name, words(bundle)), encoding="utf-8")
    return (
        f"Wrote {len(mesh.faces):,} triangles, with {material.name} and {texture.name} beside it"
        f"{left_out(dropped, 'triangles')}."
    )


def siblings(path: Path) -> tuple[Path, Path]:
    """The paths of the material and of the texture that belong to an .obj path."""
    stem = "_".join(path.stem.split()) or "person"
    return path.with_name(stem + ".mtl"), path.with_name(stem + "_texture.png")


def to_text(mesh: Mesh, material: str, about: str = FRAME) -> str:
    """A finite mesh -> the text of the .obj file. about: one line of words for its first comment."""
    first, number = np.unique(mesh.weld, return_inverse=True)
    position = number.reshape(-1) + 1
    own = np.arange(len(mesh.vertices)) + 1
    corners = np.stack([position[mesh.faces], own[mesh.faces], own[mesh.faces]], axis=-1)
    return "".join(
        [
            f"# Humanscope mesh. {about}\n",
            f"mtllib {material}\no person\n",
            _rows("v %.6f %.6f %.6f", mesh.vertices[first]),
            _rows("vt %.6f %.6f", mesh.uv),
            _rows("vn %.5f %.5f %.5f", mesh.normals),
            "usemtl person\n",
            _rows("f %d/%d/%d %d/%d/%d %d/%d/%d", corners.reshape(len(corners), 9)),
        ]
    )


def _rows(pattern: str, values: NDArray) -> str:
    out = io.StringIO()
    np.savetxt(out, values, fmt=pattern)
    return out.getvalue()
