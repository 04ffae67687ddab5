"""Which hair and beard a person has, made: of the pack or our own, and what of it a hat leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from training.people import catalogue
from training.people import pack as packs
from training.people.beards import beard
from training.people.bodies import Person
from training.people.figure import Material, Part, compact
from training.people.hair import hair
from training.people.helpers_mesh import Posed, apply_rows
from training.people.reserved import allowed
from training.people.shell import ShellOnBody
from training.people.skeleton import bone
from training.people.streams import choose

# Hair that lies along the back as the pack has it would point to the sky on a head that hangs: none such there.
TRAILING = ("long01", "ponytail01", "braid01", "long", "ponytail", "pigtails")
BENT = 0.64  # cosine of the head's lean (50 degrees) from which it hangs


def haired(
    rng: np.random.Generator,
    who: Person,
    body: Posed,
    on: ShellOnBody,
    pack: Path | None,
    split: str,
    tint: tuple[float, float, float],
    brim: float | None,
    family: str,
) -> tuple[list[Part], str]:
    """Hair and beard."""
    parts: list[Part] = []
    female = who.sex == "female"
    draws = rng.random(4)
    name = "bald"
    bent = body.transforms[bone("head")][1, 1] < BENT
    if not female and who.age > 30 and draws[0] < 0.1:
        pass
    elif pack is not None and draws[1] < 0.68:
        wanted = {
            n: w * (1.0 if side in ("b", "f" if female else "m") else 0.06)
            for n, (side, w) in catalogue.PACK_HAIR.items()
            if not (bent and n in TRAILING)
        }
        name = choose(rng, allowed("hair", wanted, split))
        a = packs.asset(str(pack), f"hair/{name}")
        points, rows = packs.on_person(a, body)
        faces, uv_faces = a.faces, a.uv_faces
        if brim is not None:
            keep = points[faces][..., 1].max(1) < brim
            faces, uv_faces = faces[keep], uv_faces[keep]
        texture = None if name in catalogue.NO_HAIR_TEXTURE else f"hair/{name}_diffuse"
        material = Material(
            "hair",
            texture,
            {} if texture else {"name": "plain", "weave": "melange"},
            tint,
            1.0,
            0.45 if texture and name != "braid01" else None,
        )
        parts.append(
            compact(Part("hair", apply_rows(rows, points), faces, a.uv, uv_faces.astype(np.int32), material, True))
        )
    else:
        wanted = (
            {"cap": 1.4, "crop": 1.4, "afro": 0.5, "mohawk": 0.2}
            if not female
            else {
                "bob": 1.2,
                "long": 1.5,
                "bun": 0.8,
                "top_knot": 0.5,
                "ponytail": 0.9,
                "pigtails": 0.8 if who.age < 20 else 0.2,
                "cap": 0.3,
                "afro": 0.3,
            }
        )
        wanted = {n: w for n, w in wanted.items() if not (bent and n in TRAILING)}
        name = choose(rng, allowed("hair", wanted, split))
        if brim is not None and name in ("afro", "mohawk", "top_knot"):
            name = "crop"
        found = hair(name, body, on, rng, tint)
        if brim is not None:
            found = [below_brim(p, body, brim) for p in found]
        parts += [p for p in found if len(p.faces)]
    if not female and who.age > 20 and draws[2] < 0.34:
        kind = choose(rng, {"full": 0.9, "short": 1.4, "moustache": 0.5})
        parts.append(
            beard(kind, body, np.random.default_rng(int(rng.integers(1 << 30))), tuple(0.85 * t for t in tint))
        )  # type: ignore[arg-type]
        name = f"{name}, {kind} beard" if kind != "moustache" else f"{name}, moustache"
    return parts, name


def below_brim(part: Part, body: Posed, brim: float) -> Part:
    """Hair hulls without what lies under the hat: judged in the head's own frame."""
    head = body.transforms[bone("head")]
    rest_y = ((part.vertices - head[:, 3]) @ head[:, :3])[:, 1]
    keep = rest_y[part.faces].max(1) < brim
    return compact(replace(part, faces=part.faces[keep], uv_faces=part.uv_faces[keep]))
