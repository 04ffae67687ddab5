"""What a person wears: chosen by sex, age and pose, put on from the outside in so that nothing pierces what lies over it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.people import catalogue
from training.people import pack as packs
from training.people.bags import bag
from training.people.bodies import Person
from training.people.colours import cloth_colour, hair_colour, recipe
from training.people.cut import border_edges
from training.people.faces import face_parts, skin_parts
from training.people.figure import Material, Part, compact
from training.people.garments import Cut, cover, hemmed, sew
from training.people.hairdressing import haired
from training.people.hats import hat
from training.people.helpers_mesh import Posed, apply_rows, whole_mesh
from training.people.penetration import vertex_normals
from training.people.reserved import allowed
from training.people.scarves import scarf
from training.people.shell import ShellOnBody, on_body, shell
from training.people.shoes import shoes
from training.people.streams import choose, stream

Array = NDArray[np.float64]
LOW = ("sitting", "squatting", "kneeling")  # families in which long skirts and coats fold badly


UNTUCKED = ("hoodie", "sweater", "oversize tee", "poncho", "crop top")
UPRIGHT = ("standing", "contrapposto", "signalling")


@dataclass
class Dressed:
    """All parts of a person, and what the facts say about them."""

    parts: list[Part]
    garments: list[str]
    loose: bool
    hair: str
    skin: str
    prints: list[str] = field(default_factory=list)


@dataclass
class Layer:
    """One garment before it is made: own (a Cut) or the pack's (a Piece)."""

    name: str
    cut: Cut | None = None
    piece: catalogue.Piece | None = None
    material: Material = field(default_factory=lambda: Material("cloth"))
    lift: float = 0.0


def dress(seed: int, who: Person, body: Posed, pack: Path | None, split: str, family: str) -> Dressed:
    """Everything on a posed body."""
    rng, on = stream(seed, "clothes"), on_body(body)
    floor = float(body.posed[: whole_mesh().body, 1].min())
    layers = outfit(rng, who, pack, split, family)
    prints = [m for m in (layer.material.pattern.get("name") for layer in layers) if m]
    s, _mesh = shell(), whole_mesh()
    covers = [cover_of(layer, pack) for layer in layers]
    shoe_rng = stream(seed, "shoes")
    shoe_parts, shoe_cover, shoe_hides, shoe_name = shod(shoe_rng, body, on, pack, split, layers)
    parts: list[Part] = []
    hidden = shoe_hides.copy()
    for i, layer in enumerate(layers):
        over = covers[i + 1 :]
        outer = np.max(over, 0) if over else None
        part, hides = made(layer, on, body, stream(seed, f"sew {i}"), outer, floor, pack)
        if len(part.faces):
            parts.append(part)
        hidden |= hides
    for c in [*covers, shoe_cover]:
        hidden |= (s.near_body >= 0) & (c[s.near_body] > 0)
    names = [layer.name for layer in layers] + ([shoe_name] if shoe_name else [])
    parts += shoe_parts
    extra, extra_names, brim = extras(stream(seed, "extras"), body, on, len(layers), split, layers)
    tint = hair_colour(stream(seed, "hair colour"), who.age)
    hair_parts, hair_name = haired(stream(seed, "hair"), who, body, on, pack, split, tint, brim, family)
    skin, skin_name = skin_parts(stream(seed, "skin"), who, body, pack, split, hidden)
    parts += extra + hair_parts + face_parts(stream(seed, "eyes"), body, pack, tint) + skin
    loose = any(n in catalogue.LOOSE for n in names)
    return Dressed(parts, names + extra_names, loose, hair_name, skin_name, prints)


def outfit(rng: np.random.Generator, who: Person, pack: Path | None, split: str, family: str) -> list[Layer]:
    """Layers from the inside out."""
    female, child = who.sex == "female", who.age < 13
    low = family in LOW
    kind, use_pack = rng.random(), pack is not None
    layers: list[Layer] = []
    if (female and kind < 0.24) or (not female and kind < 0.025):
        names = dict(catalogue.DRESSES) if female else {"robe": 1.0, "kimono": 1.0}
        if low:
            names = {n: w for n, w in names.items() if n in ("mini dress", "summer dress", "shirt dress")} or {
                "robe": 1.0
            }
        names = allowed("garment", names, split) or {"robe": 1.0}
        name = choose(rng, names)
        if name in ("mini dress", "shirt dress") and rng.random() < 0.4:
            layers.append(own(rng, "leggings", split, 0))
        if name in ("robe", "kimono"):
            layers.append(own(rng, "trousers", split, 0))
        layers.append(own(rng, name, split, len(layers)))
    elif use_pack and kind > 0.9 and not child:
        names = allowed("garment", {n: w for n, (_, w) in catalogue.PACK_WHOLE.items()}, split)
        layers.append(packed(rng, choose(rng, names), catalogue.PACK_WHOLE, split))
    else:
        layers += tucked(rng, bottom(rng, who, use_pack, split, family), upper(rng, use_pack, split, female))
    outer_chance = 0.26 if not layers[-1].piece or layers[-1].piece.label not in ("jacket",) else 0.0
    if rng.random() < outer_chance and layers[-1].name not in (
        "hoodie",
        "poncho",
        "robe",
        "kimono",
        "blouse",
        "oversize tee",
    ):
        names = dict(catalogue.OUTER)
        if low or any(layer.cut is not None and layer.cut.below > 0 for layer in layers):
            names = {n: w for n, w in names.items() if "coat" not in n}
        layers.append(own(rng, choose(rng, names), split, len(layers) + (layers[0].piece is not None)))
    return layers


def tucked(rng: np.random.Generator, below: Layer, above: Layer) -> list[Layer]:
    """Bottom and top from the inside out. Over a skirt a top is tucked in, or wide enough to hang outside."""
    draw = rng.random()
    if below.cut is None and above.cut is not None:  # the pack's waistbands stand off the skin by a centimetre
        roomy = replace(above.cut, ease=tuple(e + 0.007 for e in above.cut.ease), gap=above.cut.gap + 0.006)  # type: ignore[arg-type]
        return [below, replace(above, cut=roomy)]
    if below.cut is None or below.cut.below <= 0:
        return [below, above]
    if above.cut is None:
        return [below, replace(above, lift=0.02)] if above.name == "field jacket" else [above, below]
    if above.name in UNTUCKED or draw < 0.3:
        wider = [e + 0.014 for e in above.cut.ease]
        return [below, replace(above, cut=replace(above.cut, ease=(wider[0] - 0.01, wider[1], wider[2]), gap=0.02))]
    return [replace(above, cut=replace(above.cut, bottom=max(above.cut.bottom, 0.02), below=0.0)), below]


def bottom(rng: np.random.Generator, who: Person, use_pack: bool, split: str, family: str) -> Layer:
    low = family in LOW
    draw, pick = rng.random(), rng.random()
    if who.sex == "female" and draw < 0.22:
        names = {
            n: w for n, w in catalogue.SKIRTS.items() if not low or n in ("mini skirt", "knee skirt", "pleated skirt")
        }
        return own(rng, choose(rng, names), split, 0)
    if use_pack and pick < 0.45:
        names = {n: w for n, (_, w) in catalogue.PACK_BOTTOMS.items()}
        if who.sex == "male":
            names = {
                n: w
                for n, w in names.items()
                if n not in ("pencil skirt", "sports leggings", "skinny jeans", "belted shorts")
            }
        if family not in UPRIGHT:  # a narrow skirt that is skinned to both legs tears in big steps
            names.pop("pencil skirt", None)
        return packed(rng, choose(rng, allowed("garment", names, split)), catalogue.PACK_BOTTOMS, split)
    names = dict(catalogue.BOTTOMS)
    if who.sex == "male":
        for name in ("leggings", "short shorts", "flared trousers"):
            names[name] *= 0.12
    return own(rng, choose(rng, allowed("garment", names, split)), split, 0)


def upper(rng: np.random.Generator, use_pack: bool, split: str, female: bool) -> Layer:
    if use_pack and rng.random() < 0.42:
        names = {n: w for n, (_, w) in catalogue.PACK_TOPS.items()}
        if not female:
            names = {n: w for n, w in names.items() if n not in ("collared blouse", "sports top")}
        found = packed(rng, choose(rng, allowed("garment", names, split)), catalogue.PACK_TOPS, split)
        return replace(found, lift=0.005)
    names = dict(catalogue.TOPS)
    if not female:
        names = {n: w * (0.1 if n in ("crop top", "blouse") else 1.0) for n, w in names.items()}
    return own(rng, choose(rng, allowed("garment", names, split)), split, 1)


def own(rng: np.random.Generator, name: str, split: str, layer: int) -> Layer:
    """A garment of our own with its cloth."""
    made_cut = catalogue.drawn(name, rng, layer)
    pattern, tint = recipe(rng, name, split)
    material = Material("cloth", None, pattern, tint, 2.0)
    return Layer(name, cut=replace(made_cut, material=material), material=material)


def packed(rng: np.random.Generator, name: str, table: dict[str, tuple[catalogue.Piece, float]], split: str) -> Layer:
    """A garment of the pack: its photograph (often dyed), or drawn cloth."""
    piece = table[name][0]
    if piece.texture is not None and rng.random() < 0.6:
        dyed = rng.random() < 0.6 and "trousers" not in piece.label
        material = Material("cloth", piece.texture, {}, cloth_colour(rng) if dyed else None, piece.metres)
    else:
        pattern, tint = recipe(rng, "trousers" if piece.label in ("trousers", "shorts") else "t-shirt", split)
        material = Material("cloth", None, {**pattern, "turned": piece.rotated}, tint, piece.metres)
    return Layer(name, piece=piece, material=material)


def cover_of(layer: Layer, pack: Path | None) -> Array:
    """(S,) positive where the layer covers the shell for certain."""
    if layer.cut is not None:
        return cover(layer.cut, shell())
    assert layer.piece is not None and pack is not None
    return packs.pieces(str(pack), layer.piece.folder, layer.piece.wanted)[3]


def made(
    layer: Layer,
    on: ShellOnBody,
    body: Posed,
    rng: np.random.Generator,
    outer: Array | None,
    floor: float,
    pack: Path | None,
) -> tuple[Part, NDArray[np.bool_]]:
    """The finished part and the body vertices that it hides beyond its cover."""
    none = np.zeros(whole_mesh().body, bool)
    if layer.cut is not None:
        return sew(layer.cut, on, body, rng, outer, floor), none
    assert layer.piece is not None and pack is not None
    piece = layer.piece
    a = packs.asset(str(pack), piece.folder)
    faces, uv_faces, hides, _ = packs.pieces(str(pack), piece.folder, piece.wanted)
    if outer is not None:
        under = (outer[a.near] > 0) & (a.gap < 0.06)
        keep = ~under[faces].all(1)
        faces, uv_faces = faces[keep], uv_faces[keep]
    points, rows = packs.on_person(a, body)
    if layer.lift:
        points = points + layer.lift * vertex_normals(points, a.faces)
    part = compact(
        Part(piece.label, apply_rows(rows, points), faces, a.uv, uv_faces.astype(np.int32), layer.material, True)
    )
    return hemmed(part, 0.003) if piece.label != "shoes" and len(
        border_edges(part.faces.astype(np.int64))
    ) < 1500 else part, hides


def shod(
    rng: np.random.Generator, body: Posed, on: ShellOnBody, pack: Path | None, split: str, layers: list[Layer]
) -> tuple[list[Part], Array, NDArray[np.bool_], str]:
    """Shoes: parts, cover of the shell, hidden body vertices, name. One person in fourteen is barefoot."""
    nothing = np.full(len(shell().points), -1.0), np.zeros(whole_mesh().body, bool)
    draw = rng.random()
    if draw < 0.07:
        return [], *nothing, ""
    if pack is not None and draw < 0.75:
        name = choose(rng, allowed("garment", {n: w for n, (_, w) in catalogue.PACK_SHOES.items()}, split))
        piece = catalogue.PACK_SHOES[name][0]
        long_legs = any(
            ((c := layer.cut) is not None and c.bottom < -0.6)
            or (layer.piece is not None and layer.piece.label == "trousers")
            for layer in layers
        )
        if name != "shoes03" and long_legs:
            piece = replace(piece, wanted=(0, 1))
        layer = Layer(name, piece=piece, material=Material("leather", piece.texture, {}, None, 0.5, None, 0.25))
        part, hides = made(layer, on, body, rng, None, 0.0, pack)
        return [part], nothing[0], hides, name
    tint = cloth_colour(rng)
    made_part, over = shoes(
        body, on, rng, Material("leather", None, {"name": "plain", "weave": "leather"}, tint, 0.6, None, 0.2)
    )
    return [made_part], over, nothing[1], "plain shoes"


def extras(
    rng: np.random.Generator, body: Posed, on: ShellOnBody, layers: int, split: str, worn: list[Layer]
) -> tuple[list[Part], list[str], float | None]:
    """Hats, scarves, bags; and the rest height above which hair must not show."""
    parts: list[Part] = []
    names: list[str] = []
    brim: float | None = None
    draws = rng.random(4)
    pattern, tint = recipe(rng, "hat", split)
    cloth = Material("cloth", None, pattern, tint, 1.0)
    if draws[0] < 0.13:
        kind = choose(
            rng, allowed("garment", {"beanie": 1.3, "baseball_cap": 1.3, "brim_hat": 0.9, "bucket_hat": 0.6}, split)
        )
        found, brim = hat(
            kind,
            body,
            rng,
            replace(cloth, pattern={"name": "plain", "weave": "knit" if kind == "beanie" else "canvas"}),
        )
        parts += found
        names.append(kind)
    hooded = any(layer.name in ("hoodie", "poncho") for layer in worn)
    if draws[1] < 0.07 and not hooded:
        parts += scarf(body, on, rng, cloth)
        names.append("scarf")
    gap = 0.012 + 0.012 * layers
    if draws[2] < 0.12:
        kind = "backpack" if draws[3] < 0.5 else "shoulder"
        leather = Material(
            "leather",
            None,
            {"name": "plain", "weave": "leather" if draws[3] > 0.7 else "canvas"},
            cloth_colour(rng),
            1.0,
        )
        parts += bag(kind, body, on, rng, gap, leather)
        names.append("backpack" if kind == "backpack" else "shoulder bag")
    return parts, names, brim
