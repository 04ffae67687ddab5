"""Synthetic people: one integer seed, one person, with complete truth.

`training.people` is a `pipelines.evaluate.subject.People`: `subject(seed)` gives a person with a photo, pictures from
all sides, depths, labels, the body and the outer surface; `stream(seeds)` gives the lighter record that training eats.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.evaluate.subject import Subject
    from training.people.payload import Payload


def subject(seed: int, *, views: int = 12, size: int = 256) -> Subject:
    """The person of a seed: the same bytes every time. ValueError for a seed that there is no person of."""
    from training.people.subjects import subject as made

    return made(seed, views=views, size=size)


def subject_of_views(seed: int, *, views: int = 12, size: int = 256) -> Subject:
    """The same person for a system that starts from pictures of several sides."""
    from training.people.views_subject import subject_of_views as made

    return made(seed, views=views, size=size)


def facts(seed: int) -> dict[str, Any]:
    """The facts of a person without drawing anything: height, pose, garments, camera, background."""
    from training.people.subjects import facts as known

    return known(seed)


def stream(seeds: Iterable[int], **settings: Any) -> Iterator[Payload]:
    """People for training, in the order of their seeds, made by two processes; see `training.people.payload.stream`."""
    from training.people.payload import stream as made

    return made(seeds, **settings)
