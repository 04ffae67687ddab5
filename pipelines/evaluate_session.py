"""One call of `evaluate`: its checked arguments, its runs, its report and its sheets."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from pipelines.commands import default_root
from pipelines.devices import choose_device
from pipelines.evaluate.arms import Case, attributes_of
from pipelines.evaluate.lpips import find_lpips
from pipelines.evaluate.made import Made
from pipelines.evaluate.photo_scores import PHOTO_PROTOCOLS, photo_scores
from pipelines.evaluate.protocols import PROTOCOLS, SURFACE_METRICS, worse
from pipelines.evaluate.report import BLANK, machine, people_report, text_table
from pipelines.evaluate.scorecard import Scorecard, draw, score
from pipelines.evaluate.search import START, control, search
from pipelines.evaluate.sheet import four_sides, person_row, stacked
from pipelines.evaluate.subject import People, Subject
from pipelines.evaluate_people import CANCELLED, all_scores, caption, line, without_pictures
from pipelines.evaluate_run import load_people, parse_people, run_once, run_variants, variants_of
from pipelines.output import OutFolder
from pipelines.photo import read_upload
from pipelines.step import Cancelled, UserError
from pipelines.store import Store, writing
from pipelines.systems import find_system
from pipelines.weights import parse_choices

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
SHEET_PEOPLE = 24  # rows of the contact sheet at most


@dataclass
class Session:
    """See the module."""

    arguments: argparse.Namespace
    systems: list[str]
    variants: dict[str, list[str]]
    seeds: range | None
    source: People | None
    photos: list[Path]
    store: Store
    options: dict[str, Any]
    out: OutFolder | None
    sheets: dict[str, Image.Image] = field(default_factory=dict)
    stop_sign: Any = None  # a multiprocessing Event of the process that started this one
    ended: bool = False

    @classmethod
    def prepare(cls, arguments: argparse.Namespace) -> Session:
        """Check everything that can be checked; UserError with a sentence otherwise."""
        if arguments.people is None and arguments.photos is None:
            raise UserError("Nothing to evaluate on came; give --people A:B (test seeds) or --photos DIR, or both.")
        systems = list(dict.fromkeys(arguments.system or ["projection"]))
        recipes = [find_system(name) for name in systems]
        seeds = parse_people(arguments.people) if arguments.people else None
        photos = photos_in(arguments.photos) if arguments.photos else []
        if not 2 <= arguments.views <= 72 or not 32 <= arguments.size <= 1024:
            raise UserError(
                f"--views and --size came as {arguments.views} and {arguments.size}; they need 2 to 72 and 32 to 1024."
            )
        if arguments.jobs < 1:
            raise UserError(f"--jobs came as {arguments.jobs}; it needs a number of processes, 1 or more.")
        if arguments.search is not None:
            if seeds is None or len(seeds) < START or arguments.search < START:
                raise UserError(
                    f"--search needs --people with at least {START} seeds to choose from, and {START} runs."
                )
            if arguments.metric not in PROTOCOLS:
                raise UserError(f"There is no metric '{arguments.metric}'; there is {', '.join(PROTOCOLS)}.")
            if len(systems) > 1 or arguments.oracle or arguments.ablation:
                raise UserError(
                    "A search looks at one system as it is; give one --system and leave --oracle and --ablation out."
                )
        if arguments.ablation and (seeds is None or not any(r.ablation for r in recipes)):
            raise UserError(
                "--ablation leaves out one part of a system on people whose truth is known; it needs --people A:B and a "
                f"--system with such parts; {', '.join(systems)} {'have' if len(systems) > 1 else 'has'} "
                f"{'them' if any(r.ablation for r in recipes) else 'none'}."
            )
        variants = {r.name: variants_of(r, arguments.body, arguments.oracle, arguments.ablation) for r in recipes}
        known = {role for r in recipes for s in r.steps for role in s.every_role}
        for recipe in recipes:
            recipe.parse_settings(arguments.settings)
        options = {"device": choose_device(arguments.device), "weights": parse_choices(arguments.weights, known),
                   "seed": arguments.seed, "settings": recipes[0].parse_settings(arguments.settings)}  # fmt: skip
        source = load_people(arguments.source) if seeds is not None else None
        store = Store(arguments.runs or default_root())
        out = OutFolder(arguments.out) if arguments.out else None
        return cls(arguments, systems, variants, seeds, source, photos, store, options, out)

    def stop(self) -> None:
        """Asked to end: the step that runs is the last one."""
        self.ended = True

    @property
    def stopped(self) -> bool:
        """Whether this or the process that started it was asked to end."""
        return self.ended or (self.stop_sign is not None and self.stop_sign.is_set())

    def subject(self, seed: int, system: str = "") -> Subject:
        """A person of the source; for a system that starts from pictures of several sides, with those."""
        assert self.source is not None
        make: Any = self.source.subject
        if system and find_system(system).pack is not None:
            make = getattr(self.source, "subject_of_views", None)
            if make is None:
                raise UserError(f"'{system}' starts from pictures of several sides, which this source of people lacks.")
        if self.stopped:
            raise Cancelled(CANCELLED)
        try:
            return make(seed, views=self.arguments.views, size=self.arguments.size)
        except ValueError as error:
            raise UserError(f"The source of people has no person {seed} ({error}).") from error

    def slight_facts(self, seed: int) -> dict[str, Any]:
        """What is known of a person, from one made with as few and small pictures as there can be."""
        assert self.source is not None
        return self.source.subject(seed, views=2, size=32).facts

    def make(self, subject: Subject, system: str, variants: list[str], surface: bool) -> dict[str, Made]:
        """Run the variants of a system on a person; without `surface` only as far as the Gaussians."""
        return run_variants(
            self.store, subject, system, variants, surface=surface, is_cancelled=lambda: self.stopped, **self.options
        )

    def settings(self) -> dict[str, Any]:
        """What the report says of this call."""
        a = self.arguments
        return {
            "systems": self.systems, "body": a.body, "views": a.views, "view_px": a.size, "seed": a.seed,
            "device": self.options["device"], "set": a.settings, "surface": not a.no_surface,
            "ablation": a.ablation,
        }  # fmt: skip

    def people(self) -> dict[str, Any]:
        """Every system and variant on every person."""
        assert self.seeds is not None
        columns: dict[str, dict[str, list[Scorecard]]] = {
            **{system: {v: [] for v in self.variants[system]} for system in self.systems}, BLANK: {BLANK: []}
        }  # fmt: skip
        rows: dict[tuple[str, str], list[Image.Image]] = {}
        for number, scores in enumerate(all_scores(self, SHEET_PEOPLE if self.out else 0)):
            columns[BLANK][BLANK].append(scores.blank)
            for (system, variant), card in scores.cards.items():
                columns[system][variant].append(card)
                say(f"{number + 1:4d} of {len(self.seeds)}  {line(card, system, variant)}")
            for column, row in scores.rows.items():
                rows.setdefault(column, []).append(row)
        for (system, variant), pictures in rows.items():
            name = variant.replace("+ ", "").replace(" ", "_").replace("-", "")
            self.sheets[f"{system}_{name}.png"] = stacked(pictures, 2)
        _, without = find_lpips()
        notes = [without] if without else []
        return people_report(columns, self.seeds.start, self.seeds.stop, self.settings(), notes)

    def search(self) -> dict[str, Any]:
        """Where the system fails worst, after the control."""
        assert self.seeds is not None and self.source is not None
        facts = getattr(self.source, "facts", None)
        say(f"Reading what is known of {len(self.seeds)} people before any run.")
        # Without a quick answer, the person is made with as little as there can be.
        known = facts if callable(facts) else self.slight_facts
        cases = [Case(seed, attributes_of(known(seed))) for seed in self.seeds]
        system, metric, budget = self.systems[0], self.arguments.metric, self.arguments.search
        variant = self.variants[system][-1]
        check = control(cases, budget, self.arguments.seed)
        say(f"Control: planted '{check['planted']}', {'found' if check['found'] else 'NOT found'}.")
        cards: dict[int, Scorecard] = {}

        surface = metric in SURFACE_METRICS

        def badness(seed: int) -> float:
            subject = self.subject(seed, system)
            made = self.make(subject, system, [variant], surface)[variant]
            cards[seed] = without_pictures(score(subject, made, surface=surface))
            self.store.evict()
            if metric not in cards[seed].numbers:
                raise UserError(f"Person {seed} has no '{metric}' under '{system}'; search by another --metric.")
            return worse(metric, cards[seed].numbers[metric])

        found = search(
            cases, badness, budget, self.arguments.seed,
            lambda done, seed, value: say(f"{done:4d} of {budget}  {line(cards[seed], system, variant)}"),
        )  # fmt: skip
        worst = found.worst()
        if self.out:
            rows = []
            for seed, _ in worst:
                subject = self.subject(seed, system)
                made = self.make(subject, system, [variant], surface)[variant]
                card = score(subject, made, surface=False)
                rows.append(person_row(subject, card, f"{caption(card)}  {short_facts(card.facts)}"))
            self.sheets["worst.png"] = stacked(rows, 2)
        return {
            "schema": "humanscope.failure_search/1", "machine": machine(), "settings": self.settings(),
            "system": system, "variant": variant, "metric": metric, "protocol": vars(PROTOCOLS[metric]),
            "people": [self.seeds.start, self.seeds.stop], "control": check, "evaluations": found.evaluations,
            "regions": [
                {"where": r.words(), "tried": r.tried, "mean": worse(metric, r.mean), "rest": worse(metric, r.rest),
                 "chance": r.chance} for r in found.regions
            ],
            "worst": [
                {"seed": s, metric: cards[s].numbers[metric], "error": cards[s].error, "facts": cards[s].facts,
                 "again": f"python app.py evaluate --system {system} --people {s}:{s + 1} --body {self.arguments.body}"}
                for s, _ in worst
            ],
        }  # fmt: skip

    def real_photos(self) -> dict[str, Any]:
        """Front scores and four sides of every photo, per system."""
        table: dict[str, dict[str, Any]] = {}
        for system in self.systems:
            pictures = []
            for path in self.photos:
                if self.stopped:
                    raise Cancelled("The evaluation was cancelled.")
                row: dict[str, Any]
                try:
                    made = run_once(
                        self.store,
                        read_upload(path),
                        system,
                        is_cancelled=lambda: self.stopped,
                        surface=not self.arguments.no_surface,
                        **self.options,
                    )
                except UserError as error:
                    row = {"error": str(error)}
                else:
                    row = {"error": made.error}
                    if made.body and made.cutout and made.splats:
                        front = draw(made.splats, made.body.camera, 1)
                        row = {"seconds": made.total_seconds, **photo_scores(made.body, made.cutout, front)}
                        pictures.append(
                            four_sides(made.cutout.rgba, made.splats, made.body, f"{path.stem}  IoU {row['iou']:.3f}")
                        )
                table.setdefault(system, {})[path.name] = row
                shown = "  ".join(f"{k} {row[k]:.3g}" for k in ("iou", "psnr", "psnr_inside", "lean_deg") if k in row)
                say(f"{path.name}  {row.get('error') or shown}")
            if pictures:
                self.sheets[f"{system}_photos.png"] = stacked(pictures)
        return {"protocols": {n: vars(p) for n, p in PHOTO_PROTOCOLS.items()}, "systems": table}

    def finish(self, report: dict[str, Any]) -> None:
        """Write --out: evaluate.json and the sheets."""
        if self.out is None:
            return
        with writing(f"The output folder '{self.out.target}'"):
            (self.out.work / "evaluate.json").write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
            for name, picture in self.sheets.items():
                picture.save(self.out.work / name)
        self.out.finish()

    def abandon(self) -> None:
        """Leave nothing of --out behind."""
        if self.out is not None:
            self.out.abandon()

    def text(self, report: dict[str, Any]) -> str:
        """The report for a terminal."""
        parts = []
        if "systems" in report:
            parts += [text_table(report), *report["notes"]]
            for system, data in report["systems"].items():
                for metric, shares in data["gap"].items():
                    told = ", ".join(f"{share} {row['mean']:+.2f}" for share, row in shares.items())
                    parts.append(f"{system}, {PROTOCOLS[metric].title}: gained by the true {told}")
                for metric, rows in data["ablation"].items():
                    digits = PROTOCOLS[metric].digits
                    told = ", ".join(f"{row} {0.0 - value['mean']:+.{digits}f}" for row, value in rows.items())
                    parts.append(f"{system}, {PROTOCOLS[metric].title}, better (+) or worse (-): {told}")
        if "regions" in report:
            check, metric = report["control"], report["metric"]
            parts.append(
                f"Control: '{check['planted']}' {'found' if check['found'] else 'NOT found: trust nothing below'}."
            )
            parts += [
                f"Worse where {r['where']}: {metric} {r['mean']:.3f} against {r['rest']:.3f} ({r['tried']} tried, "
                f"chance {r['chance']:.3f})" for r in report["regions"]
            ] or ["No region is worse than chance explains."]  # fmt: skip
            parts += [f"{w['seed']}  {metric} {w[metric]:.3f}  {short_facts(w['facts'])}" for w in report["worst"]]
        if "photos" in report:
            for system, rows in report["photos"]["systems"].items():
                for name, row in rows.items():
                    shown = "  ".join(f"{k} {v:.3f}" for k, v in row.items() if isinstance(v, float))
                    parts.append(f"{system}  {name}  {row.get('error') or shown}")
        if self.out:
            parts.append(f"Files in {self.arguments.out}: evaluate.json{''.join(f', {n}' for n in self.sheets)}")
        return "\n".join(parts)


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def photos_in(folder: Path) -> list[Path]:
    """The pictures in a folder, sorted; UserError when there is none."""
    if not folder.is_dir():
        raise UserError(f"--photos came as '{folder}', which is no folder; give the folder that holds the photos.")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not found:
        raise UserError(f"--photos came as '{folder}', which holds no picture ({', '.join(SUFFIXES)}).")
    return found


def short_facts(facts: dict[str, Any]) -> str:
    """The texts and angles of a person's facts, short."""
    words = [str(v) for k, v in facts.items() if isinstance(v, str) and len(v) < 24 and k != "split"]
    words += [f"{k} {v:.0f}" for k, v in facts.items() if k.startswith("azimuth") and isinstance(v, (int, float))]
    return ", ".join(words[:5])
