"""What a system made of one photo, as far as an evaluation looks at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from pipelines.records import Body, Cutout, Layers, Mesh, Record, Splats

R = TypeVar("R", bound=Record)
NOT_COUNTED = ("turntable", "splats.first")  # shown on the page, not part of the result


@dataclass(frozen=True)
class Made:
    """records: by step name, in the run's order. seconds: by step name. error: the sentence of a run that failed."""

    records: dict[str, Record] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str = ""

    def last(self, kind: type[R]) -> R | None:
        """The last record of a type, or None."""
        return next((r for r in reversed(list(self.records.values())) if isinstance(r, kind)), None)

    @property
    def body(self) -> Body | None:
        """After refinement, if there is one."""
        return self.last(Body)

    @property
    def body_before(self) -> Body | None:
        """The first body, where a later step refined it; else None."""
        bodies = [r for r in self.records.values() if isinstance(r, Body)]
        return bodies[0] if len(bodies) > 1 else None

    @property
    def splats(self) -> Splats | None:
        """The final Gaussians."""
        return self.last(Splats)

    @property
    def mesh(self) -> Mesh | None:
        """The final surface."""
        return self.last(Mesh)

    @property
    def layers(self) -> Layers | None:
        """Front and back surface, of the systems that have them."""
        return self.last(Layers)

    @property
    def cutout(self) -> Cutout | None:
        """The cut-out."""
        return self.last(Cutout)

    @property
    def total_seconds(self) -> float:
        """Of all steps that count."""
        return sum(s for name, s in self.seconds.items() if name not in NOT_COUNTED)
