"""A recipe: the steps of one system in their order, read like the method section of a paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.records import Upload
from pipelines.step import Step, UserError


@dataclass(frozen=True)
class Recipe:
    """name: the system's name. preset: which weights it runs on ('none' when it needs no network of ours).

    Each step's inputs are named after the steps that make them ('.' written as '_'); `photo` takes the upload.
    warm: {step: {knob: value}} of a small run that loads and compiles everything a full one needs; None for no such run.
    pack: how a folder or ZIP becomes the upload of a system that starts from one; None: it starts from a photo.
    ablation: {row: settings}, the system with one part left out; the first row is the whole system, without settings.
    """

    name: str
    title: str
    summary: str
    preset: str
    steps: tuple[Step, ...]
    warm: dict[str, dict[str, Any]] | None = None
    pack: Callable[[Path], Upload] | None = None
    ablation: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        made: dict[str, Step] = {}
        for step in self.steps:
            if step.name in made:
                raise ValueError(f"Recipe '{self.name}' names '{step.name}' twice.")
            for name, wanted in step.inputs.items():
                source = next((s for n, s in made.items() if n.replace(".", "_") == name), None)
                if source is None and name != "upload":
                    raise ValueError(f"'{step.name}' in recipe '{self.name}' needs '{name}' before it.")
                if source is not None and not issubclass(source.output, wanted):
                    raise ValueError(f"'{step.name}' needs a {wanted.__name__}; '{source.name}' makes another record.")
            made[step.name] = step
        for row in self.ablation.values():
            for name, values in row.items():
                self.step(name).make_params(values)

    def step(self, name: str) -> Step:
        """The step of that name; UserError with the names there are."""
        for step in self.steps:
            if step.name == name:
                return step
        raise UserError(f"There is no step '{name}' in '{self.name}'; it has {', '.join(s.name for s in self.steps)}.")

    def sources(self, step: Step) -> dict[str, str]:
        """{input name: name of the step that makes it}."""
        names = {s.name.replace(".", "_"): s.name for s in self.steps}
        return {n: names[n] for n in step.inputs if n in names}

    def after(self, name: str) -> set[str]:
        """The names of all steps that depend on `name`, directly or not."""
        found: set[str] = set()
        for step in self.steps:
            if set(self.sources(step).values()) & (found | {name}):
                found.add(step.name)
        return found

    def parse_settings(self, pairs: list[str]) -> dict[str, dict[str, str]]:
        """['step.param=value', ...] -> {step: {param: text}}, all checked; UserError on what does not fit."""
        settings: dict[str, dict[str, str]] = {}
        for pair in pairs:
            name, equals, value = pair.partition("=")
            step_name, dot, parameter = name.rpartition(".")
            if not (equals and dot and step_name and parameter):
                raise UserError(f"--set came with '{pair}'; it needs step.param=value.")
            self.step(step_name).make_params({parameter: value})
            settings.setdefault(step_name, {})[parameter] = value
        return settings
