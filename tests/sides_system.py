"""A small system for tests of the page that begins with an archive of views: read for real, the surface a stand-in.

Chosen by HUMANSCOPE_SYSTEMS="sides=tests.sides_system". The person is the asymmetric one of tests.asymmetric.
"""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
from PIL import Image

from pipelines.recipe import Recipe
from pipelines.records import Table, to_bytes
from pipelines.step import Context, NoParams, step
from pipelines.views.drawn_views import FOUR, draw_views
from pipelines.views.read import views_read
from pipelines.views.records import Shape, Views
from tests.asymmetric import person_mesh


@step("surface", version=1, title="Surface")
def surface(views_read: Views, params: NoParams, ctx: Context) -> Shape:
    """Stand-in: the boxes that the views were drawn from."""
    return boxes()


@step("consistency", version=1, title="Agreement")
def consistency(views_read: Views, surface: Shape, params: NoParams, ctx: Context) -> Table:
    """The real comparison of outlines and normals, the worst outline first."""
    from pipelines.views.agreement import agreement

    rows = agreement(surface.vertices.astype(np.float64), surface.faces, views_read.views)
    return Table(tuple({**row, "blame": None} for row in sorted(rows, key=lambda r: r["iou"])))


def boxes() -> Shape:
    """The asymmetric person as a bare surface."""
    mesh = person_mesh()
    return Shape(mesh.vertices, mesh.faces)


def drawn(size: int = 96) -> Views:
    """Four level views of the asymmetric person, each side in its own colour, with normals."""
    mesh = person_mesh()
    places = np.clip(
        (mesh.uv * (1, -1) + (0, 1)) * mesh.texture.shape[1::-1], 0, np.array(mesh.texture.shape[1::-1]) - 1
    )
    colours = mesh.texture[places[:, 1].astype(int), places[:, 0].astype(int)]
    return draw_views(mesh.vertices, mesh.faces, colours, sides=FOUR, size=size)


def png(image: np.ndarray) -> bytes:
    """(H, W, C) 0..1 -> PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(buffer, "PNG")
    return buffer.getvalue()


def archive(views: Views) -> bytes:
    """Views as a ZIP with a cameras.json."""
    buffer, rows = io.BytesIO(), []
    with zipfile.ZipFile(buffer, "w") as packed:
        for i, view in enumerate(views.views):
            row = {"colour": f"c{i}.png", "label": view.label, "camera": view.camera.to_json()}
            packed.writestr(f"c{i}.png", png(view.rgba))
            if view.normal is not None:
                there = view.normal.any(-1, keepdims=True).astype(np.float32)
                packed.writestr(f"n{i}.png", png(np.concatenate([0.5 + 0.5 * view.normal, there], -1)))
                row["normal"] = f"n{i}.png"
            rows.append(row)
        packed.writestr("cameras.json", json.dumps({"views": rows}))
    return buffer.getvalue()


RECIPE = Recipe(
    "sides", "Stand-in from views", "Views read for real, a surface that was known.", "tiny",
    (views_read, surface, consistency),
)  # fmt: skip
