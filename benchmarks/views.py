"""Does a set of views become a good mesh, and how fast?

    python -m benchmarks.views FOLDER [--out DIR] [--json FILE]       pictures made elsewhere
    python -m benchmarks.views --people 10 --turn 30 [--json FILE]    synthetic people, whose shape and body are known

Prints for every view the overlap of its outline with the carved surface and the mean angle between their normals; for
synthetic people the Chamfer distance and the normal error against the triangles that they are drawn from, as eight level
sides see both (`benchmarks.seen_surface`), and how far the body's joints are from the true ones before and after it was
fitted to the surface. `closed_*` is the same against a closed surface of the truth with cells of 10 mm, and `truth_*` how
far that surface is itself from the triangles; with --turn whether the meter names a view that was turned
by so many degrees; seconds of every step. Writes twelve.png: the textured mesh from twelve sides, in clay below.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.seen_surface import Side, compared, mesh_sides, person_sides
from pipelines.geometry.mesh_picture import render_mesh
from pipelines.geometry.mesh_raster import rasterise_mesh, vertex_normals
from pipelines.geometry.orthographic import around
from pipelines.recipe import Recipe
from pipelines.records import Body, Mesh, Record, to_bytes, write_image
from pipelines.step import Context
from pipelines.views.readers import Wishes, read_views
from pipelines.views.records import PosedView, Shape, Views
from pipelines.weights import Weights

SIDES = 12
JUDGED = ("chamfer_pct", "normal_deg", "normal_between_deg", "iou", "truth_chamfer_pct", "truth_normal_deg",
          "closed_chamfer_pct", "closed_normal_deg")  # fmt: skip


def run_recipe(recipe: Recipe, start: dict[str, Record], settings: dict[str, dict[str, Any]]) -> tuple[dict, dict]:
    """Every step after those given -> the records by step name, and the processor seconds of each step."""
    records, seconds = dict(start), {}
    for step in recipe.steps:
        if step.name in records:
            continue
        inputs = {n: records[s] for n, s in recipe.sources(step).items()}
        if "upload" in step.inputs:
            inputs["upload"] = records["upload"]
        context = Context(step.name, weights=Weights().path)
        begin, wall = time.process_time(), time.perf_counter()
        made = step.run(inputs, step.make_params(settings.get(step.name, {})), context)
        seconds[step.name] = (time.process_time() - begin, time.perf_counter() - wall)
        with tempfile.TemporaryDirectory() as folder:  # steps work on loaded records
            made.save(Path(folder))
            records[step.name] = type(made).load(Path(folder))
        for sentence in context.warnings:
            print(f"! {step.name}: {sentence}")
    return records, seconds


def twelve_sides(mesh: Mesh, height: int = 480) -> NDArray[np.float32]:
    """(4 height, 6 width, 3): the mesh from twelve sides, textured and in clay, on white."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    reach = 1.05 * float(max(high[1] - low[1], 1e-6))
    middle = np.array([0.0, 0.5 * (low[1] + high[1]), 0.0])
    wide = 1.1 * 2.0 * float(np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 2]).max()) / reach
    width = min(int(height * wide) + 1, height)
    rows = []
    for first in (0, SIDES // 2):
        for mode in ("textured", "clay"):
            tiles = []
            for k in range(first, first + SIDES // 2):
                camera = around(360.0 * k / SIDES, 0.0, height, height / reach, middle).cropped(
                    (height - width) // 2, 0, width, height
                )
                image = render_mesh(mesh.vertices, mesh.faces, camera.distant(), mode, normals=mesh.normals, uv=mesh.uv,
                                    texture=mesh.texture)  # fmt: skip
                tiles.append(image[..., :3] * image[..., 3:] + 1.0 - image[..., 3:])
            rows.append(np.concatenate(tiles, 1))
    return np.concatenate(rows)


def surface_points(vertices: NDArray, faces: NDArray, count: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Points (n, 3) spread evenly over a surface, and its smooth normals there (n, 3)."""
    a, b, c = (np.asarray(vertices, np.float64)[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    generator = np.random.default_rng(seed)
    face = generator.choice(len(faces), count, p=area / area.sum())
    u, v = generator.random((2, count))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    weights = np.stack([1 - u - v, u, v], 1)[..., None]
    normals = vertex_normals(vertices, faces)
    normal = (normals[faces[face]] * weights).sum(1)
    return (vertices[faces[face]] * weights).sum(1), normal / np.linalg.norm(normal, axis=1, keepdims=True)


def seen_around(vertices: NDArray, faces: NDArray, sides: int = 8, size: int = 640) -> NDArray:
    """(F', 3) the faces that level views from so many sides see. What lies inside a skirt or a sleeve no view shows."""
    low, high = vertices.min(0), vertices.max(0)
    reach = 1.1 * float(np.linalg.norm(high - low))
    seen = np.zeros(len(faces), bool)
    for k in range(sides):
        camera = around(360.0 * k / sides, 0.0, size, size / reach, 0.5 * (low + high))
        found = rasterise_mesh(vertices, faces, camera.distant()).face_id
        seen[found[found >= 0]] = True
    return faces[seen]


def against_truth(shape: Shape, vertices: NDArray, faces: NDArray) -> dict[str, float]:
    """Of what level views from eight sides see of both: Chamfer (mean of both directions, % of height), and the mean
    angle of the truth's points to the normal of the nearest point of the shape, degrees."""
    from scipy.spatial import cKDTree

    mine = shape.vertices.astype(np.float64)
    # Many points to be near to, or their distance from one another would be taken for an error.
    p, n = surface_points(mine, seen_around(mine, shape.faces), 400_000)
    q, m = surface_points(vertices, seen_around(vertices, faces), 400_000, 1)
    some = 40_000
    there, _ = cKDTree(q).query(p[:some])
    back, near = cKDTree(p).query(q[:some])
    height = float(np.ptp(np.asarray(vertices)[:, 1]))
    angle = np.degrees(np.arccos(np.clip((m[:some] * n[near]).sum(1), -1, 1)))
    return {"chamfer_pct": 50.0 * float(there.mean() + back.mean()) / height, "normal_deg": float(angle.mean())}


@dataclass(frozen=True)
class Person:
    """A synthetic person as SyncHuman's stage 1 would draw it. right: files by name. turned: the same, of the person
    turned. vertices (V, 3), faces (F, 3): the true surface, and joints (22, 3): of the true body, both as `read_views`
    places the person."""

    right: dict[str, bytes]
    turned: dict[str, bytes]
    vertices: NDArray
    faces: NDArray
    joints: NDArray
    sides: list[Side]


def made_person(seed: int, turn: float = 0.0, size: int = 768) -> Person:
    """The person of a seed, 0 to 8999: people that networks may have been trained on."""
    from training.people.ortho import box_of, ortho_views
    from training.people.outer_surface import outer_surface
    from training.people.subjects import portrait

    made = portrait(seed, long_side=256)
    scene = made.scene
    outer = outer_surface(scene)
    vertices, faces = outer.vertices, outer.faces
    middle, _ = box_of(scene.points, 0.0)
    # The reader's ground is the lowest pixel, its axis the middle of the pictures.
    place = np.array([middle[0], scene.points[:, 1].min(), middle[2]])
    right = folder_of(ortho_views(scene, 0.0, size))
    turned = folder_of(ortho_views(scene, turn, size)) if turn else right
    # A figure's body is written for a camera in the middle of the display frame that looks along -z.
    joints = made.figure.body["body22_cam"].astype(np.float64) * (1.0, -1.0, -1.0)
    return Person(right, turned, vertices - place, faces, joints - place, person_sides(scene, place))


def folder_of(drawn: Any) -> dict[str, bytes]:
    """Files of a SyncHuman stage-1 folder from `training.people.ortho` pictures: on white, views 2 and 3 mirrored."""
    files = {}
    for i in range(5):
        alpha = drawn.colour[i][..., 3:]
        normal = np.where(drawn.normal[i].any(-1, keepdims=True), drawn.normal[i] * 0.5 + 0.5, 1.0)
        for name, image in (("color", drawn.colour[i][..., :3] * alpha + 1.0 - alpha), ("normal", normal)):
            buffer = io.BytesIO()
            Image.fromarray(to_bytes(image)).save(buffer, "PNG", optimize=True)
            files[f"{name}_{i}.png"] = buffer.getvalue()
    return files


def write_example(folder: Path, seed: int, size: int) -> None:
    """The example that is shipped: a synthetic person's views as SyncHuman's stage 1 would name them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = made_person(seed, size=size).right
    for name in ("color_4.png", "normal_4.png"):  # the face at one and a half times the front's scale
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(files[name])) as face:
            face.resize((size // 2, size // 2), Image.Resampling.BOX).save(buffer, "PNG", optimize=True)
        files[name] = buffer.getvalue()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    print(f"{folder}: {sum(p.stat().st_size for p in folder.iterdir()) / 1000:.0f} kB")


def report(records: dict[str, Any], seconds: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """Prints the table of views and the seconds; the same as plain data."""
    from pipelines.views.agreement import agreement

    rows = {
        r["view"]: r
        for r in agreement(records["surface"].vertices, records["surface"].faces, records["views.read"].views)
    }
    blame = {r["view"]: r["blame"] for r in records["consistency"].rows} if "consistency" in records else {}
    for name, row in rows.items():
        angle = "" if row["normal_deg"] is None else f"normals {row['normal_deg']:5.1f} deg   "
        worst = f"worst at {row['worst_height']:.0%} of the height, {row['worst_side']}"
        print(f"  {name:<14} IoU {row['iou']:.4f}   {angle}left out {blame.get(name) or 0:.3f}   {worst}")
    to_mesh = [s for name, s in seconds.items() if name in TO_MESH]
    cpu, wall = (sum(s[k] for s in to_mesh) for k in (0, 1))
    print("  seconds of the processor: " + ", ".join(f"{k} {s:.1f}" for k, (s, _) in seconds.items())
          + f"; to the mesh {cpu:.1f} ({wall:.1f} by the clock)")  # fmt: skip
    return {
        "views": {n: {"iou": round(r["iou"], 4), "normal_deg": r["normal_deg"] and round(r["normal_deg"], 2),
                      "blame": blame.get(n)} for n, r in rows.items()},
        "cpu_seconds": {k: round(s, 2) for k, (s, _) in seconds.items()}, "cpu_to_mesh": round(cpu, 2),
        "wall_to_mesh": round(wall, 2),
    }  # fmt: skip


TO_MESH = ("views.read", "photo", "hull", "surface", "mesh")


def one_folder(folder: Path, recipe: Recipe, settings: dict, out: Path) -> dict[str, Any]:
    """Pictures made elsewhere."""
    from pipelines.views.archive import pack

    records, seconds = run_recipe(recipe, {"upload": pack(folder)}, settings)
    row = report(records, seconds)
    if "mesh" in records:
        write_image(out / "twelve.png", twelve_sides(records["mesh"]))
    if "views.body" in records:
        body = records["views.body"]
        row["body"] = {n: round(float(body[n]), 4) for n in ("surface_mm", "outside_surface")}
        print(f"  body: median distance from the surface {float(body['surface_mm']):.1f} mm, outside "
              f"{100 * float(body['outside_surface']):.1f} %")  # fmt: skip
    return row


def one_person(seed: int, turn: float, recipe: Recipe, settings: dict, out: Path) -> dict[str, Any]:
    """A synthetic person; with `turn` the meter is asked as well, on the same views with one of them turned."""
    person = made_person(seed, turn)
    height = float(np.ptp(person.vertices[:, 1]))
    views = read_views(person.right, Wishes(height))
    records, seconds = run_recipe(recipe, {"views.read": views}, settings)
    row: dict[str, Any] = {"seed": seed, **judged(records["surface"], person, height)}
    print(f"person {seed}: Chamfer {row['chamfer_pct']:.3f} % of the height, normals {row['normal_deg']:.1f} deg (between "
          f"the views {row['normal_between_deg']:.1f}; the closed truth itself {row['truth_normal_deg']:.1f})")  # fmt: skip
    row |= report(records, seconds)
    if "views.body" in records:
        row |= body_errors(records["body.fit"], records["views.body"], person.joints)
        print(f"  joints (PA-MPJPE): {row['pa_mpjpe_before_mm']:.0f} mm from the front view, {row['pa_mpjpe_mm']:.0f} mm "
              f"in the surface (MPJPE {row['mpjpe_mm']:.0f} mm)")  # fmt: skip
    if turn:
        wrong = views.views[seed % 4].label
        files = (f"color_{seed % 4}.png", f"normal_{seed % 4}.png")
        odd = read_views({**person.right, **{n: person.turned[n] for n in files}}, Wishes(height))
        row["turned"], row["named"] = wrong, worst_view(odd, records["hull"])
        print(f"  turned: {wrong}; the meter names {row['named']}")
    if "mesh" in records:
        write_image(out / f"twelve_{seed}.png", twelve_sides(records["mesh"]))
    return row


def judged(surface: Shape, person: Person, height: float) -> dict[str, float]:
    """The numbers of `seen_surface.compared`, of the carved surface, and as `truth_*` of the closed true one; `closed_*`:
    those of `against_truth`."""
    found = compared(mesh_sides(surface.vertices, surface.faces, person.sides), person.sides, height)
    truth = compared(mesh_sides(person.vertices, person.faces, person.sides), person.sides, height)
    closed = against_truth(surface, person.vertices, person.faces)
    return {k: round(v, 4) for k, v in {
        **found, "truth_chamfer_pct": truth["chamfer_pct"], "truth_normal_deg": truth["normal_deg"],
        **{f"closed_{k}": v for k, v in closed.items()},
    }.items()}  # fmt: skip


def body_errors(before: Body, after: Body, joints: NDArray) -> dict[str, float]:
    """mm: mean distance of the 22 joints from the true ones (22, 3) after the best similarity, of the front view's body
    and of the one in the surface; and of the latter as it stands."""
    from pipelines.body.body_numbers import pa_mpjpe
    from pipelines.body.read_body import to_world

    found = to_world(after, after["body22_cam"]).astype(np.float64)
    return {
        "pa_mpjpe_before_mm": round(pa_mpjpe(before["body22_cam"], joints), 1),
        "pa_mpjpe_mm": round(pa_mpjpe(found, joints), 1),
        "mpjpe_mm": round(1000.0 * float(np.linalg.norm(found - joints, axis=1).mean()), 1),
    }


def worst_view(views: Views, hull: Shape) -> str:
    """The view that the meter blames most, in the box of a hull."""
    from pipelines.views.left_out import blames

    margin = 0.05
    found = blames(views.views, hull.vertices.min(0) - margin, hull.vertices.max(0) + margin)
    whole: list[PosedView] = [v for v in views.views if not v.close_up]
    return whole[int(np.argmax(found))].label


def keep(path: Path, name: str, data: dict[str, Any]) -> None:
    """Put one measurement into the file of results; the others stay."""
    found = json.loads(path.read_text()) if path.exists() else {}
    found[name] = {"machine": {"cores": os.cpu_count(), "processor": platform.machine(),
                               "load": round(os.getloadavg()[0], 1), "python": platform.python_version()}, **data}  # fmt: skip
    path.write_text(json.dumps(found, indent=1) + "\n")


def keep_people(path: Path, rows: list[dict[str, Any]], turn: float) -> None:
    """Put people into the file of results; those of other seeds that were measured before stay."""
    found = json.loads(path.read_text()) if path.exists() else {}
    known = {r["seed"]: r for r in [*found.get("people", {}).get("rows", []), *rows]}
    every = [known[seed] for seed in sorted(known)]
    keep(path, "people", {**summary(every, turn), "rows": every})


def summary(rows: list[dict[str, Any]], turn: float) -> dict[str, Any]:
    """Medians, means and worst of several people, and for how many the meter named the turned view."""
    data: dict[str, Any] = {"people": len(rows)}
    for name in (*JUDGED, "pa_mpjpe_before_mm", "pa_mpjpe_mm", "mpjpe_mm"):
        values = [r[name] for r in rows if name in r]
        if values:
            data[name] = spread(values)
    data["views_normal_deg"] = spread([np.mean([v["normal_deg"] for v in r["views"].values()]) for r in rows])
    if turn:
        asked = [r for r in rows if "turned" in r]
        data["turn_deg"], data["asked"] = turn, len(asked)
        data["found"] = sum(r["turned"] == r["named"] for r in asked)
    return data


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, mean and worst."""
    return {f: round(float(getattr(np, f)(values)), 3) for f in ("median", "mean", "max")}


def print_summary(data: dict[str, Any]) -> None:
    """The numbers of `summary` for a terminal."""
    for name, values in data.items():
        if isinstance(values, dict) and "median" in values:
            print(f"{name}: " + ", ".join(f"{k} {v:.3g}" for k, v in values.items()))
    if "found" in data:
        print(f"The turned view was named first for {data['found']} of {data['asked']} people.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--people", type=int, default=0, help="that many synthetic people instead of a folder")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one")
    parser.add_argument("--example", type=Path, default=None, metavar="DIR", help="write one's views there and stop")
    parser.add_argument("--turn", type=float, default=0.0, help="degrees by which one view of each is turned")
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="put the numbers into this file")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="step.param=value")
    parser.add_argument("--until", default=None)
    arguments = parser.parse_args()
    from pipelines.views.recipe import RECIPE

    settings: dict[str, dict[str, Any]] = {**RECIPE.parse_settings(arguments.settings)}
    recipe = RECIPE
    if arguments.until:
        names = [s.name for s in RECIPE.steps]
        recipe = replace(RECIPE, steps=RECIPE.steps[: names.index(arguments.until) + 1])
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.example is not None:
        write_example(arguments.example, arguments.first, 384)
        return
    if arguments.folder is not None:
        row = one_folder(arguments.folder, recipe, settings, arguments.out)
        if arguments.json:
            keep(arguments.json, arguments.folder.name, row)
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.first, arguments.first + arguments.people):
        rows.append(one_person(seed, arguments.turn, recipe, settings, arguments.out))
        if arguments.json:  # a long run that is stopped keeps what it has
            keep_people(arguments.json, rows, arguments.turn)
    if rows and not arguments.json:
        print_summary(summary(rows, arguments.turn))
    elif rows:
        print_summary(json.loads(arguments.json.read_text())["people"])


if __name__ == "__main__":
    main()
