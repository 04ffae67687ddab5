"""A run: one photo, one system, parameters, and for each step its state, key and content.

A run is a folder with `run.json`; the artefacts lie in the store. Executing a run again computes every key anew and
reuses what the store has, so that resuming after kill -9, going on from another run and editing an artefact by hand
are all the same thing.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import secrets
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines import __version__
from pipelines.memory import PeakMemory
from pipelines.recipe import Recipe
from pipelines.records import Body, Record, Upload, read_json
from pipelines.step import Cancelled, Context, Event, MissingNeed, Step, UserError
from pipelines.store import Entry, Hold, Store, hash_folder, hash_json, load_record, write_atomically
from pipelines.systems import find_system
from pipelines.weights import Weights

SCHEMA = "humanscope.run/1"
FINISHED = ("done", "reused", "warning")


@dataclass
class StepState:
    """What run.json says of one step."""

    name: str
    title: str
    kind: str
    state: str = "waiting"
    seconds: float | None = None
    peak_rss_mb: float | None = None
    key: str | None = None
    content: str | None = None
    message: str = ""
    replaced: bool = False

    @property
    def finished(self) -> bool:
        """Whether there is a result that fits the run's parameters."""
        return self.state in FINISHED


@dataclass
class Run:
    """See the module. settings: {step: {param: text}}. replaced: {step: content of a hand-made artefact}."""

    folder: Path
    id: str
    system: str
    preset: str
    seed: int
    device: str
    created: str
    photo_name: str
    upload_sha256: str
    settings: dict[str, dict[str, Any]]
    replaced: dict[str, str]
    weights: dict[str, str]
    steps: list[StepState]
    state: str = "waiting"
    message: str = ""
    warnings: list[dict[str, str]] = field(default_factory=list)
    camera: dict[str, Any] | None = None
    frame: str = "display: y up, metres, ground at y = 0, person facing +z"
    version: str = __version__

    @property
    def recipe(self) -> Recipe:
        """The steps of the run's system."""
        return find_system(self.system)

    def step(self, name: str) -> StepState:
        """The state of one step."""
        self.recipe.step(name)
        return next(s for s in self.steps if s.name == name)

    def spent(self) -> dict[str, float]:
        """{step: seconds}; a step that another of this run had done already (the same key) took none."""
        found, known = {}, set()
        for state in self.steps:
            if state.seconds is not None:
                found[state.name] = 0.0 if state.key in known else state.seconds
            known |= {state.key} - {None}
        return found

    def to_json(self) -> dict[str, Any]:
        """The content of run.json."""
        data = {k: v for k, v in vars(self).items() if k not in ("folder", "steps")}
        return {"schema": SCHEMA, **data, "steps": [vars(s) for s in self.steps]}

    def save(self) -> None:
        """Write run.json, atomically."""
        text = json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n"
        write_atomically(self.folder / "run.json", text)

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read a run folder; UserError when it is none."""
        path = Path(folder) / "run.json"
        if not path.is_file():
            raise UserError(
                f"'{folder}' is not a run: it has no run.json. Make one with 'python app.py run PHOTO --out DIR'."
            )
        try:
            data = read_json(path)
            schema = data.pop("schema", None)
            if schema != SCHEMA:
                raise UserError(f"'{path}' came with schema '{schema}'; this version reads '{SCHEMA}'.")
            steps = [StepState(**s) for s in data.pop("steps")]
            return cls(folder=Path(folder), steps=steps, **data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"'{path}' is damaged ({error}); get a complete copy of the run.") from error

    def record(self, step: str, store: Store | None = None) -> Record:
        """The artefact of a finished step: from the run's own folder when it carries one, else from the store."""
        own = self.folder / "steps" / step
        if (own / "kind.txt").exists():
            return load_record(own)
        content = self.step(step).content
        if content is None or store is None:
            raise UserError(
                f"The run in '{self.folder}' has no result for '{step}' yet (it is {self.step(step).state})."
            )
        return store.load(content)


def create_run(
    folder: Path,
    upload: Upload,
    system: str = "projection",
    *,
    settings: dict[str, dict[str, Any]] | None = None,
    seed: int = 0,
    device: str = "cpu",
    weights: dict[str, str] | None = None,
    replaced: dict[str, str] | None = None,
) -> Run:
    """A new run in `folder` (made when missing), with every step waiting. The upload's bytes stay with the caller."""
    recipe = find_system(system)
    for name, values in (settings or {}).items():
        recipe.step(name).make_params(values)
    for name in replaced or {}:
        recipe.step(name)
    states = [StepState(s.name, s.title, s.kind) for s in recipe.steps]
    run = Run(
        Path(folder), secrets.token_hex(16), system, recipe.preset, seed, device,
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        Path(upload.name).name, hash_bytes(upload.data), settings or {}, replaced or {}, weights or {}, states,
    )  # fmt: skip
    run.folder.mkdir(parents=True, exist_ok=True)
    run.save()
    return run


def check_seed(seed: Any) -> int:
    """A seed that every step and every file can hold; UserError otherwise."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**53:
        raise UserError(f"The seed came as {seed!r}; it needs a whole number from 0 to 9007199254740991.")
    return seed


def hash_bytes(data: bytes) -> str:
    """Hex digest of an upload."""
    import hashlib

    return hashlib.sha256(data).hexdigest()[:40]


def branch_run(folder: Path, base: Run, **changes: Any) -> Run:
    """A new run that goes on from `base`: same photo, system, parameters and edits, unless `changes` says otherwise.

    In another system, what belongs to steps that it does not have is left behind.
    """
    system = changes.pop("system", base.system)
    known = {step.name for step in find_system(system).steps}
    settings = {k: dict(v) for k, v in base.settings.items() if k in known}
    for name, values in (changes.pop("settings", None) or {}).items():
        settings.setdefault(name, {}).update(values)
    replaced = {k: v for k, v in base.replaced.items() if k in known} | (changes.pop("replaced", None) or {})
    options = {"seed": base.seed, "device": base.device, "weights": base.weights, **changes}
    upload = Upload(b"", base.photo_name)
    run = create_run(folder, upload, system, settings=settings, replaced=replaced, **options)
    run.upload_sha256 = base.upload_sha256
    run.save()
    return run


def import_records(base: Run, store: Store, hold: Hold) -> dict[str, str]:
    """Put the artefacts that a run folder carries (`steps/NAME`) under their keys, so that a run elsewhere reuses them.

    Returns {step: content} of those that are no longer what the run had made: somebody edited them by hand, and they
    stand in the place of their step from here on. UserError when one cannot be read.
    """
    edited: dict[str, str] = {}
    for state in base.steps:
        own = base.folder / "steps" / state.name
        if not (state.key and state.finished and (own / "kind.txt").exists()):
            continue
        if hash_folder((own / "kind.txt").read_text().strip(), own) != state.content:
            edited[state.name] = store.add(load_record(own), hold)
        elif not state.replaced and store.lookup(state.key, hold) is None:
            facts: dict[str, Any] = {
                "step": state.name,
                "seconds": state.seconds,
                "peak_rss_mb": state.peak_rss_mb,
                "warnings": [w["text"] for w in base.warnings if w["step"] == state.name],
            }
            store.put(state.key, load_record(own), facts, hold)
    return edited


def change_settings(run: Run, settings: dict[str, dict[str, Any]]) -> list[str]:
    """Change knobs of a run; the steps whose results no longer fit turn stale. Returns their names."""
    recipe = run.recipe
    touched: set[str] = set()
    for name, values in settings.items():
        step = recipe.step(name)
        old, new = run.settings.get(name, {}), {**run.settings.get(name, {}), **values}
        if step.make_params(old) != step.make_params(new):
            touched |= {name} | recipe.after(name)
        run.settings[name] = {k: v for k, v in new.items()}
    return mark_stale(run, touched - set(run.replaced))


def replace_artefact(run: Run, step: str, content: str | None) -> list[str]:
    """Put a hand-made artefact in a step's place (None takes it back); later steps turn stale."""
    run.recipe.step(step)
    if content is None:
        run.replaced.pop(step, None)
        return mark_stale(run, {step} | run.recipe.after(step))
    run.replaced[step] = content
    return mark_stale(run, {step} | run.recipe.after(step))


def mark_stale(run: Run, names: set[str]) -> list[str]:
    """Finished steps among `names` become stale (their old results stay to be looked at)."""
    stale = [s for s in run.steps if s.name in names and (s.finished or s.state == "stale")]
    for state in stale:
        state.state = "stale"
    run.save()
    return [s.name for s in stale]


@dataclass
class Executor:
    """Runs the steps of one run in this process.

    listen: receives every Event. is_cancelled: asked between iterations. upload: the photo's bytes; needed only when
    the photo step is not in the store yet.
    """

    run: Run
    store: Store
    upload: Upload | None = None
    listen: Callable[[Event], None] = lambda event: None
    is_cancelled: Callable[[], bool] = lambda: False
    _read: dict[str, Record] = field(default_factory=dict, init=False)

    def execute(self, until: str | None = None) -> Run:
        """All steps up to and including `until`, or all. Errors are written into the run and raised."""
        run, recipe = self.run, self.run.recipe
        if until is not None:
            recipe.step(until)
        run.state, run.message, run.warnings = "running", "", []
        for state in run.steps:
            if state.state in ("running", "queued", "failed", "cancelled", "missing"):
                state.state, state.message = "waiting", ""
        run.save()
        contents: dict[str, str] = {}
        self._forget(set())
        with self.store.hold() as hold:
            for number, step in enumerate(recipe.steps, 1):
                self._run_one(step, contents, hold)
                if step.name == until:
                    break
                self._forget({name for later in recipe.steps[number:] for name in recipe.sources(later).values()})
        run.state = "done" if all(s.finished for s in run.steps) else "waiting"
        run.save()
        return run

    def _run_one(self, step: Step, contents: dict[str, str], hold: Hold) -> None:
        state = self.run.step(step.name)
        try:
            if self.is_cancelled():
                raise Cancelled(f"'{step.name}' was cancelled before it began.")
            self._answer(step, state, contents, hold)
        except Cancelled as error:
            self._stop(state, "cancelled", str(error))
            raise
        except MissingNeed as error:
            self._stop(state, "missing", str(error))
            raise
        except UserError as error:
            self._stop(state, "failed", str(error))
            raise
        except Exception as error:
            (self.run.folder / "log.txt").write_text(traceback.format_exc())
            self._stop(state, "failed", f"'{step.name}' failed: {type(error).__name__}: {error}")
            raise

    def _answer(self, step: Step, state: StepState, contents: dict[str, str], hold: Hold) -> None:
        run = self.run
        if step.name in run.replaced:
            content = run.replaced[step.name]
            hold.add(content)
            state.key, state.replaced = hash_json({"replaced": content}), True
            self._finish(step, state, content, "done", {"seconds": 0.0}, contents)
            return
        state.replaced = False
        params = step.make_params(run.settings.get(step.name, {}))
        key, recorded = self._key(step, params, contents)
        state.key = key
        entry = self.store.lookup(key, hold)
        if entry is None:
            with self.store.making(key):
                entry = self.store.lookup(key, hold)
                fresh = entry is None
                if entry is None:
                    entry = self._make(step, state, key, params, recorded, contents, hold)
        else:
            fresh = False
        self._finish(step, state, entry.content, "done" if fresh else "reused", entry.facts, contents)

    def _key(self, step: Step, params: Any, contents: dict[str, str]) -> tuple[str, dict[str, Any]]:
        inputs = {step.own_name(n): contents[source] for n, source in self.run.recipe.sources(step).items()}
        if "upload" in step.inputs:
            inputs["upload"] = self.run.upload_sha256
        matter = {k.name: getattr(params, k.name) for k in step.knobs if k.affects_result}
        weights = Weights(self.run.weights)
        recorded: dict[str, Any] = {
            "step": step.key_name, "version": step.version, "params": matter, "inputs": inputs,
            "weights": {role: weights.fingerprint(role) for role in step.roles(params)},
        }  # fmt: skip
        if len(step.backends) > 1:
            recorded["backend"] = self.run.device
        if step.seeded:
            recorded["seed"] = self.run.seed
        return hash_json(recorded), recorded

    def _make(
        self, step: Step, state: StepState, key: str, params: Any, recorded: dict[str, Any],
        contents: dict[str, str], hold: Hold,
    ) -> Entry:  # fmt: skip
        state.state, state.message = "running", ""
        self.run.save()
        self.listen(Event(step.name, "running", 0.0))
        inputs = {name: self._result(source, contents) for name, source in self.run.recipe.sources(step).items()}
        if "upload" in step.inputs:
            if self.upload is None:
                raise UserError("The photo's first reading is no longer in the store; drop the photo again.")
            inputs["upload"] = self.upload
        weights = Weights(self.run.weights)
        ctx = Context(
            step.name, self.run.device, self.run.seed, weights.path, self.listen, self.is_cancelled,
            scratch=self.store.scratch(key),
        )  # fmt: skip
        with PeakMemory() as memory:
            start = time.perf_counter()
            result = step.run(inputs, params, ctx)
            seconds = time.perf_counter() - start
        licences = {role: weights.licence(role) for role in step.roles(params)}
        facts = {
            **recorded, "seconds": round(seconds, 3), "peak_rss_mb": round(memory.peak_mb, 1), "warnings": ctx.warnings,
            "humanscope": __version__, "licences": licences, "device": self.run.device,
        }  # fmt: skip
        entry = self.store.put(key, result, facts, hold)
        self.store.forget_scratch(key)
        return entry

    def _result(self, name: str, contents: dict[str, str]) -> Record:
        """What a step made, read from the store once for all steps that look at it."""
        if name not in self._read:
            self._read[name] = self.store.load(contents[name])
        return self._read[name]

    def _forget(self, later: set[str]) -> None:
        """Lets go of what no later step reads."""
        for name in set(self._read) - later:
            del self._read[name]

    def _finish(
        self, step: Step, state: StepState, content: str, how: str, facts: dict[str, Any], contents: dict[str, str]
    ) -> None:
        contents[step.name] = content
        warnings = facts.get("warnings") or []
        self.run.warnings += [{"step": step.name, "text": text} for text in warnings]
        state.content, state.seconds, state.peak_rss_mb = content, facts.get("seconds"), facts.get("peak_rss_mb")
        state.state = "warning" if warnings and how == "done" else how
        state.message = " ".join(warnings)
        if step.output is Body:
            body = self._result(step.name, contents)
            assert isinstance(body, Body)
            self.run.camera = body.camera.to_json()
        self.run.save()
        self.listen(Event(step.name, state.state, 1.0, state.message, seconds=state.seconds))

    def _stop(self, state: StepState, how: str, message: str) -> None:
        state.state, state.message = how, message
        self.run.state, self.run.message = how, message
        with contextlib.suppress(OSError):
            self.run.save()
        self.listen(Event(state.name, how, None, message))
