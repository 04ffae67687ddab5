"""The patterns of own garments, each drawn with its own measures; and the pieces of the pack."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from training.people.garments import HIP_LINE, Cut

TOPS = {
    "t-shirt": 2.2,
    "tight tee": 1.0,
    "tank top": 0.8,
    "long sleeve": 1.2,
    "shirt": 1.2,
    "oversize tee": 1.4,
    "hoodie": 1.8,
    "sweater": 1.3,
    "v-neck": 0.8,
    "crop top": 0.5,
    "blouse": 0.8,
    "poncho": 0.5,
}
OUTER = {"jacket": 1.3, "open shirt": 1.0, "cardigan": 0.8, "open coat": 1.0, "closed coat": 0.8, "vest": 0.4}
BOTTOMS = {
    "jeans": 2.0,
    "trousers": 1.5,
    "wide trousers": 1.6,
    "joggers": 0.9,
    "leggings": 0.6,
    "shorts": 1.3,
    "short shorts": 0.5,
    "flared trousers": 0.5,
    "culottes": 0.4,
}
SKIRTS = {"mini skirt": 0.8, "knee skirt": 1.0, "midi skirt": 1.0, "long skirt": 0.8, "pleated skirt": 0.8}
DRESSES = {
    "mini dress": 0.8,
    "summer dress": 1.2,
    "midi dress": 1.0,
    "long dress": 0.8,
    "shirt dress": 0.6,
    "robe": 0.6,
    "kimono": 0.5,
}
LOOSE = {
    "oversize tee",
    "hoodie",
    "poncho",
    "blouse",
    "open shirt",
    "cardigan",
    "open coat",
    "closed coat",
    "wide trousers",
    "flared trousers",
    "culottes",
    "knee skirt",
    "midi skirt",
    "long skirt",
    "pleated skirt",
    "summer dress",
    "midi dress",
    "long dress",
    "shirt dress",
    "robe",
    "kimono",
    "boiler suit",
}


def drawn(name: str, rng: np.random.Generator, layer: int = 0) -> Cut:
    """The cut of a name with measures of its own (layer: how many garments lie below, which adds room). A hem below the
    hip line goes on as hanging rows: cut at the legs, it would close between them."""
    made = _drawn(name, rng, layer)
    if made.label in ("trousers", "shorts") or made.below > 0 or made.bottom >= HIP_LINE:
        return made
    return replace(made, below=max(HIP_LINE - made.bottom, 0.03), flare=0.06)


def _drawn(name: str, rng: np.random.Generator, layer: int) -> Cut:
    u = rng.random(6)
    room = 0.006 * layer
    short, long, bottom = 0.26 + 0.16 * u[0], 0.93 + 0.06 * u[0], -0.1 + 0.1 * u[1]
    # sleeve, bottom, neck, vee, ease at shoulder, hem, sleeve
    tops = {
        "t-shirt": (short, bottom, 0.0, 0.0, 0.006, 0.022 + 0.012 * u[2], 0.02),
        "tight tee": (short - 0.1, bottom, 0.02, 0.0, 0.004, 0.006, 0.006),
        "tank top": (-0.03, bottom, 0.05, 0.0, 0.005, 0.015, 0.0),
        "long sleeve": (long, bottom, 0.01, 0.0, 0.005, 0.014, 0.01),
        "shirt": (long if u[4] < 0.7 else short, bottom - 0.03, 0.0, 0.03, 0.007, 0.026, 0.018),
        "oversize tee": (0.48, -0.14, 0.01, 0.0, 0.012, 0.055, 0.045),
        "hoodie": (long, -0.07, -0.005, 0.0, 0.016, 0.04, 0.026),
        "sweater": (long, -0.06, -0.01, 0.0, 0.011, 0.03, 0.022),
        "v-neck": (long if u[4] < 0.6 else short, bottom, 0.0, 0.11, 0.006, 0.018, 0.012),
        "crop top": (short if u[4] < 0.6 else -0.02, 0.17, 0.03, 0.0, 0.005, 0.012, 0.01),
        "blouse": (0.6 + 0.3 * u[0], 0.0, 0.02, 0.06, 0.008, 0.045, 0.05),
        "poncho": (0.62, -0.06, 0.0, 0.05, 0.016, 0.09, 0.12),
    }
    if name in tops:
        sleeve, low, neck, vee, e0, e1, e2 = tops[name]
        label = {"hoodie": "hoodie", "sweater": "sweater", "shirt": "shirt", "blouse": "blouse"}.get(name, "top")
        stiff = 0.3 if name in ("hoodie", "sweater") else 0.12
        return Cut(
            name,
            label,
            sleeve,
            low,
            neck=neck,
            vee=vee,
            ease=(e0 + room, e1 + room, e2 + room),
            gap=0.004 + room,
            stiffness=stiff,
            neck_radius=0.084 + (0.01 if name == "hoodie" else 0.0),
            loose=name in LOOSE,
            steps=8 if e1 < 0.01 else 18,
            thickness=0.006 if stiff > 0.2 else 0.003,
        )
    outer = {
        "jacket": (0.97, -0.1, 0.0, (0.1, 0.035), 0.016, 0.03, 0.024),
        "open shirt": (long if u[4] < 0.6 else 0.4, -0.11, 0.0, (0.1, 0.05), 0.012, 0.034, 0.025),
        "cardigan": (0.97, -0.14, 0.0, (0.07, 0.05), 0.013, 0.03, 0.02),
        "vest": (-0.03, -0.08, 0.0, (0.07, 0.04), 0.016, 0.026, 0.0),
        "open coat": (0.97, 0.0, 0.28 + 0.28 * u[1], (0.075, 0.04), 0.018, 0.035, 0.028),
        "closed coat": (0.97, 0.0, 0.25 + 0.3 * u[1], None, 0.02, 0.035, 0.028),
    }
    if name in outer:
        sleeve, low, below, opening, e0, e1, e2 = outer[name]
        return Cut(
            name,
            {"open coat": "coat", "closed coat": "coat", "open shirt": "shirt"}.get(name, name),
            sleeve,
            low,
            below=below,
            opening=opening,
            flare=0.16 + 0.2 * u[2],
            vee=0.07 if opening is None else 0.02,
            neck_radius=0.092,
            ease=(e0 + room, e1 + room, e2 + room),
            gap=0.008 + room,
            stiffness=0.3,
            thickness=0.007,
            loose=name in LOOSE,
            steps=20,
        )
    bottoms = {
        "jeans": (-0.79, 0.1, 0.005, 0.012),
        "trousers": (-0.8, 0.13, 0.006, 0.024),
        "wide trousers": (-0.81, 0.15, 0.006, 0.062 + 0.03 * u[2]),
        "joggers": (-0.77, 0.12, 0.008, 0.02),
        "leggings": (-0.74, 0.13, 0.002, 0.002),
        "shorts": (-0.3 - 0.14 * u[0], 0.12, 0.006, 0.034),
        "short shorts": (-0.14 - 0.05 * u[0], 0.11, 0.005, 0.014),
        "flared trousers": (-0.81, 0.12, 0.003, 0.05),
        "culottes": (-0.55, 0.15, 0.006, 0.075),
    }
    if name in bottoms:
        low, top, e0, e1 = bottoms[name]
        label = "shorts" if name in ("shorts", "short shorts") else "trousers"
        return Cut(
            name,
            label,
            bottom=low,
            top=top,
            ease=(e0, e1, 0.0),
            gap=0.003,
            loose=name in LOOSE,
            steps=0 if name == "leggings" else 14,
            stiffness=0.15,
        )
    if name in SKIRTS:
        below = {"mini skirt": 0.2, "knee skirt": 0.34, "midi skirt": 0.5, "long skirt": 0.66, "pleated skirt": 0.3}[
            name
        ] + 0.06 * u[0]
        flare = {"mini skirt": 0.2, "knee skirt": 0.3, "midi skirt": 0.28, "long skirt": 0.2, "pleated skirt": 0.6}[
            name
        ] * (0.7 + 0.7 * u[1])
        return Cut(
            name,
            "skirt",
            top=0.12 + 0.03 * u[2],
            below=below,
            flare=flare,
            ease=(0.004, 0.012, 0),
            gap=0.004,
            loose=name in LOOSE,
            steps=22,
            stiffness=0.1,
        )
    if name in DRESSES:
        below = {
            "mini dress": 0.18,
            "summer dress": 0.36,
            "midi dress": 0.48,
            "long dress": 0.66,
            "shirt dress": 0.3,
            "robe": 0.55,
            "kimono": 0.62,
        }[name] + 0.06 * u[0]
        sleeve = {"robe": 0.9, "kimono": 0.72, "shirt dress": 0.95}.get(
            name, -0.03 if u[1] < 0.45 else 0.25 + 0.2 * u[2]
        )
        wide = name in ("robe", "kimono", "shirt dress")
        return Cut(
            name,
            "robe" if name in ("robe", "kimono") else "dress",
            sleeve,
            below=below,
            flare=0.14 + (0.1 if wide else 0.35) * u[3],
            neck=0.0 if wide else 0.02 + 0.04 * u[4],
            vee=0.16 if name in ("robe", "kimono") else 0.08 * (u[5] < 0.3),
            ease=(0.01, 0.03 + 2 * room, 0.1 if name == "kimono" else 0.035) if wide else (0.005, 0.014 + room, 0.016),
            gap=0.005 + 2.5 * room,  # the legs of what is worn below are not cut away under a skirt
            loose=name in LOOSE,
            steps=22,
            stiffness=0.14,
        )
    raise ValueError(f"There is no garment {name!r} in the catalogue.")


@dataclass(frozen=True)
class Piece:
    """A garment of the pack. wanted: its components; texture: below textures/, or None; rotated: the UV chart lies on
    its side."""

    folder: str
    wanted: tuple[int, ...]
    label: str
    texture: str | None
    metres: float
    rotated: bool = False


def _c(
    folder: str, wanted: tuple[int, ...], label: str, metres: float, photo: bool = True, rotated: bool = False
) -> Piece:
    return Piece(f"clothes/{folder}", wanted, label, f"clothes/{folder}_diffuse" if photo else None, metres, rotated)


PACK_TOPS: dict[str, tuple[Piece, float]] = {
    "tee f": (_c("female_casualsuit01", (0,), "top", 1.38, True, True), 0.7),
    "loose tee f": (_c("female_casualsuit02", (2,), "top", 1.4, False, True), 0.6),
    "collared blouse": (_c("female_elegantsuit01", (1,), "blouse", 1.66), 1.0),
    "sports top": (_c("female_sportsuit01", (0,), "top", 1.45, True, True), 0.4),
    "sweatshirt": (_c("male_casualsuit02", (1,), "sweater", 1.84), 1.0),
    "collared shirt": (_c("male_casualsuit03", (0,), "shirt", 1.84), 1.2),
    "tee m": (_c("male_casualsuit04", (0,), "top", 1.84), 0.8),
    "field jacket": (_c("male_casualsuit05", (0, 1, 2), "jacket", 2.47), 1.2),
    "folded t-shirt": (_c("male_casualsuit06", (0,), "top", 1.93), 0.8),
}
PACK_BOTTOMS: dict[str, tuple[Piece, float]] = {
    "skinny jeans": (_c("female_casualsuit01", (1,), "trousers", 1.77), 1.2),
    "belted shorts": (_c("female_casualsuit02", (0, 1), "shorts", 0.98, False), 0.7),
    "pencil skirt": (_c("female_elegantsuit01", (0,), "skirt", 1.46), 0.5),
    "sports leggings": (_c("female_sportsuit01", (1,), "trousers", 1.8), 0.6),
    "chinos": (_c("male_casualsuit02", (0,), "trousers", 1.84), 1.0),
    "casual trousers": (_c("male_casualsuit03", (1,), "trousers", 1.84), 1.0),
    "blue jeans": (_c("male_casualsuit04", (1,), "trousers", 1.84), 1.2),
    "field trousers": (_c("male_casualsuit05", (3,), "trousers", 2.49), 0.9),
    "folded trousers": (_c("male_casualsuit06", (1,), "trousers", 1.93), 0.8),
}
PACK_WHOLE: dict[str, tuple[Piece, float]] = {
    "boiler suit": (_c("male_casualsuit01", (), "top", 2.31, False), 0.5),
    "jacket and tie": (_c("male_elegantsuit01", (), "jacket", 2.07), 1.3),
    "dungarees": (_c("male_worksuit01", (), "trousers", 1.69), 0.8),
}
PACK_SHOES: dict[str, tuple[Piece, float]] = {
    "brown shoes": (Piece("clothes/shoes01", (0, 1, 2, 3), "shoes", "clothes/shoes01_brown_diffuse", 0.5), 1.0),
    "black shoes": (Piece("clothes/shoes04", (0, 1, 2, 3), "shoes", "clothes/shoes01_black_diffuse", 0.5), 1.0),
    "blue sneakers": (Piece("clothes/shoes06", (0, 1, 2, 3), "shoes", "clothes/shoes02_blue_diffuse", 0.5), 1.0),
    "white sneakers": (Piece("clothes/shoes05", (0, 1, 2, 3), "shoes", "clothes/shoes02_white_diffuse", 0.5), 1.4),
    "shoes03": (
        Piece("clothes/shoes03", (1, 2, 3, 4, 5, 7, 8, 9, 10, 11), "shoes", "clothes/shoes03_diffuse", 0.5),
        0.8,
    ),
}
PACK_HAIR: dict[str, tuple[str, float]] = {
    "short01": ("m", 1.3),
    "short02": ("m", 1.3),
    "short03": ("m", 1.0),
    "short04": ("m", 1.3),
    "afro01": ("b", 0.5),
    "bob01": ("f", 1.0),
    "bob02": ("f", 1.0),
    "braid01": ("f", 0.8),
    "long01": ("f", 1.3),
    "ponytail01": ("f", 1.3),
}
NO_HAIR_TEXTURE = ("afro01", "bob01")
