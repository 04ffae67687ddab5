"""The people of training as geometry: deterministic, apart by split, dressed, on the ground, within human measures."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from pipelines.body.read_body import vertices_cam
from pipelines.body.rig import default_rig
from training.people import colours, grow
from training.people.cloth import edges_of, hang, lengths_of
from training.people.cut import border_edges, cut, loops
from training.people.figure import Figure
from training.people.helpers_mesh import FLIP, rest_body, whole_mesh
from training.people.penetration import Limbs
from training.people.reserved import RESERVED, allowed, reserved_for_test
from training.people.shell import shell
from training.people.skeleton import Skeleton, about, bone
from training.people.streams import split_of, stream

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (0, 3, 8, 14, 9001)


@lru_cache(maxsize=16)
def plain(seed: int) -> Figure:
    return grow.figure(seed, None)


def digest(figure: Figure) -> str:
    sha = hashlib.sha256()
    for part in figure.parts:
        for array in (part.vertices, part.faces, part.uv, part.uv_faces):
            sha.update(np.ascontiguousarray(array).tobytes())
        sha.update(repr(part.material).encode())
    sha.update(repr(sorted(figure.facts.items())).encode())
    for name in sorted(figure.body.arrays):
        sha.update(
            np.nan_to_num(figure.body.arrays[name]).tobytes() if figure.body.arrays[name].dtype.kind == "f" else b""
        )
    return sha.hexdigest()


def test_same_seed_same_bytes_in_another_process_with_other_threads() -> None:
    code = (
        "import torch; torch.set_num_threads(2)\n"
        "from tests.test_people_figure import digest, grow\n"
        "grow.figure(5, None)\nprint(digest(grow.figure(3, None)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == digest(plain(3))
    assert digest(plain(3)) != digest(plain(8))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_person_is_whole_and_stands_on_the_ground(seed: int) -> None:
    figure = plain(seed)
    labels = [part.label for part in figure.parts]
    assert "skin" in labels and "eyes" in labels and len(figure.facts["garments"]) >= 2
    low = min(float(part.vertices[:, 1].min()) for part in figure.parts)
    assert 0 <= low < 0.13
    for part in figure.parts:
        assert np.isfinite(part.vertices).all() and np.isfinite(part.uv).all()
        assert part.vertices.dtype == np.float32 and part.faces.dtype == np.int32
        assert part.faces.min() >= 0 and part.faces.max() < len(part.vertices)
        assert part.uv_faces.max() < len(part.uv) and part.uv_faces.shape == part.faces.shape
        longest = np.linalg.norm(part.vertices[part.faces] - part.vertices[part.faces[:, [1, 2, 0]]], axis=2).max()
        assert longest < 0.3, f"{part.label} of {seed} has an edge of {longest:.2f} m: torn cloth"
    assert 0 <= figure.facts["penetration_mm"] < 90


@pytest.mark.parametrize("seed", SEEDS)
def test_the_body_record_gives_the_skin_that_is_drawn(seed: int) -> None:
    figure = plain(seed)
    skin = next(part for part in figure.parts if part.label == "skin")
    body = vertices_cam(figure.body).astype(np.float64) * FLIP
    from scipy.spatial import cKDTree

    assert cKDTree(body).query(skin.vertices)[0].max() < 1e-4


@pytest.mark.parametrize("seed", SEEDS)
def test_cloth_lies_outside_the_body(seed: int) -> None:
    """Few vertices of clothes are behind the skin that is nearest to them."""
    from scipy.spatial import cKDTree

    from training.people.penetration import vertex_normals

    figure = plain(seed)
    body = vertices_cam(figure.body).astype(np.float64) * FLIP
    rig = default_rig()
    normals = vertex_normals(body, rig.faces)
    tree = cKDTree(body)
    for part in figure.parts:
        if part.material.kind != "cloth" or part.label in ("hat", "scarf"):
            continue
        gap, near = tree.query(part.vertices)
        height = ((part.vertices - body[near]) * normals[near]).sum(1)
        assert ((height < -0.004) & (gap < 0.03)).mean() < 0.06, part.label


def test_seeds_outside_are_refused() -> None:
    assert split_of(0) == split_of(8999) == "train" and split_of(9000) == "test"
    for seed in (-1, 10000):
        with pytest.raises(ValueError, match="There is no person"):
            grow.figure(seed, None)


def test_aspects_have_streams_of_their_own() -> None:
    assert stream(1, "pose").random() == stream(1, "pose").random()
    assert len({stream(s, a).random() for s in (1, 2) for a in ("pose", "clothes")}) == 4


def test_reserved_things_never_reach_training() -> None:
    for kind, names in RESERVED.items():
        weights = {**dict.fromkeys(names, 1.0), "something else": 1.0}
        assert set(allowed(kind, weights, "train")) == {"something else"}
        assert set(allowed(kind, weights, "test")) == set(weights)
    with pytest.raises(ValueError, match="There is no kind"):
        reserved_for_test("colour", "red")


def test_what_was_drawn_keeps_the_split() -> None:
    """The plans of many people (pose, clothes, hair) without growing them."""
    from training.people.bodies import person
    from training.people.poses import _drawn
    from training.people.wardrobe import outfit

    rest = rest_body(whole_mesh().rig.default_phenotypes(), np.zeros(30), np.zeros(52))
    seen: dict[str, set[str]] = {"train": set(), "test": set()}
    for split, first in (("train", 0), ("test", 9000)):
        for seed in range(first, first + 60):
            who = person(seed)
            name = _drawn(stream(seed, "pose 0"), rest, None, split, np.array([0.17, 0, 0]))[2]
            seen[split].add("pose " + name.split("__")[0])
            layers = outfit(stream(seed, "clothes"), who, None, split, "standing")
            seen[split] |= {"garment " + layer.name for layer in layers}
            seen[split] |= {"print " + str(layer.material.pattern.get("name")) for layer in layers}
    held = {f"{kind} {name}" for kind, names in RESERVED.items() for name in names}
    assert not seen["train"] & held
    assert len(seen["test"] & held) >= 6


def test_prints_are_ones_the_drawing_knows() -> None:
    from training.people.fabric import ALSO, PATTERNS

    assert set(colours.PATTERNS) <= set(PATTERNS) | set(ALSO)


def test_people_have_human_measures() -> None:
    from training.people.bodies import person

    found = [person(seed) for seed in range(60)]
    adults = [p for p in found if p.age >= 18]
    heights = {sex: [np.ptp(rest_body(p.phenotypes, p.local, p.expression).vertices.numpy()[: whole_mesh().body, 1])
                     for p in adults if p.sex == sex] for sex in ("male", "female")}  # fmt: skip
    assert 1.70 < np.mean(heights["male"]) < 1.83 and 1.57 < np.mean(heights["female"]) < 1.70
    assert 0.08 < np.mean([p.age < 13 for p in found]) < 0.35
    assert min(p.age for p in found) >= 4 and max(p.age for p in found) > 60


def test_helpers_follow_the_body() -> None:
    """The tights lie on the skin of thin and heavy, small and tall."""
    from scipy.spatial import cKDTree

    mesh = whole_mesh()
    low, high = mesh.groups["tights"]
    for phenotypes in ([0, 0.67, 0.5, 0.1, 0.4, 0.5], [1, 0.67, 0.5, 0.95, 0.3, 0.5], [0.5, 0.2, 0.5, 0.5, 0.5, 0.5]):
        v = rest_body(np.array(phenotypes), np.zeros(30), np.zeros(52)).vertices.numpy()
        gap = cKDTree(v[: mesh.body]).query(v[low:high])[0]
        assert np.median(gap) < 0.02 and gap.max() < 0.09


def test_a_cut_is_a_clean_line() -> None:
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9))
    values = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)
    i = (np.arange(8)[:, None] * 9 + np.arange(8)).ravel()
    faces = np.concatenate([np.stack([i, i + 1, i + 10], 1), np.stack([i, i + 10, i + 9], 1)])
    kept, left, border = cut(values, faces, values[:, 1] + 0.07)
    a, b, c = (kept[left[:, k]] for k in range(3))
    assert np.isclose(0.5 * np.cross(b - a, c - a)[:, 2].sum(), 2 * 1.07)
    assert np.allclose(kept[border, 1], -0.07)
    chain = loops(border_edges(left))[0]
    assert chain[0] == chain[-1] and len(set(chain.tolist())) == len(chain) - 1


def test_hanging_cloth_hangs_and_does_not_stretch() -> None:
    """A square held along its top falls straight, keeps its length and stays above the floor."""
    s = shell()
    n = 12
    x, y = np.meshgrid(np.linspace(-0.3, 0.3, n), np.linspace(0, 0.6, n))
    flat = np.stack([x.ravel(), 3 + y.ravel() * 0, 5 + y.ravel()], 1)  # lies level, far from the body
    i = (np.arange(n - 1)[:, None] * n + np.arange(n - 1)).ravel()
    faces = np.concatenate([np.stack([i, i + 1, i + n + 1], 1), np.stack([i, i + n + 1, i + n], 1)])
    hold = np.where(np.arange(n * n) < n, 1.0, 0.0)
    none = np.full((n * n, 2), -1)
    at = hang(flat, edges_of(faces), flat, hold, none, np.zeros(n * n), s.points, s.normals, s.rings, none[:, 0],
              np.zeros(n * n), steps=400, stiffness=0.05, floor=2.7)  # fmt: skip
    assert np.allclose(at[:n], flat[:n])
    assert at[:, 1].min() >= 2.7 and at[-n:, 1].mean() < 2.75
    edges, _ = edges_of(faces)
    assert (lengths_of(at, edges) / lengths_of(flat, edges)).max() < 1.25


def test_every_hull_is_whole() -> None:
    """Each hair style, hat, bag, scarf, beard and shoe of our own on one body."""
    from training.people import hair, hats
    from training.people.bags import bag
    from training.people.beards import beard
    from training.people.figure import Material
    from training.people.helpers_mesh import pose_body
    from training.people.scarves import scarf
    from training.people.shell import on_body
    from training.people.shoes import shoes

    rest = rest_body(whole_mesh().rig.default_phenotypes(), np.zeros(30), np.zeros(52))
    body = pose_body(rest, np.tile(np.eye(3), (104, 1, 1)), np.zeros(3))
    on, cloth, rng = on_body(body), Material("cloth"), np.random.default_rng(1)
    found = {style: hair.hair(style, body, on, rng, (0.2, 0.1, 0.1)) for style in hair.HAIR}
    found |= {kind: hats.hat(kind, body, rng, cloth)[0] for kind in hats.HATS}
    found |= {kind: bag(kind, body, on, rng, 0.01, cloth) for kind in ("backpack", "shoulder")}
    found |= {kind: [beard(kind, body, rng, (0.2, 0.1, 0.1))] for kind in ("full", "short", "moustache")}
    found |= {"scarf": scarf(body, on, rng, cloth), "shoes": [shoes(body, on, rng, cloth)[0]]}
    for name, parts in found.items():
        assert parts, name
        for part in parts:
            assert len(part.faces) > 10 and np.isfinite(part.vertices).all(), name
            assert part.vertices.shape[1] == 3 and part.faces.max() < len(part.vertices), name
            assert np.ptp(part.vertices, axis=0).max() < 2.0, name


def test_every_garment_of_the_catalogue_can_be_sewn() -> None:
    from training.people import catalogue
    from training.people.garments import sew
    from training.people.helpers_mesh import pose_body
    from training.people.shell import on_body

    rest = rest_body(whole_mesh().rig.default_phenotypes(), np.zeros(30), np.zeros(52))
    body = pose_body(rest, np.tile(np.eye(3), (104, 1, 1)), np.zeros(3))
    on = on_body(body)
    floor = float(body.posed[: whole_mesh().body, 1].min())
    tables = (catalogue.TOPS, catalogue.OUTER, catalogue.BOTTOMS, catalogue.SKIRTS, catalogue.DRESSES)
    for name in (name for table in tables for name in table):
        cut_of = catalogue.drawn(name, np.random.default_rng(2), 1)
        part = sew(cut_of, on, body, np.random.default_rng(3), None, floor)
        assert len(part.faces) > 500 and np.isfinite(part.vertices).all(), name
        edges = part.vertices[part.faces] - part.vertices[part.faces[:, [1, 2, 0]]]
        assert np.linalg.norm(edges, axis=2).max() < 0.12, f"{name} is torn"
    with pytest.raises(ValueError, match="no garment"):
        catalogue.drawn("toga", np.random.default_rng(0))


def test_penetration_is_noticed_and_the_arms_reach_their_target() -> None:
    rest = rest_body(whole_mesh().rig.default_phenotypes(), np.zeros(30), np.zeros(52))
    limbs = Limbs(rest)
    still = np.tile(np.eye(3), (104, 1, 1))
    assert limbs.depth(still) == 0
    inwards = still.copy()
    for side, sign in (("L", 1.0), ("R", -1.0)):
        inwards[bone(f"upperarm01.{side}")] = about("z", sign * -58)
    assert limbs.depth(inwards) > 0.03
    s = Skeleton(rest)
    names = tuple(f"{b}.L" for b in ("upperarm01", "upperarm02", "lowerarm01", "lowerarm02", "wrist"))
    _, shoulder = s.globals("upperarm01.L")
    target = shoulder + np.array([0.1, -0.2, 0.25])
    s.reach(names, target, np.array([0.5, -1, 0]))  # type: ignore[arg-type]
    assert np.allclose(s.globals("wrist.L")[1], target, atol=1e-6)


@pytest.mark.skipif(
    grow.pack_place() is None, reason="The MakeHuman pack is not here: set HUMANSCOPE_MAKEHUMAN to its folder."
)
def test_people_of_the_pack() -> None:
    pack = grow.pack_place()
    figures = [grow.figure(seed, pack) for seed in range(4)]
    assert all(f.facts["pack"] for f in figures)
    assert any(part.material.texture for f in figures for part in f.parts if part.label != "skin")
    assert digest(figures[2]) == digest(grow.figure(2, pack))


@pytest.mark.skipif(
    grow.pack_place() is None, reason="The MakeHuman pack is not here: set HUMANSCOPE_MAKEHUMAN to its folder."
)
def test_assets_of_the_pack_reproduce_themselves() -> None:
    """On the average adult a garment of the pack lies on the shell, and its pieces are complete."""
    from training.people import pack

    place = str(grow.pack_place())
    a = pack.asset(place, "clothes/male_casualsuit04")
    assert np.bincount(a.piece).tolist() == [810, 886] and a.gap.max() < 0.09
    faces, _, hides, cover = pack.pieces(place, "clothes/male_casualsuit04", (1,))
    assert 0 < len(faces) < len(a.faces) and hides.sum() > 500 and (cover > 0).sum() > 500
    with pytest.raises(FileNotFoundError, match="no asset"):
        pack.asset(place, "clothes/toga")


def test_a_wrong_place_of_the_pack_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(grow.ENVIRONMENT, str(tmp_path))
    with pytest.raises(ValueError, match="MakeHuman pack"):
        grow.pack_place()
    monkeypatch.setenv(grow.ENVIRONMENT, "")
    assert grow.pack_place() is None


def test_a_garment_that_is_hidden_but_for_a_scrap_is_not_worn() -> None:
    from training.people import catalogue
    from training.people.garments import sew
    from training.people.helpers_mesh import pose_body
    from training.people.shell import on_body

    rest = rest_body(whole_mesh().rig.default_phenotypes(), np.zeros(30), np.zeros(52))
    body = pose_body(rest, np.tile(np.eye(3), (104, 1, 1)), np.zeros(3))
    on = on_body(body)
    cut_of = catalogue.drawn(sorted(catalogue.TOPS)[0], np.random.default_rng(2), 1)
    whole = sew(cut_of, on, body, np.random.default_rng(3), None, -1.0)
    assert len(whole.faces) > 500
    worn = 0
    for scrap in np.random.default_rng(0).choice(len(on.rest), 40, replace=False):
        outer = np.ones(len(on.rest))
        outer[scrap] = -1.0
        part = sew(cut_of, on, body, np.random.default_rng(3), outer, -1.0)
        worn += len(part.faces)
    assert worn == 0
