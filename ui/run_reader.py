"""Reading a run's records for pictures and files: from the run's own folder, or from the store."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TypeVar

from pipelines.export.bundle import Bundle
from pipelines.output import command_of
from pipelines.records import (
    Body,
    Cutout,
    Keypoints,
    Mesh,
    Photo,
    Record,
    Splats,
    ViewSet,
    read_json,
)  # fmt: skip
from pipelines.run import Run, StepState
from pipelines.step import UserError
from pipelines.store import Store, load_record

R = TypeVar("R", bound=Record)


class RunReader:
    """One run as it is on disk. Only `bundle` asks for the recipe, so that the page's process imports nothing heavy."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = Path(folder), store
        self.run = Run.load(folder)

    def state(self, step: str) -> StepState:
        """The state of a step; UserError when the run has none of that name."""
        for state in self.run.steps:
            if state.name == step:
                return state
        raise UserError(f"The run has no step '{step}'.")

    def place(self, step: str) -> Path | None:
        """The folder of a step's artefact, or None when there is none (yet, or any more)."""
        own = self.folder / "steps" / step
        if (own / "kind.txt").exists():
            return own
        content = self.state(step).content
        folder = self.store.folder(content) if content else None
        return folder if folder is not None and (folder / "kind.txt").exists() else None

    def kind(self, step: str) -> str | None:
        """The kind of record that a step has made, or None. A prepared run may keep only pictures of a step."""
        place = self.place(step)
        return (place / "kind.txt").read_text().strip() if place else self.pictured.get(step)

    @cached_property
    def pictured(self) -> dict[str, str]:
        """{step: kind of record} for the steps of which a prepared run keeps pictures and no data."""
        path = self.folder / "page" / "kinds.json"
        return read_json(path) if path.is_file() else {}

    def record(self, step: str) -> Record:
        """A step's artefact; UserError when it is not there."""
        place = self.place(step)
        if place is None and step in self.pictured:
            raise UserError(
                f"This prepared run keeps only pictures of '{step}'; press 'Run from here' to make its data."
            )
        if place is None:
            raise UserError(f"'{step}' has no result here yet (it is {self.state(step).state}).")
        return load_record(place)

    def find(self, kind: type[R]) -> R | None:
        """The last artefact of a kind, or None."""
        for state in reversed(self.run.steps):
            if self.place(state.name) is not None and self.kind(state.name) == kind.kind:
                record = self.record(state.name)
                assert isinstance(record, kind)
                return record
        return None

    def need(self, kind: type[R]) -> R:
        """The same; UserError when there is none."""
        record = self.find(kind)
        if record is None:
            raise UserError(f"This run has no {kind.kind} yet.")
        return record

    @cached_property
    def photo_pixels(self) -> Photo:
        """The upright photo."""
        return self.need(Photo)

    def bundle(self) -> Bundle:
        """Everything the run has, for the writers of files."""
        run = self.run.to_json()
        return Bundle(
            photo=self.find(Photo), cutout=self.find(Cutout), keypoints=self.find(Keypoints), body=self.find(Body),
            splats=self.find(Splats), mesh=self.find(Mesh), turntable=self.find(ViewSet), run=run,
            command=command_of(self.run),
        )  # fmt: skip
