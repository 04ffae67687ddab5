"""What a step declares, and what it is given while it works.

A step is one function in one file:

    @step("matte", version=1, title="Cut-out")
    def matte(photo: Photo, person: Person, params: MatteParams, ctx: Context) -> Cutout: ...

Its inputs are the records that it names (`body_fit: Body` is the result of the step "body.fit"), its output is the
annotated result, its parameters are a frozen dataclass of `knob`s. The command line, the page's knobs, the help, the
cache key and the run record are all made from this declaration.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import typing
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.records import Record, read_arrays, write_arrays


class UserError(Exception):
    """One sentence for a person: what came, what is needed, what to do next."""


class MissingNeed(UserError):
    """Something a step needs is not on this machine (weights, a package, a device); says how to get it."""


class Cancelled(Exception):
    """The run was cancelled; raised between iterations."""


@dataclass(frozen=True)
class Knob:
    """One parameter as the page and the command line see it."""

    name: str
    type: type
    default: Any
    help: str
    low: float | None
    high: float | None
    unit: str
    choices: tuple[str, ...]
    affects_result: bool

    def parse(self, value: Any, where: str) -> Any:
        """Text or a plain value -> the parameter's type, inside its range; UserError otherwise."""
        try:
            if self.type is bool:
                parsed: Any = _TRUTH[str(value).strip().lower()]
            elif self.type is int:
                parsed = int(str(value))
            elif self.type is float:
                parsed = float(value)
            else:
                parsed = str(value)
        except (KeyError, ValueError):
            raise UserError(f"{where} came as '{value}'; it needs {self.wanted()}.") from None
        outside = (
            isinstance(parsed, (int, float))
            and not isinstance(parsed, bool)
            and (
                not np.isfinite(parsed)
                or (self.low is not None and parsed < self.low)
                or (self.high is not None and parsed > self.high)
            )
        )
        if outside or (self.choices and parsed not in self.choices):
            raise UserError(f"{where} came as '{value}'; it needs {self.wanted()}.")
        return parsed

    def wanted(self) -> str:
        """The accepted values in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        noun = {bool: "true or false", int: "a whole number", float: "a number"}.get(self.type, "text")
        if self.low is not None and self.high is not None:
            noun += f" between {self.low:.10g} and {self.high:.10g}"
        elif self.low is not None:
            noun += f" of at least {self.low:.10g}"
        return noun + (f" {self.unit}" if self.unit else "")


_TRUTH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def knob(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    choices: Sequence[str] = (),
    affects_result: bool = True,
) -> Any:
    """A field of a step's parameters. `affects_result=False` keeps it out of the cache key."""
    facts = {"help": help, "low": low, "high": high, "unit": unit, "choices": tuple(choices)}
    return field(default=default, metadata={**facts, "affects_result": affects_result})


def same_knob(params: type, name: str, default: Any) -> Any:
    """A knob of another step's parameters once more, with another default."""
    (metadata,) = (f.metadata for f in dataclasses.fields(params) if f.name == name)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class NoParams:
    """For a step without knobs."""


@dataclass(frozen=True)
class Event:
    """One line of a run's progress. image: (h, w, 3|4) floats 0..1, a small preview, or None."""

    step: str
    state: str
    fraction: float | None = None
    message: str = ""
    image: NDArray[np.floating] | None = None
    seconds: float | None = None


@dataclass
class Context:
    """What a step may use besides its inputs. Steps start no threads or processes of their own.

    scratch: a folder of this very work (same inputs, parameters, weights and seed) that outlives a cancelled or killed
    run and goes when the step is done; None where nothing is kept. It may not exist yet; see `keep`.
    """

    step: str = ""
    device: str = "cpu"
    seed: int = 0
    weights: Callable[[str], Path] | None = None
    listen: Callable[[Event], None] = lambda event: None
    is_cancelled: Callable[[], bool] = lambda: False
    warnings: list[str] = field(default_factory=list)
    scratch: Path | None = None

    def progress(self, fraction: float, message: str = "", image: NDArray[np.floating] | None = None) -> None:
        """Say how far the step is (0..1), with a picture if there is one; raises Cancelled when asked to stop."""
        if self.is_cancelled():
            raise Cancelled(f"'{self.step}' was cancelled.")
        self.listen(Event(self.step, "running", float(fraction), message, image))

    def warn(self, sentence: str) -> None:
        """A sentence for the user that does not stop the run."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)
            self.listen(Event(self.step, "warning", None, sentence))

    def keep(self, name: str, arrays: dict[str, Any]) -> None:
        """Keep named arrays of unfinished work under a file name, whole or not at all; does nothing without `scratch`.

        A disk that takes no more is said as a warning: the work itself can go on.
        """
        if self.scratch is None:
            return
        part = self.scratch / f".{name}.part"
        try:
            self.scratch.mkdir(parents=True, exist_ok=True)
            write_arrays(part, arrays)
            os.replace(part, self.scratch / f"{name}.npz")
        except OSError as error:
            reason = error.strerror or str(error)
            self.warn(
                f"The unfinished work could not be kept ({reason}); a run that is stopped here begins this step anew."
            )

    def kept(self, name: str) -> dict[str, NDArray] | None:
        """What `keep` left under that name, in this run or an earlier one; None when there is nothing whole."""
        if self.scratch is None:
            return None
        try:
            return read_arrays(self.scratch / f"{name}.npz")
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def weight_file(self, role: str) -> Path:
        """The file for a declared weight role; MissingNeed when there is none."""
        if self.weights is None:
            raise MissingNeed(f"'{self.step}' needs weights for '{role}', and this run was given none.")
        return self.weights(role)


@dataclass(frozen=True)
class Step:
    """The declaration; `run(inputs, params, ctx)` does the work.

    work, own: of a renamed step, the name it was declared with and {input: the input's declared name}. The same work on
    the same inputs is the same artefact, whatever the step is called: `key_name` and `own_name` are what keys are made of.
    """

    name: str
    version: int
    title: str
    summary: str
    inputs: dict[str, type[Record]]
    output: type[Record]
    params: type
    weights: tuple[str, ...]
    packages: tuple[str, ...]
    backends: tuple[str, ...]
    seeded: bool
    kind: str
    function: Callable[..., Record]
    optional_weights: dict[str, tuple[str, Any]] = field(default_factory=dict)
    work: str = ""
    own: dict[str, str] = field(default_factory=dict)

    @property
    def key_name(self) -> str:
        """The name that the step's work is known by."""
        return self.work or self.name

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """The parameters in declared order."""
        types = typing.get_type_hints(self.params)
        return tuple(Knob(f.name, types[f.name], f.default, **f.metadata) for f in dataclasses.fields(self.params))

    @property
    def every_role(self) -> tuple[str, ...]:
        """The weight roles that any setting of the step can need."""
        return (*self.weights, *self.optional_weights)

    def roles(self, params: Any) -> tuple[str, ...]:
        """The weight roles that the step needs with these parameters."""
        wanted = (role for role, (name, value) in self.optional_weights.items() if getattr(params, name) == value)
        return (*self.weights, *wanted)

    def make_params(self, values: dict[str, Any]) -> Any:
        """{'name': text or value} -> the params dataclass; UserError on an unknown name or a bad value."""
        known = {k.name: k for k in self.knobs}
        for name in values:
            if name not in known:
                raise UserError(f"'{self.name}' has no parameter '{name}'; it has {', '.join(known) or 'none'}.")
        return self.params(**{n: known[n].parse(v, f"{self.name}.{n}") for n, v in values.items()})

    def check_inputs(self, inputs: dict[str, Record]) -> None:
        """Before any work: every input there, and of its type."""
        for name, wanted in self.inputs.items():
            if name not in inputs:
                raise UserError(f"'{self.name}' needs '{name.replace('_', '.')}', which this run does not have.")
            if not isinstance(inputs[name], wanted):
                came = type(inputs[name]).__name__
                raise UserError(f"'{self.name}' needs a {wanted.__name__} as '{name}'; a {came} came.")

    def renamed(self, name: str, **sources: str) -> Step:
        """The same step under another name, or the same one, fed by other steps, for a recipe that has it twice.

        sources: input name -> the name of the record it takes instead ('.' written as '_'), for example
        `layers.renamed("hgm.layers", body_fit="hgm_refine")`. ValueError for an input that the step does not have.
        """
        unknown = set(sources) - set(self.inputs)
        if unknown:
            raise ValueError(
                f"'{self.name}' has no input {', '.join(sorted(unknown))}; it has {', '.join(self.inputs)}."
            )
        inputs = {sources.get(n, n): kind for n, kind in self.inputs.items()}
        if len(inputs) < len(self.inputs):
            raise ValueError(f"'{name}' would take one record as two of the inputs {', '.join(self.inputs)}.")
        own = {sources.get(n, n): n for n in self.inputs}
        function = self.function

        def fed(*, params: Any, ctx: Context, **given: Record) -> Record:
            return function(**{own[n]: record for n, record in given.items()}, params=params, ctx=ctx)

        inner = {n: self.own_name(o) for n, o in own.items()}
        return dataclasses.replace(self, name=name, inputs=inputs, function=fed, work=self.key_name, own=inner)

    def own_name(self, name: str) -> str:
        """What an input is called where the step was declared."""
        return self.own.get(name, name)

    def run(self, inputs: dict[str, Record], params: Any, ctx: Context) -> Record:
        """Do the work on checked inputs; the result is of the declared type."""
        self.check_inputs(inputs)
        result = self.function(**{n: inputs[n] for n in self.inputs}, params=params, ctx=ctx)
        if not isinstance(result, self.output):
            raise TypeError(f"'{self.name}' declared {self.output.__name__} and returned {type(result).__name__}.")
        return result


def step(
    name: str,
    *,
    version: int,
    title: str,
    weights: Sequence[str] = (),
    packages: Sequence[str] = (),
    backends: Sequence[str] = ("cpu",),
    seeded: bool = False,
    kind: str = "measured",
    optional_weights: dict[str, tuple[str, Any]] | None = None,
) -> Callable[[Callable[..., Record]], Step]:
    """Declare a step. `kind` says whether its result is 'measured' from the photo, 'generated', or 'mixed': some of both.

    backends: devices on which it runs; with more than one the device is part of the cache key. seeded: the run's
    seed matters. weights: roles in `pipelines.weights`. packages: optional packages that must be installed.
    optional_weights: {role: (knob, value)}, roles that are needed only when the knob has that value.
    """
    if kind not in ("measured", "generated", "mixed"):
        raise ValueError(f"Step '{name}' came with kind '{kind}'; it needs 'measured', 'generated' or 'mixed'.")

    def declare(function: Callable[..., Record]) -> Step:
        hints = typing.get_type_hints(function)
        order = list(inspect.signature(function).parameters)
        if order[-2:] != ["params", "ctx"] or "return" not in hints:
            raise TypeError(f"Step '{name}' must end in (params, ctx) and annotate its result.")
        inputs = {n: hints[n] for n in order[:-2]}
        for record in (*inputs.values(), hints["return"]):
            if not (isinstance(record, type) and issubclass(record, Record)):
                raise TypeError(f"Step '{name}' names {record}, which is not a record.")
        summary = inspect.getdoc(function) or ""
        return Step(
            name, version, title, summary.split("\n\n")[0].replace("\n", " "), inputs, hints["return"],
            hints["params"], tuple(weights), tuple(packages), tuple(backends), seeded, kind, function,
            dict(optional_weights or {}),
        )  # fmt: skip

    return declare
