"""The picture at the head of the README, from a finished run.

    python app.py run assets/examples/1-denim-jacket.jpg --out OUT
    python -m benchmarks.readme_picture OUT assets/pictures/readme.jpg

From left to right: the photo; the body over it; splats from 0, 60, 180 and 270 degrees; the mesh in clay and textured.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.export.picture import over, render_view
from pipelines.export.preview import soft_ground, views
from pipelines.geometry.mesh_picture import render_mesh
from pipelines.output import open_bundle
from pipelines.records import Floats, to_bytes
from pipelines.run import Run

HEIGHT = 520
SPLATS = (0.0, 60.0, 180.0, 270.0)
MESH = (("clay", 30.0), ("textured", 30.0))


def row(folder: Path) -> Floats:
    """The whole picture, (H, W, 3) 0..1."""
    bundle = open_bundle(Run.load(folder), None)
    body, mesh, splats, photo = bundle.body, bundle.mesh, bundle.splats, bundle.photo
    assert body is not None and mesh is not None and splats is not None and photo is not None
    around = views(body, np.concatenate([splats.means, mesh.vertices]), HEIGHT, SPLATS)
    front, turned = around[0], views(body, np.concatenate([splats.means, mesh.vertices]), HEIGHT, (30.0,))[0]
    ground = soft_ground(front.width, HEIGHT)
    clay = render_view(bundle, "body", body.camera, max(body.camera.width, body.camera.height))
    clay[..., 3] *= 0.7
    tiles = [around_person(picture, clay[..., 3]) for picture in (photo.rgb, over(clay, photo.rgb))]
    tiles += [over(render_view(bundle, "splats", c, max(c.width, c.height)), ground) for c in around]
    for mode, _ in MESH:
        texture = mesh.texture if mode == "textured" else None
        picture = render_mesh(
            mesh.vertices, mesh.faces, turned, mode, uv=mesh.uv if texture is not None else None, texture=texture
        )
        tiles.append(over(picture, soft_ground(turned.width, HEIGHT)))
    return np.concatenate(tiles, 1)


def around_person(picture: Floats, alpha: Floats) -> Floats:
    """The part of the photo that holds the body, with a margin, HEIGHT pixels high."""
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    pad = round(0.07 * (rows[-1] - rows[0]))
    top, left = max(rows[0] - pad, 0), max(columns[0] - pad, 0)
    part = to_bytes(picture[top : rows[-1] + pad, left : columns[-1] + pad])
    size = (round(part.shape[1] * HEIGHT / part.shape[0]), HEIGHT)
    return np.asarray(Image.fromarray(part).resize(size, Image.Resampling.LANCZOS), np.float32) / 255


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_bytes(row(arguments.run))).save(arguments.out, quality=88)
    return 0


if __name__ == "__main__":
    sys.exit(main())
