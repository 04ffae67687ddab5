"""What gave people away and must not come back: scribbled seams, holes in the throat, hair that points to the sky."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np

from training.people import grow
from training.people.bodies import person
from training.people.decals import STRAIGHT, borders
from training.people.figure import Figure, Material, Part
from training.people.hairdressing import BENT, TRAILING, haired
from training.people.helpers_mesh import Posed, pose_body, rest_body, whole_mesh
from training.people.pack import bare_above
from training.people.poses import to_rig
from training.people.shell import on_body
from training.people.skeleton import about, bone


@lru_cache(maxsize=4)
def plain(seed: int) -> Figure:
    return grow.figure(seed, None)


def cloth_strip(step: float) -> Part:
    """Two strips of cloth side by side, sewn along a line that goes `step` metres to and fro at every vertex."""
    count, width = 24, 0.05
    rows = [np.stack([np.arange(count) * 0.02, np.full(count, y), np.zeros(count)], 1) for y in (0.0, width, 2 * width)]
    rows[1][::2, 1] += step
    points = np.concatenate(rows)
    faces, charts = [], []
    for k in range(2):
        for i in range(count - 1):
            a, b = k * count + i, k * count + i + 1
            faces += [(a, b, a + count), (b, b + count, a + count)]
            charts += [k, k]
    flat = np.concatenate([points[:, :2], points[:, :2] + [0.0, 0.3]])  # the second strip has its own UVs
    uv_faces = np.array(faces) + np.array(charts)[:, None] * len(points)
    return Part("top", points.astype(np.float32), np.array(faces, np.int32), flat.astype(np.float32),
                uv_faces.astype(np.int32), Material("cloth", metres_per_uv=1.0), True)  # fmt: skip


def test_a_seam_is_drawn_where_a_tailor_could_sew_it() -> None:
    straight, zigzag = borders(cloth_strip(0.0)), borders(cloth_strip(0.02))
    assert len(straight[0]) == 2 * 23 and len(zigzag[0]) == 0
    assert len(straight[1]) == len(zigzag[1]) == 2 * 23 + 4


def test_no_seam_across_the_picture_where_the_chart_turns() -> None:
    part = cloth_strip(0.0)
    uv = part.uv.copy()
    uv[72 + 36, 0] += 0.8  # a vertex of the second strip's side of the seam
    seams, _ = borders(dataclasses.replace(part, uv=uv))
    assert len(seams) == 2 * 23 - 2
    assert np.abs(np.diff(uv[seams], axis=1)).max() < 0.05


def test_seams_of_people_run_on() -> None:
    """Every seam edge of our own garments goes on at one end at least without a sharp turn."""
    sewn = 0
    for seed in (0, 3, 8, 9001):
        for part in plain(seed).parts:
            if part.material.kind != "cloth" or part.material.texture is not None or not len(part.faces):
                continue
            corner = np.zeros(len(part.uv), np.int64)
            corner[part.uv_faces] = part.faces
            edges = np.unique(np.sort(corner[borders(part)[0]], 1), axis=0)
            sewn += len(edges)
            sharp = 0
            for a, b in edges:
                direction = part.vertices[b] - part.vertices[a]
                turns = []
                for end, sign in ((a, -1.0), (b, 1.0)):
                    for c, d in edges[(edges == end).any(1)]:
                        other = c if d == end else d
                        if other not in (a, b):
                            on = part.vertices[other] - part.vertices[end]
                            cosine = sign * direction @ on / (np.linalg.norm(direction) * np.linalg.norm(on) + 1e-12)
                            turns.append(np.arccos(np.clip(cosine, -1, 1)))
                sharp += bool(turns) and min(turns) > 2 * STRAIGHT
            assert sharp <= 0.2 * len(edges)
    assert sewn > 50


def test_cloth_hides_no_skin_above_itself() -> None:
    mesh = whole_mesh()
    rig = mesh.rig
    head = np.isin(rig.part, [rig.part_names.index(n) for n in ("neck", "head", "face", "scalp")])
    neck = mesh.template[: mesh.body][rig.part == rig.part_names.index("neck")]
    middle, level = neck.mean(0), float(np.quantile(neck[:, 1], 0.4))
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    reach = float(np.sqrt(((neck - middle)[:, [0, 2]] ** 2).sum(1)).max()) + 0.005
    rings = [np.stack([reach * np.sin(angle) + middle[0], np.full(60, y), reach * np.cos(angle) + middle[2]], 1)
             for y in np.linspace(level - 0.08, level, 9)]  # fmt: skip
    collar = np.concatenate(rings)
    bare = bare_above(collar, np.arange(len(collar)))
    height = mesh.template[: mesh.body, 1]
    assert not bare[~head].any()
    assert bare[head & (height > level)].all()
    covered = (rig.part == rig.part_names.index("neck")) & (height < level - 0.005) & (height > level - 0.05)
    assert covered.any() and bare[covered].mean() < 0.2


def leaning(degrees: float) -> Posed:
    rest = rest_body(whole_mesh().rig.default_phenotypes(), np.zeros(30), np.zeros(52))
    turns = np.tile(np.eye(3), (len(whole_mesh().rig.bone_names), 1, 1))
    turns[bone("root")] = about("x", degrees)
    return pose_body(rest, to_rig(turns), np.zeros(3))


def test_hanging_heads_have_no_trailing_hair() -> None:
    who = next(person(s) for s in range(50) if person(s).sex == "female" and person(s).age > 20)

    def styles(body: Posed) -> set[str]:
        on = on_body(body)
        return {haired(np.random.default_rng(s), who, body, on, None, "train", (0.3, 0.2, 0.1), None, "standing")[1]
                for s in range(14)}  # fmt: skip

    upright, bent = leaning(20.0), leaning(80.0)
    assert upright.transforms[bone("head")][1, 1] > BENT > bent.transforms[bone("head")][1, 1]
    assert styles(upright) & set(TRAILING) and not styles(bent) & set(TRAILING)
