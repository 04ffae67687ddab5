"""Which of a run's bodies belongs to which of its splats."""

from __future__ import annotations

from pipelines.records import Body, Splats
from ui.run_reader import RunReader


def body_of(reader: RunReader, step: str) -> Body | None:
    """The body in whose frame a step's splats lie: the run's last; of splats that later ones replace, the last before
    them."""
    steps = reader.run.steps
    kinds = [reader.kind(state.name) for state in steps]
    at = next((i for i, state in enumerate(steps) if state.name == step), len(steps))
    if Splats.kind in kinds[at + 1 :]:
        for state, kind in reversed([*zip(steps[:at], kinds, strict=False)]):
            if kind == Body.kind and reader.place(state.name) is not None:
                record = reader.record(state.name)
                assert isinstance(record, Body)
                return record
    return reader.find(Body)
