"""Contact sheets: every photo of a folder from eight sides, one row for each system.

    python -m benchmarks.sides FOLDER --systems projection hgm --out DIR [--only NAME ...] [--what mesh] [--store DIR]
                               [--set splats.count=30000 ...]

A row shows the cut-out and the result from 0 45 90 135 180 225 270 315 degrees around the person, all in one scale.
What two systems share is made once; with --store it is kept between calls. Pictures are for the eye.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.photos import photos_of
from pipelines.export.picture import over, render_view, side_camera
from pipelines.output import Bundle, open_bundle
from pipelines.photo import read_upload
from pipelines.records import Body, Cutout, to_bytes
from pipelines.run import Executor, create_run
from pipelines.step import UserError
from pipelines.store import Store
from pipelines.systems import find_system

AZIMUTHS = tuple(range(0, 360, 45))
WHITE = np.ones(3, np.float32)


def row_of(bundle: Bundle, what: str, size: int) -> list[NDArray[np.float32]]:
    """The cut-out and the views, each (size, size, 3)."""
    body, cutout = bundle.body, bundle.cutout
    assert isinstance(body, Body) and isinstance(cutout, Cutout)
    views = [render_view(bundle, what, side_camera(body, a, None, size), size) for a in AZIMUTHS]  # type: ignore[arg-type]
    return [squared(over(cutout.rgba, WHITE), size), *(over(v, WHITE) for v in views)]


def squared(picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(H, W, 3) in the middle of a white square, as `Camera.square` sees it, (size, size, 3)."""
    high, wide = picture.shape[:2]
    side = max(high, wide)
    top, left = (side - high) // 2, (side - wide) // 2
    padded = np.ones((side, side, 3), np.float32)
    padded[top : top + high, left : left + wide] = picture
    small = Image.fromarray(to_bytes(padded)).resize((size, size), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def sheet(rows: list[list[NDArray[np.float32]]]) -> NDArray[np.float32]:
    """Rows of tiles of one size, cut to what is not white in any of them."""
    inked = np.stack([(tile < 0.98).any(-1) for row in rows for tile in row])
    across, down = (np.flatnonzero(inked.any(axes)) for axes in ((0, 1), (0, 2)))
    window = slice(max(down[0] - 4, 0), down[-1] + 5), slice(max(across[0] - 4, 0), across[-1] + 5)
    return np.vstack([np.hstack([tile[window] for tile in row]) for row in rows])


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--systems", nargs="+", default=["projection", "hgm"])
    parser.add_argument("--out", type=Path, required=True, help="folder for one PNG per photo")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--what", choices=("splats", "mesh"), default="splats")
    parser.add_argument("--size", type=int, default=320, help="pixels of a view's side")
    parser.add_argument("--store", type=Path, help="a store to keep; without it everything is made anew")
    parser.add_argument("--set", action="append", default=[], metavar="STEP.NAME=VALUE", help="a knob of every system")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(given.store or Path(scratch) / "store")
        for path in photos_of(given.folder, given.only):
            rows = []
            for system in given.systems:
                upload = read_upload(path)
                try:
                    settings = find_system(system).parse_settings(given.set)
                    run = create_run(Path(scratch) / f"{path.stem}-{system}", upload, system, settings=settings)
                    run = Executor(run, store, upload).execute()
                    rows.append(row_of(open_bundle(run, store), given.what, given.size))
                except UserError as error:
                    print(f"{path.name}, {system}: {error}", flush=True)
            if rows:
                Image.fromarray(to_bytes(sheet(rows))).save(given.out / f"{path.stem}.png")
                print(path.stem, flush=True)


if __name__ == "__main__":
    main()
