"""What can be looked at in SyncHuman's own kinds of record: their views, and the plates on the stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ui.inspect_slices import WAYS
from ui.plates import AGREEMENT_LEGEND, View, picture_plate, solid_plate, solid_views

FRAME_PICTURES = {
    "square": ("In the photo", "The photo, dark outside the square of the canvas"),
    "canvas": ("Canvas", "The person on the canvas, with the box of the close-up"),
    "face": ("Close-up", "The face box of the canvas, enlarged"),
    "tokens": ("For the tokens", "The person on black, as the image encoder is given it"),
}
RING_STYLES = {"cameras-colour": "Around their outlines", "cameras-normal": "Normals around"}
VOXEL_STYLES = {"cubes": "Cubes"}
LATENT_STYLES = {"pca": "In colours"}
SURFACE_STYLES = {"colour": "Own colours", "clay": "Clay", "normals": "Normals", "wireframe": "Wireframe"}
INJECTED_STYLES = {"injected-colour": "Colours on voxels", "injected-normal": "Normals on voxels"}
CLEAN_STYLES = {"clay": "Clay", "normals": "Normals", "wireframe": "Wireframe", "cut": "What was cut",
                "cameras": "With the views"}  # fmt: skip
EXCHANGE_HINT = "Give a picture as it is seen here. The person ends where the normals end. Later steps are made anew."


def _sliced(module: str) -> dict[str, View]:
    sheets = {f"slices-{way}.webp": View(f"{module}:slices", way) for way in WAYS}
    return {**sheets, "slices.json": View(f"{module}:slices")}


SYNCHUMAN_VIEWS: dict[str, dict[str, View]] = {
    "synchuman_frame": {
        **{f"{name}.webp": View(f"ui.inspect_frame:{name}") for name in FRAME_PICTURES},
        "facts.json": View("ui.inspect_frame:facts"),
    },
    "synchuman_joint": {
        "strip.json": View("ui.inspect_joint:data"),
        "strip-pictures.webp": View("ui.inspect_joint:pictures"),
        "strip-grid.webp": View("ui.inspect_joint:grid"),
        "facts.json": View("ui.inspect_joint:facts"),
    },
    "synchuman_pictures": {
        "views.json": View("ui.inspect_ten_pictures:data"),
        "colours.webp": View("ui.inspect_ten_pictures:sheet_of", "colour"),
        "normals.webp": View("ui.inspect_ten_pictures:sheet_of", "normal"),
        "colour-###.webp": View("ui.inspect_ten_pictures:one", "colour"),
        "normal-###.webp": View("ui.inspect_ten_pictures:one", "normal"),
        "raw.json": View("ui.inspect_ten_pictures:raw_data"),
        "raw-colours.webp": View("ui.inspect_ten_pictures:raw_sheet", "colour"),
        "raw-normals.webp": View("ui.inspect_ten_pictures:raw_sheet", "normal"),
        **solid_views("ui.inspect_ten_pictures", RING_STYLES),
        "facts.json": View("ui.inspect_ten_pictures:facts"),
    },
    "synchuman_voxels": {
        **solid_views("ui.inspect_voxels", VOXEL_STYLES),
        **_sliced("ui.inspect_voxels"),
        "growth.json": View("ui.inspect_voxels:growth"),
        "estimates.webp": View("ui.inspect_voxels:estimates"),
        "facts.json": View("ui.inspect_voxels:facts"),
    },
    "synchuman_slat": {
        **solid_views("ui.inspect_latents", LATENT_STYLES),
        **_sliced("ui.inspect_latents"),
        "strip.json": View("ui.inspect_latents:data"),
        "estimates.webp": View("ui.inspect_latents:estimates"),
        "facts.json": View("ui.inspect_latents:facts"),
    },
    "synchuman_surface": {
        **solid_views("ui.inspect_raw_surface", SURFACE_STYLES),
        **solid_views("ui.inspect_injected", INJECTED_STYLES),
        "injected.json": View("ui.inspect_injected:data"),
        "injected-colours.webp": View("ui.inspect_injected:sheet_of", "colour"),
        "injected-normals.webp": View("ui.inspect_injected:sheet_of", "normal"),
        "facts.json": View("ui.inspect_raw_surface:facts"),
    },
    "synchuman_clean": {
        **solid_views("ui.inspect_raw_surface", CLEAN_STYLES),
        "agreement.json": View("ui.inspect_surface_views:data", "", "slow"),
        "agreement.webp": View("ui.inspect_surface_views:picture", "", "slow"),
        "pairs.json": View("ui.inspect_surface_views:pairs", "", "slow"),
        "facts.json": View("ui.inspect_raw_surface:facts"),
    },
}


def synchuman_plates(kind: str, here: Callable[[str], str]) -> list[dict[str, Any]]:
    """The plates of a step whose record is of a kind of SYNCHUMAN_VIEWS. here: view name -> its address."""
    if kind == "synchuman_frame":
        return [picture_plate(name, label, here(f"{name}.webp"), alt) for name, (label, alt) in FRAME_PICTURES.items()]
    if kind == "synchuman_joint":
        sheets = {"pictures": here("strip-pictures.webp"), "grid": here("strip-grid.webp")}
        return [_strip("strip", "Denoising", here("strip.json"), sheets)]
    if kind == "synchuman_pictures":
        return [
            {"id": "views", "type": "grid", "label": "Ten pictures", "data": here("views.json"),
             "sheets": [["Colours", here("colours.webp")], ["Normals", here("normals.webp")]],
             "one": here("{part}-{number}.webp"), "edit": True, "hint": EXCHANGE_HINT},
            {"id": "raw", "type": "grid", "label": "As stored", "data": here("raw.json"),
             "sheets": [["Colours", here("raw-colours.webp")], ["Normals", here("raw-normals.webp")]]},
            *_solid_plates(RING_STYLES, here),
        ]  # fmt: skip
    if kind == "synchuman_voxels":
        grown = _strip("growth", "As they grew", here("growth.json"), {"estimates": here("estimates.webp")})
        return [*_solid_plates(VOXEL_STYLES, here), _slices(here), grown]
    if kind == "synchuman_slat":
        strip = _strip("strip", "Denoising", here("strip.json"), {"estimates": here("estimates.webp")})
        return [*_solid_plates(LATENT_STYLES, here), _slices(here), strip]
    if kind == "synchuman_surface":
        maps = {"id": "injected", "type": "grid", "label": "Injected", "data": here("injected.json"),
                "sheets": [["Of the colours", here("injected-colours.webp")],
                           ["Of the normals", here("injected-normals.webp")]]}  # fmt: skip
        return [*_solid_plates(SURFACE_STYLES, here), maps, *_solid_plates(INJECTED_STYLES, here)]
    if kind == "synchuman_clean":
        return [
            *_solid_plates(CLEAN_STYLES, here),
            {"id": "agreement", "type": "grid", "label": "Where they disagree", "data": here("agreement.json"),
             "sheets": [["", here("agreement.webp")]], "legend": AGREEMENT_LEGEND},
            {"id": "pairs", "type": "pairs", "label": "Two by two", "data": here("pairs.json")},
        ]  # fmt: skip
    return []


def _solid_plates(styles: dict[str, str], here: Callable[[str], str]) -> list[dict[str, Any]]:
    return [solid_plate(style, label, here, style) for style, label in styles.items()]


def _strip(id: str, label: str, data: str, sheets: dict[str, str]) -> dict[str, Any]:
    return {"id": id, "type": "strip", "label": label, "data": data, "sheets": sheets}


def _slices(here: Callable[[str], str]) -> dict[str, Any]:
    return _strip("slices", "Slices", here("slices.json"), {way: here(f"slices-{way}.webp") for way in WAYS})
