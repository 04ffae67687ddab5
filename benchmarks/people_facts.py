"""What are the synthetic people like, are they the same every time, how fast do they come, how often does the fit fail,
and does the failure search find what is wrong among them?

    python -m benchmarks.people_facts --train 0:2000 --test 9000:9500 --out benchmarks/results/people.json
                                      [--evaluation evaluate.json] [--people-timed 40] [--json]

Statistics come from `training.people.facts`, which draws nothing. Determinism: a digest over everything that training
would get of a person, made by two fresh processes, with the CC0 pack and without it. Speed: the stream of two processes
with 12 views at 256 px; CPU seconds a person are those of a long stream less those of its first half alone, so that the
start is not in them, and they are what a busy machine disturbs least. Fit failures are read from a report of
`python app.py evaluate`: nothing is fitted here. The search is judged by weaknesses planted among the test people, which
needs no runs either; random runs of the same number stand beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.evaluate.arms import Case, attributes_of
from pipelines.evaluate.report import machine
from pipelines.evaluate.search import control
from training.people.reserved import RESERVED, reserved_for_test

DIGEST_SEEDS = (0, 3, 11, 36, 9001, 9017)
CHILD = 13.0  # years below which a person counts as a child
SIDES = (("front", 0.0, 30.0), ("three quarters", 30.0, 75.0), ("side", 75.0, 110.0), ("back", 110.0, 180.1))
FAILED_MM, FAILED_DEG = 100.0, 45.0
PACK = "HUMANSCOPE_MAKEHUMAN"


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Least, 5 %, median, 95 % and largest."""
    found = np.quantile(np.array(list(values), np.float64), [0, 0.05, 0.5, 0.95, 1])
    return {n: round(float(v), 4) for n, v in zip(("min", "p5", "median", "p95", "max"), found, strict=True)}


def shares(names: Iterable[str], among: int) -> dict[str, float]:
    """Per cent of `among` people, the most frequent first."""
    return {name: round(100.0 * n / among, 2) for name, n in Counter(names).most_common()}


def kind(facts: Mapping[str, Any]) -> str:
    """'child', 'woman' or 'man'."""
    if facts["age"] < CHILD:
        return "child"
    return "woman" if facts["sex"] == "female" else "man"


def side(azimuth: float) -> str:
    """From where a person is photographed, left and right alike."""
    away = abs((azimuth + 180.0) % 360.0 - 180.0)
    return next(name for name, low, high in SIDES if low <= away < high)


def kept_for_tests(facts: Mapping[str, Any]) -> list[str]:
    """The poses, garments, hair, prints and skins of a person that training must never have."""
    worn = {
        "pose": [str(facts["pose"]).removesuffix(" mirrored")], "garment": facts["garments"],
        "hair": [str(facts["hair"]).split(",")[0]], "print": facts["prints"], "skin": [facts["skin"]],
    }  # fmt: skip
    return [f"{what} {name}" for what in RESERVED for name in worn[what] if reserved_for_test(what, name)]


def statistics(people: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Shares in per cent, heights in metres, penetration of the body with itself in millimetres."""
    count = len(people)
    held_back = [kept_for_tests(p) for p in people]
    depth = np.array([p["penetration_mm"] for p in people])
    return {
        "people": count, "kinds": shares(map(kind, people), count), "age": quantiles(p["age"] for p in people),
        "height_m": {k: quantiles(p["height_m"] for p in people if kind(p) == k)
                     for k in ("man", "woman", "child") if any(kind(p) == k for p in people)},
        "families": shares((p["family"] for p in people), count), "poses": len({p["pose"] for p in people}),
        "views": shares((side(p["azimuth"]) for p in people), count), "fov_deg": quantiles(p["fov"] for p in people),
        "garments": shares((g for p in people for g in p["garments"]), count),
        "loose": round(100.0 * float(np.mean([p["loose"] for p in people])), 2),
        "hair": shares((str(p["hair"]).split(",")[0] for p in people), count),
        "bearded": round(100.0 * float(np.mean(["," in str(p["hair"]) for p in people])), 2),
        "prints": shares((n for p in people for n in set(p["prints"])), count),
        "backgrounds": shares((p["background"] for p in people), count),
        "penetration_mm": {**quantiles(depth), "over_10_mm_pct": round(100.0 * float((depth > 10).mean()), 2)},
        "cut": shares((p["cut"] or "whole" for p in people), count),
        "with_something_kept_for_tests": round(100.0 * float(np.mean([bool(h) for h in held_back])), 2),
        "kept_for_tests": shares((h for some in held_back for h in some), count),
    }  # fmt: skip


def digest(value: Any) -> str:
    """SHA-256 over every array, number and text of a record, in the order of its fields."""
    sha = hashlib.sha256()

    def feed(part: Any) -> None:
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype.str}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        elif dataclasses.is_dataclass(part):
            for field in dataclasses.fields(part):
                sha.update(field.name.encode())
                feed(getattr(part, field.name))
        elif isinstance(part, Mapping):
            for name in sorted(part):
                sha.update(str(name).encode())
                feed(part[name])
        elif isinstance(part, (list, tuple)):
            for one in part:
                feed(one)
        else:
            sha.update(repr(part).encode())

    feed(value)
    return sha.hexdigest()


def digests(seeds: Sequence[int]) -> dict[str, str]:
    """Of the payloads of people, made here."""
    from training.people.payload import payload

    return {str(seed): digest(payload(seed)) for seed in seeds}


def elsewhere(seeds: Sequence[int], pack: bool) -> dict[str, str]:
    """`digests` in a fresh process; without the pack if so asked."""
    surroundings = dict(os.environ) if pack else {**os.environ, PACK: ""}
    code = f"import json; from benchmarks.people_facts import digests; print(json.dumps(digests({list(seeds)})))"
    done = subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def determinism(seeds: Sequence[int]) -> dict[str, Any]:
    """Digests of each person by two fresh processes, and whether they agree."""
    from training.people.grow import pack_place

    made: dict[str, Any] = {}
    for name, pack in (("with the pack", True), ("without the pack", False)):
        if pack and pack_place() is None:
            continue
        first, again = elsewhere(seeds, pack), elsewhere(list(reversed(seeds)), pack)
        made[name] = {"same": first == again, "digests": first}
    return made


def speed(people: int, views: int = 12, size: int = 256, processes: int = 2) -> dict[str, Any]:
    """People a second of the stream, and CPU seconds a person, of the second half of `people`: by then the processes run
    and have read most of the pack."""
    half = people // 2
    start, _ = _streamed(range(3000, 3000 + half), views, size, processes)
    whole, at = _streamed(range(3000, 3000 + people), views, size, processes)
    cpu = (whole - start) / (people - half)
    return {
        "people": people - half, "after": half, "views": views, "view_px": size, "processes": processes,
        "people_a_second": round((people - half) / (at[-1] - at[half - 1]), 3), "cpu_seconds_a_person": round(cpu, 4),
        "people_a_second_of_idle_cores": round(processes / cpu, 3), "load": round(os.getloadavg()[0], 1),
    }  # fmt: skip


def _streamed(seeds: range, views: int, size: int, processes: int) -> tuple[float, list[float]]:
    """CPU seconds of the processes in all, and the times at which the people came."""
    from training.people.payload import stream

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    at = [time.perf_counter() for _ in stream(seeds, views=views, size=size, processes=processes)]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, at


def fit_failures(report: Mapping[str, Any], system: str = "projection") -> dict[str, Any]:
    """Refusals and gross errors among the people of a report of `evaluate`; ValueError when it has none of the system."""
    rows = [r for r in report["subjects"] if r["system"] == system and r["variant"] == "estimated"]
    if not rows:
        raise ValueError(f"The report has no people of '{system}' with the estimated body; give one that has.")
    refused = [r["seed"] for r in rows if r["error"]]
    far = [r["seed"] for r in rows if r["numbers"].get("pa_mpjpe_mm", 0.0) > FAILED_MM]
    turned = None
    if any("yaw_error_deg" in r["numbers"] for r in rows):
        turned = [r["seed"] for r in rows if r["numbers"].get("yaw_error_deg", 0.0) > FAILED_DEG]
    failed = {*refused, *far, *(turned or [])}
    return {
        "people": len(rows), "refused": refused, "pa_mpjpe_over_100_mm": far, "yaw_over_45_deg": turned,
        "failed_pct": round(100.0 * len(failed) / len(rows), 2), "commit": report["machine"]["commit"],
        "pa_mpjpe_mm": quantiles(r["numbers"]["pa_mpjpe_mm"] for r in rows if "pa_mpjpe_mm" in r["numbers"]),
    }  # fmt: skip


def planted(people: Sequence[Mapping[str, Any]], weaknesses: int, runs: int = 100) -> dict[str, Any]:
    """How many of some planted weaknesses a search of `runs` runs finds among these people, and random runs find."""
    cases = [Case(int(p["seed"]), attributes_of(p)) for p in people]
    rows: list[dict[str, Any]] = []
    for seed in range(weaknesses):
        guided, random = (control(cases, runs, seed, guided=g) for g in (True, False))
        rows.append({
            "planted": guided["planted"], "share_pct": round(100.0 * guided["share"], 2), "found": guided["found"],
            "met": guided["met"], "random_found": random["found"], "random_met": random["met"],
            "named": guided["regions"],
        })  # fmt: skip
    return {
        "people": len(cases), "runs": runs, "weaknesses": weaknesses, "found": sum(r["found"] for r in rows),
        "random_found": sum(r["random_found"] for r in rows), "met": sum(r["met"] for r in rows),
        "random_met": sum(r["random_met"] for r in rows), "rows": rows,
    }  # fmt: skip


def lines(result: Mapping[str, Any]) -> list[str]:
    """The result as a short table."""
    told = []
    for split in ("train", "test"):
        s = result[split]
        heights = ", ".join(f"{k} {v['p5']:.2f}-{v['median']:.2f}-{v['p95']:.2f} m" for k, v in s["height_m"].items())
        p = s["penetration_mm"]
        told += [
            f"{split}: {s['people']} people; {_said(s['kinds'])}; {s['poses']} poses; loose clothing {s['loose']:.1f} %",
            f"  heights (5 %, median, 95 %): {heights}",
            f"  families: {_said(s['families'])}",
            f"  views: {_said(s['views'])}; in the picture: {_said(s['cut'])}",
            f"  garments: {_said(s['garments'], 12)} and {max(len(s['garments']) - 12, 0)} more",
            f"  penetration: median {p['median']:.1f}, 95 % {p['p95']:.1f}, worst {p['max']:.1f} mm",
            f"  people with something that training never has: {s['with_something_kept_for_tests']:.1f} %",
        ]
    for name, made in result.get("determinism", {}).items():
        told.append(f"determinism {name}: {'the same bytes' if made['same'] else 'NOT the same bytes'}, two processes")
    if "speed" in result:
        v = result["speed"]
        told.append(
            f"speed: {v['people_a_second']:.2f} people a second at load {v['load']}, {v['cpu_seconds_a_person']:.3f} CPU s "
            f"a person ({v['people_a_second_of_idle_cores']:.2f} a second on {v['processes']} idle cores)"
        )
    if "search" in result:
        v = result["search"]
        told.append(
            f"failure search: {v['found']} of {v['weaknesses']} planted weaknesses found among {v['people']} people with "
            f"{v['runs']} runs ({v['met']} planted cases met); random runs: {v['random_found']} ({v['random_met']})"
        )
    if "fits" in result:
        f = result["fits"]
        yaw = "not in the report" if f["yaw_over_45_deg"] is None else str(len(f["yaw_over_45_deg"]))
        told.append(
            f"fits: {f['failed_pct']:.1f} % of {f['people']} failed (refused {len(f['refused'])}, PA-MPJPE over "
            f"{FAILED_MM:.0f} mm {len(f['pa_mpjpe_over_100_mm'])}, turned by more than {FAILED_DEG:.0f} degrees {yaw})"
        )
    return told


def _said(values: Mapping[str, float], most: int = 99) -> str:
    return ", ".join(f"{name} {share:.1f} %" for name, share in list(values.items())[:most])


def main() -> int:
    """See the module."""
    from training.people import facts

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", default="0:2000", help="first:end")
    parser.add_argument("--test", default="9000:9500", help="first:end")
    parser.add_argument("--evaluation", type=Path, help="a report of `app.py evaluate --json`, for fit failures")
    parser.add_argument("--people-timed", type=int, default=120, help="people of the timed stream; 0 times nothing")
    parser.add_argument("--planted", type=int, default=20, help="weaknesses for the failure search to find")
    parser.add_argument("--no-digests", action="store_true", help="leave determinism out")
    parser.add_argument("--out", type=Path, help="write the JSON to this file")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    asked = parser.parse_args()
    if 0 < asked.people_timed <= 16:
        parser.error("--people-timed came too small; it needs more than 16 people, or 0 for no timing.")
    result: dict[str, Any] = {"machine": machine()}
    for split in ("train", "test"):
        first, end = (int(v) for v in getattr(asked, split).split(":"))
        people = [facts(seed) for seed in range(first, end)]
        result[split] = {"seeds": [first, end], **statistics(people)}
    if asked.planted:  # among the last read, the test people
        result["search"] = planted(people, asked.planted)
    if not asked.no_digests:
        result["determinism"] = determinism(DIGEST_SEEDS)
    if asked.people_timed:
        result["speed"] = speed(asked.people_timed)
    if asked.evaluation:
        result["fits"] = fit_failures(json.loads(asked.evaluation.read_text()))
    text = json.dumps(result, indent=1, allow_nan=False)
    print(text if asked.json else "\n".join(lines(result)))
    if asked.out:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(text + "\n")
    same = all(made["same"] for made in result.get("determinism", {}).values())
    return 0 if same and not result["train"]["kept_for_tests"] else 1


if __name__ == "__main__":
    sys.exit(main())
