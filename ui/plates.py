"""What can be looked at in a step, by the kind of record that it makes.

A *view* is a file for the page, made when it is first asked for: `files/TOKEN/RUN/STEP/NAME`. Only the names listed
here can be asked for. A *plate* is one thing on the stage, made of views: a picture, a wipe between two pictures,
a solid (recorded 3D scene, with turned frames where there is no WebGL), keypoints, the scrubbed fit, numbers.
A later kind of record is added by one entry in VIEWS and one in PLATES.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ui.desk import Lane

SPLAT_STYLES = {"colour": "Colour", "seen": "Seen or invented", "opacity": "Opacity", "depth": "Depth"}
MESH_STYLES = {"textured": "Textured", "clay": "Clay", "normals": "Normals", "wireframe": "Wireframe"}
SHAPE_STYLES = {"clay": "Clay", "normals": "Normals", "wireframe": "Wireframe", "cameras": "With the views"}
AGREEMENT_LEGEND = [["missing", "the view has it, the surface not"], ["excess", "the surface has it, the view not"],
                    ["turned", "normals differ"]]  # fmt: skip
SEEN_LEGEND = [["seen", "seen in the photo"], ["grazing", "seen at a grazing angle"], ["generated", "invented"]]


@dataclass(frozen=True)
class View:
    """maker: 'module:function' for `ui.desk_jobs.draw`. argument: passed on to it."""

    maker: str
    argument: str = ""
    lane: Lane = "quick"


def solid_views(module: str, styles: Iterable[str]) -> dict[str, View]:
    """Recorded scene and turned frames of every style, made by the module's `scene` and `frames`, which are told its
    name. 'clay-splats' is a style with something laid over it."""
    views = {}
    for style in styles:
        views[f"scene-{style}.viser"] = View(f"{module}:scene", style, "slow")
        views[f"frames-{style}.webp"] = View(f"{module}:frames", style, "slow")
    return views


VIEWS: dict[str, dict[str, View]] = {
    "photo": {
        "photo.webp": View("ui.inspect_photo:picture"),
        "facts.json": View("ui.inspect_photo:facts"),
    },
    "person": {
        "people.json": View("ui.inspect_photo:people"),
        "facts.json": View("ui.inspect_photo:people_facts"),
    },
    "cutout": {
        "cutout.webp": View("ui.inspect_cutout:picture"),
        "facts.json": View("ui.inspect_cutout:facts"),
    },
    "keypoints": {
        "points.json": View("ui.inspect_keypoints:points"),
        "facts.json": View("ui.inspect_keypoints:facts"),
    },
    "body": {
        "before.webp": View("ui.inspect_body:over_photo", "first"),
        "after.webp": View("ui.inspect_body:over_photo", "last"),
        "side.webp": View("ui.inspect_body:side"),
        "fit.webp": View("ui.inspect_body:fit_sheet"),
        "fit.json": View("ui.inspect_body:fit_curves"),
        "scene-body.viser": View("ui.inspect_body:scene", "body", "slow"),
        "frames-body.webp": View("ui.inspect_body:frames", "body", "slow"),
        "facts.json": View("ui.inspect_body:facts"),
    },
    "body_maps": {
        "front.webp": View("ui.inspect_maps:depth", "full_front"),
        "back.webp": View("ui.inspect_maps:depth", "full_back"),
        "normals.webp": View("ui.inspect_maps:normals", "full_front_normal"),
        "facts.json": View("ui.inspect_maps:facts"),
    },
    "layers": {
        "front.webp": View("ui.inspect_maps:colours", "front_rgb"),
        "back.webp": View("ui.inspect_maps:colours", "back_rgb"),
        "front-depth.webp": View("ui.inspect_maps:depth", "front"),
        "back-depth.webp": View("ui.inspect_maps:depth", "back"),
        "facts.json": View("ui.inspect_maps:facts"),
    },
    "splats": {
        **solid_views("ui.inspect_splats", [*SPLAT_STYLES, "colour-body"]),
        "poster-colour.webp": View("ui.inspect_splats:poster", "colour", "slow"),
        "histograms.json": View("ui.inspect_histograms:data"),
        "facts.json": View("ui.inspect_splats:facts"),
    },
    "views": {
        "frames.webp": View("ui.inspect_views:sheet_of"),
        "facts.json": View("ui.inspect_views:facts"),
    },
    "mesh": {
        **solid_views("ui.inspect_mesh", [*MESH_STYLES, *(f"{style}-splats" for style in MESH_STYLES)]),
        "facts.json": View("ui.inspect_mesh:facts"),
    },
    "curve": {"curve.json": View("ui.inspect_numbers:curve"), "facts.json": View("ui.inspect_numbers:facts")},
    "table": {
        "facts.json": View("ui.inspect_numbers:table_facts"),
        "agreement.json": View("ui.inspect_agreement:data"),
        "agreement.webp": View("ui.inspect_agreement:picture", "", "slow"),
        "pairs.json": View("ui.inspect_pairs:data", "", "slow"),
    },
    "posed_views": {
        "views.json": View("ui.inspect_posed_views:data"),
        "colours.webp": View("ui.inspect_posed_views:sheet_of", "colour"),
        "normals.webp": View("ui.inspect_posed_views:sheet_of", "normal"),
        "colour-###.webp": View("ui.inspect_posed_views:one", "colour"),
        "normal-###.webp": View("ui.inspect_posed_views:one", "normal"),
        "facts.json": View("ui.inspect_posed_views:facts"),
    },
    "shape": {**solid_views("ui.inspect_shape", SHAPE_STYLES), "facts.json": View("ui.inspect_shape:facts")},
    "back_view": {
        "coarse.webp": View("ui.inspect_back_view:coarse"),
        "back.webp": View("ui.inspect_back_view:painted"),
        "variants.json": View("ui.inspect_back_view:data"),
        "variants.webp": View("ui.inspect_back_view:sheet"),
        "in-front.webp": View("ui.inspect_behind:in_front"),
        "normals.webp": View("ui.inspect_behind:normals", "", "slow"),
        "facts.json": View("ui.inspect_back_view:facts"),
    },
    "body_points": {"facts.json": View("ui.inspect_back_view:points_facts")},
}
NUMBERED = re.compile(r"([a-z]+-)(\d{3})(\.webp)")

COMMON = {"artefact.zip": View("ui.inspect_numbers:artefact_zip")}  # every kind of record has these

Source = Callable[[str, str], str | None]  # (record kind, view name) -> address of that view, or None


def view_of(kind: str | None, name: str) -> View | None:
    """The view of that name for a kind of record, or None: only what is listed can be asked for. '###' in a listed name
    stands for a number of three digits, which the maker is told."""
    return view_in(VIEWS[kind], name) if kind in VIEWS else None


def view_in(views: dict[str, View], name: str) -> View | None:
    """The view of that name among these and COMMON, or None."""
    numbered = NUMBERED.fullmatch(name)
    if numbered:
        view = views.get(f"{numbered[1]}###{numbered[3]}")
        return dataclasses.replace(view, argument=f"{view.argument} {numbered[2]}") if view else None
    return {**COMMON, **views}.get(name)


def plates(kind: str, here: Callable[[str], str], source: Source) -> list[dict[str, Any]]:
    """The plates of a step whose record is of this kind.

    here: view name -> address in this step. source: the same in the last step that made a record of a kind.
    """
    photo = source("photo", "photo.webp")
    if kind == "photo":
        return [picture_plate("photo", "Photo", here("photo.webp"), "The photo, upright")]
    if kind == "person":
        return [{"id": "people", "type": "people", "label": "People", "photo": photo, "data": here("people.json")}]
    if kind == "cutout":
        before = {"src": photo, "label": "Photo"}
        after = {"src": here("cutout.webp"), "label": "Cut-out"}
        return [{"id": "cutout", "type": "wipe", "label": "Photo and cut-out", "before": before, "after": after,
                 "grounds": True},
                {"id": "paint", "type": "paint", "label": "Edit by hand", "photo": photo,
                 "cutout": here("cutout.webp")}]  # fmt: skip
    if kind == "keypoints":
        return [{"id": "points", "type": "points", "label": "Keypoints", "photo": photo, "data": here("points.json")}]
    if kind == "body":
        before = {"src": here("before.webp"), "label": "Start of the fit"}
        after = {"src": here("after.webp"), "label": "Fitted body"}
        return [
            {"id": "body", "type": "wipe", "label": "Over the photo", "before": before, "after": after},
            picture_plate("side", "From the side", here("side.webp"), "The fitted body from its left side, on the ground"),
            {"id": "fit", "type": "fit", "label": "How it was fitted", "sheet": here("fit.webp"),
             "data": here("fit.json")},
            solid_plate("body-3d", "In 3D", here, "body"),
        ]  # fmt: skip
    if kind == "body_maps":
        names = {"front": "First surface", "back": "Last surface", "normals": "Normals"}
        return [picture_plate(n, label, here(f"{n}.webp"), f"{label} of the fitted body") for n, label in names.items()]
    if kind == "layers":
        before = {"src": here("front.webp"), "label": "Front layer"}
        after = {"src": here("back.webp"), "label": "Back layer (invented)"}
        return [
            {"id": "layers", "type": "wipe", "label": "Front and back colours", "before": before, "after": after},
            picture_plate("front-depth", "Front depth", here("front-depth.webp"), "Depth of the front layer"),
            picture_plate("back-depth", "Back depth", here("back-depth.webp"), "Depth of the back layer"),
        ]
    if kind == "splats":
        found = [solid_plate(style, label, here, style) for style, label in SPLAT_STYLES.items()]
        found[0]["poster"] = here("poster-colour.webp")
        found[1]["legend"] = SEEN_LEGEND
        if source("body", "facts.json"):
            found[0]["over"] = over_plate("Body", here, "colour-body")
        return [*found, {"id": "histograms", "type": "histograms", "label": "Histograms",
                         "data": here("histograms.json"), "legend": SEEN_LEGEND}]  # fmt: skip
    if kind == "mesh":
        found = [solid_plate(style, label, here, style) for style, label in MESH_STYLES.items()]
        for plate in found if source("splats", "facts.json") else ():
            plate["over"] = over_plate("Splats", here, f"{plate['id']}-splats")
        return found
    if kind == "views":
        scene = source("splats", "scene-colour.viser")
        found = [
            {"id": "turntable", "type": "solid", "label": "Turntable", "frames": here("frames.webp"), "scene": scene}
        ]
        poster = source("splats", "poster-colour.webp")
        return [{**found[0], "poster": poster, "borrowed": True}] if poster else found
    if kind == "posed_views":
        sheets = [["Colours", here("colours.webp")], ["Normals", here("normals.webp")]]
        found = [{"id": "views", "type": "grid", "label": "Views", "data": here("views.json"), "sheets": sheets,
                  "one": here("{part}-{number}.webp"), "edit": True,
                  "drop": True}]  # fmt: skip
        around = source("shape", "scene-cameras.viser"), source("shape", "frames-cameras.webp")
        if all(around):
            found.append({"id": "cameras", "type": "solid", "label": "Around the surface", "scene": around[0],
                          "frames": around[1]})  # fmt: skip
        return found
    if kind == "shape":
        styles = SHAPE_STYLES if source("posed_views", "views.json") else {**SHAPE_STYLES, "cameras": ""}
        return [solid_plate(style, label, here, style) for style, label in styles.items() if label]
    if kind == "table" and source("posed_views", "views.json") and source("shape", "facts.json"):
        return [{"id": "agreement", "type": "grid", "label": "Where they disagree", "data": here("agreement.json"),
                 "sheets": [["", here("agreement.webp")]], "legend": AGREEMENT_LEGEND},
                {"id": "pairs", "type": "pairs", "label": "Two by two", "data": here("pairs.json")}]  # fmt: skip
    if kind == "back_view":
        coarse = {"src": here("coarse.webp"), "label": "Coarse"}
        painted = {"src": here("back.webp"), "label": "In use"}
        found = [{"id": "back", "type": "wipe", "label": "From behind", "before": coarse, "after": painted}]
        if source("cutout", "cutout.webp"):
            front = {"src": here("in-front.webp"), "label": "Photo"}
            found.append(
                {"id": "beside", "type": "beside", "label": "Beside the photo", "pictures": [front, coarse, painted]}
            )
        if source("body_points", "facts.json"):  # a run of whole networks has Gaussians whose depth can be drawn
            normals = {"src": here("normals.webp"), "label": "Its normals"}
            found.append({"id": "normals", "type": "wipe", "label": "Normals", "before": coarse, "after": normals})
        return found
    if kind == "curve":
        return [{"id": "curve", "type": "curve", "label": "Curve", "data": here("curve.json")}]
    return []


def picture_plate(id: str, label: str, src: str, alt: str) -> dict[str, Any]:
    """One picture at the address src."""
    return {"id": id, "type": "picture", "label": label, "src": src, "alt": alt}


def solid_plate(id: str, label: str, here: Callable[[str], str], style: str) -> dict[str, Any]:
    """A style's scene and frames, see `solid_views`. here: view name -> its address."""
    return {
        "id": id, "type": "solid", "label": label, "frames": here(f"frames-{style}.webp"),
        "scene": here(f"scene-{style}.viser"),
    }  # fmt: skip


def over_plate(label: str, here: Callable[[str], str], style: str) -> dict[str, Any]:
    """What can be laid over a solid by a button of its own: the scene and frames of a style that has both."""
    return {"label": label, "frames": here(f"frames-{style}.webp"), "scene": here(f"scene-{style}.viser")}
