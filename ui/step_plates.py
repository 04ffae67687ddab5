"""What can be looked at in single steps beyond the kind of their record, by the step's name.

Corrected layers are layers and a refined body is a body; what they are worth shows only beside what they were made
from. An entry in STEP_VIEWS adds views to one step, or takes a name of its kind for itself; `plates` puts the plates of
these steps together and leaves all others to `ui.plates`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ui import plates as by_kind
from ui.plates import COMMON, VIEWS, Source, View
from ui.synchuman_plates import SYNCHUMAN_VIEWS, synchuman_plates

# step: the step whose layers it corrects
CORRECTION = {"hgm.coarse": "layers", "hgm.again": "hgm.layers", "hgm.fused": "hgm.again"}
# step that asks the layer network: steps that gave it layers, body and maps
NETWORK = {"hgm.coarse": "layers body.fit body.maps", "hgm.again": "hgm.layers hgm.refine hgm.maps"}
REFINEMENT = {"hgm.refine": "body.fit"}  # step: the step whose body it refines
PICKED = {"hgm.back": ("hgm.pick", "variant")}  # step that paints variants: step and knob that pick one of them
# step whose picture a visitor can give: steps, one of which the run has, and their view that shows how it is framed. It
# needs no result of its own for that.
EXCHANGED = {"hgm.back": (("hgm.gaussians", "hgm.again"), "from-behind.webp")}
AGAIN = ("hgm.gaussians", "hgm.fused")  # steps whose splats are to draw the photo again
LAYER_STATES = {"given": "Given", "corrected": "Corrected", "change": "Change", "doubt": "Doubt"}
LAYER_MAPS = ("front", "back", "colour")


def _correction(given: str) -> dict[str, View]:
    pictures = {
        f"{state}-{name}.webp": View("ui.inspect_correction:picture", f"{given} {state} {name}")
        for state in LAYER_STATES for name in LAYER_MAPS
    }  # fmt: skip
    return {
        **pictures,
        "correction.json": View("ui.inspect_correction:data", given),
        "facts.json": View("ui.inspect_correction:facts", given),
    }


def _refinement(given: str) -> dict[str, View]:
    return {
        "as-fitted.webp": View("ui.inspect_refinement:given", given),
        "refinement.json": View("ui.inspect_refinement:data", given),
        "sides.webp": View("ui.inspect_refinement:sides"),
        "facts.json": View("ui.inspect_refinement:facts", given),
    }


# By step and kind of record: another preset makes other records under the same names.
STEP_VIEWS: dict[tuple[str, str], dict[str, View]] = {
    **{(step, "layers"): _correction(given) for step, given in CORRECTION.items()},
    **{(step, "body"): _refinement(given) for step, given in REFINEMENT.items()},
    **{(step, "splats"): {"facts.json": View("ui.inspect_front:facts")} for step in AGAIN},
}
for _step, _asked in NETWORK.items():
    STEP_VIEWS[_step, "layers"] |= {
        "features.webp": View("ui.inspect_features:sheet", _asked, "slow"),
        "features.json": View("ui.inspect_features:data", _asked, "slow"),
    }
STEP_VIEWS["hgm.gaussians", "splats"]["from-behind.webp"] = View("ui.inspect_back_view:template", "", "slow")
STEP_VIEWS["hgm.again", "layers"]["from-behind.webp"] = View("ui.inspect_back_view:layers_template")


def views_of(step: str, kind: str) -> dict[str, View]:
    """Every view of a step whose record is of this kind."""
    return {**COMMON, **VIEWS.get(kind, {}), **SYNCHUMAN_VIEWS.get(kind, {}), **STEP_VIEWS.get((step, kind), {})}


def view_of(step: str, kind: str | None, name: str) -> View | None:
    """The view of that name, or None: only what is listed can be asked for."""
    if kind in SYNCHUMAN_VIEWS:
        return by_kind.view_in(SYNCHUMAN_VIEWS[kind], name)
    own = STEP_VIEWS.get((step, kind), {}).get(name) if kind is not None else None
    return own or by_kind.view_of(kind, name)


def plates(step: str, kind: str, here: Callable[[str], str], source: Source) -> list[dict[str, Any]]:
    """The plates of a step; here and source as in `ui.plates.plates`."""
    if kind in SYNCHUMAN_VIEWS:
        return synchuman_plates(kind, here)
    found = by_kind.plates(kind, here, source)
    if step in CORRECTION and kind == "layers":
        pictures = {state: here(f"{state}-{{map}}.webp") for state in LAYER_STATES}
        both: dict[str, Any] = {
            "id": "correction", "type": "correction", "label": "Before and after", "data": here("correction.json"),
            "pictures": pictures, "states": list(LAYER_STATES.items()),
        }  # fmt: skip
        shown = [both, *(p for p in found if p["id"] == "layers")]
        if step in NETWORK and source("body_maps", "facts.json"):
            shown.append({"id": "features", "type": "grid", "label": "Features", "data": here("features.json"),
                          "sheets": [["", here("features.webp")]]})  # fmt: skip
        return shown
    if step in REFINEMENT and kind == "body":
        data = here("refinement.json")
        own: list[dict[str, Any]] = [
            {"id": "refine", "type": "refine", "label": "Iterations", "data": data, "sides": here("sides.webp"),
             "photo": source("photo", "photo.webp"), "still": here("after.webp")},
            {"id": "joints", "type": "joints", "label": "Joints", "data": data},
        ]  # fmt: skip
        rest = [p for p in found if p["id"] != "fit"]
        for plate in rest:
            if plate["id"] == "body":
                plate["before"] = {"src": here("as-fitted.webp"), "label": "As fitted"}
                plate["after"] = {**plate["after"], "label": "Refined"}
        return [*own, *rest]
    if step in PICKED and kind == "back_view":
        by, knob = PICKED[step]
        variants = {"id": "variants", "type": "grid", "label": "Variants", "data": here("variants.json"),
                    "sheets": [["", here("variants.webp")]], "pick": {"step": by, "knob": knob}}  # fmt: skip
        return [*found, variants]
    return found


def exchange_plate(framed: str) -> dict[str, Any]:
    """Where a picture from elsewhere is put in. framed: address of a picture that shows its framing."""
    return {"id": "exchange", "type": "exchange", "label": "From elsewhere", "src": framed}
