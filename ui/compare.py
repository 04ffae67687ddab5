"""What can be put side by side: the visitor's own runs and the prepared ones, each with its turned frames."""

from __future__ import annotations

import contextlib
from typing import Any

from pipelines.step import UserError
from ui.rail import snapshot
from ui.session import PUBLIC, Session

MOST = 24  # runs of one list
TURNED = ("views", "splats", "mesh")  # kinds of record that have frames of one turn, the best first
TOLD = ("body", "splats", "mesh", "table")  # kinds of record whose numbers are compared


def comparable(session: Session, token: str) -> list[dict[str, Any]]:
    """The runs that this token may see, the visitor's own first, the newest of them first; those without any frames
    are listed too, so that a run under way is not missed."""
    names = [(token, name) for name in session.own_names(token)[:MOST]]
    names += [(PUBLIC, name) for name in session.example_names()]
    found = []
    for owner, name in names[:MOST]:
        with contextlib.suppress(UserError, OSError):
            found.append(_entry(snapshot(session, owner, name)))
    return found


def _entry(view: dict[str, Any]) -> dict[str, Any]:
    shown = {step["record"]: step for step in view["steps"] if step["record"] and step["state"] != "stale"}
    turned = next((p for kind in TURNED if kind in shown for p in shown[kind]["plates"] if p.get("frames")), None)
    return {
        "run": view["run"], "mine": view["mine"], "system": view["system"], "seed": view["seed"],
        "photo": view["photo_name"], "upload": view["upload"],
        "state": view["state"], "settings": view["settings"], "by_hand": view["replaced"],
        "frames": turned and turned["frames"], "busy": view["busy"],
        "seconds": [[s["title"], s["seconds"]] for s in view["steps"] if s["seconds"] is not None],
        "facts": [[kind, f"{view['base']}/{shown[kind]['name']}/facts.json?c={shown[kind]['content']}"]
                  for kind in TOLD if kind in shown],
    }  # fmt: skip
