"""Step person of the system `views`: as everywhere, with a word on what is there without a body."""

from __future__ import annotations

from dataclasses import replace

from pipelines.person import PersonParams
from pipelines.person import person as person_step
from pipelines.records import Person, Photo
from pipelines.step import Context, UserError


def in_front_view(photo: Photo, params: PersonParams, ctx: Context) -> Person:
    """`pipelines.person.person`; its UserError says that mesh and splats need no body."""
    try:
        found = person_step.function(photo=photo, params=params, ctx=ctx)
    except UserError as error:
        raise UserError(
            f"{error} Surface, mesh and splats are finished; with --until turntable a run ends there, without a body."
        ) from error
    assert isinstance(found, Person)
    return found


person = replace(person_step, function=in_front_view)
