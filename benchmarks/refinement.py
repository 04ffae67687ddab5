"""The body's refinement, joint by joint: the fit, refined against the network's layers, without the views from the side,
and against layers with the true depths, which is what a perfect network would give.

    python -m benchmarks.refinement --people 8850:8870 [--json FILE]

Training people that the network has not seen. Errors in mm, pelvis on pelvis, the system's own size (mpjpe/1).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipelines.body.body_numbers import pa_mpjpe
from pipelines.body.joints import BODY22_NAMES
from pipelines.hgm.coarse import CoarseParams, coarse
from pipelines.hgm.layer_input import improved, layer_input, place_of
from pipelines.hgm.refine import RefineParams, refine
from pipelines.records import Body, Layers, Record, Upload
from pipelines.step import Context, UserError
from pipelines.weights import Weights
from training.hgm.samples import GRID, PHOTO_SIDE, STEPS, with_truth
from training.people.estimate import through
from training.people.lens import jpeg
from training.people.streams import TRAIN, stream
from training.people.subjects import Portrait, portrait
from training.people.truth import seen_by

Errors = dict[str, NDArray[np.float64]]
WAYS = ("fit", "network's layers", "without side views", "true depths")


def layers_with_true_depths(records: dict[str, Record], made: Portrait) -> Layers:
    """The given layers moved to where the true surfaces are, in the fitted body's own frame and size."""
    layers, body = records["layers"], records["body_fit"]
    given = layer_input(layers, body, records["body_maps"])  # type: ignore[arg-type]
    truth = with_truth(given, body, made)  # type: ignore[arg-type]
    at = np.stack([given.channels[place_of(n)][0] for n in ("front", "back")])
    moves = np.where(truth.known & truth.mask, truth.depth.astype(np.float32) - at, 0).astype(np.float32)
    nothing = np.zeros((4, *given.mask.shape), np.float32)
    return improved(layers, given.crop, moves, nothing[0], nothing[1:])  # type: ignore[arg-type]


def errors_of(seed: int) -> tuple[Errors, dict[str, float]] | str:
    """mm by joint (22,) of each of WAYS, and each way's PA-MPJPE; or why the photo was refused."""
    made = portrait(seed, long_side=PHOTO_SIDE)
    try:
        records = through(Upload(jpeg(made.pixels, stream(seed, "jpeg"))), STEPS, GRID)
    except UserError as refusal:
        return str(refusal)
    context = Context("benchmark", weights=Weights().path)
    inputs = {name: records[name] for name in ("layers", "body_fit", "body_maps")}
    by_network = coarse.run(inputs, CoarseParams(), context)
    true = layers_with_true_depths(records, made)
    alone = {"sides": 0.0, "depth": 0.0}
    bodies: dict[str, Record] = {"fit": records["body_fit"]}
    for way, target, values in zip(
        WAYS[1:], (by_network, by_network, true), ({}, alone, {"again": False}), strict=True
    ):
        given = {name: records[name] for name in ("body_fit", "matte", "keypoints")} | {"hgm_coarse": target}
        bodies[way] = refine.run(given, RefineParams(enabled=True, **values), context)  # type: ignore[arg-type]
    truth = seen_by(made.figure.body, made.shot.camera)["body22_cam"].astype(np.float64)
    errors, aligned = {}, {}
    for way, body in bodies.items():
        assert isinstance(body, Body)
        joints = body["body22_cam"].astype(np.float64)
        errors[way] = 1000 * np.linalg.norm((joints - joints[0]) - (truth - truth[0]), axis=1)
        aligned[way] = pa_mpjpe(joints, truth)
    return errors, aligned


def table(errors: list[Errors], aligned: list[dict[str, float]]) -> str:
    """Markdown: a row for each joint (left and right together), then the means."""
    mean = {way: np.mean([e[way] for e in errors], axis=0) for way in WAYS}
    rows = ["| joint | " + " | ".join(WAYS) + " |", "|---|" + "---|" * len(WAYS)]
    for name in dict.fromkeys(n.removeprefix("left_").removeprefix("right_") for n in BODY22_NAMES):
        which = [i for i, n in enumerate(BODY22_NAMES) if n.removeprefix("left_").removeprefix("right_") == name]
        rows.append(f"| {name} | " + " | ".join(f"{mean[way][which].mean():.1f}" for way in WAYS) + " |")
    rows.append("| all (MPJPE) | " + " | ".join(f"{mean[way].mean():.1f}" for way in WAYS) + " |")
    rows.append("| all (PA-MPJPE) | " + " | ".join(f"{np.mean([a[w] for a in aligned]):.1f}" for w in WAYS) + " |")
    return "\n".join(rows)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", default="8850:8870", metavar="A:B")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    low, high = (int(part) for part in given.people.split(":"))
    if not TRAIN.start <= low < high <= TRAIN.stop:
        parser.error(f"--people came as {given.people}; training people have the seeds 0 to {TRAIN.stop - 1}.")
    errors, aligned, rows = [], [], {}
    for seed in range(low, high):
        found = errors_of(seed)
        if isinstance(found, str):
            print(f"{seed}: {found}", flush=True)
            continue
        errors.append(found[0])
        aligned.append(found[1])
        rows[seed] = {way: round(float(e.mean()), 1) for way, e in found[0].items()}
        print(seed, rows[seed], flush=True)
    if errors:
        print(table(errors, aligned))
    if given.json:
        by_joint = {way: np.mean([e[way] for e in errors], axis=0).round(1).tolist() for way in WAYS}
        content = {"people": rows, "joints": list(BODY22_NAMES), "by_joint": by_joint}
        given.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
