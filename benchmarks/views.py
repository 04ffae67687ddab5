"""Does a set of views become a good mesh, and how fast?

    python -m benchmarks.views FOLDER [--out DIR] [--set step.param=value]      pictures made elsewhere
    python -m benchmarks.views --people 3 [--out DIR]                           synthetic people, whose shape is known

Prints for every view the overlap of its outline with the carved surface and the mean angle between their normals; for
synthetic people the Chamfer distance and the normal error against the truth as well; seconds of every step. Writes
twelve.png: the textured mesh from twelve sides, in clay below.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.geometry.mesh_picture import render_mesh
from pipelines.geometry.mesh_raster import vertex_normals
from pipelines.geometry.orthographic import around
from pipelines.recipe import Recipe
from pipelines.records import Mesh, Record, to_bytes, write_image
from pipelines.step import Context
from pipelines.views.readers import Wishes, read_views
from pipelines.views.records import Shape

SIDES = 12


def run_recipe(recipe: Recipe, start: dict[str, Record], settings: dict[str, dict[str, Any]]) -> tuple[dict, dict]:
    """Every step after those given -> the records by step name, and the processor seconds of each step."""
    records, seconds = dict(start), {}
    for step in recipe.steps:
        if step.name in records:
            continue
        inputs = {n: records[s] for n, s in recipe.sources(step).items()}
        if "upload" in step.inputs:
            inputs["upload"] = records["upload"]
        context = Context(step.name)
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


def against_truth(shape: Shape, vertices: NDArray, faces: NDArray) -> dict[str, float]:
    """Chamfer (mean of both directions, % of height) and the mean angle to the nearest point's normal, degrees."""
    from scipy.spatial import cKDTree

    p, n = surface_points(shape.vertices, shape.faces, 40000)
    q, m = surface_points(vertices, faces, 40000, 1)
    there, _ = cKDTree(q).query(p)
    back, near = cKDTree(p).query(q)
    height = float(np.ptp(np.asarray(vertices)[:, 1]))
    angle = np.degrees(np.arccos(np.clip((m * n[near]).sum(1), -1, 1)))
    return {"chamfer_pct": 50.0 * float(there.mean() + back.mean()) / height, "normal_deg": float(angle.mean())}


def made_person(
    seed: int, turn: float = 0.0, size: int = 768
) -> tuple[dict[str, bytes], dict[str, bytes], NDArray, NDArray]:
    """A synthetic person as SyncHuman's stage 1 would draw it: files by name, the same turned by `turn` degrees, and the
    true surface, vertices (V, 3) as `read_views` places it, faces (F, 3)."""
    from training.people.ortho import box_of, ortho_views
    from training.people.outer_surface import outer_surface
    from training.people.subjects import portrait

    scene = portrait(seed, long_side=256).scene
    surface = outer_surface(scene)
    middle, _ = box_of(scene.points, 0.0)
    # The reader's ground is the lowest pixel, its axis the middle of the pictures.
    low = surface.vertices[:, 1].min()
    vertices = surface.vertices.astype(np.float64) - (middle[0], low, middle[2])
    right = folder_of(ortho_views(scene, 0.0, size))
    return right, folder_of(ortho_views(scene, turn, size)) if turn else right, vertices, surface.faces


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
    files = made_person(seed, size=size)[0]
    for name in ("color_4.png", "normal_4.png"):  # the face at one and a half times the front's scale
        buffer = io.BytesIO()
        with Image.open(io.BytesIO(files[name])) as face:
            face.resize((size // 2, size // 2), Image.Resampling.BOX).save(buffer, "PNG", optimize=True)
        files[name] = buffer.getvalue()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    print(f"{folder}: {sum(p.stat().st_size for p in folder.iterdir()) / 1000:.0f} kB")


def report(records: dict[str, Any], seconds: dict[str, tuple[float, float]]) -> None:
    """The table of views and the seconds."""
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
    total = sum(s for s, _ in seconds.values())
    print(
        "  seconds: "
        + ", ".join(f"{k} {s:.1f}" for k, (s, _) in seconds.items())
        + f"; {total:.1f} of the processor in all"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--people", type=int, default=0, help="that many synthetic people instead of a folder")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one")
    parser.add_argument("--example", type=Path, default=None, metavar="DIR", help="write one's views there and stop")
    parser.add_argument("--turn", type=float, default=0.0, help="degrees by which one view of each is turned")
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="step.param=value")
    parser.add_argument("--until", default=None)
    arguments = parser.parse_args()
    from pipelines.views.archive import pack
    from pipelines.views.recipe import RECIPE

    settings = RECIPE.parse_settings(arguments.settings)
    recipe = RECIPE
    if arguments.until:
        names = [s.name for s in RECIPE.steps]
        recipe = Recipe("part", "", "", "none", RECIPE.steps[: names.index(arguments.until) + 1])
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.folder is not None:
        records, seconds = run_recipe(recipe, {"upload": pack(arguments.folder)}, settings)
        report(records, seconds)
        if "mesh" in records:
            write_image(arguments.out / "twelve.png", twelve_sides(records["mesh"]))
    if arguments.example is not None:
        write_example(arguments.example, arguments.first, 384)
        return
    hits, errors = 0, []
    for seed in range(arguments.first, arguments.first + arguments.people):
        files, other, vertices, faces = made_person(seed, arguments.turn)
        wrong = seed % 4
        if arguments.turn:
            files |= {n: other[n] for n in (f"color_{wrong}.png", f"normal_{wrong}.png")}
        height = float(np.ptp(vertices[:, 1]))
        views = read_views(files, Wishes(height))
        records, seconds = run_recipe(recipe, {"views.read": views}, settings)
        truth = against_truth(records["surface"], vertices, faces)
        errors.append(tuple(truth.values()))
        print(
            f"person {seed}: Chamfer {truth['chamfer_pct']:.3f} % of the height, normals {truth['normal_deg']:.1f} deg"
        )
        report(records, seconds)
        if arguments.turn and "consistency" in records:
            named = records["consistency"].rows[0]["view"]
            hits += named == views.views[wrong].label
            print(f"  turned: {views.views[wrong].label}; the meter names {named}")
        if "mesh" in records:
            write_image(arguments.out / f"twelve_{seed}.png", twelve_sides(records["mesh"]))
    if errors:
        print(f"median of {len(errors)}: Chamfer %.3f %%, normals %.1f deg" % tuple(np.median(errors, 0)))
    if arguments.turn:
        print(f"The turned view was named first for {hits} of {arguments.people} people.")


if __name__ == "__main__":
    main()
