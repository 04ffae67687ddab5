"""The layers of a 3D scene: splats, mesh and body as a viser server shows them.

`fill` works on any server, a temporary one that only records as well as a live one of the page. Splats are a
display copy (see `display_copy`), never the data. Frame: `bundle.FRAME`, up +y.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.export import glb, palette
from pipelines.export.body_wires import COLOUR, body_net
from pipelines.export.bundle import Bundle, Name, need, pivot
from pipelines.export.display_copy import UNIT, display_copy
from pipelines.export.finite import finite_mesh, finite_splats, left_out
from pipelines.export.palette import By
from pipelines.records import to_bytes
from pipelines.step import UserError

if TYPE_CHECKING:
    import viser

# layer: (what it shows, what the run must have)
LAYERS: dict[str, tuple[str, tuple[Name, ...]]] = {
    "splats": ("Splats", ("splats",)),
    "splats_seen": ("Splats, coloured by seen or invented", ("splats",)),
    "splats_origin": ("Splats, coloured by the rule that made them", ("splats",)),
    "splats_opacity": ("Splats, coloured by opacity", ("splats",)),
    "splats_depth": ("Splats, coloured by depth from the photo's camera", ("splats", "body")),
    "mesh": ("Mesh with its texture", ("mesh",)),
    "mesh_seen": ("Mesh, coloured by seen or invented", ("mesh",)),
    "clay": ("Mesh in clay", ("mesh",)),
    "normals": ("Mesh, coloured by its normals", ("mesh",)),
    "wireframe": ("Mesh as a wireframe", ("mesh",)),
    "body": ("Fitted body", ("body",)),
    "body_over_splats": ("Fitted body under the splats, which are made faint", ("body", "splats")),
    # Viser's splats hide what lies within them: these two go together, and splats that are faint with a mesh.
    "body_wires": ("Fitted body as a net of lines", ("body",)),
    "splats_faint": ("Splats, made faint", ("splats",)),
}
CLAY, LINES, BODY = (204, 189, 173), (60, 70, 90), (120, 160, 210)
GHOST = 0.12  # share of the opacity that the splats keep where the body shines through them
FAINT = 0.05  # the same where lines do
WINDOW = 480  # pixels: the height of the smallest window for which the display copy is made
FARTHER = 1.25  # times the first distance: how far one may zoom out before splats begin to vanish


def default_layers(bundle: Bundle) -> tuple[str, ...]:
    """What a recording shows when nobody chose: the splats, else the mesh, else the body."""
    for layer in ("splats", "mesh", "body"):
        if bundle.has(layer):
            return (layer,)
    raise UserError("This run has nothing in 3D yet; run it as far as the step 'splats', then export.")


@dataclass(frozen=True)
class View:
    """Where the viewer starts: position and look_at (3,) metres, vertical field of view in radians."""

    position: NDArray[np.float64]
    look_at: NDArray[np.float64]
    fov: float

    @property
    def distance(self) -> float:
        """Metres from the camera to what it looks at."""
        return float(np.linalg.norm(self.position - self.look_at))


def first_view(bundle: Bundle, points: NDArray[np.floating]) -> View:
    """The photo's camera turned to the middle of `points` (N, 3), with a lens that holds them in a wide
    window.

    Without a body, a camera in front of the person.
    """
    low, high = np.percentile(points, 0.2, axis=0), np.percentile(points, 99.8, axis=0)
    middle = (low + high) / 2
    radius = max(float(np.linalg.norm(high - low)) / 2, 1e-3)
    if bundle.body is not None:
        position = bundle.body.camera.position
        # A photo taken from very near would start inside the person.
        away = position - middle
        distance = max(float(np.linalg.norm(away)), 1.6 * radius)
        position = middle + away / max(float(np.linalg.norm(away)), 1e-9) * distance
    else:
        distance = 3.0 * radius
        position = middle + np.array([0.0, 0.0, distance])
    fov = 2.0 * np.arctan(1.12 * radius / distance)
    return View(position, middle, float(np.clip(fov, np.radians(5), np.radians(75))))


class Filled(NamedTuple):
    """What `fill` made.

    person: the handle of the frame that bears all layers, its origin on the ground below the pelvis. view: the first
    view. thickened: the share of splats that the display copy shows wider than they are, 0..1.
    """

    person: Any
    view: View
    thickened: float


def fill(server: viser.ViserServer, bundle: Bundle, layers: Sequence[str]) -> Filled:
    """Put the layers into a server's scene and set its up direction and first view.

    UserError when a layer is not known or the run lacks what it shows.
    """
    for layer in layers:
        if layer not in LAYERS:
            raise UserError(f"A scene has no layer '{layer}'; it has {', '.join(LAYERS)}.")
        for name in LAYERS[layer][1]:
            need(bundle, name)
    scene = server.scene
    scene.set_up_direction("+y")
    centre = np.zeros(3) if bundle.body is None else pivot(bundle.body) * (1, 0, 1)
    person = scene.add_frame("/person", show_axes=False, position=centre)
    view = first_view(bundle, _points(bundle, layers))
    thickened = 0.0
    for layer in layers:
        if layer.startswith("splats"):
            strength = FAINT if layer == "splats_faint" else 1.0
            thickened = _add_splats(scene, bundle, layer, view, centre, strength)
        elif layer in ("body", "body_over_splats", "body_wires"):
            _add_body(scene, bundle, layer, centre)
            if layer == "body_over_splats" and not any(name.startswith("splats") for name in layers):
                # viser's splats hide what lies within them, so an opaque set would hide the body.
                thickened = _add_splats(scene, bundle, "splats", view, centre, GHOST)
        else:
            _add_mesh(scene, bundle, layer, centre)
    camera = server.initial_camera
    camera.position, camera.look_at, camera.fov = tuple(view.position), tuple(view.look_at), view.fov
    return Filled(person, view, thickened)


def described(bundle: Bundle, layers: Sequence[str], thickened: float) -> str:
    """One sentence on what the scene of these layers holds, with its counts."""
    parts, end = [], ""
    if bundle.splats is not None and any("splats" in layer for layer in layers):
        splats, dropped = finite_splats(bundle.splats)
        parts.append(f"{len(splats):,} splats ({thickened:.0%} shown wider than they are, for this viewer)")
        end += left_out(dropped, "splats")
    if bundle.mesh is not None and any("mesh" in LAYERS[layer][1] for layer in layers):
        mesh, dropped = finite_mesh(bundle.mesh)
        parts.append(f"a mesh of {len(mesh.faces):,} triangles")
        end += left_out(dropped, "triangles")
    if any("body" in layer for layer in layers):
        parts.append("the fitted body")
    return ", ".join(parts) + end + "."


def _points(bundle: Bundle, layers: Sequence[str]) -> NDArray[np.floating]:
    """Where the shown things are."""
    if bundle.splats is not None and any("splats" in layer for layer in layers):
        return finite_splats(bundle.splats)[0].means
    if bundle.mesh is not None and any("mesh" in LAYERS[layer][1] for layer in layers):
        return finite_mesh(bundle.mesh)[0].vertices
    return _body_surface(bundle)[0]


def _body_surface(bundle: Bundle) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    from pipelines.body.read_body import body_vertices

    return body_vertices(need(bundle, "body"))


def _add_splats(
    scene: Any, bundle: Bundle, layer: str, view: View, centre: NDArray[np.float64], strength: float = 1.0
) -> float:
    splats, _ = finite_splats(need(bundle, "splats"))
    splats = dataclasses.replace(splats, opacities=splats.opacities * np.float32(strength))
    kinds: dict[str, By] = {
        "splats": "colour", "splats_seen": "seen", "splats_origin": "origin", "splats_opacity": "opacity",
        "splats_depth": "depth", "splats_faint": "colour",
    }  # fmt: skip
    camera = bundle.body.camera if bundle.body is not None else None
    colours = palette.splat_colours(splats, kinds[layer], camera)
    focal = WINDOW / (2 * np.tan(view.fov / 2))
    copy = display_copy(splats, focal, FARTHER * view.distance)
    scene.add_gaussian_splats(
        f"/person/{layer}",
        centers=copy.centers - (centre / UNIT).astype(np.float32),
        covariances=copy.covariances,
        rgbs=to_bytes(colours),
        opacities=to_bytes(copy.opacities),
        scale=UNIT,
    )
    return copy.thickened


def _add_mesh(scene: Any, bundle: Bundle, layer: str, centre: NDArray[np.float64]) -> None:
    mesh, _ = finite_mesh(need(bundle, "mesh"))
    name = f"/person/{layer}"
    if layer in ("mesh", "normals", "mesh_seen"):
        # Unlit: the texture is a photo and already holds the light of its day.
        if layer == "mesh":
            data = glb.textured(mesh, unlit=True)
        elif layer == "normals":
            data = glb.coloured(mesh, palette.normal_colours(mesh.normals))
        else:
            facing = 0.35 + 0.65 * np.abs(mesh.normals[:, 2:]) * np.ones(3, np.float32)
            data = glb.coloured(mesh, palette.shaded(mesh.seen, palette.SEEN_COLOURS, facing))
        scene.add_glb(name, data, position=-centre, cast_shadow=False, receive_shadow=False)
        return
    scene.add_mesh_simple(
        name,
        mesh.vertices,
        mesh.weld[mesh.faces] if layer == "wireframe" else mesh.faces,
        color=LINES if layer == "wireframe" else CLAY,
        wireframe=layer == "wireframe",
        side="double",
        position=-centre,
        cast_shadow=False,
        receive_shadow=False,
    )


def _add_body(scene: Any, bundle: Bundle, layer: str, centre: NDArray[np.float64]) -> None:
    wires = layer == "body_wires"
    vertices, faces = body_net(need(bundle, "body")) if wires else _body_surface(bundle)
    scene.add_mesh_simple(
        f"/person/{layer}",
        vertices.astype(np.float32),
        faces.astype(np.uint32),
        color=COLOUR if wires else BODY,
        wireframe=wires,
        position=-centre,
        cast_shadow=False,
        receive_shadow=False,
    )
