"""How fast does the splat rasteriser draw, and how far is that from what the processor could do?

    python -m benchmarks.rasterise --out benchmarks/results/rasterise.json
    python -m benchmarks.rasterise --splats 65536 --pixels 512 --repeats 30 --json

A synthetic person (a capsule body of 1.75 m with splats on its surface) is drawn at several sizes, forward alone
and forward + backward through autograd, with one thread and with two. Beside every time stand two bounds
measured in the same run: arithmetic (operations of the inner loops and projections, counted, over the rate of a
fused multiply-add kernel on one core) and bandwidth (bytes that must move, over the rate of a copy). One-thread
rows give CPU time of the thread, which a busy machine disturbs least; rows of more threads give wall time and,
beside it, the CPU time of all threads together over their number: what a quiet machine would come near to.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.geometry import splat_cpu, splat_raster, splat_threads
from pipelines.geometry.cameras import Camera, intrinsics
from pipelines.geometry.splat_project import RECORD
from pipelines.geometry.splat_simd import load8, store8

Array = NDArray[np.float32]
CAPSULES = (  # from, to, radius: metres, y up
    ((0.0, 0.95, 0.0), (0.0, 1.40, 0.0), 0.15),
    ((0.0, 1.60, 0.0), (0.0, 1.66, 0.0), 0.10),
    ((0.09, 0.08, 0.0), (0.10, 0.90, 0.0), 0.075),
    ((-0.09, 0.08, 0.0), (-0.10, 0.90, 0.0), 0.075),
    ((0.20, 1.40, 0.0), (0.42, 0.85, 0.0), 0.045),
    ((-0.20, 1.40, 0.0), (-0.42, 0.85, 0.0), 0.045),
)
# Floating point operations per pixel of a block (8 pixels) and per splat, counted in the kernels' source.
PIXEL_FORWARD, PIXEL_BACKWARD, SPLAT_FORWARD, SPLAT_BACKWARD = 33, 57, 330, 750


def person(count: int, seed: int = 0) -> tuple[Array, Array, Array, Array, Array]:
    """means, quats, scales, opacities, colours of `count` splats on the capsules.

    Two sigmas along the surface of 0.7 x the spacing (log-normal jitter 0.35), a quarter of it across; 70 % have
    opacity 0.95, the others anything from 0.05 to 0.95.
    """
    random = np.random.default_rng(seed)
    start, end = (np.array([capsule[k] for capsule in CAPSULES]) for k in (0, 1))
    radius = np.array([capsule[2] for capsule in CAPSULES])
    length = np.linalg.norm(end - start, axis=1)
    area = 2 * np.pi * radius * (length + 2 * radius)
    which = random.choice(len(CAPSULES), count, p=area / area.sum())
    a, axis, r, long = start[which], ((end - start) / length[:, None])[which], radius[which], length[which]
    # A sphere's (and cylinder's) area is even along its axis (Archimedes), so the height is uniform.
    height = random.uniform(-r, long + r)
    around = random.normal(size=(count, 3))
    around -= (around * axis).sum(1, keepdims=True) * axis
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    beyond = np.where(height < 0, height, np.where(height > long, height - long, 0.0))
    normal = (around * np.sqrt(np.maximum(r**2 - beyond**2, 0))[:, None] + axis * beyond[:, None]) / r[:, None]
    means = a + axis * np.clip(height, 0, long)[:, None] + r[:, None] * normal
    spacing = np.sqrt(area.sum() / count)
    along = 0.7 * spacing * np.exp(0.35 * random.normal(size=(count, 2)))
    scales = np.concatenate([along, 0.25 * along.mean(1, keepdims=True)], 1)
    # The shortest turn of z to the normal, after a random spin about z.
    turn = np.stack([1 + normal[:, 2], -normal[:, 1], normal[:, 0], np.zeros(count)], 1) + 1e-9
    spin = random.uniform(0, np.pi, count)
    w, x, y, _ = turn.T
    c, s = np.cos(spin), np.sin(spin)
    quats = np.stack([w * c, x * c + y * s, y * c - x * s, w * s], 1)
    opacities = np.where(random.random(count) < 0.7, 0.95, random.uniform(0.05, 0.95, count))
    colours = random.random((count, 3))
    return tuple(part.astype(np.float32) for part in (means, quats, scales, opacities, colours))  # type: ignore[return-value]


def front_camera(pixels: int) -> Camera:
    """40 degrees field of view, 2.7 m in front of the person."""
    pose = np.diag([1.0, -1.0, -1.0, 1.0])
    pose[:3, 3] = 0, 0.875, 2.7
    return Camera(intrinsics(pixels, pixels, 40.0), pixels, pixels, pose)


@numba.njit(nogil=True)
def _multiply_add(rounds: int, numbers: Array) -> None:
    """Ten independent chains of fused multiply-adds, enough to fill two units of latency four."""
    a, b = load8(numbers, 0), load8(numbers, 8)
    x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 = a, a, a, a, a, a, a, a, a, a
    for _ in range(rounds):
        x0, x1, x2, x3, x4 = x0 * a + b, x1 * a + b, x2 * a + b, x3 * a + b, x4 * a + b
        x5, x6, x7, x8, x9 = x5 * a + b, x6 * a + b, x7 * a + b, x8 * a + b, x9 * a + b
    store8(numbers, 16, x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7 + x8 + x9)


@numba.njit(nogil=True)
def _copy(source: Array, target: Array) -> None:
    for i in range(0, source.shape[0], 8):
        store8(target, i, load8(source, i))


def timed(work: Callable[[], object], repeats: int, clock: Callable[[], float] = time.thread_time) -> dict[str, float]:
    """Least and median milliseconds of `repeats` calls, after one to warm up."""
    work()
    taken = []
    for _ in range(repeats):
        start = clock()
        work()
        taken.append((clock() - start) * 1e3)
    return {"min_ms": round(min(taken), 3), "median_ms": round(float(np.median(taken)), 3)}


def machine_rates() -> dict[str, float]:
    """GFLOP/s of fused multiply-add and GB/s (read + write) of a 128 MB copy, one core, best of several."""
    numbers = np.array([0.5] * 8 + [1.0] * 8 + [0.0] * 8, np.float32)
    rounds = 300_000
    flop = rounds * 10 * 16
    source = np.ones(16 * 1024 * 1024, np.float32)
    target = np.zeros_like(source)
    compute = timed(lambda: _multiply_add(rounds, numbers), 15)["min_ms"]
    copying = timed(lambda: _copy(source, target), 7)["min_ms"]
    return {"gflops": round(flop / compute / 1e6, 1), "gbytes": round(2 * source.nbytes / copying / 1e6, 1)}


def bounds(frame: splat_cpu.Frame, rates: dict[str, float]) -> dict[str, Any]:
    """What one core needs at least for this picture, in milliseconds, forward and forward + backward."""
    record = frame.record.view(np.int32).reshape(-1, RECORD)
    record = record[record[:, 13] > 0]
    columns, lines = record[:, 10], record[:, 11]
    wide = ((columns >> 16) >> 2) - ((columns & 0xFFFF) >> 2) + 1
    tall = ((lines >> 16) >> 1) - ((lines & 0xFFFF) >> 1) + 1
    blocks, count, pairs = int((wide * tall).sum()), len(frame.given.means), len(frame.pairs)
    pixels = frame.alpha.size
    forward = 8 * blocks * PIXEL_FORWARD + count * SPLAT_FORWARD
    backward = 8 * blocks * PIXEL_BACKWARD + count * SPLAT_BACKWARD
    # Inputs and records once, records and keys once more per pair, pictures; back: rows, inputs, gradients, pictures.
    moved = count * (56 + 64) + pairs * (64 + 4 * 8) + pixels * 24
    moved_back = pairs * (64 + 2 * 40) + count * (56 + 56) + pixels * 40
    return {
        "blocks": blocks,
        "pairs": pairs,
        "arithmetic_ms": [round(flop / rates["gflops"] / 1e6, 3) for flop in (forward, forward + backward)],
        "bandwidth_ms": [round(size / rates["gbytes"] / 1e6, 3) for size in (moved, moved + moved_back)],
    }


def draw_and_back(tensors: list[torch.Tensor], camera: Camera, gradient: torch.Tensor, backend: str) -> None:
    """One forward and backward pass through autograd."""
    pose, lens = torch.from_numpy(camera.world_to_camera), torch.from_numpy(camera.K)
    for tensor in tensors:
        tensor.grad = None
    picture = splat_raster.rasterise(*tensors, pose, lens, camera.width, camera.height, backend=backend)  # type: ignore[arg-type]
    picture.features.backward(gradient)


def measure(count: int, pixels: int, threads: list[int], repeats: int, rates: dict[str, float]) -> list[dict[str, Any]]:
    """Rows of the table for one size."""
    splats, camera = person(count), front_camera(pixels)
    arguments = (*splats, camera.world_to_camera, camera.K, pixels, pixels)
    given = splat_raster._splatting(*arguments, 0.3, 0.01)
    limit = bounds(splat_cpu.forward(given, np.zeros(3, np.float32)), rates)
    gradient = torch.from_numpy(np.random.default_rng(1).normal(size=(pixels, pixels, 3)).astype(np.float32))
    tensors = [torch.from_numpy(part).requires_grad_() for part in splats]
    rows = []
    for number in threads:
        splat_threads.set_thread_count(number)
        clock = time.thread_time if number == 1 else time.perf_counter
        works = (lambda: splat_raster.render_numpy(*arguments), lambda: draw_and_back(tensors, camera, gradient, "cpu"))
        forward, both = (timed(work, repeats, clock) for work in works)
        row: dict[str, Any] = {"splats": count, "pixels": pixels, "threads": number}
        row["clock"] = "cpu" if number == 1 else "wall"
        row |= {"forward": forward, "forward_backward": both, **limit}
        if number > 1:
            row["cpu_per_thread_ms"] = [
                round(timed(work, max(repeats // 2, 3), time.process_time)["min_ms"] / number, 3) for work in works
            ]
        worst = [max(pair) for pair in zip(limit["arithmetic_ms"], limit["bandwidth_ms"], strict=True)]
        row["times_one_core_bound"] = [
            round(taken["min_ms"] / bound, 2) for taken, bound in zip((forward, both), worst, strict=True)
        ]
        rows.append(row)
    splat_threads.set_thread_count(None)
    return rows


def measure_twin(count: int, pixels: int) -> dict[str, Any]:
    """The plain twin beside the CPU kernels at a size it can do."""
    splats, camera = person(count), front_camera(pixels)
    gradient = torch.ones(pixels, pixels, 3)
    row: dict[str, Any] = {"splats": count, "pixels": pixels, "threads": 1, "clock": "cpu"}
    splat_threads.set_thread_count(1)
    for backend in ("twin", "cpu"):
        kind = torch.float64 if backend == "twin" else torch.float32
        tensors = [torch.from_numpy(part).to(kind).requires_grad_() for part in splats]
        repeats = 2 if backend == "twin" else 20
        row[backend] = timed(lambda t=tensors, b=backend: draw_and_back(t, camera, gradient, b), repeats)  # type: ignore[misc]
    splat_threads.set_thread_count(None)
    row["times_faster"] = round(row["twin"]["min_ms"] / row["cpu"]["min_ms"], 1)
    return row


def machine() -> dict[str, Any]:
    """Processor, versions, commit and load, for the record."""
    name = platform.processor()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        names = [line.split(":", 1)[1].strip() for line in cpu_info.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    here = Path(__file__).parent
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False)
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "torch": torch.__version__,
        "commit": commit.stdout.strip() if commit.returncode == 0 else "not committed yet",
        "load": [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--splats", type=int, nargs="+", default=[10_000, 65_536, 131_072, 500_000])
    parser.add_argument("--pixels", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--twin", type=int, nargs=2, default=[2000, 64], metavar=("SPLATS", "PIXELS"))
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    started = machine()
    rates = machine_rates()
    rows = []
    for count in chosen.splats:
        for pixels in chosen.pixels:
            rows += measure(count, pixels, chosen.threads, chosen.repeats, rates)
            if not chosen.json:
                print_rows(rows[-len(chosen.threads) :], header=len(rows) == len(chosen.threads))
    twin = measure_twin(*chosen.twin)
    result = {"machine": started, "load_at_end": machine()["load"], "one_core": rates, "rows": rows, "twin": twin}
    text = json.dumps(result, indent=1)
    if chosen.json:
        print(text)
    else:
        print(f"one core: {rates['gflops']} GFLOP/s, {rates['gbytes']} GB/s; load {started['load']}")
        print(f"twin, {twin['splats']} splats, {twin['pixels']} px: {twin['times_faster']} times slower")
    if chosen.out:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text + "\n")


def print_rows(rows: list[dict[str, Any]], header: bool) -> None:
    """Lines of the table: milliseconds as least / median."""
    if header:
        print("  splats  px thr clock | forward ms      | forward+backward ms |", end="")
        print(" bounds: arithmetic, bandwidth ms | times the bound [CPU ms per thread]")
    for row in rows:
        forward, both = row["forward"], row["forward_backward"]
        print(
            f"{row['splats']:8d} {row['pixels']:4d} {row['threads']:2d} {row['clock']:>5s} |"
            f" {forward['min_ms']:7.2f} {forward['median_ms']:7.2f} |"
            f" {both['min_ms']:8.2f} {both['median_ms']:8.2f}   |"
            f" {row['arithmetic_ms']} {row['bandwidth_ms']} | {row['times_one_core_bound']}"
            f" {row.get('cpu_per_thread_ms', '')}",
            flush=True,
        )


if __name__ == "__main__":
    main()
