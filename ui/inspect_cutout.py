"""Picture and facts of a cut-out."""

from __future__ import annotations

from pipelines.records import Cutout
from ui.edit_matte import facts_of
from ui.inspect_numbers import Facts, to_json
from ui.inspect_photo import webp
from ui.run_reader import RunReader


def picture(reader: RunReader, step: str, argument: str) -> bytes:
    """The cut-out with its alpha."""
    cutout = reader.record(step)
    assert isinstance(cutout, Cutout)
    return webp(cutout.rgba)


def facts(reader: RunReader, step: str, argument: str) -> bytes:
    """Coverage, touched borders, and where the matte came from."""
    cutout = reader.record(step)
    assert isinstance(cutout, Cutout)
    found = facts_of(cutout.alpha)
    rows: Facts = [
        ("Covers", f"{100 * found['coverage']:.1f} % of the photo"),
        ("Touches the border", ", ".join(found["touching"]) or "no"),
        ("Source", str(cutout.facts.get("source", "unknown"))),
    ]
    return to_json(rows)
