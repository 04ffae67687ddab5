"""Training samples on disk: `python -m training.hgm.shards --seeds A:B --out DIR`, resumable, a file per 50 people.

A shard is an uncompressed .npz of stacked samples (see `samples.Sample`) with the seeds in it; people whose photo the
steps refused are named in `refused.txt`. Shards stay outside the repository.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from training.hgm.samples import Sample, sample
from training.people.payload import one_thread
from training.people.streams import TRAIN

PEOPLE = 50  # of a shard
HEIGHT = 128


def make_shard(first: int, count: int, out: Path, height: int) -> tuple[Path, int]:
    """Write the shard of seeds first .. first + count - 1 to `out`, whole or not at all; its path and how many it has."""
    place = out / f"{first:04d}.npz"
    made: dict[int, Sample] = {}
    for seed in range(first, first + count):
        found = sample(seed, height)
        if isinstance(found, str):
            with (out / "refused.txt").open("a") as file:
                file.write(f"{seed}\t{found}\n")
        else:
            made[seed] = found
    if made:
        columns = {name: np.stack([getattr(s, name) for s in made.values()]) for name in Sample._fields}
        part = place.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, seeds=np.array(list(made)), **columns)
        os.replace(part, place)
    return place, len(made)


def main(words: list[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:2000", metavar="A:B", help="training seeds, 0 to 8999")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--height", type=int, default=HEIGHT, help="pixels of the crop; default 128")
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args(words)
    low, high = (int(part) for part in chosen.seeds.split(":"))
    if not TRAIN.start <= low < high <= TRAIN.stop:
        parser.error(f"--seeds came as {chosen.seeds}; training people have the seeds 0 to {TRAIN.stop - 1}.")
    chosen.out.mkdir(parents=True, exist_ok=True)
    wanted = [a for a in range(low, high, PEOPLE) if not (chosen.out / f"{a:04d}.npz").exists()]
    start, total = time.perf_counter(), 0
    with ProcessPoolExecutor(chosen.processes, get_context("spawn")) as pool, one_thread():
        waiting = [pool.submit(make_shard, a, min(PEOPLE, high - a), chosen.out, chosen.height) for a in wanted]
        for number, future in enumerate(waiting):
            place, count = future.result()
            total += count
            spent = time.perf_counter() - start
            print(
                f"{place.name}: {count} people; {number + 1} of {len(wanted)}, {total / spent:.2f} a second", flush=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
