"""Runs of people and photos through the ordinary run machinery, for an evaluation."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.evaluate.made import Made
from pipelines.evaluate.oracle import CHAIN, ESTIMATED, ORACLE, TRUE_BODY, TRUE_CUTOUT, true_cutout, true_layers
from pipelines.evaluate.subject import People, Subject
from pipelines.recipe import Recipe
from pipelines.records import Body, BodyMaps, Cutout, Layers, Mesh, Record, Splats, Upload
from pipelines.run import Executor, create_run
from pipelines.step import Cancelled, MissingNeed, UserError
from pipelines.store import Store
from pipelines.systems import find_system

TEST_SEEDS = range(9000, 10000)
KEPT = (Body, BodyMaps, Cutout, Layers, Mesh, Splats)
# The turntable is for the page: as short as it can be.
SHORT = {"turntable": {"frames": 2, "size": 32}}


def load_people(source: Callable[[], Any]) -> People:
    """The source of people; UserError with what is missing when it cannot be imported or makes no people."""
    try:
        people = source()
    except ImportError as error:
        raise UserError(
            f"The synthetic people are not here ({error}); get a complete copy of the repository, or evaluate on photos "
            "with --photos DIR."
        ) from error
    if not callable(getattr(people, "subject", None)):
        raise UserError("The source of synthetic people has no function 'subject(seed)'; update the repository.")
    return people


def parse_people(text: str) -> range:
    """'9000:9100' -> the seeds 9000 to 9099; UserError for anything but a range of test seeds."""
    first, colon, end = text.partition(":")
    if not colon or not first.isdigit() or not end.isdigit() or int(first) >= int(end):
        raise UserError(
            f"--people came as '{text}'; it needs A:B, the seeds from A up to but not B, for example 9000:9100."
        )
    seeds = range(int(first), int(end))
    if seeds[0] < TEST_SEEDS[0] or seeds[-1] > TEST_SEEDS[-1]:
        raise UserError(
            f"--people came as '{text}'; seeds below {TEST_SEEDS[0]} are what networks were trained on and there is none "
            f"beyond {TEST_SEEDS[-1]}. Take seeds between {TEST_SEEDS[0]} and {TEST_SEEDS[-1]}."
        )
    return seeds


def variants_of(recipe: Recipe, body: str, oracle: bool, ablation: bool = False) -> list[str]:
    """Which variants of a system are run. body: 'true', 'estimated' or 'both'. oracle: also with the cut-out, the
    surfaces and the colours of the truth, for a system that has these steps (UserError otherwise). ablation: also
    every row of the system's ablation, on the estimated body."""
    wanted = {"estimated": [ESTIMATED], "true": [TRUE_BODY], "both": [ESTIMATED, TRUE_BODY]}[body]
    if oracle:
        if step_of(recipe, Layers) is None:
            raise UserError(f"'{recipe.name}' has no step that makes front and back layers; leave --oracle out.")
        wanted = [*wanted, *(name for name in CHAIN[1:] if name not in wanted)]
    if ablation:
        if body == "true":
            raise UserError("--ablation leaves out what improves the estimated body; give --body estimated or both.")
        wanted = [*wanted, *rows_of(recipe)]
    return wanted


def rows_of(recipe: Recipe) -> dict[str, dict[str, dict[str, Any]]]:
    """{row: settings} of what an ablation leaves out: all rows but the whole system, which is 'estimated'."""
    return {name: settings for name, settings in recipe.ablation.items() if settings}


def step_of(recipe: Recipe, kind: type[Record]) -> str | None:
    """The first step that makes a record of a type."""
    return next(iter(steps_of(recipe, kind)), None)


def steps_of(recipe: Recipe, kind: type[Record]) -> list[str]:
    """All steps that make a record of a type, in order: a body and its refinement, layers of a first and a last pass."""
    return [s.name for s in recipe.steps if s.output is kind]


def run_once(
    store: Store, upload: Upload, system: str, *, replaced: Mapping[str, Record] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None, seed: int = 0, device: str = "cpu",
    weights: Mapping[str, str] | None = None, is_cancelled: Callable[[], bool] = lambda: False, surface: bool = True,
) -> Made:  # fmt: skip
    """One run; what it made, or the sentence of the error that stopped it.

    replaced: records in the place of steps. surface: False stops after the Gaussians, before the mesh.
    Cancelled and missing weights are raised: they are no fault of the system.
    """
    recipe = find_system(system)
    short = {name: dict(values) for name, values in SHORT.items() if any(s.name == name for s in recipe.steps)}
    for name, values in (settings or {}).items():
        short.setdefault(name, {}).update(values)
    folder = store.root / "runs" / os.urandom(16).hex()
    with store.hold() as hold:
        contents = {name: store.add(record, hold) for name, record in (replaced or {}).items()}
        run = create_run(
            folder,
            upload,
            system,
            settings=short,
            seed=seed,
            device=device,
            weights=dict(weights or {}),
            replaced=contents,
        )
        try:
            Executor(run, store, upload, is_cancelled=is_cancelled).execute(None if surface else last_splats(recipe))
        except (Cancelled, MissingNeed):
            raise
        except Exception as error:
            return Made(seconds=run.spent(), error=str(error) if isinstance(error, UserError) else run.message)
        else:
            records = {
                s.name: store.load(s.content)
                for s in run.steps
                if s.content and s.finished and recipe.step(s.name).output in KEPT
            }
            return Made(records, run.spent(), tuple(w["text"] for w in run.warnings))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def last_splats(recipe: Recipe) -> str | None:
    """The last step that makes Gaussians, or a body where none is made before them."""
    names = [s.name for s in recipe.steps]
    last = max((names.index(n) for n in steps_of(recipe, Splats)), default=-1)
    bodies = [names.index(n) for n in steps_of(recipe, Body)]
    if bodies and bodies[0] > last:
        last = bodies[-1]
    return names[last] if last >= 0 else None


def run_variants(
    store: Store, subject: Subject, system: str, variants: Sequence[str], *,
    settings: Mapping[str, Mapping[str, Any]] | None = None, is_cancelled: Callable[[], bool] = lambda: False,
    seed: int = 0, device: str = "cpu", weights: Mapping[str, str] | None = None, surface: bool = True,
) -> dict[str, Made]:  # fmt: skip
    """{variant: what the system made of one person}, each with more of the truth than the one before; and the rows of
    the ablation that are among the variants, whose settings win over `settings`."""
    recipe = find_system(system)
    rows = {name: values for name, values in rows_of(recipe).items() if name in variants}
    steps = {kind: steps_of(recipe, kind) for kind in (Body, Cutout, Layers)}
    if not steps[Body]:
        raise UserError(f"'{system}' has no step that makes a body; the true body has nowhere to go.")

    def run(replaced: Mapping[str, Record], row: Mapping[str, Mapping[str, Any]] | None = None) -> Made:
        both = {name: dict(values) for name, values in (settings or {}).items()}
        for name, values in (row or {}).items():
            both.setdefault(name, {}).update(values)
        return run_once(
            store, subject.upload, system, replaced=replaced, settings=both, is_cancelled=is_cancelled, seed=seed,
            device=device, weights=weights, surface=surface,
        )  # fmt: skip

    made: dict[str, Made] = {}
    if ESTIMATED in variants:
        made[ESTIMATED] = run({})
    made |= {name: run({}, row) for name, row in rows.items()}
    variants = [name for name in variants if name not in rows]
    if not set(variants) - {ESTIMATED}:
        return made
    # Every step that makes a body has the true one, or a refinement would move it.
    truth: dict[str, Record] = dict.fromkeys(steps[Body], subject.body)
    if TRUE_BODY in variants:
        made[TRUE_BODY] = run(truth)
    if not set(variants) - {ESTIMATED, TRUE_BODY}:
        return made
    truth = {**truth, **dict.fromkeys(steps[Cutout], true_cutout(subject))}
    base = made[TRUE_CUTOUT] = run(truth)
    maps, layers = base.last(BodyMaps), base.layers
    for variant in variants[variants.index(TRUE_CUTOUT) + 1 :]:
        if maps is None or layers is None:
            made[variant] = base
            continue
        true = true_layers(subject, maps, layers, colours=variant == ORACLE)
        made[variant] = run({**truth, **dict.fromkeys(steps[Layers], true)})
    return made
