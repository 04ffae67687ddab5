"""Every photo of a folder through a system: seconds, memory, and how well the result lies over the photo.

    python -m benchmarks.photos FOLDER [--system projection] [--out DIR] [--json FILE] [--only NAME ...]

One process, one photo after another, an empty store; a first run warms compiled kernels and is not counted. What IoU,
PSNR, `inside` and lean mean stands in `pipelines.evaluate.photo_scores`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pipelines.evaluate.photo_scores import photo_scores
from pipelines.export import preview
from pipelines.export.picture import render_view
from pipelines.output import open_bundle
from pipelines.photo import read_upload
from pipelines.records import Body, Cutout
from pipelines.run import Executor, Run, create_run
from pipelines.step import UserError
from pipelines.store import Store

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def measure(run: Run, store: Store) -> dict[str, Any]:
    """The row of one finished run."""
    bundle = open_bundle(run, store)
    body, cutout = bundle.body, bundle.cutout
    assert isinstance(body, Body) and isinstance(cutout, Cutout)
    view = render_view(bundle, "splats", body.camera, max(body.camera.width, body.camera.height))
    seconds = run.spent()
    names = list(seconds)
    to_splats = sum(seconds[n] for n in names[: names.index("splats") + 1])
    return {
        **photo_scores(body, cutout, view), "splats": 0 if bundle.splats is None else len(bundle.splats),
        "seconds": seconds, "to_splats": round(to_splats, 2), "total": round(sum(seconds.values()), 2),
        "peak_mb": max(s.peak_rss_mb or 0.0 for s in run.steps),
    }  # fmt: skip


def photos_of(folder: Path, only: list[str]) -> list[Path]:
    """The photos of a folder by name; of these the ones that have a word of `only` in it, if there is any."""
    photos = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    return [p for p in photos if not only or any(word in p.name for word in only)]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--system", default="projection")
    parser.add_argument("--out", type=Path, help="writes preview pictures there")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    arguments = parser.parse_args()
    photos = photos_of(arguments.folder, arguments.only)
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number, path in enumerate([photos[0], *photos]):
            store = Store(Path(scratch) / f"store{number}")
            upload = read_upload(path)
            try:
                run = Executor(
                    create_run(Path(scratch) / f"run{number}", upload, arguments.system), store, upload
                ).execute()
            except UserError as error:
                rows[path.name] = {"error": str(error)}
                print(f"{path.name}: {error}", flush=True)
                continue
            if number == 0:
                names = [s.name for s in run.steps]
                print(
                    "| photo | "
                    + " | ".join(names)
                    + " | to splats | total | peak MB | IoU | PSNR | inside | lean before -> after |"
                )
                continue
            row = rows[path.name] = measure(run, store)
            cells = [f"{row['seconds'][n]:.2f}" for n in names]
            print(f"| {path.stem} | " + " | ".join(cells) + f" | {row['to_splats']} | {row['total']} | {row['peak_mb']:.0f} | "
                  f"{row['iou']:.3f} | {row['psnr']:.1f} | {row['psnr_inside']:.1f} | "
                  f"{row['lean_before_deg']:.1f} -> {row['lean_deg']:.1f} |", flush=True)  # fmt: skip
            if arguments.out:
                arguments.out.mkdir(parents=True, exist_ok=True)
                preview.write(open_bundle(run, store), arguments.out / f"{path.stem}.png")
    if arguments.json:
        load = os.getloadavg()[0]
        arguments.json.write_text(json.dumps({"load": load, "cores": os.cpu_count(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
